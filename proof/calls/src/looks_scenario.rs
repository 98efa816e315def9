//! The histories in which a look fails, and what must hold then.

use crate::fault::{self, Fault, Outcome, Run};
use crate::looks::{Both, left};
use crate::named::E_INDETERMINATE;
use crate::scenario::Maker;
use crate::tracee::Filter;
use crate::tree::{self, Tree};
use std::collections::BTreeMap;

/// One process, after what others have left.
pub struct Alone {
    pub name: String,
    pub operation: &'static str,
    pub before: Tree,
    pub lock: bool,
}

impl Alone {
    /// `usual`, `free`: without the error.
    pub fn judge(&self, usual: &Outcome, free: &Run, outcome: &Outcome, run: &Run) -> Result<(), String> {
        if outcome.status == usual.status {
            let (mut is, mut right) = (left(&run.at_end), left(&free.at_end));
            // Which name the newer one has, does not matter where the two take turns.
            if self.operation.contains("alternate") {
                is.sort_unstable();
                right.sort_unstable();
            }
            if is != right {
                return Err(format!("status {}, but {is:?} is left instead of {right:?}", outcome.status));
            }
            if outcome.on_disk != usual.on_disk {
                return Err(format!("on_disk {} instead of {}", outcome.on_disk, usual.on_disk));
            }
        } else if outcome.status == E_INDETERMINATE && outcome.on_disk == 2 {
            let (is, was, right) = (left(&run.at_end)[0], left(&self.before)[0], left(&free.at_end)[0]);
            if is != was && is != right {
                return Err(format!("it cannot be determined, and {is:?} is there"));
            }
        } else {
            // Which error it is, the layer of single calls compares.
            if outcome.status >= 0 || outcome.on_disk != 0 {
                return Err(format!("status {}, on_disk {}: {}", outcome.status, outcome.on_disk, outcome.message));
            }
            let (is, was) = (left(&run.at_end), left(&self.before));
            // PATH.prev may be left without anything that could be taken for a state.
            if is[0] != was[0] || is[1].is_some() && is[1] != was[1] {
                return Err(format!("a save that failed left {is:?} of {was:?}"));
            }
        }
        if run.status != 0 { Err(format!("the next call in the same process failed: {:#x}", run.status)) } else { Ok(()) }
    }

    pub fn judge_lock(&self, usual: &Outcome, outcome: &Outcome, run: &Run) -> Result<(), String> {
        let ours = run.at_end.get("lock").is_some_and(|file| file.bytes == format!("{}\n", run.pid).into_bytes());
        match outcome.status {
            status if status == usual.status => {}
            // Kept: it cannot be known.
            3 => {}
            status if status < 0 => {}
            status => return Err(format!("status {status}: {}", outcome.message)),
        }
        if self.operation == "acquire" && ours != (outcome.status == 0) {
            return Err(format!("status {}, and the lock file is {}ours", outcome.status, if ours { "" } else { "not " }));
        }
        Ok(())
    }
}

/// What savers leave that were killed at each of their calls: each different thing once.
fn killed(maker: &Maker, filter: &Filter, operation: &str, before: &Tree) -> Result<Vec<Tree>, String> {
    let directory = maker.directory;
    let text = directory.to_str().expect("a path");
    let mut all = BTreeMap::new();
    for k in 0.. {
        tree::put(directory, before, None);
        let run = fault::run_with(filter, &[maker.subject, operation, text, "k", "only"], directory, Fault::Kill { k })?;
        if run.outcome.is_some() {
            break;
        }
        let look = |(name, file): (&String, &tree::File)| format!("{name} {:?} {}", tree::content(file), file.bytes.len());
        let looks: Vec<String> = run.after.iter().map(look).collect();
        all.entry(looks).or_insert(run.after);
    }
    Ok(all.into_values().collect())
}

pub fn alone(maker: &Maker, filter: &Filter) -> Result<Vec<Alone>, String> {
    let mut all: Vec<Alone> = vec![];
    let mut add = |name: &str, operation, before: &Tree| {
        all.push(Alone { name: name.into(), operation, before: before.clone(), lock: false });
    };
    let both = maker.saved();
    let text = maker.directory.to_str().expect("a path");
    tree::put(maker.directory, &both, None);
    maker.one(&["save-no-sync", text, "8"]);
    let unsynced = tree::take(maker.directory);
    let mut damaged = both.clone();
    damaged.get_mut("state").expect("it was saved").bytes[300] ^= 1;
    let mut lost = both.clone();
    lost.remove("state");
    add("save", "save", &both);
    add("save, KEEP_PREVIOUS", "save-previous", &both);
    add("save, IF_GENERATION", "save-swap", &both);
    add("save, NO_SYNC and KEEP_PREVIOUS", "save-no-sync-previous", &both);
    add("save, KEEP_PREVIOUS, after NO_SYNC", "save-previous", &unsynced);
    add("save, NO_SYNC and KEEP_PREVIOUS, after NO_SYNC", "save-no-sync-previous", &unsynced);
    for (what, tree) in [("damaged", &damaged), ("lost", &lost)] {
        add(&format!("save, {what}"), "save", tree);
        add(&format!("save, KEEP_PREVIOUS, {what}"), "save-previous", tree);
    }
    for (n, tree) in killed(maker, filter, "save-previous", &both)?.iter().enumerate() {
        add(&format!("save, after a killed one, {n}"), "save", tree);
        add(&format!("save, KEEP_PREVIOUS, after a killed one, {n}"), "save-previous", tree);
    }
    let plain = maker.saved_plain();
    add("save, PLAIN, KEEP_PREVIOUS", "save-plain-previous", &plain);
    for (n, tree) in killed(maker, filter, "save-plain-swap", &plain)?.iter().enumerate().step_by(2) {
        add(&format!("save, PLAIN, IF_GENERATION, after a killed one, {n}"), "save-plain-swap", tree);
    }
    let turns = maker.saved_in_turn(7);
    add("save, ALTERNATE", "save-alternate", &turns);
    for (n, tree) in killed(maker, filter, "save-alternate", &turns)?.iter().enumerate() {
        add(&format!("save, ALTERNATE, after a killed one, {n}"), "save-alternate", tree);
    }
    let left = maker.left();
    for (name, operation) in [("acquire, a dead lock", "acquire"), ("clean_stale, a dead lock", "clean")] {
        all.push(Alone { name: name.into(), operation, before: left.clone(), lock: true });
    }
    Ok(all)
}

/// Two processes.
pub struct Beside {
    pub name: &'static str,
    pub before: Tree,
    pub first: &'static str,
    pub second: &'static str,
    /// The second one stays where it has ended, alive.
    pub lives: bool,
    pub judge: fn(&Both) -> Result<(), String>,
    /// Only a mutant can do it.
    pub of_a_mutant: bool,
}

fn done(outcome: &Outcome) -> bool {
    outcome.status >= 0
}

/// Who was told that it is done finds his state, or that of the other one, who was told so too.
fn saved(both: &Both) -> Result<(), String> {
    let (first, second) = (done(&both.first), done(&both.second));
    let [state, previous] = left(&both.after);
    let letter = state.map(|(_, letter, _)| letter);
    let right = match (first, second) {
        (false, false) => letter == Some(b'7'),
        _ => letter == Some(b'a') && first || letter == Some(b'b') && second,
    };
    let told = format!("told {} and {}", both.first.status, both.second.status);
    if !right {
        return Err(format!("{told}, and the state is {:?}", letter.map(char::from)));
    }
    let busy = |outcome: &Outcome| outcome.status < 0 && outcome.on_disk != 0;
    if busy(&both.first) || busy(&both.second) {
        return Err(format!("{told}: on_disk {} and {}", both.first.on_disk, both.second.on_disk));
    }
    match previous {
        // An unsynced one is never in the place of a durable one.
        Some((_, kept, true)) => Err(format!("PATH.prev is {:?}, unsynced", kept as char)),
        Some((_, b'6' | b'7' | b'a' | b'b', false)) => Ok(()),
        other => Err(format!("PATH.prev is {other:?}")),
    }
}

/// The same, and one that kept the previous state has moved on from what was there.
fn kept(both: &Both) -> Result<(), String> {
    saved(both)?;
    let previous = left(&both.after)[1].map(|(_, letter, _)| letter);
    match (done(&both.first) || done(&both.second), previous) {
        (true, Some(b'6') | None) => Err(format!("the previous state was not kept: PATH.prev is {previous:?}")),
        _ => Ok(()),
    }
}

/// The same of two files that take turns, of which the newer one is the state.
fn in_turn(both: &Both) -> Result<(), String> {
    let name = tree::newest(&both.after, "state");
    let letter = both.after.get(&name).and_then(tree::content).map(|(_, letter)| letter);
    let (first, second) = (done(&both.first), done(&both.second));
    let perhaps = |outcome: &Outcome| outcome.status == E_INDETERMINATE;
    let right = match letter {
        Some(b'a') => first || perhaps(&both.first),
        Some(b'b') => second || perhaps(&both.second),
        letter => letter == Some(b'7') && !first && !second,
    };
    let told = format!("told {} and {}", both.first.status, both.second.status);
    if right { Ok(()) } else { Err(format!("{told}, and the state is {:?}", letter.map(char::from))) }
}

fn swapped(both: &Both) -> Result<(), String> {
    saved(both)?;
    if done(&both.first) && done(&both.second) { Err("both have swapped".into()) } else { Ok(()) }
}

/// Never both; and who has it is named in it.
fn locked(both: &Both) -> Result<(), String> {
    if both.first.status == 0 && both.second.status == 0 {
        return Err("both hold the lock".into());
    }
    let named = both.after.get("lock").map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
    for (outcome, pid) in [&both.first, &both.second].into_iter().zip(both.pids) {
        if outcome.status == 0 && named.as_deref() != Some(&format!("{pid}\n")) {
            return Err(format!("{pid} was told that it holds the lock, which says {named:?}"));
        }
    }
    Ok(())
}

/// A cleaner and one who takes the lock.
fn cleaned(both: &Both) -> Result<(), String> {
    let named = both.after.get("lock").map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
    let holds = both.second.status == 0;
    if holds && named.as_deref() != Some(&format!("{}\n", both.pids[1])) {
        return Err(format!("clean_stale said {}, and the live lock says {named:?}", both.first.status));
    }
    Ok(())
}

pub fn beside(maker: &Maker) -> Vec<Beside> {
    let (both, plain, turns, left) = (maker.saved(), maker.saved_plain(), maker.saved_in_turn(7), maker.left());
    let saves = |name, first, second, judge| Beside {
        name,
        before: both.clone(),
        first,
        second,
        lives: false,
        judge,
        of_a_mutant: false,
    };
    let locks = |name, first, judge| Beside {
        name,
        before: left.clone(),
        first,
        second: "acquire",
        lives: true,
        judge,
        of_a_mutant: false,
    };
    vec![
        saves("previous beside previous", "save-previous", "save-previous", kept),
        saves("save beside previous", "save", "save-previous", saved),
        saves("previous beside save", "save-previous", "save", saved),
        saves("swap beside swap", "save-swap", "save-swap", swapped),
        Beside { before: plain.clone(), ..saves("plain swap beside plain swap", "save-plain-swap", "save-plain-swap", swapped) },
        Beside { before: plain, ..saves("plain previous beside plain", "save-plain-previous", "save-plain", saved) },
        saves("no sync beside previous", "save-no-sync-previous", "save-previous", kept),
        saves("previous beside no sync", "save-previous", "save-no-sync-previous", kept),
        Beside { before: turns.clone(), ..saves("in turn beside in turn", "save-alternate", "save-alternate", in_turn) },
        Beside { before: turns.clone(), ..saves("in turn beside save", "save-alternate", "save", in_turn) },
        Beside { before: turns, ..saves("previous beside in turn", "save-previous", "save-alternate", in_turn) },
        Beside { before: both.clone(), ..saves("save beside the first in turn", "save", "save-alternate", in_turn) },
        locks("acquire beside acquire, a dead lock", "acquire", locked),
        locks("clean_stale beside acquire, a dead lock", "clean", cleaned),
        Beside { of_a_mutant: true, ..saves("recycle beside previous", "save-recycle", "save-previous", saved) },
    ]
}
