//! A simulated process: its descriptors, its mappings, and what the explorer has to know of it.

use super::open::ADDRESSES;
use super::world::World;
use corosensei::Yielder;
use libc::EBADF;
use steadfast::ffi::context::steadfast_context;
use steadfast::ffi::lock::steadfast_lock;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// A child that was not forked yet.
    Unborn,
    Alive,
    Ended,
    Killed,
}

/// One life of a process number: a slot, or one of a process of no concern that has the number now.
pub type Who = u32;
pub const STRANGERS: Who = 1 << 16;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Handle {
    Directory,
    /// An open file description.
    File(usize),
    Pidfd(Who),
    /// A file of /proc: its text and, unless it is about this process or all, about whom.
    Text(&'static str, i32, Option<Who>),
    Inotify,
    /// The program's own.
    Foreign,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Descriptor {
    pub handle: Handle,
    pub close_on_exec: bool,
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
    /// A sleep until somebody else has changed something.
    Turn,
}

pub struct Proc {
    pub world: *mut World,
    pub slot: usize,
    pub pid: i32,
    /// Its PID namespace: in another one its number means nothing.
    pub namespace: u8,
    pub parent: Option<usize>,
    pub context: *mut steadfast_context,
    pub yielder: *const Yielder<(), ()>,
    pub life: Life,
    /// Runs through without being scheduled.
    pub solo: bool,
    /// Dead, or the run is over: every call fails until the routine has come back.
    pub draining: bool,
    /// Of all results so far: with the routine, all that this process is.
    pub history: u64,
    pub fds: Vec<Option<Descriptor>>,
    /// Mapped descriptions.
    pub maps: Vec<Option<usize>>,
    /// Between its taking of the lock and its giving up.
    pub holding: bool,
    /// It has a copy of the descriptor of a lock that nobody has given up: with the owner killed, it still protects.
    pub guarding: bool,
    /// Who held the lock when it began to look, and does so ever since.
    pub witness: Option<usize>,
    /// What it got from its parent.
    pub inherited: *mut steadfast_lock,
    /// steadfast_lock_inspect runs.
    pub inspects: bool,
    /// No call of the library runs.
    pub between: bool,
    pub releasing: bool,
    /// Another program runs in it now.
    pub execed: bool,
    /// Forked, and not begun.
    pub newborn: bool,
    pub pending: Pending,
    /// Somebody changed something since this process last looked.
    pub dirty: bool,
    pub waits: bool,
    /// There is inotify.
    pub watches: bool,
    /// Events not yet read from its inotify descriptor.
    pub events: u32,
    /// Lock names of others that it removed.
    pub removed: u32,
    /// Its last call changed something that others can see, or it has made none. Killed after a call that
    /// changes nothing it leaves what it leaves when killed before: one of the two is enough.
    pub mutated: bool,
    /// Nothing that it did can be seen by others.
    pub unseen: bool,
    /// How often it slept.
    pub sleeps: u64,
    /// The last flock that it wanted was refused.
    pub refused: bool,
    /// How long it slept until a timeout ended it, and how often in a row without a change.
    pub slept_ns: i64,
    pub idle_sleeps: u32,
    /// It has waited with its watch set up.
    pub watched: bool,
    /// There are tickets.
    pub queues: bool,
    /// How often when it last forgot.
    pub told_at: u64,
    /// It asks whether it still holds the lock.
    pub checks: bool,
    /// Programs may close all their descriptors.
    pub closes: bool,
    /// See hooks::begin_look.
    pub forgets: bool,
    /// It was refused its turn, and what it was before.
    pub turning: bool,
    pub before_turn: u64,
    /// It runs through until it is about to rename a file.
    pub late: bool,
    /// steadfast_state_load runs.
    pub loading: bool,
    /// It is in the middle of a write in place.
    pub writing: bool,
    /// What it was shown while it loads: of which node, from where, how much at most, and what. For a kernel that lies.
    pub seen: Vec<(usize, u64, usize, Vec<u8>)>,
}

impl Proc {
    pub fn new(slot: usize, pid: i32) -> Proc {
        Proc {
            world: std::ptr::null_mut(),
            slot,
            pid,
            namespace: 0,
            parent: None,
            context: std::ptr::null_mut(),
            yielder: std::ptr::null(),
            life: Life::Alive,
            solo: false,
            draining: false,
            history: 0,
            fds: Vec::new(),
            maps: Vec::new(),
            holding: false,
            guarding: false,
            witness: None,
            inherited: std::ptr::null_mut(),
            inspects: false,
            between: false,
            releasing: false,
            execed: false,
            newborn: false,
            pending: Pending::Step,
            dirty: false,
            waits: false,
            watches: true,
            events: 0,
            removed: 0,
            mutated: true,
            unseen: true,
            sleeps: 0,
            refused: false,
            slept_ns: 0,
            idle_sleeps: 0,
            watched: false,
            queues: false,
            told_at: 0,
            checks: true,
            closes: false,
            forgets: false,
            turning: false,
            before_turn: 0,
            late: false,
            loading: false,
            writing: false,
            seen: Vec::new(),
        }
    }

    /// Its next life begins.
    pub fn reset(&mut self) {
        self.fds.clear();
        self.maps.clear();
        let mut new = Proc {
            world: self.world,
            namespace: self.namespace,
            parent: self.parent,
            context: self.context,
            waits: self.waits,
            watches: self.watches,
            queues: self.queues,
            checks: self.checks,
            closes: self.closes,
            forgets: self.forgets,
            fds: std::mem::take(&mut self.fds),
            maps: std::mem::take(&mut self.maps),
            ..Proc::new(self.slot, self.pid)
        };
        new.life = if self.parent.is_some() { Life::Unborn } else { Life::Alive };
        *self = new;
    }

    /// Others can see what it has just done.
    pub fn changed(&mut self) {
        self.mutated = true;
        self.unseen = false;
    }

    pub fn open(&mut self, handle: Handle, close_on_exec: bool) -> i32 {
        let free = self.fds.iter().position(Option::is_none).unwrap_or(self.fds.len());
        if free == self.fds.len() {
            self.fds.push(None);
        }
        self.fds[free] = Some(Descriptor { handle, close_on_exec });
        free as i32 + 3
    }

    /// A mapping of a description: its address.
    pub fn map(&mut self, description: usize) -> i64 {
        let free = self.maps.iter().position(Option::is_none).unwrap_or(self.maps.len());
        if free == self.maps.len() {
            self.maps.push(None);
        }
        self.maps[free] = Some(description);
        ADDRESSES + ((free as i64) << 12)
    }

    /// Ends a mapping: what was mapped there.
    pub fn unmap(&mut self, address: i64) -> Option<usize> {
        let at = usize::try_from((address - ADDRESSES) >> 12).ok()?;
        self.maps.get_mut(at)?.take()
    }

    pub fn handle(&self, fd: i32) -> Result<Handle, i32> {
        let descriptor = usize::try_from(fd - 3).ok().and_then(|at| self.fds.get(at).copied().flatten());
        descriptor.map(|descriptor| descriptor.handle).ok_or(EBADF)
    }

    /// The description behind a descriptor of a file.
    pub fn file(&self, fd: i32) -> Result<usize, i32> {
        match self.handle(fd)? {
            Handle::File(description) => Ok(description),
            _ => Err(EBADF),
        }
    }
}
