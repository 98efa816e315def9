//! Calls about open files.

use super::super::fs::{mix, mix_bytes};
use super::super::ledger::HEADER;
use super::*;
use libc::*;
use steadfast::hooks::steadfast_stat;

const TMPFS: i64 = 0x0102_1994;
const PID_FS: i64 = 0x5049_4446;
/// Directories and the program's own files have nothing in common with lock files.
const DIRECTORY: steadfast_stat = steadfast_stat { dev: 1, ino: 2, mode: S_IFDIR | 0o755, nlink: 2, ..steadfast_stat::ZERO };
const FOREIGN: steadfast_stat = steadfast_stat { dev: 3, ino: 7, mode: S_IFREG | 0o600, nlink: 1, ..steadfast_stat::ZERO };
/// All that have no file share an inode.
const ANONYMOUS: steadfast_stat = steadfast_stat { dev: 14, ino: 9, mode: 0o600, nlink: 1, ..steadfast_stat::ZERO };

pub(super) unsafe extern "C" fn close(user: User, fd: i32) -> i32 {
    // Dropping a lock can be noticed, and so can freeing an inode whose number comes back.
    let noticed = {
        let (w, p) = unsafe { look(user) };
        let file = |description: usize| {
            let node = w.fs.opened[description].node;
            let file = w.fs.file(node);
            let locked = w.fs.opened[description].is_locked() && !file.linkable;
            w.fs.ends_with(description) && (locked || w.fs.reuse_numbers && file.nlink == 0)
        };
        w.tickets.iter().any(|t| (t.slot, t.fd) == (p.slot, fd)) || p.file(fd).is_ok_and(file)
    };
    let Some(mut c) = (unsafe { begin(user, noticed) }) else { return GONE };
    c.check_own(fd, "close");
    let handle = c.p.handle(fd);
    if c.w.close(c.p.slot, fd) {
        c.w.touch(c.p.slot);
    }
    if matches!(handle, Ok(Handle::Text(_, _, who)) if who.is_none_or(|who| who == c.p.slot as Who))
        || handle == Ok(Handle::Pidfd(c.p.slot as Who))
    {
        return 0;
    }
    c.told("close", || fd.to_string(), handle.map(|_| 0)) as i32
}

pub(super) unsafe extern "C" fn write(user: User, fd: i32, buf: *const c_void, len: usize) -> i64 {
    unsafe { write_at(user, fd, buf, len, None) }
}

pub(super) unsafe extern "C" fn pwrite(user: User, fd: i32, buf: *const c_void, len: usize, offset: u64) -> i64 {
    unsafe { write_at(user, fd, buf, len, Some(offset)) }
}

/// At the description's position, which moves, or elsewhere.
unsafe fn write_at(user: User, fd: i32, buf: *const c_void, len: usize, at: Option<u64>) -> i64 {
    let data = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
    if let Some(at) = at.filter(|_| unsafe { look(user) }.0.fs.holds_states && unsafe { shared(user, fd) }) {
        return unsafe { slots::write_in_place(user, fd, data, at as usize) };
    }
    let Some(mut c) = (unsafe { begin(user, shared(user, fd)) }) else { return GONE.into() };
    c.check_own(fd, "write");
    c.check_writable(fd);
    let result = c.p.file(fd).map(|description| {
        let d = &mut c.w.fs.opened[description];
        let node = d.node;
        let offset = at.map_or(d.offset, |at| at as usize);
        d.offset += if at.is_none() { len } else { 0 };
        c.w.fs.write(c.p.slot, node, offset, data);
        let parent = c.p.parent;
        let file = c.w.fs.file_mut(node);
        // Another program writes once, after the name is there.
        file.settled |= file.foreign;
        if file.inherited && parent == Some(file.creator) {
            file.owner = c.p.slot;
        }
        len as i64
    });
    changed(&mut c, fd);
    if let Some(mirror) = &mut c.w.mirror {
        mirror.write(c.p.slot, fd, data, at, result);
    }
    c.told("write", || format!("{fd}, {:?}", String::from_utf8_lossy(data)), result)
}

/// Others may see it, unless the file has no name yet.
fn changed(c: &mut Call<'_>, fd: i32) {
    if !c.is_private(fd) {
        c.w.touch(c.p.slot);
    }
}

pub(super) unsafe extern "C" fn ftruncate(user: User, fd: i32, len: u64) -> i32 {
    let Some(mut c) = (unsafe { begin(user, shared(user, fd)) }) else { return GONE };
    c.check_own(fd, "ftruncate");
    c.check_writable(fd);
    let result = c.node(fd).map(|node| c.w.fs.truncate(c.p.slot, node, len as usize));
    changed(&mut c, fd);
    if let Some(mirror) = &mut c.w.mirror {
        mirror.truncate(c.p.slot, fd, len, result);
    }
    c.told("ftruncate", || format!("{fd}, {len}"), result.map(|()| 0)) as i32
}

/// The mark of a record that was written under its name comes last.
pub(super) unsafe extern "C" fn fchmod(user: User, fd: i32, mode: u32) -> i32 {
    let Some(mut c) = (unsafe { begin(user, shared(user, fd)) }) else { return GONE };
    c.check_own(fd, "fchmod");
    c.check_writable(fd);
    let result = c.node(fd).map(|node| {
        let file = c.w.fs.file_mut(node);
        file.mode = S_IFREG | mode & 0o7777;
        file.settled = true;
    });
    changed(&mut c, fd);
    if let Some(mirror) = &mut c.w.mirror {
        mirror.chmod(c.p.slot, fd, mode, result);
    }
    c.told("fchmod", || format!("{fd}, {mode:o}"), result.map(|()| 0)) as i32
}

pub(super) unsafe extern "C" fn pread(user: User, fd: i32, buf: *mut c_void, len: usize, offset: u64) -> i64 {
    let Some(half) = (unsafe { slots::first_half(user, fd, len, offset) }) else { return GONE.into() };
    let Some(mut c) = (unsafe { begin(user, changing(user, fd)) }) else { return GONE.into() };
    c.check_own(fd, "pread");
    let lied = c.w.lies(Lie::Record) && c.node(fd).is_ok_and(|node| c.w.has_turn(c.p.slot, node));
    let result = c.node(fd).map(|node| {
        let parent = c.p.parent.map_or(c.p.pid, |parent| c.w.procs[parent].pid);
        let named = format!("{parent}\n");
        let shown = slots::shown(&mut c, node, offset, len);
        let content = if lied { named.as_bytes() } else { c.w.fs.file(node).bytes() };
        let rest = shown.as_deref().unwrap_or(content.get(offset as usize..).unwrap_or_default());
        let count = rest.len().min(len);
        unsafe {
            core::ptr::copy_nonoverlapping(rest.as_ptr(), buf.cast(), count);
            core::ptr::copy_nonoverlapping(half.as_ptr(), buf.cast(), half.len().min(count));
        }
        let whole = shown.is_none() && !lied && count == c.w.fs.file(node).len();
        let seen = if whole { c.w.fs.file(node).content.hash() } else { mix_bytes(0, &rest[..count]) };
        c.p.history = mix(c.p.history, seen);
        count as i64
    });
    let data = result.map(|count| unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), count as usize) });
    if let Some(mirror) = &mut c.w.mirror {
        mirror.pread(c.p.slot, fd, len, offset, data);
    }
    let shown = || format!("{fd}: {:?}", data.map(|data| String::from_utf8_lossy(&data[..data.len().min(HEADER)]).into_owned()));
    c.told("pread", shown, result)
}

pub(super) fn stat_of(c: &mut Call<'_>, node: usize) -> steadfast_stat {
    let (ino, file) = (c.w.fs.nodes[node].ino, c.w.fs.file(node));
    // Its own file is to each process the same: that makes those that have done nothing else look alike.
    let own = file.creator == c.p.slot;
    let mut h = mix(c.p.history, if own { ino % 1000 } else { ino });
    // Others may unlink it, which does not matter to a lock: to be seen only where it is compared with a real one.
    let nlink = if file.settled && c.w.mirror.is_none() { 1 } else { file.nlink };
    let time = |time: i64| if own { time % 1_000_000 } else { time }.cast_unsigned();
    // Of a file that is being made nobody else minds how long it is.
    if own || !file.fresh {
        h = mix(h, u64::from(file.mode) << 32 | u64::from(nlink));
        h = mix(h, file.len() as u64);
    }
    c.p.history = mix(mix(h, time(file.mtime)), time(file.btime));
    let (size, mtime_ns, btime_ns) = (file.len() as u64, file.mtime, file.btime);
    steadfast_stat { dev: 1, ino, mode: file.mode, nlink, size, mtime_ns, btime_ns, ..Default::default() }
}

pub(super) unsafe extern "C" fn fstat(user: User, fd: i32, out: *mut steadfast_stat) -> i32 {
    let handle = unsafe { look(user) }.1.handle(fd);
    let constant = match handle {
        // Each life of a number has an inode of its own (pidfs, since Linux 6.9), and keeps it.
        Ok(Handle::Pidfd(who)) => {
            Some(steadfast_stat { dev: 2, ino: 5000 + u64::from(who), mode: S_IFREG | 0o700, ..Default::default() })
        }
        Ok(Handle::Directory) => Some(DIRECTORY),
        Ok(Handle::Foreign) => Some(FOREIGN),
        Ok(Handle::Inotify) => Some(ANONYMOUS),
        _ => None,
    };
    if let Some(stat) = constant {
        let Some(c) = (unsafe { begin(user, PRIVATE) }) else { return GONE };
        unsafe { out.write(stat) };
        let known = handle == Ok(Handle::Pidfd(c.p.slot as Who));
        return if known { 0 } else { c.told("fstat", || format!("{fd}: {handle:?}"), Ok(0)) as i32 };
    }
    let Some(mut c) = (unsafe { begin(user, changing(user, fd)) }) else { return GONE };
    let result = c.node(fd).map(|node| stat_of(&mut c, node));
    if let Ok(stat) = result {
        unsafe { out.write(stat) };
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.fstat(c.p.slot, fd, result);
    }
    c.told("fstat", || fd.to_string(), result.map(|_| 0)) as i32
}

pub(super) unsafe extern "C" fn fstatfs(user: User, fd: i32) -> i64 {
    let Some(mut c) = (unsafe { begin(user, PRIVATE) }) else { return GONE.into() };
    c.check_own(fd, "fstatfs");
    match c.p.handle(fd) {
        Ok(Handle::Pidfd(_)) => PID_FS,
        Ok(_) if c.w.magic == 0 => TMPFS,
        Ok(_) => c.w.magic,
        Err(errno) => i64::from(-errno),
    }
}

pub(super) unsafe extern "C" fn fgetxattr(user: User, fd: i32, _: *const c_char, buf: *mut c_void, len: usize) -> i64 {
    // A state's file has none.
    let changing = unsafe { changing(user, fd) && !look(user).0.fs.holds_states };
    let Some(mut c) = (unsafe { begin(user, changing) }) else { return GONE.into() };
    c.check_own(fd, "fgetxattr");
    let result = c.node(fd).and_then(|node| c.w.fs.xattr(node)).and_then(|value| {
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
    c.check_own(fd, "fsetxattr");
    c.check_writable(fd);
    let value = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
    let named = c.w.fs.lookup(&name(LOCK));
    let result = c.node(fd).map(|node| {
        let file = c.w.fs.file_mut(node);
        (file.xattr, file.described) = (Some(value.to_vec()), file.mtime);
        // The attribute of an empty file announces the record.
        file.settled |= named == Some(node) && file.len() > 0;
    });
    changed(&mut c, fd);
    if let Some(mirror) = &mut c.w.mirror {
        mirror.setxattr(c.p.slot, fd, value, result);
    }
    c.told("fsetxattr", || fd.to_string(), result.map(|()| 0)) as i32
}
