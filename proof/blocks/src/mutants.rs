//! What must be caught: a proof that lets these live proves nothing.

use crate::filesystem::Flavor;
use crate::instrument::{Background, Mutant};
use crate::lab::{Lab, Run, Tally, steps};
use crate::report::Report;
use crate::workload::*;
use std::io;
use std::time::Instant;

pub struct Bad {
    pub name: &'static str,
    pub workload: Workload,
    pub mutant: Mutant,
    /// A right one, which must never be caught.
    pub control: bool,
}

const fn of(name: &'static str, workload: Workload, mutant: Mutant) -> Bad {
    Bad { name, workload, mutant, control: false }
}

const fn lock(name: &'static str, how: Foreign) -> Bad {
    of(name, Workload { kind: Kind::ForeignLock(how), ..ACQUIRE }, Mutant::None)
}

pub const ALL: [Bad; 16] = [
    of("no file fsync", SAVE, Mutant::NoFileSync),
    of("no directory fsync", SAVE, Mutant::NoDirectorySync),
    of("no sync at all", SAVE, Mutant::NoSync),
    of("in place", SAVE, Mutant::InPlace),
    of("previous by rename", KEEP, Mutant::PreviousByRename),
    of("previous by unlink and link", KEEP, Mutant::PreviousByUnlink),
    of("previous by exchange", KEEP, Mutant::PreviousByExchange),
    of("writer: no file fsync", STREAM, Mutant::NoFileSync),
    of("in place: no file fsync", IN_PLACE_SAVE, Mutant::NoFileSync),
    of("plain: attribute before the content", PLAIN_UNSYNCED, Mutant::AttributeFirst),
    of("plain: attribute after the syncs", PLAIN_SAVE, Mutant::AttributeLast),
    of("lock without the mark", ACQUIRE, Mutant::LockUnmarked),
    lock("lock by O_EXCL", Foreign::Exclusive),
    lock("lock by O_EXCL and fsync", Foreign::ExclusiveSync),
    lock("lock by link, no fsync", Foreign::Link),
    Bad { control: true, ..lock("lock by link after fsync", Foreign::LinkSync) },
];

/// What large states only can show.
pub const LARGE: [Bad; 3] = [
    of("large: no fsync of a large file", LARGE_SAVES, Mutant::NoLargeSync),
    of("large: a piece after the syncs", LARGE_SAVES, Mutant::LatePiece),
    // The same, of a state that is not large.
    Bad { control: true, ..of("one save: no fsync of a large file", ONE_SAVE, Mutant::NoLargeSync) },
];

/// Runs one until it is caught; true if it was.
fn hunt(lab: &mut Lab, flavor: &Flavor, bad: &Bad, until: Instant, tally: &mut Tally) -> io::Result<Option<Run>> {
    lab.prepare(flavor, &bad.workload)?;
    let mut runs = vec![Run { mutant: bad.mutant, ..Run::PLAIN }];
    let mut count = 0;
    while let Some(run) = runs.pop() {
        if Instant::now() > until {
            break;
        }
        let log = lab.record(flavor, &bad.workload, &run)?;
        let found = lab.check(flavor, &bad.workload, &run, &log, None)?;
        tally.add(&found);
        if found.violations > 0 {
            return Ok(Some(run));
        }
        if count == 0 {
            count = steps(&log);
            // Taken from the end.
            for what in [Background::Sync, Background::Commit] {
                runs.extend((0..count).rev().map(|k| Run { at: Some((what, k)), ..run }));
            }
            runs.push(Run { delay: 2, ..run });
            runs.push(Run { delay: 2, at: Some((Background::Commit, count - 1)), ..run });
        }
    }
    Ok(None)
}

/// All of them, on each file system while there is time.
pub fn all(lab: &mut Lab, report: &mut Report, list: &[Bad], flavors: &[Flavor], until: Instant) -> io::Result<()> {
    for bad in list {
        let mut caught = vec![];
        for flavor in flavors {
            // Once is enough on btrfs, which is slow.
            if Instant::now() > until && !caught.is_empty() || flavor.kind == "btrfs" && (bad.control || !caught.is_empty()) {
                continue;
            }
            let begun = Instant::now();
            let mut tally = Tally::default();
            let limit = if caught.is_empty() { begun + std::time::Duration::from_secs(60) } else { until };
            if let Some(run) = hunt(lab, flavor, bad, limit, &mut tally)? {
                caught.push(format!("{} ({}, {} states)", flavor.name, run.describe(), tally.violations));
            }
            report.mutant_run(bad.name, flavor.name, &tally, begun.elapsed());
        }
        report.mutant(bad.name, &caught, bad.control);
    }
    Ok(())
}
