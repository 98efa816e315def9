//! Cleaning a stale lock. The ORDER of the steps is the proof: the name is compared with the inode only after
//! the owner was found dead and with the inode's flock held. Compared before, a live owner could unlink and
//! exit in between, and the name would belong to the next one.
#![forbid(unsafe_code)]

use super::identity::Identity;
use super::owner::{self, Owner};
use super::record::{self, Content, MOST};
use crate::hooks::*;
use crate::path::Path;
use crate::state::current::CAREFUL;
use crate::state::temp::same;
use crate::status::*;
use core::ffi::CStr;

/// Take a bare PID for reused when its process started after the lock was last written. Off by default:
/// clocks step.
pub const STEADFAST_LOCK_TRUST_START_TIME: u32 = 1 << 0;
/// A signal ends steadfast_lock_acquire with -EINTR.
pub const STEADFAST_LOCK_EINTR_RETURNS: u32 = 1 << 1;
/// All bits above.
pub const LOCK_ALL: u32 = (1 << 2) - 1;

/// The options, checked.
#[derive(Clone, Copy)]
pub struct Settings {
    pub flags: u32,
    pub mode: u32,
    pub empty_grace_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { flags: 0, mode: 0o644, empty_grace_ms: 0 }
    }
}

/// Opens the directory of a lock: only to name files in it, so that it need not be readable.
pub fn open_directory<'h>(hooks: &'h Hooks, path: &Path) -> Result<Fd<'h>, Outcome> {
    hooks.open_directory(path.directory(), O_PATH).at(STEADFAST_STEP_OPEN_DIRECTORY)
}

/// Cleans (`remove`) or inspects the lock at `path`.
pub fn at_path(hooks: &Hooks, identity: &Identity, path: &Path, settings: &Settings, remove: bool) -> Result<Outcome, Outcome> {
    let dir = open_directory(hooks, path)?;
    examine(hooks, identity, dir.raw(), path.name(), settings, remove)
}

/// The same, for a name in an open directory.
pub fn examine(
    hooks: &Hooks,
    identity: &Identity,
    dir: i32,
    name: &CStr,
    settings: &Settings,
    remove: bool,
) -> Result<Outcome, Outcome> {
    // 1: open, and read the content.
    let fd = match hooks.openat(dir, name, CAREFUL, 0) {
        Ok(fd) => fd,
        Err(e) if e.is(ENOENT) => return Ok(Outcome::because(STEADFAST_LOCK_ABSENT, Detail::ABSENT)),
        Err(e) => return unopened(hooks, dir, name, e),
    };
    let mut stat = steadfast_stat::default();
    hooks.fstat(fd.raw(), &mut stat).at(STEADFAST_STEP_READ_FILE)?;
    if !is_regular(stat.mode) {
        return Ok(Outcome::new(STEADFAST_LOCK_IGNORED));
    }
    let mut buf = [0u8; MOST + 1];
    let content = read_content(hooks, &fd, &stat, &mut buf).at(STEADFAST_STEP_READ_FILE)?;
    // Of our own locks the kernel knows whether they are held: a look at the flock is all that an answer needs.
    let mut look = None;
    if !remove
        && stat.mode & record::MARK != 0
        && let Content::Pid(pid) = record::parse(content)
    {
        look = match hooks.lock(&fd, LOCK_SH | LOCK_NB) {
            Err(e) if e.is(EAGAIN) => {
                let detail = if hooks.probe(pid).is_err_and(|e| e.is(ESRCH)) { Detail::BUSY } else { Detail::ALIVE };
                return Ok(Outcome::because(STEADFAST_LOCK_HELD, detail).with_pid(pid));
            }
            other => other.ok(),
        };
    }
    // 2: is the owner dead, provably?
    let (why, pid) = match judge(hooks, identity, fd.raw(), &stat, content, settings)? {
        Ok(found) => found,
        Err(decided) => return Ok(decided),
    };
    let verdict = |status, detail| Outcome::because(status, detail).with_pid(pid);
    // 3: the flock of the inode, without waiting.
    let operation = if remove { LOCK_EX } else { LOCK_SH };
    let _flock = match look.map_or_else(|| hooks.lock(&fd, operation | LOCK_NB), Ok) {
        Ok(flock) => flock,
        Err(e) if e.is(EAGAIN) => return Ok(verdict(STEADFAST_LOCK_HELD, Detail::BUSY)),
        Err(e) if e.unsupported() || e.is(EBADF) || e.is(ENOLCK) => {
            let lacking = verdict(STEADFAST_E_UNSUPPORTED, Detail::CLEANING_NEEDS_FLOCK);
            return Err(lacking.caused_by(e, STEADFAST_STEP_LOCK_FILE));
        }
        Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_LOCK_FILE).with_pid(pid)),
    };
    if !remove {
        // Nothing will be removed: what was found is what was there a moment ago.
        return Ok(verdict(STEADFAST_LOCK_STALE, why));
    }
    // 4: does the name still mean this inode, with the same content?
    let mut named = steadfast_stat::default();
    match hooks.fstatat(dir, name, &mut named) {
        Ok(()) if same(&stat, &named) && stat.size == named.size => {}
        Ok(()) => return Ok(verdict(STEADFAST_LOCK_CHANGED, Detail::NONE)),
        Err(e) if e.is(ENOENT) => return Ok(Outcome::because(STEADFAST_LOCK_ABSENT, Detail::ABSENT)),
        Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_COMPARE).with_pid(pid)),
    }
    let mut again = [0u8; MOST + 1];
    if read_content(hooks, &fd, &stat, &mut again).at(STEADFAST_STEP_COMPARE)? != content {
        return Ok(verdict(STEADFAST_LOCK_CHANGED, Detail::NONE));
    }
    // 5: remove it. The descriptor stays open until then, or its inode number could come back in another file.
    match hooks.unlink(dir, name) {
        Ok(()) => Ok(verdict(STEADFAST_LOCK_REMOVED, why)),
        Err(e) if e.is(ENOENT) => Ok(Outcome::because(STEADFAST_LOCK_ABSENT, Detail::ABSENT)),
        Err(e) => Err(Outcome::failed(e, STEADFAST_STEP_UNLINK).with_pid(pid)),
    }
}

/// As much of the content as says what it is.
fn read_content<'b>(hooks: &Hooks, fd: &Fd<'_>, stat: &steadfast_stat, buf: &'b mut [u8; MOST + 1]) -> Result<&'b [u8], Errno> {
    let most = usize::try_from(stat.size).unwrap_or(usize::MAX).min(buf.len());
    let len = hooks.pread(fd.raw(), buf.get_mut(..most).unwrap_or_default(), 0)?;
    Ok(buf.get(..len).unwrap_or_default())
}

/// A file that could not be opened.
fn unopened(hooks: &Hooks, dir: i32, name: &CStr, error: Errno) -> Result<Outcome, Outcome> {
    // ELOOP (EMLINK on FreeBSD): a symbolic link. ENXIO: a socket, or a device without a driver (open(2)).
    if error.is(ELOOP) || error.is(EMLINK) || error.is(ENXIO) {
        return Ok(Outcome::new(STEADFAST_LOCK_IGNORED));
    }
    if error.is(EACCES) || error.is(EPERM) {
        let mut stat = steadfast_stat::default();
        return match hooks.fstatat(dir, name, &mut stat) {
            Ok(()) if !is_regular(stat.mode) => Ok(Outcome::new(STEADFAST_LOCK_IGNORED)),
            Ok(()) => {
                let kept = Outcome::because(STEADFAST_LOCK_UNDECIDED, Detail::NO_PERMISSION);
                Ok(kept.caused_by(error, STEADFAST_STEP_OPEN_FILE))
            }
            Err(e) if e.is(ENOENT) => Ok(Outcome::because(STEADFAST_LOCK_ABSENT, Detail::ABSENT)),
            // The directory itself may not be searched.
            Err(_) => Err(Outcome::failed(error, STEADFAST_STEP_OPEN_FILE)),
        };
    }
    Err(Outcome::failed(error, STEADFAST_STEP_OPEN_FILE))
}

/// Step 2: why it is stale, unless its flock is held, and whom it names; or a verdict.
fn judge(
    hooks: &Hooks,
    identity: &Identity,
    fd: i32,
    stat: &steadfast_stat,
    content: &[u8],
    settings: &Settings,
) -> Result<Result<(Detail, i32), Outcome>, Outcome> {
    let undecided = |detail| Ok(Err(Outcome::because(STEADFAST_LOCK_UNDECIDED, detail)));
    let pid = match record::parse(content) {
        Content::Pid(pid) => pid,
        Content::Empty if owner::is_ours(hooks, fd, stat) => return Ok(Ok((Detail::EMPTIED, 0))),
        Content::Empty if settings.empty_grace_ms > 0 => {
            let age = hooks.clock(STEADFAST_CLOCK_REALTIME).at(STEADFAST_STEP_CLOCK)?.saturating_sub(stat.mtime_ns);
            if age >= settings.empty_grace_ms.saturating_mul(1_000_000) {
                return Ok(Ok((Detail::GRACE_OVER, 0)));
            }
            return undecided(Detail::GRACE);
        }
        Content::Empty => return undecided(Detail::EMPTY),
        Content::Malformed => return undecided(Detail::MALFORMED),
    };
    let trust_start = settings.flags & STEADFAST_LOCK_TRUST_START_TIME != 0;
    let owner = owner::judge(hooks, identity, fd, stat, pid, trust_start).at(STEADFAST_STEP_CHECK_OWNER)?;
    match owner {
        Owner::Dead(why) | Owner::Elsewhere(why) => Ok(Ok((why, pid))),
        Owner::Alive(why) => Ok(Err(Outcome::because(STEADFAST_LOCK_HELD, why).with_pid(pid))),
        Owner::Unknown(why) => Ok(Err(Outcome::because(STEADFAST_LOCK_UNDECIDED, why).with_pid(pid))),
    }
}
