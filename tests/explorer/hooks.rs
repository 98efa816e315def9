//! The hook table of a simulated process. `user` is its [`Proc`]; a call that others could notice, or whose
//! answer depends on others, first suspends: the scheduler then decides who goes on.

use super::fs::{Flock, Name, mix, mix_bytes, name};
use super::world::*;
use core::ffi::{CStr, c_char, c_void};
use libc::*;
use steadfast::hooks::{steadfast_hooks, steadfast_pollfd, steadfast_stat};

type User = *mut c_void;
/// Nobody else can notice, nor influence, this call.
const PRIVATE: bool = false;
const SHARED: bool = true;

struct Call<'a> {
    p: &'a mut Proc,
    w: &'a mut World,
}

/// Suspends if `shared`; None when the process is gone and the call must fail.
unsafe fn begin<'a>(user: User, shared: bool) -> Option<Call<'a>> {
    let raw = user.cast::<Proc>();
    unsafe {
        if (*raw).draining {
            return None;
        }
        if shared && !(*raw).solo {
            (*(*raw).yielder).suspend(());
            if (*raw).draining {
                return None;
            }
            (*raw).mutated = false;
        }
        Some(Call { p: &mut *raw, w: &mut *(*raw).world })
    }
}

impl Call<'_> {
    /// The result becomes part of what the process knows.
    fn told(self, call: &'static str, detail: impl FnOnce() -> String, result: Result<i64, i32>) -> i64 {
        let value = result.unwrap_or_else(|errno| i64::from(-errno));
        self.p.history = mix(self.p.history, value.cast_unsigned());
        if self.w.log.is_some() {
            self.w.note(self.p.slot, || format!("{call}({}) = {value}", detail()));
            *self.w.calls.entry(call).or_default() += 1;
        }
        value
    }

    fn is_private(&self, fd: i32) -> bool {
        self.p.file(fd).is_ok_and(|inode| self.w.fs.inodes[inode].linkable)
    }

    /// Nobody but the maker of a record writes to it, and only before others may rely on it.
    fn check_writable(&mut self, fd: i32) {
        if self.p.file(fd).is_ok_and(|inode| self.w.fs.inodes[inode].settled) {
            self.w.violate(Violation::WrongAnswer("a record was changed after it was complete".into()));
        }
    }
}

/// Is the file behind `fd` seen by this process only?
unsafe fn shared(user: User, fd: i32) -> bool {
    unsafe {
        let raw = user.cast::<Proc>();
        !Call { p: &mut *raw, w: &mut *(*raw).world }.is_private(fd)
    }
}

/// Can what is read through `fd` still change? Reading what cannot commutes with all that others do. A real
/// directory is to be asked at the same moment as the fake one.
unsafe fn changing(user: User, fd: i32) -> bool {
    unsafe {
        let p = &*user.cast::<Proc>();
        let w = &*p.world;
        shared(user, fd) && (w.mirror.is_some() || !p.file(fd).is_ok_and(|inode| w.fs.inodes[inode].settled))
    }
}

/// Can it change whether this process lives? Once it is gone, only by a reuse of its number.
fn may_change(w: &World, who: Option<Who>) -> bool {
    w.may_reuse || who.is_some_and(|who| w.is_alive(who))
}

unsafe fn pid_may_change(user: User, pid: i32) -> bool {
    let p = unsafe { &*user.cast::<Proc>() };
    let w = unsafe { &*p.world };
    // A process that asks is alive.
    pid != p.pid && may_change(w, w.who_is(pid))
}

unsafe fn bytes<'a>(path: *const c_char) -> &'a [u8] {
    unsafe { CStr::from_ptr(path) }.to_bytes()
}

fn show(n: &Name) -> String {
    String::from_utf8_lossy(n).trim_end_matches('\0').to_string()
}

const GONE: i32 = -EIO;
/// Of the simulated boot and namespace.
const BOOT: &str = "01234567-89ab-4def-8123-456789abcdef\n";
const NAMESPACE: &[u8] = b"pid:[4026531836]";

/// A file of /proc, and about whom it is. None: no such file.
fn proc_file(w: &World, slot: usize, path: &str) -> Option<Handle> {
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

fn proc_text(w: &World, file: &str, pid: i32, who: Option<Who>) -> Result<String, i32> {
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

unsafe extern "C" fn openat(user: User, dirfd: i32, path: *const c_char, flags: i32, mode: u32) -> i32 {
    let path = unsafe { bytes(path) };
    let text = String::from_utf8_lossy(path);
    if path == b"/d" || flags & O_TMPFILE == O_TMPFILE {
        let Some(c) = (unsafe { begin(user, PRIVATE) }) else { return GONE };
        let handle =
            if path == b"/d" { Handle::Directory } else { Handle::File(c.w.fs.create(c.p.slot, mode, None).unwrap_or(0)) };
        let fd = c.p.open(handle);
        if let Some(mirror) = &mut c.w.mirror {
            mirror.open(c.p.slot, dirfd, path, flags, mode, Ok(fd));
        }
        return c.told("openat", || text.into(), Ok(fd.into())) as i32;
    }
    if text.starts_with("/proc/") {
        let own = text.starts_with("/proc/self/") || text.ends_with("boot_id");
        let Some(c) = (unsafe { begin(user, if own { PRIVATE } else { SHARED }) }) else { return GONE };
        let found = proc_file(c.w, c.p.slot, &text);
        let result = found.map(|handle| c.p.open(handle)).ok_or(ENOENT);
        // What a process learns of itself is always the same, and asked only once: no part of its history.
        return if own { result.unwrap_or_else(|e| -e) } else { c.told("openat", || text.into(), result.map(i64::from)) as i32 };
    }
    let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    let named = name(path);
    let inode = if flags & O_CREAT != 0 {
        let made = c.w.fs.create(c.p.slot, mode, Some(named));
        if made.is_ok() {
            c.w.touch(c.p.slot);
        }
        made
    } else {
        c.w.fs.lookup(&named).ok_or(ENOENT).inspect(|&inode| c.w.fs.inodes[inode].opens += 1)
    };
    let result = inode.map(|inode| c.p.open(Handle::File(inode)));
    if let Some(mirror) = &mut c.w.mirror {
        mirror.open(c.p.slot, dirfd, path, flags, mode, result);
    }
    c.told("openat", || format!("{text}, {flags:o}"), result.map(i64::from)) as i32
}

unsafe extern "C" fn close(user: User, fd: i32) -> i32 {
    // Dropping a flock can be noticed, and so can freeing an inode whose number comes back.
    let noticed = unsafe {
        let p = &*user.cast::<Proc>();
        let w = &*p.world;
        p.file(fd).is_ok_and(|inode| {
            let node = &w.fs.inodes[inode];
            node.flocks.iter().any(|f| (f.slot, f.fd) == (p.slot, fd)) && !node.linkable || w.fs.reuse_numbers && node.nlink == 0
        })
    };
    let Some(c) = (unsafe { begin(user, noticed) }) else { return GONE };
    let handle = c.p.handle(fd);
    if let Ok(Handle::File(inode)) = handle
        && c.w.fs.close(inode, c.p.slot, fd)
    {
        c.w.touch(c.p.slot);
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.close(c.p.slot, fd);
    }
    if handle.is_ok() {
        c.p.fds[fd as usize - 3] = None;
    }
    if matches!(handle, Ok(Handle::Text(_, _, who)) if who.is_none_or(|who| who == c.p.slot as Who))
        || handle == Ok(Handle::Pidfd(c.p.slot as Who))
    {
        return 0;
    }
    c.told("close", || fd.to_string(), handle.map(|_| 0)) as i32
}

unsafe extern "C" fn write(user: User, fd: i32, buf: *const c_void, len: usize) -> i64 {
    let Some(mut c) = (unsafe { begin(user, shared(user, fd)) }) else { return GONE.into() };
    c.check_writable(fd);
    let data = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
    let result = c.p.file(fd).map(|inode| {
        c.w.fs.write(c.p.slot, inode, data);
        // Of another program: it writes once, after the name is there.
        c.w.fs.inodes[inode].settled = c.w.fs.lookup(&name(LOCK)) == Some(inode);
        len as i64
    });
    if !c.is_private(fd) {
        c.w.touch(c.p.slot);
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.write(c.p.slot, fd, data, result);
    }
    c.told("write", || format!("{fd}, {len}"), result)
}

unsafe extern "C" fn renameat(user: User, _: i32, from: *const c_char, _: i32, to: *const c_char, flags: u32) -> i32 {
    unsafe { begin_look(user, &name(bytes(from)), to) };
    let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    let (from, to) = unsafe { (name(bytes(from)), name(bytes(to))) };
    if c.w.fs.lookup(&from).is_some() {
        c.w.check_removal(c.p.slot, &from);
    }
    let result = c.w.fs.rename(c.p.slot, &from, to, flags & RENAME_NOREPLACE != 0);
    if result.is_ok() {
        c.w.touch(c.p.slot);
        c.w.tell_watchers();
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.rename(&from, &to, flags, result);
    }
    c.told("renameat", || format!("{}, {}", show(&from), show(&to)), result.map(|()| 0)) as i32
}

unsafe extern "C" fn unlinkat(user: User, _: i32, path: *const c_char, _: i32) -> i32 {
    let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    let named = name(unsafe { bytes(path) });
    if c.w.fs.lookup(&named).is_some() {
        c.w.check_removal(c.p.slot, &named);
    }
    let result = c.w.fs.unlink(&named);
    if result.is_ok() {
        c.w.touch(c.p.slot);
        c.w.tell_watchers();
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.unlink(&named, result.map(|_| ()));
    }
    c.told("unlinkat", || show(&named), result.map(|_| 0)) as i32
}

unsafe extern "C" fn linkat(user: User, _: i32, from: *const c_char, _: i32, to: *const c_char, flags: i32) -> i32 {
    unsafe { link_from(user, from, to, flags, None) }
}

/// Here the routine of taking a lock begins a new look: of the looks before it keeps its candidate, its
/// descriptors and how often it slept, nothing else. What it forgets need not be told apart (checked by
/// exploring two processes both ways).
unsafe fn begin_look(user: User, candidate: &Name, to: *const c_char) {
    unsafe {
        let p = &mut *user.cast::<Proc>();
        // One that waits also knows whether it has tried to set up a watch: a look without a sleep, and without a
        // descriptor where there is no inotify.
        let slept = p.sleeps > p.told_at || !p.waits || p.watches;
        if p.forgets && slept && bytes(to) == LOCK {
            p.told_at = p.sleeps;
            let open = p.fds.iter().flatten().count() as u64;
            p.history = mix(mix(mix_bytes(0, candidate), p.sleeps), open);
        }
    }
}

/// With the descriptor given apart, since linkat's first argument is one or a directory.
unsafe fn link_from(user: User, from: *const c_char, to: *const c_char, flags: i32, fd: Option<i32>) -> i32 {
    unsafe { begin_look(user, &name(bytes(from)), to) };
    let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    let (from, to) = unsafe { (name(bytes(from)), name(bytes(to))) };
    let inode = match fd {
        Some(fd) => c.p.file(fd),
        None => c.w.fs.lookup(&from).ok_or(ENOENT),
    };
    let result = inode.and_then(|inode| c.w.fs.link(c.p.slot, inode, to));
    if result.is_ok() {
        c.w.touch(c.p.slot);
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.link(c.p.slot, &from, &to, fd, result);
    }
    let _ = flags;
    c.told("linkat", || format!("{fd:?} {}, {}", show(&from), show(&to)), result.map(|()| 0)) as i32
}

unsafe extern "C" fn linkat_any(user: User, od: i32, from: *const c_char, nd: i32, to: *const c_char, flags: i32) -> i32 {
    unsafe {
        if flags & AT_EMPTY_PATH != 0 {
            link_from(user, from, to, flags, Some(od))
        } else {
            linkat(user, od, from, nd, to, flags)
        }
    }
}

unsafe extern "C" fn readlinkat(user: User, _: i32, _: *const c_char, buf: *mut c_void, len: usize) -> i64 {
    if (unsafe { begin(user, PRIVATE) }).is_none() {
        return GONE.into();
    }
    let count = NAMESPACE.len().min(len);
    unsafe { core::ptr::copy_nonoverlapping(NAMESPACE.as_ptr(), buf.cast(), count) };
    count as i64
}

unsafe extern "C" fn read(user: User, fd: i32, buf: *mut c_void, len: usize) -> i64 {
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

unsafe extern "C" fn pread(user: User, fd: i32, buf: *mut c_void, len: usize, offset: u64) -> i64 {
    let Some(c) = (unsafe { begin(user, changing(user, fd)) }) else { return GONE.into() };
    let result = c.p.file(fd).map(|inode| {
        let content = c.w.fs.inodes[inode].bytes();
        let rest = content.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(len);
        unsafe { core::ptr::copy_nonoverlapping(rest.as_ptr(), buf.cast(), count) };
        c.p.history = mix_bytes(c.p.history, &rest[..count]);
        count as i64
    });
    if let Some(mirror) = &mut c.w.mirror {
        let data = result.map(|count| unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), count as usize) });
        mirror.pread(c.p.slot, fd, len, offset, data);
    }
    c.told("pread", || fd.to_string(), result)
}

fn stat_of(c: &mut Call<'_>, inode: usize) -> steadfast_stat {
    let node = &c.w.fs.inodes[inode];
    // Its own file is to each process the same: that makes those that have done nothing else look alike.
    let own = node.creator == c.p.slot;
    let mut h = mix(c.p.history, if own { 0 } else { node.ino });
    // Others may unlink it, which does not matter to a lock: to be seen only where it is compared with a real one.
    let nlink = if node.settled && c.w.mirror.is_none() { 1 } else { node.nlink };
    h = mix(h, u64::from(node.mode) << 32 | u64::from(nlink));
    h = mix(h, node.len as u64);
    c.p.history = mix(h, if own { node.mtime % 1_000_000 } else { node.mtime }.cast_unsigned());
    steadfast_stat {
        dev: 1,
        ino: node.ino,
        mode: node.mode,
        nlink,
        size: node.len as u64,
        mtime_ns: node.mtime,
        ..Default::default()
    }
}

unsafe extern "C" fn fstat(user: User, fd: i32, out: *mut steadfast_stat) -> i32 {
    if let Ok(Handle::Pidfd(who)) = unsafe { (*user.cast::<Proc>()).handle(fd) } {
        // Each life of a number has an inode of its own (pidfs, since Linux 6.9), and keeps it.
        let Some(c) = (unsafe { begin(user, PRIVATE) }) else { return GONE };
        unsafe { out.write(steadfast_stat { dev: 2, ino: 5000 + u64::from(who), mode: S_IFREG | 0o700, ..Default::default() }) };
        return if who == c.p.slot as Who { 0 } else { c.told("fstat", || format!("pidfd of {who}"), Ok(0)) as i32 };
    }
    let Some(mut c) = (unsafe { begin(user, changing(user, fd)) }) else { return GONE };
    let result = c.p.file(fd).map(|inode| stat_of(&mut c, inode));
    if let Ok(stat) = result {
        unsafe { out.write(stat) };
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.fstat(c.p.slot, fd, result);
    }
    c.told("fstat", || fd.to_string(), result.map(|_| 0)) as i32
}

unsafe extern "C" fn fstatat(user: User, _: i32, path: *const c_char, out: *mut steadfast_stat) -> i32 {
    let Some(mut c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    let named = name(unsafe { bytes(path) });
    let result = c.w.fs.lookup(&named).ok_or(ENOENT).map(|inode| stat_of(&mut c, inode));
    if let Ok(stat) = result {
        unsafe { out.write(stat) };
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.fstatat(&named, result);
    }
    c.told("fstatat", || show(&named), result.map(|_| 0)) as i32
}

unsafe extern "C" fn fstatfs(user: User, fd: i32) -> i64 {
    const PID_FS_MAGIC: i64 = 0x5049_4446;
    let Some(c) = (unsafe { begin(user, PRIVATE) }) else { return GONE.into() };
    if matches!(c.p.handle(fd), Ok(Handle::Pidfd(_))) { PID_FS_MAGIC } else { 0x0102_1994 }
}

unsafe extern "C" fn flock(user: User, fd: i32, operation: i32) -> i32 {
    let Some(c) = (unsafe { begin(user, shared(user, fd)) }) else { return GONE };
    let (slot, lies) = (c.p.slot, c.w.flock_lies);
    let result = c.p.file(fd).and_then(|inode| match operation & !LOCK_NB {
        _ if lies => Ok(()),
        LOCK_UN => {
            if c.w.fs.unflock(inode, slot, fd) {
                c.w.touch(slot);
            }
            Ok(())
        }
        kind => {
            if !c.w.fs.inodes[inode].linkable {
                c.p.changed();
            }
            c.w.fs.flock(inode, Flock { slot, fd, exclusive: kind == LOCK_EX })
        }
    });
    if let Some(mirror) = &mut c.w.mirror {
        mirror.flock(slot, fd, operation, result);
    }
    c.told("flock", || format!("{fd}, {operation}"), result.map(|()| 0)) as i32
}

unsafe extern "C" fn fgetxattr(user: User, fd: i32, _: *const c_char, buf: *mut c_void, len: usize) -> i64 {
    let Some(c) = (unsafe { begin(user, changing(user, fd)) }) else { return GONE.into() };
    let result = c.p.file(fd).and_then(|inode| c.w.fs.xattr(inode)).and_then(|value| {
        if value.len() > len {
            return Err(ERANGE);
        }
        unsafe { core::ptr::copy_nonoverlapping(value.as_ptr(), buf.cast(), value.len()) };
        c.p.history = mix_bytes(c.p.history, value);
        Ok(value.len() as i64)
    });
    if let Some(mirror) = &mut c.w.mirror {
        mirror.getxattr(c.p.slot, fd, result);
    }
    c.told("fgetxattr", || fd.to_string(), result)
}

unsafe extern "C" fn fsetxattr(user: User, fd: i32, _: *const c_char, buf: *const c_void, len: usize) -> i32 {
    let Some(mut c) = (unsafe { begin(user, shared(user, fd)) }) else { return GONE };
    c.check_writable(fd);
    let value = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
    let result = c.p.file(fd).map(|inode| c.w.fs.inodes[inode].xattr = Some(value.to_vec()));
    if !c.is_private(fd) {
        c.p.changed();
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.setxattr(c.p.slot, fd, value, result);
    }
    c.told("fsetxattr", || fd.to_string(), result.map(|()| 0)) as i32
}

unsafe extern "C" fn getpid(user: User) -> i32 {
    unsafe { (*user.cast::<Proc>()).pid }
}

unsafe extern "C" fn geteuid(_: User) -> i64 {
    0
}

unsafe extern "C" fn kill(user: User, pid: i32, _: i32) -> i32 {
    let Some(c) = (unsafe { begin(user, pid_may_change(user, pid)) }) else { return GONE };
    let result = c.w.who_is(pid).map(|_| 0).ok_or(ESRCH);
    c.told("kill", || pid.to_string(), result) as i32
}

unsafe extern "C" fn pidfd_open(user: User, pid: i32, _: u32) -> i32 {
    let Some(c) = (unsafe { begin(user, pid_may_change(user, pid)) }) else { return GONE };
    let result = c.w.pidfd_open(pid).map(|handle| c.p.open(handle));
    if pid == c.p.pid {
        return result.unwrap_or_else(|e| -e);
    }
    c.told("pidfd_open", || pid.to_string(), result.map(i64::from)) as i32
}

unsafe extern "C" fn poll(user: User, fds: *mut steadfast_pollfd, count: u32, timeout_ns: i64) -> i32 {
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
    c.p.dirty = false;
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
    let (bits, count) = (ready, fds.iter().filter(|f| f.revents != 0).count() as i32);
    c.told("poll", || format!("{timeout_ns} ns"), Ok(bits));
    count
}

unsafe extern "C" fn inotify_init(user: User, _: i32) -> i32 {
    let Some(c) = (unsafe { begin(user, PRIVATE) }) else { return GONE };
    let fd = c.p.open(Handle::Inotify);
    c.told("inotify_init", String::new, Ok(fd.into())) as i32
}

/// The watch begins here: what happens before is not told.
unsafe extern "C" fn inotify_add_watch(user: User, _: i32, _: *const c_char, _: u32) -> i32 {
    let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    c.p.events = 0;
    c.told("inotify_add_watch", String::new, Ok(1)) as i32
}

/// Time stands still: no deadline of a wait passes by itself.
unsafe extern "C" fn clock(_: User, _: i32, ns: *mut i64) -> i32 {
    unsafe { ns.write(1) };
    0
}

unsafe extern "C" fn sigxfsz(_: User, _: i32, _: i32) -> i32 {
    0
}

unsafe extern "C" fn fsync(_: User, _: i32) -> i32 {
    0
}

unsafe extern "C" fn no_mkdir(_: User, _: i32, _: *const c_char, _: u32) -> i32 {
    -ENOSYS
}

unsafe extern "C" fn no_chmod(_: User, _: i32, _: u32) -> i32 {
    -ENOSYS
}

unsafe extern "C" fn no_chown(_: User, _: i32, _: u32, _: u32) -> i32 {
    -ENOSYS
}

unsafe extern "C" fn no_ofdlock(_: User, _: i32, _: i32, _: i64, _: i64, _: *mut i64) -> i32 {
    -ENOSYS
}

/// A scheduling point that is no system call.
pub unsafe fn pause(user: User) -> bool {
    unsafe { begin(user, SHARED) }.is_some()
}

/// The table for one process.
pub fn table(user: User, absent: u32) -> steadfast_hooks {
    let mut table: steadfast_hooks = unsafe { std::mem::zeroed() };
    table.size = size_of::<steadfast_hooks>();
    table.user = user;
    table.absent = absent;
    table.openat = Some(openat);
    table.close = Some(close);
    table.write = Some(write);
    table.renameat = Some(renameat);
    table.unlinkat = Some(unlinkat);
    table.linkat = Some(linkat_any);
    table.readlinkat = Some(readlinkat);
    table.read = Some(read);
    table.pread = Some(pread);
    table.fstat = Some(fstat);
    table.fstatat = Some(fstatat);
    table.fstatfs = Some(fstatfs);
    table.flock = Some(flock);
    table.fgetxattr = Some(fgetxattr);
    table.fsetxattr = Some(fsetxattr);
    table.getpid = Some(getpid);
    table.geteuid = Some(geteuid);
    table.kill = Some(kill);
    table.pidfd_open = Some(pidfd_open);
    table.poll = Some(poll);
    table.inotify_init = Some(inotify_init);
    table.inotify_add_watch = Some(inotify_add_watch);
    table.clock = Some(clock);
    table.sigxfsz = Some(sigxfsz);
    // Not needed by locks; a NULL hook would be a real call.
    table.fsync = Some(fsync);
    table.mkdirat = Some(no_mkdir);
    table.fchmod = Some(no_chmod);
    table.fchown = Some(no_chown);
    table.ofdlock = Some(no_ofdlock);
    table
}
