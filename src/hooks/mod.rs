//! The one door to the system: typed calls through the hook table.
//!
//! Nothing outside this folder calls libc. Each call here counts for the fault injector, retries EINTR, and
//! refuses what a hook could not have meant.
#![allow(unsafe_code)]

#[macro_use]
mod run;
pub mod call;
mod complete;
mod disk;
mod errno;
pub mod errno_names;
mod fault;
mod files;
mod guard;
pub mod memory;
mod platform;
mod processes;
mod real;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod ring;
mod signal;
mod table;
mod text;

use call::*;
pub use errno::{Errno, c_str};
pub use fault::Fault;
pub use files::GLANCE;
pub use guard::{Fd, Flock};
pub use memory::Buffer;
pub use platform::*;
pub use table::*;
pub use text::{Text, copy};

/// The hooks of a context.
#[derive(Clone)]
pub struct Hooks {
    table: complete::Table,
    user: *mut core::ffi::c_void,
    absent: u32,
    fault: Option<Fault>,
}
// The library only hands `user` to the hooks; that they may run in several threads is their owner's to see to.
unsafe impl Sync for Hooks {}
unsafe impl Send for Hooks {}

/// The real calls as C sees them.
pub static REAL_TABLE: steadfast_hooks = real::TABLE.to_c();

unsafe impl Sync for steadfast_hooks {}

impl Hooks {
    /// Real calls on a complete platform.
    pub const REAL: Hooks = Hooks { table: real::TABLE, user: core::ptr::null_mut(), absent: 0, fault: None };

    /// These hooks, the real call where one is NULL, and a fault to inject.
    pub fn new(mut given: steadfast_hooks, fault: Option<Fault>) -> Hooks {
        let failing = fault.as_ref().map_or(0, |fault| fault.call);
        if given.fsync.is_some() || failing == STEADFAST_CALL_FSYNC {
            given.fdatasync = given.fdatasync.or(given.fsync);
            given.absent |= if given.syncfs.is_none() { STEADFAST_ABSENT_SYNCFS } else { 0 };
            given.absent |= if given.fsync_many.is_none() { STEADFAST_ABSENT_FSYNC_MANY } else { 0 };
        }
        if (given.write.is_some() || given.writeback.is_some() || failing == STEADFAST_CALL_WRITE) && given.aio.is_none() {
            given.absent |= STEADFAST_ABSENT_AIO;
        }
        Hooks { table: complete::Table::complete(&given, &real::TABLE), user: given.user, absent: given.absent, fault }
    }

    /// Is this STEADFAST_ABSENT_* set?
    pub fn absent(&self, bit: u32) -> bool {
        self.absent & bit != 0
    }
}
