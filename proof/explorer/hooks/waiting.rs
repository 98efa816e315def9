//! Calls about waiting and time; and reading what tells of a change, or a file of /proc.

use super::super::fs::mix_bytes;
use super::processes::proc_text;
use super::*;
use libc::*;
use steadfast::hooks::{STEADFAST_CLOCK_REALTIME, steadfast_pollfd};

/// When all states are saved, after the Unix epoch.
const NOW: i64 = 1_800_000_000_000_000_000;

pub(super) unsafe extern "C" fn read(user: User, fd: i32, buf: *mut c_void, len: usize) -> i64 {
    let (handle, slot) = {
        let p = unsafe { look(user) }.1;
        (p.handle(fd), p.slot as Who)
    };
    if let Ok(Handle::Inotify) = handle {
        let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE.into() };
        if c.p.events == 0 {
            return c.told("read", || "inotify".into(), Err(EAGAIN));
        }
        c.p.events = 0;
        // One event without a name (a queue overflow) stands for all: it is about everything.
        unsafe { core::ptr::write_bytes(buf.cast::<u8>(), 0, 16) };
        return c.told("read", || "inotify".into(), Ok(16));
    }
    let Ok(Handle::Text(file, pid, who)) = handle else { return (-EBADF).into() };
    let own = who.is_none_or(|who| who == slot);
    let Some(c) = (unsafe { begin(user, !own) }) else { return GONE.into() };
    let text = proc_text(c.w, file, pid, who);
    let result = text.map(|text| {
        let count = text.len().min(len);
        unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), buf.cast(), count) };
        if !own {
            c.p.history = mix_bytes(c.p.history, text.as_bytes());
        }
        count as i64
    });
    if own { result.unwrap_or_else(|e| (-e).into()) } else { c.told("read", || file.into(), result) }
}

pub(super) unsafe extern "C" fn poll(user: User, fds: *mut steadfast_pollfd, count: u32, timeout_ns: i64) -> i32 {
    let raw = unsafe { caller(user) };
    let fds = unsafe { std::slice::from_raw_parts_mut(if count == 0 { std::ptr::dangling_mut() } else { fds }, count as usize) };
    let handles: Vec<Option<Handle>> = fds.iter().map(|f| unsafe { (*raw).handle(f.fd).ok() }).collect();
    if count == 0 && unsafe { (*raw).turning } {
        // The next try suspends.
        return if unsafe { begin(user, PRIVATE) }.is_some() { 0 } else { GONE };
    }
    // Who looks at a state again finds the same as long as nobody changes something.
    let looks_again = count == 0 && unsafe { &*(*raw).world }.fs.holds_states;
    if looks_again {
        unsafe { (*raw).pending = Pending::Turn };
    }
    if timeout_ns != 0 && count > 0 {
        let holder = handles.iter().find_map(|h| if let Some(Handle::Pidfd(who)) = h { Some(*who) } else { None });
        let inotify = handles.contains(&Some(Handle::Inotify));
        unsafe { (*raw).pending = Pending::Wait { inotify, holder, timed: timeout_ns > 0 } };
    }
    // Without descriptors it only passes time.
    let over = |h: &Option<Handle>| matches!(h, Some(Handle::Pidfd(who)) if !unsafe { &*(*raw).world }.is_alive(*who));
    let begun = unsafe { begin(user, looks_again || !handles.iter().all(over)) };
    unsafe { (*raw).pending = Pending::Step };
    let Some(c) = begun else { return GONE };
    c.p.idle_sleeps = if c.p.dirty { 0 } else { c.p.idle_sleeps + 1 };
    if looks_again {
        // Seconds pass only when nobody can go on.
        c.p.slept_ns += if c.p.dirty { 0 } else { 2_000_000_000 };
        c.p.dirty = false;
        return c.told("poll", || format!("{timeout_ns} ns"), Ok(0)) as i32;
    }
    c.p.dirty = false;
    c.p.watched |= count > 0 && timeout_ns != 0;
    // Who hopes that a flock is given up sleeps less than a millisecond, between two looks: as long as it likes, and that
    // ends the hope.
    let hoping = c.p.refused && count == 0 && timeout_ns < 1_000_000;
    c.p.sleeps += u64::from(timeout_ns != 0 && !hoping);
    let mut ready = 0;
    for (slot, handle) in fds.iter_mut().zip(handles) {
        let is_ready = match handle {
            Some(Handle::Pidfd(who)) => !c.w.is_alive(who),
            Some(Handle::Inotify) => c.p.events > 0,
            _ => false,
        };
        slot.revents = if is_ready { POLLIN } else { 0 };
        ready = ready << 1 | i64::from(is_ready);
    }
    if ready == 0 {
        c.p.slept_ns += if hoping { 2_000_000_000 } else { timeout_ns.max(0) };
    }
    let (bits, count) = (ready, fds.iter().filter(|f| f.revents != 0).count() as i32);
    c.told("poll", || format!("{timeout_ns} ns"), Ok(bits));
    count
}

pub(super) unsafe extern "C" fn inotify_init(user: User, _: i32) -> i32 {
    let Some(c) = (unsafe { begin(user, PRIVATE) }) else { return GONE };
    let fd = c.p.open(Handle::Inotify, true);
    c.told("inotify_init", String::new, Ok(fd.into())) as i32
}

/// The watch begins here: what happens before is not told.
pub(super) unsafe extern "C" fn inotify_add_watch(user: User, _: i32, _: *const c_char, _: u32) -> i32 {
    let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    c.p.events = 0;
    c.told("inotify_add_watch", String::new, Ok(1)) as i32
}

/// A process's time passes when it sleeps to the end of a timeout.
pub(super) unsafe extern "C" fn clock(user: User, clock: i32, ns: *mut i64) -> i32 {
    let (w, p) = unsafe { look(user) };
    // The time of a state is part of it.
    let is_date = clock == STEADFAST_CLOCK_REALTIME && w.fs.holds_states;
    unsafe { ns.write(if is_date { NOW } else { 1 + p.slept_ns }) };
    0
}
