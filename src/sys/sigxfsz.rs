//! SIGXFSZ, held off the calling thread while it writes.

use super::abi::*;
use super::raw::int;
use core::ffi::c_void;

fn set() -> libc::sigset_t {
    unsafe {
        let mut set: libc::sigset_t = core::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGXFSZ);
        set
    }
}

/// Changes the mask of this thread; the answer's second part says whether SIGXFSZ was blocked before.
fn mask(how: i32) -> (i32, bool) {
    let mut old = set();
    // In every C library for Linux sigprocmask is about the calling thread, and pthread_sigmask, which POSIX names for
    // that, is in libc.so only since glibc 2.32.
    #[cfg(target_os = "linux")]
    let error = int(unsafe { libc::sigprocmask(how, &set(), &mut old) });
    #[cfg(not(target_os = "linux"))]
    let error = unsafe { libc::pthread_sigmask(how, &set(), &mut old) }.wrapping_neg();
    (error, unsafe { libc::sigismember(&old, libc::SIGXFSZ) } == 1)
}

fn is_pending() -> bool {
    let mut pending = set();
    int(unsafe { libc::sigpending(&mut pending) }) >= 0 && unsafe { libc::sigismember(&pending, libc::SIGXFSZ) } == 1
}

/// Takes the pending signal, which waits in the mask of this thread; another thread may have taken it.
fn take_pending() {
    #[cfg(not(any(target_vendor = "apple", target_os = "openbsd")))]
    unsafe {
        let now: libc::timespec = core::mem::zeroed();
        libc::sigtimedwait(&set(), core::ptr::null_mut(), &now);
    }
    #[cfg(any(target_vendor = "apple", target_os = "openbsd"))]
    unsafe {
        let mut taken: core::ffi::c_int = 0;
        libc::sigwait(&set(), &mut taken);
    }
}

/// A write beyond RLIMIT_FSIZE raises SIGXFSZ in the writing thread, whose default is to kill the program
/// (setrlimit(2)). Blocked, the write just fails with EFBIG; the signal that it left pending is taken back
/// before the mask is restored.
pub unsafe extern "C" fn sigxfsz(_: *mut c_void, operation: i32, state: i32) -> i32 {
    if operation == STEADFAST_SIGXFSZ_BLOCK {
        return match mask(libc::SIG_BLOCK) {
            (0, true) => STEADFAST_SIGXFSZ_WAS_BLOCKED | if is_pending() { STEADFAST_SIGXFSZ_WAS_PENDING } else { 0 },
            (error, _) => error,
        };
    }
    if state & (STEADFAST_SIGXFSZ_RAISED | STEADFAST_SIGXFSZ_WAS_PENDING) == STEADFAST_SIGXFSZ_RAISED && is_pending() {
        take_pending();
    }
    if state & STEADFAST_SIGXFSZ_WAS_BLOCKED == 0 { mask(libc::SIG_UNBLOCK).0 } else { 0 }
}
