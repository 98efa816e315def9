//! The one door to the system: typed calls through the hook table.
//!
//! Nothing outside this folder calls libc. Each call here counts for the fault injector, retries EINTR, and
//! refuses what a hook could not have meant.
#![allow(unsafe_code)]

pub mod call;
mod errno;
pub mod errno_names;
mod fault;
mod guard;
pub mod memory;
mod platform;
mod real;
mod table;

pub use errno::{Errno, c_str};
pub use fault::Fault;
pub use guard::{Fd, Flock};
pub use memory::Buffer;
pub use platform::*;
pub use table::*;

use crate::status::STEADFAST_E_HOOK;
use call::*;
use core::ffi::CStr;

/// steadfast_hooks_default returns a pointer to one of these; its user pointer is NULL.
pub struct SharedTable(pub steadfast_hooks);
// Never written, and its user pointer is NULL.
unsafe impl Sync for SharedTable {}

/// The real calls.
pub fn real_table() -> &'static steadfast_hooks {
    &real::TABLE.0
}

/// The hooks of a context.
#[derive(Clone)]
pub struct Hooks {
    table: steadfast_hooks,
    fault: Option<Fault>,
}
// The library only hands `user` to the hooks; that they may run in several threads is their owner's to see to.
unsafe impl Sync for Hooks {}
unsafe impl Send for Hooks {}

/// An EINTR that never ends is a broken hook, not a signal.
const EINTR_LIMIT: u32 = 1 << 20;
/// -EINTR.
const INTERRUPTED: i64 = -(EINTR as i64);

/// What a hook returned, looked at.
#[inline(never)]
fn settled(result: i64, most: i64) -> Result<i64, Errno> {
    match result {
        0.. if result <= most => Ok(result),
        -4095..0 => Err(Errno::from_code(result)),
        _ => Err(Errno::from_code(STEADFAST_E_HOOK as i64)),
    }
}

/// Calls hook `$name`, or the real call when it is NULL, again after EINTR up to `$retries` times.
macro_rules! call_hook {
    ($self:ident, $retries:expr, $number:expr, $name:ident, $most:expr $(, $argument:expr)*) => {{
        let mut retries: u32 = $retries;
        loop {
            let mut result = $self.injected($number);
            if result == 0 {
                let hook = $self.table.$name.unwrap_or(real::$name);
                result = i64::from(unsafe { hook($self.table.user $(, $argument)*) });
            }
            if result != INTERRUPTED || retries == 0 {
                break settled(result, $most);
            }
            retries = retries.saturating_sub(1);
        }
    }};
}

macro_rules! once {
    ($self:ident, $($call:tt)*) => { call_hook!($self, 0, $($call)*) };
}

macro_rules! retried {
    ($self:ident, $($call:tt)*) => { call_hook!($self, EINTR_LIMIT, $($call)*) };
}

const INT: i64 = i32::MAX as i64;

fn done(result: Result<i64, Errno>) -> Result<(), Errno> {
    result.map(|_| ())
}

fn most(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

impl Hooks {
    /// Real calls on a complete platform.
    pub const REAL: Hooks = Hooks { table: steadfast_hooks::real(), fault: None };

    /// These hooks, and a fault to inject.
    pub const fn new(table: steadfast_hooks, fault: Option<Fault>) -> Hooks {
        Hooks { table, fault }
    }

    /// The negated errno to inject instead of this call, or 0.
    fn injected(&self, call: u32) -> i64 {
        self.fault.as_ref().map_or(0, |fault| fault.check(call))
    }

    /// Is this STEADFAST_ABSENT_* set?
    pub fn absent(&self, bit: u32) -> bool {
        self.table.absent & bit != 0
    }

    /// openat(2). O_DIRECTORY is left out where it is absent: the caller looks at what it got.
    #[inline(never)]
    pub fn openat(&self, dir: i32, path: &CStr, flags: i32, mode: u32) -> Result<Fd<'_>, Errno> {
        let flags = if self.absent(STEADFAST_ABSENT_O_DIRECTORY) && flags & O_TMPFILE != O_TMPFILE {
            flags & !O_DIRECTORY
        } else {
            flags
        };
        let raw = retried!(self, STEADFAST_CALL_OPENAT, openat, INT, dir, path.as_ptr(), flags, mode)?;
        Ok(Fd { hooks: self, raw: raw as i32 })
    }

    /// Opens a directory; `more` flags are O_PATH or 0. Where O_DIRECTORY is absent, fstat tells what it is.
    pub fn open_directory(&self, path: &CStr, more: i32) -> Result<Fd<'_>, Errno> {
        let dir = self.openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | more, 0)?;
        if self.absent(STEADFAST_ABSENT_O_DIRECTORY) && !is_directory(self.fstat(dir.raw())?.mode) {
            return Err(Errno::of(ENOTDIR));
        }
        Ok(dir)
    }

    /// Fills the descriptors of the standard streams that are closed, for as long as the answer lives: a file
    /// of ours that got number 1 would be written to by whoever prints. `first` was opened just now.
    pub fn keep_off_streams(&self, first: &Fd<'_>) -> [Option<Fd<'_>>; 3] {
        let mut fillers = [None, None, None];
        if first.raw() > 2 {
            return fillers;
        }
        for filler in &mut fillers {
            *filler = self.openat(AT_FDCWD, c"/dev/null", O_RDWR | O_CLOEXEC, 0).ok().filter(|fd| fd.raw() <= 2);
            if filler.is_none() {
                break;
            }
        }
        fillers
    }

    /// close(2), never retried: the descriptor is gone whatever it answers (close(2), "Dealing with error returns").
    #[inline(never)]
    pub fn close(&self, fd: i32) -> Result<(), Errno> {
        // An injected error comes after a real close, as the kernel's do: it frees the descriptor first.
        let injected = self.injected(STEADFAST_CALL_CLOSE);
        let hook = self.table.close.unwrap_or(real::close);
        let result = i64::from(unsafe { hook(self.table.user, fd) });
        done(settled(if injected == 0 { result } else { injected }, INT))
    }

    /// Writes all of `parts`, one after the other, going on after short writes, with SIGXFSZ held off.
    #[inline(never)]
    pub fn write_all(&self, fd: i32, parts: &[&[u8]]) -> Result<(), Errno> {
        let mut state = retried!(self, STEADFAST_CALL_SIGXFSZ, sigxfsz, INT, STEADFAST_SIGXFSZ_BLOCK, 0)? as i32;
        let result = self.write_parts(fd, parts);
        if result.is_err_and(|e| e.is(EFBIG)) {
            state |= STEADFAST_SIGXFSZ_RAISED;
        }
        let restored = retried!(self, STEADFAST_CALL_SIGXFSZ, sigxfsz, INT, STEADFAST_SIGXFSZ_RESTORE, state);
        result.and(done(restored))
    }

    fn write_parts(&self, fd: i32, parts: &[&[u8]]) -> Result<(), Errno> {
        for part in parts {
            let mut rest: &[u8] = part;
            let mut empty = 0u32;
            while !rest.is_empty() {
                let (buf, len) = (rest.as_ptr().cast(), rest.len());
                let written = retried!(self, STEADFAST_CALL_WRITE, write, most(len), fd, buf, len)?;
                rest = rest.get(written as usize..).unwrap_or_default();
                // Nothing written and no error: POSIX allows it, for ever it is a device that is full or broken.
                empty = if written == 0 { empty.saturating_add(1) } else { 0 };
                if empty > 100 {
                    return Err(Errno::of(EIO));
                }
            }
        }
        Ok(())
    }

    /// fsync(2).
    #[inline(never)]
    pub fn fsync(&self, fd: i32) -> Result<(), Errno> {
        done(retried!(self, STEADFAST_CALL_FSYNC, fsync, INT, fd))
    }

    /// renameat2(2), within one directory.
    #[inline(never)]
    pub fn rename(&self, dir: i32, old: &CStr, new: &CStr, flags: u32) -> Result<(), Errno> {
        if flags != 0 && self.absent(STEADFAST_ABSENT_RENAMEAT2) {
            return Err(Errno::of(ENOSYS));
        }
        done(retried!(self, STEADFAST_CALL_RENAMEAT, renameat, INT, dir, old.as_ptr(), dir, new.as_ptr(), flags))
    }

    /// unlinkat(2) of a file.
    #[inline(never)]
    pub fn unlink(&self, dir: i32, name: &CStr) -> Result<(), Errno> {
        done(retried!(self, STEADFAST_CALL_UNLINKAT, unlinkat, INT, dir, name.as_ptr(), 0))
    }

    /// linkat(2).
    #[inline(never)]
    pub fn link(&self, old_dir: i32, old: &CStr, dir: i32, new: &CStr, flags: i32) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_LINK) {
            return Err(Errno::of(EPERM));
        }
        done(retried!(self, STEADFAST_CALL_LINKAT, linkat, INT, old_dir, old.as_ptr(), dir, new.as_ptr(), flags))
    }

    /// mkdirat(2).
    #[inline(never)]
    pub fn mkdir(&self, path: &CStr, mode: u32) -> Result<(), Errno> {
        done(retried!(self, STEADFAST_CALL_MKDIRAT, mkdirat, INT, AT_FDCWD, path.as_ptr(), mode))
    }

    /// readlinkat(2): the target, cut to the length of `buf`.
    #[inline(never)]
    pub fn readlink<'b>(&self, dir: i32, name: &CStr, buf: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        let count = retried!(self, STEADFAST_CALL_READLINKAT, readlinkat, most(len), dir, name.as_ptr(), pointer, len)?;
        Ok(buf.get(..count as usize).unwrap_or_default())
    }

    /// read(2), once.
    #[inline(never)]
    pub fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        Ok(retried!(self, STEADFAST_CALL_READ, read, most(len), fd, pointer, len)? as usize)
    }

    /// pread(2) until `buf` is full or the file ends: how much was read.
    #[inline(never)]
    pub fn pread(&self, fd: i32, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let mut filled = 0usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let (pointer, len) = (rest.as_mut_ptr().cast(), rest.len());
            let at = offset.saturating_add(filled as u64);
            let count = retried!(self, STEADFAST_CALL_PREAD, pread, most(len), fd, pointer, len, at)? as usize;
            if count == 0 {
                break;
            }
            filled = filled.saturating_add(count);
        }
        Ok(filled)
    }

    /// pread(2) into the spare room of `buf`, whose first byte is byte 0 of the file, until it holds `enough`
    /// bytes or the file ends.
    #[inline(never)]
    pub fn fill(&self, fd: i32, buf: &mut Buffer, enough: usize) -> Result<(), Errno> {
        while buf.bytes().len() < enough {
            let at = buf.bytes().len() as u64;
            let (pointer, len) = buf.spare();
            let count = retried!(self, STEADFAST_CALL_PREAD, pread, most(len), fd, pointer, len, at)? as usize;
            if count == 0 {
                break;
            }
            unsafe { buf.grow(count) };
        }
        Ok(())
    }

    /// fstat(2).
    #[inline(never)]
    pub fn fstat(&self, fd: i32) -> Result<steadfast_stat, Errno> {
        let mut stat = steadfast_stat::default();
        retried!(self, STEADFAST_CALL_FSTAT, fstat, INT, fd, &mut stat)?;
        Ok(stat)
    }

    /// fstatat(2) of the name itself: a link is not followed.
    #[inline(never)]
    pub fn fstatat(&self, dir: i32, name: &CStr) -> Result<steadfast_stat, Errno> {
        let mut stat = steadfast_stat::default();
        retried!(self, STEADFAST_CALL_FSTATAT, fstatat, INT, dir, name.as_ptr(), &mut stat)?;
        Ok(stat)
    }

    /// The magic number of the file system, fstatfs(2).
    #[inline(never)]
    pub fn filesystem(&self, fd: i32) -> Result<i64, Errno> {
        retried!(self, STEADFAST_CALL_FSTATFS, fstatfs, i64::MAX, fd)
    }

    /// fchmod(2).
    #[inline(never)]
    pub fn fchmod(&self, fd: i32, mode: u32) -> Result<(), Errno> {
        done(retried!(self, STEADFAST_CALL_FCHMOD, fchmod, INT, fd, mode))
    }

    /// fchown(2).
    #[inline(never)]
    pub fn fchown(&self, fd: i32, uid: u32, gid: u32) -> Result<(), Errno> {
        done(retried!(self, STEADFAST_CALL_FCHOWN, fchown, INT, fd, uid, gid))
    }

    /// flock(2).
    #[inline(never)]
    pub fn flock(&self, fd: i32, operation: i32) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_FLOCK) {
            return Err(Errno::of(ENOSYS));
        }
        done(retried!(self, STEADFAST_CALL_FLOCK, flock, INT, fd, operation))
    }

    /// flock(2), given up when the answer is dropped.
    pub fn lock(&self, fd: &Fd<'_>, operation: i32) -> Result<Flock<'_>, Errno> {
        self.flock(fd.raw(), operation)?;
        Ok(Flock { hooks: self, fd: fd.raw() })
    }

    /// Takes a shared open file description lock on one byte (fcntl(2), F_OFD_SETLK).
    #[inline(never)]
    pub fn ofdlock_set(&self, fd: i32, at: i64) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_OFDLOCK) {
            return Err(Errno::of(ENOSYS));
        }
        let mut found = 0i64;
        done(retried!(self, STEADFAST_CALL_OFDLOCK, ofdlock, INT, fd, STEADFAST_OFDLOCK_SET, at, 1, &mut found))
    }

    /// Where somebody else's open file description lock lies in [at, at + len), if one does.
    #[inline(never)]
    pub fn ofdlock_test(&self, fd: i32, at: i64, len: i64) -> Result<Option<i64>, Errno> {
        if self.absent(STEADFAST_ABSENT_OFDLOCK) {
            return Err(Errno::of(ENOSYS));
        }
        let mut found = at;
        let locked = retried!(self, STEADFAST_CALL_OFDLOCK, ofdlock, 1, fd, STEADFAST_OFDLOCK_TEST, at, len, &mut found)?;
        Ok((locked == 1).then_some(found))
    }

    /// fgetxattr(2): the length of the value, which is in `buf`.
    #[inline(never)]
    pub fn fgetxattr(&self, fd: i32, name: &CStr, buf: &mut [u8]) -> Result<usize, Errno> {
        if self.absent(STEADFAST_ABSENT_XATTR) {
            return Err(Errno::of(EOPNOTSUPP));
        }
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        Ok(retried!(self, STEADFAST_CALL_FGETXATTR, fgetxattr, most(len), fd, name.as_ptr(), pointer, len)? as usize)
    }

    /// fsetxattr(2).
    #[inline(never)]
    pub fn fsetxattr(&self, fd: i32, name: &CStr, value: &[u8]) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_XATTR) {
            return Err(Errno::of(EOPNOTSUPP));
        }
        let (pointer, len) = (value.as_ptr().cast(), value.len());
        done(retried!(self, STEADFAST_CALL_FSETXATTR, fsetxattr, INT, fd, name.as_ptr(), pointer, len))
    }

    /// getpid(2).
    #[inline(never)]
    pub fn getpid(&self) -> Result<i32, Errno> {
        Ok(retried!(self, STEADFAST_CALL_GETPID, getpid, INT)? as i32)
    }

    /// geteuid(2).
    #[inline(never)]
    pub fn geteuid(&self) -> Result<u32, Errno> {
        Ok(retried!(self, STEADFAST_CALL_GETEUID, geteuid, i64::from(u32::MAX))? as u32)
    }

    /// kill(2) with signal 0.
    #[inline(never)]
    pub fn probe(&self, pid: i32) -> Result<(), Errno> {
        done(retried!(self, STEADFAST_CALL_KILL, kill, INT, pid, 0))
    }

    /// pidfd_open(2).
    #[inline(never)]
    pub fn pidfd_open(&self, pid: i32) -> Result<Fd<'_>, Errno> {
        if self.absent(STEADFAST_ABSENT_PIDFD) {
            return Err(Errno::of(ENOSYS));
        }
        let raw = retried!(self, STEADFAST_CALL_PIDFD_OPEN, pidfd_open, INT, pid, 0)?;
        Ok(Fd { hooks: self, raw: raw as i32 })
    }

    /// ppoll(2), once: EINTR is the caller's to judge.
    #[inline(never)]
    pub fn poll(&self, fds: &mut [steadfast_pollfd], timeout_ns: i64) -> Result<usize, Errno> {
        let (pointer, count) = (fds.as_mut_ptr(), fds.len() as u32);
        Ok(once!(self, STEADFAST_CALL_POLL, poll, i64::from(count), pointer, count, timeout_ns)? as usize)
    }

    /// inotify_init1(2), close-on-exec and non-blocking.
    #[inline(never)]
    pub fn inotify(&self) -> Result<Fd<'_>, Errno> {
        if self.absent(STEADFAST_ABSENT_INOTIFY) {
            return Err(Errno::of(ENOSYS));
        }
        let raw = retried!(self, STEADFAST_CALL_INOTIFY_INIT, inotify_init, INT, IN_CLOEXEC | IN_NONBLOCK)?;
        Ok(Fd { hooks: self, raw: raw as i32 })
    }

    /// inotify_add_watch(2).
    #[inline(never)]
    pub fn inotify_watch(&self, fd: i32, path: &CStr, mask: u32) -> Result<(), Errno> {
        done(retried!(self, STEADFAST_CALL_INOTIFY_ADD_WATCH, inotify_add_watch, INT, fd, path.as_ptr(), mask))
    }

    /// Nanoseconds of one of STEADFAST_CLOCK_*.
    #[inline(never)]
    pub fn clock(&self, clock: i32) -> Result<i64, Errno> {
        let mut ns = 0i64;
        retried!(self, STEADFAST_CALL_CLOCK, clock, INT, clock, &mut ns)?;
        Ok(ns)
    }
}
