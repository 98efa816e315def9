//! The two files of an alternating state, PATH and PATH.prev: which of them is the state.
//!
//! The newer one is, as long as it is whole. A saver overwrites the older one, under the flock of PATH's file, so that whatever a
//! crash cuts off, the newer one is there still.
#![forbid(unsafe_code)]

use super::existing::{Existing, if_regular};
use super::format::Slot;
use super::options::Kind;
use crate::file::deadline::Retry;
use crate::file::entry::{Entry, same};
use crate::file::names;
use crate::hooks::*;
use crate::mem::format::hash;
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_READ_CURRENT;

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Path,
    Previous,
}

/// The two files, for a saver that has the flock of PATH's.
pub struct Pair<'h> {
    /// What has the name PATH.prev, if it is a regular file.
    pub previous: Option<Existing<'h>>,
    /// Which of them is the state: it is verified.
    pub newest: Side,
    /// The higher number of the two; that of the other one is what its header says.
    pub highest: Option<u64>,
    /// May the other one have had a higher number, which nothing tells any more?
    pub is_unsure: bool,
    /// What the newest one says.
    pub slot: Slot,
}

/// Finds out which is newer; None where the state does not alternate, and where neither is whole.
pub fn find<'h>(target: Entry<'h, '_>, current: &mut Existing<'h>, retry: &mut Retry) -> Result<Option<Pair<'h>>, Outcome> {
    let previous = match names::previous(target.name()) {
        Ok(name) => if_regular(Existing::open(target.sibling(name.c_str()), retry, STEP))?,
        Err(_) => None,
    };
    let mut pair = Pair { previous, newest: Side::Path, highest: None, is_unsure: false, slot: Slot::default() };
    let at_path = current.slot(STEP)?;
    let at_previous = pair.previous.as_ref().map_or(Ok(None), |previous| previous.slot(STEP))?;
    // What is damaged beyond recognition may have been one of the two.
    if at_path.is_none() && !current.verify(Kind::Record, STEP)?.is_damaged() {
        return Ok(None);
    }
    let number = |slot: Option<(Slot, Option<u64>)>| slot.and_then(|(_, number)| number);
    let may_be_newer = match (&pair.previous, at_previous) {
        (Some(previous), Some((slot, _))) => may_be_newer(slot.pair, &current.stat, &previous.stat),
        _ => false,
    };
    let previous_first = number(at_previous) > number(at_path) && may_be_newer;
    for side in if previous_first { [Side::Previous, Side::Path] } else { [Side::Path, Side::Previous] } {
        let (file, slot) = match side {
            Side::Path => (Some(&mut *current), at_path),
            Side::Previous => (pair.previous.as_mut(), at_previous),
        };
        let (Some(file), Some((slot, _))) = (file, slot) else { continue };
        let number = file.verify(Kind::Record, STEP)?.generation;
        if number.is_some() {
            (pair.newest, pair.slot, pair.highest) = (side, slot, number);
            pair.look_at_other(current)?;
            return Ok(Some(pair));
        }
    }
    Ok(None)
}

/// How often a reader looks again while savers may be at work.
pub const LOOKS: u32 = 30;

/// The generation of an alternating state, for a reader without a flock; None where it does not alternate.
pub fn generation<'h>(entry: Entry<'h, '_>, current: &mut Existing<'h>, retry: &mut Retry) -> Result<Option<u64>, Outcome> {
    for _ in 0..LOOKS {
        let alternates = current.slot(STEP)?.is_some();
        if let Some(mut pair) = find(entry, current, retry)? {
            let newest = pair.newest_of(current);
            return newest.map_or(Ok(None), |newest| newest.verify(Kind::Record, STEP).map(|content| content.generation));
        }
        if !alternates || !retry.sleep(entry.hooks()).at(STEP)? {
            break;
        }
        match Existing::open(entry, retry, STEP)? {
            Some(again) => *current = again,
            None => break,
        }
    }
    Ok(None)
}

impl<'h> Pair<'h> {
    fn look_at_other(&mut self, current: &mut Existing<'h>) -> Result<(), Outcome> {
        let Some(other) = self.other_than_newest(current) else { return Ok(()) };
        let (number, _) = other.look(Kind::Record, STEP)?;
        let unsure = number.is_none() && other.verify(Kind::Record, STEP)?.is_damaged();
        (self.highest, self.is_unsure) = (self.highest.max(number), unsure);
        Ok(())
    }

    /// The one that is not the state.
    pub fn other_than_newest<'a>(&'a mut self, current: &'a mut Existing<'h>) -> Option<&'a mut Existing<'h>> {
        match self.newest {
            Side::Path => self.previous.as_mut(),
            Side::Previous => Some(current),
        }
    }

    /// The file at PATH.prev, where that is the state.
    pub fn newest_previous(&mut self) -> Option<&mut Existing<'h>> {
        self.previous.as_mut().filter(|_| self.newest == Side::Previous)
    }

    /// Is PATH.prev the state, and as far as is known on the disk? Then it stays, whatever becomes of PATH.
    pub fn stays_at_previous(&self) -> bool {
        self.newest == Side::Previous && self.previous.as_ref().is_some_and(|previous| !previous.is_unsynced())
    }

    /// The one that is the state.
    pub fn newest_of<'a>(&'a mut self, current: &'a mut Existing<'h>) -> Option<&'a mut Existing<'h>> {
        match self.newest {
            Side::Path => Some(current),
            Side::Previous => self.previous.as_mut(),
        }
    }

    /// A newest state that was written by one call and is to be synced by another may not be on the disk: a saver that touches
    /// the other file syncs it first.
    pub fn settle(&mut self, current: &mut Existing<'h>) {
        if self.slot.grouped
            && let Some(newest) = self.newest_of(current)
            && newest.hooks().fdatasync(newest.fd()).is_err()
        {
            newest.mark_unsynced();
        }
    }
}

/// A state that alternates by now may be the one at PATH.prev: the save has to look again, under the flock that this takes.
pub fn begin_again_if_slot(current: Option<&Existing<'_>>) -> Result<(), Outcome> {
    match current.map_or(Ok(None), |current| current.slot(STEADFAST_STEP_KEEP_PREVIOUS))? {
        Some(_) => Err(Outcome::failed(Errno::of(ESTALE), STEADFAST_STEP_KEEP_PREVIOUS)),
        None => Ok(()),
    }
}

/// The same, unless it is the file that was looked at.
pub fn begin_again_if_replaced(looked_at: &steadfast_stat, current: Option<&Existing<'_>>) -> Result<(), Outcome> {
    if current.is_some_and(|current| same(&current.stat, looked_at)) { Ok(()) } else { begin_again_if_slot(current) }
}

/// Keeps out whoever would let two files take turns, until `current` goes: by a flock of what is at the target. It is shared, so that
/// those that keep a state, or remove it, do not wait for each other. Without it a slot at PATH.prev, of which the call knows nothing,
/// would be taken away.
pub fn share<'h>(target: Entry<'h, '_>, current: &mut Option<Existing<'h>>, retry: &mut Retry) -> Result<(), Outcome> {
    let Some(there) = current.take_if(|there| !there.is_held()) else { return Ok(()) };
    let looked_at = there.stat;
    *current = there.share(target, retry)?;
    begin_again_if_replaced(&looked_at, current.as_ref())
}

/// What stands for these two files in the header of the one that was written in place when both names were on the disk: 32 bits for
/// PATH's, then 32 for that of PATH.prev. A file that was not written in place has 0.
pub fn of(path: &steadfast_stat, previous: &steadfast_stat) -> u64 {
    u64::from(identity(path)) << 32 | u64::from(identity(previous))
}

/// The same for a new file at PATH.prev whose name is yet to be synced.
pub fn before_sync(path: &steadfast_stat, previous: &steadfast_stat) -> u64 {
    of(path, previous) ^ u64::from(u32::MAX)
}

/// Can these two be told from others that get their numbers, when they are gone? Not where the file system does not say when a file
/// was made.
pub fn are_known(path: &steadfast_stat, previous: &steadfast_stat) -> bool {
    path.btime_ns != 0 && previous.btime_ns != 0
}

/// May what is at PATH.prev be newer than PATH? Only if it was written there, beside this PATH. Otherwise somebody has given a name to
/// another file since, and PATH is the newer one whatever the numbers say: a saver that has not seen that the state alternates may be
/// late. Copies of both are other files, of which the numbers tell.
pub fn may_be_newer(pair: u64, path: &steadfast_stat, previous: &steadfast_stat) -> bool {
    let (beside, own) = ((pair >> 32) as u32, pair as u32);
    let (path, previous) = (identity(path), identity(previous));
    let is_own = own == previous || own == !previous;
    pair != 0 && beside != previous && (beside == path || !is_own)
}

/// Never 0.
fn identity(stat: &steadfast_stat) -> u32 {
    let mut bytes = [[0u8; 8]; 3];
    for (slot, number) in bytes.iter_mut().zip([stat.dev, stat.ino, stat.btime_ns.cast_unsigned()]) {
        *slot = number.to_le_bytes();
    }
    let hash = hash(bytes.as_flattened());
    ((hash >> 32) as u32 ^ hash as u32).max(1)
}
