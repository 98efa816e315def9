//! The hooks that make things durable. Here nothing is lost, so they only answer.

use super::hooks::{User, answer, machine};
use core::ffi::c_void;
use libc::EINVAL;
use steadfast::hooks::*;

pub(super) unsafe extern "C" fn fsync(user: User, fd: i32) -> i32 {
    let m = unsafe { machine(user) };
    answer(m.begin(STEADFAST_CALL_FSYNC).and_then(|()| m.handle(fd).map(|_| 0))) as i32
}

pub(super) unsafe extern "C" fn fdatasync(user: User, fd: i32) -> i32 {
    let m = unsafe { machine(user) };
    answer(m.begin(STEADFAST_CALL_FDATASYNC).and_then(|()| m.handle(fd).map(|_| 0))) as i32
}

pub(super) unsafe extern "C" fn syncfs(user: User, fd: i32) -> i32 {
    let m = unsafe { machine(user) };
    answer(m.begin(STEADFAST_CALL_SYNCFS).and_then(|()| m.handle(fd).map(|_| 0))) as i32
}

pub(super) unsafe extern "C" fn writeback(user: User, fd: i32, _: i32, _: u64, _: u64) -> i32 {
    let m = unsafe { machine(user) };
    answer(m.begin(STEADFAST_CALL_WRITEBACK).and_then(|()| m.handle(fd).map(|_| 0))) as i32
}

/// There are no direct writes here.
pub(super) unsafe extern "C" fn aio(user: User, _: i32, _: *mut u64, _: i32, _: *const c_void, _: usize, _: u64) -> i64 {
    answer(unsafe { machine(user) }.begin(STEADFAST_CALL_AIO).and(Err(EINVAL)))
}

/// Nor many syncs at once.
pub(super) unsafe extern "C" fn fsync_many(user: User, _: *mut u64, _: *mut i32, _: u32) -> i32 {
    answer(unsafe { machine(user) }.begin(STEADFAST_CALL_FSYNC_MANY).and(Err(EINVAL))) as i32
}
