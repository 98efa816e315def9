//! What is to be explored, and what was found.

use super::bodies::Body;
use super::fs::Links;
use super::world::{Lie, Violation};
use std::ops::Range;

/// What the directory holds at the start.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Plant {
    Nothing,
    /// Another program's record of a dead process.
    Bare,
    /// Ours, of a dead process.
    Ours,
    /// Ours after a power cut: the name and the mode are there, the content is not.
    Emptied,
    /// The same with the attribute kept.
    EmptiedKept,
}

/// A state in the place of a lock.
#[derive(Clone)]
pub struct State {
    /// The flags of the saves that were made before.
    pub saves: &'static [u32],
    /// All savers wait for each other's flock, and so count.
    pub counts: bool,
    /// In which pieces, and in which order, a file is written in place; others see it in between, and a kill leaves it.
    pub pieces: &'static [Range<usize>],
    /// A file is read in two halves, too: others may write in between.
    pub halves: bool,
}

#[derive(Clone)]
pub struct Scenario {
    pub bodies: Vec<Body>,
    pub plant: Plant,
    /// The processes save and load a state, and know no lock.
    pub state: Option<State>,
    pub kills: u32,
    /// How often a dead process's number may become a live process's.
    pub reuses: u32,
    /// How often a program may close all its descriptors, in a pause between two calls of the library.
    pub closes: u32,
    /// It then gets their numbers for files of its own.
    pub refills: bool,
    pub absent: u32,
    pub reuse_numbers: bool,
    pub links: Links,
    /// What fstatfs tells; 0: tmpfs.
    pub magic: i64,
    pub lies: &'static [Lie],
    /// Children, each with its parent, who forks them.
    pub children: &'static [(usize, usize)],
    /// PID namespaces, by process; the others are in the first one.
    pub namespaces: &'static [u8],
    /// PIDs, by process; the others have one that nobody else has.
    pub numbers: &'static [i32],
    /// The first process has the number of the one that left the stale lock.
    pub own_number: bool,
    /// Processes of ours keep nothing from one look at the lock to the next: fewer states.
    pub forgets: bool,
    /// Who holds a lock asks whether it still does: more states.
    pub checks: bool,
    /// Only this violation counts: to see which property a mutant falls to.
    pub only: Option<Violation>,
}

impl Scenario {
    pub fn new(bodies: &[Body], plant: Plant, kills: u32) -> Scenario {
        Scenario {
            bodies: bodies.to_vec(),
            plant,
            state: None,
            kills,
            reuses: 0,
            closes: 0,
            refills: false,
            absent: 0,
            reuse_numbers: false,
            links: Links::Together,
            magic: 0,
            lies: &[],
            children: &[],
            namespaces: &[],
            numbers: &[],
            own_number: false,
            forgets: false,
            checks: true,
            only: None,
        }
    }
}

#[derive(Default, Debug)]
pub struct Found {
    pub schedules: u64,
    pub states: u64,
    pub ends: u64,
    /// What was on disk at each end, and who had died.
    pub end_states: std::collections::BTreeSet<u64>,
    pub seconds: f64,
    pub violation: Option<Violation>,
    /// The calls that led to the violation.
    pub trace: Vec<String>,
    /// The time was over before all was seen.
    pub cut: bool,
    pub compared: u64,
}
