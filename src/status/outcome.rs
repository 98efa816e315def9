//! The result of a call.
#![forbid(unsafe_code)]

use super::codes::STEADFAST_STEP_ARGUMENTS;
use super::detail::Detail;
use crate::sys::Errno;
use crate::sys::platform::EINVAL;

/// The result of a call: the report without its size and message. Every call hands it up: its small numbers are small here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The code.
    pub status: i32,
    /// errno of the call that failed, or 0.
    pub os_error: i32,
    /// STEADFAST_STEP_* of the call that failed, or 0.
    pub step: u8,
    /// One of STEADFAST_ON_DISK_*.
    pub on_disk: u8,
    /// The reason.
    pub detail: Detail,
    /// Of a state, or 0.
    pub generation: u64,
    /// The process that a lock names, or 0.
    pub pid: i32,
}

impl Outcome {
    /// `status`, with nothing changed on disk.
    pub const fn new(status: i32) -> Outcome {
        Outcome { status, os_error: 0, step: 0, on_disk: 0, detail: Detail::None, generation: 0, pid: 0 }
    }

    /// `status` because of `detail`.
    pub const fn because(status: i32, detail: Detail) -> Outcome {
        Outcome { detail, ..Outcome::new(status) }
    }

    /// The call of `step` failed: `status` is its errno.
    pub const fn failed(error: Errno, step: i32) -> Outcome {
        Outcome { os_error: error.os_error(), step: step as u8, ..Outcome::new(error.code()) }
    }

    /// -EINVAL because of `detail`, before any call.
    pub const fn invalid(detail: Detail) -> Outcome {
        Outcome::because(Errno::of(EINVAL).code(), detail).with_step(STEADFAST_STEP_ARGUMENTS)
    }

    /// A case that cannot occur has occurred: STEADFAST_E_INTERNAL.
    pub const fn internal() -> Outcome {
        Outcome::new(Errno::INTERNAL.code())
    }

    /// The same, with the failed call that led to it.
    pub const fn caused_by(self, error: Errno, step: i32) -> Outcome {
        Outcome { os_error: error.os_error(), step: step as u8, ..self }
    }

    /// The same, with the failed call of `first`, which led to it.
    pub const fn after(self, first: Outcome) -> Outcome {
        Outcome { os_error: first.os_error, step: first.step, ..self }
    }

    /// The same, with another status.
    pub const fn with_status(self, status: i32) -> Outcome {
        Outcome { status, ..self }
    }

    /// The same, at `step`.
    pub const fn with_step(self, step: i32) -> Outcome {
        Outcome { step: step as u8, ..self }
    }

    /// The same, because of `detail`.
    pub const fn with_detail(self, detail: Detail) -> Outcome {
        Outcome { detail, ..self }
    }

    /// The same, with one of STEADFAST_ON_DISK_*.
    pub const fn with_on_disk(self, on_disk: i32) -> Outcome {
        Outcome { on_disk: on_disk as u8, ..self }
    }

    /// The same, about a state of this generation.
    pub const fn with_generation(self, generation: u64) -> Outcome {
        Outcome { generation, ..self }
    }

    /// The same, about a lock that names this process.
    pub const fn with_pid(self, pid: i32) -> Outcome {
        Outcome { pid, ..self }
    }
}

/// Names the step at which a call failed.
pub trait At<T> {
    /// `Err` becomes an outcome with this step.
    fn at(self, step: i32) -> Result<T, Outcome>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, step: i32) -> Result<T, Outcome> {
        self.map_err(|error| Outcome::failed(error, step))
    }
}
