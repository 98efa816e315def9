//! When a wait ends.

use crate::hooks::*;

const MS: i64 = 1_000_000;

/// When a wait ends.
#[derive(Clone, Copy)]
pub struct Deadline {
    /// By the monotonic clock; None: never.
    at_ns: Option<i64>,
}

impl Deadline {
    /// A wait without an end.
    pub const fn never() -> Deadline {
        Deadline { at_ns: None }
    }

    /// `timeout_ms` from now; a negative one: never.
    pub fn after(hooks: &Hooks, timeout_ms: i64) -> Result<Deadline, Errno> {
        if timeout_ms < 0 {
            return Ok(Deadline::never());
        }
        let now = hooks.clock(STEADFAST_CLOCK_MONOTONIC)?;
        Ok(Deadline { at_ns: Some(now.saturating_add(timeout_ms.saturating_mul(MS))) })
    }

    /// The one that comes first.
    fn or_before(self, other: Deadline) -> Deadline {
        match (self.at_ns, other.at_ns) {
            (Some(this), Some(that)) => Deadline { at_ns: Some(this.min(that)) },
            (this, that) => Deadline { at_ns: this.or(that) },
        }
    }

    /// Nanoseconds left, i64::MAX when it never ends; None when it is over.
    pub fn left_ns(&self, hooks: &Hooks) -> Result<Option<i64>, Errno> {
        let Some(at) = self.at_ns else { return Ok(Some(i64::MAX)) };
        let left = at.saturating_sub(hooks.clock(STEADFAST_CLOCK_MONOTONIC)?);
        Ok((left > 0).then_some(left))
    }
}

/// A wait for something that nothing tells of: it is tried again after sleeps that grow.
#[derive(Clone, Copy)]
pub struct Retry {
    timeout_ms: i64,
    /// When the call itself has to end.
    limit: Deadline,
    /// From the first failed try on.
    deadline: Option<Deadline>,
    sleep_ns: i64,
}

impl Retry {
    const FIRST_NS: i64 = MS / 20;
    const LONGEST_NS: i64 = 2 * MS;

    /// Up to `timeout_ms` from the first sleep on; a negative one: for ever.
    pub fn new(timeout_ms: i64) -> Retry {
        Retry::within(timeout_ms, Deadline::never())
    }

    /// The same, in a call that has to end at `limit`.
    pub fn within(timeout_ms: i64, limit: Deadline) -> Retry {
        Retry { timeout_ms, limit, deadline: None, sleep_ns: Retry::FIRST_NS }
    }

    /// Another wait of the same call: what was waited so far counts.
    pub fn again(self) -> Retry {
        Retry { sleep_ns: Retry::FIRST_NS, ..self }
    }

    /// Sleeps before the next try: false when the time is over.
    pub fn sleep(&mut self, hooks: &Hooks) -> Result<bool, Errno> {
        let deadline = match self.deadline {
            Some(deadline) => deadline,
            None => *self.deadline.insert(Deadline::after(hooks, self.timeout_ms)?.or_before(self.limit)),
        };
        let Some(left) = deadline.left_ns(hooks)? else { return Ok(false) };
        match hooks.poll(&mut [], left.min(self.sleep_ns)) {
            Err(e) if !e.is(EINTR) => return Err(e),
            _ => {}
        }
        self.sleep_ns = self.sleep_ns.saturating_mul(2).min(Retry::LONGEST_NS);
        Ok(true)
    }
}
