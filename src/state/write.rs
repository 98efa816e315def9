//! Writing a record: at once when it is small, hashed first when it is not, and when it is large hashed while the
//! device writes.
#![forbid(unsafe_code)]

use super::record::{self, Fields, HEADER, Hasher};
use crate::hooks::*;
use crate::path::copy;

/// From this length on the device is given something to do before all is hashed.
const LARGE: usize = 4 << 20;
/// What is handed over and hashed at once.
const PIECE: usize = 1 << 20;

/// Writes the record of `data` to `fd`, an empty file or one that is at least as long.
pub fn record(hooks: &Hooks, fd: i32, fields: &Fields, data: &[u8], recycled: bool) -> Result<(), Errno> {
    let mut header = record::header(fields, data.len(), recycled);
    let len = HEADER.saturating_add(data.len());
    if data.len() >= LARGE {
        if hooks.without_sigxfsz(|| stream(hooks, fd, &header, data)).is_ok() {
            return Ok(());
        }
        // Nothing of it is to stay behind the end.
        hooks.ftruncate(fd, 0)?;
    }
    let mut hasher = Hasher::new(&header);
    hasher.update(data);
    record::seal(&mut header, hasher);
    // One write, from one page: a call costs more than the copy.
    let mut small = [0u8; 4096];
    match small.get_mut(..len).and_then(|whole| whole.split_at_mut_checked(HEADER)) {
        Some((first, rest)) => {
            copy(first, &header);
            copy(rest, data);
            hooks.write_all(fd, &[small.get(..len).unwrap_or_default()])
        }
        None => hooks.write_all(fd, &[&header, data]),
    }
}

/// A file that is written piece by piece.
struct Stream<'h> {
    hooks: &'h Hooks,
    fd: i32,
    queue: u64,
}

impl Stream<'_> {
    /// Starts writing `bytes`, does `meanwhile`, and sees that they were taken.
    fn write(&mut self, bytes: &[u8], offset: u64, meanwhile: impl FnOnce()) -> Result<(), Errno> {
        self.hooks.aio(STEADFAST_AIO_WRITE, &mut self.queue, self.fd, bytes, offset)?;
        meanwhile();
        if self.hooks.aio(STEADFAST_AIO_WAIT, &mut self.queue, self.fd, &[], 0)? == bytes.len() {
            return Ok(());
        }
        // Short: the ordinary way will find out why.
        Err(Errno::of(EIO))
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        let _ = self.hooks.aio(STEADFAST_AIO_CLOSE, &mut self.queue, self.fd, &[], 0);
    }
}

/// Hashes each piece while it is on its way: the header, which needs the digest, goes last. After any error the file is
/// to be written again from its start.
fn stream(hooks: &Hooks, fd: i32, header: &[u8; HEADER], data: &[u8]) -> Result<(), Errno> {
    let mut stream = Stream { hooks, fd, queue: 0 };
    hooks.aio(STEADFAST_AIO_OPEN, &mut stream.queue, fd, &[], 0)?;
    let mut hasher = Hasher::new(header);
    let mut offset = HEADER as u64;
    for piece in data.chunks(PIECE) {
        stream.write(piece, offset, || hasher.update(piece))?;
        offset = offset.saturating_add(piece.len() as u64);
    }
    let mut header = *header;
    record::seal(&mut header, hasher);
    stream.write(&header, 0, || ())
}
