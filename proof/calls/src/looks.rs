//! Errors of calls that only look – open without creating, stat, flock, byte locks, attributes – in histories: after a saver
//! that was killed, over an unsynced state, beside a dead lock, and while another process is stopped in the middle of its
//! call. Such an error is an error of the call, or the call comes to exactly what it comes to without it. It never means
//! that nobody is there.

use crate::calls::name;
use crate::fault::{self, BEGIN, Fault, Made, Outcome, Run, look, read_outcome};
use crate::looks_scenario::{Alone, Beside, alone, beside};
use crate::scenario::Maker;
use crate::tracee::{Call, Event, Filter, Tracee};
use crate::tree::{self, Tree};
use libc::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

const ERRNOS: [i32; 5] = [EMFILE, ENOLCK, EACCES, EPERM, EIO];

pub struct Looks<'a> {
    pub filter: &'a Filter,
    pub directory: &'a Path,
    pub subject: &'a str,
    pub deep: bool,
}

#[derive(Default)]
pub struct Tally {
    pub cases: u64,
    pub failed: u64,
    pub failures: BTreeMap<String, Vec<String>>,
}

impl Tally {
    fn take(&mut self, what: String, error: String, result: Result<(), String>) {
        self.cases += 1;
        if let Err(why) = result {
            self.failed += 1;
            self.failures.entry(format!("{what}: {why}")).or_default().push(error);
        }
    }
}

/// Does this call only look?
fn looks(made: &Made) -> bool {
    match made.number {
        SYS_openat => made.args[2] as i32 & (O_CREAT | O_TMPFILE & !O_DIRECTORY) == 0,
        SYS_flock => made.args[1] as i32 & LOCK_UN == 0,
        SYS_fcntl => [F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW].contains(&(made.args[1] as i32)),
        SYS_openat2 | SYS_statx | SYS_newfstatat | SYS_fgetxattr | SYS_fstatfs => true,
        _ => false,
    }
}

fn errno_name(errno: i32) -> String {
    let name = match errno {
        EMFILE => "EMFILE",
        ENOLCK => "ENOLCK",
        EACCES => "EACCES",
        EPERM => "EPERM",
        _ => "EIO",
    };
    name.into()
}

/// A process that asks for nothing for so long waits without an end.
const WAIT_MS: i32 = 5_000;

/// Generations from here on are taken from the clock, in microseconds.
const CLOCK: u64 = 1_000_000_000_000;

/// What a save leaves: generation, letter and mark of PATH and of PATH.prev.
type Left = [Option<(u64, u8, bool)>; 2];

pub fn left(tree: &Tree) -> Left {
    let of = |name: &str| {
        let file = tree.get(name)?;
        tree::content(file).map(|(generation, letter)| (generation.min(CLOCK), letter, tree::unsynced(file)))
    };
    [of("state"), of("state.prev")]
}

impl Looks<'_> {
    fn run(&self, scenario: &Alone, fault: Fault) -> Result<Run, String> {
        tree::put(self.directory, &scenario.before, None);
        fault::run(self.filter, self.subject, scenario.operation, self.directory, fault)
    }

    /// One process after others that have ended: each look fails, once and for ever.
    pub fn alone(&self, scenario: &Alone, tally: &mut Tally) -> Result<(), String> {
        let free = self.run(scenario, Fault::None)?;
        let usual = free.outcome.clone().ok_or("it did not end")?;
        for k in (0..free.calls.len()).filter(|&k| looks(&free.calls[k])) {
            for (errno, sticky) in ERRNOS.into_iter().flat_map(|errno| [(errno, false), (errno, true)]) {
                let run = self.run(scenario, Fault::Error { k, errno, sticky })?;
                let result = match &run.outcome {
                    None => Err(format!("it ended before the call returned: {:#x}", run.status)),
                    Some(outcome) if scenario.lock => scenario.judge_lock(&usual, outcome, &run),
                    Some(outcome) => scenario.judge(&usual, &free, outcome, &run),
                };
                let error = format!("{}{}", errno_name(errno), if sticky { " for ever" } else { "" });
                tally.take(format!("{}: {}", scenario.name, name(&free.calls[k])), error, result);
            }
        }
        Ok(())
    }

    /// The first one is stopped before each of its calls in turn. The second one does all of its operation, with a look that
    /// fails. Then the first one goes on.
    pub fn beside(&self, scenario: &Beside, tally: &mut Tally) -> Result<(), String> {
        for k in 0.. {
            let dry = match self.both(scenario, k, None) {
                Ok(Some(dry)) => dry,
                Ok(None) => return Ok(()),
                Err(why) => {
                    tally.take(format!("{}: stopped before call {k}", scenario.name), "nothing fails".into(), Err(why));
                    continue;
                }
            };
            tally.take(format!("{}: stopped before call {k}", scenario.name), "nothing fails".into(), (scenario.judge)(&dry));
            let seen: Vec<usize> = (0..dry.calls.len()).filter(|&at| looks(&dry.calls[at])).collect();
            for (n, at) in seen.into_iter().enumerate() {
                for errno in self.some(k + n, &dry.calls[at]) {
                    let result = match self.both(scenario, k, Some((at, errno))) {
                        Ok(Some(run)) => (scenario.judge)(&run),
                        Ok(None) => continue,
                        Err(why) => Err(why),
                    };
                    let what = format!("{}: stopped before call {k}: {}", scenario.name, name(&dry.calls[at]));
                    tally.take(what, errno_name(errno), result);
                }
            }
        }
        Ok(())
    }

    /// One after the other in turn; of what opens, EMFILE as well.
    fn some(&self, turn: usize, made: &Made) -> Vec<i32> {
        if self.deep {
            return ERRNOS.to_vec();
        }
        let mut errnos = vec![ERRNOS[turn % ERRNOS.len()]];
        if made.number == SYS_openat && errnos != [EMFILE] {
            errnos.push(EMFILE);
        }
        errnos
    }

    /// None: the first one makes `k` calls at most.
    fn both(&self, scenario: &Beside, k: usize, fault: Option<(usize, i32)>) -> Result<Option<Both>, String> {
        tree::put(self.directory, &scenario.before, None);
        let directory = self.directory.to_str().expect("a path");
        let spawn = |operation, letter| Tracee::spawn(self.filter, &[self.subject, operation, directory, letter, "only"]);
        let mut first = spawn(scenario.first, "aq")?;
        let Stop::Before(stopped) = go_on(&first, false, Some(k), None, &mut vec![]) else { return Ok(None) };
        let mut second = spawn(scenario.second, "bq")?;
        let mut calls = vec![];
        let Stop::End(end, of_second) = go_on(&second, false, None, fault, &mut calls) else {
            return Err("the second one did not end".into());
        };
        // Who holds a lock lives on; who has saved ends.
        if !scenario.lives {
            second.proceed(&end);
            second.wait();
        }
        first.proceed(&stopped);
        let Stop::End(end, of_first) = go_on(&first, true, None, None, &mut vec![]) else {
            return Err("the first one did not end".into());
        };
        let after = tree::take(self.directory);
        first.proceed(&end);
        first.wait();
        Ok(Some(Both { first: of_first, second: of_second, calls, after, pids: [first.pid, second.pid] }))
    }
}

/// What two processes came to.
pub struct Both {
    pub first: Outcome,
    pub second: Outcome,
    /// The calls of the second one.
    pub calls: Vec<Made>,
    pub after: Tree,
    pub pids: [i32; 2],
}

enum Stop {
    /// It waits for this call to be let through.
    Before(Call),
    /// The operation has ended; its marker waits.
    End(Call, Outcome),
    /// It has ended, or waits.
    Gone,
}

/// Lets a process go on to call `until` of its operation, which it has begun or not, or to the end of that. `fault`: that call
/// fails.
fn go_on(tracee: &Tracee, begun: bool, until: Option<usize>, fault: Option<(usize, i32)>, calls: &mut Vec<Made>) -> Stop {
    let mut inside = begun;
    let mut count = 0;
    loop {
        // Beside one that is stopped, it waits for its timeout at most.
        let Some(Event::Call(call)) = tracee.next_within(WAIT_MS) else { return Stop::Gone };
        if call.number == SYS_sched_yield {
            inside = call.args[0] == BEGIN;
            if !inside {
                let outcome = read_outcome(tracee, call.args[1]);
                return Stop::End(call, outcome);
            }
            tracee.proceed(&call);
            continue;
        }
        if !inside {
            tracee.proceed(&call);
            continue;
        }
        if until == Some(count) {
            return Stop::Before(call);
        }
        calls.push(look(tracee, &call));
        match fault {
            Some((at, errno)) if at == count => tracee.fail(&call, errno),
            _ => tracee.proceed(&call),
        }
        count += 1;
    }
}

/// A program that takes an error for absence in one way or another, and the scenarios of which at least one must show it.
pub const MUTANTS: [(&str, &[&str]); 3] = [
    ("OPEN_ERROR_IS_ABSENCE", &["save, KEEP_PREVIOUS"]),
    ("FLOCK_ERROR_IS_FREE", &["swap beside swap"]),
    ("RECYCLE_BESIDE_PREVIOUS", &["recycle beside previous"]),
];

pub fn run(filter: &Filter, directory: &Path, programs: &Path, deep: bool, only: Option<&str>) -> Result<(u64, u64), String> {
    let begun = Instant::now();
    let subject = programs.join("subject");
    let bench = Looks { filter, directory, subject: subject.to_str().expect("a path"), deep };
    let maker = Maker::new(bench.subject, directory);
    let (all_alone, all_beside) = (alone(&maker, filter)?, beside(&maker));
    let mut tally = Tally::default();
    let wanted = |name: &str| only.is_none_or(|only| name == only);
    for scenario in all_alone.iter().filter(|scenario| wanted(&scenario.name)) {
        bench.alone(scenario, &mut tally)?;
    }
    let single = tally.cases;
    for scenario in all_beside.iter().filter(|scenario| wanted(scenario.name) && !scenario.of_a_mutant) {
        bench.beside(scenario, &mut tally)?;
    }
    println!(
        "looks that fail: {} histories of one process, {single} cases; {} of two, {} cases",
        all_alone.len(),
        all_beside.len() - 1,
        tally.cases - single
    );
    tally.failures.iter().for_each(|(failure, errors)| println!("not ok {failure} [{}]", errors.join(", ")));
    let (mut killed, mut survivors) = (0, 0);
    for (mutant, of) in MUTANTS.iter().filter(|_| only.is_none()) {
        let program = programs.join(mutant);
        let bench = Looks { subject: program.to_str().expect("a path"), ..bench };
        let mut seen = Tally::default();
        for scenario in all_alone.iter().filter(|scenario| of.contains(&scenario.name.as_str())) {
            bench.alone(scenario, &mut seen)?;
        }
        for scenario in all_beside.iter().filter(|scenario| of.contains(&scenario.name)) {
            bench.beside(scenario, &mut seen)?;
        }
        match seen.failures.keys().next() {
            Some(how) => {
                killed += 1;
                println!("mutant {mutant} killed by {how}");
            }
            None => {
                survivors += 1;
                println!("not ok mutant {mutant} survived {} cases", seen.cases);
            }
        }
    }
    println!("looks: {killed} mutants killed, {survivors} survived, {} seconds", begun.elapsed().as_secs());
    Ok((tally.cases - tally.failed + killed, tally.failed + survivors))
}
