//! Writers: whatever a power cut leaves of one, open or committed, a load gives the old state or the new one.

use super::judge::{Scratch, c_path, check_state, payload, save};
use super::states::{Model, each};
use super::trace::{Context, Event, Mutant, Recorder};
use super::{IF_GENERATION, KEEP_PREVIOUS, PLAIN, STRICT};
use std::path::Path;
use std::ptr::null_mut;
use steadfast::ffi::save::steadfast_save_options;
use steadfast::ffi::writer::*;
use steadfast::status::STEADFAST_E_NOT_SAVED_DURABLY;

/// Saves version `n` in pieces of different length: what the commit returns.
fn stream(context: &Context, path: &Path, n: u64, flags: u32, generation: u64) -> i32 {
    let mut options: steadfast_save_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_save_options>();
    options.flags = flags;
    options.expected_generation = generation;
    let mut writer = null_mut();
    let opened = unsafe { steadfast_writer_open(context.0, c_path(path).as_ptr(), &options, &mut writer, null_mut()) };
    assert_eq!(opened, 0, "the open of the recording");
    let data = payload(n);
    let (first, second) = data.split_at(data.len() / 3);
    for piece in [first, second] {
        assert_eq!(unsafe { steadfast_writer_write(writer, piece.as_ptr().cast(), piece.len(), null_mut()) }, 0);
    }
    unsafe { steadfast_writer_commit(writer, null_mut()) }
}

/// A save, and two states that are streamed over it. With `failing`, so many syncs of the last one's files fail.
fn record(flags: u32, mutant: Mutant, failing: u32) -> (Box<Recorder>, Scratch) {
    let scratch = Scratch::new();
    let mut recorder = Recorder::new(&scratch.0, mutant);
    let context = recorder.context(0);
    let path = scratch.0.join("state");
    let expected = |n: u64| if flags & IF_GENERATION != 0 { n - 1 } else { 0 };
    recorder.events.push(Event::Begun(1));
    assert_eq!(save(context.0, &path, 1, flags, 0), 0, "the save of the recording");
    recorder.events.push(Event::Acknowledged(1));
    recorder.events.push(Event::Begun(2));
    assert_eq!(stream(&context, &path, 2, flags, expected(2)), 0, "the first commit of the recording");
    recorder.events.push(Event::Acknowledged(2));
    recorder.events.push(Event::Begun(3));
    recorder.failing = failing;
    let status = stream(&context, &path, 3, flags, expected(3));
    let gives_up = failing > 1 && flags & STRICT != 0;
    assert_eq!(status, if gives_up { STEADFAST_E_NOT_SAVED_DURABLY } else { 0 }, "the second commit of the recording");
    if !gives_up {
        recorder.events.push(Event::Acknowledged(3));
    }
    drop(context);
    (recorder, scratch)
}

fn explore(flags: u32, mutant: Mutant, failing: u32, model: Model) -> (u64, Result<(), String>) {
    let (recorder, _scratch) = record(flags, mutant, failing);
    each(&recorder, model, |state| check_state(state, "state", flags, 0))
}

#[test]
fn streams_survive_a_power_cut() {
    let ways = [
        ("plain", 0, 0),
        ("STRICT", STRICT, 0),
        ("KEEP_PREVIOUS", KEEP_PREVIOUS, 0),
        ("IF_GENERATION, KEEP_PREVIOUS", IF_GENERATION | KEEP_PREVIOUS, 0),
        ("a failing sync", 0, 1),
        ("a failing sync, KEEP_PREVIOUS", KEEP_PREVIOUS, 1),
        ("two failing syncs, STRICT", STRICT, 2),
        ("PLAIN", PLAIN, 0),
        ("PLAIN, KEEP_PREVIOUS", PLAIN | KEEP_PREVIOUS, 0),
        ("PLAIN, IF_GENERATION, KEEP_PREVIOUS", PLAIN | IF_GENERATION | KEEP_PREVIOUS, 0),
        ("PLAIN, a failing sync", PLAIN, 1),
        ("PLAIN, two failing syncs, STRICT", PLAIN | STRICT, 2),
    ];
    for (label, flags, failing) in ways {
        for model in [Model::AnySubset, Model::InOrder] {
            let (count, result) = explore(flags, Mutant::None, failing, model);
            match result {
                Ok(()) => println!("model: two commits, {label:<36} {model:?}: {count:>6} states, all good"),
                Err(text) => panic!("two commits, {label}, {model:?}: {text}"),
            }
        }
    }
}

#[test]
fn mutants_of_a_stream_are_killed() {
    let mutants = [
        ("no file sync", 0, Mutant::NoFileSync),
        ("no directory sync", 0, Mutant::NoDirectorySync),
        ("directory synced before the rename", 0, Mutant::SyncBeforeRename),
        ("previous generation made by rename", KEEP_PREVIOUS, Mutant::PreviousByRename),
        ("PLAIN, no file sync", PLAIN, Mutant::NoFileSync),
        ("PLAIN, attribute after the sync", PLAIN, Mutant::AttributeLate),
    ];
    for (label, flags, mutant) in mutants {
        let (_, result) = explore(flags, mutant, 0, Model::AnySubset);
        let Err(text) = result else { panic!("mutant survives: {label}") };
        println!("model: mutant killed: {label}: {text}");
    }
}
