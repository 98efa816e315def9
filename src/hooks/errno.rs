//! Failed calls.

use super::platform::*;
use crate::status::{Outcome, STEADFAST_E_HOOK};
use core::ffi::CStr;
use core::num::NonZeroU64;

/// The C string at the start of `bytes`, whose last byte must be NUL; else "". Unlike the one in core it is a
/// strlen(3) and no code of ours.
pub fn c_str(bytes: &[u8]) -> &CStr {
    if bytes.last() == Some(&0) { unsafe { CStr::from_ptr(bytes.as_ptr().cast()) } } else { c"" }
}

/// A failed call: a negated errno, or STEADFAST_E_HOOK. It is the code of the outcome that it leads to, so that
/// naming the step is all that is left to do where it is passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(NonZeroU64);

impl Errno {
    /// This errno.
    pub const fn of(errno: i32) -> Errno {
        Errno::from_code(errno.wrapping_neg())
    }

    /// From a code below 0.
    pub(super) const fn from_code(code: i32) -> Errno {
        Errno(Outcome::new(code).with_os_error(if code >= -4095 { code.wrapping_neg() } else { 0 }).into_code())
    }

    /// What a call came to: 0 or a negated errno, and nothing else.
    #[inline(never)]
    pub fn result(answer: i32) -> Result<(), Errno> {
        match answer {
            0 => Ok(()),
            -4095..0 => Err(Errno::from_code(answer)),
            _ => Err(Errno::from_code(STEADFAST_E_HOOK)),
        }
    }

    /// Below 0.
    pub const fn code(self) -> i32 {
        self.outcome().status()
    }

    /// The outcome of a call that ends with it.
    pub const fn outcome(self) -> Outcome {
        Outcome::of_code(self.0)
    }

    /// Is it this errno?
    pub fn is(self, errno: i32) -> bool {
        self.low() == Errno::of(errno).low()
    }

    /// All but the status, of which no two errno have the same.
    const fn low(self) -> u32 {
        self.0.get() as u32
    }

    /// Does it say that the system or the file system has no such operation?
    pub fn unsupported(self) -> bool {
        [EINVAL, ENOSYS, EOPNOTSUPP, ENOTTY].iter().any(|&errno| self.is(errno))
    }
}
