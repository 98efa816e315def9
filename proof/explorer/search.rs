//! Every schedule of a scenario, by running it again and again with other choices. The states that were not seen before
//! are gone on from in the order in which they were found, so that the shortest way to a violation is the one that is told.

use super::explore::*;
use super::fs::mix;
use super::mirror::Mirror;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// For numbers that are hashes already.
#[derive(Default, Clone)]
struct Plain(u64);
impl std::hash::Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
type Seen = HashSet<u64, std::hash::BuildHasherDefault<Plain>>;

/// A state in which there is a choice: the one before it, what was chosen there, and its hash.
#[derive(Clone, Copy)]
struct Fork {
    before: usize,
    chosen: usize,
    state: u64,
}

/// The choices that lead to a fork.
fn way(forks: &[Fork], mut at: usize) -> Vec<usize> {
    let mut chosen = Vec::new();
    while at != 0 {
        chosen.push(forks[at].chosen);
        at = forks[at].before;
    }
    chosen.reverse();
    chosen
}

/// How a run along new states ended.
enum Run {
    /// Where there is a choice.
    Fork,
    /// All is over.
    End,
    /// A state that was seen before, or a violation.
    Nothing,
}

impl Explorer {
    /// Goes on as long as there is no choice and the states are new.
    fn run(&mut self, seen: &mut Seen, found: &mut Found, choices: &mut Vec<Choice>) -> Run {
        loop {
            if self.violated() || !seen.insert(self.state()) {
                return Run::Nothing;
            }
            self.choices(choices);
            match choices[..] {
                [] => {
                    found.ends += 1;
                    found.end_states.insert(self.state());
                    self.check_end();
                    self.violated();
                    return Run::End;
                }
                [only] => self.take(only),
                _ => return Run::Fork,
            }
        }
    }

    /// Goes the way to a fork again: the choices that there are.
    fn go(&mut self, way: &[usize], choices: &mut Vec<Choice>) {
        self.begin();
        let mut chosen = way.iter();
        loop {
            self.choices(choices);
            match choices[..] {
                [] => return,
                [only] => self.take(only),
                _ => match chosen.next() {
                    Some(&index) => self.take(choices[index]),
                    None => return,
                },
            }
        }
    }

    /// All schedules; stops at the first violation, or when `limit` is over.
    pub fn exhaust(&mut self, limit: Duration) -> Found {
        let begun = Instant::now();
        let (mut found, mut seen, mut choices) = (Found::default(), Seen::default(), Vec::new());
        self.begin();
        let first = self.run(&mut seen, &mut found, &mut choices);
        let mut forks = Vec::new();
        if matches!(first, Run::Fork) {
            forks.push(Fork { before: 0, chosen: 0, state: self.state() });
        }
        self.finish();
        found.schedules = 1;
        let mut at = 0;
        let mut violation = self.world.violation.clone().map(|violation| (violation, Vec::new()));
        while violation.is_none() && at < forks.len() && !found.cut {
            let way = way(&forks, at);
            let mut index = 0;
            loop {
                self.go(&way, &mut choices);
                assert_eq!(self.state(), forks[at].state, "the same choices led somewhere else");
                let count = choices.len();
                self.take(choices[index]);
                if matches!(self.run(&mut seen, &mut found, &mut choices), Run::Fork) {
                    forks.push(Fork { before: at, chosen: index, state: self.state() });
                }
                found.schedules += 1;
                self.finish();
                if let Some(found) = self.world.violation.clone() {
                    violation = Some((found, [&way[..], &[index]].concat()));
                    break;
                }
                index += 1;
                if index == count {
                    break;
                }
            }
            at += 1;
            found.cut = at.is_multiple_of(64) && begun.elapsed() > limit;
        }
        if let Some((violation, way)) = violation {
            found.trace = self.retell(&way);
            found.violation = Some(violation);
        }
        found.states = seen.len() as u64;
        found.seconds = begun.elapsed().as_secs_f64();
        found
    }

    /// The schedule again, with every call told.
    fn retell(&mut self, way: &[usize]) -> Vec<String> {
        self.world.log = Some(Vec::new());
        let mut choices = Vec::new();
        self.begin();
        let mut chosen = way.iter();
        while !self.violated() {
            self.choices(&mut choices);
            match choices[..] {
                [] => {
                    self.check_end();
                    break;
                }
                [only] => self.take(only),
                _ => match chosen.next() {
                    Some(&index) => self.take(choices[index]),
                    None => break,
                },
            }
        }
        self.finish();
        self.world.log.take().unwrap_or_default()
    }

    /// Random schedules, each call made on a real directory as well.
    pub fn lockstep(&mut self, tag: u64, schedules: u64, seed: u64) -> Found {
        assert_eq!(self.scenario.plant, Plant::Nothing, "a real directory begins empty");
        let begun = Instant::now();
        let mut found = Found::default();
        let mut random = seed;
        let mut choices = Vec::new();
        self.world.mirror = Some(Mirror::new(tag));
        for _ in 0..schedules {
            self.world.mirror.as_mut().unwrap().reset();
            self.world.log = Some(Vec::new());
            self.begin();
            while self.world.violation.is_none() {
                self.choices(&mut choices);
                if choices.is_empty() {
                    self.check_end();
                    found.ends += 1;
                    break;
                }
                random = mix(random, 1);
                // Mostly steps: a kill ends what could still happen.
                let steps = choices.iter().filter(|c| matches!(c, Choice::Step(_))).count();
                let range = if random.is_multiple_of(8) { choices.len() } else { steps };
                let choice = choices[(random >> 8) as usize % range];
                self.take(choice);
            }
            found.schedules += 1;
            self.finish();
            if self.world.violation.is_some() {
                break;
            }
        }
        found.violation = self.world.violation.clone();
        found.trace = self.world.log.take().unwrap_or_default();
        found.compared = self.world.mirror.take().map_or(0, |m| m.compared);
        found.seconds = begun.elapsed().as_secs_f64();
        found
    }
}
