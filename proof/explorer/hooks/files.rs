//! Calls about files and names.

use super::super::fs::{Flock, Name, mix, mix_bytes, name};
use super::super::world::*;
use super::processes::proc_file;
use super::*;
use libc::*;
use steadfast::hooks::steadfast_stat;

pub(super) unsafe extern "C" fn openat(user: User, dirfd: i32, path: *const c_char, flags: i32, mode: u32) -> i32 {
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

pub(super) unsafe extern "C" fn close(user: User, fd: i32) -> i32 {
    // Dropping a flock can be noticed, and so can freeing an inode whose number comes back.
    let noticed = unsafe {
        let p = &*user.cast::<Proc>();
        let w = &*p.world;
        let ticket = w.tickets.iter().any(|t| (t.slot, t.fd) == (p.slot, fd));
        ticket
            || p.file(fd).is_ok_and(|inode| {
                let node = &w.fs.inodes[inode];
                node.flocks.iter().any(|f| (f.slot, f.fd) == (p.slot, fd)) && !node.linkable
                    || w.fs.reuse_numbers && node.nlink == 0
            })
    };
    let Some(c) = (unsafe { begin(user, noticed) }) else { return GONE };
    let handle = c.p.handle(fd);
    if let Ok(Handle::File(inode)) = handle
        && c.w.fs.close(inode, c.p.slot, fd)
    {
        c.w.touch(c.p.slot);
    }
    let tickets = c.w.tickets.len();
    c.w.tickets.retain(|t| (t.slot, t.fd) != (c.p.slot, fd));
    if c.w.tickets.len() < tickets {
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

pub(super) unsafe extern "C" fn write(user: User, fd: i32, buf: *const c_void, len: usize) -> i64 {
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

pub(super) unsafe extern "C" fn renameat(user: User, _: i32, from: *const c_char, _: i32, to: *const c_char, flags: u32) -> i32 {
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

pub(super) unsafe extern "C" fn unlinkat(user: User, _: i32, path: *const c_char, _: i32) -> i32 {
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

pub(super) unsafe extern "C" fn linkat(user: User, _: i32, from: *const c_char, _: i32, to: *const c_char, flags: i32) -> i32 {
    unsafe { link_from(user, from, to, flags, None) }
}

/// Here the routine of taking a lock begins a new look: of the looks before it keeps its candidate, its
/// descriptors and how often it slept, nothing else. What it forgets need not be told apart (checked by
/// exploring two processes both ways).
pub(super) unsafe fn begin_look(user: User, candidate: &Name, to: *const c_char) {
    unsafe {
        let p = &mut *user.cast::<Proc>();
        // One that waits also knows whether it has tried to set up a watch: a look without a sleep, and without a
        // descriptor where there is no inotify.
        let slept = p.sleeps > p.told_at || !p.waits || p.watches;
        // One that queues has, once it waits, patience to lose.
        if p.forgets && slept && !(p.queues && p.watched) && bytes(to) == LOCK {
            p.told_at = p.sleeps;
            let open = p.fds.iter().flatten().count() as u64;
            p.history = mix(mix(mix_bytes(0, candidate), p.sleeps), open);
        }
    }
}

/// With the descriptor given apart, since linkat's first argument is one or a directory.
pub(super) unsafe fn link_from(user: User, from: *const c_char, to: *const c_char, flags: i32, fd: Option<i32>) -> i32 {
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

pub(super) unsafe extern "C" fn linkat_any(
    user: User,
    od: i32,
    from: *const c_char,
    nd: i32,
    to: *const c_char,
    flags: i32,
) -> i32 {
    unsafe {
        if flags & AT_EMPTY_PATH != 0 {
            link_from(user, from, to, flags, Some(od))
        } else {
            linkat(user, od, from, nd, to, flags)
        }
    }
}

pub(super) unsafe extern "C" fn pread(user: User, fd: i32, buf: *mut c_void, len: usize, offset: u64) -> i64 {
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

pub(super) fn stat_of(c: &mut Call<'_>, inode: usize) -> steadfast_stat {
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

pub(super) unsafe extern "C" fn fstat(user: User, fd: i32, out: *mut steadfast_stat) -> i32 {
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

pub(super) unsafe extern "C" fn fstatat(user: User, _: i32, path: *const c_char, out: *mut steadfast_stat) -> i32 {
    let Some(mut c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    let named = name(unsafe { bytes(path) });
    let opened = c.p.fds.iter().rev().find_map(|h| if let Some(Handle::File(inode)) = h { Some(*inode) } else { None });
    let lied = opened.filter(|&inode| c.w.lie == Some(Lie::Name) && c.w.fs.inodes[inode].creator != c.p.slot);
    let result = lied.or(c.w.fs.lookup(&named)).ok_or(ENOENT).map(|inode| stat_of(&mut c, inode));
    if let Ok(stat) = result {
        unsafe { out.write(stat) };
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.fstatat(&named, result);
    }
    c.told("fstatat", || show(&named), result.map(|_| 0)) as i32
}

pub(super) unsafe extern "C" fn fstatfs(user: User, fd: i32) -> i64 {
    const PID_FS_MAGIC: i64 = 0x5049_4446;
    let Some(c) = (unsafe { begin(user, PRIVATE) }) else { return GONE.into() };
    if matches!(c.p.handle(fd), Ok(Handle::Pidfd(_))) { PID_FS_MAGIC } else { 0x0102_1994 }
}

pub(super) unsafe extern "C" fn flock(user: User, fd: i32, operation: i32) -> i32 {
    let Some(c) = (unsafe { begin(user, shared(user, fd)) }) else { return GONE };
    let (slot, lies) = (c.p.slot, c.w.lie == Some(Lie::Flock));
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

pub(super) unsafe extern "C" fn fgetxattr(user: User, fd: i32, _: *const c_char, buf: *mut c_void, len: usize) -> i64 {
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

pub(super) unsafe extern "C" fn fsetxattr(user: User, fd: i32, _: *const c_char, buf: *const c_void, len: usize) -> i32 {
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
