//! Any bytes as a state file: the library's answer must be the second reader's.

use super::api;
use super::machine::{Kind, Machine};
use super::reader::{self, Request, State};
use steadfast::status::STEADFAST_E_TOO_LARGE;

/// The second line `line` under a first one that fits, and `extra` bytes of payload.
pub fn check_line(how: u8, also: u8, line: &str, extra: usize) {
    let mut file = vec![b' '; 68];
    file.extend(line.bytes().chain(std::iter::repeat(b' ')).take(187));
    file.push(b'\n');
    file.resize(reader::HEADER + extra, b'p');
    check(&[&[how | 4, also][..], &file].concat());
}

/// The first bytes choose: how it is loaded, what the previous generation is like, whether the digest is made to fit.
/// The rest is the file.
pub fn check(input: &[u8]) {
    let Some((&[how, also], file)) = input.split_first_chunk::<2>() else { return };
    let mut file = file.to_vec();
    if how & 4 != 0 && file.len() > 68 {
        let line = reader::digest_line(&file);
        file[..68].copy_from_slice(&line);
    }
    let request = Request {
        flags: u32::from(how & 3),
        schema: u32::from(also & 1),
        max_len: [0, 1, 100, 65_280][usize::from(also >> 1 & 3)],
    };
    let good = State { payload: b"what was before".to_vec(), generation: 7, saved_at_ns: 8, schema: 0 };
    let previous = match how >> 3 & 3 {
        0 => None,
        1 => Some(reader::record(&good, false)),
        2 => Some(file.clone()),
        _ => Some(vec![0; 300]),
    };
    let current = (how & 32 == 0).then_some(file);
    let mut machine = Machine::new(0);
    machine.short = [0, 1, 255, 257][usize::from(also >> 3 & 3)];
    if let Some(file) = &current {
        machine.put("state", Kind::File, file, 0o600);
    }
    if let Some(file) = &previous {
        machine.put("state.prev", Kind::File, file, 0o600);
    }
    let before = machine.listing();
    let expected = reader::load(current.as_deref(), previous.as_deref(), &request);
    let (code, found) = api::load(&mut machine, &request);
    let source = found.as_ref().map(|&(_, source)| source);
    assert_eq!((code, found.map(|(state, _)| state)), expected, "{request:?}, short {}", machine.short);
    let is_current = current.as_deref().is_some_and(|file| reader::read(file, &request).is_ok());
    let cap = usize::from(also >> 5) * 300;
    let damaged = current.as_deref().filter(|_| !is_current).and_then(reader::told_len).filter(|&len| len > cap);
    into(&mut machine, &request, cap, &expected, damaged);
    assert!(source.is_none_or(|source| source == u32::from(!is_current)), "source {source:?} with {code}");
    assert_eq!(machine.listing(), before, "loading changes nothing");
    assert_eq!(machine.open_descriptors(), 0, "descriptors left open");
}

/// The same into `cap` bytes of ours: the payload, or how much it would need, or nothing of it at all. `damaged`: how much a damaged
/// state at PATH would need, where that is more. Damage that only the digest tells is not looked for in what has no room.
fn into(machine: &mut Machine, request: &Request, cap: usize, expected: &(i32, Option<State>), damaged: Option<usize>) {
    let (code, len, memory) = api::load_into(machine, request, cap);
    match expected {
        (_, Some(_)) if damaged.is_some() => assert_eq!((code, Some(len)), (STEADFAST_E_TOO_LARGE, damaged)),
        (_, Some(state)) if state.payload.len() > cap => assert_eq!((code, len), (STEADFAST_E_TOO_LARGE, state.payload.len())),
        (wanted, Some(state)) => {
            assert_eq!((code, len), (*wanted, state.payload.len()));
            assert_eq!(memory[..len], state.payload[..]);
        }
        (wanted, None) => {
            assert!(code == *wanted || code == STEADFAST_E_TOO_LARGE, "{code} instead of {wanted}");
            assert!(memory.iter().all(|&byte| byte == 0), "something of an unverified payload");
        }
    }
}
