//! The numbers: statuses, steps, what is on disk. Their texts are in `texts`.
#![forbid(unsafe_code)]

use crate::sys::errno;

// The floors below know two of them by another name.
const _: () = assert!(STEADFAST_E_HOOK == errno::HOOK && STEADFAST_E_INTERNAL == errno::INTERNAL);

/// Done; for a save: durable.
pub const STEADFAST_OK: i32 = 0;
/// steadfast_state_save: saved, but a sync failed or was not possible. The report says which and why.
pub const STEADFAST_NOT_DURABLE: i32 = 16;
/// steadfast_state_load: loaded, but from the previous generation; the current one is damaged or missing.
pub const STEADFAST_RECOVERED: i32 = 17;

/// Verdict: there is no lock file.
pub const STEADFAST_LOCK_ABSENT: i32 = 0;
/// Verdict: it was stale and this call removed it.
pub const STEADFAST_LOCK_REMOVED: i32 = 1;
/// Verdict: its owner is alive.
pub const STEADFAST_LOCK_HELD: i32 = 2;
/// Verdict: it cannot be known (empty, malformed, another host, no permission); kept.
pub const STEADFAST_LOCK_UNDECIDED: i32 = 3;
/// Verdict: a symbolic link or not a regular file; not followed, not touched.
pub const STEADFAST_LOCK_IGNORED: i32 = 4;
/// Verdict: someone else replaced it meanwhile; nothing was done.
pub const STEADFAST_LOCK_CHANGED: i32 = 5;
/// Verdict of steadfast_lock_inspect: steadfast_lock_clean_stale would remove it.
pub const STEADFAST_LOCK_STALE: i32 = 6;

/// The state file is empty.
pub const STEADFAST_E_EMPTY: i32 = -10000;
/// The state file is shorter than it says it is.
pub const STEADFAST_E_TRUNCATED: i32 = -10001;
/// The state file is longer than it says it is.
pub const STEADFAST_E_TRAILING: i32 = -10002;
/// The SHA-256 does not match.
pub const STEADFAST_E_DIGEST: i32 = -10003;
/// Not a steadfast state file.
pub const STEADFAST_E_FORMAT: i32 = -10004;
/// Intact, but written in a later format.
pub const STEADFAST_E_NEWER: i32 = -10005;
/// Intact, but of another schema than was asked for.
pub const STEADFAST_E_SCHEMA: i32 = -10006;
/// No current file, but a previous generation is there: load it with STEADFAST_LOAD_RECOVER.
pub const STEADFAST_E_LOST: i32 = -10007;
/// Larger than the caller allows.
pub const STEADFAST_E_TOO_LARGE: i32 = -10008;
/// IF_GENERATION: the state there has another generation.
pub const STEADFAST_E_CONFLICT: i32 = -10009;
/// The path is a symbolic link.
pub const STEADFAST_E_SYMLINK: i32 = -10010;
/// The path is a directory, a device, a FIFO or a socket.
pub const STEADFAST_E_NOT_REGULAR: i32 = -10011;
/// STRICT: it could not be made durable; nothing was replaced.
pub const STEADFAST_E_NOT_SAVED_DURABLY: i32 = -10012;
/// STRICT: it was replaced, but the directory could not be synced.
pub const STEADFAST_E_SAVED_NOT_DURABLE: i32 = -10013;
/// Whether it was done cannot be found out.
pub const STEADFAST_E_INDETERMINATE: i32 = -10014;
/// The lock is held.
pub const STEADFAST_E_LOCKED: i32 = -10015;
/// The lock file was no longer ours at release.
pub const STEADFAST_E_LOCK_LOST: i32 = -10016;
/// A forked child released the lock of its parent: only its descriptors were closed.
pub const STEADFAST_E_WRONG_PROCESS: i32 = -10017;
/// A hook returned an invalid value.
pub const STEADFAST_E_HOOK: i32 = -10018;
/// The platform or the file system lacks what this needs.
pub const STEADFAST_E_UNSUPPORTED: i32 = -10019;
/// Other processes kept a save, or a lease kept a load, waiting for longer than its timeout. The old state stands; the
/// message says what was waited for.
pub const STEADFAST_E_BUSY: i32 = -10021;
/// A case that cannot occur has occurred: a defect of this library. Nothing was done; please report it.
pub const STEADFAST_E_INTERNAL: i32 = -10022;

/// No call failed.
pub const STEADFAST_STEP_NONE: i32 = 0;
/// Saving, 1: opening the directory.
pub const STEADFAST_STEP_OPEN_DIRECTORY: i32 = 1;
/// Saving, 2: looking at the target.
pub const STEADFAST_STEP_INSPECT_TARGET: i32 = 2;
/// Saving, 3: reading what is there.
pub const STEADFAST_STEP_READ_CURRENT: i32 = 3;
/// Saving, 4: creating and locking the temporary file.
pub const STEADFAST_STEP_CREATE_TEMP: i32 = 4;
/// Saving, 5: writing.
pub const STEADFAST_STEP_WRITE: i32 = 5;
/// Saving, 6: mode and owner.
pub const STEADFAST_STEP_SET_MODE: i32 = 6;
/// Saving, 7: syncing the file.
pub const STEADFAST_STEP_SYNC_FILE: i32 = 7;
/// Saving, 8: keeping the previous generation.
pub const STEADFAST_STEP_KEEP_PREVIOUS: i32 = 8;
/// Saving, 9: the rename.
pub const STEADFAST_STEP_RENAME: i32 = 9;
/// Saving, 10: syncing the directory.
pub const STEADFAST_STEP_SYNC_DIRECTORY: i32 = 10;
/// Saving: making or syncing a parent directory.
pub const STEADFAST_STEP_MAKE_PARENT: i32 = 11;
/// Saving: reading a symbolic link.
pub const STEADFAST_STEP_READ_LINK: i32 = 12;
/// Opening the file.
pub const STEADFAST_STEP_OPEN_FILE: i32 = 13;
/// Reading the file.
pub const STEADFAST_STEP_READ_FILE: i32 = 14;
/// Getting memory.
pub const STEADFAST_STEP_ALLOCATE: i32 = 15;
/// Reading the clock.
pub const STEADFAST_STEP_CLOCK: i32 = 16;
/// Locks: finding out whether the owner lives.
pub const STEADFAST_STEP_CHECK_OWNER: i32 = 17;
/// Locks: flock of the lock file.
pub const STEADFAST_STEP_LOCK_FILE: i32 = 18;
/// Locks: comparing the name with the open file.
pub const STEADFAST_STEP_COMPARE: i32 = 19;
/// Locks: removing the name.
pub const STEADFAST_STEP_UNLINK: i32 = 20;
/// Locks: creating the record.
pub const STEADFAST_STEP_CREATE_LOCK: i32 = 21;
/// Locks: giving the record its name.
pub const STEADFAST_STEP_LINK: i32 = 22;
/// Locks: waiting.
pub const STEADFAST_STEP_WAIT: i32 = 23;
/// The arguments, before any call.
pub const STEADFAST_STEP_ARGUMENTS: i32 = 24;

/// A power cut now would leave what was there before.
pub const STEADFAST_ON_DISK_OLD: i32 = 0;
/// A power cut now would leave the new state.
pub const STEADFAST_ON_DISK_NEW: i32 = 1;
/// A power cut now would leave either, the old state perhaps as PATH.prev (STEADFAST_LOAD_RECOVER).
pub const STEADFAST_ON_DISK_EITHER: i32 = 2;
/// A power cut now may leave nothing whole: only a load can tell.
pub const STEADFAST_ON_DISK_UNKNOWN: i32 = 3;
