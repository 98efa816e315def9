//! Loading a record: its header says how much there is, and its digest whether that is whole.
#![forbid(unsafe_code)]

use super::format::{self, COVERED, Fields, HEADER, Hasher};
use super::load_plain;
use super::loaded::{Loaded, Room, Taker, read_and_hash, size_of_regular};
use super::options::*;
use crate::file::deadline::Retry;
use crate::hooks::*;
use crate::mem::copy;
use crate::status::*;
use core::cmp::Ordering;

/// Up to here the whole file is read in one call; longer ones are checked by their header first.
const SMALL: u64 = 65536;

impl<'h> Taker<'h> for Room<'_> {
    fn take(&mut self, fd: Fd<'h>, request: &LoadRequest, retry: &mut Retry) -> Result<Loaded, Outcome> {
        read_file(fd, request, self, retry)
    }
}

/// Reads a whole file. A small state is complete after one read: only where it is not, fstat is asked what is there.
fn read_file(fd: Fd<'_>, request: &LoadRequest, room: &mut Room<'_>, retry: &mut Retry) -> Result<Loaded, Outcome> {
    if request.kind() == Kind::Plain {
        return load_plain::read(&fd, request, room, retry).inspect_err(|_| room.memory.clear());
    }
    fd.hooks().glance(fd.raw(), |glance| {
        let mut seen = glance.unwrap_or_default();
        if is_all(seen) {
            if let Ok(loaded) = read(&fd, seen.len() as u64, seen, request, room) {
                return Ok(loaded);
            }
            room.memory.clear();
        }
        let size = size_of_regular(&fd)?;
        // The error of a regular file: a directory or a FIFO has another one.
        seen = glance.at(STEADFAST_STEP_READ_FILE)?;
        let result = read(&fd, size, seen, request, room);
        if result.is_err() {
            room.memory.clear();
        }
        result
    })
}

/// Did a glance come to the end of the file? A regular file is read short at its end, or where an error or a signal cut the
/// read. An error cuts between blocks: there only the header of an alternating state, which fills its blocks, says that it is the
/// end. And a signal exactly between a record whose digest is right and bytes after it would hide those, but change nothing of what
/// is loaded.
fn is_all(seen: &[u8]) -> bool {
    const BLOCK: usize = 512;
    let fills = |header: &[u8; HEADER]| format::slot(header).is_some() && format::expected_len(header, seen.len() as u64).is_ok();
    (HEADER..GLANCE).contains(&seen.len()) && (!seen.len().is_multiple_of(BLOCK) || seen.first_chunk().is_some_and(fills))
}

/// Reads a record from a file of `size` bytes, which begins with `seen`.
fn read(fd: &Fd<'_>, size: u64, seen: &[u8], request: &LoadRequest, room: &mut Room) -> Result<Loaded, Outcome> {
    const STEP: i32 = STEADFAST_STEP_READ_FILE;
    let (hooks, raw) = (fd.hooks(), fd.raw());
    let most = room.most(request);
    let mut header = [0u8; HEADER];
    let small = !room.given && size <= SMALL.min(most.saturating_add(HEADER as u64));
    let mut read = seen.len();
    if small {
        // One byte more than the file has: reading less then proves its end without another call.
        room.memory = Buffer::new((size as usize).saturating_add(1)).at(STEADFAST_STEP_ALLOCATE)?;
        room.memory.append(seen);
        hooks.fill(raw, &mut room.memory, 0, size as usize).at(STEP)?;
        copy(&mut header, room.memory.bytes());
        read = room.memory.bytes().len();
    } else if read < HEADER {
        read = hooks.pread(raw, &mut header, 0).at(STEP)?.len();
    } else {
        copy(&mut header, seen);
    }
    let len = format::expected_len(header.get(..read).unwrap_or(&header), size).map_err(Outcome::new)?;
    let slot = format::slot(&header).filter(|slot| slot.used <= len);
    let used = slot.map_or(len, |slot| slot.used);
    let addressable = usize::try_from(len).ok().filter(|&len| len <= (isize::MAX as usize).saturating_sub(HEADER + 1));
    let Some(len) = addressable.filter(|_| used <= most) else {
        room.needed = used;
        return Err(Outcome::new(STEADFAST_E_TOO_LARGE));
    };
    // What is no longer than the file is addressable, too.
    let used = used as usize;
    if room.given && slot.is_some() {
        return read_filled_up(fd, &header, (used, len), request, room);
    }
    // How many bytes of the file come before those in the memory, and how many of those need not be hashed.
    let (mut base, mut hashed) = (0usize, COVERED);
    let mut hasher = Hasher::new(&[]);
    if room.given {
        room.memory.clear();
        room.memory.append(seen.get(HEADER..).unwrap_or_default());
        (base, hashed) = (HEADER, 0);
        hasher = Hasher::new(&header);
    } else if !small {
        room.memory = Buffer::new(len.saturating_add(HEADER + 1)).at(STEADFAST_STEP_ALLOCATE)?;
        room.memory.append(&header);
    }
    let memory = &mut room.memory;
    let end = HEADER.saturating_sub(base).saturating_add(len);
    read_and_hash(fd, memory, base as i64, (hashed, end), &mut hasher)?;
    match memory.bytes().len().cmp(&end) {
        Ordering::Less => return Err(Outcome::new(STEADFAST_E_TRUNCATED)),
        Ordering::Greater => return Err(Outcome::new(STEADFAST_E_TRAILING)),
        Ordering::Equal => {}
    }
    let (fields, sha256) = check(&header, hasher.finish(), request)?;
    if base == 0 {
        memory.truncate(HEADER.saturating_add(used));
        memory.append(&[0]);
    }
    Ok(Loaded { len: used, fields, sha256, previous: false, alternates: slot.is_some(), status: STEADFAST_OK })
}

/// Reads one of the files of an alternating state into the caller's memory, which has no room for what fills it up: `used` bytes of
/// the payload, which has `len`.
fn read_filled_up(
    fd: &Fd<'_>,
    header: &[u8; HEADER],
    (used, len): (usize, usize),
    request: &LoadRequest,
    room: &mut Room<'_>,
) -> Result<Loaded, Outcome> {
    let mut piece = [0u8; 8192];
    let mut hasher = Hasher::new(header);
    let mut at = 0usize;
    room.memory.clear();
    loop {
        let offset = at.saturating_add(HEADER) as u64;
        let bytes = fd.hooks().pread(fd.raw(), &mut piece, offset).at(STEADFAST_STEP_READ_FILE)?;
        hasher.update(bytes);
        room.memory.append(bytes.get(..used.saturating_sub(at).min(bytes.len())).unwrap_or_default());
        at = at.saturating_add(bytes.len());
        if bytes.len() < 8192 || at > len {
            break;
        }
    }
    match at.cmp(&len) {
        Ordering::Less => return Err(Outcome::new(STEADFAST_E_TRUNCATED)),
        Ordering::Greater => return Err(Outcome::new(STEADFAST_E_TRAILING)),
        Ordering::Equal => {}
    }
    let (fields, sha256) = check(header, hasher.finish(), request)?;
    Ok(Loaded { len: used, fields, sha256, previous: false, alternates: true, status: STEADFAST_OK })
}

/// Checks a record, of which all bytes have this digest, and its schema.
pub fn check(header: &[u8; HEADER], computed: [u8; 32], request: &LoadRequest) -> Result<(Fields, [u8; 32]), Outcome> {
    let (fields, sha256) = format::check_digest(header, computed).map_err(Outcome::new)?;
    if request.has(STEADFAST_LOAD_REQUIRE_SCHEMA) && fields.schema != request.schema {
        return Err(Outcome::new(STEADFAST_E_SCHEMA).with_generation(fields.generation));
    }
    Ok((fields, sha256))
}
