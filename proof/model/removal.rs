//! Removals: whatever a power cut leaves of one, no older state comes back.

use super::judge::{RECOVER, Scratch, c_path, load, materialize, save};
use super::states::{Model, State, each};
use super::trace::{Context, Event, Mutant};
use super::{ALTERNATE, KEEP_PREVIOUS, record_saves};
use std::ptr::{null, null_mut};
use steadfast::ffi::change::steadfast_state_remove;

/// The saves before it.
const SAVES: u64 = 3;

/// Before the removal the saves are there; when it has begun, the last one or nothing; when it is done, nothing.
fn check(state: &State) -> Result<(), String> {
    let scratch = Scratch::new();
    materialize(&scratch.0, &state.tree);
    let path = scratch.0.join("state");
    let shown = || {
        let names: Vec<_> = state.tree.keys().map(|name| String::from_utf8_lossy(name)).collect();
        format!("{names:?}, begun {}, acknowledged {}", state.begun, state.acknowledged)
    };
    match load(&path, RECOVER) {
        Ok((version, _)) if version > SAVES => return Err(format!("a load gives version {version}: {}", shown())),
        Ok((version, _)) if version < state.acknowledged => return Err(format!("an older state comes back: {}", shown())),
        Ok(_) => {}
        Err(code) if code == -libc::ENOENT && (state.begun > SAVES || state.acknowledged == 0) => {}
        Err(code) => return Err(format!("a load returns {code}: {}", shown())),
    }
    let context = Context::real(0);
    match save(context.0, &path, SAVES + 2, 0, 0) {
        0 => Ok(()),
        code => Err(format!("the next save returns {code}: {}", shown())),
    }
}

fn explore(flags: u32, mutant: Mutant, model: Model) -> (u64, Result<(), String>) {
    let (mut recorder, scratch) = record_saves("state", flags, 0, Mutant::None);
    let context = recorder.context(0);
    recorder.mutant = mutant;
    recorder.events.push(Event::Begun(SAVES + 1));
    let path = c_path(&scratch.0.join("state"));
    let code = unsafe { steadfast_state_remove(context.0, path.as_ptr(), null(), null_mut()) };
    assert_eq!(code, 0, "the removal of the recording");
    recorder.events.push(Event::Acknowledged(SAVES + 1));
    drop(context);
    each(&recorder, model, check)
}

#[test]
fn removals_survive_a_power_cut() {
    for (label, flags) in [("plain", 0), ("KEEP_PREVIOUS", KEEP_PREVIOUS), ("ALTERNATE", ALTERNATE)] {
        for model in [Model::AnySubset, Model::InOrder] {
            let (count, result) = explore(flags, Mutant::None, model);
            match result {
                Ok(()) => println!("model: a removal, {label:<14} {model:?}: {count:>4} states, all good"),
                Err(text) => panic!("a removal, {label}, {model:?}: {text}"),
            }
        }
    }
}

#[test]
fn mutants_of_a_removal_are_killed() {
    for (label, flags, mutant) in
        [("the state goes first", KEEP_PREVIOUS, Mutant::UnlinkFirst), ("no directory sync", 0, Mutant::NoDirectorySync)]
    {
        let (_, result) = explore(flags, mutant, Model::AnySubset);
        let Err(text) = result else { panic!("mutant survives: {label}") };
        println!("model: mutant killed: {label}: {text}");
    }
}
