//! Calls about processes, what /proc tells of them, and waiting.

use super::super::fs::{mix, mix_bytes};
use super::super::world::*;
use super::*;
use libc::*;
use steadfast::hooks::{STEADFAST_OFDLOCK_SET, steadfast_pollfd};

/// Of the simulated boot and its first namespaces.
const BOOT: &str = "01234567-89ab-4def-8123-456789abcdef\n";
const PID_NAMESPACE: &[u8] = b"pid:[4026531836]";
const TIME_NAMESPACE: &[u8] = b"time:[4026531834]";

/// A file of /proc, and about whom it is. None: no such file.
pub(super) fn proc_file(w: &World, slot: usize, path: &str) -> Option<Handle> {
    if path == "/proc/sys/kernel/random/boot_id" {
        return Some(Handle::Text("boot", 0, None));
    }
    let (who, file) = path.strip_prefix("/proc/")?.split_once('/')?;
    let file = if file == "stat" {
        "stat"
    } else if file == "status" {
        "status"
    } else {
        return None;
    };
    if who == "self" {
        return Some(Handle::Text(file, w.procs[slot].pid, Some(slot as Who)));
    }
    let pid = who.parse().ok()?;
    Some(Handle::Text(file, pid, Some(w.who_is(pid)?)))
}

pub(super) fn proc_text(w: &World, file: &str, pid: i32, who: Option<Who>) -> Result<String, i32> {
    let Some(who) = who else { return Ok(BOOT.into()) };
    if !w.is_alive(who) {
        return Err(ESRCH);
    }
    if file == "status" {
        return Ok(format!("Name:\tx\nTgid:\t{pid}\nPid:\t{pid}\n"));
    }
    // Fields 3 to 22 (proc_pid_stat(5)): threads are the 20th, the start is the 22nd.
    Ok(format!("{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {} 0 0\n", w.start_of(who)))
}

pub(super) unsafe extern "C" fn readlinkat(user: User, _: i32, path: *const c_char, buf: *mut c_void, len: usize) -> i64 {
    if (unsafe { begin(user, PRIVATE) }).is_none() {
        return GONE.into();
    }
    let target = if unsafe { bytes(path) }.ends_with(b"/time") { TIME_NAMESPACE } else { PID_NAMESPACE };
    let count = target.len().min(len);
    unsafe { core::ptr::copy_nonoverlapping(target.as_ptr(), buf.cast(), count) };
    count as i64
}

pub(super) unsafe extern "C" fn read(user: User, fd: i32, buf: *mut c_void, len: usize) -> i64 {
    let handle = unsafe { (*user.cast::<Proc>()).handle(fd) };
    let slot = unsafe { (*user.cast::<Proc>()).slot } as Who;
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
    let Some(c) = (unsafe { begin(user, if own { PRIVATE } else { SHARED }) }) else { return GONE.into() };
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

pub(super) unsafe extern "C" fn getpid(user: User) -> i32 {
    unsafe { (*user.cast::<Proc>()).pid }
}

pub(super) unsafe extern "C" fn geteuid(_: User) -> i64 {
    0
}

pub(super) unsafe extern "C" fn kill(user: User, pid: i32, _: i32) -> i32 {
    let Some(c) = (unsafe { begin(user, pid_may_change(user, pid)) }) else { return GONE };
    let result = c.w.who_is(pid).map(|_| 0).ok_or(ESRCH);
    c.told("kill", || pid.to_string(), result) as i32
}

pub(super) unsafe extern "C" fn pidfd_open(user: User, pid: i32, _: u32) -> i32 {
    let Some(c) = (unsafe { begin(user, pid_may_change(user, pid)) }) else { return GONE };
    let result = c.w.pidfd_open(pid).map(|handle| c.p.open(handle));
    if pid == c.p.pid {
        return result.unwrap_or_else(|e| -e);
    }
    c.told("pidfd_open", || pid.to_string(), result.map(i64::from)) as i32
}

pub(super) unsafe extern "C" fn poll(user: User, fds: *mut steadfast_pollfd, count: u32, timeout_ns: i64) -> i32 {
    let raw = user.cast::<Proc>();
    let fds = unsafe { std::slice::from_raw_parts_mut(if count == 0 { std::ptr::dangling_mut() } else { fds }, count as usize) };
    let handles: Vec<Option<Handle>> = fds.iter().map(|f| unsafe { (*raw).handle(f.fd).ok() }).collect();
    if timeout_ns != 0 && count > 0 {
        let holder = handles.iter().find_map(|h| if let Some(Handle::Pidfd(who)) = h { Some(*who) } else { None });
        unsafe {
            (*raw).pending = Pending::Wait { inotify: handles.contains(&Some(Handle::Inotify)), holder, timed: timeout_ns > 0 }
        };
    }
    // Without descriptors it only passes time.
    let over = |h: &Option<Handle>| matches!(h, Some(Handle::Pidfd(who)) if !unsafe { &*(*raw).world }.is_alive(*who));
    let begun = unsafe { begin(user, !handles.iter().all(over)) };
    unsafe { (*raw).pending = Pending::Step };
    let Some(c) = begun else { return GONE };
    c.p.idle_sleeps = if c.p.dirty { 0 } else { c.p.idle_sleeps + 1 };
    c.p.dirty = false;
    c.p.watched |= count > 0 && timeout_ns != 0;
    c.p.sleeps += u64::from(timeout_ns != 0);
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
        c.p.slept_ns += timeout_ns.max(0);
    }
    let (bits, count) = (ready, fds.iter().filter(|f| f.revents != 0).count() as i32);
    c.told("poll", || format!("{timeout_ns} ns"), Ok(bits));
    count
}

pub(super) unsafe extern "C" fn inotify_init(user: User, _: i32) -> i32 {
    let Some(c) = (unsafe { begin(user, PRIVATE) }) else { return GONE };
    let fd = c.p.open(Handle::Inotify);
    c.told("inotify_init", String::new, Ok(fd.into())) as i32
}

/// The watch begins here: what happens before is not told.
pub(super) unsafe extern "C" fn inotify_add_watch(user: User, _: i32, _: *const c_char, _: u32) -> i32 {
    let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    c.p.events = 0;
    c.told("inotify_add_watch", String::new, Ok(1)) as i32
}

pub(super) unsafe extern "C" fn ofdlock(user: User, fd: i32, operation: i32, start: i64, len: i64, found: *mut i64) -> i32 {
    let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    if operation == STEADFAST_OFDLOCK_SET {
        c.w.tickets.push(Ticket { slot: c.p.slot, fd, at: start });
        c.w.touch(c.p.slot);
        return c.told("ofdlock", || format!("set {start}"), Ok(0)) as i32;
    }
    let other = |t: &&Ticket| (t.slot, t.fd) != (c.p.slot, fd) && (start..start + len).contains(&t.at);
    let first = c.w.tickets.iter().find(other).map(|t| t.at);
    if let Some(at) = first {
        unsafe { found.write(at) };
        c.p.history = mix(c.p.history, at.cast_unsigned());
    }
    c.told("ofdlock", || format!("test {start}, {len}: {first:?}"), Ok(first.is_some().into())) as i32
}

/// A process's time passes when it sleeps to the end of a timeout.
pub(super) unsafe extern "C" fn clock(user: User, _: i32, ns: *mut i64) -> i32 {
    unsafe { ns.write(1 + (*user.cast::<Proc>()).slept_ns) };
    0
}
