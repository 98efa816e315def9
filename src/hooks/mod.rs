//! The one door to the system: typed calls through the hook table.
//!
//! Nothing outside this folder calls libc. Each call here counts for the fault injector, retries EINTR, and
//! refuses what a hook could not have meant.
#![allow(unsafe_code)]

#[macro_use]
mod run;
pub mod call;
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
    table: steadfast_hooks,
    fault: Option<Fault>,
}
// The library only hands `user` to the hooks; that they may run in several threads is their owner's to see to.
unsafe impl Sync for Hooks {}
unsafe impl Send for Hooks {}

/// Any hook: only to be looked at.
type Hook = unsafe extern "C" fn();

impl Hooks {
    /// Real calls on a complete platform.
    pub const REAL: Hooks = Hooks { table: real::TABLE, fault: None };

    /// These hooks, yet to be completed, and a fault to inject.
    pub fn new(table: steadfast_hooks, fault: Option<Fault>) -> Hooks {
        Hooks { table, fault }
    }

    /// Puts the call of `real` where one is NULL.
    pub fn complete(&mut self, real: &Hooks) {
        let table = &mut self.table;
        // Who hooks fsync or write, or lets one fail, means all of them: no sync and no byte goes past.
        let failing = self.fault.as_ref().map_or(0, |fault| fault.call);
        if table.fsync.is_some() || failing == STEADFAST_CALL_FSYNC {
            table.fdatasync = table.fdatasync.or(table.fsync);
            table.absent |= if table.syncfs.is_none() { STEADFAST_ABSENT_SYNCFS } else { 0 };
            table.absent |= if table.fsync_many.is_none() { STEADFAST_ABSENT_FSYNC_MANY } else { 0 };
        }
        if (table.write.is_some() || table.writeback.is_some() || failing == STEADFAST_CALL_WRITE) && table.aio.is_none() {
            table.absent |= STEADFAST_ABSENT_AIO;
        }
        // From `openat` on, a table is an array of pointers, of which zero is None.
        const FIRST: usize = core::mem::offset_of!(steadfast_hooks, openat);
        const COUNT: usize = (size_of::<steadfast_hooks>() - FIRST) / size_of::<usize>();
        for at in 0..COUNT {
            unsafe {
                let hook = (&raw mut *table).byte_add(FIRST).cast::<Option<Hook>>().add(at);
                if (*hook).is_none() {
                    *hook = (&raw const real.table).byte_add(FIRST).cast::<Option<Hook>>().add(at).read();
                }
            }
        }
    }

    /// As it is now: none is NULL.
    pub fn table(&self) -> &steadfast_hooks {
        &self.table
    }

    /// Is this STEADFAST_ABSENT_* set?
    pub fn absent(&self, bit: u32) -> bool {
        self.table.absent & bit != 0
    }
}
