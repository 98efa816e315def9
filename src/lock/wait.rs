//! Waiting for a lock: asleep until its name changes (inotify) or its holder dies (pidfd).
#![forbid(unsafe_code)]

use super::clean::{STEADFAST_LOCK_EINTR_RETURNS, Settings};
use crate::hooks::*;
use crate::path::Path;
use crate::status::*;
use core::ffi::CStr;

const MS: i64 = 1_000_000;
/// Looks at a lock that is kept busy by another cleaner's look, a millisecond apart, before E_LOCKED is told.
const LOOKS: u32 = 5;
/// The first and the longest sleep where nothing tells that the lock is free.
const BACKOFF_MS: (i64, i64) = (1, 64);
/// How long a free lock is left to those who wait for longer.
const PATIENCE_MS: i64 = 20;

/// When to give up.
pub struct Deadline {
    /// None: never.
    at_ns: Option<i64>,
    /// With timeout 0: how often to look again.
    looks: u32,
    once: bool,
}

impl Deadline {
    /// `timeout_ms` from now; 0: at once; negative: never.
    pub fn new(hooks: &Hooks, timeout_ms: i64) -> Result<Deadline, Outcome> {
        let at_ns = match timeout_ms {
            ..0 => None,
            0 => Some(0),
            _ => Some(now(hooks)?.saturating_add(timeout_ms.saturating_mul(MS))),
        };
        Ok(Deadline { at_ns, looks: LOOKS, once: timeout_ms == 0 })
    }

    /// Milliseconds left, rounded up; None when it is over.
    fn left_ms(&self, hooks: &Hooks) -> Result<Option<i64>, Outcome> {
        let Some(at) = self.at_ns else { return Ok(Some(i64::MAX)) };
        let left = at.saturating_sub(now(hooks)?);
        Ok((left > 0).then(|| left.saturating_add(MS - 1) / MS))
    }
}

fn now(hooks: &Hooks) -> Result<i64, Outcome> {
    hooks.clock(STEADFAST_CLOCK_MONOTONIC).at(STEADFAST_STEP_CLOCK)
}

/// What tells a waiter that something has changed.
pub struct Watch<'h> {
    hooks: &'h Hooks,
    inotify: Option<Fd<'h>>,
    name: &'h CStr,
    backoff_ms: i64,
    /// Since when the lock has been free, for somebody before us.
    free_since: Option<i64>,
    patience_over: bool,
}

impl<'h> Watch<'h> {
    /// For one who does not wait.
    pub fn none(hooks: &'h Hooks) -> Watch<'h> {
        Watch { hooks, inotify: None, name: c"", backoff_ms: BACKOFF_MS.0, free_since: None, patience_over: false }
    }

    /// Watches the directory of `path` for names that go away.
    pub fn new(hooks: &'h Hooks, path: &'h Path) -> Watch<'h> {
        let inotify = hooks.inotify().ok().filter(|inotify| {
            let mask = IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;
            hooks.inotify_watch(inotify.raw(), path.directory(), mask).is_ok()
        });
        Watch { inotify, name: path.name(), ..Watch::none(hooks) }
    }

    /// The inotify descriptor, no longer closed by us, or -1.
    pub fn into_raw(self) -> i32 {
        self.inotify.map_or(-1, Fd::into_raw)
    }

    /// Were those who wait for longer given their time?
    pub fn is_patience_over(&self) -> bool {
        self.patience_over
    }

    /// Sleeps until the lock is worth another look: false when the time is over.
    pub fn until_changed(&mut self, deadline: &mut Deadline, found: &Outcome, free: bool, settings: &Settings) -> Result<bool, Outcome> {
        if deadline.once {
            deadline.looks = deadline.looks.saturating_sub(1);
            return Ok(found.detail == Detail::BUSY && deadline.looks > 0 && self.sleep(1, &mut [], settings)?);
        }
        let Some(mut left) = deadline.left_ms(self.hooks)? else { return Ok(false) };
        if free {
            let since = now(self.hooks)?;
            let since = *self.free_since.get_or_insert(since);
            let waited = now(self.hooks)?.saturating_sub(since) / MS;
            self.patience_over = waited >= PATIENCE_MS;
            left = left.min(PATIENCE_MS.saturating_sub(waited).max(1));
        } else {
            self.free_since = None;
            self.patience_over = false;
        }
        // The holder's death, where the number is a process of ours to watch.
        let holder = if found.status == STEADFAST_LOCK_HELD && found.detail != Detail::BUSY {
            self.hooks.pidfd_open(found.pid).ok()
        } else {
            None
        };
        let told = self.inotify.is_some() && (free || holder.is_some() || found.status == STEADFAST_LOCK_UNDECIDED && settings.empty_grace_ms == 0);
        if !told {
            left = left.min(self.backoff_ms);
            self.backoff_ms = self.backoff_ms.saturating_mul(2).min(BACKOFF_MS.1);
        }
        let pollfd = |fd: Option<&Fd<'_>>| steadfast_pollfd { fd: fd.map_or(-1, Fd::raw), events: POLLIN, revents: 0 };
        let mut fds = [pollfd(self.inotify.as_ref()), pollfd(holder.as_ref())];
        loop {
            let patience = left.min(i64::from(i32::MAX));
            self.sleep(patience, &mut fds, settings)?;
            let [changes, death] = &fds;
            if changes.revents == 0 || death.revents != 0 {
                return Ok(true);
            }
            if self.names_ours()? {
                self.free_since = None;
                return Ok(true);
            }
            // Another name in the directory: on with the sleep.
            if deadline.left_ms(self.hooks)?.is_none() {
                return Ok(true);
            }
        }
    }

    /// Polls once. A signal ends it, and the wait if that was asked for.
    fn sleep(&self, timeout_ms: i64, fds: &mut [steadfast_pollfd], settings: &Settings) -> Result<bool, Outcome> {
        match self.hooks.poll(fds, i32::try_from(timeout_ms).unwrap_or(i32::MAX)) {
            Ok(_) => Ok(true),
            Err(e) if e.is(EINTR) && settings.flags & STEADFAST_LOCK_EINTR_RETURNS == 0 => Ok(true),
            Err(e) => Err(Outcome::failed(e, STEADFAST_STEP_WAIT)),
        }
    }

    /// Takes the events that have come: is one of them about our name?
    fn names_ours(&self) -> Result<bool, Outcome> {
        let Some(inotify) = &self.inotify else { return Ok(true) };
        let mut buf = [0u8; 4096];
        let mut ours = false;
        loop {
            let len = match self.hooks.read(inotify.raw(), &mut buf) {
                Ok(len) => len,
                Err(e) if e.is(EAGAIN) => return Ok(ours),
                Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_WAIT)),
            };
            if len == 0 {
                return Ok(ours);
            }
            ours |= mentions(buf.get(..len).unwrap_or_default(), self.name.to_bytes());
        }
    }
}

/// Is `name` in these inotify events (inotify(7): wd, mask, cookie, len, then the name padded with NULs)? An
/// event without a name, such as a queue overflow, is about everything.
fn mentions(events: &[u8], name: &[u8]) -> bool {
    let mut rest = events;
    while let Some((head, tail)) = rest.split_at_checked(16) {
        let len = head.get(12..).and_then(|len| len.try_into().ok()).map_or(0, u32::from_ne_bytes) as usize;
        let Some((padded, next)) = tail.split_at_checked(len) else { return true };
        if padded.is_empty() || padded.split(|&byte| byte == 0).next() == Some(name) {
            return true;
        }
        rest = next;
    }
    false
}
