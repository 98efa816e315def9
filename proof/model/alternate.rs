//! Alternating states: each save overwrites the older one of two files. Whatever a power cut leaves of that, a load gives the
//! newest state that was acknowledged, or the one that was being saved.

use super::judge::{Scratch, check_state, save};
use super::states::{Model, each};
use super::trace::{Event, Mutant, Recorder};
use super::{ALTERNATE, IF_GENERATION, KEEP_PREVIOUS, NO_SYNC, STRICT};
use std::time::Instant;
use steadfast::hooks::STEADFAST_ABSENT_LINK;
use steadfast::status::{STEADFAST_E_NOT_SAVED_DURABLY, STEADFAST_NOT_DURABLE};

/// The first two make the files. The others grow, shrink, grow too much, and shrink so much that a new file is made (judge.rs).
const VERSIONS: [u64; 9] = [1, 2, 3, 1004, 1005, 4006, 7007, 8008, 8009];

/// What is saved, one after the other, and with which flags.
fn record(saves: &[(u64, u32)], absent: u32, mutant: Mutant) -> (Box<Recorder>, Scratch) {
    let scratch = Scratch::new();
    let mut recorder = Recorder::new(&scratch.0, mutant);
    let context = recorder.context(absent);
    for (generation, &(n, flags)) in (0..).zip(saves) {
        recorder.events.push(Event::Begun(n));
        let generation = if flags & IF_GENERATION != 0 { generation } else { 0 };
        let code = save(context.0, &scratch.0.join("state"), n, flags, generation);
        assert_eq!(code, 0, "save {n} of the recording");
        recorder.events.push(Event::Acknowledged(n));
    }
    drop(context);
    (recorder, scratch)
}

fn explore(saves: &[(u64, u32)], absent: u32, mutant: Mutant, model: Model) -> Result<u64, String> {
    let (recorder, _scratch) = record(saves, absent, mutant);
    let flags = saves.last().map_or(0, |&(_, flags)| flags);
    let (count, result) = each(&recorder, model, |state| check_state(state, "state", flags, absent));
    result.map(|()| count)
}

#[test]
fn alternating_saves_survive_a_power_cut() {
    let ways = [
        ("ALTERNATE", ALTERNATE, 0),
        ("STRICT", ALTERNATE | STRICT, 0),
        ("IF_GENERATION", ALTERNATE | IF_GENERATION, 0),
        ("no links", ALTERNATE, STEADFAST_ABSENT_LINK),
    ];
    for (label, flags, absent) in ways {
        for model in [Model::AnySubset, Model::InOrder] {
            let begun = Instant::now();
            let saves = VERSIONS.map(|n| (n, flags));
            match explore(&saves, absent, Mutant::None, model) {
                Ok(count) => {
                    let seconds = begun.elapsed().as_secs_f64();
                    println!("model: nine alternating saves, {label:<16} {model:?}: {count:>6} states, all good, {seconds:.2} s");
                }
                Err(text) => panic!("alternating saves, {label}, {model:?}: {text}"),
            }
        }
    }
}

/// Saves of other kinds in between, and after them an alternating state again.
#[test]
fn other_saves_between_alternating_ones_survive_a_power_cut() {
    for (label, other) in [("plain", 0), ("KEEP_PREVIOUS", KEEP_PREVIOUS), ("STRICT", STRICT)] {
        for before in 2..=4 {
            for model in [Model::AnySubset, Model::InOrder] {
                let saves: Vec<_> = (1..=before + 4).map(|n| (n, if n == before + 1 { other } else { ALTERNATE })).collect();
                match explore(&saves, 0, Mutant::None, model) {
                    Ok(count) => {
                        println!("model: {before} alternating saves, {label:<14} {model:?}: {count:>5} states, all good")
                    }
                    Err(text) => panic!("{before} alternating saves and {label}, {model:?}: {text}"),
                }
            }
        }
    }
}

/// The disk fails so many syncs of the last save: that of its write in place, and that of the new file.
fn explore_failing(flags: u32, saves: u64, failing: u32, model: Model) -> Result<u64, String> {
    let first: Vec<_> = (1..=saves).map(|n| (n, flags)).collect();
    let (mut recorder, scratch) = record(&first, 0, Mutant::None);
    let context = recorder.context(0);
    let expected = match (failing, flags & STRICT) {
        (1, _) => 0,
        (_, 0) => STEADFAST_NOT_DURABLE,
        _ => STEADFAST_E_NOT_SAVED_DURABLY,
    };
    recorder.events.push(Event::Begun(saves + 1));
    recorder.failing = failing;
    assert_eq!(save(context.0, &scratch.0.join("state"), saves + 1, flags, 0), expected, "the save on a failing disk");
    recorder.failing = 0;
    if expected == 0 {
        recorder.events.push(Event::Acknowledged(saves + 1));
    }
    drop(context);
    let (count, result) = each(&recorder, model, |state| check_state(state, "state", flags, 0));
    result.map(|()| count)
}

#[test]
fn failing_syncs_of_alternating_saves_lose_nothing() {
    for (label, flags) in [("ALTERNATE", ALTERNATE), ("STRICT", ALTERNATE | STRICT)] {
        for (saves, failing, model) in [3, 4]
            .iter()
            .flat_map(|s| [1, 2].map(|f| (*s, f)))
            .flat_map(|(s, f)| [Model::AnySubset, Model::InOrder].map(|m| (s, f, m)))
        {
            match explore_failing(flags, saves, failing, model) {
                Ok(count) => println!("model: {saves} {label}, {failing} failing syncs, {model:?}: {count:>4} states, all good"),
                Err(text) => panic!("{saves} {label}, {failing} failing syncs, {model:?}: {text}"),
            }
        }
    }
}

#[test]
fn mutants_of_an_alternating_save_are_killed() {
    for (label, mutant) in [("no file sync", Mutant::NoFileSync), ("no directory sync", Mutant::NoDirectorySync)] {
        for model in [Model::AnySubset, Model::InOrder] {
            let result = explore(&VERSIONS.map(|n| (n, ALTERNATE)), 0, mutant, model);
            let Err(text) = result else { panic!("mutant survives: ALTERNATE, {label}, {model:?}") };
            println!("model: mutant killed: ALTERNATE, {label}, {model:?}: {text}");
        }
    }
}

/// A save without a sync leaves the older one of the two as the only one that is on the disk.
#[test]
fn an_unsynced_save_over_an_alternating_state_is_told() {
    let (mut recorder, scratch) = record(&[1, 2, 3, 4].map(|n| (n, ALTERNATE)), 0, Mutant::None);
    let context = recorder.context(0);
    recorder.events.push(Event::Reserved);
    for (n, flags) in [(5, NO_SYNC | KEEP_PREVIOUS), (6, NO_SYNC | KEEP_PREVIOUS | ALTERNATE)] {
        recorder.events.push(Event::Begun(n));
        assert_eq!(save(context.0, &scratch.0.join("state"), n, flags, 0), STEADFAST_NOT_DURABLE);
    }
    drop(context);
    // Without a sync only a journal orders the renames that keep the state and publish the new one.
    let (count, result) = each(&recorder, Model::InOrder, |state| check_state(state, "state", ALTERNATE, 0));
    match result {
        Ok(()) => println!("model: NO_SYNC over an alternating state: {count} states, damage always told"),
        Err(text) => panic!("NO_SYNC over an alternating state: {text}"),
    }
}
