//! Is the process that a lock names alive?

use super::format::{ATTRIBUTE, ATTRIBUTE_LEN, Attribute, MARK};
use super::identity::Identity;
use super::proc;
use crate::file::filesystem::{has_unreliable_flock, shared_between_machines};
use crate::hooks::*;
use crate::status::Detail;

/// What is known about the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Provably gone.
    Dead(Detail),
    /// Alive, or not provably gone.
    Alive(Detail),
    /// Its number means nothing here: only the flock tells.
    Elsewhere(Detail),
    /// Its number means nothing here, and neither does the flock.
    Unknown(Detail),
}

/// What a number stands for.
enum Process<'h> {
    /// With its pidfd, where there is one.
    Alive(Option<Fd<'h>>),
    Dead(Detail),
}

/// Judges the owner `pid` of the lock file `fd`, whose state is `stat`.
pub fn judge(
    hooks: &Hooks,
    identity: &Identity,
    fd: i32,
    stat: &steadfast_stat,
    pid: i32,
    trust_start: bool,
) -> Result<Owner, Errno> {
    let pidfd = match process(hooks, pid)? {
        Process::Dead(why) => return Ok(dead(hooks, identity, fd, stat, pid, why)),
        Process::Alive(pidfd) => pidfd,
    };
    let own = hooks.getpid()?;
    let alive = Owner::Alive(if pid == own { Detail::OwnProcess } else { Detail::Alive });
    let Some(attribute) = attribute(hooks, fd, stat, pid) else {
        if trust_start && started_after(hooks, pid, stat.mtime_ns) {
            return Ok(Owner::Dead(Detail::StartedLater));
        }
        return Ok(alive);
    };
    let boot = identity.boot(hooks);
    if boot != 0 && attribute.boot != 0 && attribute.boot != boot {
        // On a file system that several machines share, another boot may be another machine's.
        return Ok(match shared_between_machines(hooks, fd) {
            false => Owner::Dead(Detail::OtherBoot),
            true => Owner::Unknown(Detail::OtherMachine),
        });
    }
    let namespace = identity.pid_namespace(hooks, own);
    if namespace != 0 && attribute.pid_namespace != 0 && attribute.pid_namespace != namespace {
        return Ok(match has_unreliable_flock(hooks, fd) {
            false => Owner::Elsewhere(Detail::OtherNamespace),
            true => Owner::Unknown(Detail::NamespaceUnseen),
        });
    }
    let known = identity.pidfd(hooks, own);
    let same = match pidfd {
        Some(pidfd) if known != 0 && attribute.pidfd != 0 => low(hooks.fstat(pidfd.raw())?.ino) == low(attribute.pidfd),
        _ => {
            let start = start_time(hooks, identity, pid, own);
            boot == 0 || start == 0 || attribute.start == 0 || low(attribute.start) == low(start)
        }
    };
    Ok(if same { alive } else { Owner::Dead(Detail::Reused) })
}

/// A number that no process here has. Where several machines see the file, that only counts when the record
/// says that it was written here.
fn dead(hooks: &Hooks, identity: &Identity, fd: i32, stat: &steadfast_stat, pid: i32, why: Detail) -> Owner {
    let boot = identity.boot(hooks);
    let here = |attribute: Attribute| boot != 0 && attribute.boot == boot;
    if has_unreliable_flock(hooks, fd) {
        // It may be a live process of another PID namespace, whose flock is not seen.
        let namespace = identity.pid_namespace(hooks, hooks.getpid().unwrap_or(0));
        let of_ours = |attribute: Attribute| namespace != 0 && attribute.pid_namespace == namespace;
        if !attribute(hooks, fd, stat, pid).is_some_and(of_ours) {
            return Owner::Unknown(Detail::NamespaceUnseen);
        }
    }
    if shared_between_machines(hooks, fd) && !attribute(hooks, fd, stat, pid).is_some_and(here) {
        return Owner::Unknown(Detail::OtherMachine);
    }
    Owner::Dead(why)
}

/// On a 32-bit system the cached half is compared with the half.
fn low(value: u64) -> usize {
    value as usize
}

/// Is an empty file one that we left so? Its attribute says it, or its mark, when it has no attribute.
pub fn is_ours(hooks: &Hooks, fd: i32, stat: &steadfast_stat) -> bool {
    is_described(hooks, fd, stat, 0) || (stat.mode & MARK != 0 && !has_attribute(hooks, fd))
}

/// Has the file an attribute that speaks of its content, which names `pid` (0: nobody)?
fn is_described(hooks: &Hooks, fd: i32, stat: &steadfast_stat, pid: i32) -> bool {
    attribute(hooks, fd, stat, pid).is_some()
}

/// Is it known that no attribute speaks of the content, which names `pid`? Where there are none at all, it is not.
pub fn is_known_undescribed(hooks: &Hooks, fd: i32, stat: &steadfast_stat, pid: i32) -> bool {
    let mut bytes = [0u8; ATTRIBUTE_LEN];
    let can_tell = hooks.fgetxattr(fd, ATTRIBUTE, &mut bytes).map_or_else(|e| e.is(ENODATA), |_| true);
    can_tell && attribute(hooks, fd, stat, pid).is_none()
}

/// Unless it is known that there is none: an attribute that cannot be read may say anything.
fn has_attribute(hooks: &Hooks, fd: i32) -> bool {
    let mut bytes = [0u8; ATTRIBUTE_LEN];
    !hooks.fgetxattr(fd, ATTRIBUTE, &mut bytes).is_err_and(|e| e.is(ENODATA) || e.unsupported())
}

/// The attribute, if it speaks of the content that is there: a record that was written at another time than the file got its
/// attribute is a foreign program's. It counts without the mark, which some file systems drop.
fn attribute(hooks: &Hooks, fd: i32, stat: &steadfast_stat, pid: i32) -> Option<Attribute> {
    let mut bytes = [0u8; ATTRIBUTE_LEN];
    let len = hooks.fgetxattr(fd, ATTRIBUTE, &mut bytes).ok()?;
    Some(Attribute::decode(&bytes)).filter(|attribute| len == ATTRIBUTE_LEN && attribute.is_about(pid, stat.mtime_ns))
}

fn process(hooks: &Hooks, pid: i32) -> Result<Process<'_>, Errno> {
    match hooks.pidfd_open(pid) {
        Ok(fd) => {
            let mut fds = [steadfast_pollfd { fd: fd.raw(), events: POLLIN, revents: 0 }];
            // Readable when every thread has exited: a zombie is dead, a process that lost its first thread is not.
            let polled = hooks.poll(&mut fds, 0).is_ok();
            let exited = polled && fds.iter().all(|fd| fd.revents & POLLIN != 0);
            return Ok(if exited { Process::Dead(Detail::Zombie) } else { Process::Alive(Some(fd)) });
        }
        Err(e) if e.is(ESRCH) => return Ok(Process::Dead(Detail::Gone)),
        // The id of a thread that is not its process's first (EINVAL, since Linux 6.9 ENOENT: pidfd_open(2)); but
        // EINVAL has other meanings too, and no error of a call makes an owner dead. Or there are no pidfds, or
        // no descriptor is left.
        Err(_) => {}
    }
    match hooks.probe(pid) {
        Err(e) if e.is(ESRCH) => return Ok(Process::Dead(Detail::Gone)),
        Err(e) if e.is(EPERM) => return Ok(Process::Alive(None)),
        Err(e) => return Err(e),
        Ok(()) => {}
    }
    if let Some(stat) = proc::stat_of(hooks, pid) {
        // A dead first thread shows as a zombie as well, while others still run.
        if (stat.state == b'Z' || stat.state == b'X') && stat.threads <= 1 {
            return Ok(Process::Dead(Detail::Zombie));
        }
        if proc::is_thread(hooks, pid) {
            return Ok(Process::Dead(Detail::Thread));
        }
    }
    Ok(Process::Alive(None))
}

fn start_time(hooks: &Hooks, identity: &Identity, pid: i32, own: i32) -> u64 {
    let own_start = identity.start(hooks, own);
    // A /proc that does not know us by our number speaks of other processes.
    if pid == own || own_start == 0 { own_start } else { proc::stat_of(hooks, pid).map_or(0, |stat| stat.start) }
}

/// Did the process start after `written_ns`? A second is allowed for rounding, and what the file system may have cut off the
/// time: a second, or two on vfat.
fn started_after(hooks: &Hooks, pid: i32, written_ns: i64) -> bool {
    const SECOND: i64 = 1_000_000_000;
    let cut = match written_ns.rem_euclid(2 * SECOND) {
        0 => 2 * SECOND,
        SECOND => SECOND,
        _ => 0,
    };
    proc::started_ns(hooks, pid).is_some_and(|started| started > written_ns.saturating_add(SECOND).saturating_add(cut))
}
