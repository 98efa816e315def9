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

fn explore(mut search: Search, of: &str, (one_in, threes): (u64, u64), seed: u64) {
    search.one_in = one_in;
    let mut bad = 0;
    search.beginnings.iter().for_each(|beginning| search.pairs(*beginning));
    bad += search.report(&format!("{of}: two saves, the first in trouble"));
    search.beginnings.iter().for_each(|beginning| search.overlapping(*beginning));
    bad += search.report(&format!("{of}: two savers at once"));
    search.random(seed, |histories| histories < threes);
    bad += search.report(&format!("{of}: three saves at random, seed {seed}"));
    assert_eq!(bad, 0, "kinds of violations");
}

fn explore_records(who: Who, model: Model, depth: (u64, u64), seed: u64) {
    explore(Search::new(who, Mutant::None, model), "records", depth, seed);
}

fn explore_without_hard_links(model: Model, one_in: u64) {
    let mut search = Search::new(Who::Library, Mutant::None, model);
    search.one_in = one_in;
    search.absent = STEADFAST_ABSENT_LINK;
    search.pairs(search.beginnings[2]);
    assert_eq!(search.report("records, without hard links"), 0, "kinds of violations");
}

fn explore_plain_files(model: Model) {
    explore(Search::of_plain_files(Mutant::None, model), "plain files", PLAIN_FILES, 1);
}

fn explore_alternating(who: Who, model: Model) {
    explore(Search::of_alternating(who, Mutant::None, model), "alternating", ALTERNATING, 1);
}

#[test]
fn alternating_states_in_any_order() {
    explore_alternating(Who::Library, Model::AnySubset);
}

#[test]
fn alternating_states_in_order() {
    explore_alternating(Who::Library, Model::InOrder);
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
    MODELS.into_iter().for_each(|model| explore_alternating(Who::Saver(Fault::None), model));
}

#[test]
fn mutants_of_a_saver_of_alternating_states_are_killed() {
    for (fault, says, beginning) in ALTERNATING_FAULTS {
        hunt(Search::of_alternating, (Who::Saver(fault), Mutant::None), says, beginning);
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
        hunt(Search::of_alternating, (Who::Library, mutant), says, beginning);
    }
}

#[test]
fn plain_files_in_any_order() {
    explore_plain_files(Model::AnySubset);
}

#[test]
fn plain_files_in_order() {
    explore_plain_files(Model::InOrder);
}

#[test]
fn what_was_told_stays_true_in_any_order() {
    explore_records(Who::Library, Model::AnySubset, LIBRARY, 1);
}

#[test]
fn what_was_told_stays_true_in_order() {
    explore_records(Who::Library, Model::InOrder, LIBRARY, 1);
}

#[test]
fn what_was_told_stays_true_without_hard_links() {
    MODELS.into_iter().for_each(|model| explore_without_hard_links(model, LIBRARY.0));
}

/// The judge is not too strict: a saver that keeps the contract in the plainest way passes.
#[test]
fn a_right_saver_passes() {
    MODELS.into_iter().for_each(|model| explore_records(Who::Saver(Fault::None), model, CONTROL, 1));
}

/// A way to search, for one of who saves, what is spoilt, and the order of the disk.
type Searching = fn(Who, Mutant, Model) -> Search;

/// Searches until a violation says what is expected.
fn hunt(searching: Searching, (who, mutant): (Who, Mutant), says: &'static str, beginning: usize) {
    let what = if let Who::Saver(fault) = who { format!("{fault:?}") } else { format!("{mutant:?}") };
    for model in MODELS {
        let begun = Instant::now();
        let mut search = searching(who, mutant, model);
        search.hunt_for(says);
        let beginning = search.beginnings[beginning];
        // Two savers at once show these, and no saver alone.
        if !matches!(who, Who::Saver(Fault::SwapWithoutLock | Fault::LocksSlot)) {
            search.pairs(beginning);
        }
        if search.found().is_none() {
            search.overlapping(beginning);
        }
        let Some(how) = search.found() else { panic!("mutant survives: {what}, {model:?}") };
        println!("model: mutant killed: {what}, {model:?}, {:.1} s: {how}", begun.elapsed().as_secs_f64());
    }
}

#[test]
fn mutants_of_a_saver_are_killed() {
    for (fault, says, beginning) in FAULTS {
        hunt(Search::new, (Who::Saver(fault), Mutant::None), says, beginning);
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
        hunt(Search::new, (Who::Library, mutant), says, 2);
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
            search.beginnings.iter().skip(1).for_each(|beginning| search.pairs(*beginning));
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
        explore_records(Who::Library, model, (1, 0), seed);
        explore_without_hard_links(model, 1);
        let until = Instant::now() + Duration::from_secs(seconds) / 2;
        let mut search = Search::new(Who::Library, Mutant::None, model);
        search.random(seed, |_| Instant::now() < until);
        assert_eq!(search.report(&format!("three saves at random, seed {seed}")), 0, "kinds of violations");
    }
}
