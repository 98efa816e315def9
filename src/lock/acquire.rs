//! Taking and releasing a lock.
#![forbid(unsafe_code)]

use super::clean::{self, Settings};
use super::identity::{self, Identity};
use super::owner;
use super::queue::Queue;
use super::record::{ATTRIBUTE, Attribute, MARK};
use super::wait::{Deadline, Watch};
use crate::hooks::*;
use crate::path::{self, Path, Text};
use crate::state::current::is_named;
use crate::state::temp::Temp;
use crate::status::*;
use core::ffi::CStr;

/// A lock that this process holds. Its descriptors are raw: they live until [`release`].
pub struct Held {
    dir: i32,
    file: i32,
    /// The inotify descriptor of the wait, or -1. Closing one can stall for milliseconds (its marks are freed
    /// after a grace period of the kernel), so it waits for the release.
    watch: i32,
    /// Of the lock file.
    dev: u64,
    ino: u64,
    pid: i32,
    /// Of a process that is the first one of its namespace.
    pid_namespace: u64,
}

/// How often in a row the lock may change hands between two calls of ours, before that is taken for a defect.
const ATTEMPTS: u32 = 10_000;

/// What may be given the lock's name.
#[derive(Clone, Copy, PartialEq)]
enum Candidate {
    /// None yet.
    Missing,
    /// A record, complete and locked, without a name (O_TMPFILE): nothing is left of it if we die.
    Nameless,
    /// Under a private name, where there is no O_TMPFILE or no way to link it.
    Private,
}

/// Takes the lock at `path`.
pub fn acquire(
    hooks: &Hooks,
    identity: &Identity,
    path: &Path,
    timeout_ms: i64,
    settings: &Settings,
    told: bool,
) -> Result<(Held, Outcome), Outcome> {
    // Whoever may wait looks for others who do, for which the directory must be open for reading.
    let reading = if timeout_ms == 0 { None } else { hooks.open_directory(path.directory(), 0).ok() };
    let dir = reading.map_or_else(|| clean::open_directory(hooks, path), Ok)?;
    let _streams = hooks.keep_off_streams(&dir);
    let own = hooks.getpid().at(STEADFAST_STEP_CREATE_LOCK)?;
    let mut record = Temp::none(hooks);
    let mut candidate = nameless(&mut record, identity, dir.raw(), settings, own)?;
    let mut wait: Option<(Deadline, Watch<'_>, Queue<'_>)> = None;
    let mut taken_over = None;
    // Waiters are not overtaken by someone who is ready to wait as well.
    let mut barred = timeout_ms != 0 && Queue::is_waited_for(hooks, &dir, path);
    let mut lookups = 0u32;
    while lookups < ATTEMPTS {
        lookups = lookups.saturating_add(1);
        if !barred {
            if candidate == Candidate::Missing {
                private(&mut record, identity, dir.raw(), path.name(), settings, own)?;
                candidate = Candidate::Private;
            }
            match publish(&mut record, dir.raw(), path.name(), candidate)? {
                Published::Yes => {
                    let pid_namespace = if own == 1 { identity.pid_namespace(hooks, own) } else { 0 };
                    let held = Held {
                        dir: dir.into_raw(),
                        file: record.take_raw(),
                        watch: wait.map_or(-1, |wait| wait.1.into_raw()),
                        dev: record.stat.dev,
                        ino: record.stat.ino,
                        pid: own,
                        pid_namespace,
                    };
                    let outcome = describe(hooks, &held, taken_over, told);
                    return Ok((held, outcome));
                }
                Published::Unlinkable => {
                    candidate = Candidate::Missing;
                    continue;
                }
                Published::Exists => {}
            }
        }
        let found = clean::examine(hooks, identity, dir.raw(), path.name(), settings, true)?;
        match found.status() {
            STEADFAST_LOCK_REMOVED => {
                taken_over = Some(found);
                continue;
            }
            STEADFAST_LOCK_ABSENT | STEADFAST_LOCK_CHANGED if !barred => continue,
            STEADFAST_LOCK_IGNORED => return Err(no_lock(hooks, dir.raw(), path.name())),
            _ => {}
        }
        let (deadline, watch, queue) = match &mut wait {
            Some(wait) => wait,
            None => {
                let queue = if timeout_ms == 0 { Queue::none(hooks) } else { Queue::join(hooks, path) };
                wait.insert((Deadline::new(hooks, timeout_ms)?, Watch::new(hooks, &dir, path), queue))
            }
        };
        let free = matches!(found.status(), STEADFAST_LOCK_ABSENT | STEADFAST_LOCK_CHANGED);
        let in_time = watch.until_changed(deadline, &found, free, settings)?;
        let left_to_others = free && barred;
        if !(in_time || left_to_others) {
            return Err(locked(found));
        }
        lookups = 0;
        // A free lock is not left for ever to someone who does not come: a stopped process waits in front.
        barred = in_time && queue.has_someone_before() && !watch.is_patience_over();
    }
    Err(Outcome::failed(Errno::of(EAGAIN), STEADFAST_STEP_LINK))
}

/// What there is to tell about a lock just taken.
fn describe(hooks: &Hooks, held: &Held, taken_over: Option<Outcome>, told: bool) -> Outcome {
    let mut outcome = Outcome::new(STEADFAST_OK).with_pid(held.pid);
    if let Some(stale) = taken_over {
        outcome = outcome.with_detail(Detail::TAKEN_OVER).with_pid(stale.pid());
    }
    if told && owner::shared_between_machines(hooks, held.file) {
        outcome = outcome.with_detail(Detail::NETWORK);
    }
    outcome
}

fn locked(found: Outcome) -> Outcome {
    found.with_status(STEADFAST_E_LOCKED)
}

/// What is under the lock's name is no regular file.
fn no_lock(hooks: &Hooks, dir: i32, name: &CStr) -> Outcome {
    let mut stat = steadfast_stat::default();
    let link = hooks.fstatat(dir, name, &mut stat).is_ok() && is_symlink(stat.mode);
    Outcome::new(if link { STEADFAST_E_SYMLINK } else { STEADFAST_E_NOT_REGULAR })
}

/// Makes a nameless record, where there are such.
fn nameless(record: &mut Temp<'_>, identity: &Identity, dir: i32, settings: &Settings, own: i32) -> Result<Candidate, Outcome> {
    let hooks = record.fd.hooks();
    if O_TMPFILE == 0 || hooks.absent(STEADFAST_ABSENT_O_TMPFILE) {
        return Ok(Candidate::Missing);
    }
    record.fd = match hooks.openat(dir, c".", O_TMPFILE | O_RDWR | O_CLOEXEC, settings.mode | MARK) {
        Ok(fd) => fd,
        // Not on this file system; EISDIR and ENOENT: not in this kernel (open(2)).
        Err(e) if e.unsupported() || e.is(EISDIR) || e.is(ENOENT) => return Ok(Candidate::Missing),
        Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_CREATE_LOCK)),
    };
    write_record(record, identity, own)?;
    hooks.flock(record.fd.raw(), LOCK_EX | LOCK_NB).map_err(no_flock)?;
    Ok(Candidate::Nameless)
}

/// Makes a record under a private name.
fn private(
    record: &mut Temp<'_>,
    identity: &Identity,
    dir: i32,
    name: &CStr,
    settings: &Settings,
    own: i32,
) -> Result<(), Outcome> {
    record.create(dir, name, settings.mode | MARK).at(STEADFAST_STEP_CREATE_LOCK)?;
    // Without one, Temp goes on; a lock cannot.
    record.fd.hooks().flock(record.fd.raw(), LOCK_EX | LOCK_NB).map_err(no_flock)?;
    write_record(record, identity, own)
}

fn no_flock(error: Errno) -> Outcome {
    if error.unsupported() || error.is(ENOLCK) {
        let lacking = Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::HOLDING_NEEDS_FLOCK);
        return lacking.caused_by(error, STEADFAST_STEP_LOCK_FILE);
    }
    Outcome::failed(error, STEADFAST_STEP_LOCK_FILE)
}

/// PID and attribute. A missing attribute is not fatal: the flock still tells.
fn write_record(record: &mut Temp<'_>, identity: &Identity, own: i32) -> Result<(), Outcome> {
    let (hooks, fd) = (record.fd.hooks(), record.fd.raw());
    let mut buf = [0u8; 24];
    hooks.write_all(fd, &[super::record::format(own, &mut buf)]).at(STEADFAST_STEP_CREATE_LOCK)?;
    hooks.fstat(fd, &mut record.stat).at(STEADFAST_STEP_CREATE_LOCK)?;
    if !hooks.absent(STEADFAST_ABSENT_XATTR) {
        let attribute = Attribute {
            boot: identity.boot(hooks),
            start: identity.start(hooks, own),
            pid_namespace: identity.pid_namespace(hooks, own),
            written_ns: record.stat.mtime_ns,
            pidfd: identity.pidfd(hooks, own),
        };
        let _ = hooks.fsetxattr(fd, ATTRIBUTE, &attribute.encode());
    }
    Ok(())
}

enum Published {
    Yes,
    Exists,
    /// This kind of candidate cannot be given a name here.
    Unlinkable,
}

/// Gives the record the lock's name, if nothing has it.
fn publish(record: &mut Temp<'_>, dir: i32, name: &CStr, candidate: Candidate) -> Result<Published, Outcome> {
    let hooks = record.fd.hooks();
    let result = if candidate == Candidate::Nameless {
        let mut linked = hooks.link(record.fd.raw(), c"", dir, name, AT_EMPTY_PATH);
        // ENOENT: AT_EMPTY_PATH is for CAP_DAC_READ_SEARCH only (before Linux 6.10); /proc does it for all (open(2)).
        if linked.is_err_and(|e| e.is(ENOENT)) && !hooks.absent(STEADFAST_ABSENT_PROC) {
            let mut path = Text::empty();
            path::of_descriptor(&mut path, record.fd.raw()).at(STEADFAST_STEP_LINK)?;
            linked = hooks.link(AT_FDCWD, path.c_str(), dir, name, AT_SYMLINK_FOLLOW);
        }
        match linked {
            Err(e) if e.is(ENOENT) || e.is(EPERM) || e.unsupported() => return Ok(Published::Unlinkable),
            // No file system that answers an error for what it did (NFS) has nameless files.
            other => other,
        }
    } else {
        let mut renamed = hooks.rename(dir, record.name.c_str(), name, RENAME_NOREPLACE);
        if renamed.is_err_and(Errno::unsupported) {
            renamed = hooks.link(dir, record.name.c_str(), dir, name, 0);
        } else if renamed.is_ok() {
            record.published();
        }
        // Over NFS, a link that happened may be answered with an error: the inode tells.
        if renamed.is_err() && is_named(hooks, dir, name, &record.stat) == Ok(true) {
            renamed = Ok(());
        }
        renamed.inspect(|()| record.remove_if_ours())
    };
    match result {
        Ok(()) => Ok(Published::Yes),
        Err(e) if e.is(EEXIST) => Ok(Published::Exists),
        Err(e) => Err(Outcome::failed(e, STEADFAST_STEP_LINK)),
    }
}

/// Releases a lock and closes its descriptors.
pub fn release(hooks: &Hooks, held: &Held, name: &CStr) -> Result<Outcome, Outcome> {
    let outcome = unlink_own(hooks, held, name);
    let _ = hooks.close(held.file);
    let _ = hooks.close(held.dir);
    if held.watch >= 0 {
        let _ = hooks.close(held.watch);
    }
    outcome
}

fn unlink_own(hooks: &Hooks, held: &Held, name: &CStr) -> Result<Outcome, Outcome> {
    let own = hooks.getpid().at(STEADFAST_STEP_UNLINK)?;
    // The first process of a nested PID namespace may have the number of the first of its parent's.
    if own != held.pid || (own == 1 && identity::pid_namespace_now(hooks) != held.pid_namespace) {
        // flock is shared with the parent: LOCK_UN here would free its lock (flock(2)). Closing does not.
        return Err(Outcome::new(STEADFAST_E_WRONG_PROCESS).with_pid(held.pid));
    }
    let mut named = steadfast_stat::default();
    let removed = match hooks.fstatat(held.dir, name, &mut named) {
        Ok(()) if (named.dev, named.ino) == (held.dev, held.ino) => hooks.unlink(held.dir, name).at(STEADFAST_STEP_UNLINK),
        Ok(()) => Err(Outcome::because(STEADFAST_E_LOCK_LOST, Detail::LOST_TO_ANOTHER)),
        Err(e) if e.is(ENOENT) => Err(Outcome::because(STEADFAST_E_LOCK_LOST, Detail::TAKEN_AWAY)),
        Err(e) => Err(Outcome::failed(e, STEADFAST_STEP_COMPARE)),
    };
    // A forked child may still have the descriptor. With its name gone nobody can find the inode any more, but
    // a file that stays must not go on being held by that child.
    if removed.is_err() {
        let _ = hooks.flock(held.file, LOCK_UN);
    }
    removed.map(|()| Outcome::new(STEADFAST_OK).with_pid(held.pid))
}
