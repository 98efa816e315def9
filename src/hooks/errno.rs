//! Failed calls.

use super::platform::*;
use crate::status::STEADFAST_E_HOOK;
use core::ffi::CStr;

/// The C string at the start of `bytes`, whose last byte must be NUL; else "". Unlike the one in core it is a
/// strlen(3) and no code of ours.
pub fn c_str(bytes: &[u8]) -> &CStr {
    if bytes.last() == Some(&0) { unsafe { CStr::from_ptr(bytes.as_ptr().cast()) } } else { c"" }
}

/// A failed call: a negated errno, or STEADFAST_E_HOOK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(i32);

impl Errno {
    /// This errno.
    pub const fn of(errno: i32) -> Errno {
        Errno(errno.wrapping_neg())
    }

    /// From a code below 0.
    pub(super) const fn from_code(code: i32) -> Errno {
        Errno(code)
    }

    /// What a call came to: 0 or a negated errno, and nothing else.
    pub fn result(answer: i32) -> Result<(), Errno> {
        match answer {
            0 => Ok(()),
            -4095..0 => Err(Errno(answer)),
            _ => Err(Errno(STEADFAST_E_HOOK)),
        }
    }

    /// Below 0.
    pub const fn code(self) -> i32 {
        self.0
    }

    /// As in errno; 0 for STEADFAST_E_HOOK.
    pub const fn os_error(self) -> i32 {
        if self.0 >= -4095 { self.0.wrapping_neg() } else { 0 }
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
