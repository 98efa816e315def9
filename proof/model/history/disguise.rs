//! Inode numbers, and when a file was made: by its number in the recording, so that equal histories write equal bytes, and a crash
//! state that is made real consists of the files that it consisted of.

use crate::trace::{Context, real};
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use steadfast::ffi::context::steadfast_context;
use steadfast::hooks::{steadfast_hooks, steadfast_pollfd, steadfast_stat};

/// By device and inode.
pub type Files = HashMap<(u64, u64), usize>;

/// No real number is as high.
const FIRST: u64 = 1 << 40;

/// Shows a file as the one with this number, if it has one.
pub fn put_on(stat: &mut steadfast_stat, number: Option<usize>) {
    if let Some(number) = number {
        (stat.ino, stat.btime_ns) = (FIRST + number as u64, 1 + number as i64);
    }
}

unsafe fn disguise(user: *mut c_void, stat: *mut steadfast_stat) {
    let (files, stat) = unsafe { (&*user.cast::<Files>(), &mut *stat) };
    put_on(stat, files.get(&(stat.dev, stat.ino)).copied());
}

unsafe extern "C" fn fstat(user: *mut c_void, fd: i32, out: *mut steadfast_stat) -> i32 {
    let done = unsafe { real().fstat.unwrap()(user, fd, out) };
    if done == 0 {
        unsafe { disguise(user, out) };
    }
    done
}

unsafe extern "C" fn fstatat(user: *mut c_void, dir: i32, path: *const c_char, out: *mut steadfast_stat) -> i32 {
    let done = unsafe { real().fstatat.unwrap()(user, dir, path, out) };
    if done == 0 {
        unsafe { disguise(user, out) };
    }
    done
}

thread_local! {
    /// How long those who waited have slept.
    static SLEPT_NS: Cell<i64> = const { Cell::new(0) };
}

/// Nobody goes on while somebody sleeps here: time passes in large steps instead.
unsafe extern "C" fn poll(user: *mut c_void, fds: *mut steadfast_pollfd, count: u32, timeout_ns: i64) -> i32 {
    SLEPT_NS.set(SLEPT_NS.get() + timeout_ns.max(1) * 1000);
    if count == 0 { 0 } else { unsafe { real().poll.unwrap()(user, fds, count, 0) } }
}

unsafe extern "C" fn clock(user: *mut c_void, which: i32, ns: *mut i64) -> i32 {
    let done = unsafe { real().clock.unwrap()(user, which, ns) };
    if which != 0 {
        unsafe { *ns += SLEPT_NS.get() };
    }
    done
}

/// The real calls, but for that.
pub fn table(files: &Files) -> steadfast_hooks {
    let mut table = unsafe { std::ptr::read(real()) };
    table.user = std::ptr::from_ref(files).cast_mut().cast();
    table.fstat = Some(fstat);
    table.fstatat = Some(fstatat);
    table.poll = Some(poll);
    table.clock = Some(clock);
    table
}

/// Calls with a context to which these files are disguised.
pub fn with<T>(files: &Files, call: impl FnOnce(*const steadfast_context) -> T) -> T {
    let context = Context::new(&table(files));
    call(context.0)
}
