//! The process of one save: every call of it is counted, and fails, is its last one, or waits for another saver, as the
//! history wants it.

use super::disguise;
use super::stage::{Stage, Step, Trouble};
use crate::synced_writes::Failure;
use crate::trace::{Event, Node, real};
use std::ffi::{c_char, c_void};
use steadfast::hooks::{steadfast_hooks, steadfast_pollfd, steadfast_stat};

/// The clock of the first save. Each has a second of its own, so that equal bytes are equal saves.
const FIRST_NS: i64 = 1_700_000_000_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// The process of a save.
pub struct Actor {
    stage: *mut Stage,
    inner: steadfast_hooks,
    /// How many it has made.
    pub calls: u32,
    trouble: Trouble,
    next: Option<Step>,
    dead: bool,
    /// A call of it has failed, or it has died.
    pub struck: bool,
    pub link_refused: bool,
    now_ns: i64,
    monotonic_ns: i64,
    /// Files made before.
    files: usize,
}

/// A pwrite that syncs what it writes.
const IN_PLACE: &str = "pwrite, O_DSYNC";

/// Which calls are syncs.
fn is_sync(call: &str) -> bool {
    ["fsync", "fdatasync", "syncfs", IN_PLACE].contains(&call)
}

impl Actor {
    /// Save number `number`, which `next` interrupts where the trouble is to be paused.
    pub fn new(stage: &mut Stage, number: u64, trouble: Trouble, next: Option<Step>) -> Box<Actor> {
        Box::new(Actor {
            inner: stage.recorder.table(0),
            calls: 0,
            trouble,
            next,
            dead: false,
            struck: false,
            link_refused: false,
            now_ns: FIRST_NS + number as i64 * SECOND_NS,
            monotonic_ns: SECOND_NS,
            files: stage.recorder.modes.len(),
            stage,
        })
    }

    /// Before each call: the error that it ends with instead of being made.
    fn meet(&mut self, call: &str, fd: i32) -> Option<i32> {
        if self.dead {
            return Some(-libc::EIO);
        }
        let number = self.calls;
        self.calls += 1;
        self.stage().read();
        if !matches!(self.trouble, Trouble::Killed { call } if call == number) {
            self.stage().recorder.sync_what_was_written();
        }
        let directory = matches!(self.stage().recorder.node(fd), Some(Node::Directory(_)));
        let errno = match self.trouble {
            Trouble::Killed { call } if call == number => {
                self.dead = true;
                // What it was about to sync nobody will.
                self.stage().recorder.unsynced = None;
                libc::EIO
            }
            // Then there is no attribute, which the answer says: nothing here to verify the content by.
            Trouble::Fails { call: at, errno: libc::EACCES | libc::EPERM } if at == number && call == "fsetxattr" => return None,
            Trouble::Fails { call, errno } if call == number => errno,
            Trouble::FileSyncs if is_sync(call) && (!directory || call == "syncfs") => libc::EIO,
            Trouble::DirectorySyncs if is_sync(call) && directory => libc::EIO,
            Trouble::Paused { call } if call == number => {
                if let Some(next) = self.next.take() {
                    let stage = self.stage();
                    let running = stage.entries.iter_mut().filter(|entry| entry.save.ended.is_none());
                    running.for_each(|entry| entry.alone = false);
                    stage.run(next, None);
                }
                return None;
            }
            _ => return None,
        };
        self.struck = true;
        self.link_refused |= call == "linkat";
        if is_sync(call) && call != IN_PLACE && !self.dead {
            self.lose(call, fd);
        }
        Some(-errno)
    }

    /// What a failed sync leaves of the files that it was about.
    fn lose(&mut self, call: &str, fd: i32) {
        let recorder = &mut self.stage().recorder;
        let lost: Vec<usize> = match recorder.node(fd) {
            _ if call == "syncfs" => (self.files..recorder.modes.len()).collect(),
            Some(Node::File(file)) => vec![file],
            _ => vec![],
        };
        recorder.events.extend(lost.into_iter().map(Event::Lost));
    }

    fn disguised(&self, done: i32, out: *mut steadfast_stat) -> i32 {
        if done == 0 {
            let stat = unsafe { &mut *out };
            disguise::put_on(stat, self.stage().recorder.number_of((stat.dev, stat.ino)));
        }
        done
    }

    fn stage(&self) -> &'static mut Stage {
        unsafe { &mut *self.stage }
    }
}

unsafe fn actor<'a>(user: *mut c_void) -> &'a mut Actor {
    unsafe { &mut *user.cast::<Actor>() }
}

/// Made by the recorder, or really.
macro_rules! made {
    ($actor:expr, $name:ident($($arg:expr),*)) => {
        unsafe {
            match $actor.inner.$name {
                Some(hook) => hook($actor.inner.user, $($arg),*),
                None => real().$name.unwrap()(real().user, $($arg),*),
            }
        }
    };
}

macro_rules! hook {
    ($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty, $fd:expr) => {
        unsafe extern "C" fn $name(user: *mut c_void, $($arg: $ty),*) -> $ret {
            let actor = unsafe { actor(user) };
            match actor.meet(stringify!($name), $fd) {
                Some(error) => error.into(),
                None => made!(actor, $name($($arg),*)),
            }
        }
    };
}

hook!(openat(dir: i32, path: *const c_char, flags: i32, mode: u32) -> i32, -1);
hook!(write(fd: i32, buf: *const c_void, len: usize) -> i64, fd);
hook!(fsync(fd: i32) -> i32, fd);
hook!(fdatasync(fd: i32) -> i32, fd);
hook!(syncfs(fd: i32) -> i32, fd);
hook!(renameat(old: i32, from: *const c_char, new: i32, to: *const c_char, flags: u32) -> i32, -1);
hook!(unlinkat(dir: i32, path: *const c_char, flags: i32) -> i32, -1);
hook!(linkat(old: i32, from: *const c_char, new: i32, to: *const c_char, flags: i32) -> i32, -1);
hook!(read(fd: i32, buf: *mut c_void, len: usize) -> i64, fd);
hook!(pread(fd: i32, buf: *mut c_void, len: usize, offset: u64) -> i64, fd);
hook!(fstatfs(fd: i32) -> i64, fd);
hook!(fchmod(fd: i32, mode: u32) -> i32, fd);
hook!(fchown(fd: i32, uid: u32, gid: u32) -> i32, fd);
hook!(ftruncate(fd: i32, len: u64) -> i32, fd);
hook!(fgetxattr(fd: i32, name: *const c_char, buf: *mut c_void, len: usize) -> i64, fd);
hook!(fsetxattr(fd: i32, name: *const c_char, buf: *const c_void, len: usize) -> i32, fd);
hook!(writeback(fd: i32, operation: i32, offset: u64, len: u64) -> i32, fd);

unsafe extern "C" fn fstat(user: *mut c_void, fd: i32, out: *mut steadfast_stat) -> i32 {
    let actor = unsafe { actor(user) };
    match actor.meet("fstat", fd) {
        Some(error) => error,
        None => actor.disguised(made!(actor, fstat(fd, out)), out),
    }
}

unsafe extern "C" fn fstatat(user: *mut c_void, dir: i32, path: *const c_char, out: *mut steadfast_stat) -> i32 {
    let actor = unsafe { actor(user) };
    match actor.meet("fstatat", -1) {
        Some(error) => error,
        None => actor.disguised(made!(actor, fstatat(dir, path, out)), out),
    }
}

/// Through O_DSYNC it is a sync as well: EIO comes after everything was written, EMFILE after a part was, the others before.
unsafe extern "C" fn pwrite(user: *mut c_void, fd: i32, buf: *const c_void, len: usize, offset: u64) -> i64 {
    let actor = unsafe { actor(user) };
    let is_in_place = offset == 0 && actor.stage().recorder.syncs_writes(fd);
    let Some(error) = actor.meet(if is_in_place { IN_PLACE } else { "pwrite" }, fd) else {
        if is_in_place && actor.stage().is_read {
            actor
                .stage()
                .recorder
                .read_torn(fd, unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) }, || actor.stage().read());
        }
        return made!(actor, pwrite(fd, buf, len, offset));
    };
    let failure = match error {
        _ if !is_in_place || actor.dead => None,
        error if error == -libc::EIO => Some(Failure::Sync),
        error if error == -libc::EMFILE => Some(Failure::Torn),
        _ => None,
    };
    if let Some(failure) = failure {
        let bytes = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
        actor.stage().recorder.fail_in_place(fd, bytes, failure);
    }
    error.into()
}

/// Always done, as by the kernel, which frees the descriptor whatever it answers; the dead have closed everything.
unsafe extern "C" fn close(user: *mut c_void, fd: i32) -> i32 {
    let actor = unsafe { actor(user) };
    let error = actor.meet("close", fd);
    let closed = made!(actor, close(fd));
    error.unwrap_or(closed)
}

/// Nobody waits here: all of them are one process. Who would have to gets an answer as from the kernel's search for deadlocks.
unsafe extern "C" fn flock(user: *mut c_void, fd: i32, operation: i32) -> i32 {
    let actor = unsafe { actor(user) };
    if let Some(error) = actor.meet("flock", fd) {
        return error;
    }
    let answer = made!(actor, flock(fd, operation | libc::LOCK_NB));
    if answer == -libc::EAGAIN && operation & libc::LOCK_NB == 0 { -libc::EDEADLK } else { answer }
}

unsafe extern "C" fn ofdlock(user: *mut c_void, fd: i32, operation: i32, start: i64, len: i64, out: *mut i64) -> i32 {
    const SET: i32 = 0;
    const WAIT: i32 = 2;
    let actor = unsafe { actor(user) };
    if let Some(error) = actor.meet("ofdlock", fd) {
        return error;
    }
    let waits = operation == WAIT;
    let answer = made!(actor, ofdlock(fd, if waits { SET } else { operation }, start, len, out));
    if answer == -libc::EAGAIN && waits { -libc::EDEADLK } else { answer }
}

/// Time passes while somebody sleeps, and only then.
unsafe extern "C" fn poll(user: *mut c_void, fds: *mut steadfast_pollfd, count: u32, timeout_ns: i64) -> i32 {
    let actor = unsafe { actor(user) };
    if let Some(error) = actor.meet("poll", -1) {
        return error;
    }
    if timeout_ns < 0 {
        return -libc::EDEADLK;
    }
    actor.monotonic_ns += timeout_ns.max(1);
    if count == 0 { 0 } else { made!(actor, poll(fds, count, 0)) }
}

unsafe extern "C" fn clock(user: *mut c_void, which: i32, ns: *mut i64) -> i32 {
    let actor = unsafe { actor(user) };
    if let Some(error) = actor.meet("clock", -1) {
        return error;
    }
    unsafe { ns.write(if which == 0 { actor.now_ns } else { actor.monotonic_ns }) };
    0
}

pub fn table(actor: &mut Actor, absent: u32) -> steadfast_hooks {
    let mut table: steadfast_hooks = unsafe { std::mem::zeroed() };
    table.absent = absent;
    table.size = size_of::<steadfast_hooks>();
    table.user = (actor as *mut Actor).cast();
    table.openat = Some(openat);
    table.close = Some(close);
    table.write = Some(write);
    table.pwrite = Some(pwrite);
    table.fsync = Some(fsync);
    table.fdatasync = Some(fdatasync);
    table.syncfs = Some(syncfs);
    table.renameat = Some(renameat);
    table.unlinkat = Some(unlinkat);
    table.linkat = Some(linkat);
    table.read = Some(read);
    table.pread = Some(pread);
    table.fstat = Some(fstat);
    table.fstatat = Some(fstatat);
    table.fstatfs = Some(fstatfs);
    table.fchmod = Some(fchmod);
    table.fchown = Some(fchown);
    table.ftruncate = Some(ftruncate);
    table.flock = Some(flock);
    table.ofdlock = Some(ofdlock);
    table.fgetxattr = Some(fgetxattr);
    table.fsetxattr = Some(fsetxattr);
    table.writeback = Some(writeback);
    table.poll = Some(poll);
    table.clock = Some(clock);
    table
}
