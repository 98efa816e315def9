//! Numbers of the contract that the judge speaks in. They stand here by value, so that no layer needs more of the library
//! than its C functions; a test compares those that the library exports.
#![allow(dead_code)]

pub const STRICT: u32 = 1 << 0;
pub const KEEP_PREVIOUS: u32 = 1 << 1;
pub const IF_GENERATION: u32 = 1 << 2;
pub const ALTERNATE: u32 = 1 << 5;
pub const NO_SYNC: u32 = 1 << 6;
pub const SYNCFS: u32 = 1 << 7;
pub const PLAIN: u32 = 1 << 8;
/// As RECYCLE did it, a flag of the library until November 2026: only the saver of this test takes it.
pub const RECYCLE: u32 = 1 << 30;
/// With ALTERNATE: write and sync are two calls, as in a batch. The library has no such flag, the saver of this test has.
pub const GROUPED: u32 = 1 << 29;
/// The same, beside a kind of save that has the name.
pub const PLAIN_FILE: u32 = PLAIN;
pub const RECOVER: u32 = 1 << 0;
pub const LOAD_PLAIN: u32 = 1 << 2;

/// What a report says of the disk.
pub const OLD: i32 = 0;
pub const NEW: i32 = 1;
pub const EITHER: i32 = 2;
pub const UNKNOWN: i32 = 3;

pub const NOT_DURABLE: i32 = 16;
pub const RECOVERED: i32 = 17;
pub const UNVERIFIED: i32 = 18;
pub const CHANGED: i32 = 19;
pub const E_DIGEST: i32 = -10003;
pub const E_FORMAT: i32 = -10004;
pub const E_LOST: i32 = -10007;
pub const E_CONFLICT: i32 = -10009;
pub const E_NOT_SAVED_DURABLY: i32 = -10012;
pub const E_SAVED_NOT_DURABLE: i32 = -10013;
pub const E_INDETERMINATE: i32 = -10014;
pub const E_BUSY: i32 = -10021;

/// The mode bit of a state that is not known to be on the disk. Its header says ` unsynced=1` as well.
pub const MARK: u32 = 0o1000;
