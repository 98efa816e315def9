//! States whose two files take turns: what the second writer writes the library reads, and the other way round.

use super::api;
use super::machine::{Kind, Machine};
use super::reader::{self, ANY, Slot, State};
use super::record;
use proptest::prelude::*;
use steadfast::status::STEADFAST_RECOVERED;

const KEEP_PREVIOUS: u32 = 1 << 1;
const IF_GENERATION: u32 = 1 << 2;
const ALTERNATE: u32 = 1 << 5;

/// Of a payload that is `used` bytes long.
fn slot() -> impl Strategy<Value = Slot> {
    (1..=u64::MAX, any::<bool>(), any::<Option<u16>>()).prop_map(|(pair, grouped, permissions)| Slot {
        used: 0,
        pair,
        grouped,
        permissions,
    })
}

fn record_of(state: &State, slot: &Slot) -> Vec<u8> {
    let slot = Slot { used: state.payload.len() as u64, ..*slot };
    reader::slot_record(state, &slot, reader::slot_len(state.payload.len()))
}

/// Loads what is at PATH and, if something is, at PATH.prev: the code, the state, and whether it was PATH.prev.
fn load(path: &[u8], previous: Option<&[u8]>) -> (i32, Option<(State, u32)>) {
    api::load(&mut machine_with(path, previous), &ANY)
}

fn machine_with(path: &[u8], previous: Option<&[u8]>) -> Box<Machine> {
    let mut m = Machine::new(0);
    m.put("state", Kind::File, path, 0o600);
    if let Some(previous) = previous {
        m.put("state.prev", Kind::File, previous, 0o600);
    }
    m
}

/// Two of one state, the older one first.
fn two() -> impl Strategy<Value = [State; 2]> {
    (super::state(), super::state(), 1..1u64 << 60)
        .prop_map(|(older, newer, generation)| [State { generation, ..older }, State { generation: generation + 1, ..newer }])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_slot_is_read_back(state in super::state(), slot in slot()) {
        let file = record_of(&state, &slot);
        let used = state.payload.len() as u64;
        prop_assert_eq!(reader::slot(&file), Some(Slot { used, ..slot }));
        prop_assert_eq!(load(&file, None), (0, Some((state, 0))));
    }

    /// In the header, in the payload and in what fills it up.
    #[test]
    fn any_change_of_a_slot_is_noticed(state in super::state(), slot in slot(), at: prop::sample::Index, bit in 0..8u8, how in 0..3) {
        let mut file = record_of(&state, &slot);
        let at = at.index(file.len());
        match how {
            0 => file[at] ^= 1 << bit,
            1 => file.truncate(at),
            _ => file.insert(at, bit),
        }
        let (code, found) = load(&file, None);
        prop_assert!((-10004..=-10000).contains(&code) && found.is_none(), "byte {} changed, and load returns {}", at, code);
    }

    /// The one with the higher number is the state, wherever it is.
    #[test]
    fn the_newer_of_two_is_given(states in two(), slots in (slot(), slot()), newer_first: bool) {
        let [older, newer] = [record_of(&states[0], &slots.0), record_of(&states[1], &slots.1)];
        let (path, previous) = if newer_first { (&newer, &older) } else { (&older, &newer) };
        prop_assert_eq!(load(path, Some(previous)), (0, Some((states[1].clone(), u32::from(!newer_first)))));
    }

    /// A bit of it flipped: then the other one is, and the load says so.
    #[test]
    fn a_damaged_newer_one_is_not_given(
        states in two(), slots in (slot(), slot()), newer_first: bool, at: prop::sample::Index, bit in 0..8u8,
    ) {
        let [older, mut newer] = [record_of(&states[0], &slots.0), record_of(&states[1], &slots.1)];
        let at = at.index(newer.len());
        newer[at] ^= 1 << bit;
        let (path, previous) = if newer_first { (&newer, &older) } else { (&older, &newer) };
        let found = load(path, Some(previous));
        prop_assert_eq!(found, (STEADFAST_RECOVERED, Some((states[0].clone(), u32::from(newer_first)))), "byte {}", at);
    }

    /// The next save goes on from the higher number, and is what a load gives.
    #[test]
    fn the_newer_of_two_counts(states in two(), slots in (slot(), slot()), newer_first: bool, how in 0..4usize) {
        let [older, newer] = [record_of(&states[0], &slots.0), record_of(&states[1], &slots.1)];
        let (path, previous) = if newer_first { (&newer, &older) } else { (&older, &newer) };
        let mut m = machine_with(path, Some(previous));
        let flags = [0, KEEP_PREVIOUS, ALTERNATE, ALTERNATE | IF_GENERATION][how];
        let expected = if flags & IF_GENERATION != 0 { states[1].generation } else { 0 };
        let told = api::save(&mut m, b"next", flags, 0, expected);
        prop_assert_eq!((told.code, told.generation), (0, states[1].generation + 1));
        let found = api::load(&mut m, &ANY).1.map(|(state, _)| (state.payload, state.generation));
        prop_assert_eq!(found, Some((b"next".to_vec(), told.generation)));
    }

    /// What the library writes, one after the other and in a batch, the second reader reads; each file is the same to the byte.
    #[test]
    fn alternating_saves_are_read_back(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9000), 1..6), batched: bool,
    ) {
        let mut m = Machine::new(0);
        for (at, payload) in payloads.iter().enumerate() {
            let told = if batched {
                api::save_batch(&mut m, payload, ALTERNATE, 0, 0)[0]
            } else {
                api::save(&mut m, payload, ALTERNATE, 0, 0)
            };
            prop_assert_eq!((told.code, told.generation), (0, at as u64 + 1));
            let files: Vec<Vec<u8>> = ["state", "state.prev"].iter().filter_map(|name| m.file(name)).collect();
            let read: Vec<State> = files.iter().map(|file| reader::read(file, &ANY).unwrap()).collect();
            let newest = read.iter().max_by_key(|state| state.generation).unwrap();
            prop_assert_eq!((&newest.payload, newest.generation), (payload, told.generation));
            for (file, state) in files.iter().zip(&read) {
                let slot = reader::slot(file).unwrap();
                let in_place = slot.pair != 0;
                prop_assert_eq!((slot.used, slot.grouped), (state.payload.len() as u64, batched && in_place));
                prop_assert_eq!(slot.permissions.map(|bits| bits >> 4), Some(0o600));
                let least = reader::slot_len(state.payload.len());
                let fits = if in_place { (least..=2 * least).contains(&file.len()) } else { file.len() == least };
                prop_assert!(fits, "{} bytes for {}", file.len(), state.payload.len());
                prop_assert!(reader::slot_record(state, &slot, file.len()) == *file, "laid out in another way");
            }
        }
    }

    /// A whole header with the keys of a slot in any order, its digest fitting.
    #[test]
    fn any_line_of_a_slot(
        how: u8, also: u8,
        line in "steadfast 1 len=0{19}[0-9] gen=1 time=2 schema=0( (gen|head|!used=0000000000000000000|!used|!pair|p|grouped|!x)=?[0-9a-f]{1,17}){0,5} {0,9}",
        extra in 0..12usize,
    ) {
        record::check_line(how, also, &line, extra);
    }
}

/// Nobody writes an older file whose digest fits and whose header does not confirm itself. It is no reason to doubt the newer one.
#[test]
fn a_header_that_does_not_confirm_itself() {
    let [older, newer] = [4, 5].map(|generation| State { payload: b"payload".to_vec(), generation, saved_at_ns: 2, schema: 3 });
    let slot = Slot { used: 0, pair: 1 << 32 | 1, grouped: false, permissions: None };
    let path = record_of(&newer, &slot);
    let mut previous = record_of(&older, &slot);
    let head = previous.windows(6).position(|bytes| bytes == b" head=").unwrap() + 6;
    previous[head] ^= 1;
    let line = reader::digest_line(&previous);
    previous[..68].copy_from_slice(&line);
    assert_eq!(reader::header_generation(&previous), None);
    assert_eq!(load(&path, Some(&previous)), (0, Some((newer, 0))));
}

/// Every bit of the header of one, and of the first bytes of what fills it up.
#[test]
fn every_bit_of_a_slot() {
    let state = State { payload: b"payload".to_vec(), generation: 1, saved_at_ns: 2, schema: 3 };
    let good = record_of(&state, &Slot { used: 0, pair: 1 << 32 | 1, grouped: true, permissions: Some(0x1800) });
    for at in (0..300).chain(good.len() - 1..good.len()) {
        for bit in 0..8 {
            let mut file = good.clone();
            file[at] ^= 1 << bit;
            assert!(load(&file, None).0 < 0, "bit {bit} of byte {at}");
        }
    }
    println!("property: {} single bits of a slot flipped, all noticed", 301 * 8);
}
