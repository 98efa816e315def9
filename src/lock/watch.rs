//! Waiting for a lock: a moment of short sleeps, then asleep until its name changes (inotify) or its holder
//! dies (pidfd).

use super::options::{STEADFAST_LOCK_EINTR_RETURNS, Settings};
use crate::file::deadline::Deadline;
use crate::file::filesystem;
use crate::file::path;
use crate::hooks::*;
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

/// What tells a waiter that something has changed.
pub struct Watch<'h> {
    hooks: &'h Hooks,
    dir: i32,
    /// The directory's path, where that is one from the working directory.
    directory: Option<&'h CStr>,
    name: &'h CStr,
    /// None with timeout 0: nothing is waited for, but a lock that another cleaner is looking at is looked at again.
    deadline: Option<Deadline>,
    looks: u32,
    settings: &'h Settings,
    short_sleeps: u32,
    set_up: bool,
    inotify: Option<Fd<'h>>,
    /// Does inotify tell of every change?
    tells_all: bool,
    backoff_ns: i64,
    /// Since when the lock has been free, for somebody before us.
    free_since: Option<i64>,
    patience_over: bool,
}

impl<'h> Watch<'h> {
    /// Nothing is set up before it is needed.
    pub fn new(
        dir: &Fd<'h>,
        directory: Option<&'h CStr>,
        name: &'h CStr,
        deadline: Option<Deadline>,
        settings: &'h Settings,
    ) -> Watch<'h> {
        Watch {
            hooks: dir.hooks(),
            dir: dir.raw(),
            directory,
            name,
            deadline,
            looks: LOOKS,
            settings,
            short_sleeps: 0,
            set_up: false,
            inotify: None,
            tells_all: false,
            backoff_ns: BACKOFF_NS.0,
            free_since: None,
            patience_over: false,
        }
    }

    /// The inotify descriptor, if there is one.
    pub fn into_inotify(self) -> Option<Fd<'h>> {
        self.inotify
    }

    /// Were those who wait for longer given their time?
    pub fn is_patience_over(&self) -> bool {
        self.patience_over
    }

    /// Sleeps until the lock is worth another look: false when the time is over. `free`: it can be taken, but
    /// somebody waits for longer.
    pub fn until_changed(&mut self, found: &Outcome, free: bool) -> Result<bool, Outcome> {
        let Some(deadline) = self.deadline else {
            self.looks = self.looks.saturating_sub(1);
            let again = [Detail::Busy, Detail::Leased].contains(&found.detail) && self.looks > 0;
            if again {
                self.sleep(MS, None)?;
            }
            return Ok(again);
        };
        let Some(left) = deadline.left_ns(self.hooks).at(STEADFAST_STEP_CLOCK)? else { return Ok(false) };
        if self.short_sleeps < SHORT_SLEEPS {
            self.short_sleeps = self.short_sleeps.saturating_add(1);
            self.sleep(left.min(SHORT_SLEEP_NS), None)?;
        } else if !self.set_up {
            self.set_up = true;
            self.inotify = self.watch_directory();
            // What is changed below a mount of FUSE or of a network, inotify does not report.
            self.tells_all = self.inotify.is_some() && !filesystem::changes_unseen(self.hooks, self.dir);
            // Nor what happened before the watch was there: one more look.
        } else {
            self.sleep_until_told(left, found, free)?;
        }
        Ok(true)
    }

    fn now(&self) -> Result<i64, Outcome> {
        self.hooks.clock(STEADFAST_CLOCK_MONOTONIC).at(STEADFAST_STEP_CLOCK)
    }

    /// Watches the directory for names that go away: by its descriptor, since another thread may change the
    /// working directory; by its path where there is no /proc and the path leads there.
    fn watch_directory(&self) -> Option<Fd<'h>> {
        let inotify = self.hooks.inotify().ok()?;
        let mask = IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;
        let watch = |path: &CStr| self.hooks.inotify_watch(inotify.raw(), path, mask);
        let by_descriptor = match path::of_descriptor(self.dir) {
            Ok(path) if !self.hooks.absent(STEADFAST_ABSENT_PROC) => watch(path.c_str()).is_ok(),
            _ => false,
        };
        (by_descriptor || watch(self.directory?).is_ok()).then_some(inotify)
    }

    fn sleep_until_told(&mut self, mut left: i64, found: &Outcome, free: bool) -> Result<(), Outcome> {
        if free {
            let now = self.now()?;
            let waited = now.saturating_sub(*self.free_since.get_or_insert(now));
            self.patience_over = waited >= PATIENCE_NS;
            left = left.min(PATIENCE_NS.saturating_sub(waited).max(1));
        } else {
            self.free_since = None;
            self.patience_over = false;
        }
        // The holder's death, where the number is a process of ours to watch.
        let watchable =
            found.status == STEADFAST_LOCK_HELD && ![Detail::Busy, Detail::Leased, Detail::FlockUser].contains(&found.detail);
        let holder = if watchable { self.hooks.pidfd_open(found.pid).ok() } else { None };
        // Nothing tells when a content that says nothing changes, nor when a flock without a known owner is let go.
        if !self.tells_all || !(free || holder.is_some()) {
            left = left.min(self.backoff_ns);
            self.backoff_ns = self.backoff_ns.saturating_mul(2).min(BACKOFF_NS.1);
        }
        let end = if left == i64::MAX { None } else { Some(self.now()?.saturating_add(left)) };
        loop {
            let (changed, died) = self.sleep(left, Some((self.inotify.as_ref(), holder.as_ref())))?;
            if !changed || died {
                return Ok(());
            }
            if self.names_ours()? {
                self.free_since = None;
                return Ok(());
            }
            // Another name in the directory: on with what is left of the sleep.
            if let Some(end) = end {
                left = end.saturating_sub(self.now()?);
                if left <= 0 {
                    return Ok(());
                }
            }
        }
    }

    /// Polls once: is there something in the directory, and has the holder died? The caller's descriptor ends the wait, a
    /// signal ends it if that was asked for.
    fn sleep(&self, timeout_ns: i64, told_by: Option<(Option<&Fd<'_>>, Option<&Fd<'_>>)>) -> Result<(bool, bool), Outcome> {
        const STEP: i32 = STEADFAST_STEP_WAIT;
        let (changes, death) = told_by.unwrap_or_default();
        let pollfd = |fd: Option<i32>| steadfast_pollfd { fd: fd.unwrap_or(-1), events: POLLIN, revents: 0 };
        let mut fds = [pollfd(changes.map(Fd::raw)), pollfd(death.map(Fd::raw)), pollfd(self.settings.cancel_fd)];
        let asked = if self.settings.cancel_fd.is_some() {
            3
        } else if told_by.is_some() {
            2
        } else {
            0
        };
        let (polled, _) = fds.split_at_mut_checked(asked).ok_or(Outcome::internal())?;
        match self.hooks.poll(polled, if timeout_ns == i64::MAX { -1 } else { timeout_ns }) {
            Ok(_) => {}
            Err(e) if e.is(EINTR) && !self.settings.has(STEADFAST_LOCK_EINTR_RETURNS) => return Ok((false, false)),
            Err(e) => return Err(Outcome::failed(e, STEP)),
        }
        let [changes, death, cancel] = fds.map(|fd| fd.revents);
        if cancel & POLLNVAL != 0 {
            return Err(Outcome::failed(Errno::of(EBADF), STEP).with_detail(Detail::BadCancel));
        }
        if cancel != 0 {
            return Err(Outcome::failed(Errno::of(ECANCELED), STEP).with_detail(Detail::Canceled));
        }
        Ok((changes != 0, death != 0))
    }

    /// Takes the events that have come: is one of them about our name?
    fn names_ours(&self) -> Result<bool, Outcome> {
        let Some(inotify) = &self.inotify else { return Ok(true) };
        let mut buf = [0u8; 4096];
        let mut ours = false;
        loop {
            let events = match self.hooks.read(inotify.raw(), &mut buf) {
                Ok(events) => events,
                Err(e) if e.is(EAGAIN) => return Ok(ours),
                Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_WAIT)),
            };
            if events.is_empty() {
                return Ok(ours);
            }
            ours |= mentions(events, self.name.to_bytes());
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
