//! Writing a record: at once when it is small, hashed first when it is not, and when it is large hashed while the
//! device writes.
#![forbid(unsafe_code)]

use super::record::{self, Fields, HEADER, Hasher};
use crate::hooks::memory::Pieces;
use crate::hooks::*;
use crate::path::copy;

/// From this length on the device is given something to do before all is hashed.
const LARGE: usize = 4 << 20;
/// What is hashed and copied at once, while it is in the cache.
const HOT: usize = 8192;

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

/// A file that is written piece by piece: one is under way while the next is made ready.
struct Stream<'h> {
    hooks: &'h Hooks,
    fd: i32,
    queue: u64,
    pieces: Pieces,
    /// The piece in hand.
    number: usize,
    /// The length of what is under way, or 0.
    under_way: usize,
}

impl Stream<'_> {
    fn call(&mut self, operation: i32, len: usize, offset: u64) -> Result<usize, Errno> {
        let Stream { hooks, fd, queue, pieces, number, .. } = self;
        hooks.aio(operation, queue, *fd, (pieces, *number), len, offset)
    }

    /// Starts writing the first `len` bytes of the piece in hand, when what is under way has arrived. The other one is
    /// then in hand.
    fn start(&mut self, len: usize, offset: u64) -> Result<(), Errno> {
        self.wait()?;
        self.call(STEADFAST_AIO_WRITE, len, offset)?;
        self.under_way = len;
        self.number ^= 1;
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Errno> {
        match core::mem::take(&mut self.under_way) {
            0 => Ok(()),
            len if self.call(STEADFAST_AIO_WAIT, 0, 0)? == len => Ok(()),
            // Short: the ordinary way will find out why.
            _ => Err(Errno::of(EIO)),
        }
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        // Waits for what is under way: nothing is written from memory that was given back.
        let _ = self.call(STEADFAST_AIO_CLOSE, 0, 0);
    }
}

/// Hashes each piece while the one before is on its way: the first block, whose header needs the digest, goes last. After
/// any error the file is to be written again from its start.
fn stream(hooks: &Hooks, fd: i32, header: &[u8; HEADER], data: &[u8]) -> Result<(), Errno> {
    const BLOCK: usize = Pieces::ALIGN;
    let len = HEADER.saturating_add(data.len());
    let mut stream = Stream { hooks, fd, queue: 0, pieces: Pieces::new()?, number: 0, under_way: 0 };
    stream.call(STEADFAST_AIO_OPEN, len.next_multiple_of(BLOCK), 0)?;
    let (first, rest) = data.split_at_checked(BLOCK.saturating_sub(HEADER)).unwrap_or_default();
    let mut hasher = Hasher::new(header);
    hasher.update(first);
    let mut offset = BLOCK as u64;
    for source in rest.chunks(Pieces::LEN) {
        let mut whole = 0;
        for hot in source.chunks(HOT) {
            hasher.update(hot);
            whole = stream.pieces.put(stream.number, whole, hot);
        }
        stream.start(whole, offset)?;
        offset = offset.saturating_add(whole as u64);
    }
    let mut header = *header;
    record::seal(&mut header, hasher);
    stream.pieces.put(stream.number, 0, &header);
    stream.pieces.put(stream.number, HEADER, first);
    stream.start(BLOCK, 0)?;
    stream.wait()?;
    drop(stream);
    hooks.ftruncate(fd, len as u64)
}
