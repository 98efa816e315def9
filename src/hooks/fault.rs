//! The scalar fault injector: for callers whose language has no callbacks. It names the hooks by their order in
//! steadfast_hooks.

use crate::sys::Errno;
use core::sync::atomic::{AtomicU64, Ordering};

/// The calls of every hook.
pub const STEADFAST_CALL_ANY: u32 = 0;
/// The openat hook.
pub const STEADFAST_CALL_OPENAT: u32 = 1;
/// The close hook.
pub const STEADFAST_CALL_CLOSE: u32 = 2;
/// The write hook.
pub const STEADFAST_CALL_WRITE: u32 = 3;
/// The fsync hook.
pub const STEADFAST_CALL_FSYNC: u32 = 4;
/// The renameat hook.
pub const STEADFAST_CALL_RENAMEAT: u32 = 5;
/// The unlinkat hook.
pub const STEADFAST_CALL_UNLINKAT: u32 = 6;
/// The linkat hook.
pub const STEADFAST_CALL_LINKAT: u32 = 7;
/// The mkdirat hook.
pub const STEADFAST_CALL_MKDIRAT: u32 = 8;
/// The readlinkat hook.
pub const STEADFAST_CALL_READLINKAT: u32 = 9;
/// The read hook.
pub const STEADFAST_CALL_READ: u32 = 10;
/// The pread hook.
pub const STEADFAST_CALL_PREAD: u32 = 11;
/// The fstat hook.
pub const STEADFAST_CALL_FSTAT: u32 = 12;
/// The fstatat hook.
pub const STEADFAST_CALL_FSTATAT: u32 = 13;
/// The fstatfs hook.
pub const STEADFAST_CALL_FSTATFS: u32 = 14;
/// The fchmod hook.
pub const STEADFAST_CALL_FCHMOD: u32 = 15;
/// The fchown hook.
pub const STEADFAST_CALL_FCHOWN: u32 = 16;
/// The flock hook.
pub const STEADFAST_CALL_FLOCK: u32 = 17;
/// The ofdlock hook.
pub const STEADFAST_CALL_OFDLOCK: u32 = 18;
/// The fgetxattr hook.
pub const STEADFAST_CALL_FGETXATTR: u32 = 19;
/// The fsetxattr hook.
pub const STEADFAST_CALL_FSETXATTR: u32 = 20;
/// The getpid hook.
pub const STEADFAST_CALL_GETPID: u32 = 21;
/// The geteuid hook.
pub const STEADFAST_CALL_GETEUID: u32 = 22;
/// The kill hook.
pub const STEADFAST_CALL_KILL: u32 = 23;
/// The pidfd_open hook.
pub const STEADFAST_CALL_PIDFD_OPEN: u32 = 24;
/// The poll hook.
pub const STEADFAST_CALL_POLL: u32 = 25;
/// The inotify_init hook.
pub const STEADFAST_CALL_INOTIFY_INIT: u32 = 26;
/// The inotify_add_watch hook.
pub const STEADFAST_CALL_INOTIFY_ADD_WATCH: u32 = 27;
/// The clock hook.
pub const STEADFAST_CALL_CLOCK: u32 = 28;
/// The sigxfsz hook.
pub const STEADFAST_CALL_SIGXFSZ: u32 = 29;
/// The fdatasync hook.
pub const STEADFAST_CALL_FDATASYNC: u32 = 30;
/// The syncfs hook.
pub const STEADFAST_CALL_SYNCFS: u32 = 31;
/// The ftruncate hook.
pub const STEADFAST_CALL_FTRUNCATE: u32 = 32;
/// The writeback hook.
pub const STEADFAST_CALL_WRITEBACK: u32 = 33;
/// The aio hook.
pub const STEADFAST_CALL_AIO: u32 = 34;
/// The fsync_many hook.
pub const STEADFAST_CALL_FSYNC_MANY: u32 = 35;
/// The openat2 hook.
pub const STEADFAST_CALL_OPENAT2: u32 = 36;
/// The map hook.
pub const STEADFAST_CALL_MAP: u32 = 37;
/// The unmap hook.
pub const STEADFAST_CALL_UNMAP: u32 = 38;
/// The pwrite hook.
pub const STEADFAST_CALL_PWRITE: u32 = 39;
/// The flistxattr hook.
pub const STEADFAST_CALL_FLISTXATTR: u32 = 40;
/// The getdents hook.
pub const STEADFAST_CALL_GETDENTS: u32 = 41;
/// The last of them.
pub(crate) const LAST: u32 = STEADFAST_CALL_GETDENTS;

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
