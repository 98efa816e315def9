//! What is known about a lock file.

use super::error::pid;
use crate::status::*;

/// The verdict about a lock file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// There is no lock file.
    Absent,
    /// It was stale, and this call removed it. Exactly one caller gets this answer.
    Removed,
    /// Its owner is alive, or another process holds the file's flock.
    Held,
    /// It cannot be known: it is empty, malformed, another machine's, or may not be read. It was kept.
    Undecided,
    /// A symbolic link, or not a regular file. It was not followed and not touched.
    Ignored,
    /// Another process replaced it during the call. Nothing was done.
    Changed,
    /// [`inspect`](crate::inspect) only: [`clean_stale`](crate::clean_stale) would remove it.
    Stale,
}

/// A lock file that was judged.
#[derive(Clone, Debug)]
pub struct Examined {
    outcome: Outcome,
}

impl Examined {
    pub(super) fn new(outcome: Outcome) -> Examined {
        Examined { outcome }
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        match self.outcome.status {
            STEADFAST_LOCK_ABSENT => Verdict::Absent,
            STEADFAST_LOCK_REMOVED => Verdict::Removed,
            STEADFAST_LOCK_HELD => Verdict::Held,
            STEADFAST_LOCK_IGNORED => Verdict::Ignored,
            STEADFAST_LOCK_CHANGED => Verdict::Changed,
            STEADFAST_LOCK_STALE => Verdict::Stale,
            _ => Verdict::Undecided,
        }
    }

    /// The process that the lock names.
    pub fn pid(&self) -> Option<u32> {
        pid(&self.outcome)
    }

    /// Why, in a few words.
    pub fn reason(&self) -> &'static str {
        self.outcome.detail.text().to_str().unwrap_or_default()
    }
}
