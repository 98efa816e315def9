//! Which histories are run on the recorded disk, and the mutants that they must catch.

use crate::contract::fault::Fault;
use crate::contract::words::*;
use crate::filesystem::Flavor;
use crate::history::{History, Step};
use crate::instrument::{Background, Mutant, Trouble};
use crate::lab::{Lab, Run, Tally, steps};
use crate::library::ALTERNATE;
use crate::report::Report;
use crate::states::Random;
use std::io;
use std::time::{Duration, Instant};

const fn step(flags: u32) -> Step {
    Step { flags, batch: false, trouble: Trouble::None }
}

const fn batch(flags: u32) -> Step {
    Step { batch: true, ..step(flags) }
}

const fn troubled(flags: u32, trouble: Trouble) -> Step {
    Step { trouble, ..step(flags) }
}

const fn of(name: &'static str, before: &'static [u32], steps: &'static [Step]) -> History {
    History { name, saver: None, before, varies: false, steps }
}

/// PATH and PATH.prev take turns.
const fn turns(name: &'static str, before: &'static [u32], steps: &'static [Step]) -> History {
    History { varies: true, ..of(name, before, steps) }
}

const KEPT: &[u32] = &[KEEP_PREVIOUS, KEEP_PREVIOUS];
const KEPT_PLAIN: &[u32] = &[PLAIN | KEEP_PREVIOUS, PLAIN | KEEP_PREVIOUS];
const UNSYNCED: u32 = NO_SYNC | KEEP_PREVIOUS;

const FAILED_DIRECTORY: &[Step] = &[troubled(KEEP_PREVIOUS, Trouble::DirectorySync), step(KEEP_PREVIOUS)];
const AFTER_NO_SYNC: &[Step] = &[step(NO_SYNC), step(KEEP_PREVIOUS)];

const TURN: Step = step(ALTERNATE);
const TURNS: &[u32] = &[ALTERNATE, ALTERNATE, ALTERNATE];

pub const ALL: [History; 23] = [
    of("NO_SYNC, KEEP_PREVIOUS", KEPT, AFTER_NO_SYNC),
    of("directory's sync fails, KEEP_PREVIOUS", KEPT, FAILED_DIRECTORY),
    of(
        "killed before the directory's sync, plain",
        KEPT,
        &[troubled(KEEP_PREVIOUS, Trouble::KilledBeforeDirectorySync), step(0)],
    ),
    of(
        "twice NO_SYNC and KEEP_PREVIOUS, IF_GENERATION",
        &[0],
        &[step(UNSYNCED), step(UNSYNCED), step(IF_GENERATION | KEEP_PREVIOUS)],
    ),
    of("file's syncs fail, KEEP_PREVIOUS", KEPT, &[troubled(0, Trouble::FileSyncs), step(KEEP_PREVIOUS)]),
    of(
        "killed before the directory's sync, NO_SYNC and KEEP_PREVIOUS",
        KEPT,
        &[troubled(0, Trouble::KilledBeforeDirectorySync), step(UNSYNCED)],
    ),
    of("nothing, NO_SYNC, KEEP_PREVIOUS", &[], AFTER_NO_SYNC),
    of("NO_SYNC, batch with SYNCFS", KEPT, &[step(NO_SYNC), batch(SYNCFS | KEEP_PREVIOUS)]),
    of("plain files: NO_SYNC, KEEP_PREVIOUS", KEPT_PLAIN, &[step(PLAIN | NO_SYNC), step(PLAIN | KEEP_PREVIOUS)]),
    of(
        "plain files: killed before the directory's sync, IF_GENERATION",
        KEPT_PLAIN,
        &[troubled(PLAIN | KEEP_PREVIOUS, Trouble::KilledBeforeDirectorySync), step(PLAIN | IF_GENERATION)],
    ),
    of("records, plain NO_SYNC and KEEP_PREVIOUS, a record", KEPT, &[step(PLAIN | UNSYNCED), step(KEEP_PREVIOUS)]),
    of("STRICT, its directory's sync fails, plain", KEPT, &[troubled(STRICT, Trouble::DirectorySync), step(0)]),
    turns("ALTERNATE, five times from nothing", &[], &[TURN, TURN, TURN, TURN, TURN]),
    turns("ALTERNATE, killed in a slot, twice more", TURNS, &[troubled(ALTERNATE, Trouble::KilledInSlot), TURN, TURN]),
    turns("ALTERNATE, a slot's sync fails, once more", TURNS, &[troubled(ALTERNATE, Trouble::SlotSync), TURN]),
    turns("ALTERNATE, a slot is torn, plain", TURNS, &[troubled(ALTERNATE, Trouble::TornSlot), step(0)]),
    turns(
        "ALTERNATE, killed before the directory's sync, twice more",
        &[ALTERNATE],
        &[troubled(ALTERNATE, Trouble::KilledBeforeDirectorySync), TURN, TURN],
    ),
    turns("ALTERNATE, NO_SYNC, ALTERNATE", TURNS, &[step(NO_SYNC), TURN, TURN]),
    turns("ALTERNATE, NO_SYNC and KEEP_PREVIOUS, ALTERNATE", TURNS, &[step(UNSYNCED), TURN, step(KEEP_PREVIOUS)]),
    turns("ALTERNATE, batches in place", TURNS, &[batch(ALTERNATE), batch(ALTERNATE), batch(ALTERNATE | SYNCFS), TURN]),
    turns("ALTERNATE, a plain save, KEEP_PREVIOUS, ALTERNATE", TURNS, &[step(0), TURN, TURN, step(KEEP_PREVIOUS), TURN]),
    turns("ALTERNATE, PLAIN, ALTERNATE", TURNS, &[step(PLAIN), TURN, TURN]),
    turns(
        "ALTERNATE, the directory's sync fails, twice more",
        &[ALTERNATE],
        &[troubled(ALTERNATE, Trouble::DirectorySync), TURN, TURN],
    ),
];

struct Bad {
    history: History,
    mutant: Mutant,
    /// A right one, which must never be caught.
    control: bool,
}

const fn by(fault: Fault, name: &'static str, steps: &'static [Step]) -> Bad {
    Bad { history: History { saver: Some(fault), ..of(name, KEPT, steps) }, mutant: Mutant::None, control: false }
}

const fn spoilt(mutant: Mutant, history: History) -> Bad {
    Bad { history, mutant, control: false }
}

const RECYCLES: u32 = RECYCLE | KEEP_PREVIOUS;

const BAD: [Bad; 9] = [
    by(
        Fault::Recycle,
        "RECYCLE after a failed sync of the directory",
        &[troubled(KEEP_PREVIOUS, Trouble::DirectorySync), step(RECYCLES)],
    ),
    by(
        Fault::Recycle,
        "RECYCLE after a saver that was killed before its sync of the directory",
        &[troubled(KEEP_PREVIOUS, Trouble::KilledBeforeDirectorySync), step(RECYCLES)],
    ),
    by(Fault::UnmarkedNoSync, "NO_SYNC without a mark, KEEP_PREVIOUS", AFTER_NO_SYNC),
    by(Fault::NoSyncSaysEither, "NO_SYNC that says EITHER", &[step(NO_SYNC)]),
    by(Fault::NoDirectorySync, "no sync of the directory, KEEP_PREVIOUS", &[step(0), step(KEEP_PREVIOUS)]),
    spoilt(Mutant::NoFileSync, of("the library without syncs of files", KEPT, &[step(KEEP_PREVIOUS), step(0)])),
    spoilt(
        Mutant::SlotInTwo,
        turns("ALTERNATE by two calls, killed between them", TURNS, &[troubled(ALTERNATE, Trouble::KilledBetween), TURN]),
    ),
    spoilt(Mutant::SlotUnsynced, turns("ALTERNATE without a sync", TURNS, &[TURN, TURN])),
    Bad { control: true, ..by(Fault::None, "NO_SYNC, KEEP_PREVIOUS, by a right saver", AFTER_NO_SYNC) },
];

/// In an order that leaves no part out when they do not all fit.
fn runs(count: u32, mutant: Mutant) -> Vec<Run> {
    let mut all: Vec<Run> = vec![];
    for what in [Background::Commit, Background::Sync] {
        all.extend((0..count).map(|k| Run { at: Some((what, k)), mutant, ..Run::PLAIN }));
    }
    let stride = [7, 11, 13, 5].into_iter().find(|stride| !all.len().is_multiple_of(*stride)).unwrap_or(1);
    (0..all.len()).map(|n| all[n * stride % all.len()]).collect()
}

/// Three saves, each in a way of its own. They stay for the rest of the process, as those above do.
pub fn random(random: &mut Random) -> History {
    const WAYS: [u32; 7] = [0, STRICT, KEEP_PREVIOUS, IF_GENERATION, IF_GENERATION | KEEP_PREVIOUS, NO_SYNC, UNSYNCED];
    const TROUBLES: [Trouble; 3] = [Trouble::FileSyncs, Trouble::DirectorySync, Trouble::KilledBeforeDirectorySync];
    const OF_TURNS: [Trouble; 3] = [Trouble::SlotSync, Trouble::TornSlot, Trouble::DirectorySync];
    let takes_turns = random.below(3) == 0;
    let befores: [&[u32]; 3] = [&[], &[0], if takes_turns { TURNS } else { KEPT }];
    let mut steps = vec![];
    for _ in 0..3 {
        let mut next = step(WAYS[random.below(WAYS.len() as u32) as usize]);
        if takes_turns && random.below(2) == 0 {
            next.flags |= ALTERNATE;
        } else if !takes_turns && random.below(3) == 0 {
            next.flags |= PLAIN;
        }
        // One that skips its syncs is not killed before one of them, nor is one that is a single call.
        if next.flags & NO_SYNC == 0 && random.below(2) == 0 {
            let troubles = if next.flags & ALTERNATE != 0 { OF_TURNS } else { TROUBLES };
            next.trouble = troubles[random.below(3) as usize];
        }
        next.batch = next.trouble == Trouble::None && random.below(5) == 0;
        steps.push(next);
    }
    let before = befores[random.below(3) as usize];
    let name = format!("{} durable, {steps:?}", before.len());
    History { varies: takes_turns, ..of(name.leak(), before, steps.leak()) }
}

/// Histories on one file system: without a background commit, then with one at each step, while there is time.
pub fn explore(lab: &mut Lab, report: &mut Report, flavor: &Flavor, all: &[History], until: Instant) -> io::Result<u64> {
    let mut cut = 0;
    for (n, history) in all.iter().enumerate() {
        let begun = Instant::now();
        if lab.may_skip && begun > until {
            cut += 1;
            continue;
        }
        let share = until.saturating_duration_since(begun) / (all.len() - n) as u32;
        lab.prepare(flavor, history)?;
        let (mut tally, count) = lab.explore(flavor, history, &Run::PLAIN)?;
        let mut missed = 0;
        for run in runs(count, Mutant::None) {
            if begun.elapsed() > share {
                missed += 1;
            } else {
                tally.add(&lab.explore(flavor, history, &run)?.0);
            }
        }
        report.explored(flavor.name, &format!("history: {}", history.name), &tally, missed, begun.elapsed());
        cut += missed;
    }
    Ok(cut)
}

/// Runs each mutant on one file system after the other until it is caught.
pub fn mutants(lab: &mut Lab, report: &mut Report, flavors: &[Flavor]) -> io::Result<()> {
    for bad in &BAD {
        let mut caught = vec![];
        for flavor in flavors {
            let begun = Instant::now();
            let mut tally = Tally::default();
            lab.prepare(flavor, &bad.history)?;
            let log = lab.record(flavor, &bad.history, &Run { mutant: bad.mutant, ..Run::PLAIN })?;
            tally.add(&lab.check(flavor, &bad.history, &Run::PLAIN, &log, None)?);
            // A right one is not looked at for long.
            let limit = begun + Duration::from_secs(if bad.control { 3 } else { 20 });
            for run in runs(steps(&log), bad.mutant) {
                if tally.violations > 0 || Instant::now() > limit {
                    break;
                }
                tally.add(&lab.explore(flavor, &bad.history, &run)?.0);
            }
            report.mutant_run(bad.history.name, flavor.name, &tally, begun.elapsed());
            if tally.violations > 0 {
                let first = tally.first.as_deref().and_then(|first| first.split("; ").next()).unwrap_or_default();
                caught.push(format!("{} ({} states: {first})", flavor.name, tally.violations));
                if !bad.control {
                    break;
                }
            }
        }
        report.mutant(&format!("history: {}", bad.history.name), &caught, bad.control);
    }
    Ok(())
}
