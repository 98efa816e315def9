//! Keeping the current state as NAME.prev.
//!
//! link(state, rotating); rename(rotating, prev): the state never loses its name, and .prev is replaced in
//! one step. Every other order of renames and links shows a crash state without one of the two.
#![forbid(unsafe_code)]

use super::current::{Current, is_named};
use super::save::Saving;
use super::temp::{Temp, UNSYNCED, same, set_owner_and_mode};
use crate::hooks::*;
use crate::path::{self, Name};
use crate::status::*;
use core::ffi::CStr;

const STEP: i32 = STEADFAST_STEP_KEEP_PREVIOUS;

/// The current state was replaced again and again while it was being kept.
const ATTEMPTS: u32 = 100;

/// Makes the current state of `saving` the previous generation, if it is whole. A damaged one, one that could not be
/// synced, or none, leaves .prev alone. The number of its temporary file owns the rotating name.
pub fn keep(saving: &mut Saving<'_>, name: &CStr, sync: bool) -> Result<(), Outcome> {
    let (hooks, dir) = (saving.dir.hooks(), saving.dir.raw());
    let (mut previous, mut rotating) = (Name::empty(), Name::empty());
    path::previous(&mut previous, name).at(STEP)?;
    path::rotating(&mut rotating, name, saving.temp.number).at(STEP)?;
    let (previous, rotating) = (previous.c_str(), rotating.c_str());
    let current = &mut saving.current;
    let mut spare = Current::none(hooks);
    for _ in 0..ATTEMPTS {
        if !current.is_there() || current.stat.mode & UNSYNCED != 0 {
            return Ok(());
        }
        if current.damage != 0 {
            current.verify()?;
        }
        // A later format is whole as well.
        if ![0, STEADFAST_E_NEWER].contains(&current.damage) {
            return Ok(());
        }
        hold_off(&mut spare, dir, previous)?;
        // rename between two names of one file does nothing, and would leave the second name behind.
        if spare.is_there() && same(&spare.stat, &current.stat) {
            if current.is_named(dir, name).at(STEP)? {
                return Ok(());
            }
            // It has exchanged its name with another one meanwhile: that one is to be kept.
            current.open(dir, name)?;
            continue;
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
            Err(e) if e.is(EPERM) || e.is(EMLINK) || e.unsupported() => return copy(dir, name, previous, current, sync),
            Err(e) => return Err(Outcome::failed(e, STEP)),
        }
        let ours = current.is_named(dir, rotating).at(STEP);
        let mut result = ours.map(|_| ());
        if ours == Ok(true) {
            result = rename(hooks, dir, rotating, previous, &current.stat);
        }
        // Gone after a rename that did something.
        match hooks.unlink(dir, rotating) {
            Err(e) if !e.is(ENOENT) => result = result.and(Err(Outcome::failed(e, STEP))),
            _ => {}
        }
        result?;
        if ours == Ok(true) {
            return Ok(());
        }
        // Replaced since it was opened: the new one is what is to be kept.
        current.open(dir, name)?;
    }
    Err(Outcome::failed(Errno::of(EAGAIN), STEP))
}

/// The bytes of a spare generation that are locked (open file description locks) while it is being written over:
/// whoever wants to give .prev to another file waits until it has become the current state.
pub const SPARE: i64 = 0;

/// Opens what is at .prev, no longer being written over; nothing, when there is nothing that could be.
fn hold_off(spare: &mut Current<'_>, dir: i32, previous: &CStr) -> Result<(), Outcome> {
    for _ in 0..ATTEMPTS {
        if spare.open(dir, previous).is_err() {
            spare.close();
        }
        // Nobody writes over anything where there are no such locks.
        if !spare.is_there() || spare.fd.hooks().ofdlock(spare.fd.raw(), STEADFAST_OFDLOCK_WAIT, SPARE, 1).is_err() {
            return Ok(());
        }
        if spare.is_named(dir, previous).at(STEP)? {
            return Ok(());
        }
    }
    Err(Outcome::failed(Errno::of(EAGAIN), STEP))
}

/// Over NFS a rename that happened may be answered with an error: the inode tells.
fn rename(hooks: &Hooks, dir: i32, from: &CStr, to: &CStr, stat: &steadfast_stat) -> Result<(), Outcome> {
    let renamed = hooks.rename(dir, from, to, 0);
    if renamed.is_err() && is_named(hooks, dir, to, stat) == Ok(true) {
        return Ok(());
    }
    renamed.at(STEP)
}

/// The same without hard links: a second temporary file, byte for byte, synced as the first one is.
fn copy(dir: i32, name: &CStr, previous: &CStr, current: &Current<'_>, sync: bool) -> Result<(), Outcome> {
    let hooks = current.fd.hooks();
    let mut copy = Temp::none(hooks);
    copy.create(dir, name, 0o600).at(STEP)?;
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
    set_owner_and_mode(hooks, copy.fd.raw(), &copy.stat, Some(&current.stat), 0).at(STEP)?;
    if sync {
        match hooks.fsync(copy.fd.raw()) {
            Err(e) if !e.unsupported() => return Err(Outcome::failed(e, STEP)),
            _ => {}
        }
    }
    rename(hooks, dir, copy.name.c_str(), previous, &copy.stat)?;
    copy.published();
    Ok(())
}
