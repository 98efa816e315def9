//! Temporary files: named in a short sequence beside their target, alive as long as their flock is held.

use super::entry::{CAREFUL, Entry};
use super::filesystem::shared_between_machines;
use super::flock;
use super::names::{self, Shape};
use super::path::Name;
use crate::hooks::*;
use crate::mem::format::hash;
use crate::status::*;
use core::ffi::CStr;

/// Names in the sequence.
pub const SEQUENCE: u32 = 1000;
/// Names tried beyond it, where orphans cannot be removed: each is as good as new.
const UNIQUE: u32 = 100;

/// A name that is removed when this is dropped.
struct Named<'h> {
    hooks: &'h Hooks,
    dir: i32,
    name: Name,
    /// Is it still to be removed?
    ours: bool,
}

impl<'h> Named<'h> {
    fn entry(&self) -> Entry<'h, '_> {
        Entry::of_raw(self.hooks, self.dir, self.name.c_str())
    }

    fn remove(&mut self) {
        if core::mem::replace(&mut self.ours, false) {
            // An error leaves an orphan for the next save. The report is about what went wrong before.
            let _ = self.entry().unlink();
        }
    }
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A file under a temporary name. Dropped before it was published, it is removed.
pub struct Temp<'h> {
    named: Named<'h>,
    pub fd: Fd<'h>,
    /// Its number and shape, which also own [`names::rotating`].
    pub number: u32,
    pub shape: Shape,
    pub stat: steadfast_stat,
    /// Why it has no flock: there is none here.
    pub unlocked: Option<Errno>,
}

impl<'h> Temp<'h> {
    /// Creates and locks the next free temporary name of `target`, removing orphans on the way. `close_on_exec` is O_CLOEXEC
    /// or 0.
    pub fn create(target: Entry<'h, '_>, mode: u32, close_on_exec: i32) -> Result<Temp<'h>, Errno> {
        Temp::create_from(target, 0, mode, close_on_exec)
    }

    /// A second one of a call that has one already: where there is no flock, that would look like an orphan.
    pub fn create_after(first: &Temp<'h>, target: Entry<'h, '_>, mode: u32) -> Result<Temp<'h>, Errno> {
        Temp::create_from(target, first.number.saturating_add(1), mode, O_CLOEXEC)
    }

    /// Temporary name number `k`, or another where that is taken: to remove what belongs to its owner.
    pub fn create_for_second(target: Entry<'h, '_>, k: u32) -> Result<Temp<'h>, Errno> {
        Temp::create_from(target, k, 0o600, O_CLOEXEC)
    }

    fn create_from(target: Entry<'h, '_>, first: u32, mode: u32, close_on_exec: i32) -> Result<Temp<'h>, Errno> {
        let mut shape = Shape::Named;
        let mut number = first;
        let mut tried = 0u32;
        while tried < SEQUENCE.saturating_add(UNIQUE) {
            let name = names::temporary(target.name(), number, shape)?;
            match open_new(target, name.c_str(), (number, shape), mode, close_on_exec) {
                Ok(Some(fd)) => {
                    let named = Named { hooks: target.hooks(), dir: target.dir(), name, ours: false };
                    let mut temp = Temp { named, fd, number, shape, stat: steadfast_stat::default(), unlocked: None };
                    if temp.claim()? {
                        temp.named.ours = true;
                        return Ok(temp);
                    }
                }
                Ok(None) => {}
                Err(e) if e.is(ENAMETOOLONG) && shape == Shape::Named => {
                    shape = Shape::Short;
                    continue;
                }
                Err(e) => return Err(e),
            }
            tried = tried.saturating_add(1);
            number = if tried < SEQUENCE { first.saturating_add(tried) } else { unique(target.hooks(), tried)? };
        }
        Err(Errno::of(EEXIST))
    }

    /// A file without a name in the directory `dir`, open already.
    pub fn nameless(dir: &Fd<'h>, fd: Fd<'h>) -> Temp<'h> {
        let named = Named { hooks: dir.hooks(), dir: dir.raw(), name: Name::empty(), ours: false };
        Temp { named, fd, number: 0, shape: Shape::Named, stat: steadfast_stat::default(), unlocked: None }
    }

    /// Its name in its directory.
    pub fn entry(&self) -> Entry<'h, '_> {
        self.named.entry()
    }

    /// Takes the flock that proves this writer alive. False when a racing saver, who saw the name before it was locked,
    /// has taken it for an orphan.
    fn claim(&mut self) -> Result<bool, Errno> {
        let (hooks, fd) = (self.fd.hooks(), self.fd.raw());
        let locked = match hooks.flock(fd, LOCK_EX | LOCK_NB) {
            Err(e) if e.is(EAGAIN) => return Ok(false),
            // No flock here: then nobody takes our file for an orphan either.
            Err(e) if flock::is_missing(e) => {
                self.unlocked = Some(e);
                Ok(())
            }
            other => other,
        };
        let claimed = locked.and_then(|()| hooks.fstat(fd)).and_then(|stat| {
            self.stat = stat;
            self.entry().is(&stat)
        });
        if claimed.is_err() {
            // It was ours a moment ago. Whether it still is cannot be asked without the call that failed.
            if let Ok(stat) = hooks.fstat(fd)
                && self.entry().is(&stat) == Ok(true)
            {
                let _ = self.entry().unlink();
            }
        }
        claimed
    }

    /// The name went to where it belongs: nothing is left to remove.
    pub fn published(&mut self) {
        self.named.ours = false;
    }

    /// Removes the name now, keeping the inode.
    pub fn remove(&mut self) {
        self.named.remove();
    }

    /// The same after a rename or link of unknown outcome: if it happened, the name may be another writer's by now.
    pub fn remove_if_ours(&mut self) {
        if self.named.ours && self.entry().is(&self.stat) == Ok(true) {
            self.named.remove();
        }
        self.named.ours = false;
    }

    /// Its descriptor; a name that was not published is removed.
    pub fn into_fd(self) -> Fd<'h> {
        self.fd
    }
}

/// Creates temporary name number `number` of `target`, removing the orphan that has it. None: the name is taken.
fn open_new<'h>(
    target: Entry<'h, '_>,
    name: &CStr,
    (number, shape): (u32, Shape),
    mode: u32,
    close_on_exec: i32,
) -> Result<Option<Fd<'h>>, Errno> {
    let entry = target.sibling(name);
    let create = || entry.open(O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | close_on_exec, mode);
    let mut created = create();
    if created.as_ref().is_err_and(|e| e.is(EEXIST)) && remove_orphan(entry, target, number, shape)? {
        created = create();
    }
    match created {
        Ok(fd) => Ok(Some(fd)),
        Err(e) if e.is(EEXIST) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A number beyond the sequence that nobody else is likely to use at this moment.
fn unique(hooks: &Hooks, tried: u32) -> Result<u32, Errno> {
    let process = hooks.getpid()?.unsigned_abs();
    let moment = hooks.clock(STEADFAST_CLOCK_MONOTONIC)?;
    let mixed = hash(&moment.to_le_bytes()) ^ hash(&process.to_le_bytes()) ^ u64::from(tried);
    Ok(SEQUENCE.saturating_add((mixed % 4_000_000_000) as u32))
}

/// Removes temporary name number `number` of `target` if its writer is dead. True when the name is free now.
fn remove_orphan(orphan: Entry<'_, '_>, target: Entry<'_, '_>, number: u32, shape: Shape) -> Result<bool, Errno> {
    let verdict = look_at_orphan(orphan, target, (number, shape), true)?;
    Ok(verdict == STEADFAST_LOCK_ABSENT || verdict == STEADFAST_LOCK_REMOVED)
}

/// Says what temporary name number `number` of `target` is, as a verdict about a lock is said, and removes it (`remove`) if its
/// writer is dead: a regular file of our user, or for root of the state's owner, whose flock is free.
/// The flock is held and the name compared again before the removal, so that no live writer loses its file.
pub fn look_at_orphan(
    orphan: Entry<'_, '_>,
    target: Entry<'_, '_>,
    (number, shape): (u32, Shape),
    remove: bool,
) -> Result<i32, Errno> {
    let hooks = orphan.hooks();
    let fd = match orphan.open(CAREFUL, 0) {
        Ok(fd) => fd,
        Err(e) if e.is(ENOENT) => return Ok(STEADFAST_LOCK_ABSENT),
        Err(_) => return Ok(STEADFAST_LOCK_UNDECIDED),
    };
    let Ok(own) = hooks.fstat(fd.raw()) else { return Ok(STEADFAST_LOCK_UNDECIDED) };
    if !is_regular(own.mode) {
        return Ok(STEADFAST_LOCK_IGNORED);
    }
    let euid = hooks.geteuid()?;
    // Root gives its file to the owner of the state before it is renamed.
    if own.uid != euid && (euid != 0 || !target.stat().is_ok_and(|state| state.uid == own.uid)) {
        return Ok(STEADFAST_LOCK_UNDECIDED);
    }
    // Where several machines see the directory, a free flock may only mean that its holder is on another one.
    if shared_between_machines(hooks, fd.raw()) {
        return Ok(STEADFAST_LOCK_UNDECIDED);
    }
    let _flock = match hooks.lock(fd.raw(), LOCK_EX | LOCK_NB) {
        Ok(flock) => flock,
        Err(e) if e.is(EAGAIN) => return Ok(STEADFAST_LOCK_HELD),
        Err(_) => return Ok(STEADFAST_LOCK_UNDECIDED),
    };
    match orphan.is(&own) {
        Ok(true) => {}
        Ok(false) => return Ok(STEADFAST_LOCK_CHANGED),
        Err(_) => return Ok(STEADFAST_LOCK_UNDECIDED),
    }
    if !remove {
        return Ok(STEADFAST_LOCK_STALE);
    }
    // Its owner's other names first: while the temporary name stands, they are nobody else's.
    for other in [names::rotating, names::aside] {
        for shape in [shape, Shape::Short] {
            if let Ok(other) = other(target.name(), number, shape) {
                let _ = target.sibling(other.c_str()).unlink();
            }
        }
    }
    Ok(if orphan.unlink().is_ok() { STEADFAST_LOCK_REMOVED } else { STEADFAST_LOCK_UNDECIDED })
}
