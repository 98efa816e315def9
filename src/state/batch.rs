//! Many states in one call: all are written before the first is synced, so that the disk has something to do, and
//! each directory is synced once.
#![forbid(unsafe_code)]

use super::save::*;
use super::temp::same;
use crate::hooks::memory::List;
use crate::hooks::*;
use crate::path::{Name, Path};
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

/// A state whose temporary file is written.
struct Slot<'h> {
    number: usize,
    saving: Saving<'h>,
    dir: steadfast_stat,
    name: Name,
    synced: Option<Synced>,
    outcome: Outcome,
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
}

struct Batch<'h, 'e, E> {
    hooks: &'h Hooks,
    entries: &'e mut E,
    request: &'e Request<'e>,
    slots: List<Slot<'h>>,
    directories: List<Directory<'h>>,
    waiting: List<Waiting>,
    /// Of the fsync_many hook.
    queue: u64,
    /// The first that was not done, or else the first with a reservation.
    worst: Outcome,
    worst_number: usize,
}

/// Saves each of `entries` as [`save`] does, and says what became of it. The outcome is that of the worst, with its
/// number.
pub fn save_batch<E: Entries>(hooks: &Hooks, entries: &mut E, request: &Request<'_>) -> Result<(Outcome, usize), Outcome> {
    const STEP: i32 = STEADFAST_STEP_ALLOCATE;
    let waiting = List::new(entries.count()).at(STEP)?;
    let mut batch = Batch {
        hooks,
        entries,
        request,
        slots: List::new(TOGETHER).at(STEP)?,
        directories: List::new(TOGETHER).at(STEP)?,
        waiting,
        queue: 0,
        worst: Outcome::new(STEADFAST_OK).with_on_disk(STEADFAST_ON_DISK_NEW),
        worst_number: 0,
    };
    // Who compares and swaps holds a flock that others wait for: never two at once, in any order.
    let together = if request.has(STEADFAST_SAVE_IF_GENERATION) { 1 } else { TOGETHER };
    let mut path = Path::empty();
    for number in 0..batch.entries.count() {
        let full = |outcome: &Outcome| [EMFILE, ENFILE].iter().any(|&errno| outcome.os_error() == errno);
        match batch.write(&mut path, number) {
            // Too many descriptors, or the same state again: after those that are under way.
            Err(outcome) if !batch.slots.is_empty() && (full(&outcome) || outcome.status() == STEADFAST_OK) => {
                batch.replace();
                if let Err(outcome) = batch.write(&mut path, number) {
                    batch.settle(number, outcome);
                }
            }
            Err(outcome) => batch.settle(number, outcome),
            Ok(()) => {}
        }
        if batch.slots.len() >= together {
            batch.replace();
        }
    }
    batch.replace();
    if batch.queue != 0 {
        let _ = hooks.fsync_many(&mut batch.queue, &mut []);
    }
    batch.sync_directories();
    Ok((batch.worst, batch.worst_number))
}

impl<'h, E: Entries> Batch<'h, '_, E> {
    /// Steps 1 to 6. "Done" as an error: this state is under way already.
    fn write(&mut self, path: &mut Path, number: usize) -> Result<(), Outcome> {
        let (whole, data) = self.entries.get(number)?;
        let request = Request { data, ..*self.request };
        path.set(whole.to_bytes()).at(STEADFAST_STEP_ARGUMENTS)?;
        check_previous_name(path.name(), &request)?;
        let mut saving = Saving::none(self.hooks);
        saving.begin(path, &request)?;
        let mut dir = steadfast_stat::default();
        self.hooks.fstat(saving.dir.raw(), &mut dir).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
        if self.slots.iter().any(|slot| same(&slot.dir, &dir) && slot.name.c_str() == path.name()) {
            return Err(Outcome::new(STEADFAST_OK));
        }
        saving.write(path.name(), &request)?;
        if !request.has(STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_SYNCFS) {
            // Only a beginning: what it misses, the sync will meet.
            let _ = self.hooks.writeback(saving.temp.fd.raw(), STEADFAST_WRITEBACK_START);
        }
        let mut name = Name::empty();
        name.set(&[path.name().to_bytes()]).at(STEADFAST_STEP_ARGUMENTS)?;
        let outcome = Outcome::new(STEADFAST_OK);
        self.slots.push(Slot { number, saving, dir, name, synced: None, outcome });
        Ok(())
    }

    /// Steps 7 to 9 of all that are under way.
    fn replace(&mut self) {
        let common = self.request.has(STEADFAST_SAVE_SYNCFS) && !self.hooks.absent(STEADFAST_ABSENT_SYNCFS);
        if self.entries.count() >= MANY && !self.request.has(STEADFAST_SAVE_NO_SYNC) && !common {
            self.sync_at_once();
        }
        for at in 0..self.slots.len() {
            self.sync(at);
        }
        for slot in self.slots.iter_mut() {
            let replaced = self.entries.get(slot.number).and_then(|(_, data)| {
                let request = Request { data, ..*self.request };
                let synced = slot.synced.unwrap_or(Synced::Skipped);
                slot.saving.replace(slot.name.c_str(), &request, synced)
            });
            slot.outcome = replaced.unwrap_or_else(|outcome| outcome);
        }
        while let Some(slot) = self.slots.pop() {
            if slot.outcome.status() != STEADFAST_OK {
                self.settle(slot.number, slot.outcome);
                continue;
            }
            let mut known = self.directories.iter().position(|directory| same(&directory.stat, &slot.dir));
            if known.is_none() {
                if self.directories.len() == TOGETHER {
                    self.sync_directories();
                }
                known = Some(self.directories.len());
                self.directories.push(Directory { fd: slot.saving.dir, stat: slot.dir });
            }
            let directory = known.unwrap_or_default();
            self.waiting.push(Waiting { number: slot.number, directory, outcome: slot.outcome });
        }
    }

    /// Step 7 of all. What it leaves is synced one after the other.
    fn sync_at_once(&mut self) {
        let mut files = [0; TOGETHER];
        for (file, slot) in files.iter_mut().zip(self.slots.iter()) {
            *file = slot.saving.temp.fd.raw();
        }
        if self.hooks.fsync_many(&mut self.queue, files.get_mut(..self.slots.len()).unwrap_or_default()).is_ok() {
            for (file, slot) in files.iter().zip(self.slots.iter_mut()) {
                slot.synced = Some(Synced::of(Errno::result(*file)));
            }
        }
    }

    /// Step 7 of one, or with SYNCFS of all that are on the same file system.
    fn sync(&mut self, at: usize) {
        let hooks = self.hooks;
        let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.synced.is_none()) else { return };
        let (fd, dev) = (slot.saving.temp.fd.raw(), slot.saving.temp.stat.dev);
        if self.request.has(STEADFAST_SAVE_NO_SYNC) {
            return;
        }
        if self.request.has(STEADFAST_SAVE_SYNCFS) {
            let all = Synced::of(hooks.syncfs(fd));
            if !matches!(all, Synced::Unsupported(_)) {
                for slot in self.slots.iter_mut().filter(|slot| slot.saving.temp.stat.dev == dev) {
                    // Before Linux 5.8 syncfs keeps errors to itself (syncfs(2), "Versions"); the file knows of its own.
                    let own = hooks.writeback(slot.saving.temp.fd.raw(), STEADFAST_WRITEBACK_WAIT);
                    slot.synced = Some(match (all, own) {
                        (Synced::Yes, Err(e)) if !e.unsupported() => Synced::Failed(e),
                        _ => all,
                    });
                }
                return;
            }
        }
        slot.synced = Some(Synced::of(hooks.fsync(fd)));
    }

    /// Step 10 of all that wait for it.
    fn sync_directories(&mut self) {
        for at in 0..self.directories.len() {
            let Some(directory) = self.directories.get(at) else { continue };
            let synced = sync_directory(self.hooks, directory.fd.raw(), Outcome::new(STEADFAST_OK), self.request);
            for index in 0..self.waiting.len() {
                let Some(waiting) = self.waiting.get(index).filter(|waiting| waiting.directory == at) else { continue };
                let (number, own) = (waiting.number, waiting.outcome);
                // Its parent, which we made, is not durable: that stays its reservation.
                let outcome = if own.step() != 0 && synced.status() == STEADFAST_OK {
                    own.with_status(STEADFAST_NOT_DURABLE)
                } else {
                    synced.with_generation(own.generation())
                };
                self.settle(number, outcome);
            }
        }
        while self.waiting.pop().is_some() {}
        while self.directories.pop().is_some() {}
    }

    fn settle(&mut self, number: usize, outcome: Outcome) {
        self.entries.set(number, &outcome);
        // Not in the order of their numbers: among those that are as bad the first is told.
        let bad = |status: i32| if status < 0 { 2 } else { status.signum() };
        let (new, old) = (bad(outcome.status()), bad(self.worst.status()));
        if new > old || (new == old && number < self.worst_number) {
            (self.worst, self.worst_number) = (outcome, number);
        }
    }
}
