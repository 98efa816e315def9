//! The save sequence. Its order is the proof; the steps are numbered as the report names them.
#![forbid(unsafe_code)]

use super::current::{self, Current};
use super::record::Fields;
use super::temp::{self, Temp};
use super::{previous, recycle, target, write};
use crate::hooks::*;
use crate::path::{self, Name, Path};
use crate::status::*;
use core::ffi::CStr;

/// A file or directory that cannot be made durable is an error, not a reservation.
pub const STEADFAST_SAVE_STRICT: u32 = 1 << 0;
/// The verified previous generation stays as PATH.prev.
pub const STEADFAST_SAVE_KEEP_PREVIOUS: u32 = 1 << 1;
/// Compare and swap: STEADFAST_E_CONFLICT unless the state there has expected_generation.
pub const STEADFAST_SAVE_IF_GENERATION: u32 = 1 << 2;
/// Save to what the link at PATH points to; without it a link is refused.
pub const STEADFAST_SAVE_FOLLOW_SYMLINK: u32 = 1 << 3;
/// Make missing parent directories, durably.
pub const STEADFAST_SAVE_CREATE_PARENTS: u32 = 1 << 4;
/// Write over the spare PATH.prev, sync it and exchange the two names, instead of allocating; implies KEEP_PREVIOUS. Where
/// there is no spare yet, or it cannot be had (it has another name as well, someone is at work on it, the file system
/// has no RENAME_EXCHANGE), an ordinary save is made. While it is being written over, and after a save that failed on
/// the way or a power cut, PATH.prev may be torn: the state itself is then whole, and a load says so of PATH.prev.
pub const STEADFAST_SAVE_RECYCLE: u32 = 1 << 5;
/// Atomic and verified, but no fsync at all: always NOT_DURABLE, on_disk EITHER; with STRICT -EINVAL.
pub const STEADFAST_SAVE_NO_SYNC: u32 = 1 << 6;
/// steadfast_state_save_batch: one syncfs(2) for all files instead of one fsync for each. It flushes what others have
/// written to the file system as well.
pub const STEADFAST_SAVE_SYNCFS: u32 = 1 << 7;
/// All bits above.
pub const SAVE_ALL: u32 = (1 << 8) - 1;

/// What to save, and how.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub data: &'a [u8],
    pub flags: u32,
    pub mode: u32,
    pub schema: u32,
    pub expected_generation: u64,
}

impl Request<'_> {
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub fn keeps_previous(&self) -> bool {
        self.flags & (STEADFAST_SAVE_KEEP_PREVIOUS | STEADFAST_SAVE_RECYCLE) != 0
    }
}

/// Whether the content of the temporary file is on the disk.
#[derive(Clone, Copy)]
pub enum Synced {
    Yes,
    /// NO_SYNC.
    Skipped,
    /// The file system has no fsync.
    Unsupported(Errno),
    /// It failed.
    Failed(Errno),
}

impl Synced {
    /// What a sync came to.
    pub fn of(result: Result<(), Errno>) -> Synced {
        match result {
            Ok(()) => Synced::Yes,
            Err(e) if e.unsupported() => Synced::Unsupported(e),
            Err(e) => Synced::Failed(e),
        }
    }
}

/// Saves `request` at `path`.
pub fn save(hooks: &Hooks, path: &mut Path, request: &Request<'_>) -> Result<Outcome, Outcome> {
    let mut saving = Saving::none(hooks);
    saving.begin(path, request)?;
    let name = path.name();
    let mut recycled = None;
    if request.has(STEADFAST_SAVE_RECYCLE) {
        recycled = recycle::save(&mut saving, name, request)?;
    }
    let outcome = match recycled {
        Some(outcome) => outcome,
        None => {
            saving.write(name, request)?;
            let sync = || Synced::of(hooks.fsync(saving.temp.fd.raw()));
            let synced = if request.has(STEADFAST_SAVE_NO_SYNC) { Synced::Skipped } else { sync() };
            saving.replace(name, request, synced)?
        }
    };
    Ok(sync_directory(hooks, saving.dir.raw(), outcome, request))
}

/// A save on its way, from step 1 to 9. Large: it is filled in in place.
pub struct Saving<'h> {
    /// Before the directory, in which its name is removed when it is dropped.
    pub temp: Temp<'h>,
    pub current: Current<'h>,
    pub dir: Fd<'h>,
    streams: [Option<Fd<'h>>; 3],
    pub fields: Fields,
    unsynced_parent: Option<Errno>,
}

impl<'h> Saving<'h> {
    /// Not begun.
    pub fn none(hooks: &'h Hooks) -> Saving<'h> {
        Saving {
            dir: Fd::none(hooks),
            streams: [None, None, None],
            current: Current::none(hooks),
            temp: Temp::none(hooks),
            fields: Fields::default(),
            unsynced_parent: None,
        }
    }

    /// Steps 1 to 3: the directory first, then the target, then what is there.
    pub fn begin(&mut self, path: &mut Path, request: &Request<'_>) -> Result<(), Outcome> {
        let hooks = self.dir.hooks();
        if request.has(STEADFAST_SAVE_STRICT) && hooks.absent(STEADFAST_ABSENT_DIR_FSYNC) {
            return Err(Outcome::because(STEADFAST_E_NOT_SAVED_DURABLY, Detail::NO_DIR_FSYNC_STRICT));
        }
        if request.has(STEADFAST_SAVE_IF_GENERATION) && hooks.absent(STEADFAST_ABSENT_FLOCK) {
            return Err(current::no_flock(Errno::of(ENOSYS)));
        }
        self.unsynced_parent = target::open(&mut self.dir, &mut self.current, path, request)?;
        self.streams = hooks.keep_off_streams(&self.dir);
        self.fields.generation = self.next_generation(path.name(), request)?;
        self.fields.saved_at_ns = hooks.clock(STEADFAST_CLOCK_REALTIME).at(STEADFAST_STEP_CLOCK)?;
        self.fields.schema = request.schema;
        Ok(())
    }

    /// Step 3: the generation to write. The current state is verified where it matters; for IF_GENERATION its flock is
    /// taken first.
    fn next_generation(&mut self, name: &CStr, request: &Request<'_>) -> Result<u64, Outcome> {
        let swap = request.has(STEADFAST_SAVE_IF_GENERATION);
        let current = &mut self.current;
        if swap {
            current.hold(self.dir.raw(), name)?;
        }
        for attempt in 0..2 {
            if !current.is_there() {
                break;
            }
            if swap || request.keeps_previous() {
                current.verify()?
            } else {
                current.read_generation()?
            }
            if swap && current.generation.is_none() {
                return Err(Outcome::new(current.damage));
            }
            // Written over since it was opened (RECYCLE)? Damage is believed at the second look.
            if current.generation.is_some() || attempt > 0 {
                break;
            }
            current.open(self.dir.raw(), name)?;
        }
        let there = current.generation;
        if swap && there != Some(request.expected_generation).filter(|&expected| expected != 0) {
            return Err(Outcome::new(STEADFAST_E_CONFLICT).with_generation(there.unwrap_or(0)));
        }
        there.unwrap_or(0).checked_add(1).ok_or(Outcome::because(EOVERFLOW.wrapping_neg(), Detail::LAST_GENERATION))
    }

    /// Steps 4 to 6: the new file, complete but for its sync.
    pub fn write(&mut self, name: &CStr, request: &Request<'_>) -> Result<(), Outcome> {
        let hooks = self.dir.hooks();
        self.temp.create(self.dir.raw(), name, 0o600).at(STEADFAST_STEP_CREATE_TEMP)?;
        let fd = self.temp.fd.raw();
        write::record(hooks, fd, &self.fields, request.data, false).at(STEADFAST_STEP_WRITE)?;
        let replaced = Some(&self.current.stat).filter(|_| self.current.is_there());
        temp::set_owner_and_mode(hooks, fd, &self.temp.stat, replaced, request.mode).at(STEADFAST_STEP_SET_MODE)
    }

    /// Steps 7 to 9, the sync of the new file having been tried: what it came to but for the directory's sync, which
    /// is needed when the status is still 0.
    pub fn replace(&mut self, name: &CStr, request: &Request<'_>, synced: Synced) -> Result<Outcome, Outcome> {
        let hooks = self.dir.hooks();
        let mut synced = synced;
        // The first inode stays open, so that the second is a different one.
        let mut spent = Fd::none(hooks);
        if matches!(synced, Synced::Failed(_)) {
            // After a failed fsync the kernel has dropped the dirty pages and forgotten the error: another fsync of
            // this inode would answer 0 with nothing on disk (fsync(2), "Errors"; Rebello et al., ATC'20).
            self.temp.remove();
            core::mem::swap(&mut spent, &mut self.temp.fd);
            self.write(name, request)?;
            synced = Synced::of(hooks.fsync(self.temp.fd.raw()));
            if matches!(synced, Synced::Failed(_)) {
                self.temp.mark_unsynced();
            }
        }
        if let (Synced::Failed(e) | Synced::Unsupported(e), true) = (synced, request.has(STEADFAST_SAVE_STRICT)) {
            return Err(Outcome::new(STEADFAST_E_NOT_SAVED_DURABLY).caused_by(e, STEADFAST_STEP_SYNC_FILE));
        }
        // 8: the previous generation. After a failed sync it is kept in any case: the new content may be lost.
        let wanted = request.keeps_previous();
        if self.current.is_there() && (wanted || matches!(synced, Synced::Failed(_))) {
            let kept = previous::keep(self, name, !request.has(STEADFAST_SAVE_NO_SYNC));
            if wanted {
                kept?;
            }
        }
        // 9: the rename.
        self.publish(name, request)?;
        // The new file is the current state now: its flock belongs to savers that compare and swap, and a
        // child forked meanwhile must not keep it.
        let _ = hooks.flock(self.temp.fd.raw(), LOCK_UN);
        let done = self.published();
        Ok(match synced {
            Synced::Yes => done,
            Synced::Skipped => done.with_status(STEADFAST_NOT_DURABLE).with_detail(Detail::NO_SYNC),
            // With the content not known to be on disk, a synced name is worse than none: after a power cut
            // xfs and btrfs then show an empty file, where without it the old file is still there.
            Synced::Unsupported(e) | Synced::Failed(e) => {
                done.with_status(STEADFAST_NOT_DURABLE).caused_by(e, STEADFAST_STEP_SYNC_FILE)
            }
        })
    }

    /// There for every reader, and durable when the directory has been synced.
    pub fn published(&mut self) -> Outcome {
        self.current.close();
        let done = Outcome::new(STEADFAST_OK).with_generation(self.fields.generation).with_on_disk(STEADFAST_ON_DISK_EITHER);
        match self.unsynced_parent {
            None => done,
            Some(e) => done.caused_by(e, STEADFAST_STEP_MAKE_PARENT),
        }
    }

    /// Somebody else was first: with the generation that is there now.
    pub fn conflict(&mut self, name: &CStr) -> Outcome {
        let current = &mut self.current;
        if current.open(self.dir.raw(), name).is_ok() && current.is_there() {
            let _ = current.read_generation();
        }
        Outcome::because(STEADFAST_E_CONFLICT, Detail::SAVED_MEANWHILE).with_generation(current.generation.unwrap_or(0))
    }

    /// Step 9.
    fn publish(&mut self, name: &CStr, request: &Request<'_>) -> Result<(), Outcome> {
        const STEP: i32 = STEADFAST_STEP_RENAME;
        let (hooks, dir, temp) = (self.dir.hooks(), self.dir.raw(), &mut self.temp);
        let mut flags = 0;
        if request.has(STEADFAST_SAVE_IF_GENERATION) {
            if !self.current.is_there() {
                flags = RENAME_NOREPLACE;
            } else if !self.current.is_named(dir, name).at(STEP)? {
                return Err(self.conflict(name));
            }
        }
        let mut renamed = hooks.rename(dir, temp.name.c_str(), name, flags);
        if flags != 0 && renamed.is_err_and(Errno::unsupported) {
            // link refuses an existing name as well; the temporary one then goes when `temp` is dropped.
            renamed = hooks.link(dir, temp.name.c_str(), dir, name, 0);
            if renamed.is_ok() {
                temp.remove();
            }
        }
        let Err(error) = renamed else {
            temp.published();
            return Ok(());
        };
        // Over NFS, a rename whose answer was lost is repeated and then fails, although it happened.
        let happened = current::is_named(hooks, dir, name, &temp.stat);
        temp.remove_if_ours();
        match happened {
            Ok(true) => Ok(()),
            Ok(false) if flags != 0 && error.is(EEXIST) => Err(self.conflict(name)),
            Ok(false) if error.is(EBUSY) => Err(Outcome::failed(error, STEP).with_detail(Detail::MOUNT_POINT)),
            Ok(false) => Err(Outcome::failed(error, STEP)),
            Err(_) => Err(Outcome::new(STEADFAST_E_INDETERMINATE).with_on_disk(STEADFAST_ON_DISK_EITHER).caused_by(error, STEP)),
        }
    }
}

/// Step 10, where `outcome` needs it.
pub fn sync_directory(hooks: &Hooks, dir: i32, outcome: Outcome, request: &Request<'_>) -> Outcome {
    if outcome.status() != STEADFAST_OK {
        return outcome;
    }
    let failed = outcome.with_status(STEADFAST_NOT_DURABLE).with_on_disk(STEADFAST_ON_DISK_EITHER);
    if hooks.absent(STEADFAST_ABSENT_DIR_FSYNC) {
        return failed.with_detail(Detail::NO_DIR_FSYNC);
    }
    match hooks.fsync(dir) {
        // A parent directory that we made is not durable.
        Ok(()) if outcome.step() != 0 => failed,
        Ok(()) => outcome.with_on_disk(STEADFAST_ON_DISK_NEW),
        Err(e) => {
            let status = if request.has(STEADFAST_SAVE_STRICT) { STEADFAST_E_SAVED_NOT_DURABLE } else { STEADFAST_NOT_DURABLE };
            failed.with_status(status).caused_by(e, STEADFAST_STEP_SYNC_DIRECTORY)
        }
    }
}

/// Is NAME.prev too long a name? KEEP_PREVIOUS then fails before anything is written.
pub fn check_previous_name(name: &CStr, request: &Request<'_>) -> Result<(), Outcome> {
    let mut previous = Name::empty();
    if request.keeps_previous() { path::previous(&mut previous, name).at(STEADFAST_STEP_ARGUMENTS) } else { Ok(()) }
}
