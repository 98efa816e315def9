//! Saves in place, of a file that cannot be replaced.

use crate::judge::*;
use crate::states::{Model, each};
use crate::trace::*;
use crate::{IN_PLACE, PLAIN};

/// A save that makes the file, and two that write it in place.
fn record(flags: u32, mutant: Mutant) -> (Box<Recorder>, Scratch) {
    let scratch = Scratch::new();
    let mut recorder = Recorder::new(&scratch.0, Mutant::None);
    let context = recorder.context(0);
    let path = scratch.0.join("state");
    for n in 1..=3 {
        recorder.events.push(Event::Begun(n));
        assert_eq!(save(context.0, &path, n, flags, 0), 0, "save {n} of the recording");
        recorder.events.push(Event::Acknowledged(n));
        if n == 1 {
            (recorder.mounted, recorder.mutant) = (true, mutant);
            // A load may find damage from now on; with RECOVER it may not.
            recorder.events.push(Event::Reserved);
        }
    }
    drop(context);
    (recorder, scratch)
}

fn explore(flags: u32, mutant: Mutant, model: Model) -> Result<u64, String> {
    let (recorder, _scratch) = record(flags, mutant);
    let (count, result) = each(&recorder, model, |state| check_state(state, "state", flags, 0));
    result.map(|()| count)
}

const KINDS: [(&str, u32); 2] = [("IN_PLACE", IN_PLACE), ("PLAIN, IN_PLACE", PLAIN | IN_PLACE)];

#[test]
fn saves_in_place_survive_a_power_cut() {
    for (label, flags) in KINDS {
        for model in [Model::AnySubset, Model::InOrder] {
            match explore(flags, Mutant::None, model) {
                Ok(count) => println!("model: two saves, {label:<16} {model:?}: {count:>6} states, all good"),
                Err(text) => panic!("two saves, {label}, {model:?}: {text}"),
            }
        }
    }
}

#[test]
fn mutants_of_saves_in_place_are_killed() {
    for (label, flags) in KINDS {
        for (what, mutant) in [("no file sync", Mutant::NoFileSync), ("no directory sync", Mutant::NoDirectorySync)] {
            let Err(text) = explore(flags, mutant, Model::AnySubset) else { panic!("mutant survives: {label}, {what}") };
            println!("model: mutant killed: {label}, {what}: {text}");
        }
    }
}
