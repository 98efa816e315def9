//! The persistence model: routines of the library are recorded through the hook table, every state that a
//! power cut may leave is worked out, made real in a directory and read by the real library.
//!
//! The model is an assumption about disks (see states.rs); tests on real file systems are the evidence for it.
//! Run `cargo test --test model -- --nocapture` to see the counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod alternate;
mod batch;
mod history;
mod in_place;
mod judge;
mod removal;
mod states;
mod streams;
mod synced_writes;
mod trace;

use judge::*;
use states::{Model, each};
use std::ptr::null_mut;
use std::time::Instant;
use steadfast::ffi::lock::*;
use steadfast::hooks::{
    STEADFAST_ABSENT_LINK, STEADFAST_ABSENT_MAP, STEADFAST_ABSENT_O_TMPFILE, STEADFAST_ABSENT_RENAMEAT2, STEADFAST_ABSENT_XATTR,
};
use steadfast::status::{STEADFAST_E_NOT_SAVED_DURABLY, STEADFAST_LOCK_REMOVED, STEADFAST_NOT_DURABLE};
use trace::*;

const STRICT: u32 = 1 << 0;
const KEEP_PREVIOUS: u32 = 1 << 1;
const IF_GENERATION: u32 = 1 << 2;
const CREATE_PARENTS: u32 = 1 << 4;
const ALTERNATE: u32 = 1 << 5;
const NO_SYNC: u32 = 1 << 6;
const PLAIN: u32 = 1 << 8;
const IN_PLACE: u32 = 1 << 11;

/// What is saved, and with which flags: the first save, and two more.
fn record_saves(below: &str, flags: u32, absent: u32, mutant: Mutant) -> (Box<Recorder>, Scratch) {
    let scratch = Scratch::new();
    let mut recorder = Recorder::new(&scratch.0, mutant);
    let context = recorder.context(absent);
    let path = scratch.0.join(below);
    for n in 1..=3 {
        recorder.events.push(Event::Begun(n));
        let generation = if flags & IF_GENERATION != 0 { n - 1 } else { 0 };
        let code = save(context.0, &path, n, flags, generation);
        assert_eq!(code, 0, "save {n} of the recording");
        recorder.events.push(Event::Acknowledged(n));
    }
    drop(context);
    (recorder, scratch)
}

fn explore_saves(below: &str, flags: u32, absent: u32, mutant: Mutant, model: Model) -> Result<u64, String> {
    let (recorder, _scratch) = record_saves(below, flags, absent, mutant);
    let (count, result) = each(&recorder, model, |state| check_state(state, below, flags, absent));
    result.map(|()| count)
}

const SAVES: [(&str, &str, u32, u32); 10] = [
    ("plain", "state", 0, 0),
    ("STRICT", "state", STRICT, 0),
    ("KEEP_PREVIOUS", "state", KEEP_PREVIOUS, 0),
    ("KEEP_PREVIOUS, no links", "state", KEEP_PREVIOUS, STEADFAST_ABSENT_LINK),
    ("IF_GENERATION", "state", IF_GENERATION, 0),
    ("IF_GENERATION, KEEP_PREVIOUS", "state", IF_GENERATION | KEEP_PREVIOUS, 0),
    ("CREATE_PARENTS", "a/b/state", CREATE_PARENTS, 0),
    ("PLAIN", "state", PLAIN, 0),
    ("PLAIN, KEEP_PREVIOUS", "state", PLAIN | KEEP_PREVIOUS, 0),
    ("PLAIN, IF_GENERATION", "state", PLAIN | IF_GENERATION, 0),
];

#[test]
fn saves_survive_a_power_cut() {
    for (label, below, flags, absent) in SAVES {
        for model in [Model::AnySubset, Model::InOrder] {
            let begun = Instant::now();
            let result = explore_saves(below, flags, absent, Mutant::None, model);
            let seconds = begun.elapsed().as_secs_f64();
            match result {
                Ok(count) => println!("model: three saves, {label:<32} {model:?}: {count:>6} states, all good, {seconds:.2} s"),
                Err(text) => panic!("three saves, {label}, {model:?}: {text}"),
            }
        }
    }
}

/// Two good saves, then one whose file syncs fail: once, so that the second inode is good, or both times.
fn record_failing(flags: u32, failing: u32) -> (Box<Recorder>, Scratch) {
    let (mut recorder, scratch) = record_saves("state", flags, 0, Mutant::None);
    let context = recorder.context(0);
    let path = scratch.0.join("state");
    let strict = flags & STRICT != 0;
    let expected = match (failing, strict) {
        (1, _) => 0,
        (_, true) => STEADFAST_E_NOT_SAVED_DURABLY,
        (_, false) => STEADFAST_NOT_DURABLE,
    };
    if expected == STEADFAST_NOT_DURABLE {
        recorder.events.push(Event::Reserved);
    }
    recorder.events.push(Event::Begun(4));
    recorder.failing = failing;
    assert_eq!(save(context.0, &path, 4, flags, 0), expected, "the save on a failing disk");
    recorder.failing = 0;
    if expected == 0 {
        recorder.events.push(Event::Acknowledged(4));
    }
    drop(context);
    (recorder, scratch)
}

#[test]
fn failing_syncs_lose_nothing_that_was_acknowledged() {
    for (label, flags) in [("plain", 0), ("STRICT", STRICT), ("KEEP_PREVIOUS", KEEP_PREVIOUS)] {
        for failing in [1, 2] {
            for model in [Model::AnySubset, Model::InOrder] {
                // Without a working sync only a journal orders the two renames that keep the previous state and
                // publish the new one; the result, NOT_DURABLE, says so.
                if failing == 2 && flags & STRICT == 0 && model == Model::AnySubset {
                    continue;
                }
                let (recorder, _scratch) = record_failing(flags, failing);
                let (count, result) = each(&recorder, model, |state| check_state(state, "state", flags, 0));
                match result {
                    Ok(()) => println!("model: {failing} failing syncs, {label:<16} {model:?}: {count:>4} states, all good"),
                    Err(text) => panic!("{failing} failing syncs, {label}, {model:?}: {text}"),
                }
            }
        }
    }
}

fn record_unsynced(flags: u32, mutant: Mutant) -> (Box<Recorder>, Scratch) {
    let scratch = Scratch::new();
    let mut recorder = Recorder::new(&scratch.0, mutant);
    let context = recorder.context(0);
    recorder.events.push(Event::Reserved);
    for n in 1..=2 {
        recorder.events.push(Event::Begun(n));
        assert_eq!(save(context.0, &scratch.0.join("state"), n, flags, 0), STEADFAST_NOT_DURABLE);
    }
    drop(context);
    (recorder, scratch)
}

/// Nothing is promised but that no load takes damage for a state, and that the next save goes well.
#[test]
fn without_syncs_damage_is_told() {
    let unsynced =
        [("NO_SYNC", NO_SYNC), ("NO_SYNC, KEEP_PREVIOUS", NO_SYNC | KEEP_PREVIOUS), ("PLAIN, NO_SYNC", PLAIN | NO_SYNC)];
    for (label, flags) in unsynced {
        let (recorder, _scratch) = record_unsynced(flags, Mutant::None);
        for model in [Model::AnySubset, Model::InOrder] {
            let next = flags & !NO_SYNC;
            let (count, result) = each(&recorder, model, |state| check_state(state, "state", next, 0));
            match result {
                Ok(()) => println!("model: two saves, {label}, {model:?}: {count} states, damage always told"),
                Err(text) => panic!("two saves, {label}, {model:?}: {text}"),
            }
        }
    }
}

#[test]
fn mutants_of_save_are_killed() {
    let mutants = [
        ("no file sync", 0, Mutant::NoFileSync),
        ("no directory sync", 0, Mutant::NoDirectorySync),
        ("directory synced before the rename", 0, Mutant::SyncBeforeRename),
        ("previous generation made by rename", KEEP_PREVIOUS, Mutant::PreviousByRename),
    ];
    for (label, flags, mutant) in mutants {
        for model in [Model::AnySubset, Model::InOrder] {
            let result = explore_saves("state", flags, 0, mutant, model);
            let Err(text) = result else { panic!("mutant survives: {label}, {model:?}") };
            println!("model: mutant killed: {label}, {model:?}: {text}");
        }
    }
}

#[test]
fn mutants_of_the_attribute_are_killed() {
    // Whose journal keeps the order does not show it.
    let Err(text) = explore_saves("state", PLAIN, 0, Mutant::AttributeLate, Model::AnySubset) else {
        panic!("mutant survives: the attribute after the sync")
    };
    println!("model: mutant killed: the attribute after the sync: {text}");
    for model in [Model::AnySubset, Model::InOrder] {
        let (recorder, _scratch) = record_unsynced(PLAIN | NO_SYNC, Mutant::AttributeFirst);
        let (_, result) = each(&recorder, model, |state| check_state(state, "state", PLAIN, 0));
        match result {
            Err(text) if text.contains("CHANGED") => {
                println!("model: mutant killed: the attribute before the content, {model:?}: {text}");
            }
            other => panic!("mutant survives: the attribute before the content, {model:?}: {other:?}"),
        }
    }
}

/// Takes the lock and, if asked, releases it.
fn record_lock(absent: u32, release: bool) -> (Box<Recorder>, Scratch) {
    let scratch = Scratch::new();
    let mut recorder = Recorder::new(&scratch.0, Mutant::None);
    let context = recorder.context(absent);
    let path = c_path(&scratch.0.join("lock"));
    let mut lock = null_mut();
    let code = unsafe { steadfast_lock_acquire(context.0, path.as_ptr(), 0, std::ptr::null(), &mut lock, null_mut()) };
    assert_eq!(code, 0, "acquire of the recording");
    let events = recorder.events.len();
    let code = unsafe { steadfast_lock_release(lock, null_mut()) };
    assert_eq!(code, 0, "release of the recording");
    if !release {
        recorder.events.truncate(events);
    }
    drop(context);
    (recorder, scratch)
}

#[test]
fn locks_never_lock_out_after_a_power_cut() {
    let platforms = [
        ("all there", 0),
        ("no xattr", STEADFAST_ABSENT_XATTR),
        ("no O_TMPFILE", STEADFAST_ABSENT_O_TMPFILE),
        ("no O_TMPFILE, renameat2", STEADFAST_ABSENT_O_TMPFILE | STEADFAST_ABSENT_RENAMEAT2),
    ];
    for (label, absent) in platforms {
        for release in [false, true] {
            for model in [Model::AnySubset, Model::InOrder] {
                let (recorder, _scratch) = record_lock(absent, release);
                let (count, result) = each(&recorder, model, |state| check_lock(state, absent));
                let what = if release { "acquire, release" } else { "acquire" };
                match result {
                    Ok(()) => println!("model: {what}, {label:<26} {model:?}: {count:>4} states, all good"),
                    Err(text) => panic!("{what}, {label}, {model:?}: {text}"),
                }
            }
        }
    }
}

/// Cleaning has one change: the name is there or it is not.
#[test]
fn cleaning_survives_a_power_cut() {
    let scratch = Scratch::new();
    let mut recorder = Recorder::new(&scratch.0, Mutant::None);
    let path = c_path(&scratch.0.join("lock"));
    // Its flock must go while this process lives on.
    let context = recorder.context(STEADFAST_ABSENT_MAP);
    let mut lock = null_mut();
    let code = unsafe { steadfast_lock_acquire(context.0, path.as_ptr(), 0, std::ptr::null(), &mut lock, null_mut()) };
    assert_eq!(code, 0, "acquire of the recording");
    recorder.events.extend([Event::SyncFile(0), Event::SyncDirectory(0)]);
    recorder.drop_flocks();
    let before = recorder.events.len();
    let code = unsafe { steadfast_lock_clean_stale(context.0, path.as_ptr(), std::ptr::null(), null_mut()) };
    assert_eq!(code, STEADFAST_LOCK_REMOVED, "clean_stale of the recording");
    assert_eq!(recorder.events.len(), before + 1, "cleaning changes one thing");
    let (count, result) = each(&recorder, Model::AnySubset, |state| check_lock(state, 0));
    unsafe { steadfast_lock_release(lock, null_mut()) };
    drop(context);
    match result {
        Ok(()) => println!("model: acquire, death, clean_stale: {count} states, all good"),
        Err(text) => panic!("clean_stale: {text}"),
    }
}

/// The same records without our mark in the mode: what an ordinary program leaves. An empty one locks its
/// users out, which the model must see.
#[test]
fn mutant_of_the_lock_record_is_killed() {
    for absent in [0, STEADFAST_ABSENT_O_TMPFILE] {
        let (mut recorder, _scratch) = record_lock(absent, false);
        recorder.modes.iter_mut().for_each(|mode| *mode &= 0o777);
        let (_, result) = each(&recorder, Model::InOrder, |state| check_lock(state, absent));
        let Err(text) = result else { panic!("mutant survives: a lock record without a mark") };
        println!("model: mutant killed: a lock record without a mark: {text}");
    }
}
