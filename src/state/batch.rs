//! Many states in one call: all are written before the first is synced, so that the disk has something to do, and
//! each directory is synced once.

use super::alternate::{self, Begun};
use super::options::*;
use super::resolve::Session;
use super::saving::{self, Saving, Synced, Written};
use super::sequence::{self, begins_again, replace};
use super::sync::sync_directory;
use crate::file::deadline::Retry;
use crate::file::entry::same;
use crate::file::filesystem;
use crate::file::path::{Name, Path};
use crate::hooks::*;
use crate::mem::List;
use crate::status::*;
use core::ffi::CStr;

/// How many are under way at once: each keeps up to three descriptors open. As many directories wait for their sync.
const TOGETHER: usize = 64;

/// From so many states on it pays to sync them all at once.
const MANY: usize = 200;

/// The caller's states.
pub trait Entries {
    fn count(&self) -> usize;
    fn get(&self, number: usize) -> Result<(&CStr, &[u8]), Outcome>;
    fn set(&mut self, number: usize, outcome: &Outcome);
}

/// A state whose new file is written.
struct Slot<'h> {
    number: usize,
    /// Until it is published. Before `saving`, whose directory its name is removed from.
    written: Option<Written<'h>>,
    /// The file of an alternating state instead, which is written in place.
    in_place: Option<Fd<'h>>,
    /// Is it yet to be written?
    waits: bool,
    saving: Saving<'h>,
    dir: steadfast_stat,
    name: Name,
    synced: Option<Synced>,
    outcome: Outcome,
    /// Is that the result, which waits for no directory?
    is_settled: bool,
}

impl Slot<'_> {
    /// The file that is to be synced.
    fn fd(&self) -> Option<i32> {
        self.written.as_ref().map(|written| written.temp.fd.raw()).or(self.in_place.as_ref().map(Fd::raw))
    }
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
    slots: List<Slot<'h>>,
    directories: List<Directory<'h>>,
    waiting: List<Waiting>,
    /// Of the fsync_many hook.
    queue: u64,
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
    let mut batch = Batch {
        session,
        entries,
        request,
        slots: List::new(TOGETHER).at(STEP)?,
        directories: List::new(TOGETHER).at(STEP)?,
        waiting: List::new(count).at(STEP)?,
        queue: 0,
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
                again && !batch.slots.is_empty()
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
        if is_locked || batch.slots.len() >= together {
            batch.replace()?;
        }
    }
    batch.replace()?;
    if batch.queue != 0 {
        let _ = batch.session.start.hooks().fsync_many(&mut batch.queue, &mut [], 0);
    }
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
        let holds = self.slots.iter().any(|slot| slot.waits);
        let mut saving = begin(&mut self.session, path, &request, holds)?;
        let dir = hooks.fstat(saving.dir.raw()).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
        if self.slots.iter().any(|slot| same(&slot.dir, &dir) && slot.name.c_str() == path.name()) {
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
        begin_writeback(hooks, &slot, &request);
        self.slots.push(slot).at(STEADFAST_STEP_ALLOCATE)?;
        Ok(is_locked)
    }

    /// Syncs the newer files of those that wait, where they may not be on the disk yet: before the older ones are written, and all at
    /// once.
    fn settle_together(&mut self) {
        let hooks = self.session.start.hooks();
        let mut files = [0; TOGETHER];
        let mut count = 0usize;
        for (file, newest) in
            files.iter_mut().zip(self.slots.iter_mut().filter(|slot| slot.waits).filter_map(|slot| slot.saving.unsettled()))
        {
            *file = newest.fd();
            count = count.saturating_add(1);
        }
        let Some(files) = files.get_mut(..count).filter(|files| !files.is_empty()) else { return };
        let many = self.entries.count() >= MANY;
        if !(many && hooks.fsync_many(&mut self.queue, files, STEADFAST_SYNC_DATA).is_ok()) {
            for file in files.iter_mut() {
                *file = hooks.fdatasync(*file).map_or_else(|e| e.code(), |()| 0);
            }
        }
        let settled = self.slots.iter_mut().filter(|slot| slot.waits).filter_map(|slot| slot.saving.unsettled());
        for (file, newest) in files.iter().zip(settled) {
            if Errno::result(*file).is_err() {
                newest.mark_unsynced();
            }
        }
    }

    /// Steps 4 to 6 of one that waits.
    fn overwrite(&mut self, at: usize) -> Result<(), Outcome> {
        let hooks = self.session.start.hooks();
        let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.waits) else { return Ok(()) };
        slot.waits = false;
        let (_, data) = self.entries.get(slot.number)?;
        let request = SaveRequest { data, ..*self.request };
        match alternate::write(&mut slot.saving, slot.name.c_str(), &request)? {
            Begun::Saved(outcome) => (slot.outcome, slot.is_settled) = (outcome, true),
            Begun::Written(file) => slot.in_place = Some(file),
            Begun::Ordinary => slot.written = Some(slot.saving.write(slot.name.c_str(), &request)?),
        }
        begin_writeback(hooks, slot, &request);
        Ok(())
    }

    /// Steps 7 to 9 of all that are under way.
    fn replace(&mut self) -> Result<(), Outcome> {
        self.settle_together();
        for at in 0..self.slots.len() {
            if let Err(outcome) = self.overwrite(at)
                && let Some(slot) = self.slots.get_mut(at)
            {
                (slot.outcome, slot.is_settled) = (outcome, true);
            }
        }
        if self.request.has(STEADFAST_SAVE_SYNCFS) {
            self.sync_file_systems();
        }
        if self.entries.count() >= MANY && !self.request.skips_sync() {
            self.sync_at_once();
        }
        for at in 0..self.slots.len() {
            self.sync(at);
        }
        for slot in self.slots.iter_mut().filter(|slot| !slot.is_settled) {
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
        while let Some(slot) = self.slots.pop() {
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

    /// Step 7 of all whose file system can be synced as a whole, and says so when that fails.
    fn sync_file_systems(&mut self) {
        let hooks = self.session.start.hooks();
        let mut synced: Option<(u64, Synced)> = None;
        for slot in self.slots.iter_mut() {
            let Some(fd) = slot.fd() else { continue };
            let dev = slot.dir.dev;
            let all = match synced {
                Some((known, all)) if known == dev => all,
                _ if !filesystem::syncfs_reaches_device(hooks, fd) => continue,
                _ => Synced::of(hooks.syncfs(fd)),
            };
            synced = Some((dev, all));
            if matches!(all, Synced::Unsupported(_)) {
                continue;
            }
            // The file knows of its own errors, too.
            slot.synced = Some(match (all, hooks.writeback(fd, STEADFAST_WRITEBACK_WAIT)) {
                (Synced::Yes, Err(e)) if !e.unsupported() => Synced::Failed(e),
                _ => all,
            });
        }
    }

    /// Step 7 of all that are left. Those that this leaves are synced one after the other.
    fn sync_at_once(&mut self) {
        for (in_place, data) in [(false, 0), (true, STEADFAST_SYNC_DATA)] {
            let is_left = |slot: &Slot<'_>| slot.synced.is_none() && slot.fd().is_some() && slot.in_place.is_some() == in_place;
            let mut files = [0; TOGETHER];
            let mut count = 0usize;
            for (file, slot) in files.iter_mut().zip(self.slots.iter().filter(|slot| is_left(slot))) {
                *file = slot.fd().unwrap_or(-1);
                count = count.saturating_add(1);
            }
            let Some(files) = files.get_mut(..count).filter(|files| !files.is_empty()) else { continue };
            if self.session.start.hooks().fsync_many(&mut self.queue, files, data).is_ok() {
                for (file, slot) in files.iter().zip(self.slots.iter_mut().filter(|slot| is_left(slot))) {
                    slot.synced = Some(Synced::of(Errno::result(*file)));
                }
            }
        }
    }

    /// Step 7 of one.
    fn sync(&mut self, at: usize) {
        let hooks = self.session.start.hooks();
        if let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.synced.is_none())
            && let Some(fd) = slot.fd()
            && !self.request.skips_sync()
        {
            slot.synced = Some(Synced::of(if slot.in_place.is_some() { hooks.fdatasync(fd) } else { hooks.fsync(fd) }));
        }
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

/// Only a beginning: an error that it misses, the sync will report.
fn begin_writeback(hooks: &Hooks, slot: &Slot<'_>, request: &SaveRequest<'_>) {
    if let Some(fd) = slot.fd().filter(|_| !request.has(STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_SYNCFS)) {
        let _ = hooks.writeback(fd, STEADFAST_WRITEBACK_START);
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
