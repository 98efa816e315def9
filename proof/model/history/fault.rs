//! What the judge must catch: each a way in which the library once saved, or others do.

/// What the saver does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    None,
    /// RECYCLE as it was: writes over PATH.prev, fdatasync, exchange of the names, sync of the directory.
    Recycle,
    /// NO_SYNC as it was: nothing marks the state, so that the next KEEP_PREVIOUS save takes it for a durable one.
    UnmarkedNoSync,
    /// NO_SYNC as it was: EITHER, whatever is kept.
    NoSyncSaysEither,
    /// A KEEP_PREVIOUS save whose rename fails leaves what it has put into the place of PATH.prev.
    FailureKeepsPrevious,
    /// The directory is not synced.
    NoDirectorySync,
    /// The previous generation is made by renaming the state.
    PreviousByRename,
    /// fsync failed? Call it again.
    RetrySync,
    /// A damaged or missing state: the generation begins at 1.
    GenerationAgain,
    /// What cannot be opened is not there.
    ErrorIsAbsence,
    /// Compare, then rename: nobody is held off.
    SwapWithoutLock,
    /// Of an alternating state: write and fdatasync are two calls.
    WriteThenSync,
    /// The newer one of the two is overwritten.
    WritesOverNewer,
    /// The one with the higher number is taken for the newer one, whether it is whole or not.
    NewestUnverified,
    /// The directory is not synced before one of the two is written in place.
    PairUnsynced,
    /// The sync of the write in place failed? Call fdatasync.
    SyncsAgain,
    /// The flock is that of the file that is written, not that of PATH.
    LocksSlot,
    /// A newer one that was written by one call and is to be synced by another is taken for one that is on the disk.
    GroupedUnsynced,
}

/// Each with what the judge says of it, and the beginning (plan.rs) that shows it soon.
pub const FAULTS: [(Fault, &str, usize); 10] = [
    // Not of PATH.prev, which it said may be torn.
    (Fault::Recycle, "a load gives Damaged", 2),
    (Fault::UnmarkedNoSync, "a durable PATH.prev gave way to a state that is none", 2),
    (Fault::NoSyncSaysEither, "NO_SYNC without KEEP_PREVIOUS does not say UNKNOWN", 2),
    (Fault::FailureKeepsPrevious, "a save that failed", 2),
    (Fault::NoDirectorySync, "older than what is acknowledged", 2),
    (Fault::PreviousByRename, "a load gives Lost", 2),
    (Fault::RetrySync, "a load gives Damaged", 2),
    (Fault::GenerationAgain, "generation 1 after", 4),
    (Fault::ErrorIsAbsence, "generation 1 after", 1),
    (Fault::SwapWithoutLock, "have both swapped", 1),
];

/// The same of alternating states.
pub const ALTERNATING_FAULTS: [(Fault, &str, usize); 7] = [
    (Fault::WriteThenSync, "older than what is acknowledged", 2),
    (Fault::WritesOverNewer, "older than what is acknowledged", 1),
    (Fault::NewestUnverified, "a load", 4),
    (Fault::PairUnsynced, "a load", 0),
    (Fault::SyncsAgain, "older than what is acknowledged", 2),
    (Fault::LocksSlot, "a load", 2),
    (Fault::GroupedUnsynced, "a load", 5),
];
