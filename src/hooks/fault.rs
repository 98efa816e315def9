//! The scalar fault injector: for callers whose language has no callbacks.

use core::sync::atomic::{AtomicU64, Ordering};

/// Fails the `nth` of the calls it counts.
pub struct Fault {
    /// STEADFAST_CALL_*, 0 counts every call.
    pub call: u32,
    /// 1 is the first.
    pub nth: u64,
    /// errno, positive.
    pub error: i32,
    /// Also all calls after it.
    pub for_ever: bool,
    seen: AtomicU64,
}

impl Fault {
    /// Nothing counted yet.
    pub const fn new(call: u32, nth: u64, error: i32, for_ever: bool) -> Fault {
        Fault { call, nth, error, for_ever, seen: AtomicU64::new(0) }
    }

    /// Counts `call`: the negated errno to fail it with when it is its turn, else 0.
    pub fn check(&self, call: u32) -> i64 {
        if self.call != 0 && self.call != call {
            return 0;
        }
        let seen = self.seen.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if seen == self.nth || (self.for_ever && seen > self.nth) { i64::from(self.error).wrapping_neg() } else { 0 }
    }
}

impl Clone for Fault {
    fn clone(&self) -> Self {
        Fault { seen: AtomicU64::new(self.seen.load(Ordering::Relaxed)), ..*self }
    }
}
