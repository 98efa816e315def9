//! What the kernel does with processes: fork, exec, death; and closefrom(2).

use super::fs::mix;
use super::world::*;

impl World {
    /// Ends one descriptor: true when others can notice.
    fn end_descriptor(&mut self, slot: usize, fd: i32, handle: Handle) -> bool {
        let tickets = self.tickets.len();
        self.tickets.retain(|t| (t.slot, t.fd) != (slot, fd));
        let file = matches!(handle, Handle::File(d) if self.fs.give_up(d, (slot, fd.into())));
        file || self.tickets.len() < tickets
    }

    /// Ends the mappings of a process: true when others can notice.
    fn end_mappings(&mut self, slot: usize) -> bool {
        let mut noticed = false;
        for at in 0..self.procs[slot].maps.len() {
            noticed |= self.unmap(slot, super::open::ADDRESSES + ((at as i64) << 12));
        }
        noticed
    }

    /// Ends one mapping: true when others can notice.
    pub fn unmap(&mut self, slot: usize, address: i64) -> bool {
        let mapped = self.procs[slot].unmap(address);
        if let Some(mirror) = &mut self.mirror {
            mirror.unmap(slot, address);
        }
        mapped.is_some_and(|description| self.fs.give_up(description, (slot, address)))
    }

    /// Closes one descriptor: true when others can notice. It may be closed already.
    pub fn close(&mut self, slot: usize, fd: i32) -> bool {
        let Ok(handle) = self.procs[slot].handle(fd) else { return false };
        self.procs[slot].fds[fd as usize - 3] = None;
        if let Some(mirror) = &mut self.mirror {
            mirror.close(slot, fd);
        }
        self.end_descriptor(slot, fd, handle)
    }

    fn close_those(&mut self, slot: usize, which: impl Fn(&Descriptor) -> bool) -> bool {
        let mut noticed = false;
        for at in 0..self.procs[slot].fds.len() {
            if self.procs[slot].fds[at].as_ref().is_some_and(&which) {
                noticed |= self.close(slot, at as i32 + 3);
            }
        }
        noticed
    }

    /// The program closes whatever is open, and may then get the same numbers for files of its own.
    pub fn closefrom(&mut self, slot: usize, refill: bool) {
        let open: Vec<bool> = self.procs[slot].fds.iter().map(Option::is_some).collect();
        if self.close_those(slot, |_| true) {
            self.touch(slot);
        }
        if refill {
            let foreign = Descriptor { handle: Handle::Foreign, close_on_exec: false };
            self.procs[slot].fds = open.iter().map(|&was| was.then_some(foreign)).collect();
        }
        // Without the descriptor a copy guards nothing.
        if self.procs[slot].guarding {
            self.leave(slot);
        }
        self.procs[slot].changed();
        self.procs[slot].history = mix(self.procs[slot].history, 0xc105);
    }

    /// Another program: the library's memory is gone, and so is what is close-on-exec.
    pub fn exec(&mut self, slot: usize) {
        self.note(slot, || "EXEC".into());
        let closed = self.close_those(slot, |d| d.close_on_exec);
        if self.end_mappings(slot) || closed {
            self.touch(slot);
        }
        self.procs[slot].changed();
        self.procs[slot].execed = true;
    }

    /// Brings a child to life, in a PID namespace of its own or its parent's: it shares descriptors, not mappings. `guarding`: with them it keeps the lock.
    pub fn fork(&mut self, parent: usize, child: usize, guarding: bool) {
        self.note(parent, || format!("FORKS P{child}"));
        self.procs[parent].changed();
        let (fds, history) = (self.procs[parent].fds.clone(), self.procs[parent].history);
        for (at, descriptor) in fds.iter().enumerate() {
            let fd = at as i32 + 3;
            if let Some(Descriptor { handle: Handle::File(description), .. }) = *descriptor {
                self.fs.opened[description].keepers.push((child, fd.into()));
                let node = self.fs.opened[description].node;
                self.fs.file_mut(node).inherited = true;
            }
            if let (Some(_), Some(mirror)) = (descriptor, &mut self.mirror) {
                mirror.fork(parent, child, fd);
            }
        }
        // The handle is inherited even where its descriptor was closed.
        if let Some(node) = self.fs.lookup(&super::fs::name(LOCK)).filter(|&node| self.fs.file(node).owner == parent) {
            self.fs.file_mut(node).inherited = true;
        }
        let locked = |d: &Descriptor| matches!(d.handle, Handle::File(description) if self.fs.opened[description].is_locked());
        let guarding = guarding && fds.iter().flatten().any(locked);
        let c = &mut self.procs[child];
        (c.fds, c.life, c.newborn, c.guarding) = (fds, Life::Alive, true, guarding);
        c.history = mix(history, 0xf0);
        c.changed();
    }

    /// What the kernel does when a process is gone.
    pub fn bury(&mut self, slot: usize, life: Life) {
        let p = &self.procs[slot];
        let left = p.fds.iter().flatten().any(|d| d.handle != Handle::Foreign) || p.maps.iter().any(Option::is_some);
        if life == Life::Ended && !p.execed && left {
            self.violate(Violation::DescriptorLeak);
        }
        let writing = self.procs[slot].writing;
        self.ledger.died(slot, writing);
        self.close_those(slot, |_| true);
        self.end_mappings(slot);
        self.procs[slot].fds.clear();
        self.procs[slot].maps.clear();
        self.procs[slot].life = life;
        self.leave(slot);
        self.touch(slot);
    }
}
