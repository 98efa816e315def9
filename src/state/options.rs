//! What to save and load, and how.

use crate::file::names;
use crate::status::*;
use core::ffi::CStr;

/// A file or directory that cannot be made durable is an error instead of STEADFAST_NOT_DURABLE.
pub const STEADFAST_SAVE_STRICT: u32 = 1 << 0;
/// The verified previous generation stays as PATH.prev. Something at PATH that is no whole state is kept there as well, if
/// there is no PATH.prev yet: a person can read it, a load answers STEADFAST_E_FORMAT. The message says so.
pub const STEADFAST_SAVE_KEEP_PREVIOUS: u32 = 1 << 1;
/// Compare and swap: STEADFAST_E_CONFLICT unless the state there has expected_generation.
pub const STEADFAST_SAVE_IF_GENERATION: u32 = 1 << 2;
/// Save to what the link at PATH points to; without it a link is refused. In a sticky directory that others may write, a
/// link is followed only if it belongs to the caller or to the directory's owner, else -EACCES (proc_sys_fs(5),
/// protected_symlinks).
pub const STEADFAST_SAVE_FOLLOW_SYMLINK: u32 = 1 << 3;
/// Make missing parent directories, durably.
pub const STEADFAST_SAVE_CREATE_PARENTS: u32 = 1 << 4;
/// Atomic and verified, but without any fsync: always STEADFAST_NOT_DURABLE. The state is marked, and never takes the
/// place of a durable PATH.prev. on_disk is EITHER with KEEP_PREVIOUS and a durable state to keep, else UNKNOWN. With
/// STRICT or SYNCFS it is -EINVAL.
pub const STEADFAST_SAVE_NO_SYNC: u32 = 1 << 6;
/// steadfast_state_save_batch: one syncfs(2) for all files instead of one fsync for each. It flushes what others have
/// written to the file system as well. Where syncfs is not known to reach the device and to report its errors (network
/// file systems, FUSE, overlays, Linux before 5.8), each file is synced by itself.
pub const STEADFAST_SAVE_SYNCFS: u32 = 1 << 7;
/// All bits above.
pub const SAVE_ALL: u32 = STEADFAST_SAVE_STRICT
    | STEADFAST_SAVE_KEEP_PREVIOUS
    | STEADFAST_SAVE_IF_GENERATION
    | STEADFAST_SAVE_FOLLOW_SYMLINK
    | STEADFAST_SAVE_CREATE_PARENTS
    | STEADFAST_SAVE_NO_SYNC
    | STEADFAST_SAVE_SYNCFS;

/// Load PATH.prev when the state at PATH is damaged, unreadable or missing.
pub const STEADFAST_LOAD_RECOVER: u32 = 1 << 0;
/// The schema must be the one given.
pub const STEADFAST_LOAD_REQUIRE_SCHEMA: u32 = 1 << 1;
/// All bits above.
pub const LOAD_ALL: u32 = STEADFAST_LOAD_RECOVER | STEADFAST_LOAD_REQUIRE_SCHEMA;

/// How long a save waits for other processes when it is not told: 10 s.
pub const DEFAULT_TIMEOUT_MS: i64 = 10_000;

/// What to save, and how.
#[derive(Clone, Copy)]
pub struct SaveRequest<'a> {
    pub data: &'a [u8],
    pub flags: u32,
    pub mode: u32,
    pub schema: u32,
    pub expected_generation: u64,
    /// Negative: for ever.
    pub timeout_ms: i64,
}

impl SaveRequest<'_> {
    /// Is one of these flags set?
    pub fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    /// Does it compare and swap?
    pub fn swaps(&self) -> bool {
        self.has(STEADFAST_SAVE_IF_GENERATION)
    }

    /// Is the previous generation to be kept?
    pub fn keeps_previous(&self) -> bool {
        self.has(STEADFAST_SAVE_KEEP_PREVIOUS)
    }

    /// Is nothing synced?
    pub fn skips_sync(&self) -> bool {
        self.has(STEADFAST_SAVE_NO_SYNC)
    }

    /// Is NAME.prev too long a name? KEEP_PREVIOUS then fails before anything is written.
    pub fn check_name(&self, name: &CStr) -> Result<(), Outcome> {
        if self.keeps_previous() { names::previous(name).at(STEADFAST_STEP_ARGUMENTS).map(drop) } else { Ok(()) }
    }
}

/// What to load, and how.
#[derive(Clone, Copy)]
pub struct LoadRequest {
    pub flags: u32,
    pub schema: u32,
    /// The longest payload; 0: the default.
    pub max_len: u64,
}

impl LoadRequest {
    /// Is this flag set?
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}
