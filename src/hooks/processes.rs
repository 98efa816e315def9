//! Calls about processes, waiting and time.

use super::call::*;
use super::run::*;
use super::*;
use core::ffi::CStr;

impl Hooks {
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
        done!(self, STEADFAST_CALL_KILL, kill, INT, pid, 0)
    }

    /// pidfd_open(2).
    #[inline(never)]
    pub fn pidfd_open(&self, pid: i32) -> Result<Fd<'_>, Errno> {
        if self.absent(STEADFAST_ABSENT_PIDFD) {
            return Err(Errno::of(ENOSYS));
        }
        let raw = retried!(self, STEADFAST_CALL_PIDFD_OPEN, pidfd_open, INT, pid, 0)?;
        Ok(Fd::new(self, raw))
    }

    /// ppoll(2), once: EINTR is the caller's to judge.
    #[inline(never)]
    pub fn poll(&self, fds: &mut [steadfast_pollfd], timeout_ns: i64) -> Result<usize, Errno> {
        let (pointer, count) = (fds.as_mut_ptr(), fds.len() as u32);
        Ok(call_hook!(run_for(self, STEADFAST_CALL_POLL, i64::from(count), 0), poll, pointer, count, timeout_ns)? as usize)
    }

    /// inotify_init1(2), close-on-exec and non-blocking.
    #[inline(never)]
    pub fn inotify(&self) -> Result<Fd<'_>, Errno> {
        if self.absent(STEADFAST_ABSENT_INOTIFY) {
            return Err(Errno::of(ENOSYS));
        }
        let raw = retried!(self, STEADFAST_CALL_INOTIFY_INIT, inotify_init, INT, IN_CLOEXEC | IN_NONBLOCK)?;
        Ok(Fd::new(self, raw))
    }

    /// inotify_add_watch(2).
    #[inline(never)]
    pub fn inotify_watch(&self, fd: i32, path: &CStr, mask: u32) -> Result<(), Errno> {
        done!(self, STEADFAST_CALL_INOTIFY_ADD_WATCH, inotify_add_watch, INT, fd, path.as_ptr(), mask)
    }

    /// Nanoseconds of one of STEADFAST_CLOCK_*.
    #[inline(never)]
    pub fn clock(&self, clock: i32) -> Result<i64, Errno> {
        let mut ns = 0i64;
        let out = &raw mut ns;
        retried!(self, STEADFAST_CALL_CLOCK, clock, INT, clock, out)?;
        Ok(ns)
    }
}
