//! How a hook is called: counted for the fault injector, made again after EINTR, and its answer checked.

use super::*;

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
        retries: u32,
        mut call: impl FnMut(&Table, *mut c_void) -> A,
    ) -> Result<i64, Errno> {
        let mut retries = retries;
        loop {
            let answer = match self.fault.as_ref().and_then(|fault| fault.check(number)) {
                Some(error) => Err(error),
                None => Errno::up_to(call(&self.table, self.user).into(), most),
            };
            if answer.is_err_and(|e| e.is(EINTR)) && retries > 0 {
                retries = retries.saturating_sub(1);
                continue;
            }
            return answer;
        }
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
