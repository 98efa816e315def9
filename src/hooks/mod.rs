//! The one door to the system: typed calls through the hook table.
//!
//! Each call here counts for the fault injector, is made again after EINTR, and refuses an answer that its hook may not
//! give. What a call is made of lies one floor below, in [`crate::sys`].
#![allow(unsafe_code)]

mod dispatch;
mod fault;
mod files;
mod guard;
mod io;
mod processes;
mod sync;

pub use crate::mem::Buffer;
pub use crate::sys::Errno;
pub use crate::sys::abi::*;
pub use crate::sys::platform::*;
pub use fault::*;
pub use files::Range;
pub use guard::{Fd, Fillers, Flock};
pub use io::GLANCE;

use crate::sys::{self, Table};
use core::ffi::c_void;

/// The hooks of a context.
#[derive(Clone)]
pub struct Hooks {
    table: Table,
    user: *mut c_void,
    absent: u32,
    io_uring: bool,
    fault: Option<Fault>,
}
// The library only hands `user` to the hooks; whether they may run in several threads is up to their owner.
unsafe impl Sync for Hooks {}
unsafe impl Send for Hooks {}

/// The real calls as C sees them.
pub static REAL_TABLE: steadfast_hooks = sys::REAL.to_c();

impl Hooks {
    /// Real calls on a complete platform.
    pub const REAL: Hooks = Hooks { table: sys::REAL, user: core::ptr::null_mut(), absent: 0, io_uring: true, fault: None };

    /// These hooks, the real call where one is NULL, and a fault to inject.
    pub fn new(given: &steadfast_hooks, fault: Option<Fault>) -> Hooks {
        let mut given = *given;
        // A test that hooks fsync or write, or injects a fault there, expects to see every sync and every byte written:
        // the calls that would bypass it are turned off.
        let failing = |call| fault.as_ref().is_some_and(|fault| fault.call == call);
        if given.fsync.is_some() || failing(STEADFAST_CALL_FSYNC) {
            given.fdatasync = given.fdatasync.or(given.fsync);
            given.absent |= if given.syncfs.is_none() { STEADFAST_ABSENT_SYNCFS } else { 0 };
            given.absent |= if given.fsync_many.is_none() { STEADFAST_ABSENT_FSYNC_MANY } else { 0 };
        }
        if (given.write.is_some() || given.writeback.is_some() || failing(STEADFAST_CALL_WRITE)) && given.aio.is_none() {
            given.absent |= STEADFAST_ABSENT_AIO;
        }
        Hooks { table: Table::complete(&given), user: given.user, absent: given.absent, io_uring: true, fault }
    }

    /// Is this STEADFAST_ABSENT_* set?
    pub fn absent(&self, bit: u32) -> bool {
        self.absent & bit != 0
    }

    /// The same without io_uring, for processes whose seccomp filter kills instead of answering.
    pub fn without_io_uring(self) -> Hooks {
        Hooks { io_uring: false, ..self }
    }

    /// May a ring be set up?
    pub fn may_use_io_uring(&self) -> bool {
        self.io_uring
    }

    /// `errno`, if this STEADFAST_ABSENT_* is set.
    fn unless_absent(&self, bit: u32, errno: i32) -> Result<(), Errno> {
        if self.absent(bit) { Err(Errno::of(errno)) } else { Ok(()) }
    }
}
