//! The states of a batch that are under way at once, and their syncs.
#![forbid(unsafe_code)]

use super::options::*;
use super::saving::{Saving, Synced, Written};
use crate::file::filesystem;
use crate::file::path::Name;
use crate::hooks::*;
use crate::mem::List;
use crate::status::*;

/// How many are under way at once: each keeps up to three descriptors open. As many directories wait for their sync.
pub const TOGETHER: usize = 64;

/// From so many states on it pays to sync them all at once.
pub const MANY: usize = 200;

/// A state whose new file is written.
pub struct Slot<'h> {
    pub number: usize,
    /// Until it is published. Before `saving`, whose directory its name is removed from.
    pub written: Option<Written<'h>>,
    /// The file of an alternating state instead, which is written in place.
    pub in_place: Option<Fd<'h>>,
    /// Is it yet to be written?
    pub waits: bool,
    pub saving: Saving<'h>,
    pub dir: steadfast_stat,
    pub name: Name,
    pub synced: Option<Synced>,
    pub outcome: Outcome,
    /// Is that the result, which waits for no directory?
    pub is_settled: bool,
}

impl Slot<'_> {
    /// The file that is to be synced.
    pub fn fd(&self) -> Option<i32> {
        self.written.as_ref().map(|written| written.temp.fd.raw()).or(self.in_place.as_ref().map(Fd::raw))
    }

    /// Only a beginning: an error that it misses, the sync will report.
    pub fn begin_writeback(&self, hooks: &Hooks, request: &SaveRequest<'_>) {
        if let Some(fd) = self.fd().filter(|_| !request.has(STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_SYNCFS)) {
            let _ = hooks.writeback(fd, STEADFAST_WRITEBACK_START);
        }
    }
}

/// Those that are under way.
pub struct Group<'h> {
    pub slots: List<Slot<'h>>,
    /// Of the fsync_many hook.
    queue: u64,
}

impl Group<'_> {
    /// An empty one, with room for `count`.
    pub fn new(count: usize) -> Result<Self, Errno> {
        Ok(Group { slots: List::new(count)?, queue: 0 })
    }

    /// Nothing more is synced.
    pub fn end(&mut self, hooks: &Hooks) {
        if self.queue != 0 {
            let _ = hooks.fsync_many(&mut self.queue, &mut [], 0);
        }
    }

    /// Syncs the newer files of those that wait, where they may not be on the disk yet: before the older ones are written, and all at
    /// once.
    pub fn settle(&mut self, hooks: &Hooks, many: bool) {
        let mut files = [0; TOGETHER];
        let mut count = 0usize;
        for (file, newest) in
            files.iter_mut().zip(self.slots.iter_mut().filter(|slot| slot.waits).filter_map(|slot| slot.saving.unsettled()))
        {
            *file = newest.fd();
            count = count.saturating_add(1);
        }
        let Some(files) = files.get_mut(..count).filter(|files| !files.is_empty()) else { return };
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

    /// Step 7 of all.
    pub fn sync(&mut self, hooks: &Hooks, file_systems: bool, many: bool) {
        if file_systems {
            self.sync_file_systems(hooks);
            self.flush_devices(hooks);
        }
        if many {
            self.sync_at_once(hooks);
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.synced.is_none()) {
            if let Some(fd) = slot.fd() {
                slot.synced = Some(Synced::of(if slot.in_place.is_some() { hooks.fdatasync(fd) } else { hooks.fsync(fd) }));
            }
        }
    }

    /// Step 7 of all whose file system can be synced as a whole, and says so when that fails.
    fn sync_file_systems(&mut self, hooks: &Hooks) {
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

    /// syncfs flushes the device's cache by committing changes of metadata: where data has replaced data within one tick of the clock
    /// there is none (seen on xfs). The sync of one such file flushes it for all.
    fn flush_devices(&mut self, hooks: &Hooks) {
        let mut flushed: Option<(u64, Result<(), Errno>)> = None;
        for slot in self.slots.iter_mut().filter(|slot| slot.in_place.is_some() && matches!(slot.synced, Some(Synced::Yes))) {
            let Some(fd) = slot.fd() else { continue };
            let result = match flushed {
                Some((dev, result)) if dev == slot.dir.dev => result,
                _ => hooks.fdatasync(fd),
            };
            flushed = Some((slot.dir.dev, result));
            if let Err(e) = result {
                slot.synced = Some(Synced::Failed(e));
            }
        }
    }

    /// Step 7 of all that are left. Those that this leaves are synced one after the other.
    fn sync_at_once(&mut self, hooks: &Hooks) {
        for (in_place, data) in [(false, 0), (true, STEADFAST_SYNC_DATA)] {
            let is_left = |slot: &Slot<'_>| slot.synced.is_none() && slot.fd().is_some() && slot.in_place.is_some() == in_place;
            let mut files = [0; TOGETHER];
            let mut count = 0usize;
            for (file, slot) in files.iter_mut().zip(self.slots.iter().filter(|slot| is_left(slot))) {
                *file = slot.fd().unwrap_or(-1);
                count = count.saturating_add(1);
            }
            let Some(files) = files.get_mut(..count).filter(|files| !files.is_empty()) else { continue };
            if hooks.fsync_many(&mut self.queue, files, data).is_ok() {
                for (file, slot) in files.iter().zip(self.slots.iter_mut().filter(|slot| is_left(slot))) {
                    slot.synced = Some(Synced::of(Errno::result(*file)));
                }
            }
        }
    }
}
