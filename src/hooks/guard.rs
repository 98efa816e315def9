//! What is given back when it is dropped.

use super::Hooks;
use super::platform::LOCK_UN;

/// A descriptor, closed through its hooks when dropped.
pub struct Fd<'h> {
    pub(super) hooks: &'h Hooks,
    /// As wide as an error, so that one or the other comes back in registers.
    raw: i64,
}

impl<'h> Fd<'h> {
    /// What an open returned.
    pub(super) fn new(hooks: &'h Hooks, raw: i64) -> Fd<'h> {
        Fd { hooks, raw }
    }

    /// No descriptor.
    pub const fn none(hooks: &'h Hooks) -> Fd<'h> {
        Fd { hooks, raw: -1 }
    }

    /// The hooks that it was opened with.
    pub fn hooks(&self) -> &'h Hooks {
        self.hooks
    }

    /// The number; below 0 when there is none.
    pub fn raw(&self) -> i32 {
        self.raw as i32
    }

    /// The number, no longer closed by us.
    pub fn into_raw(self) -> i32 {
        let raw = self.raw();
        core::mem::forget(self);
        raw
    }
}

impl Drop for Fd<'_> {
    fn drop(&mut self) {
        // What a close could still report, a checked fsync has reported already.
        if self.raw >= 0 {
            let _ = self.hooks.close(self.raw());
        }
    }
}

/// A flock, given up when dropped: closing the descriptor would not do, a child that was forked meanwhile has
/// it too.
pub struct Flock<'h> {
    pub(super) hooks: &'h Hooks,
    pub(super) fd: i32,
}

impl Drop for Flock<'_> {
    fn drop(&mut self) {
        let _ = self.hooks.flock(self.fd, LOCK_UN);
    }
}
