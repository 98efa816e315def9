//! Calls about processes, and what /proc tells of them.

use super::*;
use libc::*;

/// Of the simulated boot and its first namespaces.
const BOOT: &str = "01234567-89ab-4def-8123-456789abcdef\n";
const PID_NAMESPACE: u64 = 4_026_531_836;
const TIME_NAMESPACE: &str = "time:[4026531834]";
/// The directory's device is number 1.
const MOUNTS: &str = "25 1 0:1 / /d rw,relatime - fuse.mergerfs a:b rw\n";

/// Its inode is number 2.
const WATCH: &str = "pos:\t0\nflags:\t02004000\ninotify wd:1 ino:2 sdev:1 mask:2c0 ignored_mask:0 \n";

/// Is it about the caller, or about all?
pub(super) fn is_own_text(path: &str) -> bool {
    path.starts_with("/proc/self/") || path.ends_with("boot_id") || path == "/proc/locks"
}

/// A file of /proc, and about whom it is. None: no such file.
pub(super) fn proc_file(w: &World, p: &Proc, path: &str) -> Option<Handle> {
    match path {
        "/proc/sys/kernel/random/boot_id" => return Some(Handle::Text("boot", 0, None)),
        "/proc/self/mountinfo" => return Some(Handle::Text("mounts", 0, None)),
        _ => {}
    }
    if let Some(fd) = path.strip_prefix("/proc/self/fdinfo/") {
        return (p.handle(fd.parse().ok()?) == Ok(Handle::Inotify)).then_some(Handle::Text("inotify", 0, None));
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
        return Some(Handle::Text(file, p.pid, Some(p.slot as Who)));
    }
    let pid = who.parse().ok()?;
    Some(Handle::Text(file, pid, Some(w.who_is(p.namespace, pid)?)))
}

pub(super) fn proc_text(w: &World, file: &str, pid: i32, who: Option<Who>) -> Result<String, i32> {
    let constant = match file {
        "mounts" => MOUNTS,
        "inotify" => WATCH,
        _ => BOOT,
    };
    let Some(who) = who else { return Ok(constant.into()) };
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
    let Some(c) = (unsafe { begin(user, PRIVATE) }) else { return GONE.into() };
    let pid_namespace = format!("pid:[{}]", PID_NAMESPACE + u64::from(c.p.namespace));
    let target = if unsafe { bytes(path) }.ends_with(b"/time") { TIME_NAMESPACE } else { &pid_namespace };
    let count = target.len().min(len);
    unsafe { core::ptr::copy_nonoverlapping(target.as_ptr(), buf.cast(), count) };
    count as i64
}

pub(super) unsafe extern "C" fn getpid(user: User) -> i32 {
    let (w, p) = unsafe { look(user) };
    p.parent.filter(|_| w.lies(Lie::Parent)).map_or(p.pid, |parent| w.procs[parent].pid)
}

pub(super) unsafe extern "C" fn geteuid(_: User) -> i64 {
    0
}

pub(super) unsafe extern "C" fn kill(user: User, pid: i32, _: i32) -> i32 {
    let Some(c) = (unsafe { begin(user, pid_may_change(user, pid)) }) else { return GONE };
    let result = c.w.who_is(c.p.namespace, pid).map(|_| 0).ok_or(ESRCH);
    c.told("kill", || pid.to_string(), result) as i32
}

pub(super) unsafe extern "C" fn pidfd_open(user: User, pid: i32, _: u32) -> i32 {
    let Some(c) = (unsafe { begin(user, pid_may_change(user, pid)) }) else { return GONE };
    let result = c.w.pidfd_open(c.p.namespace, pid).map(|handle| c.p.open(handle, true));
    if pid == c.p.pid {
        return result.unwrap_or_else(|e| -e);
    }
    c.told("pidfd_open", || pid.to_string(), result.map(i64::from)) as i32
}
