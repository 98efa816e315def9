//! Removing a state, so that no older one comes back.
//!
//! The newest one goes to PATH.prev first, over what is there, and then from there: whatever a crash cuts off, the newest
//! one is there, or nothing.

use super::existing::Existing;
use super::options::*;
use super::resolve::Session;
use super::saving::Saving;
use super::sequence::sync_directory;
use crate::file::entry::Entry;
use crate::file::names;
use crate::file::path::Path;
use crate::hooks::*;
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_UNLINK;

/// Removes the state at `path`, and its previous generation.
pub fn remove(session: &mut Session<'_>, path: &mut Path, request: &SaveRequest<'_>) -> Result<Outcome, Outcome> {
    let saving = Saving::begin(session, path, request)?;
    let target = saving.target(path.name());
    let generation = match &saving.current {
        Some(_) if request.swaps() => request.expected_generation,
        Some(current) => current.look(STEADFAST_STEP_READ_CURRENT)?.0.unwrap_or(0),
        None => 0,
    };
    let previous = names::previous(path.name()).ok();
    let removed = match (&saving.current, &previous) {
        (Some(current), Some(previous)) => through_previous(target, target.sibling(previous.c_str()), current, request.swaps())?,
        (Some(_), None) => unlink(target)?,
        (None, Some(previous)) => unlink(target.sibling(previous.c_str()))?,
        (None, None) => false,
    };
    if !removed {
        return Err(Outcome::failed(Errno::of(ENOENT), STEADFAST_STEP_OPEN_FILE));
    }
    let done = Outcome::new(STEADFAST_OK).with_generation(generation).with_on_disk(STEADFAST_ON_DISK_EITHER);
    if request.skips_sync() {
        return Ok(done.with_status(STEADFAST_NOT_DURABLE).with_detail(Detail::NoSync));
    }
    Ok(sync_directory(&saving.dir, done, request))
}

/// False: the name means nothing.
fn unlink(entry: Entry<'_, '_>) -> Result<bool, Outcome> {
    match entry.unlink() {
        Ok(()) => Ok(true),
        Err(e) if e.is(ENOENT) || e.is(ENAMETOOLONG) => Ok(false),
        Err(e) => Err(Outcome::failed(e, STEP)),
    }
}

/// The state goes to PATH.prev, and from there. `alone`: it, and no other that was saved meanwhile.
fn through_previous(
    target: Entry<'_, '_>,
    previous: Entry<'_, '_>,
    current: &Existing<'_>,
    alone: bool,
) -> Result<bool, Outcome> {
    let conflict = || Outcome::because(STEADFAST_E_CONFLICT, Detail::SavedMeanwhile);
    if alone && !target.is(&current.stat).at(STEP)? {
        return Err(conflict());
    }
    match target.rename_file_to(&previous, &current.stat, 0) {
        Ok(()) => {}
        // Another process was first.
        Err(e) if e.is(ENOENT) && alone => return Err(conflict()),
        Err(e) if e.is(ENOENT) => return unlink(previous),
        // There is a directory, or no such name can be: no load takes that for a generation.
        Err(e) if e.is_one_of(&[EISDIR, ENAMETOOLONG]) => return unlink(target),
        Err(e) => return Err(Outcome::failed(e, STEP)),
    }
    // What cannot be removed goes back, unless a new state is there by now.
    let put_back = |_: &Outcome| match previous.rename_to(&target, RENAME_NOREPLACE) {
        // link refuses an existing name as well.
        Err(e) if e.unsupported() && previous.link_to(&target).is_ok() => {
            let _ = previous.unlink();
        }
        _ => {}
    };
    if alone && previous.is(&current.stat) == Ok(false) {
        return Err(conflict()).inspect_err(put_back);
    }
    unlink(previous).inspect_err(put_back)
}
