//! Calls about names, attributes and locks.

use super::dispatch::{INT, most};
use super::fault::*;
use super::guard::{Fd, Flock};
use super::installed::Hooks;
use crate::sys::Errno;
use crate::sys::abi::*;
use crate::sys::platform::*;
use core::ffi::CStr;

/// A range of bytes that is locked; length 0 goes to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: i64,
    pub len: i64,
}

impl Hooks {
    /// openat(2). O_DIRECTORY is left out where it is absent: the caller looks at what it got.
    pub fn openat(&self, dir: i32, path: &CStr, flags: i32, mode: u32) -> Result<Fd<'_>, Errno> {
        let flags = if self.absent(STEADFAST_ABSENT_O_DIRECTORY) && flags & O_TMPFILE != O_TMPFILE {
            flags & !O_DIRECTORY
        } else {
            flags
        };
        let opened =
            self.call(STEADFAST_CALL_OPENAT, INT, |hook, user| unsafe { (hook.openat)(user, dir, path.as_ptr(), flags, mode) })?;
        Ok(Fd::new(self, opened))
    }

    /// openat2(2) with RESOLVE_BENEATH: the path never leaves `dir`.
    pub fn open_beneath(&self, dir: i32, path: &CStr, flags: i32) -> Result<Fd<'_>, Errno> {
        const RESOLVE_BENEATH: u64 = 8;
        /// The kernel asks to try again when something on the way is renamed meanwhile.
        const ATTEMPTS: u32 = 100;
        self.unless_absent(STEADFAST_ABSENT_OPENAT2, ENOSYS)?;
        let mut attempts = 0u32;
        loop {
            let opened = self.call(STEADFAST_CALL_OPENAT2, INT, |hook, user| unsafe {
                (hook.openat2)(user, dir, path.as_ptr(), flags, 0, RESOLVE_BENEATH)
            });
            attempts = attempts.saturating_add(1);
            if attempts >= ATTEMPTS || !opened.is_err_and(|e| e.is(EAGAIN)) {
                return Ok(Fd::new(self, opened?));
            }
        }
    }

    /// close(2), never made again: the descriptor is gone whatever it answers (close(2), "Dealing with error returns").
    pub fn close(&self, fd: i32) -> Result<(), Errno> {
        // An injected error comes after a real close, as the kernel's do: it frees the descriptor first.
        let answer = self.always(|hook, user| unsafe { (hook.close)(user, fd) });
        self.once(STEADFAST_CALL_CLOSE, INT, |_, _| answer).map(drop)
    }

    /// renameat2(2), within one directory.
    pub fn rename(&self, dir: i32, old: &CStr, new: &CStr, flags: u32) -> Result<(), Errno> {
        if flags != 0 {
            self.unless_absent(STEADFAST_ABSENT_RENAMEAT2, ENOSYS)?;
        }
        self.done(STEADFAST_CALL_RENAMEAT, |hook, user| unsafe {
            (hook.renameat)(user, dir, old.as_ptr(), dir, new.as_ptr(), flags)
        })
    }

    /// unlinkat(2) of a file.
    pub fn unlink(&self, dir: i32, name: &CStr) -> Result<(), Errno> {
        self.done(STEADFAST_CALL_UNLINKAT, |hook, user| unsafe { (hook.unlinkat)(user, dir, name.as_ptr(), 0) })
    }

    /// linkat(2).
    pub fn link(&self, old_dir: i32, old: &CStr, dir: i32, new: &CStr, flags: i32) -> Result<(), Errno> {
        self.unless_absent(STEADFAST_ABSENT_LINK, EPERM)?;
        self.done(STEADFAST_CALL_LINKAT, |hook, user| unsafe {
            (hook.linkat)(user, old_dir, old.as_ptr(), dir, new.as_ptr(), flags)
        })
    }

    /// mkdirat(2).
    pub fn mkdir(&self, dir: i32, name: &CStr, mode: u32) -> Result<(), Errno> {
        self.done(STEADFAST_CALL_MKDIRAT, |hook, user| unsafe { (hook.mkdirat)(user, dir, name.as_ptr(), mode) })
    }

    /// readlinkat(2): the target, cut to the length of `buf`.
    pub fn readlink<'b>(&self, dir: i32, name: &CStr, buf: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        let count = self.call(STEADFAST_CALL_READLINKAT, most(len), |hook, user| unsafe {
            (hook.readlinkat)(user, dir, name.as_ptr(), pointer, len)
        })?;
        buf.get(..count as usize).ok_or(Errno::INTERNAL)
    }

    /// fstat(2).
    pub fn fstat(&self, fd: i32) -> Result<steadfast_stat, Errno> {
        let mut stat = steadfast_stat::default();
        self.done(STEADFAST_CALL_FSTAT, |hook, user| unsafe { (hook.fstat)(user, fd, &raw mut stat) })?;
        Ok(stat)
    }

    /// fstatat(2) of the name itself: a link is not followed.
    pub fn fstatat(&self, dir: i32, name: &CStr) -> Result<steadfast_stat, Errno> {
        let mut stat = steadfast_stat::default();
        self.done(STEADFAST_CALL_FSTATAT, |hook, user| unsafe { (hook.fstatat)(user, dir, name.as_ptr(), &raw mut stat) })?;
        Ok(stat)
    }

    /// The magic number of the file system, fstatfs(2).
    pub fn filesystem(&self, fd: i32) -> Result<i64, Errno> {
        self.call(STEADFAST_CALL_FSTATFS, i64::MAX, |hook, user| unsafe { (hook.fstatfs)(user, fd) })
    }

    /// fchmod(2).
    pub fn fchmod(&self, fd: i32, mode: u32) -> Result<(), Errno> {
        self.done(STEADFAST_CALL_FCHMOD, |hook, user| unsafe { (hook.fchmod)(user, fd, mode) })
    }

    /// fchown(2).
    pub fn fchown(&self, fd: i32, uid: u32, gid: u32) -> Result<(), Errno> {
        self.done(STEADFAST_CALL_FCHOWN, |hook, user| unsafe { (hook.fchown)(user, fd, uid, gid) })
    }

    /// fgetxattr(2): the length of the value, which is in `buf`.
    pub fn fgetxattr(&self, fd: i32, name: &CStr, buf: &mut [u8]) -> Result<usize, Errno> {
        self.unless_absent(STEADFAST_ABSENT_XATTR, EOPNOTSUPP)?;
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        let count = self.call(STEADFAST_CALL_FGETXATTR, most(len), |hook, user| unsafe {
            (hook.fgetxattr)(user, fd, name.as_ptr(), pointer, len)
        })?;
        Ok(count as usize)
    }

    /// flistxattr(2): the length of the names in `buf`, each with a NUL.
    pub fn flistxattr(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        self.unless_absent(STEADFAST_ABSENT_XATTR, EOPNOTSUPP)?;
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        let count =
            self.call(STEADFAST_CALL_FLISTXATTR, most(len), |hook, user| unsafe { (hook.flistxattr)(user, fd, pointer, len) })?;
        Ok(count as usize)
    }

    /// fsetxattr(2).
    pub fn fsetxattr(&self, fd: i32, name: &CStr, value: &[u8]) -> Result<(), Errno> {
        self.unless_absent(STEADFAST_ABSENT_XATTR, EOPNOTSUPP)?;
        self.done(STEADFAST_CALL_FSETXATTR, |hook, user| unsafe {
            (hook.fsetxattr)(user, fd, name.as_ptr(), value.as_ptr().cast(), value.len())
        })
    }

    /// flock(2).
    pub fn flock(&self, fd: i32, operation: i32) -> Result<(), Errno> {
        self.unless_absent(STEADFAST_ABSENT_FLOCK, ENOSYS)?;
        self.done(STEADFAST_CALL_FLOCK, |hook, user| unsafe { (hook.flock)(user, fd, operation) })
    }

    /// flock(2), given up when the answer is dropped.
    pub fn lock(&self, fd: i32, operation: i32) -> Result<Flock<'_>, Errno> {
        self.flock(fd, operation).map(|()| Flock::new(self, fd))
    }

    /// An open file description lock (fcntl(2), F_OFD_SETLK): one of STEADFAST_OFDLOCK_* on [at, at + len). TEST
    /// says where somebody else's lies, if one does.
    pub fn ofdlock(&self, fd: i32, operation: i32, at: i64, len: i64) -> Result<Option<Range>, Errno> {
        self.unless_absent(STEADFAST_ABSENT_OFDLOCK, ENOSYS)?;
        let mut found = [at, 1];
        let locked = self.call(STEADFAST_CALL_OFDLOCK, 1, |hook, user| unsafe {
            (hook.ofdlock)(user, fd, operation, at, len, found.as_mut_ptr())
        })?;
        let [start, len] = found;
        Ok((locked == 1).then_some(Range { start, len }))
    }

    /// A mapping that keeps the flock of `fd`, and that no child inherits: its address.
    pub fn map(&self, fd: i32) -> Result<u64, Errno> {
        self.unless_absent(STEADFAST_ABSENT_MAP, ENOSYS)?;
        let address = self.call(STEADFAST_CALL_MAP, i64::MAX, |hook, user| unsafe { (hook.map)(user, fd) })?;
        Ok(address.cast_unsigned())
    }

    /// Ends a mapping, whatever a fault injector says.
    pub fn unmap(&self, address: u64) -> Result<(), Errno> {
        let answer = self.always(|hook, user| unsafe { (hook.unmap)(user, address) });
        self.once(STEADFAST_CALL_UNMAP, INT, |_, _| answer).map(drop)
    }
}
