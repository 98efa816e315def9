//! Loading: one buffer is read, hashed and handed out.
#![forbid(unsafe_code)]

use super::record::{self, COVERED, Fields, HEADER, Hasher};
use super::temp::same;
use super::{current, target};
use crate::hooks::*;
use crate::path::{self, Name, Path, copy};
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
/// Longer ones are read in pieces of this length, each hashed while it is in the cache.
const PIECE: usize = 1 << 18;
/// How often a file that changes while it is being read is read again.
const ATTEMPTS: u32 = 100;

/// What to load, and how.
pub struct Request {
    pub flags: u32,
    pub schema: u32,
    pub max_len: u64,
}

/// Where the payload goes.
pub struct Room {
    /// The caller's memory, for the payload alone. Or, when none was given, the whole record: the payload begins
    /// at byte 256 and has a NUL after it.
    pub memory: Buffer,
    pub given: bool,
    /// How long the payload is that was found too large.
    pub needed: u64,
}

/// A verified state.
pub struct Loaded {
    pub len: usize,
    pub fields: Fields,
    pub sha256: [u8; 32],
    pub previous: bool,
    recycled: bool,
}

/// Loads the state at `path`, following symbolic links as open(2) does.
pub fn load(hooks: &Hooks, path: &CStr, request: &Request, room: &mut Room) -> Result<(Loaded, Outcome), Outcome> {
    let mut attempts = ATTEMPTS;
    loop {
        let error = match load_file(hooks, AT_FDCWD, path, request, room) {
            Ok(loaded) => return Ok(succeed(loaded, STEADFAST_OK)),
            Err(outcome) => outcome,
        };
        let missing = error.status() == ENOENT.wrapping_neg();
        let recover = request.flags & STEADFAST_LOAD_RECOVER != 0;
        let instead = missing || (recover && recoverable(error.status()));
        if !instead {
            return Err(error);
        }
        let found = match load_previous(hooks, path, request, recover, room) {
            Ok(Some(loaded)) => {
                let (loaded, outcome) = succeed(Loaded { previous: true, ..loaded }, STEADFAST_RECOVERED);
                Ok((loaded, outcome.after(error)))
            }
            Ok(None) => Err(error.with_status(STEADFAST_E_LOST)),
            // What is wrong with the current state is the news, unless it is missing: "no state" is only said when
            // there is no previous one either.
            Err(outcome) if missing && outcome.status() != ENOENT.wrapping_neg() => Err(outcome),
            // So is what could be recovered with more memory.
            Err(outcome) if outcome.status() == STEADFAST_E_TOO_LARGE => Err(outcome),
            Err(_) => return Err(error),
        };
        // There is a previous one because the first saves were made between the two looks? And what keeps the state from
        // being looked at again is news, too.
        attempts = attempts.saturating_sub(1);
        let still_missing = || open_file(hooks, AT_FDCWD, path).is_err_and(|again| again.status() == error.status());
        if !missing || attempts == 0 || still_missing() {
            return found;
        }
    }
}

fn succeed(loaded: Loaded, status: i32) -> (Loaded, Outcome) {
    let generation = loaded.fields.generation;
    (loaded, Outcome::new(status).with_generation(generation))
}

/// Is this damage?
pub fn damaged(status: i32) -> bool {
    (STEADFAST_E_FORMAT..=STEADFAST_E_EMPTY).contains(&status)
}

/// Is this damage, or an unreadable disk, for which the previous generation is kept?
fn recoverable(status: i32) -> bool {
    damaged(status) || [EIO, EBADMSG, EUCLEAN].iter().any(|errno| status == errno.wrapping_neg())
}

/// PATH.prev: loaded when `recover`, else None when it is there. A link at PATH is followed to the end first.
fn load_previous(
    hooks: &Hooks,
    whole: &CStr,
    request: &Request,
    recover: bool,
    room: &mut Room,
) -> Result<Option<Loaded>, Outcome> {
    let mut path = Path::empty();
    path.set(whole.to_bytes()).at(STEADFAST_STEP_ARGUMENTS)?;
    let mut dir = open_directory(hooks, &path)?;
    let mut stat = steadfast_stat::default();
    for _ in 0..40 {
        if hooks.fstatat(dir.raw(), path.name(), &mut stat).is_err() || !is_symlink(stat.mode) {
            break;
        }
        target::follow(hooks, dir.raw(), &mut path)?;
        dir = open_directory(hooks, &path)?;
    }
    let mut previous = Name::empty();
    path::previous(&mut previous, path.name()).map_err(|_| Outcome::new(ENOENT.wrapping_neg()))?;
    if recover {
        return load_file(hooks, dir.raw(), previous.c_str(), request, room).map(Some);
    }
    hooks.fstatat(dir.raw(), previous.c_str(), &mut stat).at(STEADFAST_STEP_INSPECT_TARGET)?;
    if is_regular(stat.mode) { Ok(None) } else { Err(Outcome::new(ENOENT.wrapping_neg())) }
}

/// Only to name files in it: it need not be readable.
fn open_directory<'h>(hooks: &'h Hooks, path: &Path) -> Result<Fd<'h>, Outcome> {
    hooks.open_directory(path.directory(), O_PATH).at(STEADFAST_STEP_OPEN_DIRECTORY)
}

/// An open state file.
struct File<'h> {
    fd: Fd<'h>,
    stat: steadfast_stat,
}

fn open_fd<'h>(hooks: &'h Hooks, dir: i32, path: &CStr) -> Result<Fd<'h>, Outcome> {
    hooks.openat(dir, path, current::CAREFUL & !O_NOFOLLOW, 0).map_err(|e| {
        // A socket, or a FIFO or device without a driver behind it (open(2)).
        if e.is(ENXIO) { Outcome::new(STEADFAST_E_NOT_REGULAR) } else { Outcome::failed(e, STEADFAST_STEP_OPEN_FILE) }
    })
}

fn inspect<'h>(fd: Fd<'h>) -> Result<File<'h>, Outcome> {
    let mut stat = steadfast_stat::default();
    fd.hooks().fstat(fd.raw(), &mut stat).at(STEADFAST_STEP_READ_FILE)?;
    if !is_regular(stat.mode) {
        return Err(Outcome::new(STEADFAST_E_NOT_REGULAR));
    }
    Ok(File { fd, stat })
}

fn open_file<'h>(hooks: &'h Hooks, dir: i32, path: &CStr) -> Result<File<'h>, Outcome> {
    open_fd(hooks, dir, path).and_then(inspect)
}

/// Reads what is at `path`. A small state is whole after one read: only where it is not, fstat is asked what is there.
fn load_file(hooks: &Hooks, dir: i32, path: &CStr, request: &Request, room: &mut Room) -> Result<Loaded, Outcome> {
    let fd = open_fd(hooks, dir, path)?;
    hooks.glance(fd.raw(), |glance| {
        let seen = glance.unwrap_or_default();
        let mut result = Err(Outcome::new(STEADFAST_E_DIGEST));
        if is_all(seen.len()) {
            result = read(&fd, seen.len() as u64, seen, request, room);
        }
        match &result {
            Ok(loaded) if !loaded.recycled => return result,
            Ok(_) => {}
            Err(_) => room.memory.clear(),
        }
        let file = inspect(fd)?;
        // The error of a regular file: a directory or a FIFO has another one.
        glance.at(STEADFAST_STEP_READ_FILE)?;
        look_again(file, seen, result, dir, path, request, room)
    })
}

/// Did a glance of this length come to the end of the file? A regular file is read short at its end, or where an
/// error or a signal cut the read. An error cuts between blocks; and a signal exactly between a record whose digest is
/// right and bytes after it would hide those, but change nothing of what is loaded.
fn is_all(len: usize) -> bool {
    const BLOCK: usize = 512;
    (HEADER..GLANCE).contains(&len) && !len.is_multiple_of(BLOCK)
}

/// STEADFAST_SAVE_RECYCLE writes over the file before the last one, which we may have open since it was the last: then
/// what was read is torn, or whole but not yet saved. So damage is believed when it is still there at a second look, and
/// a record that says that it was written so, when it still has the name. `seen` is how the file begins, `result` what
/// that came to.
fn look_again(
    mut file: File<'_>,
    seen: &[u8],
    mut result: Result<Loaded, Outcome>,
    dir: i32,
    path: &CStr,
    request: &Request,
    room: &mut Room,
) -> Result<Loaded, Outcome> {
    let mut seen = seen;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 || result.is_err() {
            result = read(&file.fd, file.stat.size, seen, request, room);
        }
        let (doubtful, whole) = match &result {
            Ok(loaded) => (loaded.recycled, true),
            Err(outcome) => (damaged(outcome.status()), false),
        };
        if !doubtful {
            break;
        }
        let Ok(again) = open_file(file.fd.hooks(), dir, path) else { break };
        let unchanged = file.stat.mtime_ns == again.stat.mtime_ns && file.stat.size == again.stat.size && attempt > 0;
        if same(&file.stat, &again.stat) && (whole || unchanged) {
            break;
        }
        file = again;
        seen = &[];
    }
    if result.is_err() {
        room.memory.clear();
    }
    result
}

/// Reads a record from a file of `size` bytes, which begins with `seen`.
fn read(fd: &Fd<'_>, size: u64, seen: &[u8], request: &Request, room: &mut Room) -> Result<Loaded, Outcome> {
    const STEP: i32 = STEADFAST_STEP_READ_FILE;
    let (hooks, fd) = (fd.hooks(), fd.raw());
    let max_len = if request.max_len == 0 { DEFAULT_MAX_LEN } else { request.max_len };
    let mut header = [0u8; HEADER];
    let small = !room.given && size <= SMALL.min(max_len.saturating_add(HEADER as u64));
    let mut read = seen.len();
    if small {
        // One byte more than the file has: reading less then proves its end without another call.
        room.memory = Buffer::new((size as usize).saturating_add(1)).at(STEADFAST_STEP_ALLOCATE)?;
        room.memory.append(seen);
        hooks.fill(fd, &mut room.memory, 0, size as usize).at(STEP)?;
        copy(&mut header, room.memory.bytes());
        read = room.memory.bytes().len();
    } else if read < HEADER {
        read = hooks.pread(fd, &mut header, 0).at(STEP)?;
    } else {
        copy(&mut header, seen);
    }
    let len = record::expected_len(header.get(..read).unwrap_or(&header), size).map_err(Outcome::new)?;
    let most = if room.given { max_len.min(room.memory.capacity() as u64) } else { max_len };
    if len > most {
        room.needed = len;
        return Err(Outcome::new(STEADFAST_E_TOO_LARGE));
    }
    let len = len as usize;
    // How many bytes of the file come before those in the memory, and how many of those need not be hashed.
    let (mut base, mut hashed) = (0, COVERED);
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
    loop {
        let enough = hashed.saturating_add(PIECE).min(end);
        hooks.fill(fd, memory, base as u64, enough).at(STEP)?;
        let piece = memory.bytes().get(hashed..).unwrap_or_default();
        hasher.update(piece);
        hashed = hashed.saturating_add(piece.len());
        if enough == end || hashed < enough {
            break;
        }
    }
    match memory.bytes().len().cmp(&end) {
        core::cmp::Ordering::Less => return Err(Outcome::new(STEADFAST_E_TRUNCATED)),
        core::cmp::Ordering::Greater => return Err(Outcome::new(STEADFAST_E_TRAILING)),
        core::cmp::Ordering::Equal => {}
    }
    let (fields, sha256) = record::check(&header, hasher).map_err(Outcome::new)?;
    if request.flags & STEADFAST_LOAD_REQUIRE_SCHEMA != 0 && fields.schema != request.schema {
        return Err(Outcome::new(STEADFAST_E_SCHEMA).with_generation(fields.generation));
    }
    if base == 0 {
        memory.append(&[0]);
    }
    Ok(Loaded { len, fields, sha256, previous: false, recycled: record::is_recycled(&header) })
}
