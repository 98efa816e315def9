//! Temporary files: named in a short sequence beside their target, alive as long as their flock is held.
#![forbid(unsafe_code)]

use super::current::{CAREFUL, is_named};
use crate::hooks::*;
use crate::lock::owner::shared_between_machines;
use crate::path::{self, Name};
use core::ffi::CStr;

/// In the mode of a state whose sync has failed: the sticky bit, which means nothing on a regular file (inode(7)).
pub const UNSYNCED: u32 = 0o1000;

/// Names tried before giving up.
const NAMES: u32 = 1000;

/// A file under a temporary name. Dropped before it was published, it is removed. Large: it is made in place.
pub struct Temp<'h> {
    dir: i32,
    pub fd: Fd<'h>,
    pub name: Name,
    /// Its number in the sequence, which also owns [`path::rotating`].
    pub number: u32,
    pub stat: steadfast_stat,
    named: bool,
}

impl<'h> Temp<'h> {
    /// Not made yet.
    pub fn none(hooks: &'h Hooks) -> Temp<'h> {
        Temp { dir: -1, fd: Fd::none(hooks), name: Name::empty(), number: 0, stat: steadfast_stat::default(), named: false }
    }

    /// Creates and locks the next free temporary name of `target`, removing orphans on the way.
    pub fn create(&mut self, dir: i32, target: &CStr, mode: u32) -> Result<(), Errno> {
        let hooks = self.fd.hooks();
        self.remove();
        self.dir = dir;
        let mut last = Errno::of(EEXIST);
        for number in 0..NAMES {
            self.number = number;
            path::temporary(&mut self.name, target, number)?;
            let mut orphan = true;
            self.fd = loop {
                match hooks.openat(dir, self.name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode) {
                    Err(e) if e.is(EEXIST) && orphan => {
                        if !remove_orphan(hooks, dir, self.name.c_str(), target, number)? {
                            break Fd::none(hooks);
                        }
                        orphan = false;
                    }
                    Err(e) if e.is(EEXIST) => {
                        last = e;
                        break Fd::none(hooks);
                    }
                    other => break other?,
                }
            };
            if self.fd.raw() >= 0 && self.claim()? {
                self.named = true;
                return Ok(());
            }
        }
        Err(last)
    }

    /// Takes the flock that proves this writer alive. Not so when a racing saver, who saw the name before it was
    /// locked, has taken it for an orphan.
    fn claim(&mut self) -> Result<bool, Errno> {
        let (hooks, fd) = (self.fd.hooks(), self.fd.raw());
        let claimed = match hooks.flock(fd, LOCK_EX | LOCK_NB) {
            Err(e) if e.is(EAGAIN) => return Ok(false),
            // No flock here: then nobody takes our file for an orphan either.
            Err(e) if e.unsupported() || e.is(ENOLCK) => Ok(()),
            other => other,
        };
        let claimed = claimed.and_then(|()| hooks.fstat(fd, &mut self.stat)).and_then(|()| self.is_named());
        // It was ours a moment ago. Whether it still is cannot be asked without the call that failed.
        if claimed.is_err() && hooks.fstat(fd, &mut self.stat).is_ok() && self.is_named().is_ok_and(|named| named) {
            let _ = hooks.unlink(self.dir, self.name.c_str());
        }
        claimed
    }

    fn is_named(&self) -> Result<bool, Errno> {
        is_named(self.fd.hooks(), self.dir, self.name.c_str(), &self.stat)
    }

    /// Marks a content whose sync has failed. When it is the current state, it is not kept as the previous one:
    /// that one is durable, as far as is known.
    pub fn mark_unsynced(&mut self) {
        let hooks = self.fd.hooks();
        if hooks.fstat(self.fd.raw(), &mut self.stat).is_ok() {
            let _ = hooks.fchmod(self.fd.raw(), (self.stat.mode & 0o7777) | UNSYNCED);
        }
    }

    /// The name is gone to where it belongs: nothing is left to remove.
    pub fn published(&mut self) {
        self.named = false;
    }

    /// The descriptor, no longer closed by us; the name stays.
    pub fn take_raw(&mut self) -> i32 {
        self.named = false;
        let hooks = self.fd.hooks();
        core::mem::replace(&mut self.fd, Fd::none(hooks)).into_raw()
    }

    /// Removes the name now, keeping the inode.
    pub fn remove(&mut self) {
        if core::mem::replace(&mut self.named, false) {
            // An error leaves an orphan for the next save; what went wrong before is told, not this.
            let _ = self.fd.hooks().unlink(self.dir, self.name.c_str());
        }
    }

    /// The same after a rename or link of unknown outcome: if it happened, the name may be another writer's by now.
    pub fn remove_if_ours(&mut self) {
        if self.named && self.is_named().is_ok_and(|named| named) {
            self.remove();
        }
        self.named = false;
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Gives `fd`, whose stat is `own`, owner and mode of the file that it replaces, or `mode` for a new one.
pub fn set_owner_and_mode(
    hooks: &Hooks,
    fd: i32,
    own: &steadfast_stat,
    replaced: Option<&steadfast_stat>,
    mode: u32,
) -> Result<(), Errno> {
    let mut mode = if mode == 0 { 0o600 } else { mode };
    if let Some(old) = replaced {
        mode = old.mode & 0o7777 & !UNSYNCED;
        if old.uid != own.uid || old.gid != own.gid {
            const KEEP: u32 = u32::MAX;
            let both = hooks.fchown(fd, old.uid, old.gid);
            // Only root may give a file away, but a member may give it to its group (chown(2)).
            let owned = if both.is_err_and(|e| e.is(EPERM)) { hooks.fchown(fd, KEEP, old.gid).and(both) } else { both };
            match owned {
                Ok(()) => {}
                // What set-id bits promise then no longer holds.
                Err(e) if e.is(EPERM) || e.unsupported() => mode &= 0o1777,
                Err(e) => return Err(e),
            }
        }
    }
    if mode != own.mode & 0o7777 { hooks.fchmod(fd, mode) } else { Ok(()) }
}

/// The same file?
pub fn same(a: &steadfast_stat, b: &steadfast_stat) -> bool {
    a.dev == b.dev && a.ino == b.ino
}

/// Removes temporary name `number` of `target` if its writer is dead: a regular file of our user, or for root of the
/// state's owner, whose flock is free.
/// The flock is held and the name compared again before the removal, so that no live writer loses its file.
fn remove_orphan(hooks: &Hooks, dir: i32, name: &CStr, target: &CStr, number: u32) -> Result<bool, Errno> {
    let fd = match hooks.openat(dir, name, CAREFUL, 0) {
        Ok(fd) => fd,
        Err(e) => return Ok(e.is(ENOENT)),
    };
    let mut own = steadfast_stat::default();
    if hooks.fstat(fd.raw(), &mut own).is_err() || !is_regular(own.mode) {
        return Ok(false);
    }
    let euid = hooks.geteuid()?;
    if own.uid != euid {
        // Root gives it to the owner of the state before it is renamed.
        let mut state = steadfast_stat::default();
        if euid != 0 || hooks.fstatat(dir, target, &mut state).is_err() || state.uid != own.uid {
            return Ok(false);
        }
    }
    // Where several machines see the directory, a free flock may only mean that its holder is on another one.
    if shared_between_machines(hooks, fd.raw()) {
        return Ok(false);
    }
    let Ok(_flock) = hooks.lock(&fd, LOCK_EX | LOCK_NB) else { return Ok(false) };
    if !is_named(hooks, dir, name, &own).unwrap_or(false) {
        return Ok(false);
    }
    // Its owner's other name first: while `name` stands, it is nobody else's.
    let mut rotating = Name::empty();
    if path::rotating(&mut rotating, target, number).is_ok() {
        let _ = hooks.unlink(dir, rotating.c_str());
    }
    Ok(hooks.unlink(dir, name).is_ok())
}
