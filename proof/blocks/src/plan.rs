//! What is explored, in which order, and what the time allows.

use crate::filesystem::{Flavor, MAIN, MATRIX, OVERLAY};
use crate::instrument::{Background, Mutant};
use crate::lab::{Dot, Lab, Run, Tally, calls};
use crate::report::Report;
use crate::workload::*;
use crate::{faults, mutants};
use std::io;
use std::time::{Duration, Instant};

/// All workloads on one file system: without a background commit first, then with one at each step, in turn. Gives
/// the number of recordings that the time did not allow.
pub fn explore(lab: &mut Lab, report: &mut Report, flavor: &Flavor, workloads: &[Workload], until: Instant) -> io::Result<u64> {
    let mut cut = 0;
    for (n, workload) in workloads.iter().enumerate() {
        let begun = Instant::now();
        // What one leaves of its share is for those after it.
        let share = until.saturating_duration_since(begun) / (workloads.len() - n) as u32;
        lab.prepare(flavor, workload)?;
        let (mut tally, steps) = lab.explore(flavor, workload, &Run::PLAIN)?;
        let mut runs: Vec<Run> = vec![];
        for what in [Background::Commit, Background::Sync] {
            runs.extend((0..steps).map(|k| Run { at: Some((what, k)), ..Run::PLAIN }));
        }
        // In an order that leaves no part out when they do not all fit.
        let count = runs.len();
        let stride = [7, 11, 13, 5].into_iter().find(|stride| count % stride != 0).unwrap_or(1);
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

/// What CI runs, in about `budget` seconds.
pub fn standard(lab: &mut Lab, report: &mut Report, budget: Duration) -> io::Result<()> {
    let begun = Instant::now();
    let share = |percent: u32| Instant::now() + budget * percent / 100;
    // What must be caught comes first: the rest gets what it leaves.
    mutants::all(lab, report, share(20))?;
    faults::mutants(lab, report, &MAIN[..2])?;
    for flavor in &MAIN[..2] {
        faults::run(lab, report, flavor, &SAVE, share(5))?;
        faults::run(lab, report, flavor, &KEEP, share(3))?;
    }
    faults::run(lab, report, &MAIN[2], &ONE_SAVE, share(3))?;
    picture(lab, report, &MAIN[0])?;
    let rest = budget.saturating_sub(begun.elapsed());
    for (flavor, percent) in MAIN.iter().chain([&OVERLAY]).zip([25, 30, 35, 10]) {
        let at = Instant::now();
        let before = report.total.clone();
        let workloads: &[Workload] = if flavor.overlay { &[SAVE, KEEP, RECYCLED, ACQUIRE] } else { &ALL };
        let cut = explore(lab, report, flavor, workloads, at + rest * percent / 100)?;
        told(cut, flavor.name);
        summary(flavor.name, &before, &report.total, at.elapsed());
    }
    Ok(())
}

fn summary(name: &str, before: &Tally, after: &Tally, time: Duration) {
    println!(
        "# {name}: {} recordings, {} states, {} mounts, {} of them went on, {} violations, {:.0} s",
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
    let flavors: Vec<Flavor> = MAIN.iter().chain([&OVERLAY]).chain(&MATRIX).copied().collect();
    let sizes: [Workload; 5] = [1, 4095 - 256, 4096 - 256, 4097 - 256, 1 << 20].map(|len| Workload { name: "size", len, ..SAVE });
    loop {
        for (n, flavor) in flavors.iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let end = Instant::now() + left / (flavors.len() - n) as u32;
            let begun = Instant::now();
            let before = report.total.clone();
            let cut = explore(lab, report, flavor, &ALL, begun + (end - begun) * 6 / 10)?
                + explore(lab, report, flavor, &sizes, begun + (end - begun) * 8 / 10)?;
            faults::run(lab, report, flavor, &KEEP, end)?;
            told(cut, flavor.name);
            summary(flavor.name, &before, &report.total, begun.elapsed());
        }
    }
}
