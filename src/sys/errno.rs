//! Failed calls.

use super::platform::*;

/// STEADFAST_E_HOOK, for the floors below the one that names it.
pub const HOOK: i32 = -10018;
/// STEADFAST_E_INTERNAL, likewise.
pub const INTERNAL: i32 = -10022;

/// Why a call failed: a negated errno, STEADFAST_E_HOOK or STEADFAST_E_INTERNAL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(i32);

impl Errno {
    /// A hook returned an invalid value.
    pub const HOOK: Errno = Errno(HOOK);
    /// A case that cannot occur has occurred: a defect of this library, which its caller is to hear of.
    pub const INTERNAL: Errno = Errno(INTERNAL);

    /// This errno.
    pub const fn of(errno: i32) -> Errno {
        Errno(errno.wrapping_neg())
    }

    /// The result of a call that answers 0 or a negated errno; anything else is STEADFAST_E_HOOK.
    pub fn result(answer: i32) -> Result<(), Errno> {
        match answer {
            0 => Ok(()),
            -4095..0 => Err(Errno(answer)),
            _ => Err(Errno::HOOK),
        }
    }

    /// The same for an answer of up to `most`.
    pub fn up_to(answer: i64, most: i64) -> Result<i64, Errno> {
        match answer {
            0.. if answer <= most => Ok(answer),
            -4095..0 => Err(Errno(answer as i32)),
            _ => Err(Errno::HOOK),
        }
    }

    /// As a status: below 0.
    pub const fn code(self) -> i32 {
        self.0
    }

    /// As in errno; 0 for a code of ours.
    pub const fn os_error(self) -> i32 {
        if self.0 >= -4095 { self.0.wrapping_neg() } else { 0 }
    }

    /// Is it this errno?
    pub fn is(self, errno: i32) -> bool {
        self == Errno::of(errno)
    }

    /// Is it one of these? Asked after an error only, and in so many places that it takes 1 KB when it is inlined.
    #[inline(never)]
    pub fn is_one_of(self, errnos: &[i32]) -> bool {
        errnos.iter().any(|&errno| self.is(errno))
    }

    /// Does it say that the system or the file system has no such operation?
    #[inline(never)]
    pub fn unsupported(self) -> bool {
        self.is_one_of(&[EINVAL, ENOSYS, EOPNOTSUPP, ENOTTY])
    }
}
