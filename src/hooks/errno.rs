//! Failed calls.

use super::platform::*;
use core::ffi::CStr;
use core::num::NonZeroI64;

/// The C string at the start of `bytes`, whose last byte must be NUL; else "". Unlike the one in core it is a
/// strlen(3) and no code of ours.
pub fn c_str(bytes: &[u8]) -> &CStr {
    if bytes.last() == Some(&0) { unsafe { CStr::from_ptr(bytes.as_ptr().cast()) } } else { c"" }
}

/// A failed call: a negated errno, or STEADFAST_E_HOOK. As wide as a length, so that what a call returns comes
/// back in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(NonZeroI64);

impl Errno {
    /// This errno.
    pub const fn of(errno: i32) -> Errno {
        Errno::from_code((errno as i64).wrapping_neg())
    }

    /// From a code below 0.
    pub(super) const fn from_code(code: i64) -> Errno {
        match NonZeroI64::new(code) {
            Some(code) => Errno(code),
            None => Errno(NonZeroI64::MIN),
        }
    }

    /// Below 0.
    pub const fn code(self) -> i32 {
        self.0.get() as i32
    }

    /// Is it this errno?
    pub fn is(self, errno: i32) -> bool {
        self == Errno::of(errno)
    }

    /// Does it say that the system or the file system has no such operation?
    pub fn unsupported(self) -> bool {
        [EINVAL, ENOSYS, EOPNOTSUPP, ENOTTY].iter().any(|&errno| self.is(errno))
    }
}
