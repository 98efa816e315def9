//! What a load gives, and where it goes.
#![forbid(unsafe_code)]

use super::format::{Fields, Hasher};
use super::options::LoadRequest;
use crate::file::deadline::Retry;
use crate::hooks::*;
use crate::status::*;

/// max_len when none is given and memory is allocated: 1 GiB.
const DEFAULT_MAX_LEN: u64 = 1 << 30;

/// Where the payload goes.
pub struct Room<'m> {
    /// The caller's memory, for the payload alone. Or, when none was given, the whole record: the payload begins
    /// at byte 256 and has a NUL after it.
    pub memory: Memory<'m>,
    pub given: bool,
    /// How long the payload is that was found too large.
    pub needed: u64,
}

impl Room<'_> {
    /// The longest payload that `request` allows here.
    pub fn most(&self, request: &LoadRequest) -> u64 {
        let (room, default) = if self.given { (self.memory.capacity() as u64, u64::MAX) } else { (u64::MAX, DEFAULT_MAX_LEN) };
        room.min(if request.max_len == 0 { default } else { request.max_len })
    }
}

/// Reads a file to byte `end` of `memory`, whose first byte is byte `base` of the file, and hashes each piece from byte `from` of
/// the memory on while it is in the cache. The answer: where the file ended, or that there is one byte more.
pub fn read_and_hash(
    fd: &Fd<'_>,
    memory: &mut Memory<'_>,
    base: i64,
    (from, end): (usize, usize),
    hasher: &mut Hasher,
) -> Result<usize, Outcome> {
    /// Long files are read in pieces of this length.
    const PIECE: usize = 1 << 18;
    let mut hashed = from;
    loop {
        let enough = hashed.saturating_add(PIECE).min(end);
        fd.hooks().fill(fd.raw(), memory, base, enough).at(STEADFAST_STEP_READ_FILE)?;
        let piece = memory.bytes().get(hashed..).ok_or(Outcome::internal())?;
        hasher.update(piece);
        hashed = hashed.saturating_add(piece.len());
        if enough == end || hashed < enough {
            return Ok(hashed);
        }
    }
}

/// The size of a file, if it is a regular one.
pub fn size_of_regular(fd: &Fd<'_>) -> Result<u64, Outcome> {
    let stat = fd.hooks().fstat(fd.raw()).at(STEADFAST_STEP_READ_FILE)?;
    if is_regular(stat.mode) { Ok(stat.size) } else { Err(Outcome::new(STEADFAST_E_NOT_REGULAR)) }
}

/// A verified state.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    pub len: usize,
    pub fields: Fields,
    pub sha256: [u8; 32],
    pub previous: bool,
    /// Is it one of the two files of an alternating state?
    pub alternates: bool,
    /// STEADFAST_OK, or what a plain file has instead.
    pub status: i32,
}

impl Loaded {
    /// With the result of the load that gives it.
    pub fn succeed(self) -> (Loaded, Outcome) {
        (self, Outcome::new(self.status).with_generation(self.fields.generation))
    }
}

/// Is this damage, or an unreadable disk, for which the previous generation is kept?
pub fn recoverable(status: i32) -> bool {
    is_damage(status) || [EIO, EBADMSG, EUCLEAN].iter().any(|&errno| status == Errno::of(errno).code())
}

/// Is it damage of what was read?
pub fn is_damage(status: i32) -> bool {
    (STEADFAST_E_FORMAT..=STEADFAST_E_EMPTY).contains(&status)
}

/// What takes the file of a state.
pub trait Taker<'h> {
    /// Reads the whole file and verifies it.
    fn take(&mut self, fd: Fd<'h>, request: &LoadRequest, retry: &mut Retry) -> Result<Loaded, Outcome>;
}
