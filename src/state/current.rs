//! What is at the target now.
#![forbid(unsafe_code)]

use super::record::{self, HEADER, Verifier};
use super::temp::same;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// Flags for opening a file that somebody else may have put there.
pub const CAREFUL: i32 = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;

/// The current state: the file at the target, open.
pub struct Current<'h> {
    /// Before the descriptor, so that it is dropped before it.
    flock: Option<Flock<'h>>,
    pub fd: Fd<'h>,
    pub stat: steadfast_stat,
}

/// Opens the target without following it: None when there is nothing. Nothing but a regular file is a target.
pub fn open<'h>(hooks: &'h Hooks, dir: i32, name: &CStr) -> Result<Option<Current<'h>>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_INSPECT_TARGET;
    let fd = match hooks.openat(dir, name, CAREFUL, 0) {
        Ok(fd) => fd,
        Err(e) if e.is(ENOENT) => return Ok(None),
        // EMLINK: the same on FreeBSD.
        Err(e) if e.is(ELOOP) || e.is(EMLINK) => return Err(Outcome::new(STEADFAST_E_SYMLINK)),
        // A socket, or a device without a driver (open(2)).
        Err(e) if e.is(ENXIO) => return Err(Outcome::new(STEADFAST_E_NOT_REGULAR)),
        Err(e) => return Err(Outcome::failed(e, STEP)),
    };
    let stat = hooks.fstat(fd.raw()).at(STEP)?;
    if !is_regular(stat.mode) {
        return Err(Outcome::new(STEADFAST_E_NOT_REGULAR));
    }
    if stat.attributes & STEADFAST_STAT_MOUNT_ROOT != 0 {
        return Err(Outcome::failed(Errno::of(EBUSY), STEP).with_detail(Detail::MOUNT_POINT));
    }
    Ok(Some(Current { flock: None, fd, stat }))
}

/// How often a state may be replaced while it is being opened, before that is taken for a defect.
const ATTEMPTS: u32 = 10_000;

/// Takes the flock of the current state, waiting, and keeps it: what is then under the name is what is open.
pub fn hold<'h>(hooks: &'h Hooks, dir: i32, name: &CStr, first: Option<Current<'h>>) -> Result<Option<Current<'h>>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_READ_CURRENT;
    let mut next = first;
    for _ in 0..ATTEMPTS {
        let Some(mut current) = next else { return Ok(None) };
        match hooks.lock(&current.fd, LOCK_EX) {
            Ok(flock) => current.flock = Some(flock),
            // EBADF: over NFS an exclusive flock needs a descriptor open for writing (flock(2)).
            Err(e) if e.unsupported() || e.is(EBADF) || e.is(ENOLCK) => return Err(no_flock(e)),
            Err(e) => return Err(Outcome::failed(e, STEP)),
        }
        if still_named(hooks, dir, name, &current.stat).at(STEP)? {
            return Ok(Some(current));
        }
        next = open(hooks, dir, name)?;
    }
    Err(Outcome::failed(Errno::of(EAGAIN), STEP))
}

impl Current<'_> {
    /// The generation in its header, not verified; None when it is damaged or not ours.
    pub fn read_generation(&self, hooks: &Hooks) -> Result<Option<u64>, Outcome> {
        let mut header = [0u8; HEADER];
        let len = hooks.pread(self.fd.raw(), &mut header, 0).at(STEADFAST_STEP_READ_CURRENT)?;
        let header = header.get(..len).unwrap_or_default();
        let whole = record::expected_len(header, self.stat.size).is_ok();
        Ok(record::fields(header).ok().filter(|_| whole).map(|fields| fields.generation))
    }

    /// Reads it through and checks it: its generation, or the code that says what is wrong with it.
    pub fn verify(&self, hooks: &Hooks) -> Result<Result<u64, i32>, Outcome> {
        verify(hooks, self.fd.raw(), self.stat.size).at(STEADFAST_STEP_READ_CURRENT)
    }
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
