//! Writing a record: at once when it is small, hashed first when it is not, and when it is large hashed while the
//! device writes.
#![forbid(unsafe_code)]

use super::record::{self, Fields, HEADER, Hasher};
use crate::hooks::memory::Pieces;
use crate::hooks::*;
use crate::path::copy;

/// From this length on, direct writes pay for what they cost to set up.
const LARGE: usize = 4 << 20;
/// The file system that has no disk (statfs(2)).
const TMPFS: i64 = 0x0102_1994;
/// What is hashed and copied at once.
const HOT: usize = 8192;

/// Writes the record of `data` to `fd`, an empty file or one that is at least as long.
pub fn record(hooks: &Hooks, fd: i32, fields: &Fields, data: &[u8], recycled: bool) -> Result<(), Errno> {
    let mut header = record::header(fields, data.len(), recycled);
    let len = HEADER.saturating_add(data.len());
    // There a direct write is one more copy.
    if data.len() >= LARGE && hooks.filesystem(fd) != Ok(TMPFS) {
        if hooks.without_sigxfsz(|| direct(hooks, fd, &header, data)).is_ok() {
            return Ok(());
        }
        // What it has padded to whole blocks is not to stay behind the end.
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

/// One direct write under way, while the next is being made ready.
struct Queue<'h> {
    hooks: &'h Hooks,
    fd: i32,
    number: u64,
    pieces: Pieces,
    /// The length of what is under way, or 0.
    under_way: usize,
}

impl<'h> Queue<'h> {
    fn open(hooks: &'h Hooks, fd: i32) -> Result<Queue<'h>, Errno> {
        let mut queue = Queue { hooks, fd, number: 0, pieces: Pieces::new()?, under_way: 0 };
        hooks.aio(STEADFAST_AIO_OPEN, &mut queue.number, fd, &[], 0)?;
        Ok(queue)
    }

    /// Starts writing the first `len` bytes of piece `index`, when the one before has arrived.
    fn start(&mut self, index: usize, len: usize, offset: u64) -> Result<(), Errno> {
        self.wait()?;
        let bytes = self.pieces.get(index, len);
        self.hooks.aio(STEADFAST_AIO_WRITE, &mut self.number, self.fd, bytes, offset)?;
        self.under_way = len;
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Errno> {
        match core::mem::take(&mut self.under_way) {
            0 => Ok(()),
            len if self.hooks.aio(STEADFAST_AIO_WAIT, &mut self.number, self.fd, &[], 0)? == len => Ok(()),
            // Short: the ordinary way will find out why.
            _ => Err(Errno::of(EIO)),
        }
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        // Waits for what is under way: nothing is written from memory that was given back.
        let _ = self.hooks.aio(STEADFAST_AIO_CLOSE, &mut self.number, self.fd, &[], 0);
    }
}

/// Writes past the page cache, hashing one piece while the one before is on its way: the header, which needs the
/// digest, last. After any error the file is to be written again from its start.
fn direct(hooks: &Hooks, fd: i32, header: &[u8; HEADER], data: &[u8]) -> Result<(), Errno> {
    const BLOCK: usize = Pieces::ALIGN;
    let mut queue = Queue::open(hooks, fd)?;
    let (first, rest) = data.split_at_checked(BLOCK.saturating_sub(HEADER)).unwrap_or_default();
    let mut hasher = Hasher::new(header);
    hasher.update(first);
    let mut offset = BLOCK as u64;
    for (number, source) in rest.chunks(Pieces::LEN).enumerate() {
        let (mut at, mut whole) = (0, 0);
        for hot in source.chunks(HOT) {
            whole = queue.pieces.put(number, at, hot);
            at = at.saturating_add(hot.len());
            hasher.update(hot);
        }
        queue.start(number, whole, offset)?;
        offset = offset.saturating_add(whole as u64);
    }
    queue.wait()?;
    let mut header = *header;
    record::seal(&mut header, hasher);
    queue.pieces.put(0, 0, &header);
    queue.pieces.put(0, HEADER, first);
    queue.start(0, BLOCK, 0)?;
    queue.wait()?;
    drop(queue);
    let len = (HEADER as u64).saturating_add(data.len() as u64);
    if offset > len { hooks.ftruncate(fd, len) } else { Ok(()) }
}
