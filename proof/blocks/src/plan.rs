//! What is explored, in which order, and what the time allows.

use crate::filesystem::{Flavor, MAIN, MATRIX, OVERLAY};
use crate::instrument::{Background, Mutant};
use crate::lab::{Dot, Lab, Run, Tally, calls, is_direct, steps};
use crate::report::Report;
use crate::workload::*;
use crate::{faults, histories, mutants};
use std::io;
use std::time::{Duration, Instant};

/// All workloads on one file system: without a background commit first, then with one at each step, in turn. Gives
/// the number of recordings that the time did not allow.
pub fn explore(lab: &mut Lab, report: &mut Report, flavor: &Flavor, workloads: &[Workload], until: Instant) -> io::Result<u64> {
    let mut cut = 0;
    for (n, workload) in workloads.iter().enumerate() {
        let begun = Instant::now();
        // The soak's list is long, and comes in another order each time. CI's must all be there.
        if lab.may_skip && begun > until {
            cut += 1;
            continue;
        }
        // What one leaves of its share is for those after it.
        let share = until.saturating_duration_since(begun) / (workloads.len() - n) as u32;
        lab.prepare(flavor, workload)?;
        let mut log = lab.record(flavor, workload, &Run::PLAIN)?;
        // A direct write that would have to wait for something goes through the page cache: that is no rule.
        for _ in 0..3 {
            if workload.direct() && !is_direct(workload, &log) {
                log = lab.record(flavor, workload, &Run::PLAIN)?;
            }
        }
        report.way(flavor.name, workload, &log);
        let (mut tally, steps) = (lab.check(flavor, workload, &Run::PLAIN, &log, None)?, steps(&log));
        let mut runs: Vec<Run> = vec![];
        for what in [Background::Commit, Background::Sync] {
            runs.extend((0..steps).map(|k| Run { at: Some((what, k)), ..Run::PLAIN }));
        }
        // In an order that leaves no part out when they do not all fit.
        let count = runs.len();
        let stride = [7, 11, 13, 5].into_iter().find(|stride| !count.is_multiple_of(*stride)).unwrap_or(1);
        let mut missed = 0;
        for n in 0..count {
            if begun.elapsed() > share {
                missed += 1;
                continue;
            }
            tally.add(&lab.explore(flavor, workload, &runs[n * stride % count])?.0);
        }
        report.explored(flavor.name, workload.name, &tally, missed, begun.elapsed());
        cut += missed;
    }
    Ok(cut)
}

/// The crash states of one save, for the picture: of the library, and of routines that are spoilt.
pub fn picture(lab: &mut Lab, report: &mut Report, flavor: &Flavor) -> io::Result<()> {
    let rows = [
        ("steadfast", ONE_SAVE, Mutant::None),
        ("without file fsync", ONE_SAVE, Mutant::NoFileSync),
        ("without directory fsync", ONE_SAVE, Mutant::NoDirectorySync),
        ("without any sync", ONE_SAVE, Mutant::NoSync),
        ("written in place", ONE_SAVE, Mutant::InPlace),
    ];
    for (name, workload, mutant) in rows {
        lab.prepare(flavor, &workload)?;
        let (mut dots, mut names): (Vec<Dot>, Vec<String>) = (vec![], vec![]);
        let mut runs = vec![Run { mutant, ..Run::PLAIN }];
        while let Some(run) = runs.pop() {
            let log = lab.record(flavor, &workload, &run)?;
            lab.check(flavor, &workload, &run, &log, Some(&mut dots))?;
            if names.is_empty() {
                names = calls(&log);
                for what in [Background::Sync, Background::Commit] {
                    runs.extend((0..names.len() as u32).map(|k| Run { at: Some((what, k)), ..run }));
                }
            }
        }
        report.dots(flavor.name, name, &names, &dots);
    }
    Ok(())
}

fn told(cut: u64, what: &str) {
    if cut > 0 {
        println!("# WARNING: cut by the budget: {cut} recordings of {what}");
    }
}

/// What is run side by side: nearly all of the time is spent waiting for the kernel.
pub const PARTS: [&str; 5] = ["mutants", "faults", "xfs", "ext4", "btrfs"];

/// What is run when these have ended, all but btrfs, in the time that is left: it needs a core for itself.
pub const LAST: &str = "large";

/// What is run side by side when all of these have ended.
pub const HISTORIES: [&str; 3] = ["history-ext4", "history-xfs", "history-btrfs"];

/// One part of what CI runs, in about `budget` seconds.
pub fn part(lab: &mut Lab, report: &mut Report, name: &str, budget: Duration) -> io::Result<()> {
    let begun = Instant::now();
    let at = |percent: u32| begun + budget * percent / 100;
    match name {
        "mutants" => {
            mutants::all(lab, report, &mutants::ALL, &MAIN, at(60))?;
            faults::mutants(lab, report, &MAIN[..2])?;
            picture(lab, report, &MAIN[0])
        }
        "faults" => {
            let all = [(0, STRICT), (0, SAVE), (0, KEEP), (1, STRICT), (1, SAVE), (1, KEEP), (2, STRICT), (2, ONE_SAVE)];
            for (n, (flavor, workload)) in all.iter().enumerate() {
                let left = (begun + budget).saturating_duration_since(Instant::now());
                faults::run(lab, report, &MAIN[*flavor], workload, Instant::now() + left / (all.len() - n) as u32)?;
            }
            Ok(())
        }
        "large" => {
            lab.sample = Some(3);
            lab.writable_every = 16;
            let [ext4, xfs, btrfs] = MAIN.map(|flavor| flavor.large());
            for (flavor, percent) in [(&ext4, 28), (&xfs, 54), (&btrfs, 80)] {
                on(lab, report, flavor, &LARGE, at(percent))?;
            }
            // On ext4 and xfs what was not synced, but written before the rename, is saved by the flush of the journal that
            // comes after it: btrfs first, and one is enough.
            mutants::all(lab, report, &mutants::LARGE, &[btrfs, xfs, ext4], Instant::now())?;
            faults::run(lab, report, &ext4, &LARGE_SAVE, at(100))
        }
        history if HISTORIES.contains(&history) => {
            // Each recording with a background commit is one of many.
            lab.sample = Some(2);
            let flavor = MAIN.iter().find(|flavor| history.ends_with(flavor.name)).ok_or(io::ErrorKind::InvalidInput)?;
            if flavor.kind == "ext4" {
                histories::mutants(lab, report, &MAIN)?;
            }
            told(histories::explore(lab, report, flavor, &histories::ALL, begun + budget)?, history);
            Ok(())
        }
        _ => {
            let flavor = MAIN.iter().find(|flavor| flavor.name == name).ok_or(io::ErrorKind::InvalidInput)?;
            on(lab, report, flavor, &ALL, at(if name == "ext4" { 70 } else { 100 }))?;
            if name == "ext4" {
                on(lab, report, &OVERLAY, &[SAVE, KEEP, ACQUIRE], at(100))?;
            }
            Ok(())
        }
    }
}

fn on(lab: &mut Lab, report: &mut Report, flavor: &Flavor, workloads: &[Workload], until: Instant) -> io::Result<()> {
    let (begun, before) = (Instant::now(), report.total.clone());
    let cut = explore(lab, report, flavor, workloads, until)?;
    told(cut, flavor.name);
    if flavor.overlay {
        summary(flavor.name, &before, &report.total, begun.elapsed());
    }
    Ok(())
}

fn summary(name: &str, before: &Tally, after: &Tally, time: Duration) {
    println!(
        "# {name}: {} recordings, {} states, {} mounts ({} went on), {} violations, {:.0} s",
        after.recordings - before.recordings,
        after.states - before.states,
        after.mounts - before.mounts,
        after.writable - before.writable,
        after.violations - before.violations,
        time.as_secs_f64()
    );
}

/// Until the time is over: more tearing and new random numbers, and every file system with its options.
pub fn soak(lab: &mut Lab, report: &mut Report, time: Duration) -> io::Result<()> {
    let until = Instant::now() + time;
    lab.depth.all_subsets = 8;
    lab.depth.random = 64;
    lab.depth.torn = 4;
    lab.writable_every = 3;
    lab.most = 300;
    lab.may_skip = true;
    let mut flavors: Vec<Flavor> = MAIN.iter().chain([&OVERLAY]).chain(&MATRIX).copied().collect();
    let sized = [("4095 bytes", 4095), ("4096 bytes", 4096), ("4097 bytes", 4097), ("1 MiB", 1 << 20)];
    // The second version of them is the one with that length on disk, header included.
    let sized = sized.map(|(name, len)| Workload { name, len: len - HEADER_AND_STEP, ..SAVE });
    let mut workloads: Vec<Workload> = ALL.into_iter().chain(sized).chain([STRICT]).collect();
    while Instant::now() < until {
        shuffle(&mut flavors, lab);
        for (n, flavor) in flavors.iter().enumerate() {
            let (begun, before) = (Instant::now(), report.total.clone());
            let share = until.saturating_duration_since(begun) / (flavors.len() - n) as u32;
            if share.is_zero() {
                println!("# WARNING: no time for {} and what would have come after it", flavor.name);
                break;
            }
            shuffle(&mut workloads, lab);
            let mut cut = explore(lab, report, flavor, &workloads, begun + share * 45 / 100)?;
            let random: Vec<_> = (0..5).map(|_| histories::random(&mut lab.random)).collect();
            cut += histories::explore(lab, report, flavor, &random, begun + share * 65 / 100)?;
            cut += explore(lab, report, &flavor.large(), &LARGE, begun + share * 75 / 100)?;
            let faulty = [STRICT, KEEP, SAVE][lab.random.below(3) as usize];
            faults::run(lab, report, flavor, &faulty, begun + share)?;
            told(cut, flavor.name);
            summary(flavor.name, &before, &report.total, begun.elapsed());
        }
    }
    Ok(())
}

/// 256 bytes of header, and 200 that version 2 is longer than version 0.
const HEADER_AND_STEP: usize = 456;

fn shuffle<T>(items: &mut [T], lab: &mut Lab) {
    for n in (1..items.len()).rev() {
        items.swap(n, lab.random.below(n as u32 + 1) as usize);
    }
}
