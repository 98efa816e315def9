//! The hook table of a simulated process. `user` is its [`Proc`]; a call that others could notice, or whose
//! answer depends on others, first suspends: the scheduler then decides who goes on.

mod files;
mod processes;

use super::fs::{Name, mix};
use super::world::*;
use core::ffi::{CStr, c_char, c_void};
use libc::{EIO, ENOSYS};
use steadfast::hooks::steadfast_hooks;

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
    table.openat = Some(files::openat);
    table.close = Some(files::close);
    table.write = Some(files::write);
    table.renameat = Some(files::renameat);
    table.unlinkat = Some(files::unlinkat);
    table.linkat = Some(files::linkat_any);
    table.readlinkat = Some(processes::readlinkat);
    table.read = Some(processes::read);
    table.pread = Some(files::pread);
    table.fstat = Some(files::fstat);
    table.fstatat = Some(files::fstatat);
    table.fstatfs = Some(files::fstatfs);
    table.flock = Some(files::flock);
    table.ofdlock = Some(processes::ofdlock);
    table.fgetxattr = Some(files::fgetxattr);
    table.fsetxattr = Some(files::fsetxattr);
    table.getpid = Some(processes::getpid);
    table.geteuid = Some(processes::geteuid);
    table.kill = Some(processes::kill);
    table.pidfd_open = Some(processes::pidfd_open);
    table.poll = Some(processes::poll);
    table.inotify_init = Some(processes::inotify_init);
    table.inotify_add_watch = Some(processes::inotify_add_watch);
    table.clock = Some(processes::clock);
    table.sigxfsz = Some(sigxfsz);
    // Not needed by locks; a NULL hook would be a real call.
    table.fsync = Some(fsync);
    table.mkdirat = Some(no_mkdir);
    table.fchmod = Some(no_chmod);
    table.fchown = Some(no_chown);
    table
}
