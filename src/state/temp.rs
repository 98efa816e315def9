//! Temporary files: named in a short sequence beside their target, alive as long as their flock is held.
#![forbid(unsafe_code)]

use crate::hooks::*;
use crate::lock::owner::shared_between_machines;
use crate::path::{self, Name};
use core::ffi::CStr;

/// In the mode of a state whose sync has failed: the sticky bit, which means nothing on a regular file (inode(7)).
pub const UNSYNCED: u32 = 0o1000;

/// Names tried before giving up.
const NAMES: u32 = 1000;

/// A file under a temporary name. Dropped before it was published, it is removed.
pub struct Temp<'h> {
    hooks: &'h Hooks,
    dir: i32,
    pub fd: Fd<'h>,
    pub name: Name,
    /// Its number in the sequence, which also owns [`path::rotating`].
    pub number: u32,
    pub stat: steadfast_stat,
    named: bool,
}

impl<'h> Temp<'h> {
    /// Creates and locks the next free temporary name of `target`, removing orphans on the way.
    pub fn create(hooks: &'h Hooks, dir: i32, target: &CStr, mode: u32) -> Result<Temp<'h>, Errno> {
        let mut last = Errno::of(EEXIST);
        for number in 0..NAMES {
            let name = path::temporary(target, number)?;
            let mut created = create_exclusive(hooks, dir, &name, mode);
            if created.as_ref().is_err_and(|e| e.is(EEXIST)) && remove_orphan(hooks, dir, target, number)? {
                created = create_exclusive(hooks, dir, &name, mode);
            }
            let fd = match created {
                Ok(fd) => fd,
                Err(e) if e.is(EEXIST) => {
                    last = e;
                    continue;
                }
                Err(e) => return Err(e),
            };
            if let Some(stat) = claim(hooks, dir, &fd, &name)? {
                return Ok(Temp { hooks, dir, fd, name, number, stat, named: true });
            }
        }
        Err(last)
    }

    /// Owner and mode of the file that is replaced, or `mode` for a new one.
    pub fn set_owner_and_mode(&self, replaced: Option<&steadfast_stat>, mode: u32) -> Result<(), Errno> {
        let own = &self.stat;
        let mut mode = mode;
        if let Some(old) = replaced {
            mode = old.mode & 0o7777 & !UNSYNCED;
            if old.uid != own.uid || old.gid != own.gid {
                const KEEP: u32 = u32::MAX;
                let both = self.hooks.fchown(self.fd.raw(), old.uid, old.gid);
                // Only root may give a file away, but a member may give it to its group (chown(2)).
                let owned = if both.is_err_and(|e| e.is(EPERM)) {
                    self.hooks.fchown(self.fd.raw(), KEEP, old.gid).and(both)
                } else {
                    both
                };
                match owned {
                    Ok(()) => {}
                    // What set-id bits promise then no longer holds.
                    Err(e) if e.is(EPERM) || e.unsupported() => mode &= 0o1777,
                    Err(e) => return Err(e),
                }
            }
        }
        if mode != own.mode & 0o7777 { self.hooks.fchmod(self.fd.raw(), mode) } else { Ok(()) }
    }

    /// Marks a content whose sync has failed. When it is the current state, it is not kept as the previous one:
    /// that one is durable, as far as is known.
    pub fn mark_unsynced(&self) {
        if let Ok(stat) = self.hooks.fstat(self.fd.raw()) {
            let _ = self.hooks.fchmod(self.fd.raw(), (stat.mode & 0o7777) | UNSYNCED);
        }
    }

    /// The name is gone to where it belongs: nothing is left to remove.
    pub fn published(&mut self) {
        self.named = false;
    }

    /// The descriptor, no longer closed by us; the name stays.
    pub fn into_raw(mut self) -> i32 {
        self.named = false;
        let raw = self.fd.raw();
        core::mem::forget(self);
        raw
    }

    /// Removes the name now, keeping the inode.
    pub fn remove(&mut self) {
        if core::mem::replace(&mut self.named, false) {
            // An error leaves an orphan for the next save; what went wrong before is told, not this.
            let _ = self.hooks.unlink(self.dir, self.name.c_str());
        }
    }
}

impl Temp<'_> {
    /// The same after a rename or link of unknown outcome: if it happened, the name may be another writer's by now.
    pub fn remove_if_ours(&mut self) {
        let ours = self.named && self.hooks.fstatat(self.dir, self.name.c_str()).is_ok_and(|named| same(&self.stat, &named));
        if ours {
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

fn create_exclusive<'h>(hooks: &'h Hooks, dir: i32, name: &Name, mode: u32) -> Result<Fd<'h>, Errno> {
    hooks.openat(dir, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
}

/// Takes the flock that proves this writer alive. None when a racing saver, who saw the name before it was
/// locked, has taken it for an orphan.
fn claim(hooks: &Hooks, dir: i32, fd: &Fd<'_>, name: &Name) -> Result<Option<steadfast_stat>, Errno> {
    let locked = match hooks.flock(fd.raw(), LOCK_EX | LOCK_NB) {
        Err(e) if e.is(EAGAIN) => return Ok(None),
        // No flock here: then nobody takes our file for an orphan either.
        Err(e) if e.unsupported() || e.is(ENOLCK) => Ok(()),
        other => other,
    };
    let compared = locked.and_then(|()| Ok((hooks.fstat(fd.raw())?, hooks.fstatat(dir, name.c_str()))));
    match compared {
        Ok((own, Ok(named))) if same(&own, &named) => Ok(Some(own)),
        Ok((_, Ok(_))) => Ok(None),
        Ok((_, Err(e))) if e.is(ENOENT) => Ok(None),
        Ok((_, Err(e))) | Err(e) => {
            // It was ours a moment ago. Whether it still is cannot be asked without the call that failed.
            if let (Ok(own), Ok(named)) = (hooks.fstat(fd.raw()), hooks.fstatat(dir, name.c_str()))
                && same(&own, &named)
            {
                let _ = hooks.unlink(dir, name.c_str());
            }
            Err(e)
        }
    }
}

/// The same file?
pub fn same(a: &steadfast_stat, b: &steadfast_stat) -> bool {
    a.dev == b.dev && a.ino == b.ino
}

/// Removes temporary name `number` if its writer is dead: a regular file of our user whose flock is free.
/// The flock is held and the name compared again before the removal, so that no live writer loses its file.
fn remove_orphan(hooks: &Hooks, dir: i32, target: &CStr, number: u32) -> Result<bool, Errno> {
    let name = path::temporary(target, number)?;
    let fd = match hooks.openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0) {
        Ok(fd) => fd,
        Err(e) => return Ok(e.is(ENOENT)),
    };
    let Ok(own) = hooks.fstat(fd.raw()) else { return Ok(false) };
    if !is_regular(own.mode) || own.uid != hooks.geteuid()? {
        return Ok(false);
    }
    // Where several machines see the directory, a free flock may only mean that its holder is on another one.
    if shared_between_machines(hooks, fd.raw()) {
        return Ok(false);
    }
    let Ok(_flock) = hooks.lock(&fd, LOCK_EX | LOCK_NB) else { return Ok(false) };
    match hooks.fstatat(dir, name.c_str()) {
        Ok(named) if same(&own, &named) => {}
        Ok(_) => return Ok(false),
        Err(e) => return Ok(e.is(ENOENT)),
    }
    // Its owner's other name first: while `name` stands, it is nobody else's.
    if let Ok(rotating) = path::rotating(target, number) {
        let _ = hooks.unlink(dir, rotating.c_str());
    }
    Ok(hooks.unlink(dir, name.c_str()).is_ok())
}
