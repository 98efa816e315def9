//! The hooks about processes, and what /proc tells of them.

use super::hooks::{User, answer, machine};
use super::{Handle, Lie, Life, Machine, UPTIME};
use core::ffi::{CStr, c_char, c_void};
use libc::*;
use steadfast::hooks::steadfast_pollfd;
use steadfast::hooks::*;

/// Of this boot and its first namespaces.
const BOOT_ID: &str = "01234567-89ab-4def-8123-456789abcdef\n";
pub const BOOT: u64 = 0x0123_4567_89ab_4def;
pub const PID_NAMESPACE: u64 = 4_026_531_836;

pub(super) fn proc_text(m: &Machine, path: &str) -> Result<String, i32> {
    match path {
        "/proc/sys/kernel/random/boot_id" => return Ok(BOOT_ID.into()),
        "/proc/sys/kernel/osrelease" => return Ok("6.18.0\n".into()),
        "/proc/uptime" => return Ok(format!("{UPTIME}.00 1.00\n")),
        _ => {}
    }
    let (who, file) = path.strip_prefix("/proc/").and_then(|rest| rest.split_once('/')).ok_or(ENOENT)?;
    let pid = if who == "self" { m.own } else { who.parse().map_err(|_| ENOENT)? };
    let process = m.process(pid).ok_or(ENOENT)?;
    match file {
        "stat" => {
            let state = if process.life == Life::Zombie { 'Z' } else { 'S' };
            Ok(format!("{pid} (a) b) {state} 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {} 0 0\n", process.start))
        }
        "status" => {
            let group = if process.life == Life::Thread { pid - 1 } else { pid };
            Ok(format!("Name:\tx\nTgid:\t{group}\nPid:\t{pid}\n"))
        }
        _ => Err(ENOENT),
    }
}

pub(super) unsafe extern "C" fn readlinkat(user: User, _: i32, path: *const c_char, buf: *mut c_void, len: usize) -> i64 {
    let m = unsafe { machine(user) };
    let target: &[u8] = match unsafe { CStr::from_ptr(path) }.to_bytes() {
        b"/proc/self/ns/pid" => b"pid:[4026531836]",
        b"/proc/self/ns/time" => b"time:[4026531834]",
        _ => b"nowhere",
    };
    answer(m.begin(STEADFAST_CALL_READLINKAT).map(|()| {
        let count = target.len().min(len);
        unsafe { core::ptr::copy_nonoverlapping(target.as_ptr(), buf.cast(), count) };
        count as i64
    }))
}

pub(super) unsafe extern "C" fn getpid(user: User) -> i32 {
    let m = unsafe { machine(user) };
    answer(m.begin(STEADFAST_CALL_GETPID).map(|()| m.own.into())) as i32
}

pub(super) unsafe extern "C" fn geteuid(user: User) -> i64 {
    answer(unsafe { machine(user) }.begin(STEADFAST_CALL_GETEUID).map(|()| 0))
}

pub(super) unsafe extern "C" fn kill(user: User, pid: i32, _: i32) -> i32 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_KILL).and_then(|()| match m.process(pid).map(|p| p.life) {
        None => Err(ESRCH),
        Some(Life::Protected) => Err(EPERM),
        Some(_) => Ok(0),
    });
    answer(result) as i32
}

pub(super) unsafe extern "C" fn pidfd_open(user: User, pid: i32, _: u32) -> i32 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_PIDFD_OPEN).and_then(|()| match m.process(pid).map(|p| p.life) {
        _ if m.lie == Some(Lie::Dead) => Err(ESRCH),
        None => Err(ESRCH),
        Some(Life::Thread) => Err(ENOENT),
        Some(_) => Ok(m.open(Handle::Pidfd(pid))),
    });
    answer(result.map(i64::from)) as i32
}

pub(super) unsafe extern "C" fn poll(user: User, fds: *mut steadfast_pollfd, count: u32, timeout_ns: i64) -> i32 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_POLL).map(|()| {
        let fds = if count == 0 { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(fds, count as usize) } };
        let mut ready = 0;
        for slot in fds {
            let over = match m.handle(slot.fd) {
                Ok(Handle::Pidfd(pid)) => {
                    let pid = *pid;
                    m.process(pid).is_none_or(|p| p.life == Life::Zombie)
                }
                _ => false,
            };
            slot.revents = if over { POLLIN } else { 0 };
            ready += i64::from(over);
        }
        if ready == 0 {
            m.now += timeout_ns.max(0);
        }
        ready
    });
    answer(result) as i32
}

pub(super) unsafe extern "C" fn inotify_init(user: User, _: i32) -> i32 {
    let m = unsafe { machine(user) };
    answer(m.begin(STEADFAST_CALL_INOTIFY_INIT).map(|()| m.open(Handle::Other).into())) as i32
}

pub(super) unsafe extern "C" fn inotify_add_watch(user: User, _: i32, _: *const c_char, _: u32) -> i32 {
    answer(unsafe { machine(user) }.begin(STEADFAST_CALL_INOTIFY_ADD_WATCH).map(|()| 1)) as i32
}

/// Nobody else waits.
pub(super) unsafe extern "C" fn ofdlock(user: User, _: i32, _: i32, _: i64, _: i64, _: *mut i64) -> i32 {
    answer(unsafe { machine(user) }.begin(STEADFAST_CALL_OFDLOCK).map(|()| 0)) as i32
}

pub(super) unsafe extern "C" fn clock(user: User, _: i32, ns: *mut i64) -> i32 {
    let m = unsafe { machine(user) };
    answer(m.begin(STEADFAST_CALL_CLOCK).map(|()| {
        m.now += 1;
        unsafe { ns.write(m.now) };
        0
    })) as i32
}
