//! The hooks that a context has installed.

use super::fault::{Fault, STEADFAST_CALL_FSYNC, STEADFAST_CALL_WRITE};
use super::observer::Observer;
use crate::sys::abi::*;
use crate::sys::{self, Errno, Table};
use core::ffi::c_void;

/// The hooks of a context.
#[derive(Clone)]
pub struct Hooks {
    pub(super) table: Table,
    pub(super) user: *mut c_void,
    absent: u32,
    io_uring: bool,
    pub(super) fault: Option<Fault>,
    pub(super) observer: Observer,
}
// The library only hands `user` to the hooks; whether they may run in several threads is up to their owner.
unsafe impl Sync for Hooks {}
unsafe impl Send for Hooks {}

/// The real calls as C sees them.
pub static REAL_TABLE: steadfast_hooks = sys::REAL.to_c();

impl Hooks {
    /// Real calls on a complete platform.
    pub const REAL: Hooks =
        Hooks { table: sys::REAL, user: core::ptr::null_mut(), absent: 0, io_uring: true, fault: None, observer: Observer::NONE };

    /// These hooks, the real call where one is NULL, and a fault to inject. Not inlined: there the tables of pointers are taken
    /// apart, and the library is 640 bytes longer.
    #[inline(never)]
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
        let table = Table::complete(&given);
        Hooks { table, user: given.user, absent: given.absent, io_uring: true, fault, observer: Observer::NONE }
    }

    /// Is this STEADFAST_ABSENT_* set?
    pub fn absent(&self, bit: u32) -> bool {
        self.absent & bit != 0
    }

    /// The same, with somebody who looks at every call.
    pub fn observed_by(self, observer: Observer) -> Hooks {
        Hooks { observer, ..self }
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
    pub(super) fn unless_absent(&self, bit: u32, errno: i32) -> Result<(), Errno> {
        if self.absent(bit) { Err(Errno::of(errno)) } else { Ok(()) }
    }
}
