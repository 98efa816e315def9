//! Loading: one buffer is read, hashed and handed out.
#![forbid(unsafe_code)]

use super::record::{self, Fields, HEADER};
use super::{current, save};
use crate::hooks::*;
use crate::path::{self, Path};
use crate::status::*;
use core::ffi::CStr;

/// Fall back to PATH.prev when the current state is damaged or missing.
pub const STEADFAST_LOAD_RECOVER: u32 = 1 << 0;
/// The schema must be the one given.
pub const STEADFAST_LOAD_REQUIRE_SCHEMA: u32 = 1 << 1;
/// All bits above.
pub const LOAD_ALL: u32 = (1 << 2) - 1;

/// max_len when none is given: 1 GiB.
const DEFAULT_MAX_LEN: u64 = 1 << 30;
/// Up to here the whole file is read in one call; longer ones are checked by their header first.
const SMALL: u64 = 65536;

/// What to load, and how.
pub struct Request {
    pub flags: u32,
    pub schema: u32,
    pub max_len: u64,
}

/// A verified state.
pub struct Loaded {
    /// The whole record; the payload begins at byte 256 and has a NUL after it.
    pub record: Buffer,
    pub len: usize,
    pub fields: Fields,
    pub sha256: [u8; 32],
    pub previous: bool,
}

/// Loads the state at `path`, following symbolic links as open(2) does.
pub fn load(hooks: &Hooks, path: &CStr, request: &Request) -> Result<(Loaded, Outcome), Outcome> {
    let error = match load_file(hooks, AT_FDCWD, path, request) {
        Ok(loaded) => return Ok(succeed(loaded, STEADFAST_OK)),
        Err(outcome) => outcome,
    };
    let missing = error.status() == ENOENT.wrapping_neg();
    let recover = request.flags & STEADFAST_LOAD_RECOVER != 0;
    let instead = missing || (recover && recoverable(error.status()));
    if !instead {
        return Err(error);
    }
    match load_previous(hooks, path, request, recover) {
        Ok(Some(loaded)) => {
            let (loaded, outcome) = succeed(Loaded { previous: true, ..loaded }, STEADFAST_RECOVERED);
            Ok((loaded, outcome.after(error)))
        }
        Ok(None) => Err(error.with_status(STEADFAST_E_LOST)),
        // What is wrong with the current state is the news, unless it is missing: "no state" is only said when
        // there is no previous one either.
        Err(outcome) if missing && outcome.status() != ENOENT.wrapping_neg() => Err(outcome),
        Err(_) => Err(error),
    }
}

fn succeed(loaded: Loaded, status: i32) -> (Loaded, Outcome) {
    let generation = loaded.fields.generation;
    (loaded, Outcome::new(status).with_generation(generation))
}

/// Is this damage, or an unreadable disk, for which the previous generation is kept?
fn recoverable(status: i32) -> bool {
    (STEADFAST_E_FORMAT..=STEADFAST_E_EMPTY).contains(&status)
        || [EIO, EBADMSG, EUCLEAN].iter().any(|errno| status == errno.wrapping_neg())
}

/// PATH.prev: loaded when `recover`, else None when it is there. A link at PATH is followed to the end first.
fn load_previous(hooks: &Hooks, whole: &CStr, request: &Request, recover: bool) -> Result<Option<Loaded>, Outcome> {
    let mut path = Path::EMPTY;
    path.set(whole.to_bytes()).at(STEADFAST_STEP_ARGUMENTS)?;
    let mut dir = open_directory(hooks, &path)?;
    for _ in 0..40 {
        match hooks.fstatat(dir.raw(), path.name()) {
            Ok(stat) if is_symlink(stat.mode) => {
                save::follow(hooks, dir.raw(), &mut path)?;
                dir = open_directory(hooks, &path)?;
            }
            _ => break,
        }
    }
    let previous = path::previous(path.name()).map_err(|_| Outcome::new(ENOENT.wrapping_neg()))?;
    if recover {
        return load_file(hooks, dir.raw(), previous.c_str(), request).map(Some);
    }
    match hooks.fstatat(dir.raw(), previous.c_str()).at(STEADFAST_STEP_INSPECT_TARGET)? {
        stat if is_regular(stat.mode) => Ok(None),
        _ => Err(Outcome::new(ENOENT.wrapping_neg())),
    }
}

/// Only to name files in it: it need not be readable.
fn open_directory<'h>(hooks: &'h Hooks, path: &Path) -> Result<Fd<'h>, Outcome> {
    hooks.open_directory(path.directory(), O_PATH).at(STEADFAST_STEP_OPEN_DIRECTORY)
}

fn load_file(hooks: &Hooks, dir: i32, path: &CStr, request: &Request) -> Result<Loaded, Outcome> {
    const STEP: i32 = STEADFAST_STEP_READ_FILE;
    let fd = match hooks.openat(dir, path, current::CAREFUL & !O_NOFOLLOW, 0) {
        Ok(fd) => fd,
        // A socket, or a FIFO or device without a driver behind it (open(2)).
        Err(e) if e.is(ENXIO) => return Err(Outcome::new(STEADFAST_E_NOT_REGULAR)),
        Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_OPEN_FILE)),
    };
    let stat = hooks.fstat(fd.raw()).at(STEP)?;
    if !is_regular(stat.mode) {
        return Err(Outcome::new(STEADFAST_E_NOT_REGULAR));
    }
    let max_len = if request.max_len == 0 { DEFAULT_MAX_LEN } else { request.max_len };
    let mut record;
    if stat.size <= SMALL.min(max_len.saturating_add(HEADER as u64)) {
        // One byte more than the file has: reading less then proves its end without another call.
        record = Buffer::new((stat.size as usize).saturating_add(1)).at(STEADFAST_STEP_ALLOCATE)?;
        hooks.fill(fd.raw(), &mut record, stat.size as usize).at(STEP)?;
        let header = record.bytes().get(..HEADER).unwrap_or(record.bytes());
        check_len(header, stat.size, max_len)?;
    } else {
        let mut header = [0u8; HEADER];
        let read = hooks.pread(fd.raw(), &mut header, 0).at(STEP)?;
        let len = check_len(header.get(..read).unwrap_or_default(), stat.size, max_len)?;
        let size = usize::try_from(len).ok().and_then(|len| len.checked_add(HEADER + 1));
        let size = size.ok_or(Outcome::new(STEADFAST_E_TOO_LARGE))?;
        record = Buffer::new(size).at(STEADFAST_STEP_ALLOCATE)?;
        record.append(&header);
        hooks.fill(fd.raw(), &mut record, size.saturating_sub(1)).at(STEP)?;
    }
    match (record.bytes().len() as u64).cmp(&stat.size) {
        core::cmp::Ordering::Less => return Err(Outcome::new(STEADFAST_E_TRUNCATED)),
        core::cmp::Ordering::Greater => return Err(Outcome::new(STEADFAST_E_TRAILING)),
        core::cmp::Ordering::Equal => {}
    }
    verify(record, request)
}

fn check_len(header: &[u8], size: u64, max_len: u64) -> Result<u64, Outcome> {
    match record::expected_len(header, size) {
        Ok(len) if len > max_len => Err(Outcome::new(STEADFAST_E_TOO_LARGE)),
        other => other.map_err(Outcome::new),
    }
}

fn verify(mut record: Buffer, request: &Request) -> Result<Loaded, Outcome> {
    let (fields, sha256) = record::verify(record.bytes()).map_err(Outcome::new)?;
    let len = record.bytes().len().saturating_sub(HEADER);
    if request.flags & STEADFAST_LOAD_REQUIRE_SCHEMA != 0 && fields.schema != request.schema {
        return Err(Outcome::new(STEADFAST_E_SCHEMA).with_generation(fields.generation));
    }
    record.append(&[0]);
    Ok(Loaded { record, len, fields, sha256, previous: false })
}
