//! The real calls about processes, waiting and time, in the form of the hooks.

use super::abi::*;
#[cfg(not(target_os = "linux"))]
use super::raw::NO_CALL;
#[cfg(target_os = "linux")]
use super::raw::by_number;
use super::raw::int;
use core::ffi::{c_char, c_void};

pub unsafe extern "C" fn getpid(_: *mut c_void) -> i32 {
    unsafe { libc::getpid() }
}

pub unsafe extern "C" fn geteuid(_: *mut c_void) -> i64 {
    i64::from(unsafe { libc::geteuid() })
}

pub unsafe extern "C" fn kill(_: *mut c_void, pid: i32, signal: i32) -> i32 {
    int(unsafe { libc::kill(pid, signal) })
}

pub unsafe extern "C" fn pidfd_open(_: *mut c_void, pid: i32, flags: u32) -> i32 {
    #[cfg(target_os = "linux")]
    {
        // By number: the function is in glibc since 2.36. A pidfd is close-on-exec from its birth (pidfd_open(2)).
        by_number(libc::SYS_pidfd_open, [pid as usize, flags as usize, 0, 0, 0, 0]) as i32
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (pid, flags);
        NO_CALL
    }
}

pub unsafe extern "C" fn poll(_: *mut c_void, fds: *mut steadfast_pollfd, count: u32, timeout_ns: i64) -> i32 {
    #[cfg(not(target_vendor = "apple"))]
    {
        let mut time: libc::timespec = unsafe { core::mem::zeroed() };
        time.tv_sec = (timeout_ns / 1_000_000_000) as libc::time_t;
        time.tv_nsec = (timeout_ns % 1_000_000_000) as _;
        let timeout = if timeout_ns < 0 { core::ptr::null_mut() } else { &raw mut time };
        int(unsafe { libc::ppoll(fds.cast(), count as libc::nfds_t, timeout, core::ptr::null()) })
    }
    #[cfg(target_vendor = "apple")]
    {
        let ms = if timeout_ns < 0 { -1 } else { (timeout_ns / 1_000_000).clamp(0, i64::from(i32::MAX)) as i32 };
        let ms = if timeout_ns > 0 && ms == 0 { 1 } else { ms };
        int(unsafe { libc::poll(fds.cast(), count as libc::nfds_t, ms) })
    }
}

pub unsafe extern "C" fn inotify_init(_: *mut c_void, flags: i32) -> i32 {
    #[cfg(target_os = "linux")]
    {
        int(unsafe { libc::inotify_init1(flags) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = flags;
        NO_CALL
    }
}

pub unsafe extern "C" fn inotify_add_watch(_: *mut c_void, fd: i32, path: *const c_char, mask: u32) -> i32 {
    #[cfg(target_os = "linux")]
    {
        int(unsafe { libc::inotify_add_watch(fd, path, mask) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, path, mask);
        NO_CALL
    }
}

pub unsafe extern "C" fn clock(_: *mut c_void, clock: i32, ns: *mut i64) -> i32 {
    let id = if clock == STEADFAST_CLOCK_MONOTONIC { libc::CLOCK_MONOTONIC } else { libc::CLOCK_REALTIME };
    let mut time: libc::timespec = unsafe { core::mem::zeroed() };
    let result = int(unsafe { libc::clock_gettime(id, &mut time) });
    if result >= 0 {
        #[allow(clippy::unnecessary_cast)]
        unsafe {
            ns.write((time.tv_sec as i64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as i64))
        };
    }
    result
}
