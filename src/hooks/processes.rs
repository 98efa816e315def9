//! Calls about processes, waiting and time.

use super::dispatch::INT;
use super::fault::*;
use super::guard::Fd;
use super::installed::Hooks;
use crate::sys::Errno;
use crate::sys::abi::*;
use crate::sys::platform::*;
use core::ffi::CStr;

impl Hooks {
    /// getpid(2).
    pub fn getpid(&self) -> Result<i32, Errno> {
        Ok(self.call(STEADFAST_CALL_GETPID, INT, |hook, user| unsafe { (hook.getpid)(user) })? as i32)
    }

    /// geteuid(2).
    pub fn geteuid(&self) -> Result<u32, Errno> {
        Ok(self.call(STEADFAST_CALL_GETEUID, i64::from(u32::MAX), |hook, user| unsafe { (hook.geteuid)(user) })? as u32)
    }

    /// kill(2) with signal 0.
    pub fn probe(&self, pid: i32) -> Result<(), Errno> {
        self.done(STEADFAST_CALL_KILL, |hook, user| unsafe { (hook.kill)(user, pid, 0) })
    }

    /// pidfd_open(2).
    pub fn pidfd_open(&self, pid: i32) -> Result<Fd<'_>, Errno> {
        self.unless_absent(STEADFAST_ABSENT_PIDFD, ENOSYS)?;
        let raw = self.call(STEADFAST_CALL_PIDFD_OPEN, INT, |hook, user| unsafe { (hook.pidfd_open)(user, pid, 0) })?;
        Ok(Fd::new(self, raw))
    }

    /// ppoll(2), once: EINTR is the caller's to judge.
    pub fn poll(&self, fds: &mut [steadfast_pollfd], timeout_ns: i64) -> Result<usize, Errno> {
        let (pointer, count) = (fds.as_mut_ptr(), fds.len() as u32);
        Ok(self
            .once(STEADFAST_CALL_POLL, i64::from(count), |hook, user| unsafe { (hook.poll)(user, pointer, count, timeout_ns) })?
            as usize)
    }

    /// inotify_init1(2), close-on-exec and non-blocking.
    pub fn inotify(&self) -> Result<Fd<'_>, Errno> {
        self.unless_absent(STEADFAST_ABSENT_INOTIFY, ENOSYS)?;
        let raw = self.call(STEADFAST_CALL_INOTIFY_INIT, INT, |hook, user| unsafe {
            (hook.inotify_init)(user, IN_CLOEXEC | IN_NONBLOCK)
        })?;
        Ok(Fd::new(self, raw))
    }

    /// inotify_add_watch(2).
    pub fn inotify_watch(&self, fd: i32, path: &CStr, mask: u32) -> Result<(), Errno> {
        self.done(STEADFAST_CALL_INOTIFY_ADD_WATCH, |hook, user| unsafe {
            (hook.inotify_add_watch)(user, fd, path.as_ptr(), mask)
        })
    }

    /// Nanoseconds of one of STEADFAST_CLOCK_*.
    pub fn clock(&self, clock: i32) -> Result<i64, Errno> {
        let mut ns = 0i64;
        let out = &raw mut ns;
        self.call(STEADFAST_CALL_CLOCK, INT, |hook, user| unsafe { (hook.clock)(user, clock, out) })?;
        Ok(ns)
    }
}
