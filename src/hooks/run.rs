//! How a hook is called: counted for the fault injector, again after EINTR, and its answer looked at. One function
//! does it for all of them.

use super::*;
use crate::status::STEADFAST_E_HOOK;

/// A system call by its number: one that older C libraries have no function for, or ours would need a newer one for, or
/// whose name costs more than the call.
#[cfg(target_os = "linux")]
macro_rules! by_number {
    ($number:ident, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr) => {
        system_call(libc::$number, $a as usize, $b as usize, $c as usize, $d as usize, $e as usize, $f as usize)
    };
    ($number:ident $(, $argument:expr)*) => {
        by_number!($number $(, $argument)*, 0)
    };
}

/// A call that the C library only hands on: on Linux by its number. Not those that others take the place of (fakeroot,
/// eatmydata, our own mutants): they are to find all that change a name, an owner or a mode, and fsync.
macro_rules! handed_on {
    ($number:ident, $name:ident $(, $argument:expr)*) => {{
        #[cfg(target_os = "linux")]
        {
            by_number!($number $(, $argument)*)
        }
        #[cfg(not(target_os = "linux"))]
        {
            long(unsafe { libc::$name($($argument),*) } as isize)
        }
    }};
}

/// How often a call is made again after EINTR: one that never ends is a broken hook, not a signal.
pub(super) const PATIENT: u32 = 1 << 20;

pub(super) const INT: i64 = i32::MAX as i64;

pub(super) fn most(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

impl Hooks {
    /// Makes a call, unless a fault is injected, and looks at its answer: at most `most`, or a negated errno. After
    /// EINTR it is made again up to `retries` times.
    pub(super) fn call_for(&self, number: u32, most: i64, retries: u32, mut call: impl FnMut() -> i64) -> Result<i64, Errno> {
        const INTERRUPTED: i64 = -(EINTR as i64);
        let mut retries = retries;
        loop {
            let mut result = self.fault.as_ref().map_or(0, |fault| fault.check(number));
            if result == 0 {
                result = call();
            }
            if result == INTERRUPTED && retries > 0 {
                retries = retries.saturating_sub(1);
                continue;
            }
            return match result {
                0.. if result <= most => Ok(result),
                -4095..0 => Err(Errno::from_code(result as i32)),
                _ => Err(Errno::from_code(STEADFAST_E_HOOK)),
            };
        }
    }

    pub(super) fn call(&self, number: u32, most: i64, call: impl FnMut() -> i64) -> Result<i64, Errno> {
        self.call_for(number, most, PATIENT, call)
    }
}
