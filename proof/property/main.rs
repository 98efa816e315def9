//! Properties that hold for every input, tried on random ones and on the corpora of the fuzz targets, which try the same
//! functions by the million (fuzz/). Run `cargo test --test property -- --nocapture` to see the counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod api;
mod judge;
mod lock;
mod machine;
mod names;
mod plain;
mod reader;
mod record;
mod sequence;
mod slot;

use machine::{Kind, Lie, Machine};
use proptest::prelude::*;
use reader::{ANY, State};
use std::path::Path;

#[test]
fn the_machine_has_every_hook() {
    assert_eq!(machine::hooks::missing(), Vec::<usize>::new(), "words of the table that would be real calls");
}

type Check = fn(&[u8]);

/// The fuzz targets, and what each does with an input.
const TARGETS: [(&str, Check); 4] =
    [("record", record::check), ("plain", plain::check), ("lock", lock::check), ("calls", sequence::check)];

/// Every input that a fuzz target has kept.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let inputs: Vec<_> = entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!inputs.is_empty(), "no corpus in {}", folder.display());
    inputs
}

#[test]
fn corpora() {
    for (target, check) in TARGETS {
        let inputs = corpus(target);
        inputs.iter().for_each(|input| check(input));
        println!("property: corpus of {target}: {} inputs", inputs.len());
    }
}

/// The same on kernels that lie: each must be found out.
#[test]
fn mutants_are_killed() {
    let mutants = [
        ("record", Lie::Read),
        ("record", Lie::Close),
        ("plain", Lie::Read),
        ("plain", Lie::Close),
        ("plain", Lie::Write),
        ("plain", Lie::Rename),
        ("lock", Lie::Flock),
        ("lock", Lie::Dead),
        ("lock", Lie::Unlink),
        ("calls", Lie::Write),
        ("calls", Lie::Read),
        ("calls", Lie::Rename),
        ("calls", Lie::Unlink),
        ("calls", Lie::Close),
        ("calls", Lie::Flock),
        ("calls", Lie::Map),
        ("calls", Lie::Unmap),
    ];
    // Failures that are wanted are not told.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if machine::LIE.get().is_none() {
            tell(info);
        }
    }));
    for (target, lie) in mutants {
        let (_, check) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
        machine::LIE.set(Some(lie));
        let dead = corpus(target).iter().filter(|input| std::panic::catch_unwind(|| check(input)).is_err()).count();
        machine::LIE.set(None);
        assert!(dead > 0, "mutant survives: {lie:?}, {target}");
        println!("property: mutant killed: {lie:?}, by {dead} inputs of {target}");
    }
    println!("property: {} of {} mutants killed", mutants.len(), mutants.len());
}

fn load(file: &[u8]) -> (i32, Option<State>) {
    let mut m = Machine::new(0);
    m.put("state", Kind::File, file, 0o600);
    let (code, found) = api::load(&mut m, &ANY);
    (code, found.map(|(state, _)| state))
}

pub(crate) fn state() -> impl Strategy<Value = State> {
    (proptest::collection::vec(any::<u8>(), 0..5000), 0..=u64::MAX, 0..=i64::MAX, any::<u32>())
        .prop_map(|(payload, generation, saved_at_ns, schema)| State { payload, generation, saved_at_ns, schema })
}

proptest! {
    // A failure is shown with its input, made small; no files are left.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What the second writer writes, the library reads.
    #[test]
    fn a_record_is_read_back(state in state(), unsynced: bool) {
        prop_assert_eq!(load(&reader::record(&state, unsynced)), (0, Some(state)));
    }

    /// What the library writes, the second reader reads; the header is the same to the byte.
    #[test]
    fn a_save_is_read_back(payload in proptest::collection::vec(any::<u8>(), 0..5000), schema: u32, short in 0..500usize) {
        let mut m = Machine::new(0);
        m.short = short;
        prop_assert_eq!(api::save(&mut m, &payload, 0, schema, 0).code, 0);
        let file = m.file("state").unwrap();
        let state = reader::read(&file, &ANY).unwrap();
        prop_assert_eq!((&state.payload, state.generation, state.schema), (&payload, 1, schema));
        prop_assert!(reader::record(&state, false) == file, "laid out in another way");
    }

    /// No byte can change, come or go without being noticed.
    #[test]
    fn any_change_is_noticed(state in state(), at: prop::sample::Index, bits in 1..=255u8, how in 0..4) {
        let mut file = reader::record(&state, how & 1 != 0);
        let at = at.index(file.len());
        match how {
            0 | 1 => file[at] ^= bits,
            2 => file.truncate(at),
            _ => file.insert(at, bits),
        }
        let (code, found) = load(&file);
        prop_assert!(code < 0 && found.is_none(), "byte {} changed, and load returns {}", at, code);
        prop_assert!((-10004..=-10000).contains(&code), "damage is told as {}", code);
    }

    /// A plain save reads nothing but the header: a generation counts only if the header's own check confirms it.
    #[test]
    fn a_damaged_generation_does_not_count(state in state(), at in 0..reader::HEADER, bits in 0..=255u8) {
        let mut file = reader::record(&state, false);
        file[at] ^= bits;
        let counts = reader::header_generation(&file);
        prop_assert_eq!(counts, if bits == 0 || at < 68 { Some(state.generation) } else { counts });
        let mut m = Machine::new(0);
        m.put("state", Kind::File, &file, 0o600);
        let told = api::save(&mut m, b"new", 0, 0, 0);
        let now = load(&m.file("state").unwrap()).1;
        match (counts, now) {
            (Some(u64::MAX), _) => prop_assert_eq!(told.code, -libc::EOVERFLOW),
            (Some(counts), now) => prop_assert_eq!(now.map(|now| now.generation), Some(counts + 1)),
            (None, now) => prop_assert_eq!(now.map(|now| now.generation as i64 - now.saved_at_ns / 1000), Some(0)),
        }
    }

    #[test]
    fn any_bytes_as_a_record(input in proptest::collection::vec(any::<u8>(), 0..700)) {
        record::check(&input);
    }

    /// A whole header with one field made odd, its digest fitting.
    #[test]
    fn any_second_line(how: u8, also: u8, line in "steadfast [0-9]{1,2} len=0{19}[0-9]( (gen|time|schema|!?[a-z]{1,3})=[0-9]{1,21}){0,5} {0,9}", extra in 0..12usize) {
        record::check_line(how, also, &line, extra);
    }

    #[test]
    fn any_lock(choices: [u8; 6], content in "[ \n]{0,2}(77|78|79|80|1|4242|[0-9]{1,12}|[\\x00-\\x7f]{0,70})[ \n\\x00]{0,2}") {
        lock::check(&[&choices[..], content.as_bytes()].concat());
    }

    #[test]
    fn any_calls(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        sequence::check(&input);
    }
}

/// Every single byte of one record, every bit of it.
#[test]
fn every_bit_of_a_record() {
    let good = reader::record(&State { payload: b"payload".to_vec(), generation: 1, saved_at_ns: 2, schema: 3 }, false);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut file = good.clone();
            file[at] ^= 1 << bit;
            assert!(load(&file).0 < 0, "bit {bit} of byte {at}");
        }
    }
    println!("property: {} single bits flipped, all noticed", good.len() * 8);
}

/// Each call of a save fails once, with each state and each previous generation before it: the random sequences seldom meet
/// the one call that syncs the file.
#[test]
fn every_call_of_a_save_fails_once() {
    const BEFORE: [&[u8]; 6] = [&[], &[0], &[0, 2], &[0, 2, 64], &[0, 64], &[64, 66]];
    const EIO: u8 = 0;
    const EINVAL: u8 = 2;
    const ONCE: u8 = 1 << 6;
    let mut tried = 0;
    for (before, flags) in BEFORE.iter().flat_map(|before| [0, 1, 2, 64, 66].map(|flags| (before, flags))) {
        for (platform, error, nth) in
            [0, 4].iter().flat_map(|p| [EIO, EINVAL].map(|e| (p, e))).flat_map(|(p, e)| (0..40).map(move |n| (p, e, n)))
        {
            let mut calls = vec![*platform];
            before.iter().for_each(|&flags| calls.extend([0, flags, 1, 0, 0]));
            calls.extend([0, flags, 2, ONCE | nth, error]);
            sequence::check(&calls);
            tried += 1;
        }
    }
    println!("property: {tried} saves with one failing call");
}

/// The higher one of two verified generations is counted on, even where it is above the clock.
#[test]
fn a_higher_previous_generation_counts() {
    const KEEP_PREVIOUS: u32 = 1 << 1;
    let of = |generation| reader::record(&State { payload: vec![], generation, saved_at_ns: 2, schema: 3 }, false);
    for (current, previous, flags, wanted) in
        [(None, 1 << 60, 0, (1 << 60) + 1), (Some(3), 9, KEEP_PREVIOUS, 10), (Some(3), 9, 0, 4), (Some(9), 3, KEEP_PREVIOUS, 10)]
    {
        let mut m = Machine::new(0);
        if let Some(current) = current {
            m.put("state", Kind::File, &of(current), 0o600);
        }
        m.put("state.prev", Kind::File, &of(previous), 0o600);
        let told = api::save(&mut m, b"", flags, 0, 0);
        assert_eq!((told.code, told.generation), (0, wanted), "{current:?}, {previous}, {flags}");
    }
}
