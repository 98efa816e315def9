//! The hooks about files and names.

use super::{DIRECTORY, FIRST, Handle, Inode, Kind, Lie, Machine};
use super::{marks, processes, sync};
use core::ffi::{CStr, c_char, c_void};
use libc::*;
use steadfast::hooks::*;
use steadfast::hooks::{steadfast_hooks, steadfast_stat};

pub(super) type User = *mut c_void;

pub(super) unsafe fn machine<'a>(user: User) -> &'a mut Machine {
    unsafe { &mut *user.cast::<Machine>() }
}

pub(super) fn answer(result: Result<i64, i32>) -> i64 {
    result.unwrap_or_else(|errno| i64::from(-errno))
}

/// The name in the directory.
unsafe fn name<'a>(path: *const c_char) -> &'a [u8] {
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    path.strip_prefix(DIRECTORY.as_bytes()).and_then(|rest| rest.strip_prefix(b"/")).unwrap_or(path)
}

fn new_file(m: &Machine, mode: u32, nlink: u32) -> Inode {
    let mode = mode & 0o7777 & !0o022;
    Inode { kind: Kind::File, bytes: vec![], mode, mtime: m.now, nlink, xattr: None, flocks: vec![], locked_elsewhere: false }
}

unsafe extern "C" fn openat(user: User, _: i32, path: *const c_char, flags: i32, mode: u32) -> i32 {
    let m = unsafe { machine(user) };
    let path = unsafe { name(path) };
    answer(m.begin(STEADFAST_CALL_OPENAT).and_then(|()| open(m, path, flags, mode)).map(i64::from)) as i32
}

fn open(m: &mut Machine, path: &[u8], flags: i32, mode: u32) -> Result<i32, i32> {
    if path.starts_with(b"/proc/") {
        let text = processes::proc_text(m, &String::from_utf8_lossy(path))?;
        return Ok(m.open(Handle::Text(text)));
    }
    if flags & O_TMPFILE == O_TMPFILE {
        m.inodes.push(new_file(m, mode, 0));
        let inode = m.inodes.len() - 1;
        return Ok(m.open_file(inode));
    }
    if path == DIRECTORY.as_bytes() {
        return Ok(m.open(Handle::Directory));
    }
    let Some(&inode) = m.names.get(path) else {
        if flags & O_CREAT == 0 {
            return Err(ENOENT);
        }
        m.inodes.push(new_file(m, mode, 1));
        let inode = m.inodes.len() - 1;
        m.names.insert(path.to_vec(), inode);
        return Ok(m.open_file(inode));
    };
    if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
        return Err(EEXIST);
    }
    match m.inodes[inode].kind {
        // No link here leads anywhere.
        Kind::Link if flags & O_NOFOLLOW == 0 => return Err(ENOENT),
        Kind::Link => return Err(ELOOP),
        _ if flags & O_DIRECTORY != 0 => return Err(ENOTDIR),
        _ => {}
    }
    Ok(m.open_file(inode))
}

/// The directory is the root: an absolute path leaves it, and the machine has no links that lead out.
unsafe extern "C" fn openat2(user: User, _: i32, path: *const c_char, flags: i32, mode: u32, resolve: u64) -> i32 {
    let m = unsafe { machine(user) };
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    let result = m.begin(STEADFAST_CALL_OPENAT2).and_then(|()| match resolve & RESOLVE_BENEATH {
        0 => open(m, unsafe { name(path) }, flags, mode),
        _ if bytes.starts_with(b"/") => Err(EXDEV),
        _ => open(m, bytes, flags, mode),
    });
    answer(result.map(i64::from)) as i32
}

/// Whatever it answers, the descriptor is gone; unless the process is.
unsafe extern "C" fn close(user: User, fd: i32) -> i32 {
    let m = unsafe { machine(user) };
    let begun = m.begin(STEADFAST_CALL_CLOSE);
    if m.lie == Some(Lie::Close) || begun.is_err() && m.fault.is_some_and(|fault| fault.for_ever) {
        return answer(begun.map(|()| 0)) as i32;
    }
    let file = m.file_of(fd);
    let result = m.handle(fd).map(|_| ()).and(begun);
    if let Some(slot) = usize::try_from(fd - FIRST).ok().and_then(|at| m.fds.get_mut(at)) {
        *slot = None;
    }
    if let Ok((inode, description)) = file {
        m.drop_description(inode, description);
    }
    answer(result.map(|()| 0)) as i32
}

fn limited(m: &Machine, len: usize) -> usize {
    if m.short == 0 { len } else { len.min(m.short) }
}

unsafe extern "C" fn write(user: User, fd: i32, buf: *const c_void, len: usize) -> i64 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_WRITE).and_then(|()| {
        let len = limited(m, len);
        let data = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
        let Handle::File { inode, at, .. } = m.handle(fd)? else { return Err(EBADF) };
        let (inode, begin) = (*inode, *at);
        *at += len;
        put(m, inode, data, begin);
        Ok(len as i64)
    });
    answer(result)
}

/// Nothing here lists a directory.
unsafe extern "C" fn getdents(user: User, _: i32, _: *mut c_void, _: usize) -> i64 {
    answer(unsafe { machine(user) }.begin(STEADFAST_CALL_GETDENTS).and(Err(EINVAL)))
}

/// The position stays.
unsafe extern "C" fn pwrite(user: User, fd: i32, buf: *const c_void, len: usize, offset: u64) -> i64 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_PWRITE).and_then(|()| {
        let len = limited(m, len);
        let data = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
        let inode = m.inode_of(fd)?;
        put(m, inode, data, offset as usize);
        Ok(len as i64)
    });
    answer(result)
}

fn put(m: &mut Machine, inode: usize, data: &[u8], begin: usize) {
    m.now += 1;
    let node = &mut m.inodes[inode];
    let end = begin + data.len();
    node.bytes.resize(node.bytes.len().max(end), 0);
    node.bytes[begin..end].copy_from_slice(data);
    if m.lie == Some(Lie::Write) {
        node.bytes.pop();
    }
    node.mtime = m.now;
}

unsafe extern "C" fn ftruncate(user: User, fd: i32, len: u64) -> i32 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_FTRUNCATE).and_then(|()| {
        let inode = m.inode_of(fd)?;
        m.inodes[inode].bytes.resize(len as usize, 0);
        Ok(0)
    });
    answer(result) as i32
}

unsafe extern "C" fn renameat(user: User, _: i32, from: *const c_char, _: i32, to: *const c_char, flags: u32) -> i32 {
    let m = unsafe { machine(user) };
    let (from, to) = unsafe { (name(from), name(to)) };
    answer(m.begin(STEADFAST_CALL_RENAMEAT).and_then(|()| rename(m, from, to, flags)).map(|()| 0)) as i32
}

fn rename(m: &mut Machine, from: &[u8], to: &[u8], flags: u32) -> Result<(), i32> {
    let inode = *m.names.get(from).ok_or(ENOENT)?;
    if m.lie == Some(Lie::Rename) {
        return Ok(());
    }
    let target = m.names.get(to).copied();
    if flags & RENAME_EXCHANGE != 0 {
        let other = target.ok_or(ENOENT)?;
        m.names.insert(from.to_vec(), other);
        m.names.insert(to.to_vec(), inode);
        return Ok(());
    }
    match target {
        Some(_) if flags & RENAME_NOREPLACE != 0 => return Err(EEXIST),
        // Two names of one file: nothing happens (rename(2)).
        Some(other) if other == inode => return Ok(()),
        _ => drop(m.remove(to)),
    }
    m.names.remove(from);
    m.names.insert(to.to_vec(), inode);
    Ok(())
}

unsafe extern "C" fn unlinkat(user: User, _: i32, path: *const c_char, _: i32) -> i32 {
    let m = unsafe { machine(user) };
    let path = unsafe { name(path) };
    let result = m.begin(STEADFAST_CALL_UNLINKAT).and_then(|()| match m.lie {
        Some(Lie::Unlink) => Ok(0),
        _ => m.remove(path).map(|_| 0).ok_or(ENOENT),
    });
    answer(result) as i32
}

unsafe extern "C" fn linkat(user: User, old: i32, from: *const c_char, _: i32, to: *const c_char, flags: i32) -> i32 {
    let m = unsafe { machine(user) };
    let (from, to) = unsafe { (name(from), name(to)) };
    let result = m.begin(STEADFAST_CALL_LINKAT).and_then(|()| {
        let inode = match flags {
            AT_EMPTY_PATH => m.inode_of(old)?,
            _ => *m.names.get(from).ok_or(ENOENT)?,
        };
        if m.names.contains_key(to) {
            return Err(EEXIST);
        }
        m.inodes[inode].nlink += 1;
        m.names.insert(to.to_vec(), inode);
        Ok(0)
    });
    answer(result) as i32
}

unsafe extern "C" fn mkdirat(user: User, _: i32, _: *const c_char, _: u32) -> i32 {
    answer(unsafe { machine(user) }.begin(STEADFAST_CALL_MKDIRAT).and(Err(EEXIST))) as i32
}

unsafe extern "C" fn pread(user: User, fd: i32, buf: *mut c_void, len: usize, offset: u64) -> i64 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_PREAD).and_then(|()| {
        let len = limited(m, len);
        let inode = m.inode_of(fd)?;
        let rest = m.inodes[inode].bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(len);
        unsafe { core::ptr::copy_nonoverlapping(rest.as_ptr(), buf.cast(), count) };
        if m.lie == Some(Lie::Read) && count > 0 {
            unsafe { *buf.cast::<u8>() ^= 1 };
        }
        Ok(count as i64)
    });
    answer(result)
}

unsafe extern "C" fn read(user: User, fd: i32, buf: *mut c_void, len: usize) -> i64 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_READ).and_then(|()| {
        let Handle::Text(text) = m.handle(fd)? else { return Err(EINVAL) };
        let count = text.len().min(len);
        unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), buf.cast(), count) };
        Ok(count as i64)
    });
    answer(result)
}

fn stat_of(m: &Machine, inode: usize) -> steadfast_stat {
    let node = &m.inodes[inode];
    let kind = match node.kind {
        Kind::File => S_IFREG,
        Kind::Link => S_IFLNK,
        Kind::Directory => S_IFDIR,
        Kind::Fifo => S_IFIFO,
    };
    steadfast_stat {
        dev: 1,
        ino: inode as u64 + 100,
        mode: kind | node.mode,
        nlink: node.nlink,
        size: node.bytes.len() as u64,
        mtime_ns: node.mtime,
        // No number is ever used again here.
        btime_ns: super::NOW + inode as i64,
        ..Default::default()
    }
}

unsafe extern "C" fn fstat(user: User, fd: i32, out: *mut steadfast_stat) -> i32 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_FSTAT).and_then(|()| {
        let stat = match m.handle(fd)?.clone() {
            Handle::File { inode, .. } => stat_of(m, inode),
            Handle::Pidfd(pid) => {
                let ino = m.process(pid).map_or(0, |p| p.inode);
                steadfast_stat { dev: 2, ino, mode: S_IFREG | 0o700, ..Default::default() }
            }
            Handle::Directory => steadfast_stat { dev: 1, ino: 1, mode: S_IFDIR | 0o755, ..Default::default() },
            _ => return Err(EIO),
        };
        unsafe { out.write(stat) };
        Ok(0)
    });
    answer(result) as i32
}

unsafe extern "C" fn fstatat(user: User, _: i32, path: *const c_char, out: *mut steadfast_stat) -> i32 {
    let m = unsafe { machine(user) };
    let path = unsafe { name(path) };
    let result = m.begin(STEADFAST_CALL_FSTATAT).and_then(|()| {
        let inode = *m.names.get(path).ok_or(ENOENT)?;
        unsafe { out.write(stat_of(m, inode)) };
        Ok(0)
    });
    answer(result) as i32
}

unsafe extern "C" fn fstatfs(user: User, fd: i32) -> i64 {
    const PID_FS_MAGIC: i64 = 0x5049_4446;
    let m = unsafe { machine(user) };
    let magic = m.magic;
    answer(m.begin(STEADFAST_CALL_FSTATFS).and_then(|()| {
        let handle = m.handle(fd)?;
        Ok(if matches!(handle, Handle::Pidfd(_)) { PID_FS_MAGIC } else { magic })
    }))
}

unsafe extern "C" fn fchmod(user: User, fd: i32, mode: u32) -> i32 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_FCHMOD).and_then(|()| {
        let inode = m.inode_of(fd)?;
        m.inodes[inode].mode = mode & 0o7777;
        Ok(0)
    });
    answer(result) as i32
}

unsafe extern "C" fn fchown(user: User, _: i32, _: u32, _: u32) -> i32 {
    answer(unsafe { machine(user) }.begin(STEADFAST_CALL_FCHOWN).map(|()| 0)) as i32
}

unsafe extern "C" fn sigxfsz(user: User, _: i32, _: i32) -> i32 {
    answer(unsafe { machine(user) }.begin(STEADFAST_CALL_SIGXFSZ).map(|()| 0)) as i32
}

pub(super) fn table(user: User, absent: u32) -> steadfast_hooks {
    let mut table: steadfast_hooks = unsafe { std::mem::zeroed() };
    table.size = size_of::<steadfast_hooks>();
    table.user = user;
    table.absent = absent;
    table.openat = Some(openat);
    table.close = Some(close);
    table.write = Some(write);
    table.fsync = Some(sync::fsync);
    table.renameat = Some(renameat);
    table.unlinkat = Some(unlinkat);
    table.linkat = Some(linkat);
    table.mkdirat = Some(mkdirat);
    table.readlinkat = Some(processes::readlinkat);
    table.read = Some(read);
    table.pread = Some(pread);
    table.fstat = Some(fstat);
    table.fstatat = Some(fstatat);
    table.fstatfs = Some(fstatfs);
    table.fchmod = Some(fchmod);
    table.fchown = Some(fchown);
    table.flock = Some(marks::flock);
    table.ofdlock = Some(processes::ofdlock);
    table.fgetxattr = Some(marks::fgetxattr);
    table.fsetxattr = Some(marks::fsetxattr);
    table.flistxattr = Some(marks::flistxattr);
    table.getpid = Some(processes::getpid);
    table.geteuid = Some(processes::geteuid);
    table.kill = Some(processes::kill);
    table.pidfd_open = Some(processes::pidfd_open);
    table.poll = Some(processes::poll);
    table.inotify_init = Some(processes::inotify_init);
    table.inotify_add_watch = Some(processes::inotify_add_watch);
    table.clock = Some(processes::clock);
    table.sigxfsz = Some(sigxfsz);
    table.fdatasync = Some(sync::fdatasync);
    table.syncfs = Some(sync::syncfs);
    table.ftruncate = Some(ftruncate);
    table.writeback = Some(sync::writeback);
    table.aio = Some(sync::aio);
    table.fsync_many = Some(sync::fsync_many);
    table.openat2 = Some(openat2);
    table.map = Some(marks::map);
    table.unmap = Some(marks::unmap);
    table.pwrite = Some(pwrite);
    table.getdents = Some(getdents);
    table
}

/// The hooks that are NULL, which means the real call: none, or a new one of the library's is to come in here.
pub fn missing() -> Vec<usize> {
    const FIRST_HOOK: usize = std::mem::offset_of!(steadfast_hooks, openat);
    let table = table(std::ptr::null_mut(), 0);
    let words = unsafe {
        std::slice::from_raw_parts((&raw const table).cast::<usize>(), size_of::<steadfast_hooks>() / size_of::<usize>())
    };
    (FIRST_HOOK / size_of::<usize>()..words.len()).filter(|&at| words[at] == 0).collect()
}
