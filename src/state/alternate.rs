//! A save of an alternating state: the older of its two files is overwritten in place, by one write that is synced by the same call.
//!
//! Write and sync have to be one call. Of two, a saver that is killed in between leaves a newest state that is whole and not on the
//! disk, and the next one overwrites the only one that is. For the same reason nothing is written to the file again after an error:
//! it is spent, and a new file takes its name.
#![forbid(unsafe_code)]

use super::existing::Existing;
use super::format::Slot;
use super::options::*;
use super::pair::{self, Side};
use super::saving::{Saving, Written};
use super::sync::sync_directory;
use crate::file::entry::{CAREFUL, Entry, same};
use crate::file::names;
use crate::file::ownership;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

const STEP: i32 = STEADFAST_STEP_WRITE;

/// Saves in place. None, with nothing changed: the ordinary way is the right one.
pub fn save(saving: &mut Saving<'_>, name: &CStr, request: &SaveRequest<'_>) -> Result<Option<Outcome>, Outcome> {
    let Some(capacity) = fitting(saving, request)? else { return Ok(None) };
    let previous = names::previous(name).at(STEADFAST_STEP_ARGUMENTS)?;
    let (Some(pair), Some(current)) = (&saving.pair, &saving.current) else { return Ok(None) };
    let Some(behind) = &pair.previous else { return Ok(None) };
    let target = Entry::new(&saving.dir, name);
    let names = [target, target.sibling(previous.c_str())];
    let files = [current.stat, behind.stat];
    let (older, spent_name) = match pair.newest {
        Side::Path => (behind.stat, names[1]),
        Side::Previous => (current.stat, names[0]),
    };
    let hooks = target.hooks();
    // The mode may forbid it: then the ordinary way gives the name to another file.
    let Ok(file) = spent_name.open(CAREFUL | O_RDWR | O_DSYNC, 0) else { return Ok(None) };
    if !same(&hooks.fstat(file.raw()).at(STEADFAST_STEP_OPEN_FILE)?, &older) {
        return Ok(None);
    }
    let known = pair::of(&current.stat, &behind.stat);
    if (known == 0 || pair.slot.pair != known) && target.sync_directory().is_err() {
        return Ok(None);
    }
    let slot = Slot { used: request.data.len() as u64, pair: known, grouped: false };
    let content = saving.record(request, false).filled_up(&slot, capacity).at(STEADFAST_STEP_ALLOCATE)?;
    if let Err(error) = hooks.write_durably(file.raw(), content.bytes()) {
        drop(content);
        return replace_spent(saving, &file, name, request, error).map(Some);
    }
    // Somebody may have given a name to another file meanwhile: what was written is then nobody's state.
    for (name, file) in names.iter().zip(&files) {
        match name.is(file) {
            Ok(true) => {}
            Ok(false) => return Err(Outcome::failed(Errno::of(ESTALE), STEADFAST_STEP_COMPARE)),
            Err(e) => return Err(indeterminate(saving, e, STEADFAST_STEP_COMPARE)),
        }
    }
    Ok(Some(Outcome::new(STEADFAST_OK).with_generation(saving.fields.generation).with_on_disk(STEADFAST_ON_DISK_NEW)))
}

/// The length of the file, where the older of the two can be overwritten.
fn fitting(saving: &mut Saving<'_>, request: &SaveRequest<'_>) -> Result<Option<u64>, Outcome> {
    let (Some(pair), Some(current)) = (&mut saving.pair, &mut saving.current) else { return Ok(None) };
    if !saving.alternates || saving.unsynced_parent.is_some() {
        return Ok(None);
    }
    let mode = current.stat.mode & 0o6777;
    if request.has(STEADFAST_SAVE_SET_MODE) && request.asked().bits() != mode {
        return Ok(None);
    }
    // A newest state that is not on the disk leaves the older one as the only one that is.
    let (newest_unsynced, hooks) = match pair.newest {
        Side::Path => (current.is_unsynced(), current.hooks()),
        Side::Previous => (!pair.stays_at_previous(), current.hooks()),
    };
    let replaced = [Some(current.replaced()), pair.previous.as_ref().map(Existing::replaced)];
    let [Some(path), Some(previous)] = replaced else { return Ok(None) };
    if newest_unsynced || !ownership::are_equal(hooks, &path, &previous).at(STEADFAST_STEP_SET_MODE)? {
        return Ok(None);
    }
    let Some(older) = pair.other_than_newest(current) else { return Ok(None) };
    if older.stat.nlink != 1 || older.slot(STEADFAST_STEP_READ_CURRENT)?.is_none() {
        return Ok(None);
    }
    let wanted = Slot::capacity(request.data.len() as u64);
    // What is much too long is written for nothing, each time.
    let enough = wanted.saturating_mul(2);
    Ok(if older.stat.size > enough { None } else { Some(older.stat.size.max(wanted)) })
}

/// A write has failed, or its sync: perhaps everything of it is there, perhaps a part, perhaps it is only not on the disk. A new file
/// takes the name of the spent one.
fn replace_spent(
    saving: &mut Saving<'_>,
    spent: &Fd<'_>,
    name: &CStr,
    request: &SaveRequest<'_>,
    error: Errno,
) -> Result<Outcome, Outcome> {
    let hooks = saving.dir.hooks();
    let mut written = match saving.write(name, request) {
        Ok(written) => written,
        Err(outcome) => {
            // Readers find the older state. Of what is on the disk nobody knows.
            let _ = hooks.ftruncate(spent.raw(), 0);
            let errno = if outcome.os_error != 0 { Errno::of(outcome.os_error) } else { error };
            return Err(indeterminate(saving, errno, i32::from(outcome.step)));
        }
    };
    let previous = names::previous(name).at(STEADFAST_STEP_ARGUMENTS)?;
    let target = Entry::new(&saving.dir, name);
    let newest = saving.pair.as_ref().map_or(Side::Path, |pair| pair.newest);
    let (spent_name, other_name) = match newest {
        Side::Path => (target.sibling(previous.c_str()), target),
        Side::Previous => (target, target.sibling(previous.c_str())),
    };
    let synced = hooks.fsync(written.temp.fd.raw());
    if let Err(e) = synced {
        if request.has(STEADFAST_SAVE_STRICT) {
            written.temp.remove();
            // Without its name the spent file is nobody's state.
            let gone = match newest {
                Side::Path => spent_name.unlink(),
                Side::Previous => other_name.rename_to(&spent_name, 0),
            };
            gone.and_then(|()| target.sync_directory()).map_err(|e| indeterminate(saving, e, STEADFAST_STEP_SYNC_DIRECTORY))?;
            return Err(Outcome::new(STEADFAST_E_NOT_SAVED_DURABLY).caused_by(e, STEADFAST_STEP_SYNC_FILE));
        }
        saving.mark_unsynced(&written.temp, request)?;
    }
    let Written { temp, note } = &mut written;
    if let Err(e) = temp.entry().rename_file_to(&spent_name, &temp.stat, 0) {
        return Err(indeterminate(saving, e, STEADFAST_STEP_RENAME));
    }
    temp.published();
    let _ = hooks.flock(temp.fd.raw(), LOCK_UN);
    let done = Outcome::because(STEADFAST_OK, *note).with_generation(saving.fields.generation);
    let done = done.with_on_disk(STEADFAST_ON_DISK_EITHER);
    Ok(match synced {
        Ok(()) => sync_directory(&saving.dir, done, request),
        Err(e) => done.with_status(STEADFAST_NOT_DURABLE).caused_by(e, STEADFAST_STEP_SYNC_FILE),
    })
}

/// One of the two is there: the older one is untouched.
fn indeterminate(saving: &Saving<'_>, error: Errno, step: i32) -> Outcome {
    let outcome = Outcome::new(STEADFAST_E_INDETERMINATE).caused_by(error, if step == 0 { STEP } else { step });
    outcome.with_generation(saving.fields.generation).with_on_disk(STEADFAST_ON_DISK_EITHER)
}
