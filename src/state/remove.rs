//! Removing a state, so that no older one comes back.
//!
//! A state that is whole goes to PATH.prev first, over an older one, and then from there. Any other one goes first, and
//! PATH.prev after it. Whatever a crash cuts off, the newest whole state is there, or nothing.

use super::existing::Existing;
use super::options::*;
use super::pair::Side;
use super::resolve::Session;
use super::saving::Saving;
use super::sequence::while_gone;
use super::sync::sync_directory;
use crate::file::deadline::Retry;
use crate::file::entry::{Entry, same};
use crate::file::names;
use crate::file::path::Path;
use crate::hooks::*;
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_UNLINK;

/// Removes the state at `path`, and its previous generation.
pub fn remove(session: &mut Session<'_>, path: &mut Path, request: &SaveRequest<'_>) -> Result<Outcome, Outcome> {
    while_gone(session, |session| remove_once(session, path, request))
}

fn remove_once(session: &mut Session<'_>, path: &mut Path, request: &SaveRequest<'_>) -> Result<Outcome, Outcome> {
    let mut saving = Saving::begin(session, path, request)?;
    saving.share(path.name())?;
    let generation = saving.there.unwrap_or(0);
    match remove_both(&mut saving, path, request)? {
        Removed::Yes => {}
        Removed::Nothing => return Err(Outcome::failed(Errno::of(ENOENT), STEADFAST_STEP_OPEN_FILE)),
        Removed::Replaced => return Err(saving.conflict(path.name(), request.kind())),
    }
    let done = Outcome::new(STEADFAST_OK).with_generation(generation).with_on_disk(STEADFAST_ON_DISK_EITHER);
    if request.skips_sync() {
        return Ok(done.with_status(STEADFAST_NOT_DURABLE).with_detail(Detail::NoSync));
    }
    Ok(sync_directory(&saving.dir, done, request))
}

enum Removed {
    Yes,
    /// Neither was there.
    Nothing,
    /// Another process has saved meanwhile.
    Replaced,
}

fn remove_both(saving: &mut Saving<'_>, path: &Path, request: &SaveRequest<'_>) -> Result<Removed, Outcome> {
    let name = names::previous(path.name()).ok();
    let target = Entry::new(&saving.dir, path.name());
    let previous = name.as_ref().map(|name| target.sibling(name.c_str()));
    let before = match previous {
        Some(previous) => previous.stat_if_there().at(STEP)?.filter(|before| !is_directory(before.mode)),
        None => None,
    };
    let previous = previous.filter(|_| before.is_some());
    let Some(current) = &mut saving.current else {
        return Ok(if previous.map_or(Ok(false), unlink)? { Removed::Yes } else { Removed::Nothing });
    };
    if request.swaps() && !target.is(&current.stat).at(STEP)? {
        return Ok(Removed::Replaced);
    }
    let is_newest = saving.pair.as_ref().is_none_or(|pair| pair.newest == Side::Path);
    let whole = current.verify(request.kind(), STEADFAST_STEP_READ_CURRENT)?.is_whole();
    let durable = is_newest && whole && !current.is_unsynced();
    match (previous, before) {
        // Of an alternating state whose newer file is at PATH.prev the older one goes in the same step.
        (Some(previous), Some(before)) if !is_newest && !same(&before, &current.stat) => {
            match previous.rename_file_to(&target, &before, 0) {
                Ok(()) => return unlink(target).map(|_| Removed::Yes),
                // Another process removes it, too.
                Err(e) if e.is(ENOENT) => {}
                Err(e) => return Err(Outcome::failed(e, STEP)),
            }
        }
        (Some(previous), Some(before)) if durable && !same(&before, &current.stat) => {
            return through_previous(target, previous, current, request, &mut saving.retry);
        }
        // One file with two names, as a saver leaves it that was killed.
        (Some(previous), Some(_)) if durable => drop(unlink(previous)?),
        _ => {}
    }
    let removed = unlink(target)?;
    let older = previous.map_or(Ok(false), unlink)?;
    Ok(if removed || older { Removed::Yes } else { Removed::Nothing })
}

/// False: the name means nothing.
fn unlink(entry: Entry<'_, '_>) -> Result<bool, Outcome> {
    match entry.unlink() {
        Ok(()) => Ok(true),
        Err(e) if e.is(ENOENT) => Ok(false),
        Err(e) => Err(Outcome::failed(e, STEP)),
    }
}

/// The state goes to PATH.prev, and from there. `alone`: it, and no other that was saved meanwhile.
fn through_previous(
    target: Entry<'_, '_>,
    previous: Entry<'_, '_>,
    current: &mut Existing<'_>,
    request: &SaveRequest<'_>,
    retry: &mut Retry,
) -> Result<Removed, Outcome> {
    let alone = request.swaps();
    match target.rename_file_to(&previous, &current.stat, 0) {
        Ok(()) => {}
        // Another process was first.
        Err(e) if e.is(ENOENT) && alone => return Ok(Removed::Replaced),
        Err(e) if e.is(ENOENT) => return Ok(if unlink(previous)? { Removed::Yes } else { Removed::Nothing }),
        Err(e) => return Err(Outcome::failed(e, STEP)),
    }
    if stayed(target, current, request.kind(), retry)? {
        unlink(target)?;
    }
    if alone && previous.is(&current.stat) == Ok(false) {
        put_back(target, previous);
        return Ok(Removed::Replaced);
    }
    // ENOENT: another process removes it, too.
    unlink(previous).inspect_err(|_| put_back(target, previous))?;
    Ok(Removed::Yes)
}

/// Has the rename done nothing? It does nothing for two names of one file, which over FUSE may look like two files, before the
/// rename and after it. Time, number and digest tell: of equal contents another one has been saved since.
fn stayed(target: Entry<'_, '_>, current: &mut Existing<'_>, kind: Kind, retry: &mut Retry) -> Result<bool, Outcome> {
    match target.stat_if_there() {
        Ok(Some(there)) if same(&there, &current.stat) => return Ok(true),
        Ok(Some(there)) if (there.mtime_ns, there.size) == (current.stat.mtime_ns, current.stat.size) => {}
        _ => return Ok(false),
    }
    let Ok(Some(mut there)) = Existing::open(target, retry, STEP) else { return Ok(false) };
    let (ours, found) = (current.verify(kind, STEP)?, there.verify(kind, STEP)?);
    Ok(ours.sha256.is_some() && (ours.sha256, ours.number()) == (found.sha256, found.number()))
}

/// What cannot be removed goes back, unless a new state is there by now. Somebody may have been told that it is durable there.
fn put_back(target: Entry<'_, '_>, previous: Entry<'_, '_>) {
    let mut back = previous.rename_to(&target, RENAME_NOREPLACE);
    if back.is_err_and(Errno::unsupported) {
        // link refuses an existing name as well.
        back = previous.link_to(&target).and_then(|()| previous.unlink());
    }
    if back.is_err_and(|e| !e.is(EEXIST)) && target.stat_if_there().is_ok_and(|there| there.is_none()) {
        back = previous.rename_to(&target, 0);
    }
    if back.is_ok() {
        let _ = target.hooks().fsync(target.dir());
    }
}
