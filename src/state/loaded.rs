//! What a load gives, and where it goes.
#![forbid(unsafe_code)]

use super::format::Fields;
use super::options::LoadRequest;
use crate::mem::Buffer;

/// max_len when none is given and memory is allocated: 1 GiB.
const DEFAULT_MAX_LEN: u64 = 1 << 30;
/// Long files are read in pieces of this length, each hashed while it is in the cache.
pub const PIECE: usize = 1 << 18;

/// Where the payload goes.
pub struct Room {
    /// The caller's memory, for the payload alone. Or, when none was given, the whole record: the payload begins
    /// at byte 256 and has a NUL after it.
    pub memory: Buffer,
    pub given: bool,
    /// How long the payload is that was found too large.
    pub needed: u64,
}

impl Room {
    /// The longest payload that `request` allows here.
    pub fn most(&self, request: &LoadRequest) -> u64 {
        let (room, default) = if self.given { (self.memory.capacity() as u64, u64::MAX) } else { (u64::MAX, DEFAULT_MAX_LEN) };
        room.min(if request.max_len == 0 { default } else { request.max_len })
    }
}

/// A verified state.
pub struct Loaded {
    pub len: usize,
    pub fields: Fields,
    pub sha256: [u8; 32],
    pub previous: bool,
    /// STEADFAST_OK, or what a plain file has instead.
    pub status: i32,
}
