//! What may be seen after a crash at some time, from what was asked for and acknowledged by then.

use crate::device::Entry;
use crate::library::*;
use crate::workload::{Seen, Workload};
use std::collections::BTreeSet;

/// What is allowed at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Allowed {
    /// 0: no file.
    pub versions: BTreeSet<u64>,
    /// A save was asked for and has not returned.
    pub busy: bool,
    /// A save was done with a reservation.
    pub reserved: bool,
}

/// By entry of the log: what is allowed just before it.
pub fn along(log: &[Entry], before: u64) -> Vec<Allowed> {
    let mut now = Allowed { versions: BTreeSet::from([before]), busy: false, reserved: false };
    let mut out = vec![now.clone()];
    for entry in log {
        if let Entry::Mark(text) = entry {
            let text = String::from_utf8_lossy(text);
            let words: Vec<&str> = text.split(' ').collect();
            let number = |n: usize| words.get(n).and_then(|word| word.parse::<i64>().ok()).unwrap_or(0);
            match words[0] {
                "S" => {
                    now.versions.insert(number(1) as u64);
                    now.busy = true;
                }
                "D" => {
                    let version = number(1) as u64;
                    now.busy = false;
                    now.reserved |= number(2) != 0;
                    match number(3) as i32 {
                        NEW => now.versions = BTreeSet::from([version]),
                        OLD => {
                            now.versions.remove(&version);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        out.push(now.clone());
    }
    out
}

/// What is allowed at every moment from `low` to `high`.
pub fn between(along: &[Allowed], low: usize, high: usize) -> Allowed {
    // Entry `low` has happened; `high` (a flush, or the end) is about to.
    let low = (low + 1).min(along.len() - 1);
    let mut all = along[low].clone();
    for next in &along[low..=high.max(low).min(along.len() - 1)] {
        all.versions = all.versions.intersection(&next.versions).copied().collect();
        all.busy |= next.busy;
        all.reserved |= next.reserved;
    }
    all
}

const MISSING: Loaded = Loaded::Code(-libc::ENOENT);

/// None: as it must be. `faulty`: the device failed, and what is damaged may be recovered from the previous state.
pub fn judge(workload: &Workload, allowed: &Allowed, seen: &Seen, faulty: bool) -> Option<String> {
    if let Some(errno) = seen.unmountable {
        return Some(format!("mount: errno {errno}"));
    }
    if let Some(what) = &seen.broken {
        return Some(what.clone());
    }
    if workload.is_lock() {
        for (verdict, boot) in [(seen.lock, "this boot"), (seen.lock_rebooted, "the next boot")] {
            if !matches!(verdict, LOCK_ABSENT | LOCK_STALE) {
                return Some(format!("locked out: verdict {verdict} in {boot}"));
            }
        }
        return None;
    }
    for (loaded, previous) in seen.states.iter().zip(&seen.previous) {
        let version = match *loaded {
            Loaded::Version { version, previous: false } => version,
            Loaded::Version { version, .. } if faulty || workload.is_unsynced() => version,
            // What is being written is damage, and the state before is at PATH.prev.
            Loaded::Version { version, .. } if workload.in_place() && allowed.busy => version,
            Loaded::Code(code) if code == -libc::ENOENT => 0,
            other => return Some(format!("{other:?}")),
        };
        if !allowed.versions.contains(&version) {
            return Some(format!("version {version}, allowed {:?}", allowed.versions));
        }
        if workload.keeps_previous()
            && !faulty
            && let Some(why) = judge_previous(allowed, version, *previous)
        {
            return Some(why);
        }
    }
    None
}

/// Beside a version that was saved with KEEP_PREVIOUS lies the one before it, or the same one on the way.
fn judge_previous(allowed: &Allowed, version: u64, previous: Loaded) -> Option<String> {
    // The first has none.
    let whole = match previous {
        Loaded::Version { version: kept, previous: false } => kept + 1 == version || kept == version && allowed.busy,
        MISSING => version <= 1,
        _ => false,
    };
    if whole { None } else { Some(format!("beside version {version} the previous generation is {previous:?}")) }
}
