//! Releasing a lock, and asking whether it is still held.

use super::held::{self, Directory, Held, Keeper};
use super::owner;
use super::turn::take_turns;
use crate::file::entry::{Entry, is_still};
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// Releases a lock and closes its descriptors.
pub fn release(hooks: &Hooks, held: &Held, name: &CStr) -> Result<Outcome, Outcome> {
    let owner = held.is_ours(hooks).at(STEADFAST_STEP_UNLINK);
    let directory = held.directory(hooks);
    let outcome = match (owner, &directory) {
        // flock is shared with the parent: LOCK_UN here would free its lock (flock(2)). Closing does not.
        (Ok(false), _) => Err(wrong_process(held)),
        (Err(e), _) => Err(e),
        (Ok(true), Err(e)) => Err(Outcome::failed(*e, STEADFAST_STEP_OPEN_DIRECTORY)),
        (Ok(true), Ok(directory)) => unlink_own(hooks, held, directory, name),
    };
    held.close(hooks, directory.ok(), owner == Ok(true));
    outcome
}

fn wrong_process(held: &Held) -> Outcome {
    Outcome::new(STEADFAST_E_WRONG_PROCESS).with_pid(held.pid)
}

fn unlink_own(hooks: &Hooks, held: &Held, directory: &Directory<'_>, name: &CStr) -> Result<Outcome, Outcome> {
    let entry = Entry::of_raw(hooks, directory.fd, name);
    let (removed, flock_is_ours) = if matches!(held.keeper, Keeper::Inherited(_)) {
        remove_inherited(hooks, held, entry)
    } else {
        (held.check_name(entry).and_then(|()| unlink(entry)), true)
    };
    // A forked child may still have the descriptor. With its name gone nobody can find the inode any more, but
    // a file that stays must not go on being held by that child, unless the child has made the lock its own.
    if let (Err(_), Keeper::Descriptor(fd) | Keeper::Inherited(fd)) = (removed, held.keeper)
        && flock_is_ours
        && is_still(hooks, fd, &held.stat)
    {
        let _ = hooks.flock(fd, LOCK_UN);
    }
    removed.map(|()| Outcome::new(STEADFAST_OK).with_pid(held.pid))
}

/// Removes a lock that a child may be making its own, and whose flock it shares. The answer's second part: is the flock
/// known to be this process's, or nobody's any more?
fn remove_inherited(hooks: &Hooks, held: &Held, entry: Entry<'_, '_>) -> (Result<(), Outcome>, bool) {
    let lost = |outcome: Outcome| (Err(outcome), outcome.status == STEADFAST_E_LOCK_LOST);
    // Asked before anything is opened, which might get its number.
    let kept = matches!(held.keeper, Keeper::Inherited(fd) if is_still(hooks, fd, &held.stat));
    let turn = match take_turns(held, entry) {
        Ok(turn) => turn,
        Err(outcome) => return lost(outcome),
    };
    match still_ours(hooks, held, &turn.fd, kept) {
        Ok(()) => (unlink(entry), true),
        Err(outcome) => lost(outcome),
    }
}

fn unlink(entry: Entry<'_, '_>) -> Result<(), Outcome> {
    match entry.unlink() {
        Err(e) if e.is(ENOENT) => Err(Outcome::because(STEADFAST_E_LOCK_LOST, Detail::TakenAway)),
        other => other.at(STEADFAST_STEP_UNLINK),
    }
}

/// Is this the record of a child that failed to adopt the lock? Its number is nobody's, and no attribute is about it. In a PID
/// namespace of its own a child that succeeded has such a number too, but also the attribute.
pub fn was_left_by_failure(hooks: &Hooks, fd: &Fd<'_>, named: i32) -> bool {
    let is_dead = hooks.probe(named).is_err_and(|e| e.is(ESRCH));
    is_dead && hooks.fstat(fd.raw()).is_ok_and(|stat| owner::is_known_undescribed(hooks, fd.raw(), &stat, named))
}

/// Does the lock file still name the process of this handle? A child that adopted the lock has written its own number; one
/// that failed to may have left a record that names nobody, which only the flock keeps from being cleaned (`flocked`).
fn still_ours(hooks: &Hooks, held: &Held, fd: &Fd<'_>, flocked: bool) -> Result<(), Outcome> {
    let named = held::named_pid(hooks, fd)?;
    if named == held.pid || flocked && (named == 0 || was_left_by_failure(hooks, fd, named)) {
        return Ok(());
    }
    Err(Outcome::new(STEADFAST_E_WRONG_PROCESS).with_pid(named))
}

/// Is the lock still this process's?
pub fn check(hooks: &Hooks, held: &Held, name: &CStr) -> Result<Outcome, Outcome> {
    if !held.is_ours(hooks).at(STEADFAST_STEP_COMPARE)? {
        return Err(wrong_process(held));
    }
    let directory = held.directory(hooks).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
    let entry = Entry::of_raw(hooks, directory.fd, name);
    held.check_name(entry)?;
    if matches!(held.keeper, Keeper::Inherited(_)) {
        let kept = matches!(held.keeper, Keeper::Inherited(fd) if is_still(hooks, fd, &held.stat));
        still_ours(hooks, held, &held.open(entry, O_RDONLY)?, kept)?;
    }
    Ok(Outcome::new(STEADFAST_OK).with_pid(held.pid))
}
