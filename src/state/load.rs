//! Loading: one buffer is read, hashed and handed out.

use super::format::{self, COVERED, Fields, HEADER, Hasher};
use super::load_plain;
use super::loaded::{Loaded, Room, Taker, read_and_hash};
use super::options::*;
use super::resolve;
use crate::file::base::Start;
use crate::file::deadline::Retry;
use crate::file::entry::{CAREFUL, Entry};
use crate::file::flock;
use crate::file::names;
use crate::file::path::{PATH_MAX, Path};
use crate::hooks::*;
use crate::mem::copy;
use crate::status::*;
use core::cmp::Ordering;
use core::ffi::CStr;

/// Up to here the whole file is read in one call; longer ones are checked by their header first.
const SMALL: u64 = 65536;
/// How often a missing state is looked for again that another process is saving for the first time.
const ATTEMPTS: u32 = 100;

impl<'h> Taker<'h> for Room {
    fn take(&mut self, fd: Fd<'h>, request: &LoadRequest, retry: &mut Retry) -> Result<Loaded, Outcome> {
        read_file(fd, request, self, retry)
    }
}

/// Loads the state at `path` into `room`, following symbolic links as open(2) does.
pub fn load<'h>(
    start: &Start<'h>,
    path: &CStr,
    request: &LoadRequest,
    room: &mut dyn Taker<'h>,
) -> Result<(Loaded, Outcome), Outcome> {
    let mut retry = Retry::new(DEFAULT_TIMEOUT_MS);
    loop {
        match load_once(start, path, request, room, &mut retry) {
            // One of the two files was replaced at this moment, over FUSE or NFS.
            Err(e) if e.status == Errno::of(ESTALE).code() && retry.sleep(start.hooks()) == Ok(true) => {}
            done => return done,
        }
    }
}

fn load_once<'h>(
    start: &Start<'h>,
    path: &CStr,
    request: &LoadRequest,
    room: &mut dyn Taker<'h>,
    retry: &mut Retry,
) -> Result<(Loaded, Outcome), Outcome> {
    let mut attempts = ATTEMPTS;
    loop {
        let error = match load_file(start, path, request, room, retry) {
            Ok(loaded) if loaded.len == 0 && loaded.status != STEADFAST_OK && request.has(STEADFAST_LOAD_RECOVER) => {
                // Nothing confirms that it is to be empty: a verified PATH.prev is better.
                match load_previous(start, path, request, room, retry) {
                    Ok(Some(previous)) => return Ok(succeed(recovered(previous))),
                    Err(outcome) if outcome.status == STEADFAST_E_TOO_LARGE => return Err(outcome),
                    _ => {}
                }
                let alone = LoadRequest { flags: request.flags & !STEADFAST_LOAD_RECOVER, ..*request };
                match load_file(start, path, &alone, room, retry) {
                    Ok(loaded) => return Ok(succeed(loaded)),
                    Err(outcome) => outcome,
                }
            }
            Ok(loaded) => return Ok(succeed(loaded)),
            Err(outcome) => outcome,
        };
        let missing = error.status == Errno::of(ENOENT).code();
        let recover = request.has(STEADFAST_LOAD_RECOVER);
        let instead = missing || (recover && recoverable(error.status));
        if !instead {
            return Err(error);
        }
        let found = match load_previous(start, path, request, room, retry) {
            Ok(Some(loaded)) => {
                let (loaded, outcome) = succeed(recovered(loaded));
                Ok((loaded, outcome.after(error)))
            }
            Ok(None) => Err(error.with_status(STEADFAST_E_LOST)),
            // What is wrong with the current state is the news, unless it is missing: "no state" is only said when
            // there is no previous one either.
            Err(outcome) if missing && outcome.status != Errno::of(ENOENT).code() => Err(outcome),
            // So is what could be recovered with more memory.
            Err(outcome) if outcome.status == STEADFAST_E_TOO_LARGE => Err(outcome),
            Err(_) => return Err(error),
        };
        // There is a previous one because the first saves were made between the two looks? And what keeps the state from
        // being looked at again is news, too.
        attempts = attempts.saturating_sub(1);
        let mut still_missing = || open_file(start, path, retry).is_err_and(|again| again.status == error.status);
        if !missing || attempts == 0 || still_missing() {
            return found;
        }
    }
}

fn succeed(loaded: Loaded) -> (Loaded, Outcome) {
    let outcome = Outcome::new(loaded.status).with_generation(loaded.fields.generation);
    (loaded, outcome)
}

fn recovered(loaded: Loaded) -> Loaded {
    Loaded { previous: true, status: STEADFAST_RECOVERED, ..loaded }
}

/// Is this damage, or an unreadable disk, for which the previous generation is kept?
pub fn recoverable(status: i32) -> bool {
    let damaged = (STEADFAST_E_FORMAT..=STEADFAST_E_EMPTY).contains(&status);
    damaged || [EIO, EBADMSG, EUCLEAN].iter().any(|&errno| status == Errno::of(errno).code())
}

/// PATH.prev: loaded with RECOVER, else None when it is there. A link at PATH is followed to the end first.
fn load_previous<'h>(
    start: &Start<'h>,
    whole: &CStr,
    request: &LoadRequest,
    room: &mut dyn Taker<'h>,
    retry: &mut Retry,
) -> Result<Option<Loaded>, Outcome> {
    let missing = || Outcome::new(Errno::of(ENOENT).code());
    let mut path = Path::empty();
    path.set(whole.to_bytes()).at(STEADFAST_STEP_ARGUMENTS)?;
    // Only to name files in it: the directory need not be readable.
    let mut dir = start.open_directory(path.directory(), O_PATH).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
    for _ in 0..resolve::LINKS {
        let entry = Entry::new(&dir, path.name());
        if !entry.stat().is_ok_and(|stat| is_symlink(stat.mode)) {
            break;
        }
        let mut buf = [0u8; PATH_MAX];
        let link = resolve::read_link(entry, &mut buf)?;
        path.follow(link).at(STEADFAST_STEP_READ_LINK)?;
        dir = start.open_directory(path.directory(), O_PATH).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
    }
    let previous = names::previous(path.name()).map_err(|_| missing())?;
    let entry = Entry::new(&dir, previous.c_str());
    if request.has(STEADFAST_LOAD_RECOVER) {
        // A link there is nobody's state.
        let follows = |e: &Outcome| [ELOOP, EMLINK].contains(&e.os_error);
        let fd = opened(start.hooks(), retry, |more| entry.open(CAREFUL | more, 0));
        // Nor can anything have a name that is too long here.
        let nothing = |e: &Outcome| follows(e) || e.os_error == ENAMETOOLONG;
        let fd = fd.map_err(|e| if nothing(&e) { missing() } else { e })?;
        let loaded = room.take(fd, request, retry)?;
        // A plain file that nothing confirms is nobody's previous generation.
        return if loaded.status == STEADFAST_OK { Ok(Some(loaded)) } else { Err(Outcome::new(STEADFAST_E_UNVERIFIED)) };
    }
    let stat = entry.stat_if_there().at(STEADFAST_STEP_INSPECT_TARGET)?.ok_or_else(missing)?;
    if is_regular(stat.mode) { Ok(None) } else { Err(missing()) }
}

/// A file that another process has a lease on is waited for, for as long as a save would. `open` takes more flags.
fn opened<'h>(
    hooks: &'h Hooks,
    retry: &mut Retry,
    mut open: impl FnMut(i32) -> Result<Fd<'h>, Errno>,
) -> Result<Fd<'h>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_OPEN_FILE;
    loop {
        match open(0) {
            // A socket, or a FIFO or device without a driver behind it (open(2)).
            Err(e) if e.is(ENXIO) => return Err(Outcome::new(STEADFAST_E_NOT_REGULAR)),
            Err(e) if e.is(EAGAIN) => {
                if !retry.sleep(hooks).at(STEP)? {
                    // O_PATH breaks no lease.
                    let holder =
                        open(O_PATH).and_then(|fd| hooks.fstat(fd.raw())).ok().and_then(|stat| flock::holder(hooks, &stat));
                    let busy = Outcome::because(STEADFAST_E_BUSY, Detail::Leased).with_step(STEP);
                    return Err(busy.with_pid(holder.unwrap_or(0)));
                }
            }
            result => return result.at(STEP),
        }
    }
}

fn open_file<'h>(start: &Start<'h>, path: &CStr, retry: &mut Retry) -> Result<Fd<'h>, Outcome> {
    let fd = opened(start.hooks(), retry, |more| start.open(path, CAREFUL & !O_NOFOLLOW | more))?;
    size_of_regular(&fd)?;
    Ok(fd)
}

/// The size of a file, if it is a regular one.
fn size_of_regular(fd: &Fd<'_>) -> Result<u64, Outcome> {
    let stat = fd.hooks().fstat(fd.raw()).at(STEADFAST_STEP_READ_FILE)?;
    if is_regular(stat.mode) { Ok(stat.size) } else { Err(Outcome::new(STEADFAST_E_NOT_REGULAR)) }
}

fn load_file<'h>(
    start: &Start<'h>,
    path: &CStr,
    request: &LoadRequest,
    room: &mut dyn Taker<'h>,
    retry: &mut Retry,
) -> Result<Loaded, Outcome> {
    let fd = opened(start.hooks(), retry, |more| start.open(path, CAREFUL & !O_NOFOLLOW | more))?;
    room.take(fd, request, retry)
}

/// Reads a whole file. A small state is complete after one read: only where it is not, fstat is asked what is there.
fn read_file(fd: Fd<'_>, request: &LoadRequest, room: &mut Room, retry: &mut Retry) -> Result<Loaded, Outcome> {
    if request.kind() == Kind::Plain {
        return load_plain::read(&fd, request, room, retry).inspect_err(|_| room.memory.clear());
    }
    fd.hooks().glance(fd.raw(), |glance| {
        let mut seen = glance.unwrap_or_default();
        if is_all(seen.len()) {
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

/// Did a glance of this length come to the end of the file? A regular file is read short at its end, or where an
/// error or a signal cut the read. An error cuts between blocks; and a signal exactly between a record whose digest is
/// right and bytes after it would hide those, but change nothing of what is loaded.
fn is_all(len: usize) -> bool {
    const BLOCK: usize = 512;
    (HEADER..GLANCE).contains(&len) && !len.is_multiple_of(BLOCK)
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
    let addressable = usize::try_from(len).ok().filter(|&len| len <= (isize::MAX as usize).saturating_sub(HEADER + 1));
    let Some(len) = addressable.filter(|_| len <= most) else {
        room.needed = len;
        return Err(Outcome::new(STEADFAST_E_TOO_LARGE));
    };
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
        memory.append(&[0]);
    }
    Ok(Loaded { len, fields, sha256, previous: false, status: STEADFAST_OK })
}

/// Checks a record, of which all bytes have this digest, and its schema.
pub fn check(header: &[u8; HEADER], computed: [u8; 32], request: &LoadRequest) -> Result<(Fields, [u8; 32]), Outcome> {
    let (fields, sha256) = format::check_digest(header, computed).map_err(Outcome::new)?;
    if request.has(STEADFAST_LOAD_REQUIRE_SCHEMA) && fields.schema != request.schema {
        return Err(Outcome::new(STEADFAST_E_SCHEMA).with_generation(fields.generation));
    }
    Ok((fields, sha256))
}
