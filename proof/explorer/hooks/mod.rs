//! The hook table of the simulated machine. `user` is its [`World`], and the call is the current process's; a call that
//! others could notice, or whose answer depends on others, first suspends: the scheduler then decides who goes on.

mod files;
mod locks;
mod names;
mod processes;
mod slots;
mod waiting;

use super::fs::{Name, mix, name};
use super::world::*;
use core::ffi::{CStr, c_char, c_void};
use libc::{AT_FDCWD, EIO, ENOSYS};
use steadfast::hooks::steadfast_hooks;

type User = *mut c_void;
/// Nobody else can notice, nor influence, this call.
const PRIVATE: bool = false;
const SHARED: bool = true;

struct Call<'a> {
    p: &'a mut Proc,
    w: &'a mut World,
}

/// The process that calls.
unsafe fn caller(user: User) -> *mut Proc {
    unsafe {
        let w = &mut *user.cast::<World>();
        &mut *w.procs[w.current]
    }
}

/// The machine, and the process that calls, only to be looked at.
unsafe fn look<'a>(user: User) -> (&'a World, &'a Proc) {
    unsafe { (&*user.cast::<World>(), &*caller(user)) }
}

/// Suspends if `shared`; None when the process is gone and the call must fail.
unsafe fn begin<'a>(user: User, shared: bool) -> Option<Call<'a>> {
    unsafe { begin_as(caller(user), shared) }
}

unsafe fn begin_as<'a>(p: *mut Proc, shared: bool) -> Option<Call<'a>> {
    unsafe {
        if (*p).draining {
            return None;
        }
        if shared && !(*p).solo {
            (*(*p).yielder).suspend(());
            if (*p).draining {
                return None;
            }
            (*p).mutated = false;
        }
        Some(Call { p: &mut *p, w: &mut *(*p).world })
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

    /// The node of an open file.
    fn node(&self, fd: i32) -> Result<usize, i32> {
        self.p.file(fd).map(|description| self.w.fs.opened[description].node)
    }

    fn is_private(&self, fd: i32) -> bool {
        self.node(fd).is_ok_and(|node| is_private(self.w, self.p, node))
    }

    /// Nobody but the maker of a record writes to it, and only before others may rely on it; or a child that makes it its
    /// own, when it is its turn.
    fn check_writable(&mut self, fd: i32) {
        let Ok(description) = self.p.file(fd) else { return };
        let d = &self.w.fs.opened[description];
        let file = self.w.fs.file(d.node);
        let adopts = file.inherited && self.w.has_turn(self.p.slot, d.node) && self.p.parent == Some(file.creator);
        if file.settled && !adopts && !self.w.fs.holds_states {
            self.w.violate(Violation::WrongAnswer("a record was changed after it was complete".into()));
        }
    }

    /// A name is looked up in the directory, or nowhere.
    fn check_directory(&mut self, fd: i32) {
        if fd != AT_FDCWD && self.p.handle(fd) != Ok(Handle::Directory) {
            self.w.violate(Violation::Foreign("a name was looked up in what is not the directory"));
        }
    }

    /// The library has no business with what the program opened itself.
    fn check_own(&mut self, fd: i32, call: &'static str) {
        if self.p.handle(fd) == Ok(Handle::Foreign) {
            self.w.violate(Violation::Foreign(call));
        }
    }
}

/// The node of an open file of the caller's.
fn node_of(w: &World, p: &Proc, fd: i32) -> Option<usize> {
    p.file(fd).ok().map(|description| w.fs.opened[description].node)
}

/// Does nobody but the process read or write it?
fn is_private(w: &World, p: &Proc, node: usize) -> bool {
    let file = w.fs.file(node);
    file.linkable || w.fs.holds_states && file.fresh && file.creator == p.slot
}

/// Is the file behind `fd` seen by others?
unsafe fn shared(user: User, fd: i32) -> bool {
    let (w, p) = unsafe { look(user) };
    !node_of(w, p, fd).is_some_and(|node| is_private(w, p, node))
}

/// Can what is read through `fd` still change? Reading what cannot commutes with all that others do. A real
/// directory is to be asked at the same moment as the fake one.
unsafe fn changing(user: User, fd: i32) -> bool {
    let (w, p) = unsafe { look(user) };
    let constant = |node: usize| w.fs.file(node).settled && !w.fs.file(node).inherited && !w.fs.holds_states;
    unsafe { shared(user, fd) && (w.mirror.is_some() || !node_of(w, p, fd).is_some_and(constant)) }
}

/// Can what this name means change? Not while it is the caller's own lock: nobody else may take it away, and the run
/// ends when somebody does.
unsafe fn may_be_taken(user: User, named: &Name) -> bool {
    let (w, p) = unsafe { look(user) };
    let own = |node: usize| w.fs.file(node).owner == p.slot && !w.fs.file(node).inherited && w.is_claimed(node);
    w.only.is_some() || w.mirror.is_some() || *named != name(LOCK) || !w.fs.lookup(named).is_some_and(own)
}

/// Can it change whether this process lives? Once it is gone, only by a reuse of its number.
fn may_change(w: &World, who: Option<Who>) -> bool {
    w.may_reuse || who.is_some_and(|who| w.is_alive(who))
}

unsafe fn pid_may_change(user: User, pid: i32) -> bool {
    let (w, p) = unsafe { look(user) };
    // A process that asks is alive.
    pid != p.pid && may_change(w, w.who_is(p.namespace, pid))
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

unsafe extern "C" fn no_chown(_: User, _: i32, _: u32, _: u32) -> i32 {
    -ENOSYS
}

/// A scheduling point that is no system call.
pub unsafe fn pause(p: *mut Proc) -> bool {
    let Some(c) = (unsafe { begin_as(p, SHARED) }) else { return false };
    c.p.history = mix(c.p.history, 0x9a);
    true
}

/// The table of a machine.
pub fn table(world: *mut World, absent: u32) -> steadfast_hooks {
    let mut table: steadfast_hooks = unsafe { std::mem::zeroed() };
    table.size = size_of::<steadfast_hooks>();
    table.user = world.cast();
    table.absent = absent;
    table.openat = Some(names::openat);
    table.close = Some(files::close);
    table.write = Some(files::write);
    table.pwrite = Some(files::pwrite);
    table.ftruncate = Some(files::ftruncate);
    table.renameat = Some(names::renameat);
    table.unlinkat = Some(names::unlinkat);
    table.linkat = Some(names::linkat);
    table.readlinkat = Some(processes::readlinkat);
    table.read = Some(waiting::read);
    table.pread = Some(files::pread);
    table.fstat = Some(files::fstat);
    table.fstatat = Some(names::fstatat);
    table.fstatfs = Some(files::fstatfs);
    table.fchmod = Some(files::fchmod);
    table.flock = Some(locks::flock);
    table.ofdlock = Some(locks::ofdlock);
    table.map = Some(locks::map);
    table.unmap = Some(locks::unmap);
    table.fgetxattr = Some(files::fgetxattr);
    table.fsetxattr = Some(files::fsetxattr);
    table.getpid = Some(processes::getpid);
    table.geteuid = Some(processes::geteuid);
    table.kill = Some(processes::kill);
    table.pidfd_open = Some(processes::pidfd_open);
    table.poll = Some(waiting::poll);
    table.inotify_init = Some(waiting::inotify_init);
    table.inotify_add_watch = Some(waiting::inotify_add_watch);
    table.clock = Some(waiting::clock);
    table.sigxfsz = Some(sigxfsz);
    // Not needed by locks; a NULL hook would be a real call.
    table.fsync = Some(fsync);
    table.mkdirat = Some(no_mkdir);
    table.fchown = Some(no_chown);
    table
}
