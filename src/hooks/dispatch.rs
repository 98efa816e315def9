//! How a hook is called: counted for the fault injector, made again after EINTR, and its answer checked.

use super::installed::Hooks;
use crate::sys::platform::EINTR;
use crate::sys::{Errno, Table};
use core::ffi::c_void;

/// How often a call is made again after EINTR: one that never ends is a broken hook, not a signal.
const PATIENT: u32 = 1 << 20;

/// The largest answer of a call that returns an int.
pub(super) const INT: i64 = i32::MAX as i64;

/// The largest answer of a call that was given `len` bytes.
pub(super) fn most(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

impl Hooks {
    /// Makes the call `number`, unless a fault is injected, and checks its answer: 0 to `most`, or a negated errno. After
    /// EINTR it is made again up to `retries` times.
    fn call_for<A: Into<i64>>(
        &self,
        number: u32,
        most: i64,
        mut retries: u32,
        mut call: impl FnMut(&Table, *mut c_void) -> A,
    ) -> Result<i64, Errno> {
        loop {
            let answer = match self.injected(number) {
                0 => call(&self.table, self.user).into(),
                injected => injected,
            };
            if !interrupted(answer, &mut retries) {
                return Errno::up_to(answer, most);
            }
        }
    }

    /// The negated errno that the fault injector or the observer has for this call, or 0.
    #[inline(never)]
    fn injected(&self, number: u32) -> i64 {
        let fault = self.fault.as_ref().and_then(|fault| fault.check(number));
        fault.or_else(|| self.observer.check(number)).map_or(0, |error| i64::from(error.code()))
    }

    /// A call that answers with a number of at most `most`.
    pub(super) fn call<A: Into<i64>>(
        &self,
        number: u32,
        most: i64,
        call: impl FnMut(&Table, *mut c_void) -> A,
    ) -> Result<i64, Errno> {
        self.call_for(number, most, PATIENT, call)
    }

    /// The same, made once: EINTR is the caller's to judge.
    pub(super) fn once<A: Into<i64>>(
        &self,
        number: u32,
        most: i64,
        call: impl FnMut(&Table, *mut c_void) -> A,
    ) -> Result<i64, Errno> {
        self.call_for(number, most, 0, call)
    }

    /// A call of which only an error matters.
    pub(super) fn done(&self, number: u32, call: impl FnMut(&Table, *mut c_void) -> i32) -> Result<(), Errno> {
        self.call_for(number, INT, PATIENT, call).map(drop)
    }

    /// A call that an injected fault never keeps from being made, since it gives something back.
    pub(super) fn always<A>(&self, call: impl FnOnce(&Table, *mut c_void) -> A) -> A {
        call(&self.table, self.user)
    }
}

/// Is a call that answered so to be made again?
#[inline(never)]
fn interrupted(answer: i64, retries: &mut u32) -> bool {
    let again = answer == i64::from(Errno::of(EINTR).code()) && *retries > 0;
    *retries = retries.saturating_sub(u32::from(again));
    again
}
