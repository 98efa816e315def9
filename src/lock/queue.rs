//! First come, first served, among those who wait for a lock.
//!
//! A waiter holds a shared open file description lock on one byte of the lock's directory: its ticket. The
//! kernel drops it with the waiter, however that ends, and nothing of it is on disk. Only fairness rests on
//! the tickets, never the lock: where there are none, waiters race.
#![forbid(unsafe_code)]

use crate::hooks::*;
use crate::path::{self, Path};

/// Tickets of one name. Two names that share a range queue together, which costs them a little patience.
const TICKETS: i64 = 1 << 31;

/// A place in the queue of one lock.
pub struct Queue<'h> {
    hooks: &'h Hooks,
    dir: Option<Fd<'h>>,
    first: i64,
    ticket: i64,
}

fn first_ticket(path: &Path) -> i64 {
    let bucket = path::hash(path.name().to_bytes()) & 0x3fff_ffff;
    bucket.cast_signed().saturating_mul(TICKETS)
}

/// Byte locks need a directory that is open for reading.
fn open<'h>(hooks: &'h Hooks, path: &Path) -> Option<Fd<'h>> {
    if hooks.absent(STEADFAST_ABSENT_OFDLOCK) {
        return None;
    }
    hooks.openat(AT_FDCWD, path.directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK, 0).ok()
}

impl<'h> Queue<'h> {
    /// No place, and nobody before it.
    pub fn none(hooks: &'h Hooks) -> Queue<'h> {
        Queue { hooks, dir: None, first: 0, ticket: 0 }
    }

    /// Is somebody waiting for the name of `path` in `dir`?
    pub fn is_waited_for(hooks: &Hooks, dir: &Fd<'_>, path: &Path) -> bool {
        hooks.ofdlock(dir.raw(), STEADFAST_OFDLOCK_TEST, first_ticket(path), TICKETS).is_ok_and(|found| found.is_some())
    }

    /// Takes the ticket after the last one that is out.
    pub fn join(hooks: &'h Hooks, path: &Path) -> Queue<'h> {
        let first = first_ticket(path);
        let end = first.saturating_add(TICKETS);
        let Some(dir) = open(hooks, path) else { return Queue::none(hooks) };
        let mut ticket = first;
        while let Ok(Some(found)) = hooks.ofdlock(dir.raw(), STEADFAST_OFDLOCK_TEST, ticket, end.saturating_sub(ticket)) {
            ticket = found.max(ticket).saturating_add(1);
            if ticket >= end {
                return Queue::none(hooks);
            }
        }
        match hooks.ofdlock(dir.raw(), STEADFAST_OFDLOCK_SET, ticket, 1) {
            Ok(_) => Queue { hooks, dir: Some(dir), first, ticket },
            Err(_) => Queue::none(hooks),
        }
    }

    /// Does somebody wait for longer?
    pub fn has_someone_before(&self) -> bool {
        let Some(dir) = self.dir.as_ref().filter(|_| self.ticket > self.first) else { return false };
        let before = self.ticket.saturating_sub(self.first);
        self.hooks.ofdlock(dir.raw(), STEADFAST_OFDLOCK_TEST, self.first, before).is_ok_and(|found| found.is_some())
    }
}
