//! Names and messages of the numbers.
#![forbid(unsafe_code)]

use super::codes::*;
use super::errno;
use super::text_list::Texts;
use core::ffi::CStr;

macro_rules! statuses {
    ($($name:ident $text:literal;)*) => {
        /// The codes of ours.
        const STATUSES: &[i16] = &[$($name as i16),*];
        /// In the same order, the name and the message of each.
        static STATUS_TEXTS: Texts<{ STATUSES.len() * 2 }> = Texts::of(concat!($(stringify!($name), "\0", $text, "\0"),*));
    };
}

macro_rules! steps {
    ($($name:ident $text:literal;)*) => {
        const STEPS: &[i16] = &[$($name as i16),*];
        /// In the same order, what each step does.
        static STEP_TEXTS: Texts<{ STEPS.len() }> = Texts::of(concat!($($text, "\0"),*));
    };
}

statuses! {
    STEADFAST_OK "done";
    STEADFAST_LOCK_REMOVED "the lock was stale and has been removed";
    STEADFAST_LOCK_HELD "the owner of the lock is alive";
    STEADFAST_LOCK_UNDECIDED "it cannot be known whether the lock is stale; it was kept";
    STEADFAST_LOCK_IGNORED "not a regular file; it was not touched";
    STEADFAST_LOCK_CHANGED "another process replaced the lock meanwhile; nothing was done";
    STEADFAST_LOCK_STALE "the lock is stale";
    STEADFAST_NOT_DURABLE "saved, but not known to survive a power cut";
    STEADFAST_RECOVERED "loaded from the previous generation";
    STEADFAST_UNVERIFIED "there is nothing to verify the content by";
    STEADFAST_CHANGED "somebody has changed the file since it was saved";
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
    STEADFAST_E_INDETERMINATE "it cannot be determined whether the state was replaced";
    STEADFAST_E_LOCKED "the lock is held";
    STEADFAST_E_LOCK_LOST "the lock file was taken away or replaced";
    STEADFAST_E_WRONG_PROCESS "it belongs to another process";
    STEADFAST_E_HOOK "a hook returned an invalid value";
    STEADFAST_E_UNSUPPORTED "not supported by this platform or file system";
    STEADFAST_E_UNVERIFIED "the content cannot be verified";
    STEADFAST_E_BUSY "other processes kept the file busy for too long";
    STEADFAST_E_INTERNAL "internal error: a defect of steadfast; please report it";
}

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
    STEADFAST_STEP_UNLINK "removing the file";
    STEADFAST_STEP_CREATE_LOCK "creating the lock record";
    STEADFAST_STEP_LINK "linking the lock file";
    STEADFAST_STEP_WAIT "waiting";
    STEADFAST_STEP_ARGUMENTS "checking the arguments";
}

fn index_of(keys: &[i16], key: i32) -> Option<usize> {
    keys.iter().position(|&each| i32::from(each) == key)
}

/// Of the two texts of a status, its name (0) or its message (1).
fn text(status: i32, which: usize) -> Option<&'static CStr> {
    if (-4095..0).contains(&status) {
        let index = index_of(errno::ERRNOS, status.wrapping_neg())?;
        return errno::TEXTS.get(index.saturating_mul(2).saturating_add(which));
    }
    STATUS_TEXTS.get(index_of(STATUSES, status)?.saturating_mul(2).saturating_add(which))
}

/// The name of a code, "STEADFAST_E_DIGEST" or "ENOSPC".
pub fn name(status: i32) -> &'static CStr {
    text(status, 0).unwrap_or(c"UNKNOWN")
}

/// What a code means.
pub fn message(status: i32) -> &'static CStr {
    text(status, 1).unwrap_or(c"unknown code")
}

/// What a step does.
pub(super) fn step(step: i32) -> Option<&'static CStr> {
    STEP_TEXTS.get(index_of(STEPS, step)?)
}
