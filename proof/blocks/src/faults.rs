//! A device that fails: write k or flush k, once or from then on. What the library then says of the disk must hold
//! in every state that a power cut may leave.

use crate::filesystem::Flavor;
use crate::instrument::Mutant;
use crate::lab::{Fault, Lab, Run, Tally, claimed, counts, errors};
use crate::report::Report;
use crate::workload::*;
use std::io;
use std::time::Instant;

/// Every fault of a run, the thorough ones first: flushes, then writes.
fn faults(writes: u32, flushes: u32) -> Vec<Fault> {
    let mut out = vec![];
    for errno in [libc::EIO, libc::ENOSPC] {
        for for_ever in [false, true] {
            for (kind, count) in [(b'f', flushes), (b'w', writes)] {
                out.extend((1..=count).map(|number| Fault { kind, number, for_ever, errno }));
            }
        }
    }
    out
}

pub fn run(lab: &mut Lab, report: &mut Report, flavor: &Flavor, workload: &Workload, until: Instant) -> io::Result<()> {
    let begun = Instant::now();
    lab.prepare(flavor, workload)?;
    let (writes, flushes) = counts(&lab.record(flavor, workload, &Run::PLAIN)?);
    let all = faults(writes, flushes);
    let mut tally = Tally::default();
    let (mut cut, mut claims) = (0, [0; 3]);
    for (n, fault) in all.iter().enumerate() {
        if n > 0 && Instant::now() > until {
            cut += 1;
            continue;
        }
        let run = Run { fault: Some(*fault), ..Run::PLAIN };
        let log = lab.record(flavor, workload, &run)?;
        let mut found = lab.check(flavor, workload, &run, &log, None)?;
        found.errors = errors(&log);
        for (sum, n) in claims.iter_mut().zip(claimed(&log)) {
            *sum += n;
        }
        tally.add(&found);
    }
    report.faults(flavor.name, workload.name, &tally, claims, cut, begun.elapsed());
    Ok(())
}

/// Routines that take a failed fsync lightly must be caught.
pub fn mutants(lab: &mut Lab, report: &mut Report, flavors: &[Flavor]) -> io::Result<()> {
    let all = [
        ("retry fsync", Mutant::RetrySync),
        ("ignore fsync", Mutant::IgnoreSync),
        ("on_disk says OLD for EITHER", Mutant::ClaimsOld),
        ("on_disk says NEW for EITHER", Mutant::ClaimsNew),
    ];
    for (name, mutant) in all {
        let mut caught = vec![];
        for flavor in flavors {
            let begun = Instant::now();
            lab.prepare(flavor, &ONE_SAVE)?;
            let (writes, flushes) = counts(&lab.record(flavor, &ONE_SAVE, &Run::PLAIN)?);
            let mut tally = Tally::default();
            for fault in faults(writes, flushes).into_iter().filter(|fault| fault.errno == libc::EIO) {
                let run = Run { mutant, fault: Some(fault), ..Run::PLAIN };
                let log = lab.record(flavor, &ONE_SAVE, &run)?;
                tally.add(&lab.check(flavor, &ONE_SAVE, &run, &log, None)?);
            }
            if tally.violations > 0 {
                caught.push(format!("{} ({} states)", flavor.name, tally.violations));
            }
            report.mutant_run(name, flavor.name, &tally, begun.elapsed());
        }
        report.mutant(name, &caught, false);
    }
    Ok(())
}
