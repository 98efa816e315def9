//! What a call came to.
#![forbid(unsafe_code)]

use super::Detail;
use crate::hooks::Errno;

/// What a call came to: the report without its size and message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    status: i32,
    os_error: i32,
    step: i32,
    on_disk: i32,
    detail: Detail,
    generation: u64,
    pid: i32,
}

impl Outcome {
    /// `status`, with nothing changed on disk.
    pub const fn new(status: i32) -> Outcome {
        Outcome { status, os_error: 0, step: 0, on_disk: 0, detail: Detail::NONE, generation: 0, pid: 0 }
    }
    /// `status` because of `detail`.
    pub const fn because(status: i32, detail: Detail) -> Outcome {
        Outcome { detail, ..Outcome::new(status) }
    }
    /// The call of `step` failed: `status` is its errno.
    pub const fn failed(error: Errno, step: i32) -> Outcome {
        Outcome { os_error: error.os_error(), step, ..Outcome::new(error.code()) }
    }
    /// The same, with the failed call that led to it.
    pub const fn caused_by(self, error: Errno, step: i32) -> Outcome {
        Outcome { os_error: error.os_error(), step, ..self }
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
        Outcome { step, ..self }
    }
    /// The same, because of `detail`.
    pub const fn with_detail(self, detail: Detail) -> Outcome {
        Outcome { detail, ..self }
    }
    /// The same, with one of STEADFAST_ON_DISK_*.
    pub const fn with_on_disk(self, on_disk: i32) -> Outcome {
        Outcome { on_disk, ..self }
    }
    /// The same, about a state of this generation.
    pub const fn with_generation(self, generation: u64) -> Outcome {
        Outcome { generation, pid: 0, ..self }
    }
    /// The same, about a lock that names this process.
    pub const fn with_pid(self, pid: i32) -> Outcome {
        Outcome { pid, generation: 0, ..self }
    }
    /// The code.
    pub const fn status(self) -> i32 {
        self.status
    }
    /// errno of the call that failed, or 0.
    pub const fn os_error(self) -> i32 {
        self.os_error
    }
    /// The call that failed, or 0.
    pub const fn step(self) -> i32 {
        self.step
    }
    /// One of STEADFAST_ON_DISK_*.
    pub const fn on_disk(self) -> i32 {
        self.on_disk
    }
    /// The reason.
    pub const fn detail(self) -> Detail {
        self.detail
    }
    /// The generation of a state, or 0.
    pub const fn generation(self) -> u64 {
        self.generation
    }
    /// The process that a lock names, or 0.
    pub const fn pid(self) -> i32 {
        self.pid
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
