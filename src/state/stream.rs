//! Writing a record: at once when it is small, hashed first when it is not, and when it is large hashed while the
//! device writes.

use super::format::{self, COVERED, Fields, HEADER, Hasher, Slot};
use super::plain;
use crate::hooks::*;
use crate::mem::{Pieces, copy};

/// From this length on the device is given something to do before all is hashed.
const LARGE: usize = 4 << 20;
/// What is copied and hashed at once, while it is in the cache.
const HOT: usize = 8192;
const BLOCK: usize = Pieces::ALIGN;

/// A record to write.
pub struct Record<'a> {
    pub fields: Fields,
    pub data: &'a [u8],
    /// Is it marked as one that is not synced?
    pub unsynced: bool,
    /// Of one of the two files of an alternating state.
    pub slot: Option<Slot>,
}

impl Record<'_> {
    fn blank_header(&self) -> [u8; HEADER] {
        format::header(&self.fields, self.data.len() as u64, self.unsynced, None)
    }

    /// The whole file of a slot, filled up with newlines to this length.
    pub fn filled_up(&self, slot: &Slot, capacity: u64) -> Result<Buffer, Errno> {
        let capacity = usize::try_from(capacity).map_err(|_| Errno::of(ENOMEM))?;
        let mut file = Buffer::new(capacity)?;
        let len = capacity.saturating_sub(HEADER) as u64;
        file.append(&format::header(&self.fields, len, self.unsynced, Some(slot)));
        file.append(self.data);
        while file.bytes().len() < capacity {
            file.append(&[b'\n'; 64]);
        }
        let mut hasher = Hasher::new(&[]);
        hasher.update(file.bytes().get(COVERED..).unwrap_or_default());
        if let Some(header) = file.bytes_mut().first_chunk_mut() {
            format::seal(header, hasher);
        }
        Ok(file)
    }

    /// The whole header, by hashing everything.
    fn header(&self) -> [u8; HEADER] {
        let mut header = self.blank_header();
        let mut hasher = Hasher::new(&header);
        hasher.update(self.data);
        format::seal(&mut header, hasher);
        header
    }

    /// Writes it to `fd`, an empty file.
    pub fn write(&self, hooks: &Hooks, fd: i32) -> Result<(), Errno> {
        if let Some(slot) = &self.slot {
            let file = self.filled_up(slot, Slot::capacity(slot.used))?;
            return hooks.write_all(fd, &[file.bytes()]);
        }
        let len = HEADER.saturating_add(self.data.len());
        if self.data.len() >= LARGE {
            if hooks.without_sigxfsz(|| self.stream(hooks, fd)).is_ok() {
                return Ok(());
            }
            // Nothing of it is to stay behind the end.
            hooks.ftruncate(fd, 0)?;
        }
        // One write, from one page: a call costs more than the copy.
        let mut small = [0u8; 4096];
        let Some((first, rest)) = small.get_mut(..len).and_then(|whole| whole.split_at_mut_checked(HEADER)) else {
            return hooks.write_all(fd, &[&self.header(), self.data]);
        };
        copy(rest, self.data);
        copy(first, &Record { data: rest, ..*self }.header());
        hooks.write_all(fd, &[small.get(..len).ok_or(Errno::INTERNAL)?])
    }

    /// Writes the file of a slot anew.
    pub fn write_at_start(&self, hooks: &Hooks, fd: i32) -> Result<(), Errno> {
        let slot = self.slot.as_ref().ok_or(Errno::INTERNAL)?;
        hooks.write_at_start(fd, self.filled_up(slot, Slot::capacity(slot.used))?.bytes())
    }

    /// Writes its header anew, to the beginning of a file that holds its payload.
    pub fn write_header(&self, hooks: &Hooks, fd: i32) -> Result<(), Errno> {
        if let Some(slot) = &self.slot {
            let file = self.filled_up(slot, Slot::capacity(slot.used))?;
            return hooks.write_all(fd, &[file.bytes().get(..HEADER).unwrap_or_default()]);
        }
        hooks.write_all(fd, &[&self.header()])
    }

    /// Hashes each piece while the one before is on its way: the first block, whose header needs the digest, goes last.
    /// After any error the file is to be written again from its start.
    fn stream(&self, hooks: &Hooks, fd: i32) -> Result<(), Errno> {
        let mut header = self.blank_header();
        let len = HEADER.saturating_add(self.data.len());
        let mut stream = Stream::open(hooks, fd, len)?;
        let (data, rest) = self.data.split_at_checked(BLOCK.saturating_sub(HEADER)).ok_or(Errno::INTERNAL)?;
        let mut first = [0u8; BLOCK - HEADER];
        copy(&mut first, data);
        let mut hasher = Hasher::new(&header);
        hasher.update(&first);
        stream.write(rest, BLOCK as u64, &mut hasher)?;
        format::seal(&mut header, hasher);
        stream.put(0, &header)?;
        stream.put(HEADER, &first)?;
        stream.start(BLOCK, 0)?;
        stream.end(len)
    }
}

/// Writes a plain file to `fd`, at its start: the digest.
pub fn write_plain(hooks: &Hooks, fd: i32, data: &[u8]) -> Result<[u8; 32], Errno> {
    if data.len() >= LARGE {
        let stream = || {
            let mut hasher = plain::hasher();
            let mut stream = Stream::open(hooks, fd, data.len())?;
            stream.write(data, 0, &mut hasher)?;
            stream.end(data.len())?;
            Ok(hasher.finish())
        };
        if let Ok(sha256) = hooks.without_sigxfsz(stream) {
            return Ok(sha256);
        }
        // Nothing of it is to stay behind the end.
        hooks.ftruncate(fd, 0)?;
    }
    let mut hasher = plain::hasher();
    let mut small = [0u8; 4096];
    let data = match small.get_mut(..data.len()) {
        Some(copied) => {
            copy(copied, data);
            copied
        }
        None => data,
    };
    hasher.update(data);
    hooks.write_all(fd, &[data])?;
    Ok(hasher.finish())
}

/// A file that is written piece by piece: one is under way while the next is made ready.
struct Stream<'h> {
    hooks: &'h Hooks,
    fd: i32,
    queue: u64,
    /// There until it is dropped.
    pieces: Option<Pieces>,
    /// The piece in hand.
    number: usize,
    /// The length of what is under way, or 0.
    under_way: usize,
}

impl<'h> Stream<'h> {
    /// For `len` bytes.
    fn open(hooks: &'h Hooks, fd: i32, len: usize) -> Result<Stream<'h>, Errno> {
        let mut stream = Stream { hooks, fd, queue: 0, pieces: Some(Pieces::new()?), number: 0, under_way: 0 };
        if hooks.may_use_io_uring() {
            stream.call(STEADFAST_AIO_OPEN, len.next_multiple_of(BLOCK), 0)?;
        }
        Ok(stream)
    }

    /// Writes `data` to `offset` and on. What is hashed is the copy that is written.
    fn write(&mut self, data: &[u8], offset: u64, hasher: &mut Hasher) -> Result<(), Errno> {
        let mut offset = offset;
        for source in data.chunks(Pieces::LEN) {
            let mut whole = 0;
            for hot in source.chunks(HOT) {
                let (end, copied) = self.put(whole, hot)?;
                hasher.update(copied);
                whole = end;
            }
            self.start(whole, offset)?;
            offset = offset.saturating_add(whole as u64);
        }
        Ok(())
    }

    /// Everything has arrived, and the file ends after `len` bytes.
    fn end(mut self, len: usize) -> Result<(), Errno> {
        self.wait()?;
        let (hooks, fd) = (self.hooks, self.fd);
        drop(self);
        hooks.ftruncate(fd, len as u64)
    }

    fn call(&mut self, operation: i32, len: usize, offset: u64) -> Result<usize, Errno> {
        let Stream { hooks, fd, queue, pieces, number, .. } = self;
        let pieces = pieces.as_ref().ok_or(Errno::INTERNAL)?;
        hooks.aio(operation, queue, *fd, (pieces, *number), len, offset)
    }

    /// Copies `bytes` to `at` in the piece in hand: where they end, counted in whole blocks, and the copy.
    fn put(&mut self, at: usize, bytes: &[u8]) -> Result<(usize, &[u8]), Errno> {
        let number = self.number;
        let pieces = self.pieces.as_mut().ok_or(Errno::INTERNAL)?;
        Ok(pieces.put(number, at, bytes))
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
        let started = self.under_way;
        if started == 0 {
            return Ok(());
        }
        let written = self.call(STEADFAST_AIO_WAIT, 0, 0)?;
        self.under_way = 0;
        // Short: the ordinary way will find out why.
        if written == started { Ok(()) } else { Err(Errno::of(EIO)) }
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        // Waits for what is under way: nothing is written from memory that was given back.
        if self.call(STEADFAST_AIO_CLOSE, 0, 0).is_err() && self.under_way > 0 {
            // It cannot be waited for: better to lose the memory.
            core::mem::forget(self.pieces.take());
        }
    }
}
