//! First come, first served, among those who wait for a lock.
//!
//! A waiter holds a shared open file description lock on one byte of the lock's directory: its ticket. The
//! kernel drops it with the waiter, however that ends, and nothing of it is on disk. Only fairness rests on
//! the tickets, never the lock: where there are none, waiters race. A lock of another length is no ticket.

use crate::hooks::*;
use crate::mem::format::hash;
use core::ffi::CStr;

/// Tickets of one name. Two names that share a range queue together, which costs them a little patience.
const TICKETS: i64 = 1 << 31;
/// How many tickets are passed over before a waiter takes one that may be taken.
const LOOKS: u32 = 4096;
/// How often the kernel is asked for one ticket, among locks that are none.
const ASKS: u32 = 8;

/// A place in the queue of one lock.
pub struct Queue<'h> {
    hooks: &'h Hooks,
    dir: Option<Fd<'h>>,
    first: i64,
    ticket: i64,
}

fn first_ticket(name: &CStr) -> i64 {
    let bucket = hash(name.to_bytes()) & 0x3fff_ffff;
    bucket.cast_signed().saturating_mul(TICKETS)
}

/// A ticket of somebody else's in [at, end). The kernel shows one lock of a range; beside one that is no ticket it is asked
/// again, a few times.
fn find(hooks: &Hooks, dir: &Fd<'_>, at: i64, end: i64, asks: &mut u32) -> Result<Option<i64>, Errno> {
    if at >= end || *asks == 0 {
        return Ok(None);
    }
    *asks = asks.saturating_sub(1);
    let Some(found) = hooks.ofdlock(dir.raw(), STEADFAST_OFDLOCK_TEST, at, end.saturating_sub(at))? else { return Ok(None) };
    if found.len == 1 {
        return Ok(Some(found.start.max(at)));
    }
    let found_end = if found.len == 0 { end } else { found.start.saturating_add(found.len) };
    match find(hooks, dir, found_end.max(at), end, asks)? {
        Some(ticket) => Ok(Some(ticket)),
        None => find(hooks, dir, at, found.start.min(end), asks),
    }
}

/// The ticket after the last one that is out in [first, end), beside every lock that is no ticket: under one it would not be
/// seen. None: there is no place.
fn behind_all(hooks: &Hooks, dir: &Fd<'_>, first: i64, end: i64) -> Option<i64> {
    let (mut ticket, mut end) = (first, end);
    for _ in 0..LOOKS {
        let Some(found) = hooks.ofdlock(dir.raw(), STEADFAST_OFDLOCK_TEST, ticket, end.saturating_sub(ticket)).ok()? else {
            return Some(ticket);
        };
        let behind = found.start.saturating_add(found.len);
        if found.len == 0 || behind >= end {
            // It goes to the end: what is before it is left.
            end = found.start;
        } else {
            ticket = behind.max(ticket.saturating_add(1));
        }
        if ticket >= end {
            return None;
        }
    }
    Some(ticket)
}

impl<'h> Queue<'h> {
    /// No place, and nobody before it.
    pub fn none(hooks: &'h Hooks) -> Queue<'h> {
        Queue { hooks, dir: None, first: 0, ticket: 0 }
    }

    /// Is somebody waiting for `name` in `dir`?
    pub fn is_waited_for(dir: &Fd<'_>, name: &CStr) -> bool {
        let first = first_ticket(name);
        find(dir.hooks(), dir, first, first.saturating_add(TICKETS), &mut { ASKS }).is_ok_and(|found| found.is_some())
    }

    /// Takes the ticket after the last one that is out.
    pub fn join(dir: &Fd<'h>, name: &CStr) -> Queue<'h> {
        let hooks = dir.hooks();
        if hooks.absent(STEADFAST_ABSENT_OFDLOCK) {
            return Queue::none(hooks);
        }
        // A description of its own: the locks of one description do not exclude each other. It must be readable.
        let Ok(dir) = hooks.openat(dir.raw(), c".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK, 0) else {
            return Queue::none(hooks);
        };
        let first = first_ticket(name);
        let end = first.saturating_add(TICKETS);
        let Some(ticket) = behind_all(hooks, &dir, first, end) else { return Queue::none(hooks) };
        match hooks.ofdlock(dir.raw(), STEADFAST_OFDLOCK_SET, ticket, 1) {
            Ok(_) => Queue { hooks, dir: Some(dir), first, ticket },
            Err(_) => Queue::none(hooks),
        }
    }

    /// Does somebody wait for longer?
    pub fn has_someone_before(&self) -> bool {
        let Some(dir) = self.dir.as_ref().filter(|_| self.ticket > self.first) else { return false };
        find(self.hooks, dir, self.first, self.ticket, &mut { ASKS }).is_ok_and(|found| found.is_some())
    }
}
