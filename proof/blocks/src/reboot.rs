//! The world after the power cut: another boot, in which the number of the dead owner belongs to a living process.

use crate::library::{Context, empty_table, real};
use std::ffi::{CStr, c_char, c_void};

const BOOT_ID: &CStr = c"/proc/sys/kernel/random/boot_id";
/// A file in its place: the kernel makes a new UUID for every reader of this one.
const ANOTHER: &CStr = c"/proc/sys/kernel/random/uuid";

unsafe extern "C" fn openat(_: *mut c_void, dirfd: i32, path: *const c_char, flags: i32, mode: u32) -> i32 {
    let text = unsafe { CStr::from_ptr(path) };
    let mut path = path;
    if text == BOOT_ID {
        path = ANOTHER.as_ptr();
    } else if text.to_bytes().starts_with(b"/proc/") && text.to_bytes().ends_with(b"/stat") {
        path = c"/proc/self/stat".as_ptr();
    }
    unsafe { real().openat.unwrap()(real().user, dirfd, path, flags, mode) }
}

unsafe extern "C" fn pidfd_open(_: *mut c_void, _: i32, flags: u32) -> i32 {
    unsafe { real().pidfd_open.unwrap()(real().user, libc::getpid(), flags) }
}

unsafe extern "C" fn kill(_: *mut c_void, _: i32, _: i32) -> i32 {
    0
}

pub fn context() -> Context {
    let mut table = empty_table();
    table.openat = Some(openat);
    table.pidfd_open = Some(pidfd_open);
    table.kill = Some(kill);
    Context::new(&table)
}
