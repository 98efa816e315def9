//! Keeping the current state as NAME.prev.
//!
//! link(state, rotating); rename(rotating, prev): the state never loses its name, and .prev is replaced in
//! one step. Every other order of renames and links shows a crash state without one of the two.
#![forbid(unsafe_code)]

use super::current::{self, Current};
use super::temp::{Temp, UNSYNCED, same};
use crate::hooks::*;
use crate::path;
use crate::status::*;
use core::ffi::CStr;

const STEP: i32 = STEADFAST_STEP_KEEP_PREVIOUS;

/// The current state was replaced again and again while it was being kept.
const ATTEMPTS: u32 = 100;

/// Makes the current state the previous generation, if it is whole (`verified`: known to be). A damaged one, one
/// that could not be synced, or none, leaves .prev alone. `temp` is the file about to be published: its number owns the rotating name.
pub fn keep(
    hooks: &Hooks,
    dir: i32,
    name: &CStr,
    temp: &Temp<'_>,
    current: &Current<'_>,
    mut verified: bool,
    sync: bool,
) -> Result<(), Outcome> {
    let previous = path::previous(name).at(STEP)?;
    let previous = previous.c_str();
    let rotating = path::rotating(name, temp.number).at(STEP)?;
    let rotating = rotating.c_str();
    let mut reopened;
    let mut current = current;
    for _ in 0..ATTEMPTS {
        if current.stat.mode & UNSYNCED != 0 {
            return Ok(());
        }
        // A later format is whole as well.
        if !verified && current.verify(hooks)?.is_err_and(|code| code != STEADFAST_E_NEWER) {
            return Ok(());
        }
        // rename between two names of one file does nothing, and would leave the second name behind.
        if current::still_named(hooks, dir, previous, &current.stat).at(STEP)? {
            return Ok(());
        }
        let mut linked = hooks.link(dir, name, dir, rotating, 0);
        if linked.is_err_and(|e| e.is(EEXIST)) {
            // Left by a killed writer that had our number.
            hooks.unlink(dir, rotating).at(STEP)?;
            linked = hooks.link(dir, name, dir, rotating, 0);
        }
        match linked {
            Ok(()) => {}
            Err(e) if e.is(ENOENT) => return Ok(()),
            // No hard links on this file system, or not for us (protected_hardlinks).
            Err(e) if e.is(EPERM) || e.is(EMLINK) || e.unsupported() => return copy(hooks, dir, name, previous, current, sync),
            Err(e) => return Err(Outcome::failed(e, STEP)),
        }
        let result = rotate(hooks, dir, rotating, previous, &current.stat);
        // Gone after a rename that did something.
        match hooks.unlink(dir, rotating) {
            Ok(()) => {}
            Err(e) if e.is(ENOENT) => {}
            Err(e) => return Err(result.err().unwrap_or(Outcome::failed(e, STEP))),
        }
        if result? {
            return Ok(());
        }
        // Replaced since it was opened: the new one is what is to be kept.
        reopened = current::open(hooks, dir, name)?;
        let Some(next) = &reopened else { return Ok(()) };
        (current, verified) = (next, false);
    }
    Err(Outcome::failed(Errno::of(EAGAIN), STEP))
}

/// Renames, if what was linked is what was verified.
fn rotate(hooks: &Hooks, dir: i32, rotating: &CStr, previous: &CStr, verified: &steadfast_stat) -> Result<bool, Outcome> {
    if !same(&hooks.fstatat(dir, rotating).at(STEP)?, verified) {
        return Ok(false);
    }
    rename(hooks, dir, rotating, previous, verified).map(|()| true)
}

/// Over NFS a rename that happened may be answered with an error: the inode tells.
fn rename(hooks: &Hooks, dir: i32, from: &CStr, to: &CStr, stat: &steadfast_stat) -> Result<(), Outcome> {
    match hooks.rename(dir, from, to, 0) {
        Ok(()) => Ok(()),
        Err(e) => match current::still_named(hooks, dir, to, stat) {
            Ok(true) => Ok(()),
            _ => Err(Outcome::failed(e, STEP)),
        },
    }
}

/// The same without hard links: a second temporary file, byte for byte, synced as the first one is.
fn copy(hooks: &Hooks, dir: i32, name: &CStr, previous: &CStr, current: &Current<'_>, sync: bool) -> Result<(), Outcome> {
    let mut copy = Temp::create(hooks, dir, name, 0o600).at(STEP)?;
    let mut piece = [0u8; 16384];
    let mut at = 0u64;
    loop {
        let len = hooks.pread(current.fd.raw(), &mut piece, at).at(STEP)?;
        if len == 0 {
            break;
        }
        hooks.write_all(copy.fd.raw(), &[piece.get(..len).unwrap_or_default()]).at(STEP)?;
        at = at.saturating_add(len as u64);
    }
    copy.set_owner_and_mode(Some(&current.stat), 0).at(STEP)?;
    if sync {
        match hooks.fsync(copy.fd.raw()) {
            Ok(()) => {}
            Err(e) if e.unsupported() => {}
            Err(e) => return Err(Outcome::failed(e, STEP)),
        }
    }
    rename(hooks, dir, copy.name.c_str(), previous, &copy.stat)?;
    copy.published();
    Ok(())
}
