//! Histories: two and three saves in a row, by one saver or several, each in its own way; a call of one of them fails, or its
//! process dies at it, or another saver comes meanwhile. Then the next save, which the power cut meets at every point. What
//! each call was told must hold in every state in which the disk can then be.
//!
//! STEADFAST_SOAK=SECONDS tries histories of three troubled saves at random, for so long.

mod actor;
mod after;
mod cuts;
mod disguise;
mod fault;
mod plan;
mod promise;
mod record;
mod saver;
mod search;
mod stage;
mod words;

use crate::states::Model;
use crate::trace::Mutant;
use fault::{ALTERNATING_FAULTS, FAULTS, Fault};
use plan::{BEGINNINGS, PLAIN_BEGINNINGS};

use search::Search;
use stage::Who;
use std::time::{Duration, Instant};
use steadfast::hooks::STEADFAST_ABSENT_LINK;

const MODELS: [Model; 2] = [Model::InOrder, Model::AnySubset];

/// How deep: of the histories with a second save one in so many, and so many of three saves.
const LIBRARY: (u64, u64) = (4, 250);
const PLAIN_FILES: (u64, u64) = (4, 80);
const ALTERNATING: (u64, u64) = (81, 40);
const CONTROL: (u64, u64) = (16, 60);

fn explore(who: Who, model: Model, (one_in, threes): (u64, u64), seed: u64) {
    let mut search = Search::new(who, Mutant::None, model);
    search.one_in = one_in;
    let mut bad = 0;
    for beginning in BEGINNINGS {
        search.pairs(beginning);
    }
    bad += search.report("two saves, the first in trouble");
    if who == Who::Library {
        search.absent = STEADFAST_ABSENT_LINK;
        search.pairs(BEGINNINGS[2]);
        search.absent = 0;
        bad += search.report("the same without hard links");
    }
    for beginning in BEGINNINGS {
        search.overlapping(beginning);
    }
    bad += search.report("two savers at once");
    search.random(seed, |histories| histories < threes);
    bad += search.report(&format!("three saves at random, seed {seed}"));
    assert_eq!(bad, 0, "kinds of violations");
}

/// The same of plain files.
fn explore_plain_files(model: Model, (one_in, threes): (u64, u64), seed: u64) {
    let mut search = Search::of_plain_files(Mutant::None, model);
    search.one_in = one_in;
    let mut bad = 0;
    for beginning in PLAIN_BEGINNINGS {
        search.pairs(beginning);
    }
    bad += search.report("plain files: two saves, the first in trouble");
    for beginning in PLAIN_BEGINNINGS {
        search.overlapping(beginning);
    }
    bad += search.report("plain files: two savers at once");
    search.random(seed, |histories| histories < threes);
    bad += search.report(&format!("plain files: three saves at random, seed {seed}"));
    assert_eq!(bad, 0, "kinds of violations");
}

/// The same of alternating states.
fn explore_alternating(who: Who, model: Model, (one_in, threes): (u64, u64), seed: u64) {
    let mut search = Search::of_alternating(who, Mutant::None, model);
    search.one_in = one_in;
    let mut bad = 0;
    for beginning in search.beginnings {
        search.pairs(*beginning);
    }
    bad += search.report("alternating: two saves, the first in trouble");
    for beginning in search.beginnings {
        search.overlapping(*beginning);
    }
    bad += search.report("alternating: two savers at once");
    search.random(seed, |histories| histories < threes);
    bad += search.report(&format!("alternating: three saves at random, seed {seed}"));
    assert_eq!(bad, 0, "kinds of violations");
}

#[test]
fn alternating_states_in_any_order() {
    explore_alternating(Who::Library, Model::AnySubset, ALTERNATING, 1);
}

#[test]
fn alternating_states_in_order() {
    explore_alternating(Who::Library, Model::InOrder, ALTERNATING, 1);
}

/// Whoever reads while somebody saves finds the old state or the new one.
#[test]
fn readers_of_alternating_states_find_one() {
    let mut search = Search::of_alternating(Who::Library, Mutant::None, Model::InOrder);
    search.one_in = ALTERNATING.0;
    search.beginnings.iter().for_each(|beginning| search.readers(*beginning));
    assert_eq!(search.report("alternating: a reader at every moment"), 0, "kinds of violations");
    let mut search = Search::of_alternating(Who::Saver(Fault::WritesOverNewer), Mutant::None, Model::InOrder);
    search.hunt_for("a reader finds");
    search.readers(search.beginnings[2]);
    let Some(how) = search.found() else { panic!("mutant survives: WritesOverNewer, beside a reader") };
    println!("model: mutant killed: WritesOverNewer, beside a reader: {how}");
}

/// The judge lets one pass that keeps the contract plainly.
#[test]
fn a_right_saver_of_alternating_states_passes() {
    MODELS.into_iter().for_each(|model| explore_alternating(Who::Saver(Fault::None), model, ALTERNATING, 1));
}

/// Searches until a violation says what is expected.
fn hunt_alternating(what: &str, who: Who, mutant: Mutant, says: &'static str, beginning: usize) {
    for model in MODELS {
        let begun = Instant::now();
        let mut search = Search::of_alternating(who, mutant, model);
        search.hunt_for(says);
        let beginning = search.beginnings[beginning];
        if who != Who::Saver(Fault::LocksSlot) {
            search.pairs(beginning);
        }
        if search.found().is_none() {
            search.overlapping(beginning);
        }
        let Some(how) = search.found() else { panic!("mutant survives: {what}, alternating, {model:?}") };
        println!("model: mutant killed: {what}, alternating, {model:?}, {:.1} s: {how}", begun.elapsed().as_secs_f64());
    }
}

#[test]
fn mutants_of_a_saver_of_alternating_states_are_killed() {
    for (fault, says, beginning) in ALTERNATING_FAULTS {
        hunt_alternating(&format!("{fault:?}"), Who::Saver(fault), Mutant::None, says, beginning);
    }
}

#[test]
fn mutants_of_alternating_states_are_killed() {
    for (mutant, says, beginning) in [
        (Mutant::WriteThenSync, "older than what is acknowledged", 1),
        (Mutant::NoFileSync, "a load gives Damaged", 1),
        (Mutant::NoDirectorySync, "a load", 1),
        (Mutant::NoPairSync, "older than what is acknowledged", 1),
        (Mutant::NoDataSync, "older than what is acknowledged", 1),
    ] {
        hunt_alternating(&format!("{mutant:?}"), Who::Library, mutant, says, beginning);
    }
}

#[test]
fn plain_files_in_any_order() {
    explore_plain_files(Model::AnySubset, PLAIN_FILES, 1);
}

#[test]
fn plain_files_in_order() {
    explore_plain_files(Model::InOrder, PLAIN_FILES, 1);
}

#[test]
fn what_was_told_stays_true_in_any_order() {
    explore(Who::Library, Model::AnySubset, LIBRARY, 1);
}

#[test]
fn what_was_told_stays_true_in_order() {
    explore(Who::Library, Model::InOrder, LIBRARY, 1);
}

/// The judge is not too strict: a saver that keeps the contract in the plainest way passes.
#[test]
fn a_right_saver_passes() {
    MODELS.into_iter().for_each(|model| explore(Who::Saver(Fault::None), model, CONTROL, 1));
}

/// Searches until a violation says what is expected.
fn hunt(what: &str, who: Who, mutant: Mutant, says: &'static str, beginning: usize) {
    for model in MODELS {
        let begun = Instant::now();
        let mut search = Search::hunt(who, mutant, model, says);
        if who != Who::Saver(Fault::SwapWithoutLock) {
            search.pairs(BEGINNINGS[beginning]);
        }
        if search.found().is_none() {
            search.overlapping(BEGINNINGS[beginning]);
        }
        let Some(how) = search.found() else { panic!("mutant survives: {what}, {model:?}") };
        println!("model: mutant killed: {what}, {model:?}, {:.1} s: {how}", begun.elapsed().as_secs_f64());
    }
}

#[test]
fn mutants_of_a_saver_are_killed() {
    for (fault, says, beginning) in FAULTS {
        hunt(&format!("{fault:?}"), Who::Saver(fault), Mutant::None, says, beginning);
    }
}

#[test]
fn mutants_of_the_library_are_killed_by_histories() {
    for (mutant, says) in [
        (Mutant::NoFileSync, "a load gives Damaged"),
        (Mutant::NoDirectorySync, "older than what is acknowledged"),
        (Mutant::SyncBeforeRename, "older than what is acknowledged"),
        (Mutant::PreviousByRename, "a load gives Lost"),
    ] {
        hunt(&format!("{mutant:?}"), Who::Library, mutant, says, 2);
    }
}

#[test]
fn mutants_of_plain_files_are_killed() {
    for (mutant, says) in [
        (Mutant::NoFileSync, "a load gives Damaged"),
        (Mutant::NoDirectorySync, "older than what is acknowledged"),
        // A content that the disk has lost is taken for somebody's.
        (Mutant::AttributeFirst, "a load gives Wrong"),
    ] {
        for model in MODELS {
            let mut search = Search::of_plain_files(mutant, model);
            search.hunt_for(says);
            PLAIN_BEGINNINGS.into_iter().skip(1).for_each(|beginning| search.pairs(beginning));
            let Some(how) = search.found() else { panic!("mutant survives: {mutant:?} of plain files, {model:?}") };
            println!("model: mutant killed: {mutant:?} of plain files, {model:?}: {how}");
        }
    }
}

/// The numbers that stand in words.rs are the library's.
#[test]
fn the_judge_speaks_the_librarys_language() {
    use steadfast::status::*;
    let ours = [
        (words::OLD, STEADFAST_ON_DISK_OLD),
        (words::NEW, STEADFAST_ON_DISK_NEW),
        (words::EITHER, STEADFAST_ON_DISK_EITHER),
        (words::NOT_DURABLE, STEADFAST_NOT_DURABLE),
        (words::E_DIGEST, STEADFAST_E_DIGEST),
        (words::E_FORMAT, STEADFAST_E_FORMAT),
        (words::E_LOST, STEADFAST_E_LOST),
        (words::E_CONFLICT, STEADFAST_E_CONFLICT),
        (words::E_NOT_SAVED_DURABLY, STEADFAST_E_NOT_SAVED_DURABLY),
        (words::E_SAVED_NOT_DURABLE, STEADFAST_E_SAVED_NOT_DURABLE),
        (words::E_INDETERMINATE, STEADFAST_E_INDETERMINATE),
    ];
    assert!(ours.iter().all(|(word, number)| word == number), "{ours:?}");
}

#[test]
fn deeper_histories() {
    let Some(seconds) = std::env::var("STEADFAST_SOAK").ok().and_then(|text| text.parse::<u64>().ok()) else {
        println!("SKIPPED: longer histories of the model, set STEADFAST_SOAK=SECONDS");
        return;
    };
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    for model in MODELS {
        explore(Who::Library, model, (1, 0), seed);
        let until = Instant::now() + Duration::from_secs(seconds) / 2;
        let mut search = Search::new(Who::Library, Mutant::None, model);
        search.random(seed, |_| Instant::now() < until);
        assert_eq!(search.report(&format!("three saves at random, seed {seed}")), 0, "kinds of violations");
    }
}
