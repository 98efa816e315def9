//! The scalar fault injector: for callers whose language has no callbacks. It names the hooks by their order in
//! steadfast_hooks.

use crate::sys::Errno;
use core::sync::atomic::{AtomicU64, Ordering};

/// The calls of the fault injector: any call at all.
pub const STEADFAST_CALL_ANY: u32 = 0;
pub const STEADFAST_CALL_OPENAT: u32 = 1;
pub const STEADFAST_CALL_CLOSE: u32 = 2;
pub const STEADFAST_CALL_WRITE: u32 = 3;
pub const STEADFAST_CALL_FSYNC: u32 = 4;
pub const STEADFAST_CALL_RENAMEAT: u32 = 5;
pub const STEADFAST_CALL_UNLINKAT: u32 = 6;
pub const STEADFAST_CALL_LINKAT: u32 = 7;
pub const STEADFAST_CALL_MKDIRAT: u32 = 8;
pub const STEADFAST_CALL_READLINKAT: u32 = 9;
pub const STEADFAST_CALL_READ: u32 = 10;
pub const STEADFAST_CALL_PREAD: u32 = 11;
pub const STEADFAST_CALL_FSTAT: u32 = 12;
pub const STEADFAST_CALL_FSTATAT: u32 = 13;
pub const STEADFAST_CALL_FSTATFS: u32 = 14;
pub const STEADFAST_CALL_FCHMOD: u32 = 15;
pub const STEADFAST_CALL_FCHOWN: u32 = 16;
pub const STEADFAST_CALL_FLOCK: u32 = 17;
pub const STEADFAST_CALL_OFDLOCK: u32 = 18;
pub const STEADFAST_CALL_FGETXATTR: u32 = 19;
pub const STEADFAST_CALL_FSETXATTR: u32 = 20;
pub const STEADFAST_CALL_GETPID: u32 = 21;
pub const STEADFAST_CALL_GETEUID: u32 = 22;
pub const STEADFAST_CALL_KILL: u32 = 23;
pub const STEADFAST_CALL_PIDFD_OPEN: u32 = 24;
pub const STEADFAST_CALL_POLL: u32 = 25;
pub const STEADFAST_CALL_INOTIFY_INIT: u32 = 26;
pub const STEADFAST_CALL_INOTIFY_ADD_WATCH: u32 = 27;
pub const STEADFAST_CALL_CLOCK: u32 = 28;
pub const STEADFAST_CALL_SIGXFSZ: u32 = 29;
pub const STEADFAST_CALL_FDATASYNC: u32 = 30;
pub const STEADFAST_CALL_SYNCFS: u32 = 31;
pub const STEADFAST_CALL_FTRUNCATE: u32 = 32;
pub const STEADFAST_CALL_WRITEBACK: u32 = 33;
pub const STEADFAST_CALL_AIO: u32 = 34;
pub const STEADFAST_CALL_FSYNC_MANY: u32 = 35;
pub const STEADFAST_CALL_OPENAT2: u32 = 36;
pub const STEADFAST_CALL_MAP: u32 = 37;
pub const STEADFAST_CALL_UNMAP: u32 = 38;
/// The last of them.
pub(crate) const LAST: u32 = STEADFAST_CALL_UNMAP;

/// Fails the `nth` of the calls it counts.
pub struct Fault {
    /// STEADFAST_CALL_*, 0 counts every call.
    pub call: u32,
    /// 1 is the first.
    pub nth: u64,
    /// errno, positive.
    pub error: i32,
    /// Also all calls after it.
    pub for_ever: bool,
    seen: AtomicU64,
}

impl Fault {
    /// Nothing counted yet.
    pub const fn new(call: u32, nth: u64, error: i32, for_ever: bool) -> Fault {
        Fault { call, nth, error, for_ever, seen: AtomicU64::new(0) }
    }

    /// Counts `call`: the errno to fail it with when it is its turn.
    pub fn check(&self, call: u32) -> Option<Errno> {
        if self.call != 0 && self.call != call {
            return None;
        }
        let seen = self.seen.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        (seen == self.nth || (self.for_ever && seen > self.nth)).then(|| Errno::of(self.error))
    }
}

impl Clone for Fault {
    fn clone(&self) -> Self {
        Fault { seen: AtomicU64::new(self.seen.load(Ordering::Relaxed)), ..*self }
    }
}
