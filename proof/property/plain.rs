//! Any attribute, time and content as a plain file: the library's answer must be a second judge's, who follows the table of
//! the manual.

use super::api;
use super::machine::{Fault, Kind, Machine, NOW};
use super::reader::{RECOVER, REQUIRE_SCHEMA, Request, State};
use sha2::{Digest, Sha256};
use steadfast::status::*;

const PLAIN: u32 = 1 << 2;
const SAVE_PLAIN: u32 = 1 << 8;
const STRICT: u32 = 1 << 0;
const KEEP_PREVIOUS: u32 = 1 << 1;
const IF_GENERATION: u32 = 1 << 2;
const NO_SYNC: u32 = 1 << 6;
const REQUIRE_VERIFIED: u32 = 1 << 3;
/// The length of an attribute.
const LEN: usize = 60;

/// A file with its attribute.
#[derive(Clone, PartialEq, Debug)]
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
            } else if value[47] & 2 == 0 && !is_cut(stored, file.mtime) {
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

fn file(machine: &Machine, name: &str) -> Option<File> {
    machine.named(name).map(|inode| File { bytes: inode.bytes.clone(), attribute: inode.xattr.clone(), mtime: inode.mtime })
}

/// The attribute says that it was not synced.
fn is_unsynced(file: &File) -> bool {
    file.attribute.as_ref().is_some_and(|value| value.get(47).is_some_and(|flags| flags & 2 != 0))
}

/// An input that begins with this byte is a sequence of saves.
const SAVES: u8 = 0xff;
const ERRORS: [i32; 8] =
    [libc::EIO, libc::ENOSPC, libc::EMFILE, libc::EPERM, libc::EACCES, libc::EAGAIN, libc::EROFS, libc::ENOMEM];

/// Four bytes for each save: a call of it fails, once or for ever, or is its process's last one. What is there then is what the
/// answer says.
fn saves(input: &[u8]) {
    const ANY: Request = Request { flags: PLAIN, schema: 0, max_len: 0 };
    let mut machine = Machine::new(0);
    for step in input.chunks_exact(4).take(20) {
        let &[flags, size, fault, more] = step else { continue };
        let strict = if u32::from(flags) & NO_SYNC != 0 { 0 } else { STRICT };
        let flags = SAVE_PLAIN | u32::from(flags) & (strict | KEEP_PREVIOUS | IF_GENERATION | NO_SYNC);
        let payload: Vec<u8> = (0..usize::from(size) * 3).map(|at| (at as u8).wrapping_add(more)).collect();
        let (before, previous) = (file(&machine, "state"), file(&machine, "state.prev"));
        let there = before.as_ref().and_then(|file| read(file, &ANY).ok()).map_or(0, |(_, state)| state.generation);
        let (killed, for_ever) = (fault >> 6 == 3, fault >> 6 == 2);
        let error = if killed { libc::EIO } else { ERRORS[usize::from(more & 7)] };
        let nth = machine.calls + 1 + u64::from(fault & 63);
        machine.fault = (fault >> 6 != 0).then_some(Fault { nth, error, for_ever: killed || for_ever });
        machine.struck = 0;
        let told = api::save(&mut machine, &payload, flags, 5, if flags & IF_GENERATION != 0 { there } else { 0 });
        let struck = machine.struck;
        machine.fault = None;
        if (killed || for_ever) && struck != 0 {
            let next = machine.own + 1;
            machine.die();
            machine.start_process(next);
        }
        let after = file(&machine, "state");
        let seen = after.as_ref().map(|file| (read(file, &ANY), file));
        let said = format!("flags {flags:#x}, fault {fault:#x} {error}, struck {struck:#x}, {told:?}");
        // The old file, or all of the new one with its attribute, or without one, which is told.
        let is_new = matches!(&seen, Some((Ok((_, state)), _)) if state.payload == payload) && after != before;
        assert!(after == before || is_new, "{said}: {seen:?}");
        if killed && struck != 0 {
            continue;
        }
        match (told.code, &seen) {
            (STEADFAST_OK | STEADFAST_NOT_DURABLE, Some((Ok((0, state)), file))) => {
                assert_eq!((&state.payload, state.generation, state.schema), (&payload, told.generation, 5), "{said}");
                // What was not synced says so, where it can.
                let unsynced = flags & NO_SYNC != 0;
                assert!(is_unsynced(file) == unsynced || struck != 0 && told.code != 0, "{said}: the mark");
            }
            (STEADFAST_UNVERIFIED | STEADFAST_NOT_DURABLE, Some((Ok((STEADFAST_UNVERIFIED, state)), _))) => {
                assert!(state.payload == payload && struck != 0 && flags & STRICT == 0, "{said}");
            }
            (STEADFAST_E_SAVED_NOT_DURABLE, _) => assert!(is_new && flags & STRICT != 0, "{said}"),
            (STEADFAST_E_INDETERMINATE, _) => {}
            (code, _) => assert!(code < 0 && after == before && told.on_disk == 0 && struck != 0, "{said}: {seen:?}"),
        }
        assert!(told.code != 0 || told.on_disk == 1 && flags & NO_SYNC == 0, "{said}");
        let durable = |file: &File| matches!(read(file, &ANY), Ok((0, _))) && !is_unsynced(file);
        if told.code >= 0 && struck == 0 && before.as_ref().is_some_and(durable) {
            let kept = file(&machine, "state.prev");
            let wanted = if flags & KEEP_PREVIOUS != 0 { &before } else { &previous };
            assert_eq!(&kept, wanted, "{said}: PATH.prev");
        }
    }
}

/// The first bytes choose how it is loaded, what is made to fit, and what the previous generation is like. Then comes the
/// attribute, and then the content.
pub fn check(input: &[u8]) {
    let Some((&[how, also, time, cut], rest)) = input.split_first_chunk::<4>() else { return };
    if how == SAVES {
        return saves(&input[1..]);
    }
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
