//! How to treat a lock.

use crate::status::*;

/// For lock files that contain only a PID: treat the lock as stale if the process with that PID started after the file
/// was last written. Off by default, because a clock adjustment can make this wrong.
pub const STEADFAST_LOCK_TRUST_START_TIME: u32 = 1 << 0;
/// A signal ends steadfast_lock_acquire with -EINTR. A signal that is handled just before the wait begins is missed;
/// cancel_fd has no such race.
pub const STEADFAST_LOCK_EINTR_RETURNS: u32 = 1 << 1;
/// Child processes get the lock's descriptor, through exec as well: the lock stays held while one of them lives, and a
/// forked child can make it its own with steadfast_lock_adopt.
pub const STEADFAST_LOCK_INHERIT: u32 = 1 << 2;
/// All bits above.
pub const LOCK_ALL: u32 = STEADFAST_LOCK_TRUST_START_TIME | STEADFAST_LOCK_EINTR_RETURNS | STEADFAST_LOCK_INHERIT;

/// The options, checked.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub flags: u32,
    pub mode: u32,
    pub empty_grace_ms: i64,
    /// Ends a wait when it becomes readable.
    pub cancel_fd: Option<i32>,
}

impl Settings {
    /// The same; what cannot be is refused.
    pub fn check(self) -> Result<Settings, Outcome> {
        if self.flags & !LOCK_ALL != 0 {
            return Err(Outcome::invalid(Detail::UnknownFlag));
        }
        if self.mode & !0o777 != 0 || self.empty_grace_ms < 0 || self.cancel_fd.is_some_and(|fd| fd < 0) {
            return Err(Outcome::invalid(Detail::BadLockOptions));
        }
        Ok(self)
    }

    /// Is this flag set?
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Sets a flag, or clears it.
    pub fn set(&mut self, flag: u32, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings { flags: 0, mode: 0o644, empty_grace_ms: 0, cancel_fd: None }
    }
}
