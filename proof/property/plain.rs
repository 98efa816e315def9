//! Any attribute, time and content as a plain file: the library's answer must be a second judge's, who follows the table of
//! the manual.

use super::api;
use super::machine::{Kind, Machine, NOW};
use super::reader::{RECOVER, REQUIRE_SCHEMA, Request, State};
use sha2::{Digest, Sha256};
use steadfast::status::*;

const PLAIN: u32 = 1 << 2;
const REQUIRE_VERIFIED: u32 = 1 << 3;
/// The length of an attribute.
const LEN: usize = 60;

/// A file with its attribute.
#[derive(Clone)]
pub struct File {
    pub bytes: Vec<u8>,
    pub attribute: Option<Vec<u8>>,
    pub mtime: i64,
}

/// The attribute that confirms `bytes`.
pub fn attribute(bytes: &[u8], generation: u64, flags: u8, mtime: i64, schema: u32) -> Vec<u8> {
    let mut out = Sha256::digest(bytes).to_vec();
    out.extend(generation.to_le_bytes());
    out.extend(&(bytes.len() as u64).to_le_bytes()[..6]);
    out.extend([1, flags]);
    out.extend(mtime.to_le_bytes());
    out.extend(schema.to_le_bytes());
    out
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// May a file system that keeps times less exactly have made `found` of `stored`?
fn is_cut(stored: i64, found: i64) -> bool {
    [1, 100, 1_000, 1_000_000, 1_000_000_000, 2_000_000_000].iter().any(|step| stored - stored.rem_euclid(*step) == found)
}

fn read(file: &File, request: &Request) -> Result<(i32, State), i32> {
    let (payload, len) = (file.bytes.clone(), file.bytes.len() as u64);
    if len > if request.max_len == 0 { 1 << 30 } else { request.max_len } {
        return Err(STEADFAST_E_TOO_LARGE);
    }
    let digest = Sha256::digest(&payload);
    let tag = 1 << 63 | u64::from_be_bytes(digest[..8].try_into().unwrap()) >> 1;
    let foreign = State { payload: payload.clone(), generation: tag, saved_at_ns: file.mtime, schema: 0 };
    let ours = file.attribute.as_ref().filter(|value| value.len() >= LEN);
    let (status, state) = match ours {
        Some(value) if value[46] >= 128 => return Err(STEADFAST_E_NEWER),
        Some(value) if value[46] > 0 && (1..1 << 63).contains(&number(&value[32..40])) => {
            let (stored, stored_len) = (number(&value[48..56]) as i64, number(&value[40..46]));
            if value[47] & 1 != 0 {
                return Err(STEADFAST_E_DIGEST);
            }
            if stored_len == len && value[..32] == digest[..] {
                let generation = number(&value[32..40]);
                (0, State { payload, generation, saved_at_ns: stored, schema: number(&value[56..60]) as u32 })
            } else if !is_cut(stored, file.mtime) {
                (STEADFAST_CHANGED, foreign)
            } else {
                return Err(match len {
                    0 => STEADFAST_E_EMPTY,
                    _ if len < stored_len => STEADFAST_E_TRUNCATED,
                    _ if len > stored_len => STEADFAST_E_TRAILING,
                    _ => STEADFAST_E_DIGEST,
                });
            }
        }
        _ => (STEADFAST_UNVERIFIED, foreign),
    };
    if status != 0 && request.flags & REQUIRE_VERIFIED != 0 {
        return Err(STEADFAST_E_UNVERIFIED);
    }
    if request.flags & REQUIRE_SCHEMA != 0 && state.schema != request.schema {
        return Err(STEADFAST_E_SCHEMA);
    }
    Ok((status, state))
}

fn load(current: Option<&File>, previous: Option<&File>, request: &Request) -> (i32, Option<State>) {
    let recover = request.flags & RECOVER != 0;
    let verified = |file: &File| match read(file, request) {
        _ if file.bytes.is_empty() && is_unconfirmed(file) => Err(STEADFAST_E_UNVERIFIED),
        Ok((0, state)) => Ok(state),
        Ok(_) => Err(STEADFAST_E_UNVERIFIED),
        Err(code) => Err(code),
    };
    let damage = [STEADFAST_E_EMPTY, STEADFAST_E_TRUNCATED, STEADFAST_E_TRAILING, STEADFAST_E_DIGEST];
    let error = match current.map(|file| (file, read(file, request))) {
        Some((file, read)) if recover && file.bytes.is_empty() && is_unconfirmed(file) => {
            return match (previous.map(verified), read) {
                (Some(Ok(state)), _) => (STEADFAST_RECOVERED, Some(state)),
                (Some(Err(STEADFAST_E_TOO_LARGE)), _) => (STEADFAST_E_TOO_LARGE, None),
                (_, Ok((status, state))) => (status, Some(state)),
                (_, Err(code)) => (code, None),
            };
        }
        Some((_, Ok((status, state)))) => return (status, Some(state)),
        Some((_, Err(code))) if !(recover && damage.contains(&code)) => return (code, None),
        Some((_, Err(code))) => Some(code),
        None => None,
    };
    match (previous, error) {
        (None, None) => (-libc::ENOENT, None),
        (Some(_), None) if !recover => (STEADFAST_E_LOST, None),
        (None, Some(code)) => (code, None),
        (Some(file), error) => match verified(file) {
            Ok(state) => (STEADFAST_RECOVERED, Some(state)),
            Err(STEADFAST_E_TOO_LARGE) => (STEADFAST_E_TOO_LARGE, None),
            Err(code) => (error.unwrap_or(code), None),
        },
    }
}

/// Would it be handed out, if nothing were required, although nothing confirms it?
fn is_unconfirmed(file: &File) -> bool {
    let any = Request { flags: PLAIN, schema: 0, max_len: 0 };
    matches!(read(file, &any), Ok((STEADFAST_UNVERIFIED | STEADFAST_CHANGED, _)))
}

/// The first bytes choose how it is loaded, what is made to fit, and what the previous generation is like. Then comes the
/// attribute, and then the content.
pub fn check(input: &[u8]) {
    let Some((&[how, also, time, cut], rest)) = input.split_first_chunk::<4>() else { return };
    let (value, bytes) = rest.split_at(rest.len().min(usize::from(cut) % 80));
    let request = Request {
        flags: PLAIN | u32::from(how & 3) | if how & 4 != 0 { REQUIRE_VERIFIED } else { 0 },
        schema: u32::from(also & 1),
        max_len: [0, 0, 1, 100][usize::from(also >> 1 & 3)],
    };
    let mtime = NOW - i64::from(time) * 7_654_321;
    let mut value = value.to_vec();
    // A right one with some bytes that are not, or any bytes.
    if how & 8 != 0 {
        let right = attribute(bytes, 5, 0, mtime, 0);
        value = right.iter().enumerate().map(|(at, &byte)| byte ^ value.get(at).copied().unwrap_or(0)).collect();
    }
    let current = File { bytes: bytes.to_vec(), attribute: (how & 16 == 0).then_some(value), mtime };
    let mut changed = current.clone();
    // What somebody has done to it since.
    match how >> 5 & 3 {
        1 => changed.bytes.truncate(bytes.len() / 2),
        2 => changed.bytes.push(0),
        3 => changed.mtime += [1, 50, -100, 1_000_000][usize::from(also >> 3 & 3)],
        _ => {}
    }
    let old = b"what was before".to_vec();
    let previous = match also >> 5 & 3 {
        0 => None,
        1 => Some(File { attribute: Some(attribute(&old, 4, 2, NOW, 0)), bytes: old, mtime: NOW }),
        2 => Some(current),
        _ => Some(File { bytes: old, attribute: None, mtime: NOW }),
    };
    let current = (how & 128 == 0).then_some(changed);
    let mut machine = Machine::new(0);
    machine.short = [0, 0, 1, 63][usize::from(time & 3)];
    for (name, file) in [("state", &current), ("state.prev", &previous)] {
        if let Some(file) = file {
            let inode = machine.put(name, Kind::File, &file.bytes, 0o600);
            (machine.inodes[inode].xattr, machine.inodes[inode].mtime) = (file.attribute.clone(), file.mtime);
        }
    }
    let before = machine.listing();
    let expected = load(current.as_ref(), previous.as_ref(), &request);
    let (code, found) = api::load(&mut machine, &request);
    let (state, source) = found.unzip();
    assert_eq!((code, state), expected, "{request:?}, short {}", machine.short);
    assert!(source.is_none_or(|source| source == u32::from(code == STEADFAST_RECOVERED)), "source {source:?} with {code}");
    let cap = usize::from(also & 0x80);
    let (code, len, memory) = api::load_into(&mut machine, &request, cap);
    let [large, large_previous] = [current, previous].map(|file| file.is_some_and(|file| file.bytes.len() > cap));
    match expected {
        // Damage is not looked for in what has no room.
        _ if large_previous && request.flags & RECOVER != 0 && code == STEADFAST_E_TOO_LARGE => {}
        _ if large => assert!(code < 0, "{code} into {cap} bytes"),
        (wanted, Some(state)) if state.payload.len() <= cap => {
            assert_eq!((code, memory.get(..len)), (wanted, Some(&state.payload[..])), "into {cap} bytes");
        }
        (_, Some(state)) => assert_eq!((code, len), (STEADFAST_E_TOO_LARGE, state.payload.len()), "into {cap} bytes"),
        (wanted, None) => assert!(code == wanted || code == STEADFAST_E_TOO_LARGE, "{code} instead of {wanted}"),
    }
    assert_eq!(machine.listing(), before, "loading changes nothing");
    assert_eq!(machine.open_descriptors(), 0, "descriptors left open");
}
