//! What a real call answers, in the form of the hooks: >= 0 or a negated errno.

use core::ffi::c_int;

fn errno() -> i32 {
    #[cfg(any(target_os = "linux", target_os = "dragonfly"))]
    let slot = unsafe { libc::__errno_location() };
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    let slot = unsafe { libc::__error() };
    #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
    let slot = unsafe { libc::__errno() };
    unsafe { *slot }
}

/// The answer of a function that returns an int, with -1 for an error.
pub fn int(result: c_int) -> i32 {
    if result < 0 { errno().wrapping_neg() } else { result }
}

/// The answer of a function that returns a length, with -1 for an error.
pub fn long(result: isize) -> i64 {
    if result < 0 { i64::from(errno()).wrapping_neg() } else { result as i64 }
}

/// A system call by its number: for one that the C library has no function for, or only since a version above the
/// floor (glibc 2.17).
#[cfg(target_os = "linux")]
pub fn by_number(number: libc::c_long, arguments: [usize; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    long(unsafe { libc::syscall(number, a, b, c, d, e, f) } as isize)
}

/// "This platform has no such call."
#[cfg(not(target_os = "linux"))]
pub const NO_CALL: i32 = -libc::ENOSYS;
