//! Waiting for a lock: a moment of short sleeps, then asleep until its name changes (inotify) or its holder
//! dies (pidfd).
#![forbid(unsafe_code)]

use super::clean::{STEADFAST_LOCK_EINTR_RETURNS, Settings};
use crate::hooks::*;
use crate::path::{self, Path};
use crate::status::*;
use core::ffi::CStr;

const MS: i64 = 1_000_000;
/// Looks at a lock that is kept busy by another cleaner's look, before E_LOCKED is told.
const LOOKS: u32 = 5;
/// Short sleeps before the watch is set up: with the kernel's timer slack (prctl(2), PR_SET_TIMERSLACK) about
/// a millisecond in all. Many locks are held for less, and closing an inotify descriptor can stall for ten
/// times as long.
const SHORT_SLEEPS: u32 = 12;
const SHORT_SLEEP_NS: i64 = 30_000;
/// The first and the longest sleep where nothing tells that the lock is free.
const BACKOFF_NS: (i64, i64) = (MS, 64 * MS);
/// How long a free lock is left to those who wait for longer.
const PATIENCE_NS: i64 = 20 * MS;

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

    /// Nanoseconds left; None when it is over.
    fn left_ns(&self, hooks: &Hooks) -> Result<Option<i64>, Outcome> {
        let Some(at) = self.at_ns else { return Ok(Some(i64::MAX)) };
        let left = at.saturating_sub(now(hooks)?);
        Ok((left > 0).then_some(left))
    }
}

fn now(hooks: &Hooks) -> Result<i64, Outcome> {
    hooks.clock(STEADFAST_CLOCK_MONOTONIC).at(STEADFAST_STEP_CLOCK)
}

/// What tells a waiter that something has changed.
pub struct Watch<'h> {
    hooks: &'h Hooks,
    dir: i32,
    directory: &'h CStr,
    name: &'h CStr,
    short_sleeps: u32,
    set_up: bool,
    inotify: Option<Fd<'h>>,
    backoff_ns: i64,
    /// Since when the lock has been free, for somebody before us.
    free_since: Option<i64>,
    patience_over: bool,
}

impl<'h> Watch<'h> {
    /// Nothing is set up before it is needed.
    pub fn new(hooks: &'h Hooks, dir: &Fd<'_>, path: &'h Path) -> Watch<'h> {
        Watch {
            hooks,
            dir: dir.raw(),
            directory: path.directory(),
            name: path.name(),
            short_sleeps: 0,
            set_up: false,
            inotify: None,
            backoff_ns: BACKOFF_NS.0,
            free_since: None,
            patience_over: false,
        }
    }

    /// The inotify descriptor, no longer closed by us, or -1.
    pub fn into_raw(self) -> i32 {
        self.inotify.map_or(-1, Fd::into_raw)
    }

    /// Were those who wait for longer given their time?
    pub fn is_patience_over(&self) -> bool {
        self.patience_over
    }

    /// Sleeps until the lock is worth another look: false when the time is over. `free`: it can be taken, but
    /// somebody waits for longer.
    pub fn until_changed(
        &mut self,
        deadline: &mut Deadline,
        found: &Outcome,
        free: bool,
        settings: &Settings,
    ) -> Result<bool, Outcome> {
        if deadline.once {
            deadline.looks = deadline.looks.saturating_sub(1);
            let again = found.detail() == Detail::BUSY && deadline.looks > 0;
            if again {
                self.sleep(MS, &mut [], settings)?;
            }
            return Ok(again);
        }
        let Some(left) = deadline.left_ns(self.hooks)? else { return Ok(false) };
        if self.short_sleeps < SHORT_SLEEPS {
            self.short_sleeps = self.short_sleeps.saturating_add(1);
            self.sleep(left.min(SHORT_SLEEP_NS), &mut [], settings)?;
        } else if !self.set_up {
            self.set_up = true;
            self.inotify = self.watch_directory();
            // What happened before the watch was there, it does not tell: one more look.
        } else {
            self.sleep_until_told(left, found, free, settings)?;
        }
        Ok(true)
    }

    /// Watches the directory for names that go away: by its descriptor, since another thread may change the
    /// working directory; by its path where there is no /proc.
    fn watch_directory(&self) -> Option<Fd<'h>> {
        let inotify = self.hooks.inotify().ok()?;
        let mask = IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;
        let watch = |path: &CStr| self.hooks.inotify_watch(inotify.raw(), path, mask);
        let mut path = Text::empty();
        let watched = match path::of_descriptor(&mut path, self.dir) {
            Ok(()) if !self.hooks.absent(STEADFAST_ABSENT_PROC) => watch(path.c_str()).or_else(|_| watch(self.directory)),
            _ => watch(self.directory),
        };
        watched.ok().map(|()| inotify)
    }

    fn sleep_until_told(&mut self, mut left: i64, found: &Outcome, free: bool, settings: &Settings) -> Result<(), Outcome> {
        if free {
            let now = now(self.hooks)?;
            let waited = now.saturating_sub(*self.free_since.get_or_insert(now));
            self.patience_over = waited >= PATIENCE_NS;
            left = left.min(PATIENCE_NS.saturating_sub(waited).max(1));
        } else {
            self.free_since = None;
            self.patience_over = false;
        }
        // The holder's death, where the number is a process of ours to watch.
        let holder = if found.status() == STEADFAST_LOCK_HELD && found.detail() != Detail::BUSY {
            self.hooks.pidfd_open(found.pid()).ok()
        } else {
            None
        };
        // Nothing tells when a content that says nothing changes, nor when a flock without a known owner is let go.
        if self.inotify.is_none() || !(free || holder.is_some()) {
            left = left.min(self.backoff_ns);
            self.backoff_ns = self.backoff_ns.saturating_mul(2).min(BACKOFF_NS.1);
        }
        let pollfd = |fd: Option<&Fd<'_>>| steadfast_pollfd { fd: fd.map_or(-1, Fd::raw), events: POLLIN, revents: 0 };
        let mut fds = [pollfd(self.inotify.as_ref()), pollfd(holder.as_ref())];
        let end = if left == i64::MAX { None } else { Some(now(self.hooks)?.saturating_add(left)) };
        loop {
            self.sleep(left, &mut fds, settings)?;
            let [changes, death] = &fds;
            if changes.revents == 0 || death.revents != 0 {
                return Ok(());
            }
            if self.names_ours()? {
                self.free_since = None;
                return Ok(());
            }
            // Another name in the directory: on with what is left of the sleep.
            if let Some(end) = end {
                left = end.saturating_sub(now(self.hooks)?);
                if left <= 0 {
                    return Ok(());
                }
            }
        }
    }

    /// Polls once. A signal ends it, and the wait if that was asked for.
    fn sleep(&self, timeout_ns: i64, fds: &mut [steadfast_pollfd], settings: &Settings) -> Result<(), Outcome> {
        match self.hooks.poll(fds, if timeout_ns == i64::MAX { -1 } else { timeout_ns }) {
            Ok(_) => Ok(()),
            Err(e) if e.is(EINTR) && settings.flags & STEADFAST_LOCK_EINTR_RETURNS == 0 => {
                fds.iter_mut().for_each(|fd| fd.revents = 0);
                Ok(())
            }
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
