//! Many states in one call: all are written before the first is synced, so that the disk has something to do, and
//! each directory is synced once.

use super::alternate::{self, Begun};
use super::group::{Group, MANY, Slot, TOGETHER};
use super::options::*;
use super::resolve::Session;
use super::saving::{self, Saving, Synced};
use super::sequence::{self, begins_again, replace};
use super::sync::sync_directory;
use crate::file::deadline::Retry;
use crate::file::entry::same;
use crate::file::path::{Name, Path};
use crate::hooks::*;
use crate::mem::List;
use crate::status::*;
use core::ffi::CStr;

/// The caller's states.
pub trait Entries {
    fn count(&self) -> usize;
    fn get(&self, number: usize) -> Result<(&CStr, &[u8]), Outcome>;
    fn set(&mut self, number: usize, outcome: &Outcome);
}

/// A directory to be synced.
struct Directory<'h> {
    fd: Fd<'h>,
    stat: steadfast_stat,
}

/// A state that is durable when its directory is.
struct Waiting {
    number: usize,
    directory: usize,
    outcome: Outcome,
    /// Why it has no attribute.
    unverified: Option<Errno>,
}

struct Batch<'h, 'e, E> {
    session: Session<'h>,
    entries: &'e mut E,
    request: &'e SaveRequest<'e>,
    group: Group<'h>,
    directories: List<Directory<'h>>,
    waiting: List<Waiting>,
    /// The first that was not done, or else the first with a reservation.
    worst: Outcome,
    worst_number: usize,
}

/// Why a state was not written.
enum NotWritten {
    /// The same state is under way already.
    UnderWay,
    /// It was saved by itself.
    Saved(Outcome),
    Failed(Outcome),
}

impl From<Outcome> for NotWritten {
    fn from(outcome: Outcome) -> NotWritten {
        NotWritten::Failed(outcome)
    }
}

/// Saves each of `entries` as [`save`](super::sequence::save) does, and sets its result. The answer is that of the worst,
/// with its number.
pub fn save_batch<E: Entries>(
    session: Session<'_>,
    entries: &mut E,
    request: &SaveRequest<'_>,
) -> Result<(Outcome, usize), Outcome> {
    const STEP: i32 = STEADFAST_STEP_ALLOCATE;
    let count = entries.count();
    let room = count.min(TOGETHER);
    let mut batch = Batch {
        session,
        entries,
        request,
        group: Group::new(room).at(STEP)?,
        directories: List::new(room).at(STEP)?,
        waiting: List::new(count).at(STEP)?,
        worst: Outcome::new(STEADFAST_OK).with_on_disk(STEADFAST_ON_DISK_NEW),
        worst_number: 0,
    };
    // A save that compares and swaps holds a flock that others wait for: never two at once, in any order.
    let together = if request.swaps() { 1 } else { TOGETHER };
    batch.session.settles = together == 1 || count == 1;
    let mut path = Path::empty();
    for number in 0..count {
        batch.session.unsynced_parent = None;
        let mut written = batch.write(&mut path, number);
        let again = match &written {
            Err(NotWritten::UnderWay) => true,
            // Too many descriptors, or what was there is gone: again when those that are under way are done, of which one may
            // be the same state.
            Err(NotWritten::Failed(outcome)) => {
                let busy = outcome.status == STEADFAST_E_BUSY;
                let again = busy || [EMFILE, ENFILE].contains(&outcome.os_error) || begins_again(outcome);
                again && !batch.group.slots.is_empty()
            }
            Err(NotWritten::Saved(_)) | Ok(_) => false,
        };
        if again {
            batch.replace()?;
            written = batch.write(&mut path, number);
        }
        let mut is_locked = false;
        match written {
            Ok(locked) => is_locked = locked,
            Err(NotWritten::Saved(outcome)) => batch.settle(number, outcome),
            Err(NotWritten::Failed(outcome)) => batch.settle_or_save(number, outcome, batch.session.unsynced_parent),
            Err(NotWritten::UnderWay) => batch.settle(number, Outcome::internal()),
        }
        if is_locked || batch.group.slots.len() >= together {
            batch.replace()?;
        }
    }
    batch.replace()?;
    batch.group.end(batch.session.start.hooks());
    batch.sync_directories();
    Ok((batch.worst, batch.worst_number))
}

impl<'h, E: Entries> Batch<'h, '_, E> {
    /// Steps 1 to 6. The answer: does it hold a flock that others wait for?
    fn write(&mut self, path: &mut Path, number: usize) -> Result<bool, NotWritten> {
        let (whole, data) = self.entries.get(number)?;
        let request = SaveRequest { data, ..*self.request };
        path.set(whole.to_bytes()).at(STEADFAST_STEP_ARGUMENTS)?;
        request.check_name(path.name())?;
        let hooks = self.session.start.hooks();
        let holds = self.group.slots.iter().any(|slot| slot.waits);
        let mut saving = begin(&mut self.session, path, &request, holds)?;
        let dir = hooks.fstat(saving.dir.raw()).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
        if self.group.slots.iter().any(|slot| same(&slot.dir, &dir) && slot.name.c_str() == path.name()) {
            return Err(NotWritten::UnderWay);
        }
        let name = Name::of(&[path.name().to_bytes()]).at(STEADFAST_STEP_ARGUMENTS)?;
        // One that compares is alone in its group.
        let waits = !self.session.settles && alternate::fits(&mut saving, &request)?;
        let mut is_locked = false;
        let mut written = None;
        if !waits {
            saving.settle();
            if let Some(saved) = alternate::save(&mut saving, path.name(), &request)? {
                return Err(NotWritten::Saved(saved));
            }
            is_locked = saving.current.is_some() && (saving.pair.is_some() || saving.alternates);
            written = Some(saving.write(path.name(), &request)?);
        }
        let outcome = Outcome::new(STEADFAST_OK);
        let slot = Slot { number, written, in_place: None, waits, saving, dir, name, synced: None, outcome, is_settled: false };
        slot.begin_writeback(hooks, &request);
        self.group.slots.push(slot).at(STEADFAST_STEP_ALLOCATE)?;
        Ok(is_locked)
    }

    /// Steps 4 to 6 of one that waits.
    fn overwrite(&mut self, at: usize) -> Result<(), Outcome> {
        let hooks = self.session.start.hooks();
        let Some(slot) = self.group.slots.get_mut(at).filter(|slot| slot.waits) else { return Ok(()) };
        slot.waits = false;
        let (_, data) = self.entries.get(slot.number)?;
        let request = SaveRequest { data, ..*self.request };
        match alternate::write(&mut slot.saving, slot.name.c_str(), &request)? {
            Begun::Saved(outcome) => (slot.outcome, slot.is_settled) = (outcome, true),
            Begun::Written(file) => slot.in_place = Some(file),
            Begun::Ordinary => slot.written = Some(slot.saving.write(slot.name.c_str(), &request)?),
        }
        slot.begin_writeback(hooks, &request);
        Ok(())
    }

    /// Steps 7 to 9 of all that are under way.
    fn replace(&mut self) -> Result<(), Outcome> {
        let hooks = self.session.start.hooks();
        let many = self.entries.count() >= MANY;
        self.group.settle(hooks, many);
        for at in 0..self.group.slots.len() {
            if let Err(outcome) = self.overwrite(at)
                && let Some(slot) = self.group.slots.get_mut(at)
            {
                (slot.outcome, slot.is_settled) = (outcome, true);
            }
        }
        if !self.request.skips_sync() {
            self.group.sync(hooks, self.request.has(STEADFAST_SAVE_SYNCFS), many);
        }
        for slot in self.group.slots.iter_mut().filter(|slot| !slot.is_settled) {
            let (_, data) = match self.entries.get(slot.number) {
                Ok(entry) => entry,
                Err(outcome) => {
                    slot.outcome = outcome;
                    continue;
                }
            };
            let request = SaveRequest { data, ..*self.request };
            let synced = slot.synced.unwrap_or(Synced::Skipped);
            if let Some(file) = slot.in_place.take() {
                let synced = match synced {
                    Synced::Yes => Ok(()),
                    Synced::Failed(e) | Synced::Unsupported(e) => Err(e),
                    Synced::Skipped => Err(Errno::INTERNAL),
                };
                let completed = alternate::complete(&mut slot.saving, &file, slot.name.c_str(), &request, synced);
                (slot.outcome, slot.is_settled) = (completed.unwrap_or_else(|outcome| outcome), true);
                continue;
            }
            let written = slot.written.take().ok_or(Outcome::internal());
            let replaced = written.and_then(|written| replace(&mut slot.saving, written, slot.name.c_str(), &request, synced));
            slot.outcome = replaced.unwrap_or_else(|outcome| outcome);
        }
        // What had too few descriptors is saved when these are closed.
        let mut alone = [0usize; TOGETHER];
        let mut left = 0usize;
        while let Some(slot) = self.group.slots.pop() {
            if slot.is_settled
                && [EMFILE, ENFILE].iter().any(|&errno| slot.outcome.status == Errno::of(errno).code())
                && let Some(place) = alone.get_mut(left)
            {
                *place = slot.number;
                left = left.saturating_add(1);
                continue;
            }
            if slot.is_settled || slot.outcome.status != STEADFAST_OK {
                let (number, outcome, unsynced_parent) = (slot.number, slot.outcome, slot.saving.unsynced_parent);
                drop(slot);
                self.settle_or_save(number, outcome, unsynced_parent);
                continue;
            }
            let known = self.directories.iter().position(|directory| same(&directory.stat, &slot.dir));
            let directory = match known {
                Some(known) => known,
                None => {
                    if self.directories.len() == TOGETHER {
                        self.sync_directories();
                    }
                    let added = Directory { fd: slot.saving.dir, stat: slot.dir };
                    self.directories.push(added).at(STEADFAST_STEP_ALLOCATE)?;
                    self.directories.len().saturating_sub(1)
                }
            };
            let waiting = Waiting { number: slot.number, directory, outcome: slot.outcome, unverified: slot.saving.unverified };
            self.waiting.push(waiting).at(STEADFAST_STEP_ALLOCATE)?;
        }
        for &number in alone.iter().take(left) {
            let outcome = self.save_alone(number).unwrap_or_else(|e| e);
            self.settle(number, outcome);
        }
        Ok(())
    }

    /// Step 10 of all that wait for it.
    fn sync_directories(&mut self) {
        for at in 0..self.directories.len() {
            let Some(directory) = self.directories.get(at) else { continue };
            // Of any state in it: whether it is durable is the same for all, whether the old one was whole is not.
            let synced = sync_directory(&directory.fd, Outcome::new(STEADFAST_OK), self.request);
            for index in 0..self.waiting.len() {
                let Some(waiting) = self.waiting.get(index).filter(|waiting| waiting.directory == at) else { continue };
                let (number, own, unverified) = (waiting.number, waiting.outcome, waiting.unverified);
                self.settle(number, saving::verdict(together(own, synced), unverified));
            }
        }
        while self.waiting.pop().is_some() {}
        while self.directories.pop().is_some() {}
    }

    /// The result of a state; where the file that was there was gone, it is saved by itself.
    fn settle_or_save(&mut self, number: usize, outcome: Outcome, unsynced_parent: Option<Errno>) {
        let next = core::mem::replace(&mut self.session.unsynced_parent, unsynced_parent);
        let outcome = if begins_again(&outcome) {
            let failed = |e| if alternate::was_displaced(&outcome) { alternate::after_displaced(e) } else { e };
            self.save_alone(number).unwrap_or_else(failed)
        } else {
            outcome
        };
        self.session.unsynced_parent = next;
        self.settle(number, outcome);
    }

    fn save_alone(&mut self, number: usize) -> Result<Outcome, Outcome> {
        let (whole, data) = self.entries.get(number)?;
        let request = SaveRequest { data, ..*self.request };
        let mut path = Path::empty();
        path.set(whole.to_bytes()).at(STEADFAST_STEP_ARGUMENTS)?;
        let settles = core::mem::replace(&mut self.session.settles, true);
        let saved = sequence::save(&mut self.session, &mut path, &request);
        self.session.settles = settles;
        saved
    }

    fn settle(&mut self, number: usize, outcome: Outcome) {
        self.entries.set(number, &outcome);
        // Not in the order of their numbers: among those that are as bad, the first counts.
        let bad = |status: i32| if status < 0 { 2 } else { status.signum() };
        let (new, old) = (bad(outcome.status), bad(self.worst.status));
        if new > old || (new == old && number < self.worst_number) {
            (self.worst, self.worst_number) = (outcome, number);
        }
    }
}

/// Steps 1 to 3. Whoever holds flocks of alternating states waits for no other: its holder may wait for one of these.
fn begin<'h>(session: &mut Session<'h>, path: &mut Path, request: &SaveRequest<'_>, holds: bool) -> Result<Saving<'h>, Outcome> {
    let patient = session.retry;
    if holds {
        session.retry = Retry::new(0);
    }
    let mut begun = Saving::begin(session, path, request);
    if holds {
        session.retry = patient;
        begun.iter_mut().for_each(|saving| saving.retry = patient.again());
    }
    begun
}

/// The result of a state, with that of its directory's sync.
fn together(own: Outcome, directory: Outcome) -> Outcome {
    if directory.status != STEADFAST_OK {
        let own = own.with_status(directory.status).after(directory);
        return if own.detail == Detail::None { own.with_detail(directory.detail) } else { own };
    }
    // The name of a directory on the way is not durable.
    if own.step != 0 { own.with_status(STEADFAST_NOT_DURABLE) } else { own.with_on_disk(STEADFAST_ON_DISK_NEW) }
}
