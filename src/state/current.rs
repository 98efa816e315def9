//! What is at the target now.
#![forbid(unsafe_code)]

use super::record::{self, HEADER, Verifier};
use super::temp::same;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// Flags for opening a file that somebody else may have put there.
pub const CAREFUL: i32 = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;

/// Looks at the target without following it: None when there is nothing.
pub fn inspect(hooks: &Hooks, dir: i32, name: &CStr) -> Result<Option<steadfast_stat>, Outcome> {
    let stat = match hooks.fstatat(dir, name) {
        Ok(stat) => stat,
        Err(e) if e.is(ENOENT) => return Ok(None),
        Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_INSPECT_TARGET)),
    };
    if is_symlink(stat.mode) {
        return Err(Outcome::new(STEADFAST_E_SYMLINK));
    }
    if !is_regular(stat.mode) {
        return Err(Outcome::new(STEADFAST_E_NOT_REGULAR));
    }
    if stat.attributes & STEADFAST_STAT_MOUNT_ROOT != 0 {
        let busy = Errno(EBUSY.wrapping_neg());
        return Err(Outcome { detail: Detail::MOUNT_POINT, ..Outcome::failed(busy, STEADFAST_STEP_INSPECT_TARGET) });
    }
    Ok(Some(stat))
}

/// The generation in the header of the file there, not verified; None when it is damaged or not ours. `size`
/// is its size of a moment ago.
pub fn read_generation(hooks: &Hooks, dir: i32, name: &CStr, size: u64) -> Result<Option<u64>, Outcome> {
    let fd = match hooks.openat(dir, name, CAREFUL, 0) {
        Ok(fd) => fd,
        Err(e) if e.is(ENOENT) => return Ok(None),
        Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_READ_CURRENT)),
    };
    let mut header = [0u8; HEADER];
    let len = hooks.pread(fd.raw(), &mut header, 0).at(STEADFAST_STEP_READ_CURRENT)?;
    let header = header.get(..len).unwrap_or_default();
    if record::expected_len(header, size).is_err() {
        // Perhaps another saver has replaced it since.
        let size = hooks.fstat(fd.raw()).at(STEADFAST_STEP_READ_CURRENT)?.size;
        if record::expected_len(header, size).is_err() {
            return Ok(None);
        }
    }
    Ok(record::fields(header).ok().map(|fields| fields.generation))
}

/// The current state, open.
pub struct Current<'h> {
    pub fd: Fd<'h>,
    pub stat: steadfast_stat,
    /// Its generation when it is whole, else the code that says what is wrong with it.
    pub verified: Result<u64, i32>,
}

/// How often a state may be replaced while it is being opened, before that is taken for a defect.
const ATTEMPTS: u32 = 10_000;

/// Opens the current state and verifies it whole. With `hold` its flock is taken first, waiting, and kept:
/// what is then under the name is what was verified. None when there is nothing.
pub fn open_verified<'h>(hooks: &'h Hooks, dir: i32, name: &CStr, hold: bool) -> Result<Option<Current<'h>>, Outcome> {
    for _ in 0..ATTEMPTS {
        let fd = match hooks.openat(dir, name, CAREFUL, 0) {
            Ok(fd) => fd,
            Err(e) if e.is(ENOENT) => return Ok(None),
            Err(e) if e.is(ELOOP) => return Err(Outcome::new(STEADFAST_E_SYMLINK)),
            Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_READ_CURRENT)),
        };
        let stat = hooks.fstat(fd.raw()).at(STEADFAST_STEP_READ_CURRENT)?;
        if hold {
            match hooks.flock(fd.raw(), LOCK_EX) {
                Ok(()) => {}
                // EBADF: over NFS an exclusive flock needs a descriptor open for writing (flock(2)).
                Err(e) if e.unsupported() || e.is(EBADF) || e.is(ENOLCK) => return Err(no_flock(e)),
                Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_READ_CURRENT)),
            }
            if !still_named(hooks, dir, name, &stat).at(STEADFAST_STEP_READ_CURRENT)? {
                continue;
            }
        }
        let verified = verify(hooks, fd.raw(), stat.size).at(STEADFAST_STEP_READ_CURRENT)?;
        return Ok(Some(Current { fd, stat, verified }));
    }
    Err(Outcome::failed(Errno(EAGAIN.wrapping_neg()), STEADFAST_STEP_READ_CURRENT))
}

/// IF_GENERATION cannot be had without flock.
pub fn no_flock(error: Errno) -> Outcome {
    Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::SWAP_NEEDS_FLOCK).caused_by(error, STEADFAST_STEP_READ_CURRENT)
}

/// Does the name still mean this file?
pub fn still_named(hooks: &Hooks, dir: i32, name: &CStr, stat: &steadfast_stat) -> Result<bool, Errno> {
    match hooks.fstatat(dir, name) {
        Ok(named) => Ok(same(stat, &named)),
        Err(e) if e.is(ENOENT) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Reads a record through and checks it: its generation, or the code of its damage.
fn verify(hooks: &Hooks, fd: i32, size: u64) -> Result<Result<u64, i32>, Errno> {
    let mut piece = [0u8; 16384];
    let mut at = 0u64;
    let mut verifier: Option<Verifier> = None;
    loop {
        let len = hooks.pread(fd, &mut piece, at)?;
        let bytes = piece.get(..len).unwrap_or_default();
        at = at.saturating_add(len as u64);
        match &mut verifier {
            Some(verifier) => verifier.update(bytes),
            None => {
                let header = bytes.get(..HEADER).unwrap_or(bytes);
                if let Err(code) = record::expected_len(header, size) {
                    return Ok(Err(code));
                }
                let mut first = Verifier::new(header);
                if let Some(verifier) = &mut first {
                    verifier.update(bytes.get(HEADER..).unwrap_or_default());
                }
                verifier = first;
            }
        }
        if len < piece.len() {
            break;
        }
    }
    if at != size {
        return Ok(Err(if at < size { STEADFAST_E_TRUNCATED } else { STEADFAST_E_TRAILING }));
    }
    Ok(verifier.ok_or(STEADFAST_E_TRUNCATED).and_then(Verifier::finish).map(|(fields, _)| fields.generation))
}
