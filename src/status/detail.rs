//! Reasons, for the report's message.
#![forbid(unsafe_code)]

use super::text_list::Texts;
use core::ffi::CStr;

macro_rules! details {
    ($($name:ident $text:literal;)*) => {
        /// A reason; its text says what it means.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Detail {
            $(#[allow(missing_docs)] $name),*
        }
        static TEXTS: Texts<{ [$(stringify!($name)),*].len() }> = Texts::of(concat!($($text, "\0"),*));
    };
}

details! {
    None "";
    TakenOver "taken over from a stale lock";
    Network "taken, but this is a network file system: other machines may not be kept out";
    Absent "there is no lock file";
    Alive "held: the process is alive";
    Busy "held: another process holds its flock (the owner, a child of the owner, or a cleaner)";
    NoPermission "undecided: no permission to read the lock file";
    Empty "undecided: the lock file is empty; its owner may be about to write it (empty_grace_ms says when it is stale)";
    Grace "undecided: the lock file is empty, and its grace period is not over";
    Malformed "undecided: the content is not a PID";
    OtherMachine "undecided: another machine wrote it, or this one before its last boot";
    Emptied "stale: a power cut emptied our own record";
    GraceOver "stale: the lock file has been empty for longer than its grace period";
    StartedLater "stale: the process with its PID started after it was written";
    OtherBoot "stale: it was taken before the last boot";
    NamespaceUnseen "undecided: its owner is of another PID namespace, and on this file system a flock that is held may look free";
    OtherNamespace "stale: its owner is of another PID namespace, and its flock is free";
    Reused "stale: another process has the PID now";
    Gone "stale: no process has this PID";
    Zombie "stale: the process has exited and waits to be reaped";
    Thread "stale: the number is only the id of a thread";
    CleaningNeedsFlock "a stale lock can only be removed under its flock, and there is no flock here";
    HoldingNeedsFlock "a lock is held by its flock, and there is no flock here";
    SwapNeedsFlock "compare-and-swap needs a flock that all savers see, and there is none here";
    LostToAnother "another process replaced the lock file; what is there now was not touched";
    TakenAway "another process removed the lock file";
    MountPoint "a mount point cannot be replaced: mount its directory instead";
    NoDirFsyncStrict "this platform cannot sync a directory";
    NoDirFsync "saved, but this platform cannot sync a directory";
    NoSync "saved without a sync, as requested";
    LastGeneration "the generation has reached its last number";
    SavedMeanwhile "another process saved a state there meanwhile";
    StructTooSmall "the size member of a struct is too small";
    StructTooLarge "the size member of a struct is not a size";
    StructUnknown "a struct sets a member that this version does not know";
    UnknownFlag "a flag that this version does not know";
    Contradiction "NO_SYNC contradicts STRICT and SYNCFS";
    AlternatesPlain "ALTERNATE contradicts PLAIN: the file has to say which of the two is newer";
    BadMember "a reserved member is set, or a mode has more than permission bits";
    ExpectedAlone "expected_generation needs the flag IF_GENERATION";
    NoData "data is NULL, or len is impossible";
    NoOut "out is NULL, or its size is too small";
    NoUpdate "update is NULL";
    NoPath "the path is NULL or empty";
    StateBusy "another process holds the flock of the state: a saver that compares and swaps, a child forked from one, or a reader";
    Leased "another process holds a lease on the file";
    KeptUnverified "saved; what was there was no whole state, and is kept as it was under the name of the previous generation";
    NotKept "saved, but what was there was no whole state, and was not kept as the previous generation";
    NotCopied "saved, but the previous generation was not kept: there are no hard links here, and a copy that is not synced may be lost";
    AttributeNeeded "with STRICT or IN_PLACE a plain file needs its attribute, which cannot be stored here";
    AttributesLost "saved, but not all extended attributes of the old file could be stored";
    PartlyWritten "a call failed while the file was written in place; PATH.prev has the old content";
    NeedsPrevious "writing in place needs a PATH.prev, and none can be made here";
    NoAttribute "saved, but without the attribute that verifies it: it cannot be stored here";
    EditKept "saved; an edit that a killed save displaced is still beside it, under a name that ends in .edit";
    Changing "another process keeps changing the file";
    PlainAlone "PLAIN stands in the options of both the load and the save, or in neither";
    DirectoryBusy "another process holds the flock of the directory: a saver that compares and swaps plain files, or a reader";
    FixedMode "saved, but this file system fixes the permissions of files";
    ForeignLink "the link belongs to another user, in a directory that others may write";
    OwnProcess "held: this very process holds it";
    FlockUser "held: another process holds a flock on the file, which names nobody (flock(1), for example)";
    BadCancel "cancel_fd is not an open descriptor";
    Canceled "cancel_fd ended the wait";
    FlockUnseen "this file system shows a flock to nobody but its holder: a lock here would keep nobody out";
    Adopting "a child is adopting the lock, or its release is under way";
    NotInherited "the lock was taken without STEADFAST_LOCK_INHERIT";
    NoBeneath "STEADFAST_CONTEXT_BENEATH needs openat2, which this system lacks";
    NoHandle "the handle is NULL";
    ParentsWriter "the writer belongs to the process that opened it";
    DescriptorGone "somebody closed a descriptor of the library's: the new state was given up";
    ReaderGone "somebody closed the reader's descriptor";
    PayloadUnknown "the sync failed, and nobody knows whether the file still holds what was written to its descriptor";
    Orphan "a killed writer left it";
    KeptTemporary "kept: its writer may live, or it is another user's";
    BadLockOptions "a mode has more than permission bits, or the grace period or cancel_fd is negative";
}

impl Detail {
    /// In words; "" for None.
    pub fn text(self) -> &'static CStr {
        TEXTS.get(self as usize).unwrap_or_default()
    }
}
