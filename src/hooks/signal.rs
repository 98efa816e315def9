//! SIGXFSZ in the mask of the calling thread.

use super::real::*;
use core::ffi::c_void;

pub use word::{is_pending, mask, take_pending};

/// By number: the kernel's set is one word here, the C library's six functions.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod word {
    use super::*;

    const SET: u64 = 1 << (libc::SIGXFSZ - 1);
    const WORD: usize = size_of::<u64>();

    pub fn mask(how: i32, was_blocked: &mut bool) -> i32 {
        let (set, mut old) = (SET, 0u64);
        let result = by_number!(SYS_rt_sigprocmask, how, &raw const set, &raw mut old, WORD) as i32;
        *was_blocked = old & SET != 0;
        result
    }

    pub fn is_pending() -> bool {
        let mut pending = 0u64;
        by_number!(SYS_rt_sigpending, &raw mut pending, WORD) == 0 && pending & SET != 0
    }

    pub fn take_pending() {
        let (set, now) = (SET, [0u64; 2]);
        let _ = by_number!(SYS_rt_sigtimedwait, &raw const set, core::ptr::null::<c_void>(), &raw const now, WORD);
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod word {
    use super::*;

    fn set() -> libc::sigset_t {
        unsafe {
            let mut set: libc::sigset_t = core::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGXFSZ);
            set
        }
    }

    pub fn mask(how: i32, was_blocked: &mut bool) -> i32 {
        unsafe {
            let mut old: libc::sigset_t = core::mem::zeroed();
            let error = libc::pthread_sigmask(how, &set(), &mut old);
            *was_blocked = libc::sigismember(&old, libc::SIGXFSZ) == 1;
            error.wrapping_neg()
        }
    }

    pub fn is_pending() -> bool {
        unsafe {
            let mut pending: libc::sigset_t = core::mem::zeroed();
            libc::sigpending(&mut pending) == 0 && libc::sigismember(&pending, libc::SIGXFSZ) == 1
        }
    }

    pub fn take_pending() {
        let mut taken: core::ffi::c_int = 0;
        unsafe { libc::sigwait(&set(), &mut taken) };
    }
}
