//! The numbers: codes, steps, what is on disk; and their texts.
#![forbid(unsafe_code)]

use super::errno;
use crate::hooks::c_str;
use core::ffi::CStr;

macro_rules! statuses {
    ($($name:ident $text:literal;)*) => {
        /// The codes of ours, and in the same order the name and the message of each, NUL-terminated: one text
        /// instead of an array of pointers, which the loader would have to relocate.
        const STATUSES: &[i16] = &[$($name as i16),*];
        const STATUS_TEXTS: &str = concat!($(stringify!($name), "\0", $text, "\0"),*);
        static STATUS_STARTS: [u16; STATUSES.len() * 2] = starts(STATUS_TEXTS);
    };
}

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
/// A hook returned what it cannot have meant.
pub const STEADFAST_E_HOOK: i32 = -10018;
/// The platform or the file system lacks what this needs.
pub const STEADFAST_E_UNSUPPORTED: i32 = -10019;

statuses! {
    STEADFAST_OK "done";
    STEADFAST_LOCK_REMOVED "the lock was stale and has been removed";
    STEADFAST_LOCK_HELD "the owner of the lock is alive";
    STEADFAST_LOCK_UNDECIDED "whether the lock is stale cannot be known; kept";
    STEADFAST_LOCK_IGNORED "not a regular file; not touched";
    STEADFAST_LOCK_CHANGED "someone else replaced the lock meanwhile; nothing done";
    STEADFAST_LOCK_STALE "the lock is stale";
    STEADFAST_NOT_DURABLE "saved, but not known to survive a power cut";
    STEADFAST_RECOVERED "loaded from the previous generation";
    STEADFAST_E_EMPTY "the state file is empty";
    STEADFAST_E_TRUNCATED "the state file is truncated";
    STEADFAST_E_TRAILING "the state file has bytes after its end";
    STEADFAST_E_DIGEST "the state file is damaged: its SHA-256 does not match";
    STEADFAST_E_FORMAT "not a steadfast state file";
    STEADFAST_E_NEWER "the state file is intact but of a later format";
    STEADFAST_E_SCHEMA "the state has another schema";
    STEADFAST_E_LOST "the state file is missing but a previous generation exists";
    STEADFAST_E_TOO_LARGE "the state is larger than allowed";
    STEADFAST_E_CONFLICT "the state there has another generation";
    STEADFAST_E_SYMLINK "the path is a symbolic link";
    STEADFAST_E_NOT_REGULAR "the path is not a regular file";
    STEADFAST_E_NOT_SAVED_DURABLY "could not be made durable; nothing was replaced";
    STEADFAST_E_SAVED_NOT_DURABLE "replaced, but not known to survive a power cut";
    STEADFAST_E_INDETERMINATE "whether it was replaced cannot be found out";
    STEADFAST_E_LOCKED "the lock is held";
    STEADFAST_E_LOCK_LOST "the lock file was taken away or replaced";
    STEADFAST_E_WRONG_PROCESS "the lock belongs to the parent process";
    STEADFAST_E_HOOK "a hook returned an impossible value";
    STEADFAST_E_UNSUPPORTED "not supported by this platform or file system";
}

macro_rules! steps {
    ($($name:ident $text:literal;)*) => {
        /// The steps, and in the same order what each does, in words.
        const STEPS: &[i16] = &[$($name as i16),*];
        const STEP_TEXTS: &str = concat!($($text, "\0"),*);
        static STEP_STARTS: [u16; STEPS.len()] = starts(STEP_TEXTS);
    };
}

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

steps! {
    STEADFAST_STEP_OPEN_DIRECTORY "opening the directory";
    STEADFAST_STEP_INSPECT_TARGET "looking at the target";
    STEADFAST_STEP_READ_CURRENT "reading the current state";
    STEADFAST_STEP_CREATE_TEMP "creating the temporary file";
    STEADFAST_STEP_WRITE "writing";
    STEADFAST_STEP_SET_MODE "setting mode and owner";
    STEADFAST_STEP_SYNC_FILE "syncing the file";
    STEADFAST_STEP_KEEP_PREVIOUS "keeping the previous generation";
    STEADFAST_STEP_RENAME "the rename";
    STEADFAST_STEP_SYNC_DIRECTORY "syncing the directory";
    STEADFAST_STEP_MAKE_PARENT "making a parent directory";
    STEADFAST_STEP_READ_LINK "reading the symbolic link";
    STEADFAST_STEP_OPEN_FILE "opening the file";
    STEADFAST_STEP_READ_FILE "reading the file";
    STEADFAST_STEP_ALLOCATE "getting memory";
    STEADFAST_STEP_CLOCK "reading the clock";
    STEADFAST_STEP_CHECK_OWNER "checking the owner";
    STEADFAST_STEP_LOCK_FILE "flock of the lock file";
    STEADFAST_STEP_COMPARE "comparing name and file";
    STEADFAST_STEP_UNLINK "removing the lock file";
    STEADFAST_STEP_CREATE_LOCK "creating the lock record";
    STEADFAST_STEP_LINK "linking the lock file";
    STEADFAST_STEP_WAIT "waiting";
    STEADFAST_STEP_ARGUMENTS "checking the arguments";
}

/// A power cut now would leave what was there before.
pub const STEADFAST_ON_DISK_OLD: i32 = 0;
/// A power cut now would leave the new state.
pub const STEADFAST_ON_DISK_NEW: i32 = 1;
/// A power cut now would leave either.
pub const STEADFAST_ON_DISK_EITHER: i32 = 2;

/// Where each of the `N` texts of a list begins.
pub(super) const fn starts<const N: usize>(list: &str) -> [u16; N] {
    let bytes = list.as_bytes();
    let (mut out, mut at, mut number, mut start) = ([0u16; N], 0, 0, 0);
    #[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
    while at < bytes.len() {
        if bytes[at] == 0 {
            out[number] = start as u16;
            number += 1;
            start = at + 1;
        }
        at += 1;
    }
    out
}

/// Text number `index` of a list of NUL-terminated ones.
pub(super) fn text(list: &'static str, starts: &[u16], index: usize) -> &'static CStr {
    let start = starts.get(index).map_or(usize::MAX, |&start| usize::from(start));
    c_str(list.as_bytes().get(start..).unwrap_or_default())
}

/// Text number `offset` of the `stride` texts that belong to `key`. All our numbers are short.
fn look_up(keys: &[i16], (texts, starts): (&'static str, &[u16]), key: i32, stride: usize, offset: usize) -> Option<&'static CStr> {
    let index = keys.iter().position(|&each| i32::from(each) == key)?;
    Some(text(texts, starts, index.saturating_mul(stride).saturating_add(offset)))
}

fn entry(status: i32, offset: usize) -> Option<&'static CStr> {
    if (-4095..0).contains(&status) {
        return look_up(errno::ERRNOS, (errno::TEXTS, &errno::STARTS), status.wrapping_neg(), 2, offset);
    }
    look_up(STATUSES, (STATUS_TEXTS, &STATUS_STARTS), status, 2, offset)
}

/// The name of a code, "STEADFAST_E_DIGEST" or "ENOSPC".
pub fn name(status: i32) -> &'static CStr {
    entry(status, 0).unwrap_or(c"UNKNOWN")
}

/// What a code means.
pub fn message(status: i32) -> &'static CStr {
    match entry(status, 1) {
        Some(text) if text.is_empty() => c"a system error",
        Some(text) => text,
        None => c"unknown code",
    }
}

/// What a step does, in words.
pub(super) fn step(step: i32) -> Option<&'static CStr> {
    look_up(STEPS, (STEP_TEXTS, &STEP_STARTS), step, 1, 0)
}
