//! Is the process that a lock names alive?
#![forbid(unsafe_code)]

use super::identity::{self, Identity};
use super::record::{ATTRIBUTE, ATTRIBUTE_LEN, Attribute, MARK};
use crate::hooks::*;
use crate::path::{Text, decimal, number};
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
        Process::Dead(why) => return Ok(dead(hooks, identity, fd, stat, why)),
        Process::Alive(pidfd) => pidfd,
    };
    let Some(attribute) = attribute(hooks, fd, stat) else {
        if trust_start && started_after(hooks, pid, stat.mtime_ns) {
            return Ok(Owner::Dead(Detail::STARTED_LATER));
        }
        return Ok(Owner::Alive(Detail::ALIVE));
    };
    let boot = identity.boot(hooks);
    if boot != 0 && attribute.boot != 0 && attribute.boot != boot {
        // On a file system that several machines share, another boot may be another machine's.
        return Ok(match shared_between_machines(hooks, fd) {
            false => Owner::Dead(Detail::OTHER_BOOT),
            true => Owner::Unknown(Detail::OTHER_MACHINE),
        });
    }
    let own = hooks.getpid()?;
    let namespace = identity.pid_namespace(hooks, own);
    if namespace != 0 && attribute.pid_namespace != 0 && attribute.pid_namespace != namespace {
        return Ok(Owner::Elsewhere(Detail::OTHER_NAMESPACE));
    }
    let known = identity.pidfd(hooks, own);
    let same = match pidfd {
        Some(pidfd) if known != 0 && attribute.pidfd != 0 => {
            let mut stat = steadfast_stat::default();
            hooks.fstat(pidfd.raw(), &mut stat)?;
            low(stat.ino) == low(attribute.pidfd)
        }
        _ => {
            let start = start_time(hooks, identity, pid, own);
            boot == 0 || start == 0 || attribute.start == 0 || low(attribute.start) == low(start)
        }
    };
    Ok(if same { Owner::Alive(Detail::ALIVE) } else { Owner::Dead(Detail::REUSED) })
}

/// A number that no process here has. Where several machines see the file, that only counts when the record
/// says that it was written here.
fn dead(hooks: &Hooks, identity: &Identity, fd: i32, stat: &steadfast_stat, why: Detail) -> Owner {
    let boot = identity.boot(hooks);
    let here = |attribute: Attribute| boot != 0 && attribute.boot == boot;
    if shared_between_machines(hooks, fd) && !attribute(hooks, fd, stat).is_some_and(here) {
        return Owner::Unknown(Detail::OTHER_MACHINE);
    }
    Owner::Dead(why)
}

/// On a 32-bit system the cached half is compared with the half.
fn low(value: u64) -> usize {
    value as usize
}

/// Is an empty, marked file's content the one that we left there? With an attribute it must say so.
pub fn is_ours(hooks: &Hooks, fd: i32, stat: &steadfast_stat) -> bool {
    stat.mode & MARK != 0 && (attribute(hooks, fd, stat).is_some() || !has_attribute(hooks, fd))
}

/// Unless it is known that there is none: an attribute that cannot be read may say anything.
fn has_attribute(hooks: &Hooks, fd: i32) -> bool {
    let mut bytes = [0u8; ATTRIBUTE_LEN];
    !hooks.fgetxattr(fd, ATTRIBUTE, &mut bytes).is_err_and(|e| e.is(ENODATA) || e.unsupported())
}

/// The attribute, if it speaks of the content that is there: a record that was written after the file got its
/// attribute is a foreign program's.
fn attribute(hooks: &Hooks, fd: i32, stat: &steadfast_stat) -> Option<Attribute> {
    if stat.mode & MARK == 0 {
        return None;
    }
    let mut bytes = [0u8; ATTRIBUTE_LEN];
    let len = hooks.fgetxattr(fd, ATTRIBUTE, &mut bytes).ok()?;
    let attribute = Attribute::decode(&bytes);
    (len == ATTRIBUTE_LEN && attribute.written_ns == stat.mtime_ns).then_some(attribute)
}

fn process(hooks: &Hooks, pid: i32) -> Result<Process<'_>, Errno> {
    const GONE: Process<'_> = Process::Dead(Detail::GONE);
    const ZOMBIE: Process<'_> = Process::Dead(Detail::ZOMBIE);
    const THREAD: Process<'_> = Process::Dead(Detail::THREAD);
    match hooks.pidfd_open(pid) {
        Ok(fd) => {
            let mut fds = [steadfast_pollfd { fd: fd.raw(), events: POLLIN, revents: 0 }];
            // Readable when every thread has exited: a zombie is dead, a process that lost its first thread is not.
            let polled = hooks.poll(&mut fds, 0).is_ok();
            let exited = polled && fds.iter().all(|fd| fd.revents & POLLIN != 0);
            return Ok(if exited { ZOMBIE } else { Process::Alive(Some(fd)) });
        }
        Err(e) if e.is(ESRCH) => return Ok(GONE),
        // The id of a thread that is not its process's first (EINVAL, since Linux 6.9 ENOENT: pidfd_open(2)); but
        // EINVAL has other meanings too, and no error of a call makes an owner dead. Or there are no pidfds, or
        // no descriptor is left.
        Err(_) => {}
    }
    match hooks.probe(pid) {
        Err(e) if e.is(ESRCH) => return Ok(GONE),
        Err(e) if e.is(EPERM) => return Ok(Process::Alive(None)),
        Err(e) => return Err(e),
        Ok(()) => {}
    }
    if let Some(stat) = stat_of(hooks, pid) {
        // A dead first thread shows as a zombie as well, while others still run.
        if (stat.state == b'Z' || stat.state == b'X') && stat.threads <= 1 {
            return Ok(ZOMBIE);
        }
        if is_thread(hooks, pid) {
            return Ok(THREAD);
        }
    }
    Ok(Process::Alive(None))
}

fn proc_path(out: &mut Text<64>, pid: i32, file: &[u8]) -> Option<()> {
    let mut digits = [0u8; 20];
    out.set(&[b"/proc/", decimal(u64::from(pid.unsigned_abs()), &mut digits), file]).ok()
}

fn stat_of(hooks: &Hooks, pid: i32) -> Option<identity::Stat> {
    // A /proc that does not know us by our number is another PID namespace's, and speaks of other processes.
    let own = hooks.getpid().ok()?;
    identity::read_stat(hooks, c"/proc/self/stat").filter(|stat| stat.pid == own)?;
    let mut path = Text::empty();
    proc_path(&mut path, pid, b"/stat")?;
    identity::read_stat(hooks, path.c_str()).filter(|stat| stat.pid == pid)
}

/// /proc/PID answers for a thread's id too, but lists it among the tasks of its process only: the directory
/// task/PID of a process has itself, that of a thread has its leader first. Tgid in status says it outright.
fn is_thread(hooks: &Hooks, pid: i32) -> bool {
    let mut path = Text::empty();
    if proc_path(&mut path, pid, b"/status").is_none() {
        return false;
    }
    let mut buf = [0u8; 512];
    let Ok(fd) = hooks.openat(AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY, 0) else { return false };
    let Ok(len) = hooks.read(fd.raw(), &mut buf) else { return false };
    let text = buf.get(..len).unwrap_or_default();
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"));
    let mut digits = [0u8; 20];
    line.is_some_and(|value| value.trim_ascii() != decimal(u64::from(pid.unsigned_abs()), &mut digits))
}

fn start_time(hooks: &Hooks, identity: &Identity, pid: i32, own: i32) -> u64 {
    let own_start = identity.start(hooks, own);
    // A /proc that does not know us by our number speaks of other processes.
    if pid == own || own_start == 0 { own_start } else { stat_of(hooks, pid).map_or(0, |stat| stat.start) }
}

/// Did the process start after `written_ns`, by the clock of now? Ticks are hundredths of a second for every
/// user program on Linux (time(7)); a second is allowed for rounding.
fn started_after(hooks: &Hooks, pid: i32, written_ns: i64) -> bool {
    const TICK_NS: i64 = 10_000_000;
    let started = || {
        let start = i64::try_from(stat_of(hooks, pid)?.start).ok()?.checked_mul(TICK_NS)?;
        let mut buf = [0u8; 64];
        let fd = hooks.openat(AT_FDCWD, c"/proc/uptime", O_RDONLY | O_CLOEXEC, 0).ok()?;
        let len = hooks.read(fd.raw(), &mut buf).ok()?;
        let mut words = buf.get(..len)?.split(|&byte| byte == b'.' || byte == b' ');
        let (seconds, hundredths) = (number(words.next()?)?, number(words.next()?)?);
        let ticks = i64::try_from(seconds.checked_mul(100)?.checked_add(hundredths)?).ok()?;
        let now = hooks.clock(STEADFAST_CLOCK_REALTIME).ok()?;
        now.checked_sub(ticks.checked_mul(TICK_NS)?)?.checked_add(start)
    };
    started().is_some_and(|started| started > written_ns.saturating_add(1_000_000_000))
}

/// File systems that more than one machine may see (statfs(2), linux/magic.h): NFS, SMB and CIFS, 9p, FUSE
/// (virtiofs, sshfs), Ceph, AFS, OCFS2, GFS2, Lustre, vboxsf.
pub fn shared_between_machines(hooks: &Hooks, fd: i32) -> bool {
    const MAGIC: [i64; 13] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x0102_1997,
        0x6573_5546,
        0x00c3_6400,
        0x5346_414f,
        0x6b41_4653,
        0x7461_636f,
        0x0116_1970,
        0x0bd0_0bd0,
        0x786f_4256,
    ];
    hooks.filesystem(fd).is_ok_and(|magic| MAGIC.contains(&magic))
}
