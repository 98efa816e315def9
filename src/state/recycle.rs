//! Saving over the spare generation: nothing is allocated and nothing is freed.
//!
//! The spare, NAME.prev, is written over and synced, and then exchanges its name with the current state. A torn
//! spare is harmless, because the current state has been verified and stays in its place until the exchange.
//! Whoever else gives .prev to another file waits until then: see [`previous::SPARE`].
#![forbid(unsafe_code)]

use super::current::{CAREFUL, Current, is_named};
use super::previous::SPARE;
use super::record::{Fields, HEADER};
use super::save::*;
use super::temp::{self, UNSYNCED, same};
use super::write;
use crate::hooks::*;
use crate::lock::owner::shared_between_machines;
use crate::path::{self, Name};
use crate::status::*;
use core::ffi::CStr;

/// A spare that is ours alone to write over.
struct Spare<'h> {
    fd: Fd<'h>,
    stat: steadfast_stat,
}

impl Drop for Spare<'_> {
    fn drop(&mut self) {
        // Explicitly: a child that was forked meanwhile has the descriptor too.
        let _ = self.fd.hooks().ofdlock(self.fd.raw(), STEADFAST_OFDLOCK_UNLOCK, SPARE, 1);
        let _ = self.fd.hooks().flock(self.fd.raw(), LOCK_UN);
    }
}

impl Spare<'_> {
    fn claim(&mut self, dir: i32, previous: &CStr, current: &Current<'_>) -> Result<bool, Errno> {
        let hooks = self.fd.hooks();
        self.fd = hooks.openat(dir, previous, CAREFUL | O_RDWR, 0)?;
        let fd = self.fd.raw();
        hooks.fstat(fd, &mut self.stat)?;
        // Written over under another name as well, somebody would lose what is his.
        let ours = is_regular(self.stat.mode) && self.stat.nlink == 1 && self.stat.attributes & STEADFAST_STAT_MOUNT_ROOT == 0;
        if !ours || same(&self.stat, &current.stat) || shared_between_machines(hooks, fd) {
            return Ok(false);
        }
        // Other recyclers, and savers that compare and swap and have it open since it was the current state.
        hooks.flock(fd, LOCK_EX | LOCK_NB)?;
        hooks.ofdlock(fd, STEADFAST_OFDLOCK_EXCLUSIVE, SPARE, 1)?;
        is_named(hooks, dir, previous, &self.stat)
    }

    /// Steps 5 to 7.
    fn fill(&self, current: &Current<'_>, fields: &Fields, request: &Request<'_>) -> Result<(), Errno> {
        let (hooks, fd) = (self.fd.hooks(), self.fd.raw());
        write::record(hooks, fd, fields, request.data, true)?;
        let len = (HEADER as u64).saturating_add(request.data.len() as u64);
        if self.stat.size > len {
            hooks.ftruncate(fd, len)?;
        }
        let (new, old) = (&current.stat, &self.stat);
        temp::set_owner_and_mode(hooks, fd, old, Some(new), 0)?;
        // Content and length are all that must be durable, unless owner or mode are new, too.
        if (new.mode, new.uid, new.gid) == (old.mode, old.uid, old.gid) { hooks.fdatasync(fd) } else { hooks.fsync(fd) }
    }
}

/// Saves so, up to the directory's sync. None: it cannot be done here, or failed on the way; the ordinary way is still
/// open, and leaves a whole .prev.
pub fn save(saving: &mut Saving<'_>, name: &CStr, request: &Request<'_>) -> Result<Option<Outcome>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_RENAME;
    let (hooks, dir, current) = (saving.dir.hooks(), saving.dir.raw(), &saving.current);
    let lacking = STEADFAST_ABSENT_RENAMEAT2 | STEADFAST_ABSENT_OFDLOCK | STEADFAST_ABSENT_FLOCK;
    let durable = current.damage == 0 && current.stat.mode & UNSYNCED == 0;
    if !durable || hooks.absent(lacking) || request.has(STEADFAST_SAVE_NO_SYNC) {
        return Ok(None);
    }
    let mut previous = Name::empty();
    path::previous(&mut previous, name).at(STEADFAST_STEP_ARGUMENTS)?;
    let previous = previous.c_str();
    let mut spare = Spare { fd: Fd::none(hooks), stat: steadfast_stat::default() };
    if spare.claim(dir, previous, current) != Ok(true) || spare.fill(current, &saving.fields, request).is_err() {
        return Ok(None);
    }
    if request.has(STEADFAST_SAVE_IF_GENERATION) && !current.is_named(dir, name).at(STEP)? {
        return Err(saving.conflict(name));
    }
    if hooks.rename(dir, previous, name, RENAME_EXCHANGE).is_err() && !is_named(hooks, dir, name, &spare.stat).at(STEP)? {
        return Ok(None);
    }
    Ok(Some(saving.published()))
}
