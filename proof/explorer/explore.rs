//! Runs a scenario step by step: who can go on, and what happens when somebody does. A process is a function of the
//! results it got, so (file system, results of each process so far, budgets left) is the whole state.

use super::bodies::*;
use super::fs::{Fs, mix};
use super::hooks::table;
use super::ledger::Ledger;
pub use super::scenario::{Found, Plant, Scenario, State};
use super::world::*;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::ptr::null_mut;
use steadfast::ffi::context::*;
use steadfast::ffi::lock::*;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Choice {
    Step(usize),
    Kill(usize),
    Close(usize),
    Reuse(u8, i32),
}

type Routine = Coroutine<(), (), (), DefaultStack>;

pub struct Explorer {
    pub scenario: Scenario,
    pub world: Box<World>,
    start: Fs,
    start_ledger: Ledger,
    routines: Vec<Option<Routine>>,
    stacks: Vec<DefaultStack>,
    pub kills_left: u32,
    reuses_left: u32,
    closes_left: u32,
}

impl Explorer {
    pub fn new(scenario: Scenario) -> Explorer {
        let count = scenario.bodies.len();
        let number = |slot: usize| scenario.numbers.get(slot).copied().unwrap_or(101 + slot as i32);
        let mut world = Box::new(World {
            fs: Fs {
                reuse_numbers: scenario.reuse_numbers,
                links: scenario.links,
                holds_states: scenario.state.is_some(),
                ..Fs::default()
            },
            procs: (0..count).map(|slot| Box::new(Proc::new(slot, number(slot)))).collect(),
            current: 0,
            strangers: vec![],
            tickets: vec![],
            violation: None,
            log: None,
            mirror: None,
            may_reuse: scenario.reuses > 0,
            lies: scenario.lies.to_vec(),
            only: scenario.only.clone(),
            magic: scenario.magic,
            ledger: Ledger::default(),
            pieces: scenario.state.as_ref().map_or(&[], |state| state.pieces),
            halves: scenario.state.as_ref().is_some_and(|state| state.halves),
        });
        world.procs.push(Box::new(Proc::new(count, GHOST_PID)));
        world.procs.push(Box::new(Proc::new(count + 1, JANITOR_PID)));
        let raw: *mut World = &mut *world;
        let hooks = table(raw, scenario.absent);
        for p in &mut world.procs {
            p.world = raw;
            p.namespace = scenario.namespaces.get(p.slot).copied().unwrap_or(0);
            p.parent = scenario.children.iter().find(|(child, _)| *child == p.slot).map(|(_, parent)| *parent);
            p.forgets = scenario.forgets;
            p.closes = scenario.closes > 0;
            p.checks = scenario.checks;
            p.waits = scenario.bodies.get(p.slot).is_some_and(|&b| std::ptr::fn_addr_eq(b, waiter as Body));
            p.waits |= scenario.state.is_some() && p.slot < count;
            p.queues = p.waits && scenario.absent & steadfast::hooks::STEADFAST_ABSENT_OFDLOCK == 0;
            p.watches = scenario.absent & steadfast::hooks::STEADFAST_ABSENT_INOTIFY == 0;
            assert_eq!(unsafe { steadfast_context_new(&hooks, &mut p.context) }, 0);
        }
        let mut explorer = Explorer {
            scenario,
            world,
            start: Fs::default(),
            start_ledger: Ledger::default(),
            routines: vec![],
            stacks: vec![],
            kills_left: 0,
            reuses_left: 0,
            closes_left: 0,
        };
        match explorer.scenario.state.clone() {
            Some(state) => explorer.plant_state(state.saves, state.counts),
            None => explorer.plant(),
        }
        explorer.start = explorer.world.fs.clone();
        explorer.start_ledger = explorer.world.ledger.clone();
        if explorer.scenario.own_number {
            explorer.world.procs[0].pid = GHOST_PID;
        }
        explorer
    }

    /// Everyone who is not scheduled: the ghost and the janitor.
    pub fn extra(&mut self, which: usize) -> *mut Proc {
        let slot = self.scenario.bodies.len() + which;
        self.world.current = slot;
        let p = &mut self.world.procs[slot];
        p.reset();
        p.solo = true;
        &mut **p
    }

    fn plant(&mut self) {
        let ghost = self.extra(0);
        unsafe {
            match self.scenario.plant {
                Plant::Nothing => {}
                Plant::Bare => {
                    let fd = super::mutants::create(ghost, super::mutants::L).unwrap();
                    super::mutants::write_pid(ghost, fd);
                }
                Plant::Ours | Plant::Emptied | Plant::EmptiedKept => {
                    let mut held = null_mut();
                    let code =
                        steadfast_lock_acquire((*ghost).context, PATH.as_ptr(), 0, std::ptr::null(), &mut held, null_mut());
                    assert_eq!(code, 0, "the stale lock could not be planted");
                    (*ghost).draining = true;
                    steadfast_lock_release(held, null_mut());
                }
            }
            let slot = (*ghost).slot;
            self.world.bury(slot, Life::Killed);
            self.world.procs[slot].solo = false;
        }
        self.world.fs.files.iter_mut().for_each(|file| file.settled = true);
        self.world.fs.opened.clear();
        if let (Some(node), Plant::Emptied | Plant::EmptiedKept) =
            (self.world.fs.lookup(&super::fs::name(LOCK)), self.scenario.plant)
        {
            let file = self.world.fs.file_mut(node);
            file.content.truncate(0);
            if self.scenario.plant == Plant::Emptied {
                file.xattr = None;
            }
        }
    }

    pub fn begin(&mut self) {
        self.world.fs.clone_from(&self.start);
        self.world.ledger.clone_from(&self.start_ledger);
        self.world.strangers.clear();
        self.world.tickets.clear();
        self.world.violation = None;
        (self.kills_left, self.reuses_left, self.closes_left) = (self.scenario.kills, self.scenario.reuses, self.scenario.closes);
        self.world.may_reuse = self.reuses_left > 0;
        let count = self.scenario.bodies.len();
        for slot in 0..count {
            self.world.procs[slot].reset();
        }
        self.world.procs[count].life = Life::Killed;
        self.world.procs[count + 1].life = Life::Ended;
        self.routines.clear();
        self.routines.resize_with(count, || None);
        for slot in 0..count {
            if self.world.procs[slot].life == Life::Alive {
                self.set_going(slot);
            }
        }
    }

    /// The routine of a process begins.
    fn set_going(&mut self, slot: usize) {
        let stack = self.stacks.pop().unwrap_or_else(|| DefaultStack::new(256 << 10).unwrap());
        let p: *mut Proc = &mut *self.world.procs[slot];
        let body = self.scenario.bodies[slot];
        self.routines[slot] = Some(Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            unsafe { (*p).yielder = yielder };
            body(p);
        }));
        self.resume(slot);
    }

    /// Until its next call that matters, or its end.
    fn resume(&mut self, slot: usize) {
        let Some(routine) = &mut self.routines[slot] else { return };
        self.world.current = slot;
        if let CoroutineResult::Return(()) = routine.resume(()) {
            if let Some(routine) = self.routines[slot].take() {
                self.stacks.push(routine.into_stack());
            }
            if self.world.procs[slot].life == Life::Alive && !self.world.procs[slot].draining {
                self.world.bury(slot, Life::Ended);
            }
        }
        // The children that it has just forked.
        for child in 0..self.routines.len() {
            if std::mem::take(&mut self.world.procs[child].newborn) {
                self.set_going(child);
            }
        }
    }

    /// Lets a routine whose process is gone come back, so that its memory is freed.
    fn drain(&mut self, slot: usize) {
        self.world.procs[slot].draining = true;
        self.resume(slot);
        assert!(self.routines[slot].is_none(), "a routine goes on although every call fails");
    }

    fn is_enabled(&self, slot: usize, idle: bool) -> bool {
        let p = &self.world.procs[slot];
        match p.pending {
            Pending::Step => true,
            Pending::Turn => p.dirty || idle,
            Pending::Wait { inotify, holder, timed } => {
                let ready = !self.world.lies(Lie::Deaf) && (p.events > 0 || holder.is_some_and(|who| !self.world.is_alive(who)));
                // A timeout may end the sleep at any time, but without a change there is little new to see. With
                // inotify it is a second line of defence: it counts only when nobody else can go on. The time
                // itself may be what was waited for, once or twice.
                ready || timed && (p.dirty && !inotify || idle && (p.dirty || p.idle_sleeps < 3))
            }
        }
    }

    pub fn choices(&self, out: &mut Vec<Choice>) {
        out.clear();
        // Processes that do the same, know the same and have changed nothing are interchangeable: one goes on for all.
        let twins = |a: usize, b: usize| {
            let (p, q) = (&self.world.procs[a], &self.world.procs[b]);
            std::ptr::fn_addr_eq(self.scenario.bodies[a], self.scenario.bodies[b])
                && (p.life, p.unseen, p.history, p.dirty, p.events) == (Life::Alive, true, q.history, q.dirty, q.events)
                && (q.unseen, q.namespace, q.parent) == (true, p.namespace, p.parent)
        };
        let waits_its_turn = |p: usize| (0..p).any(|q| twins(q, p));
        let alive = |slot: &usize| self.world.procs[*slot].life == Life::Alive && !waits_its_turn(*slot);
        let all = 0..self.scenario.bodies.len();
        out.extend(all.clone().filter(alive).filter(|&slot| self.is_enabled(slot, false)).map(Choice::Step));
        if out.is_empty() {
            // Nobody can go on: timeouts pass.
            out.extend(all.clone().filter(alive).filter(|&slot| self.is_enabled(slot, true)).map(Choice::Step));
        }
        if out.is_empty() {
            return;
        }
        if self.kills_left > 0 {
            out.extend(all.clone().filter(alive).filter(|&slot| self.world.procs[slot].mutated).map(Choice::Kill));
        }
        if self.closes_left > 0 {
            let can_close = |slot: &usize| {
                let p = &self.world.procs[*slot];
                p.between && p.fds.iter().flatten().any(|d| d.handle != Handle::Foreign)
            };
            out.extend(all.clone().filter(alive).filter(can_close).map(Choice::Close));
        }
        if self.reuses_left > 0 {
            let dead = all.chain([self.scenario.bodies.len()]).filter(|&slot| self.world.procs[slot].life == Life::Killed);
            let numbers = dead.map(|slot| (self.world.procs[slot].namespace, self.world.procs[slot].pid));
            out.extend(
                numbers.filter(|n| !self.world.strangers.contains(n)).map(|(namespace, pid)| Choice::Reuse(namespace, pid)),
            );
        }
    }

    pub fn take(&mut self, choice: Choice) {
        match choice {
            Choice::Step(slot) => self.resume(slot),
            Choice::Kill(slot) => {
                self.kills_left -= 1;
                self.world.note(slot, || "KILLED".into());
                self.world.bury(slot, Life::Killed);
                self.drain(slot);
            }
            Choice::Close(slot) => {
                self.closes_left -= 1;
                self.world.note(slot, || "CLOSES ALL DESCRIPTORS".into());
                self.world.closefrom(slot, self.scenario.refills);
            }
            Choice::Reuse(namespace, pid) => {
                self.reuses_left -= 1;
                self.world.may_reuse = self.reuses_left > 0;
                self.world.note(9, || format!("{pid} IS ANOTHER PROCESS NOW"));
                self.world.strangers.push((namespace, pid));
                self.world.touch(usize::MAX);
            }
        }
        if let Some(mirror) = &self.world.mirror
            && let Some(difference) = mirror.difference.clone()
        {
            self.world.violate(Violation::Mirror(difference));
        }
    }

    pub fn finish(&mut self) {
        for slot in 0..self.scenario.bodies.len() {
            self.drain(slot);
        }
    }

    pub fn state(&self) -> u64 {
        self.world.hash(mix(mix(u64::from(self.kills_left), u64::from(self.reuses_left)), u64::from(self.closes_left)))
    }

    pub fn violated(&self) -> bool {
        self.world.violation.is_some()
    }
}

impl Drop for Explorer {
    fn drop(&mut self) {
        for p in &self.world.procs {
            unsafe { steadfast_context_free(p.context) };
        }
    }
}
