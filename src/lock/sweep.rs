//! Going through a directory: what a saver or a taker would remove if it needed the name, whether or not the name is ever used
//! again. The proofs are theirs.

use super::examine::examine;
use super::format::{MARK, MOST};
use super::identity::Identity;
use super::options::Settings;
use crate::file::entry::Entry;
use crate::file::names::{self, Parsed, Shape};
use crate::file::temp::{SEQUENCE, Temp, look_at_orphan};
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// Also remove stale locks. A file counts as a lock if it has the library's mark, or if its name is "lock", "*.lock", "*.lck" or
/// "*.pid". It is stale if steadfast_lock_clean_stale would remove it.
pub const STEADFAST_SWEEP_LOCKS: u32 = 1 << 0;
/// Change nothing. The status of a file that would be removed is STEADFAST_LOCK_STALE.
pub const STEADFAST_SWEEP_DRY_RUN: u32 = 1 << 1;
/// All bits above.
pub const SWEEP_ALL: u32 = STEADFAST_SWEEP_LOCKS | STEADFAST_SWEEP_DRY_RUN;

/// Names looked at: a directory that others fill for ever has an end.
const NAMES: u32 = 1 << 24;

/// What goes through a directory.
pub struct Sweep<'h, 's> {
    pub dir: &'s Fd<'h>,
    pub identity: &'s Identity,
    pub flags: u32,
}

impl Sweep<'_, '_> {
    /// Tells each name that may be removed, and what it is; `tell` ends it by an answer other than 0.
    pub fn run(&self, mut tell: impl FnMut(&CStr, &Outcome) -> i32) -> Result<Outcome, Outcome> {
        let mut listing = Listing::empty();
        for _ in 0..NAMES {
            let (name, regular) = match listing.next(self.dir.hooks(), self.dir.raw()) {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(Outcome::new(STEADFAST_OK)),
                Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_READ_FILE)),
            };
            if !regular {
                continue;
            }
            let outcome = self.look(Entry::new(self.dir, name)).unwrap_or_else(|failed| failed);
            let answer = if outcome.status == STEADFAST_LOCK_ABSENT { 0 } else { tell(name, &outcome) };
            if answer != 0 {
                return Ok(Outcome::new(answer.min(0)));
            }
        }
        Err(Outcome::because(STEADFAST_E_BUSY, Detail::Changing))
    }

    /// What it is; ABSENT also if it is neither a temporary file nor a lock.
    fn look(&self, entry: Entry<'_, '_>) -> Result<Outcome, Outcome> {
        let remove = self.flags & STEADFAST_SWEEP_DRY_RUN == 0;
        // Larger numbers are for file systems on which orphans are not removed, and other programs put a PID there.
        if let Some(Parsed { target, k, second }) = names::parse(entry.name()).filter(|parsed| parsed.k < SEQUENCE) {
            let target = entry.sibling(target.c_str());
            let found = match second {
                false => look_at_orphan(entry, target, (k, Shape::Named), remove),
                true => look_at_second(entry, target, k, remove),
            };
            let status = found.at(STEADFAST_STEP_UNLINK)?;
            let detail = match status {
                STEADFAST_LOCK_REMOVED | STEADFAST_LOCK_STALE => Detail::Orphan,
                STEADFAST_LOCK_HELD => Detail::Busy,
                STEADFAST_LOCK_UNDECIDED => Detail::KeptTemporary,
                _ => Detail::None,
            };
            return Ok(Outcome::because(status, detail));
        }
        if self.flags & STEADFAST_SWEEP_LOCKS != 0 && is_lock(entry) {
            return examine(entry, self.identity, &Settings::default(), remove);
        }
        Ok(Outcome::new(STEADFAST_LOCK_ABSENT))
    }
}

/// A name that belongs to the owner of temporary name number `k`, and that a writer who was killed after its rename leaves. Where
/// there is no such owner, that name is taken to remove it. Where there is one, it goes with that.
fn look_at_second(second: Entry<'_, '_>, target: Entry<'_, '_>, k: u32, remove: bool) -> Result<i32, Errno> {
    let name = names::temporary(target.name(), k, Shape::Named)?;
    if target.sibling(name.c_str()).stat_if_there()?.is_some() {
        return Ok(STEADFAST_LOCK_ABSENT);
    }
    if !remove {
        return Ok(STEADFAST_LOCK_STALE);
    }
    let owner = Temp::create_for_second(target, k)?;
    if owner.number != k {
        return Ok(STEADFAST_LOCK_HELD);
    }
    second.unlink().map(|()| STEADFAST_LOCK_REMOVED)
}

/// Is it meant to be a lock? A number in a file is not enough.
fn is_lock(entry: Entry<'_, '_>) -> bool {
    let name = entry.name().to_bytes();
    if name == b"lock" || [&b".lock"[..], b".lck", b".pid"].iter().any(|end| name.ends_with(end)) {
        return true;
    }
    entry.stat().is_ok_and(|stat| is_regular(stat.mode) && stat.mode & MARK != 0 && stat.size <= MOST as u64)
}
