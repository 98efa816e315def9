//! What is to be explored, and what came of it.

use super::bodies::Body;
use super::world::{Lie, Violation};

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

#[derive(Clone)]
pub struct Scenario {
    pub bodies: Vec<Body>,
    pub plant: Plant,
    pub kills: u32,
    /// How often a dead process's number may become a live process's.
    pub reuses: u32,
    pub absent: u32,
    pub reuse_numbers: bool,
    pub lie: Option<Lie>,
    /// The first process has the number of the one that left the stale lock.
    pub own_number: bool,
    /// Processes of ours keep nothing from one look at the lock to the next: fewer states.
    pub forgets: bool,
    /// Only this violation counts: to see which property a mutant falls to.
    pub only: Option<Violation>,
}

impl Scenario {
    pub fn new(bodies: &[Body], plant: Plant, kills: u32) -> Scenario {
        Scenario {
            bodies: bodies.to_vec(),
            plant,
            kills,
            reuses: 0,
            absent: 0,
            reuse_numbers: false,
            lie: None,
            own_number: false,
            forgets: false,
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
