//! The unsafe code of the API: a program's memory lent to the floors below, and descriptors lent to the program.
#![allow(unsafe_code)]

use crate::mem::Buffer;
use core::ptr::NonNull;
use std::os::fd::{BorrowedFd, RawFd};

/// Lets `fill` write to `memory`. `fill` does not keep the buffer.
pub fn lend<R>(memory: &mut [u8], fill: impl FnOnce(Buffer) -> R) -> R {
    // SAFETY: it is writable as long as it is borrowed, which is until `fill` returns.
    fill(unsafe { Buffer::over(NonNull::from(&mut *memory).cast(), memory.len()) })
}

/// A descriptor that `owner` keeps open.
pub fn borrow<T>(fd: RawFd, _owner: &T) -> BorrowedFd<'_> {
    // SAFETY: the owner, which is borrowed as long as this is, keeps it open.
    unsafe { BorrowedFd::borrow_raw(fd) }
}
