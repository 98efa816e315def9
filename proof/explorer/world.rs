//! The machine: processes, the PID table, one directory, and what must always hold.

use super::fs::{Fs, Links, Name, mix, name};
use super::ledger::Ledger;
use super::mirror::Mirror;
pub use super::process::*;
use libc::ESRCH;
use std::ops::Range;

/// The lock file's name, and the path given to the library.
pub const LOCK: &[u8] = b"L";
pub const PATH: &std::ffi::CStr = c"/d/L";
/// Number of the process that leaves the stale lock, and of the one that tidies up at the end.
pub const GHOST_PID: i32 = 99;
pub const JANITOR_PID: i32 = 900;

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
    /// A mapping keeps nothing.
    Map,
    /// Whoever asks for the flock of its own lock by the name is refused.
    Probe,
    /// Everybody has its turn at once.
    Turn,
    /// The record of a lock seems to name whoever reads it with a mind to change it.
    Record,
    /// A forked child seems to be its parent.
    Parent,
    /// Every file that is created by its name is marked at once.
    Mark,
    /// The flock of a state hangs on the older of its two files, whichever of them was opened.
    OlderFlocked,
    /// What is written in place goes to the newer of the two files.
    NewerWritten,
    /// To a saver that verifies it a file seems to hold what was to be written to it.
    Intended,
    /// A reader's flock is always granted.
    Idle,
    /// A reader sees each time what it saw the first time.
    Unchanging,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Violation {
    TwoHolders,
    /// A name was taken away from a live owner.
    Robbed,
    /// A parent removed the lock that its child had adopted.
    AdoptedRemoved,
    /// Somebody takes a lock whose name means something else, or nothing, or a file on which others see no flock.
    NotNamed,
    /// A live holder was taken for stale.
    CalledStale,
    /// Something is left in the directory.
    Litter(String),
    /// A stale lock that nobody could clean in the end.
    NotCleaned(i32),
    /// A file of ours that nobody may remove.
    LockedOut,
    DescriptorLeak,
    /// The library used a descriptor that the program has made its own.
    Foreign(&'static str),
    /// Nobody can go on, and somebody has not finished.
    Stuck,
    /// An answer that does not fit what happened.
    WrongAnswer(String),
    /// A load gave what no save has saved.
    Mixture,
    /// A load gave a state that had been replaced before it began.
    Older,
    /// Two saves were told the same number, or one a lower number than another before it.
    ToldTwice,
    /// Two compared with the same generation, and both replaced it.
    WonTwice,
    /// The fake and the real directory differ.
    Mirror(String),
}

/// A shared byte lock on the directory.
#[derive(Clone, Copy, PartialEq)]
pub struct Ticket {
    pub slot: usize,
    pub fd: i32,
    pub at: i64,
    /// 0: to the end.
    pub len: i64,
}

impl Ticket {
    pub fn meets(&self, start: i64, len: i64) -> bool {
        let end = |at: i64, len: i64| if len == 0 { i64::MAX } else { at + len };
        self.at < end(start, len) && start < end(self.at, self.len)
    }
}

pub struct World {
    pub fs: Fs,
    /// Boxed: a body is given the address.
    #[allow(clippy::vec_box)]
    pub procs: Vec<Box<Proc>>,
    /// Whose turn it is: the library's calls are this process's.
    pub current: usize,
    /// Numbers of dead processes that live processes of no concern have now, with their namespace.
    pub strangers: Vec<(u8, i32)>,
    pub violation: Option<Violation>,
    /// Tells every call, for the schedule of a violation.
    pub log: Option<Vec<String>>,
    pub mirror: Option<Mirror>,
    /// In the order of their taking: the tickets of those who wait.
    pub tickets: Vec<Ticket>,
    /// A dead process's number may still come back.
    pub may_reuse: bool,
    pub lies: Vec<Lie>,
    /// The only violation that counts. When all do, nobody's name can be taken away without an end of the run, and its
    /// owner's looks at it need not be scheduled: they find what they found.
    pub only: Option<Violation>,
    /// What fstatfs tells.
    pub magic: i64,
    /// What was told about a state.
    pub ledger: Ledger,
    /// In which pieces a file is written in place.
    pub pieces: &'static [Range<usize>],
    /// Whether it is read in halves, too.
    pub halves: bool,
}

impl World {
    pub fn violate(&mut self, violation: Violation) {
        if self.violation.is_none() && self.only.as_ref().is_none_or(|only| *only == violation) {
            self.violation = Some(violation);
        }
    }

    pub fn note(&mut self, slot: usize, text: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            let line = text();
            log.push(format!("P{slot} {line}"));
        }
    }

    pub fn lies(&self, lie: Lie) -> bool {
        self.lies.contains(&lie)
    }

    /// Whom the number means in this namespace.
    pub fn who_is(&self, namespace: u8, pid: i32) -> Option<Who> {
        if self.strangers.contains(&(namespace, pid)) {
            return Some(STRANGERS + (u32::from(namespace) << 14) + pid as u32);
        }
        let named = |p: &Proc| (p.namespace, p.pid, p.life) == (namespace, pid, Life::Alive);
        self.procs.iter().find(|p| named(p)).map(|p| p.slot as Who)
    }

    pub fn is_alive(&self, who: Who) -> bool {
        who >= STRANGERS || self.procs.get(who as usize).is_some_and(|p| p.life == Life::Alive)
    }

    pub fn start_of(&self, who: Who) -> u64 {
        1000 + u64::from(who)
    }

    pub fn pidfd_open(&self, namespace: u8, pid: i32) -> Result<Handle, i32> {
        self.who_is(namespace, pid).filter(|_| !self.lies(Lie::Dead)).map(Handle::Pidfd).ok_or(ESRCH)
    }

    /// Others may now see something new.
    pub fn touch(&mut self, by: usize) {
        if let Some(p) = self.procs.get_mut(by) {
            p.changed();
        }
        for p in &mut self.procs {
            if (p.waits || p.turning) && p.slot != by {
                p.dirty = true;
            }
        }
    }

    /// A name went away or came by a rename: what the library asks inotify to tell.
    pub fn tell_watchers(&mut self) {
        for p in &mut self.procs {
            if p.fds.iter().flatten().any(|d| d.handle == Handle::Inotify) {
                p.events += 1;
            }
        }
    }

    /// The process whose lock it, or its parent, took.
    fn family(&self, slot: usize) -> usize {
        self.procs[slot].parent.unwrap_or(slot)
    }

    /// Is it a lock yet? Where a link is another file, a record that was given the name by one is not: its flock is not seen.
    pub fn is_claimed(&self, node: usize) -> bool {
        let file = self.fs.file(node);
        let complete = file.settled && self.fs.links == Links::Together;
        complete || file.foreign || self.fs.is_flocked_by(node, file.owner)
    }

    /// Does this process rely on the lock whose file is `node`'s? Its owner does; so do those of the family who have the flock:
    /// the parent whose record a child has overwritten, and died, and the copies of the lock.
    fn relies(&self, p: &Proc, node: usize) -> bool {
        let file = self.fs.file(node);
        let has_it = (p.holding || p.guarding) && self.family(p.slot) == file.creator;
        p.slot == file.owner && (p.holding || self.is_claimed(node)) || has_it && self.fs.is_flocked_by(node, p.slot)
    }

    /// Is it this process's turn to change what the file says?
    pub fn has_turn(&self, slot: usize, node: usize) -> bool {
        self.fs.opened.iter().any(|d| d.node == node && d.turn.is_some() && d.is_only_of(slot))
    }

    /// Has the witness of this process seen a lock all the time on which somebody relies?
    pub fn has_seen_holder(&self, slot: usize) -> bool {
        let relies = |holder: usize| self.fs.lookup(&name(LOCK)).is_some_and(|node| self.relies(&self.procs[holder], node));
        self.procs[slot].witness.is_some_and(relies)
    }

    /// Process `by` takes the name `named` away: may it?
    pub fn check_removal(&mut self, by: usize, named: &Name) {
        if *named != name(LOCK) {
            return;
        }
        let Some(node) = self.fs.lookup(named) else { return };
        let file = self.fs.file(node);
        let (owner, creator, adopted) = (file.owner, file.creator, file.adopted);
        self.procs[by].removed += u32::from(owner != by);
        if adopted && owner != by && creator == by && self.procs[by].releasing {
            self.violate(Violation::AdoptedRemoved);
        }
        // A copy guards the lock from others, not from its parent.
        let minds = |p: &Proc| p.slot != by && !(p.guarding && self.family(p.slot) == self.family(by));
        if self.procs.iter().any(|p| minds(p) && p.life == Life::Alive && self.relies(p, node)) {
            self.violate(Violation::Robbed);
        }
        // Who did not rely on it has lost it.
        let lost = |p: &Proc| p.slot != by && self.family(p.slot) == creator && !self.relies(p, node);
        let lost: Vec<usize> = self.procs.iter().filter(|p| lost(p)).map(|p| p.slot).collect();
        lost.into_iter().for_each(|slot| self.leave(slot));
    }

    /// Process `slot` is sure to have the lock now.
    pub fn enter(&mut self, slot: usize) {
        self.note(slot, || "HOLDS".into());
        let is_named = self.fs.is_owned(&name(LOCK), slot);
        let is_seen = |node: usize| self.fs.file(node).foreign || self.fs.is_flocked_by(node, slot);
        let is_seen = self.fs.lookup(&name(LOCK)).is_some_and(is_seen);
        // The lock that a child has made its own is no longer the parent's.
        if let Some(node) = self.fs.lookup(&name(LOCK)).filter(|_| is_named)
            && let Some(parent) = self.procs[slot].parent.filter(|&parent| self.fs.file(node).creator == parent)
        {
            self.fs.file_mut(node).adopted = true;
            self.leave(parent);
        }
        self.procs[slot].guarding = false;
        self.procs[slot].holding = true;
        let two = |p: &Proc| p.holding || p.guarding && self.family(p.slot) != self.family(slot);
        if self.procs.iter().any(|p| p.slot != slot && p.life == Life::Alive && two(p)) {
            self.violate(Violation::TwoHolders);
        }
        if !is_named || !is_seen {
            self.violate(Violation::NotNamed);
        }
    }

    /// It is about to give the lock up, or is gone.
    pub fn leave(&mut self, slot: usize) {
        (self.procs[slot].holding, self.procs[slot].guarding) = (false, false);
        for p in &mut self.procs {
            if p.witness == Some(slot) {
                p.witness = None;
            }
        }
    }

    /// It is about to release the lock: if it is the owner, no copy of it guards anything any more.
    pub fn give_up(&mut self, slot: usize) {
        self.leave(slot);
        if self.fs.is_owned(&name(LOCK), slot) {
            let family = self.family(slot);
            for other in 0..self.procs.len() {
                if self.family(other) == family && self.procs[other].guarding {
                    self.leave(other);
                }
            }
        }
    }

    /// Who holds or guards the lock at this moment.
    pub fn holder(&self) -> Option<usize> {
        self.procs.iter().find(|p| p.life == Life::Alive && (p.holding || p.guarding)).map(|p| p.slot)
    }

    pub fn hash(&self, budgets: u64) -> u64 {
        let mut h = mix(self.fs.hash(), budgets);
        for p in &self.procs {
            let flags = [p.holding, p.dirty, p.events > 0, p.guarding, p.execed, p.between, p.releasing];
            let flags = flags.iter().fold(p.life as u64, |bits, &flag| bits << 1 | u64::from(flag));
            let flags = flags << 8 | p.witness.map_or(0, |slot| slot as u64 + 1);
            // What a dead process knew no longer matters.
            h = mix(h, if p.life == Life::Alive { mix(p.history, flags) } else { flags });
        }
        for t in &self.tickets {
            h = mix(mix(h, t.slot as u64), t.at.cast_unsigned());
        }
        for &(namespace, pid) in &self.strangers {
            h = mix(h, u64::from(namespace) << 32 | pid as u64);
        }
        if self.fs.holds_states {
            h = mix(h, self.ledger.hash(|slot| self.procs[slot].life == Life::Alive));
        }
        h
    }
}
