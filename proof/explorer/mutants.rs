//! Cleaners and releases that are known to be wrong, on the same hooks. The explorer must find out each.

use super::bodies::*;
use super::hooks::table;
use super::world::*;
use core::ffi::CStr;
use libc::*;
use steadfast::hooks::{steadfast_hooks, steadfast_pollfd, steadfast_stat};

pub const L: &CStr = c"L";

fn hooks(p: *mut Proc) -> steadfast_hooks {
    unsafe { table((*p).world, 0) }
}

pub unsafe fn open(p: *mut Proc) -> Result<i32, i32> {
    let fd = unsafe { (hooks(p).openat.unwrap())((*p).world.cast(), AT_FDCWD, L.as_ptr(), O_RDONLY, 0) };
    if fd < 0 { Err(fd) } else { Ok(fd) }
}

pub unsafe fn create(p: *mut Proc, name: &CStr) -> Result<i32, i32> {
    let fd =
        unsafe { (hooks(p).openat.unwrap())((*p).world.cast(), AT_FDCWD, name.as_ptr(), O_CREAT | O_EXCL | O_WRONLY, 0o644) };
    if fd < 0 { Err(fd) } else { Ok(fd) }
}

pub unsafe fn write_pid(p: *mut Proc, fd: i32) {
    unsafe {
        let text = format!("{}\n", (*p).pid);
        (hooks(p).write.unwrap())((*p).world.cast(), fd, text.as_ptr().cast(), text.len());
    }
}

pub unsafe fn unlink(p: *mut Proc, name: &CStr) -> i32 {
    unsafe { (hooks(p).unlinkat.unwrap())((*p).world.cast(), AT_FDCWD, name.as_ptr(), 0) }
}

pub unsafe fn close(p: *mut Proc, fd: i32) {
    unsafe { (hooks(p).close.unwrap())((*p).world.cast(), fd) };
}

unsafe fn rename(p: *mut Proc, from: &CStr, to: &CStr) -> i32 {
    unsafe { (hooks(p).renameat.unwrap())((*p).world.cast(), AT_FDCWD, from.as_ptr(), AT_FDCWD, to.as_ptr(), 0) }
}

unsafe fn link(p: *mut Proc, from: &CStr, to: &CStr) -> i32 {
    unsafe { (hooks(p).linkat.unwrap())((*p).world.cast(), AT_FDCWD, from.as_ptr(), AT_FDCWD, to.as_ptr(), 0) }
}

unsafe fn flock(p: *mut Proc, fd: i32) -> bool {
    unsafe { (hooks(p).flock.unwrap())((*p).world.cast(), fd, LOCK_EX | LOCK_NB) == 0 }
}

/// The PID in an open file.
unsafe fn read_pid(p: *mut Proc, fd: i32) -> Option<i32> {
    unsafe {
        let mut buf = [0u8; 32];
        let count = (hooks(p).pread.unwrap())((*p).world.cast(), fd, buf.as_mut_ptr().cast(), 32, 0);
        let text = std::str::from_utf8(buf.get(..usize::try_from(count).ok()?)?).ok()?;
        text.trim().parse().ok()
    }
}

unsafe fn is_dead(p: *mut Proc, pid: i32) -> bool {
    unsafe {
        let fd = (hooks(p).pidfd_open.unwrap())((*p).world.cast(), pid, 0);
        if fd < 0 {
            return fd == -ESRCH;
        }
        let mut fds = steadfast_pollfd { fd, events: POLLIN, revents: 0 };
        let ready = (hooks(p).poll.unwrap())((*p).world.cast(), &mut fds, 1, 0);
        close(p, fd);
        ready == 1
    }
}

/// Does the name mean the open file?
unsafe fn still_named(p: *mut Proc, fd: i32) -> bool {
    unsafe {
        let (mut own, mut named) = (steadfast_stat::default(), steadfast_stat::default());
        (hooks(p).fstat.unwrap())((*p).world.cast(), fd, &mut own) == 0
            && (hooks(p).fstatat.unwrap())((*p).world.cast(), AT_FDCWD, L.as_ptr(), &mut named) == 0
            && own.ino == named.ino
    }
}

/// Opens, reads and closes: the PID, if its process is dead.
unsafe fn read_dead(p: *mut Proc) -> Option<i32> {
    unsafe {
        let fd = open(p).ok()?;
        let pid = read_pid(p, fd);
        close(p, fd);
        pid.filter(|&pid| is_dead(p, pid))
    }
}

/// A taker of the textbook: clean, create with O_EXCL, hold, unlink.
unsafe fn take(p: *mut Proc, clean: fn(*mut Proc)) {
    clean(p);
    foreign(p);
}

pub fn clean_check_unlink(p: *mut Proc) {
    unsafe {
        if read_dead(p).is_some() {
            unlink(p, L);
        }
    }
}
pub fn take_check_unlink(p: *mut Proc) {
    unsafe { take(p, clean_check_unlink) }
}

/// The seed's.
pub fn clean_rename_unlink(p: *mut Proc) {
    unsafe {
        if read_dead(p).is_some() && rename(p, L, c"L.removing") == 0 {
            unlink(p, c"L.removing");
        }
    }
}
pub fn take_rename_unlink(p: *mut Proc) {
    unsafe { take(p, clean_rename_unlink) }
}

pub fn clean_put_back(p: *mut Proc) {
    unsafe {
        let private = if (*p).slot == 0 {
            c"L.0"
        } else if (*p).slot == 1 {
            c"L.1"
        } else {
            c"L.2"
        };
        let Some(dead) = read_dead(p) else { return };
        if rename(p, L, private) != 0 {
            return;
        }
        let fd = (hooks(p).openat.unwrap())((*p).world.cast(), AT_FDCWD, private.as_ptr(), O_RDONLY, 0);
        if fd < 0 {
            return;
        }
        let same = read_pid(p, fd) == Some(dead);
        close(p, fd);
        if !same {
            link(p, private, L);
        }
        unlink(p, private);
    }
}
pub fn take_put_back(p: *mut Proc) {
    unsafe { take(p, clean_put_back) }
}

/// All the steps of ours, but the name is compared before the owner is found dead.
pub fn clean_identity_first(p: *mut Proc) {
    unsafe {
        let Ok(fd) = open(p) else { return };
        if let Some(pid) = read_pid(p, fd)
            && flock(p, fd)
            && still_named(p, fd)
            && is_dead(p, pid)
        {
            unlink(p, L);
        }
        close(p, fd);
    }
}

/// All the steps of ours, but for the flock.
pub fn clean_without_flock(p: *mut Proc) {
    unsafe {
        let Ok(fd) = open(p) else { return };
        if let Some(pid) = read_pid(p, fd)
            && is_dead(p, pid)
            && still_named(p, fd)
        {
            unlink(p, L);
        }
        close(p, fd);
    }
}

/// All the steps of ours, but the flock is given up before the removal.
pub fn clean_unlocks_early(p: *mut Proc) {
    unsafe {
        let Ok(fd) = open(p) else { return };
        let stale = read_pid(p, fd).is_some_and(|pid| is_dead(p, pid)) && flock(p, fd) && still_named(p, fd);
        close(p, fd);
        if stale {
            unlink(p, L);
        }
    }
}

/// Takes the empty file of a creator at work for stale.
pub fn clean_empty(p: *mut Proc) {
    unsafe {
        let Ok(fd) = open(p) else { return };
        let dead = match read_pid(p, fd) {
            Some(pid) => is_dead(p, pid),
            None => true,
        };
        if dead && flock(p, fd) && still_named(p, fd) {
            unlink(p, L);
        }
        close(p, fd);
    }
}

/// Removes the name after an administrator did, without looking whose it is now.
pub fn release_blindly(p: *mut Proc) {
    unsafe {
        if let Ok(fd) = create(p, L) {
            let slot = (*p).slot;
            write_pid(p, fd);
            world(p).enter(slot);
            hold(p);
            unlink(p, L);
            unlink(p, L);
            close(p, fd);
        }
        linger(p);
    }
}
