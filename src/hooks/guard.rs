//! What is given back when it is dropped.

use super::installed::Hooks;
use crate::sys::platform::{LOCK_UN, O_CLOEXEC, O_DIRECTORY, O_PATH};
#[cfg(all(feature = "std", not(feature = "capi")))]
use std::os::fd::BorrowedFd;

/// An open descriptor, closed through its hooks when dropped.
pub struct Fd<'h> {
    hooks: &'h Hooks,
    raw: i32,
}

impl<'h> Fd<'h> {
    /// What an open returned.
    pub(super) fn new(hooks: &'h Hooks, raw: i64) -> Fd<'h> {
        Fd { hooks, raw: raw as i32 }
    }

    /// The hooks that it was opened with.
    pub fn hooks(&self) -> &'h Hooks {
        self.hooks
    }

    /// The number.
    pub fn raw(&self) -> i32 {
        self.raw
    }

    /// The number, which the caller now has to close.
    pub fn into_raw(self) -> i32 {
        let raw = self.raw;
        core::mem::forget(self);
        raw
    }

    /// The same descriptor, for an owner that cannot borrow the hooks.
    pub fn unguarded(self) -> Unguarded {
        Unguarded(self.into_raw())
    }

    /// For the program, as long as this lives.
    #[cfg(all(feature = "std", not(feature = "capi")))]
    pub fn lend(&self) -> BorrowedFd<'_> {
        // SAFETY: an open returned it, only the drop or `into_raw` ends it, and neither can happen while it is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.raw) }
    }
}

impl Drop for Fd<'_> {
    fn drop(&mut self) {
        // What a close could still report, a checked fsync has reported already.
        let _ = self.hooks.close(self.raw);
    }
}

/// An open descriptor that its owner closes: no drop does.
pub struct Unguarded(i32);

impl Unguarded {
    /// The number.
    pub fn raw(&self) -> i32 {
        self.0
    }

    /// Closes it, through the hooks that it was opened with.
    pub fn close(self, hooks: &Hooks) {
        let _ = hooks.close(self.0);
    }

    /// For the program, as long as this lives.
    #[cfg(all(feature = "std", not(feature = "capi")))]
    pub fn lend(&self) -> BorrowedFd<'_> {
        // SAFETY: it was an open `Fd`, and `close` consumes it, which cannot happen while it is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

/// A flock, given up when dropped: closing the descriptor would not free it, since a child that was forked meanwhile has
/// the descriptor too.
pub struct Flock<'h> {
    hooks: &'h Hooks,
    fd: i32,
}

impl<'h> Flock<'h> {
    /// The flock of `fd`, which is held.
    pub(super) fn new(hooks: &'h Hooks, fd: i32) -> Flock<'h> {
        Flock { hooks, fd }
    }
}

impl Drop for Flock<'_> {
    fn drop(&mut self) {
        let _ = self.hooks.flock(self.fd, LOCK_UN);
    }
}

/// Descriptors in the places of closed standard streams, for as long as this lives: a file of ours that got number 1 would
/// be written to by whoever prints.
pub struct Fillers<'h> {
    _fds: [Option<Fd<'h>>; 3],
    _first: Option<Fd<'h>>,
}

impl<'h> Fillers<'h> {
    /// Fills the places below 3 that are free, with `first`, a directory that was opened just now: above 2 it shows that none
    /// is. Whoever writes to one of them meanwhile gets an error, as before.
    pub fn of(first: &Fd<'h>) -> Fillers<'h> {
        let mut fds = [None, None, None];
        if first.raw > 2 {
            return Fillers { _fds: fds, _first: None };
        }
        for fd in &mut fds {
            let opened = first.hooks.openat(first.raw, c".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
            *fd = opened.ok().filter(|fd| fd.raw <= 2);
            if fd.is_none() {
                break;
            }
        }
        Fillers { _fds: fds, _first: None }
    }

    /// Keeps the place of `first` filled as well.
    pub fn with(self, first: Fd<'h>) -> Fillers<'h> {
        Fillers { _first: Some(first), ..self }
    }
}
