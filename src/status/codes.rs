//! The numbers: statuses, steps, what is on disk. Their texts are in `texts`.
#![forbid(unsafe_code)]

use crate::sys::errno;

// The floors below know two of them by another name.
const _: () = assert!(STEADFAST_E_HOOK == errno::HOOK && STEADFAST_E_INTERNAL == errno::INTERNAL);

/// Done. For a save: done and durable.
pub const STEADFAST_OK: i32 = 0;
/// steadfast_state_save: saved, but a sync failed, is not possible here or was not wanted. The report says which and
/// why.
pub const STEADFAST_NOT_DURABLE: i32 = 16;
/// steadfast_state_load: loaded from PATH.prev, because PATH is missing or its load failed.
pub const STEADFAST_RECOVERED: i32 = 17;
/// STEADFAST_SAVE_PLAIN: saved and durable, but no attribute could be kept. STEADFAST_LOAD_PLAIN: loaded, but there is nothing
/// to verify the content by.
pub const STEADFAST_UNVERIFIED: i32 = 18;
/// STEADFAST_LOAD_PLAIN: loaded; the library saved the file, and somebody has changed it since, on purpose as far as can be
/// seen.
pub const STEADFAST_CHANGED: i32 = 19;

/// There is no lock file.
pub const STEADFAST_LOCK_ABSENT: i32 = 0;
/// The lock was stale, and this call removed it. Exactly one caller gets this answer.
pub const STEADFAST_LOCK_REMOVED: i32 = 1;
/// The owner is alive, or another process holds the file's flock.
pub const STEADFAST_LOCK_HELD: i32 = 2;
/// It cannot be known (empty, malformed, another machine's, no permission to read it). The file was kept.
pub const STEADFAST_LOCK_UNDECIDED: i32 = 3;
/// A symbolic link or not a regular file. It was not followed and not touched.
pub const STEADFAST_LOCK_IGNORED: i32 = 4;
/// Another process replaced the file during the call. Nothing was done.
pub const STEADFAST_LOCK_CHANGED: i32 = 5;
/// steadfast_lock_inspect only: steadfast_lock_clean_stale would remove it.
pub const STEADFAST_LOCK_STALE: i32 = 6;

/// Damage: the state file is empty.
pub const STEADFAST_E_EMPTY: i32 = -10000;
/// Damage: the state file is shorter than its header says.
pub const STEADFAST_E_TRUNCATED: i32 = -10001;
/// Damage: the state file is longer than its header says.
pub const STEADFAST_E_TRAILING: i32 = -10002;
/// Damage: the SHA-256 does not match.
pub const STEADFAST_E_DIGEST: i32 = -10003;
/// Not a state file.
pub const STEADFAST_E_FORMAT: i32 = -10004;
/// The state is intact, but in a later format.
pub const STEADFAST_E_NEWER: i32 = -10005;
/// The state is intact, but has another schema than STEADFAST_LOAD_REQUIRE_SCHEMA asks for.
pub const STEADFAST_E_SCHEMA: i32 = -10006;
/// There is no state, but a PATH.prev. Load it with STEADFAST_LOAD_RECOVER.
pub const STEADFAST_E_LOST: i32 = -10007;
/// The state is longer than the caller allows.
pub const STEADFAST_E_TOO_LARGE: i32 = -10008;
/// STEADFAST_SAVE_IF_GENERATION: the state that is there has another generation. The report has its number.
pub const STEADFAST_E_CONFLICT: i32 = -10009;
/// The path is a symbolic link.
pub const STEADFAST_E_SYMLINK: i32 = -10010;
/// The path is a directory, a device, a FIFO or a socket.
pub const STEADFAST_E_NOT_REGULAR: i32 = -10011;
/// STEADFAST_SAVE_STRICT: the state could not be made durable. Nothing was replaced.
pub const STEADFAST_E_NOT_SAVED_DURABLY: i32 = -10012;
/// STEADFAST_SAVE_STRICT: the state was replaced, but the sync of the directory failed.
pub const STEADFAST_E_SAVED_NOT_DURABLE: i32 = -10013;
/// The rename failed, and it is unknown whether it took effect. A load tells.
pub const STEADFAST_E_INDETERMINATE: i32 = -10014;
/// The lock is held, or it cannot be known whether it is.
pub const STEADFAST_E_LOCKED: i32 = -10015;
/// The lock file was removed or replaced by another process. What is there now was not touched.
pub const STEADFAST_E_LOCK_LOST: i32 = -10016;
/// The lock belongs to another process: to the parent of this one, or to a child that has adopted it. Or the writer belongs
/// to the parent.
pub const STEADFAST_E_WRONG_PROCESS: i32 = -10017;
/// A hook returned an invalid value.
pub const STEADFAST_E_HOOK: i32 = -10018;
/// The platform or the file system lacks what this needs.
pub const STEADFAST_E_UNSUPPORTED: i32 = -10019;
/// STEADFAST_LOAD_REQUIRE_VERIFIED: the content cannot be verified.
pub const STEADFAST_E_UNVERIFIED: i32 = -10020;
/// Another process kept the file busy for longer than the timeout: by its flock, by a lease, or by adopting a lock. The
/// old state stands. The message says what was waited for.
pub const STEADFAST_E_BUSY: i32 = -10021;
/// A case that cannot occur has occurred: a defect of this library. Please report it.
pub const STEADFAST_E_INTERNAL: i32 = -10022;

/// No call failed.
pub const STEADFAST_STEP_NONE: i32 = 0;
/// Save, step 1: opening the directory. Also for locks, and for a context's directory.
pub const STEADFAST_STEP_OPEN_DIRECTORY: i32 = 1;
/// Save, step 2: opening what is at PATH, without following a link.
pub const STEADFAST_STEP_INSPECT_TARGET: i32 = 2;
/// Save, step 3: reading what is there, and waiting for its flock.
pub const STEADFAST_STEP_READ_CURRENT: i32 = 3;
/// Save, step 4: creating and locking the temporary file.
pub const STEADFAST_STEP_CREATE_TEMP: i32 = 4;
/// Save, step 5: writing.
pub const STEADFAST_STEP_WRITE: i32 = 5;
/// Save, step 6: setting owner, ACL and mode.
pub const STEADFAST_STEP_SET_MODE: i32 = 6;
/// Save, step 7: syncing the file.
pub const STEADFAST_STEP_SYNC_FILE: i32 = 7;
/// Save, step 8: keeping the previous generation.
pub const STEADFAST_STEP_KEEP_PREVIOUS: i32 = 8;
/// Save, step 9: the rename.
pub const STEADFAST_STEP_RENAME: i32 = 9;
/// Save, step 10: syncing the directory.
pub const STEADFAST_STEP_SYNC_DIRECTORY: i32 = 10;
/// Save: making a parent directory, or syncing the directory that holds its name.
pub const STEADFAST_STEP_MAKE_PARENT: i32 = 11;
/// Save and load: reading a symbolic link.
pub const STEADFAST_STEP_READ_LINK: i32 = 12;
/// Load and locks: opening the file.
pub const STEADFAST_STEP_OPEN_FILE: i32 = 13;
/// Load and locks: reading the file.
pub const STEADFAST_STEP_READ_FILE: i32 = 14;
/// Allocating memory.
pub const STEADFAST_STEP_ALLOCATE: i32 = 15;
/// Reading the clock.
pub const STEADFAST_STEP_CLOCK: i32 = 16;
/// Locks: finding out whether the owner lives.
pub const STEADFAST_STEP_CHECK_OWNER: i32 = 17;
/// Locks: the flock of the lock file.
pub const STEADFAST_STEP_LOCK_FILE: i32 = 18;
/// Locks: comparing the name with the open file.
pub const STEADFAST_STEP_COMPARE: i32 = 19;
/// Locks: removing the name.
pub const STEADFAST_STEP_UNLINK: i32 = 20;
/// Locks: creating or writing the record.
pub const STEADFAST_STEP_CREATE_LOCK: i32 = 21;
/// Locks: giving the record its name.
pub const STEADFAST_STEP_LINK: i32 = 22;
/// Locks: waiting.
pub const STEADFAST_STEP_WAIT: i32 = 23;
/// The arguments, before any system call.
pub const STEADFAST_STEP_ARGUMENTS: i32 = 24;

/// What was there before.
pub const STEADFAST_ON_DISK_OLD: i32 = 0;
/// The new state.
pub const STEADFAST_ON_DISK_NEW: i32 = 1;
/// One of the two. The old state may then be PATH.prev: load with STEADFAST_LOAD_RECOVER.
pub const STEADFAST_ON_DISK_EITHER: i32 = 2;
/// Perhaps no whole state: only a load can tell.
pub const STEADFAST_ON_DISK_UNKNOWN: i32 = 3;
