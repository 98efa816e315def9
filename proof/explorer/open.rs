//! Open file descriptions: what a descriptor, a copy of it in a forked child and a mapping share, and what locks hang on.

use super::fs::{Fs, mix};
use libc::{EAGAIN, EBADF};

/// Who keeps a description: a process, and its descriptor or the address of its mapping.
pub type Keeper = (usize, i64);

/// Addresses begin here: no descriptor is that large.
pub const ADDRESSES: i64 = 1 << 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Shared,
    Exclusive,
}

#[derive(Clone)]
pub struct Description {
    pub node: usize,
    /// The node that its flock hangs on: its own, unless the kernel lies.
    pub flocked: usize,
    /// Where the next write goes.
    pub offset: usize,
    pub writable: bool,
    pub flock: Option<Kind>,
    /// The lock on its first byte.
    pub turn: Option<Kind>,
    pub keepers: Vec<Keeper>,
}

impl Description {
    /// Does it hold what others can run into?
    pub fn is_locked(&self) -> bool {
        self.flock.is_some() || self.turn.is_some()
    }

    /// Does it end with this process?
    pub fn is_only_of(&self, slot: usize) -> bool {
        self.keepers.iter().all(|&(who, _)| who == slot)
    }

    pub fn hash(&self) -> u64 {
        let kept = self.keepers.iter().map(|&(slot, by)| mix(mix(3, slot as u64), by.cast_unsigned()));
        let code = |lock: Option<Kind>| lock.map_or(0, |kind| 1 + u64::from(kind == Kind::Exclusive));
        mix(kept.fold(0, u64::wrapping_add), code(self.flock) << 2 | code(self.turn))
    }
}

impl Fs {
    /// A new description of a node, kept by nobody yet.
    pub fn open(&mut self, node: usize, writable: bool) -> usize {
        self.file_mut(node).opens += 1;
        self.opened.push(Description { node, flocked: node, offset: 0, writable, flock: None, turn: None, keepers: Vec::new() });
        self.opened.len() - 1
    }

    /// One keeper less. The last one ends the description, and with it its locks: true when others can notice.
    pub fn give_up(&mut self, description: usize, keeper: Keeper) -> bool {
        let d = &mut self.opened[description];
        d.keepers.retain(|k| *k != keeper);
        if !d.keepers.is_empty() {
            return false;
        }
        let (node, locked) = (d.node, d.is_locked());
        (d.flock, d.turn) = (None, None);
        self.file_mut(node).opens -= 1;
        locked
    }

    /// Would giving it up free something?
    pub fn ends_with(&self, description: usize) -> bool {
        self.opened[description].keepers.len() == 1
    }

    /// Has this process the exclusive flock of the node?
    pub fn is_flocked_by(&self, node: usize, slot: usize) -> bool {
        let its = |d: &Description| d.flock == Some(Kind::Exclusive) && d.keepers.iter().any(|&(who, _)| who == slot);
        self.opened.iter().any(|d| d.node == node && its(d))
    }

    /// The byte locks of others on the same node.
    fn others(&self, description: usize) -> impl Iterator<Item = &Description> {
        let node = self.opened[description].node;
        self.opened.iter().enumerate().filter(move |(at, d)| *at != description && d.node == node).map(|(_, d)| d)
    }

    /// What stands in the way of this flock.
    pub fn conflicting(&self, description: usize, wanted: Kind) -> impl Iterator<Item = &Description> {
        let in_the_way = move |kind: Kind| kind == Kind::Exclusive || wanted == Kind::Exclusive;
        let flocked = self.opened[description].flocked;
        let others = self.opened.iter().enumerate().filter(move |(at, d)| *at != description && d.flocked == flocked);
        others.map(|(_, d)| d).filter(move |d| d.flock.is_some_and(in_the_way))
    }

    pub fn flock(&mut self, description: usize, wanted: Kind) -> Result<(), i32> {
        if self.conflicting(description, wanted).next().is_some() {
            // A conversion gives the old lock up first (flock(2)).
            self.opened[description].flock = None;
            return Err(EAGAIN);
        }
        self.opened[description].flock = Some(wanted);
        Ok(())
    }

    /// True when there was a flock to give up.
    pub fn unflock(&mut self, description: usize) -> bool {
        self.opened[description].flock.take().is_some()
    }

    /// Takes the lock on the first byte; `always` without looking.
    pub fn take_turn(&mut self, description: usize, wanted: Kind, always: bool) -> Result<(), i32> {
        if wanted == Kind::Exclusive && !self.opened[description].writable {
            return Err(EBADF);
        }
        let in_the_way = |kind: Kind| kind == Kind::Exclusive || wanted == Kind::Exclusive;
        if !always && self.others(description).any(|d| d.turn.is_some_and(in_the_way)) {
            return Err(EAGAIN);
        }
        self.opened[description].turn = Some(wanted);
        Ok(())
    }
}
