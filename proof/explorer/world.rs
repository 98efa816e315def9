//! The machine: processes, their descriptors, the PID table, one directory, and what must always hold.

use super::fs::{Fs, Name, mix, name};
use super::mirror::Mirror;
use corosensei::Yielder;
use libc::{EBADF, ESRCH};
use steadfast::ffi::context::steadfast_context;

/// The lock file's name, and the path given to the library.
pub const LOCK: &[u8] = b"L";
pub const PATH: &std::ffi::CStr = c"/d/L";
/// Number of the process that leaves the stale lock, and of the one that tidies up at the end.
pub const GHOST_PID: i32 = 99;
pub const JANITOR_PID: i32 = 900;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    Alive,
    Ended,
    Killed,
}

/// One life of a process number: a slot, or STRANGERS + number for a process that reused it.
pub type Who = u32;
pub const STRANGERS: Who = 1 << 16;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Handle {
    Directory,
    File(usize),
    Pidfd(Who),
    /// A file of /proc: its text and, unless it is about this process or all, about whom.
    Text(&'static str, i32, Option<Who>),
    Inotify,
}

/// What a suspended process waits for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pending {
    Step,
    /// poll: until a descriptor is ready or, `timed`, for a while.
    Wait {
        inotify: bool,
        holder: Option<Who>,
        timed: bool,
    },
}

/// A kernel that does not do its part: the library on it is a mutant that lacks one of its steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Lie {
    /// flock always succeeds.
    Flock,
    /// The name seems to mean the file that was opened by it: no comparison finds anything.
    Name,
    /// Everyone else seems to be dead.
    Dead,
    /// inotify tells nothing, pidfds never become readable.
    Deaf,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Violation {
    TwoHolders,
    /// A name was taken away from a live owner.
    Robbed,
    /// Something is left in the directory.
    Litter(String),
    /// A stale lock that nobody could clean in the end.
    NotCleaned(i32),
    DescriptorLeak,
    /// Nobody can go on, and somebody has not finished.
    Stuck,
    /// An answer that does not fit what happened.
    WrongAnswer(String),
    /// The fake and the real directory differ.
    Mirror(String),
}

/// An open file description lock on one byte.
#[derive(Clone, Copy, PartialEq)]
pub struct Ticket {
    pub slot: usize,
    pub fd: i32,
    pub at: i64,
}

pub struct Proc {
    pub world: *mut World,
    pub slot: usize,
    pub pid: i32,
    pub context: *mut steadfast_context,
    pub yielder: *const Yielder<(), ()>,
    pub life: Life,
    /// Runs through without being scheduled.
    pub solo: bool,
    /// Dead, or the run is over: every call fails until the routine has come back.
    pub draining: bool,
    /// Of all results so far: with the routine, all that this process is.
    pub history: u64,
    pub fds: Vec<Option<Handle>>,
    /// Between its taking of the lock and its giving up.
    pub holding: bool,
    pub pending: Pending,
    /// Somebody changed something since this process last looked.
    pub dirty: bool,
    pub waits: bool,
    /// There is inotify.
    pub watches: bool,
    /// Events not yet read from its inotify descriptor.
    pub events: u32,
    /// Lock names that it removed.
    pub removed: u32,
    /// Its last call changed something that others can see, or it has made none. Killed after a call that
    /// changes nothing it leaves what it leaves when killed before: one of the two is enough.
    pub mutated: bool,
    /// Nothing that it did can be seen by others.
    pub unseen: bool,
    /// How often it slept.
    pub sleeps: u64,
    /// How long it slept until a timeout ended it, and how often in a row without a change.
    pub slept_ns: i64,
    pub idle_sleeps: u32,
    /// It has waited with its watch set up.
    pub watched: bool,
    /// There are tickets.
    pub queues: bool,
    /// How often when it last forgot.
    pub told_at: u64,
    /// See hooks::begin_look.
    pub forgets: bool,
}

impl Proc {
    pub fn new(slot: usize, pid: i32) -> Proc {
        Proc {
            world: std::ptr::null_mut(),
            slot,
            pid,
            context: std::ptr::null_mut(),
            yielder: std::ptr::null(),
            life: Life::Alive,
            solo: false,
            draining: false,
            history: 0,
            fds: Vec::new(),
            holding: false,
            pending: Pending::Step,
            dirty: false,
            waits: false,
            watches: true,
            events: 0,
            removed: 0,
            mutated: true,
            unseen: true,
            sleeps: 0,
            slept_ns: 0,
            idle_sleeps: 0,
            watched: false,
            queues: false,
            told_at: 0,
            forgets: false,
        }
    }

    pub fn reset(&mut self) {
        self.life = Life::Alive;
        self.draining = false;
        self.history = 0;
        self.fds.clear();
        self.holding = false;
        self.pending = Pending::Step;
        self.dirty = false;
        self.events = 0;
        self.removed = 0;
        self.mutated = true;
        self.unseen = true;
        self.sleeps = 0;
        self.slept_ns = 0;
        self.idle_sleeps = 0;
        self.watched = false;
        self.told_at = 0;
    }

    /// Others can see what it has just done.
    pub fn changed(&mut self) {
        self.mutated = true;
        self.unseen = false;
    }

    pub fn open(&mut self, handle: Handle) -> i32 {
        let free = self.fds.iter().position(Option::is_none).unwrap_or(self.fds.len());
        if free == self.fds.len() {
            self.fds.push(None);
        }
        self.fds[free] = Some(handle);
        free as i32 + 3
    }

    pub fn handle(&self, fd: i32) -> Result<Handle, i32> {
        usize::try_from(fd - 3).ok().and_then(|at| self.fds.get(at).copied().flatten()).ok_or(EBADF)
    }

    pub fn file(&self, fd: i32) -> Result<usize, i32> {
        match self.handle(fd)? {
            Handle::File(inode) => Ok(inode),
            _ => Err(EBADF),
        }
    }
}

pub struct World {
    pub fs: Fs,
    /// Boxed: a hook is given the address.
    #[allow(clippy::vec_box)]
    pub procs: Vec<Box<Proc>>,
    /// Numbers of dead processes that live processes of no concern have now.
    pub strangers: Vec<i32>,
    pub violation: Option<Violation>,
    /// Tells every call, for the schedule of a violation.
    pub log: Option<Vec<String>>,
    pub mirror: Option<Mirror>,
    /// Shared byte locks on the directory, in the order of their taking: the tickets of those who wait.
    pub tickets: Vec<Ticket>,
    /// A dead process's number may still come back.
    pub may_reuse: bool,
    /// Kernel without working flock: for the proof that it matters.
    pub lie: Option<Lie>,
}

impl World {
    pub fn violate(&mut self, violation: Violation) {
        if self.violation.is_none() {
            self.violation = Some(violation);
        }
    }

    pub fn note(&mut self, slot: usize, text: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            let line = text();
            log.push(format!("P{slot} {line}"));
        }
    }

    pub fn who_is(&self, pid: i32) -> Option<Who> {
        if self.strangers.contains(&pid) {
            return Some(STRANGERS + pid as u32);
        }
        self.procs.iter().find(|p| p.pid == pid && p.life == Life::Alive).map(|p| p.slot as Who)
    }

    pub fn is_alive(&self, who: Who) -> bool {
        who >= STRANGERS || self.procs.get(who as usize).is_some_and(|p| p.life == Life::Alive)
    }

    pub fn start_of(&self, who: Who) -> u64 {
        1000 + u64::from(who)
    }

    pub fn pidfd_open(&self, pid: i32) -> Result<Handle, i32> {
        self.who_is(pid).filter(|_| self.lie != Some(Lie::Dead)).map(Handle::Pidfd).ok_or(ESRCH)
    }

    /// Others may now see something new.
    pub fn touch(&mut self, by: usize) {
        if let Some(p) = self.procs.get_mut(by) {
            p.changed();
        }
        for p in &mut self.procs {
            if p.waits && p.slot != by {
                p.dirty = true;
            }
        }
    }

    /// A name went away or came by a rename: what the library asks inotify to tell.
    pub fn tell_watchers(&mut self) {
        for p in &mut self.procs {
            if p.fds.contains(&Some(Handle::Inotify)) {
                p.events += 1;
            }
        }
    }

    /// Process `by` takes the name `named` away: may it?
    pub fn check_removal(&mut self, by: usize, named: &Name) {
        if *named != name(LOCK) {
            return;
        }
        self.procs[by].removed += 1;
        let Some(inode) = self.fs.lookup(named) else { return };
        let creator = self.fs.inodes[inode].creator;
        if creator != by && self.procs.get(creator).is_some_and(|p| p.life == Life::Alive) {
            self.violate(Violation::Robbed);
        }
    }

    /// Process `slot` is sure to have the lock now.
    pub fn enter(&mut self, slot: usize) {
        let another = self.procs.iter().any(|p| p.slot != slot && p.life == Life::Alive && p.holding);
        self.procs[slot].holding = true;
        self.note(slot, || "HOLDS".into());
        if another {
            self.violate(Violation::TwoHolders);
        }
    }

    /// What the kernel does when a process is gone.
    pub fn bury(&mut self, slot: usize, life: Life) {
        let fds = std::mem::take(&mut self.procs[slot].fds);
        if life == Life::Ended && fds.iter().any(Option::is_some) {
            self.violate(Violation::DescriptorLeak);
        }
        for (at, handle) in fds.iter().enumerate() {
            if let Some(Handle::File(inode)) = handle {
                self.fs.close(*inode, slot, at as i32 + 3);
            }
        }
        self.tickets.retain(|t| t.slot != slot);
        if let Some(mirror) = &mut self.mirror {
            mirror.forget(slot);
        }
        self.procs[slot].life = life;
        self.procs[slot].holding = false;
        self.touch(slot);
    }

    pub fn hash(&self, budgets: u64) -> u64 {
        let mut h = mix(self.fs.hash(), budgets);
        for p in &self.procs {
            let flags = p.life as u64 | u64::from(p.holding) << 2 | u64::from(p.dirty) << 3 | u64::from(p.events.min(1)) << 4;
            // What a dead process knew no longer matters.
            h = mix(h, if p.life == Life::Alive { mix(p.history, flags) } else { flags });
        }
        for t in &self.tickets {
            h = mix(mix(h, t.slot as u64), t.at.cast_unsigned());
        }
        for &pid in &self.strangers {
            h = mix(h, pid as u64);
        }
        h
    }
}
