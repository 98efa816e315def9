//! Every operation with every fault at every call.

use crate::exempt;
use crate::fault::{self, Fault, Run};
use crate::oracle::Judge;
use crate::scenario::{self, Kind, Scenario};
use crate::tracee::Filter;
use crate::tree;
use libc::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const ERRNOS: [i32; 12] = [EIO, ENOSPC, EDQUOT, EACCES, EPERM, EROFS, ENOMEM, EMFILE, EINVAL, ENOSYS, EEXIST, ENOENT];

/// For which no error is documented that could happen here: a program may not look at what they answer.
/// brk answers the old break instead, and what malloc asks getrandom for is a key.
const NEVER_FAIL: [i64; 8] =
    [SYS_brk, SYS_getrandom, SYS_getpid, SYS_geteuid, SYS_getuid, SYS_rt_sigprocmask, SYS_rt_sigpending, SYS_munmap];

pub struct Bench<'a> {
    pub filter: &'a Filter,
    pub directory: &'a Path,
    pub subject: &'a str,
    pub verbose: bool,
}

#[derive(Default)]
pub struct Tally {
    pub cases: BTreeMap<&'static str, u64>,
    pub calls: u64,
    pub failures: BTreeMap<String, Vec<String>>,
    pub failed: u64,
}

impl Tally {
    pub fn total(&self) -> u64 {
        self.cases.values().sum()
    }

    /// One line for all the errors of one call that come to the same.
    fn fail(&mut self, what: String, error: String) {
        self.failed += 1;
        self.failures.entry(what).or_default().push(error);
    }
}

/// The faults of call `k` of this run.
fn faults(run: &Run, k: usize, sticky: &[i32]) -> Vec<Fault> {
    let made = &run.calls[k];
    let mut faults = vec![Fault::Kill { k }];
    if NEVER_FAIL.contains(&made.number) {
        return faults;
    }
    if [SYS_mmap, SYS_mremap].contains(&made.number) {
        faults.extend([true, false].map(|sticky| Fault::Error { k, errno: ENOMEM, sticky }));
        return faults;
    }
    // A link that is there and is "not there" is replaced, which is right; a lock of one's own would be another's.
    let linked = run.calls[..k].iter().any(|made| made.number == SYS_linkat && made.second == "lock");
    let lie = made.number == SYS_openat && (made.path == "link" || made.path == "lock" && linked);
    faults.extend(ERRNOS.into_iter().filter(|&e| !(lie && e == ENOENT)).map(|errno| Fault::Error { k, errno, sticky: false }));
    faults.extend(sticky.iter().map(|&errno| Fault::Error { k, errno, sticky: true }));
    // For ever, a signal at each attempt is no signal.
    if made.number != SYS_close {
        faults.push(Fault::Error { k, errno: EINTR, sticky: false });
    }
    if [SYS_write, SYS_pwrite64, SYS_pread64].contains(&made.number) {
        let len = made.args[2] as usize;
        let mut lens = vec![1, len / 2, len.saturating_sub(1)];
        lens.retain(|&short| short > 0 && short < len);
        lens.dedup();
        faults.extend(lens.into_iter().map(|len| Fault::Short { k, len }));
    }
    faults
}

fn kind(fault: Fault) -> &'static str {
    match fault {
        Fault::None => "without",
        Fault::Error { sticky: false, .. } => "error once",
        Fault::Error { sticky: true, .. } => "error for ever",
        Fault::Short { .. } => "short",
        Fault::Kill { .. } => "kill",
    }
}

impl Bench<'_> {
    fn one(&self, scenario: &Scenario, fault: Fault) -> Result<Run, String> {
        let keep = scenario.alive.filter(|_| !scenario.name.contains("foreign"));
        tree::put(self.directory, &scenario.before, keep);
        fault::run(self.filter, self.subject, scenario.operation, self.directory, fault)
    }

    /// A call of another process.
    fn another(&self, arguments: &[&str]) -> Result<(), String> {
        let output = Command::new(self.subject).args(arguments).output().map_err(|e| e.to_string())?;
        if output.status.success() { Ok(()) } else { Err(format!("after it, {}", String::from_utf8_lossy(&output.stderr))) }
    }

    /// After a kill, the next call is another process's: it works, and the killed one's orphans are gone. What was on its way
    /// from PATH.prev goes with the next save that keeps one.
    fn next(&self, scenario: &Scenario) -> Result<(), String> {
        let path = self.directory.to_str().expect("a path");
        self.another(&[scenario.next, path, "x"])?;
        if scenario.name.contains("KEEP_PREVIOUS") {
            self.another(&[if scenario.plain() { "save-plain-previous" } else { "save-previous" }, path, "y", "only"])?;
        }
        let orphan = |name: &&String| name.contains(".state.") && (name.ends_with(".tmp") || name.ends_with(".edit"));
        match tree::take(self.directory).keys().find(orphan) {
            Some(orphan) if scenario.kind == Kind::Save => Err(format!("after the next call, {orphan} is left")),
            _ => Ok(()),
        }
    }

    /// All faults of a scenario; with `first`, up to the first failure.
    pub fn scenario(&self, scenario: &Scenario, sticky: &[i32], first: bool, tally: &mut Tally) -> Result<(), String> {
        let begun = Instant::now();
        let dry = self.one(scenario, Fault::None)?;
        let gained = dry.descriptors.1 as i64 - dry.descriptors.0 as i64;
        let judge = Judge { scenario, gained };
        tally.calls += dry.calls.len() as u64;
        // For ever "there is none" and "there is one" of the same name: thousands of looks before it is given up.
        let sticky: Vec<i32> = sticky.iter().copied().filter(|&e| e != ENOENT || scenario.kind != Kind::Acquire).collect();
        let all = (0..dry.calls.len()).flat_map(|k| faults(&dry, k, &sticky));
        for fault in std::iter::once(Fault::None).chain(all) {
            if self.verbose {
                println!("{}: {fault:?}", scenario.name);
            }
            let run = self.one(scenario, fault)?;
            // A wait makes as many calls as the time allows.
            let reached = run.outcome.is_some() || run.status != 0;
            let mut result = if reached { judge.judge(fault, &run) } else { Err("it did not end".into()) };
            if scenario.name.contains("timeout") && !hit(fault, &run) {
                result = Ok(());
            } else if result.is_ok()
                && (matches!(fault, Fault::Kill { .. }) || run.after.keys().any(|name| name.ends_with(".prev.tmp")))
            {
                result = self.next(scenario);
            }
            *tally.cases.entry(kind(fault)).or_default() += 1;
            if let Err(what) = result {
                let call = match fault {
                    Fault::Error { k, .. } | Fault::Short { k, .. } | Fault::Kill { k } => {
                        dry.calls.get(k).map_or(String::new(), name)
                    }
                    Fault::None => String::new(),
                };
                let error = match fault {
                    Fault::Error { errno, sticky, .. } => format!("errno {errno}{}", if sticky { " for ever" } else { "" }),
                    Fault::Short { len, .. } => format!("{len} bytes"),
                    _ => String::new(),
                };
                tally.fail(format!("{}: {} at {call}: {what}", scenario.name, kind(fault)), error);
                if self.verbose && fault == Fault::None {
                    dry.calls.iter().enumerate().for_each(|(k, made)| println!("    {k}: {} {:?}", name(made), made.failed));
                }
                if first {
                    return Ok(());
                }
            }
        }
        if !first {
            println!("{}: {} calls, {} ms", scenario.name, dry.calls.len(), begun.elapsed().as_millis());
        }
        Ok(())
    }
}

/// Was the fault reached?
fn hit(fault: Fault, run: &Run) -> bool {
    match fault {
        Fault::None => true,
        Fault::Error { .. } => run.calls.iter().any(|made| made.failed.is_some()),
        Fault::Short { k, .. } => run.calls.len() > k,
        Fault::Kill { .. } => run.outcome.is_none(),
    }
}

pub fn name(made: &fault::Made) -> String {
    let call = libseccomp::ScmpSyscall::from(made.number as i32).get_name().unwrap_or_default();
    format!("{call}({} {} fd {})", made.path, made.second, made.args[0] as i32)
}

/// The mutants, each with the scenarios of which at least one must show it.
pub const MUTANTS: [(&str, &[&str]); 19] = [
    ("IGNORE_FSYNC", &["save"]),
    ("NO_FSYNC", &["save"]),
    ("RETRY_FSYNC", &["save"]),
    ("NO_DIRECTORY_FSYNC", &["save", "save, ALTERNATE"]),
    ("SHORT_WRITE", &["save", "acquire"]),
    ("IGNORE_SYNCFS", &["save_batch, SYNCFS"]),
    ("IGNORE_WRITEBACK", &["save_batch, SYNCFS"]),
    ("IGNORE_ATTRIBUTE", &["save, PLAIN"]),
    ("NO_DSYNC", &["save, ALTERNATE"]),
    ("WRITE_THEN_SYNC", &["save, ALTERNATE"]),
    ("IGNORE_PWRITE", &["save, ALTERNATE"]),
    ("TEMP_LEFT", &["save"]),
    ("FD_LEAK", &["save"]),
    ("IN_PLACE", &["save"]),
    ("NO_COPY", &["save, IN_PLACE"]),
    ("NO_MARK", &["save, PLAIN, IN_PLACE"]),
    ("UNLINK_FIRST", &["save"]),
    ("RENAME_ERROR", &["save"]),
    ("CHECK_AND_UNLINK", &["clean_stale", "release", "acquire"]),
];

pub fn run(
    filter: &Filter,
    directory: &Path,
    programs: &Path,
    batch: bool,
    deep: bool,
    only: Option<&str>,
) -> Result<(u64, u64), String> {
    let begun = Instant::now();
    let subject = programs.join("subject");
    let bench = Bench { filter, directory, subject: subject.to_str().expect("a path"), verbose: only.is_some() };
    let sticky: &[i32] = if deep { &ERRNOS } else { &[EIO, ENOSPC, EACCES, EINVAL, ENOSYS, ENOENT] };
    let mut tally = Tally::default();
    let wanted = |scenario: &&Scenario| only.is_none_or(|only| scenario.name == only);
    let scenarios = scenario::Maker::new(bench.subject, directory).make(batch);
    for scenario in scenarios.iter().filter(wanted) {
        bench.scenario(scenario, sticky, false, &mut tally)?;
    }
    // The holder lives as long as its scenarios.
    let held = scenario::held(bench.subject, directory);
    for scenario in held.iter().filter(wanted) {
        bench.scenario(scenario, sticky, false, &mut tally)?;
    }
    let kinds: Vec<String> = tally.cases.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let count = scenarios.len() + held.len();
    drop(held);
    println!("{count} operations, {} calls in all, {} cases: {}", tally.calls, tally.total(), kinds.join(", "));
    if only.is_none() {
        exempt::unused().iter().for_each(|why| println!("not needed: {why}"));
    }
    tally.failures.iter().for_each(|(failure, errors)| println!("not ok {failure} [{}]", errors.join(", ")));

    let mut killed = 0;
    let mut survivors = 0;
    for (mutant, scenarios_of) in MUTANTS.iter().filter(|_| only.is_none()) {
        let program = programs.join(mutant);
        let bench = Bench { subject: program.to_str().expect("a path"), ..bench };
        let mut seen = Tally::default();
        for scenario in scenarios.iter().filter(|scenario| scenarios_of.contains(&scenario.name.as_str())) {
            bench.scenario(scenario, &[EIO], true, &mut seen)?;
        }
        match seen.failures.keys().next() {
            Some(how) => {
                killed += 1;
                println!("mutant {mutant} killed after {} cases by {how}", seen.total());
            }
            None => {
                survivors += 1;
                println!("not ok mutant {mutant} survived {} cases", seen.total());
            }
        }
    }
    println!(
        "{} mutants killed, {survivors} survived; no seed: every case is run; {} seconds",
        killed,
        begun.elapsed().as_secs()
    );
    Ok((tally.total() - tally.failed + killed, tally.failed + survivors))
}
