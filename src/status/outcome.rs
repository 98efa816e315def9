//! What a call came to.
#![forbid(unsafe_code)]

use super::Detail;
use crate::hooks::Errno;
use core::num::NonZeroU64;

/// What a call came to: the report without its size and message. Two words, of which one holds all that is
/// small: every function that can fail hands one on, and should do so in registers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The generation, or the PID: no call has both.
    number: u64,
    code: NonZeroU64,
}

/// A member of `Outcome::code`: its lowest bit and its width.
type Bits = (u32, u32);
const STEP: Bits = (0, 6);
const ON_DISK: Bits = (6, 2);
const DETAIL: Bits = (8, 8);
const OS_ERROR: Bits = (16, 12);
const IS_PID: Bits = (28, 1);
/// Always set: a code is never 0.
const SET: Bits = (29, 1);
const STATUS: Bits = (32, 32);

const fn mask(bits: Bits) -> u64 {
    (1u64 << bits.1).wrapping_sub(1) << bits.0
}

impl Outcome {
    /// `status`, with nothing changed on disk.
    pub const fn new(status: i32) -> Outcome {
        Outcome { number: 0, code: NonZeroU64::MIN }.with(SET, 1).with_step(0).with(STATUS, status as u64)
    }

    /// `status` because of `detail`.
    pub const fn because(status: i32, detail: Detail) -> Outcome {
        Outcome::new(status).with_detail(detail)
    }

    /// The call of `step` failed: `status` is its errno.
    #[inline(always)]
    pub const fn failed(error: Errno, step: i32) -> Outcome {
        error.outcome().at(step)
    }

    /// The same, with the failed call that led to it.
    #[cold]
    #[inline(never)]
    pub const fn caused_by(self, error: Errno, step: i32) -> Outcome {
        self.after(error.outcome()).with_step(step)
    }

    /// The same, with the failed call of `first`, which led to it.
    pub const fn after(self, first: Outcome) -> Outcome {
        self.with(OS_ERROR, first.get(OS_ERROR)).with(STEP, first.get(STEP))
    }

    /// The same, with the errno of the call that failed.
    pub const fn with_os_error(self, errno: i32) -> Outcome {
        self.with(OS_ERROR, errno as u64)
    }

    /// All but its number.
    pub const fn into_code(self) -> NonZeroU64 {
        self.code
    }

    /// The reverse.
    pub const fn of_code(code: NonZeroU64) -> Outcome {
        Outcome { number: 0, code }
    }

    /// The same, with another status.
    pub const fn with_status(self, status: i32) -> Outcome {
        self.with(STATUS, status as u64)
    }

    /// The same, at `step`.
    pub const fn with_step(self, step: i32) -> Outcome {
        self.with(STEP, step as u64)
    }

    /// The same, because of `detail`.
    pub const fn with_detail(self, detail: Detail) -> Outcome {
        self.with(DETAIL, detail.0 as u64)
    }

    /// The same, with one of STEADFAST_ON_DISK_*.
    pub const fn with_on_disk(self, on_disk: i32) -> Outcome {
        self.with(ON_DISK, on_disk as u64)
    }

    /// The same, about a state of this generation.
    pub const fn with_generation(self, generation: u64) -> Outcome {
        Outcome { number: generation, ..self.with(IS_PID, 0) }
    }

    /// The same, about a lock that names this process.
    pub const fn with_pid(self, pid: i32) -> Outcome {
        Outcome { number: pid as u64, ..self.with(IS_PID, 1) }
    }

    /// The code.
    pub const fn status(self) -> i32 {
        self.get(STATUS) as i32
    }

    /// errno of the call that failed, or 0.
    pub const fn os_error(self) -> i32 {
        self.get(OS_ERROR) as i32
    }

    /// The call that failed, or 0.
    pub const fn step(self) -> i32 {
        self.get(STEP) as i32
    }

    /// One of STEADFAST_ON_DISK_*.
    pub const fn on_disk(self) -> i32 {
        self.get(ON_DISK) as i32
    }

    /// The reason.
    pub const fn detail(self) -> Detail {
        Detail(self.get(DETAIL) as u8)
    }

    /// The generation of a state, or 0.
    pub const fn generation(self) -> u64 {
        if self.get(IS_PID) == 0 { self.number } else { 0 }
    }

    /// The process that a lock names, or 0.
    pub const fn pid(self) -> i32 {
        if self.get(IS_PID) == 0 { 0 } else { self.number as i32 }
    }

    /// The same, at `step`; so far it was at none.
    const fn at(self, step: i32) -> Outcome {
        self.or(step as u64)
    }

    const fn or(self, bits: u64) -> Outcome {
        match NonZeroU64::new(self.code.get() | bits) {
            Some(code) => Outcome { code, ..self },
            None => self,
        }
    }

    const fn get(self, bits: Bits) -> u64 {
        (self.code.get() & mask(bits)) >> bits.0
    }

    #[inline(always)]
    const fn with(self, bits: Bits, value: u64) -> Outcome {
        let code = (self.code.get() & !mask(bits)) | (value << bits.0 & mask(bits));
        match NonZeroU64::new(code) {
            Some(code) => Outcome { code, ..self },
            None => self,
        }
    }
}

/// Names the step at which a call failed.
pub trait At<T> {
    /// `Err` becomes an outcome with this step.
    fn at(self, step: i32) -> Result<T, Outcome>;
}

impl<T> At<T> for Result<T, Errno> {
    #[inline(always)]
    fn at(self, step: i32) -> Result<T, Outcome> {
        self.map_err(|error| Outcome::failed(error, step))
    }
}
