//! Reasons in words, for the report's message. One byte each, so that an outcome stays small.
#![forbid(unsafe_code)]

use core::ffi::CStr;

/// A reason, by its place in the list below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Detail(pub(super) u8);

macro_rules! details {
    ($($name:ident $text:literal;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Index {
            $($name),*
        }
        #[allow(missing_docs)]
        impl Detail {
            $(pub const $name: Detail = Detail(Index::$name as u8);)*
        }
        /// In the same order, NUL-terminated.
        const TEXTS: &str = concat!($($text, "\0"),*);
        static STARTS: [u16; [$(stringify!($name)),*].len()] = super::codes::starts(TEXTS);
    };
}

details! {
    NONE "";
    TAKEN_OVER "taken over from a stale lock";
    NETWORK "taken, but other machines may not be held off: a network file system";
    ABSENT "no lock file";
    ALIVE "held: the process is alive";
    BUSY "held: its flock is held, by the owner, a child of its, or a cleaner";
    NO_PERMISSION "undecided: no permission to read the lock file";
    EMPTY "undecided: empty; its owner may be about to write it";
    GRACE "undecided: empty, and its grace is not over";
    MALFORMED "undecided: the content is not a PID";
    OTHER_MACHINE "undecided: another machine's, or of before the last boot";
    EMPTIED "stale: our own record, emptied by a power cut";
    GRACE_OVER "stale: empty for longer than its grace";
    STARTED_LATER "stale: the process of its PID started after it was written";
    OTHER_BOOT "stale: taken before the last boot";
    OTHER_NAMESPACE "stale: of another PID namespace, and its flock is free";
    REUSED "stale: the PID was reused by another process";
    GONE "stale: no process has this PID";
    ZOMBIE "stale: the process has exited and waits to be reaped";
    THREAD "stale: the number is only a thread's";
    CLEANING_NEEDS_FLOCK "a stale lock is cleaned under its flock, which is not to be had here";
    HOLDING_NEEDS_FLOCK "a lock is held by flock, which is not to be had here";
    SWAP_NEEDS_FLOCK "compare-and-swap needs flock, which is not to be had here";
    LOST_TO_ANOTHER "the lock file was replaced; what is there now was not touched";
    TAKEN_AWAY "the lock file was taken away";
    MOUNT_POINT "a mount point cannot be replaced: mount its directory instead";
    NO_DIR_FSYNC_STRICT "this platform cannot sync a directory";
    NO_DIR_FSYNC "saved, but this platform cannot sync a directory";
    NO_SYNC "saved without a sync, as asked";
    LAST_GENERATION "the generation has reached its last number";
    SAVED_MEANWHILE "another state was saved there meanwhile";
    STRUCT_TOO_SMALL "a struct's size member is too small";
    STRUCT_TOO_LARGE "a struct's size member is not a size";
    STRUCT_UNKNOWN "a struct sets what this version does not know";
    UNKNOWN_FLAG "unknown flag";
    CONTRADICTION "STRICT and NO_SYNC contradict each other";
    BAD_MEMBER "a reserved member is set, or a mode is no permission bits";
    EXPECTED_ALONE "expected_generation without IF_GENERATION";
    NO_DATA "data is NULL, or len is impossible";
    NO_OUT "out is NULL, or its size is too small";
    NO_PATH "the path is NULL or empty";
    BAD_LOCK_OPTIONS "a mode that is no permission bits, or a negative grace";
}

impl Detail {
    /// In words; "" for NONE.
    pub fn text(self) -> &'static CStr {
        super::codes::text(TEXTS, &STARTS, usize::from(self.0))
    }
}
