//! A save of an alternating state: the older of its two files is overwritten in place, by one write that is synced by the same call.
//!
//! Write and sync have to be one call. Of two, a saver that is killed in between leaves a newest state that is whole and not on the
//! disk, and the next one overwrites the only one that is. For the same reason nothing is written to the file again after an error:
//! it is spent, and a new file takes its name.
#![forbid(unsafe_code)]

use super::existing::{Existing, if_regular};
use super::format::Slot;
use super::options::*;
use super::pair::{self, Side};
use super::saving::{Saving, Written};
use super::sync::sync_directory;
use crate::file::entry::{CAREFUL, Entry, same};
use crate::file::names;
use crate::file::ownership;
use crate::file::path::Name;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

const STEP: i32 = STEADFAST_STEP_WRITE;

/// Saves in place. None, with nothing changed: the ordinary way is the right one.
pub fn save(saving: &mut Saving<'_>, name: &CStr, request: &SaveRequest<'_>) -> Result<Option<Outcome>, Outcome> {
    let Some((file, content)) = open_older(saving, name, request, Writing::Durably)? else { return Ok(None) };
    let written = file.hooks().write_durably(file.raw(), content.bytes());
    drop(content);
    complete(saving, &file, name, request, written).map(Some)
}

/// Can the older of the two be overwritten, as far as is known?
pub fn fits(saving: &mut Saving<'_>, request: &SaveRequest<'_>) -> Result<bool, Outcome> {
    fitting(saving, request).map(|capacity| capacity.is_some())
}

/// What has become of a state that is one of many.
pub enum Begun<'h> {
    /// The ordinary way is the right one.
    Ordinary,
    /// It is written, and not synced: [`complete`] is to be called when it is.
    Written(Fd<'h>),
    Saved(Outcome),
}

/// Writes in place, marked as a state that is yet to be synced, with others: by a call of its own.
pub fn write<'h>(saving: &mut Saving<'h>, name: &CStr, request: &SaveRequest<'_>) -> Result<Begun<'h>, Outcome> {
    let Some((file, content)) = open_older(saving, name, request, Writing::Grouped)? else { return Ok(Begun::Ordinary) };
    let written = file.hooks().write_at_start(file.raw(), content.bytes());
    drop(content);
    match written {
        Ok(()) => Ok(Begun::Written(file)),
        failed => complete(saving, &file, name, request, failed).map(Begun::Saved),
    }
}

/// How the older file is to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Durably,
    Grouped,
}

/// Opens the older of the two, and puts together what is to be in it.
fn open_older<'h>(
    saving: &mut Saving<'h>,
    name: &CStr,
    request: &SaveRequest<'_>,
    writing: Writing,
) -> Result<Option<(Fd<'h>, Buffer)>, Outcome> {
    let Some(capacity) = fitting(saving, request)? else { return Ok(None) };
    let Some(both) = Both::of(saving, name)? else { return Ok(None) };
    let target = both.entry(saving, Side::Path);
    let flags = if writing == Writing::Durably { O_DSYNC } else { 0 };
    // The mode may forbid it: then the ordinary way gives the name to another file.
    let Ok(file) = both.entry(saving, both.older).open(CAREFUL | O_RDWR | flags, 0) else { return Ok(None) };
    if !same(&file.hooks().fstat(file.raw()).at(STEADFAST_STEP_OPEN_FILE)?, both.stat(both.older)) {
        return Ok(None);
    }
    let pair = pair::of(&both.path, &both.previous);
    let known = both.slot.pair == pair && pair::are_known(&both.path, &both.previous);
    if !known && target.sync_directory().is_err() {
        return Ok(None);
    }
    let permissions = saving.current.as_ref().map(|current| ownership::fingerprint(file.hooks(), &current.replaced()));
    let permissions = permissions.transpose().at(STEADFAST_STEP_SET_MODE)?;
    let slot = Slot { used: request.data.len() as u64, pair, grouped: writing == Writing::Grouped, permissions };
    let content = saving.record(request, false).filled_up(&slot, capacity).at(STEADFAST_STEP_ALLOCATE)?;
    Ok(Some((file, content)))
}

/// The result, the older file having been written and synced.
pub fn complete(
    saving: &mut Saving<'_>,
    file: &Fd<'_>,
    name: &CStr,
    request: &SaveRequest<'_>,
    synced: Result<(), Errno>,
) -> Result<Outcome, Outcome> {
    let both = Both::of(saving, name)?.ok_or(Outcome::internal())?;
    if let Err(error) = synced {
        return replace_spent(saving, &both, file, name, request, error);
    }
    if !is_found(saving, &both).map_err(|e| indeterminate(saving, Errno::of(e.os_error), STEADFAST_STEP_COMPARE))? {
        return Err(DISPLACED);
    }
    Ok(Outcome::new(STEADFAST_OK).with_generation(saving.fields.generation).with_on_disk(STEADFAST_ON_DISK_NEW))
}

/// Is the state that was written what a load gives, or gave until another saver replaced it? A saver that has not seen that the state
/// alternates may give PATH to another file at any moment. If its number is no smaller, its save simply came after this one.
fn is_found(saving: &mut Saving<'_>, both: &Both) -> Result<bool, Outcome> {
    const STEP: i32 = STEADFAST_STEP_COMPARE;
    let entry = both.entry(saving, Side::Path);
    let Some(now) = entry.stat_if_there().at(STEP)? else { return Ok(false) };
    if same(&now, &both.path) {
        return both.entry(saving, Side::Previous).is(&both.previous).at(STEP);
    }
    let there = if_regular(Existing::open(entry, &mut saving.retry, STEP))?;
    let number = there.map_or(Ok(None), |there| there.look(Kind::Record, STEP).map(|(number, _)| number))?;
    Ok(number.is_some_and(|number| number >= saving.fields.generation))
}

/// What was written has no name any more, or is beside an older PATH. The save begins again.
const DISPLACED: Outcome = Outcome::failed(Errno::of(ESTALE), STEADFAST_STEP_COMPARE);

/// Has this attempt written the new content somewhere already?
pub fn was_displaced(outcome: &Outcome) -> bool {
    (outcome.status, outcome.step) == (DISPLACED.status, DISPLACED.step)
}

/// The result of a save that has failed after such an attempt: what that one has written is whole, and may be found.
pub fn after_displaced(outcome: Outcome) -> Outcome {
    // After a conflict PATH is what another saver has saved.
    if i32::from(outcome.on_disk) != STEADFAST_ON_DISK_OLD || outcome.status == STEADFAST_E_CONFLICT {
        return outcome;
    }
    let told = Outcome::new(STEADFAST_E_INDETERMINATE).with_on_disk(STEADFAST_ON_DISK_EITHER);
    Outcome { os_error: outcome.os_error, step: outcome.step, generation: outcome.generation, ..told }
}

/// The names of the two files, and what they were.
struct Both {
    name: Name,
    previous_name: Name,
    path: steadfast_stat,
    previous: steadfast_stat,
    older: Side,
    slot: Slot,
}

impl Both {
    fn of(saving: &Saving<'_>, name: &CStr) -> Result<Option<Both>, Outcome> {
        let (Some(pair), Some(current)) = (&saving.pair, &saving.current) else { return Ok(None) };
        let Some(previous) = &pair.previous else { return Ok(None) };
        Ok(Some(Both {
            name: Name::of(&[name.to_bytes()]).at(STEADFAST_STEP_ARGUMENTS)?,
            previous_name: names::previous(name).at(STEADFAST_STEP_ARGUMENTS)?,
            path: current.stat,
            previous: previous.stat,
            older: if pair.newest == Side::Path { Side::Previous } else { Side::Path },
            slot: pair.slot,
        }))
    }

    fn stat(&self, side: Side) -> &steadfast_stat {
        if side == Side::Path { &self.path } else { &self.previous }
    }

    fn entry<'h>(&self, saving: &Saving<'h>, side: Side) -> Entry<'h, '_> {
        let name = if side == Side::Path { &self.name } else { &self.previous_name };
        Entry::new(&saving.dir, name.c_str())
    }
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
    // Who may open it by now, or could until somebody tightened its permissions, may have it open.
    let permissions = ownership::fingerprint(hooks, &older.replaced()).at(STEADFAST_STEP_SET_MODE)?;
    let is_as_written = older.slot(STEADFAST_STEP_READ_CURRENT)?.is_some_and(|(slot, _)| slot.permissions == Some(permissions));
    if older.stat.nlink != 1 || !is_as_written {
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
    both: &Both,
    spent: &Fd<'_>,
    name: &CStr,
    request: &SaveRequest<'_>,
    error: Errno,
) -> Result<Outcome, Outcome> {
    let hooks = spent.hooks();
    let mut written = match write_new(saving, both, name, request) {
        Ok(written) => written,
        Err(outcome) => {
            // Readers find the other one. Of what is on the disk nobody knows.
            let _ = hooks.ftruncate(spent.raw(), 0);
            let errno = if outcome.os_error != 0 { Errno::of(outcome.os_error) } else { error };
            return Err(indeterminate(saving, errno, i32::from(outcome.step)));
        }
    };
    let spent_name = both.entry(saving, both.older);
    let synced = hooks.fsync(written.temp.fd.raw());
    if let Err(e) = synced {
        if request.has(STEADFAST_SAVE_STRICT) {
            written.temp.remove();
            // Without its name the spent file is nobody's state.
            let gone = match both.older {
                Side::Previous => spent_name.unlink(),
                Side::Path => both.entry(saving, Side::Previous).rename_to(&spent_name, 0),
            };
            gone.and_then(|()| spent_name.sync_directory())
                .map_err(|e| indeterminate(saving, e, STEADFAST_STEP_SYNC_DIRECTORY))?;
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

/// The file that takes the name of the spent one.
fn write_new<'h>(saving: &mut Saving<'h>, both: &Both, name: &CStr, request: &SaveRequest<'_>) -> Result<Written<'h>, Outcome> {
    let written = saving.write(name, request)?;
    if both.older == Side::Previous {
        // It will be the newer one, and says so.
        saving.pair_of_new = pair::before_sync(&both.path, &written.temp.stat);
        saving.record(request, false).write_at_start(written.temp.fd.hooks(), written.temp.fd.raw()).at(STEP)?;
    }
    Ok(written)
}

/// One of the two is there: the older one is untouched.
fn indeterminate(saving: &Saving<'_>, error: Errno, step: i32) -> Outcome {
    let outcome = Outcome::new(STEADFAST_E_INDETERMINATE).caused_by(error, if step == 0 { STEP } else { step });
    outcome.with_generation(saving.fields.generation).with_on_disk(STEADFAST_ON_DISK_EITHER)
}
