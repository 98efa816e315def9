//! Batches: two states in two directories, saved twice together.

use super::judge::*;
use super::states::{Model, each};
use super::trace::*;
use super::{CREATE_PARENTS, KEEP_PREVIOUS};
use steadfast::ffi::batch::*;
use steadfast::ffi::save::*;

const SYNCFS: u32 = 1 << 7;
const PATHS: [&str; 2] = ["a/state", "b/state"];

fn record(flags: u32, mutant: Mutant) -> (Box<Recorder>, Scratch) {
    let scratch = Scratch::new();
    let mut recorder = Recorder::new(&scratch.0, mutant);
    let context = recorder.context(0);
    let paths = PATHS.map(|below| c_path(&scratch.0.join(below)));
    let mut options: steadfast_save_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_save_options>();
    options.flags = flags;
    for n in 1..=2 {
        let data = payload(n);
        let mut entries = [0, 1].map(|i| steadfast_save_entry {
            size: size_of::<steadfast_save_entry>(),
            path: paths[i].as_ptr(),
            data: data.as_ptr().cast(),
            len: data.len(),
            status: -1,
            os_error: 0,
            generation: 0,
            step: 0,
            on_disk: 0,
        });
        recorder.events.push(Event::Begun(n));
        let code = unsafe { steadfast_state_save_batch(context.0, entries.as_mut_ptr(), 2, &options, std::ptr::null_mut()) };
        assert_eq!((code, entries[0].status, entries[1].generation), (0, 0, n), "batch {n} of the recording");
        recorder.events.push(Event::Acknowledged(n));
    }
    drop(context);
    (recorder, scratch)
}

fn explore(flags: u32, mutant: Mutant, model: Model) -> Result<u64, String> {
    let (recorder, _scratch) = record(flags, mutant);
    let (count, result) =
        each(&recorder, model, |state| PATHS.iter().try_for_each(|below| check_state(state, below, flags & !SYNCFS, 0)));
    result.map(|()| count)
}

#[test]
fn batches_survive_a_power_cut() {
    for (label, flags) in [("plain", 0), ("SYNCFS", SYNCFS), ("KEEP_PREVIOUS", KEEP_PREVIOUS)] {
        // All subsets of what two states change are too many to be quick, but for the plain ones.
        for model in [Model::InOrder, Model::AnySubset] {
            match explore(flags | CREATE_PARENTS, Mutant::None, model) {
                Ok(count) => println!("model: two batches of two, {label:<14} {model:?}: {count:>6} states, all good"),
                Err(text) => panic!("two batches, {label}, {model:?}: {text}"),
            }
        }
    }
}

#[test]
fn mutants_of_a_batch_are_killed() {
    for (label, flags, mutant) in [
        ("no file sync", 0, Mutant::NoFileSync),
        ("no directory sync", 0, Mutant::NoDirectorySync),
        ("syncfs does nothing", SYNCFS, Mutant::NoFileSystemSync),
    ] {
        let result = explore(flags | CREATE_PARENTS, mutant, Model::InOrder);
        let Err(text) = result else { panic!("mutant survives: batch, {label}") };
        println!("model: mutant killed: batch, {label}: {text}");
    }
}
