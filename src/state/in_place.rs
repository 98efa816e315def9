//! Writing a state in place, where its name cannot be given to another file: a single file that is mounted into a container,
//! or a directory that may not be written.
//!
//! A durable copy of what is there comes first, as PATH.prev. What a crash then leaves of PATH is damage for every load, and
//! never somebody's change: a record's digest covers all of it, and a plain file's attribute says that it is being written.
#![forbid(unsafe_code)]

use super::copy::{self, Adopted};
use super::existing::{Existing, is_durable};
use super::format::HEADER;
use super::options::*;
use super::pair::{self, Pair};
use super::plain::{Attribute, IN_PLACE};
use super::saving::Saving;
use super::stream;
use crate::file::entry::{CAREFUL, Entry, same};
use crate::file::names;
use crate::file::temp::Temp;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

const STEP: i32 = STEADFAST_STEP_KEEP_PREVIOUS;

/// Is this error of a save one that writing in place gets round?
pub fn gets_round(outcome: &Outcome, request: &SaveRequest<'_>) -> bool {
    let (step, error) = (i32::from(outcome.step), outcome.os_error);
    let unwritable = step == STEADFAST_STEP_CREATE_TEMP && [EACCES, EPERM, EROFS].contains(&error);
    let mounted = step == STEADFAST_STEP_RENAME && error == EBUSY;
    request.has(STEADFAST_SAVE_IN_PLACE) && (unwritable || mounted)
}

/// Saves over the content of the current file.
pub fn save(saving: &mut Saving<'_>, name: &CStr, request: &SaveRequest<'_>) -> Result<Outcome, Outcome> {
    let target = Entry::new(&saving.dir, name);
    let Some(current) = saving.current.take() else {
        return Err(Outcome::failed(Errno::of(ENOENT), STEADFAST_STEP_INSPECT_TARGET));
    };
    // One saver at a time.
    let looked_at = current.stat;
    let held = if request.swaps() { Some(current) } else { current.hold(target, None, &mut saving.retry)? };
    pair::begin_again_if_replaced(&looked_at, held.as_ref())?;
    let Some(mut current) = held else {
        return Err(Outcome::failed(Errno::of(ENOENT), STEADFAST_STEP_INSPECT_TARGET));
    };
    let hooks = target.hooks();
    let file = target.open(CAREFUL | O_RDWR, 0).at(STEADFAST_STEP_OPEN_FILE)?;
    if !same(&hooks.fstat(file.raw()).at(STEADFAST_STEP_OPEN_FILE)?, &current.stat) {
        return Err(saving.conflict(name, request.kind()));
    }
    let note = keep(saving, &mut current, target, request)?;
    prepare(saving, &file, &current, request)?;
    let written = write(saving, &file, request);
    let generation = saving.fields.generation;
    let told = |outcome: Outcome| outcome.with_generation(generation).with_on_disk(STEADFAST_ON_DISK_EITHER);
    let synced = if written.is_err() || request.skips_sync() { Ok(()) } else { hooks.fsync(file.raw()) };
    // Somebody who may replace the file has done so: what was written is nobody's state.
    match target.is(&current.stat) {
        Ok(true) => {}
        // That has to be on the disk, or a power cut would give this file the name back.
        Ok(false) => match target.sync_directory() {
            Ok(()) => return Err(saving.conflict(name, request.kind())),
            Err(e) => return Err(told(Outcome::new(STEADFAST_E_INDETERMINATE).caused_by(e, STEADFAST_STEP_SYNC_DIRECTORY))),
        },
        Err(e) => return Err(told(Outcome::new(STEADFAST_E_INDETERMINATE).caused_by(e, STEADFAST_STEP_COMPARE))),
    }
    // From the first byte on only a load can tell; the old content is PATH.prev.
    written.map_err(|e| told(Outcome::new(STEADFAST_E_INDETERMINATE).with_detail(Detail::PartlyWritten).after(e)))?;
    let done = told(Outcome::because(STEADFAST_OK, note));
    Ok(match synced {
        Ok(()) if request.skips_sync() => done.with_status(STEADFAST_NOT_DURABLE).with_detail(Detail::NoSync),
        Ok(()) => done.with_on_disk(STEADFAST_ON_DISK_NEW),
        Err(e) => {
            let status = if request.has(STEADFAST_SAVE_STRICT) { STEADFAST_E_SAVED_NOT_DURABLE } else { STEADFAST_NOT_DURABLE };
            done.with_status(status).caused_by(e, STEADFAST_STEP_SYNC_FILE)
        }
    })
}

/// What the mode and the attribute have to say before the first byte. After an error the file is as it was.
fn prepare(saving: &Saving<'_>, file: &Fd<'_>, current: &Existing<'_>, request: &SaveRequest<'_>) -> Result<(), Outcome> {
    const STEP: i32 = STEADFAST_STEP_WRITE;
    let (hooks, fd) = (file.hooks(), file.raw());
    let old = current.stat.mode & 0o7777;
    // A mode that tightens comes before the content, what it opens after it.
    let tightened = if request.has(STEADFAST_SAVE_SET_MODE) { old & request.asked().bits() } else { old };
    if tightened != old {
        hooks.fchmod(fd, tightened).at(STEADFAST_STEP_SET_MODE)?;
    }
    if request.kind() == Kind::Record {
        return Ok(());
    }
    let refused = match begun(saving, request).write(hooks, fd) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(e)) => Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::AttributeNeeded).caused_by(e, STEP),
        Err(e) => Outcome::failed(e, STEP),
    };
    if tightened != old {
        let _ = hooks.fchmod(fd, old);
    }
    Err(refused)
}

/// The attribute of a plain file that is being written.
fn begun(saving: &Saving<'_>, request: &SaveRequest<'_>) -> Attribute {
    let (generation, len) = (saving.fields.generation, request.data.len() as u64);
    Attribute { sha256: [0; 32], generation, len, flags: IN_PLACE, mtime_ns: 0, schema: request.schema }
}

/// The content, the attribute that verifies it, and the mode.
fn write(saving: &Saving<'_>, file: &Fd<'_>, request: &SaveRequest<'_>) -> Result<(), Outcome> {
    const STEP: i32 = STEADFAST_STEP_WRITE;
    let (hooks, fd) = (file.hooks(), file.raw());
    match request.kind() {
        Kind::Record => {
            saving.record(request, request.skips_sync()).write(hooks, fd).at(STEP)?;
            let len = request.data.len().saturating_add(HEADER);
            hooks.ftruncate(fd, len as u64).at(STEP)?;
        }
        Kind::Plain => {
            hooks.fsync(fd).at(STEADFAST_STEP_SYNC_FILE)?;
            let sha256 = stream::write_plain(hooks, fd, request.data).at(STEP)?;
            hooks.ftruncate(fd, request.data.len() as u64).at(STEP)?;
            let mtime_ns = hooks.fstat(fd).at(STEP)?.mtime_ns;
            let synced = Attribute { sha256, flags: 0, mtime_ns, ..begun(saving, request) };
            let attribute = if request.skips_sync() { synced.unsynced() } else { synced };
            attribute.write(hooks, fd).at(STEP)?.at(STEP)?;
        }
    }
    if request.has(STEADFAST_SAVE_SET_MODE) {
        hooks.fchmod(fd, request.asked().bits()).at(STEADFAST_STEP_SET_MODE)?;
    }
    Ok(())
}

/// A durable copy of the current content as PATH.prev, unless there is one. Damage is not copied, and what was not synced never
/// takes the place of what is durable.
fn keep(
    saving: &mut Saving<'_>,
    current: &mut Existing<'_>,
    target: Entry<'_, '_>,
    request: &SaveRequest<'_>,
) -> Result<Detail, Outcome> {
    let kind = request.kind();
    if saving.pair.as_ref().is_some_and(Pair::stays_at_previous) {
        return Ok(Detail::None);
    }
    let content = current.verify(kind, STEP)?;
    let previous = names::previous(target.name()).at(STEP)?;
    let previous = target.sibling(previous.c_str());
    let mut before = Existing::open(previous, &mut saving.retry, STEP)?;
    let mut kept = None;
    // A saver that was killed may have left the file itself there: that is no copy.
    let mut copy = before.as_mut().filter(|before| !same(&before.stat, &current.stat));
    if let Some(copy) = &mut copy {
        let content = copy.verify(kind, STEP)?;
        kept = content.sha256.filter(|_| is_durable(content, copy));
    }
    // Somebody's content is no state, but all that there is.
    let foreign = (content.is_foreign() || content.damage == STEADFAST_E_FORMAT) && current.stat.size > 0;
    let whole = content.is_whole() && !content.is_foreign();
    if !whole && (!foreign || (kept.is_some() && kind == Kind::Record)) {
        return Ok(Detail::NotKept);
    }
    let hooks = target.hooks();
    let needs_previous = |e: Errno| Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::NeedsPrevious).caused_by(e, STEP);
    let on_disk = |synced: Result<(), Errno>| match synced {
        Ok(()) => Ok(Detail::None),
        Err(e) if e.unsupported() => Err(needs_previous(e)),
        Err(e) => Err(Outcome::failed(e, STEP)),
    };
    if let Some(copy) = &copy
        && kept.is_some()
        && (kept == content.sha256 || current.is_unsynced())
    {
        // The saver that has made it may have been killed before it was on the disk.
        return on_disk(hooks.fsync(copy.fd()).and_then(|()| target.sync_directory()));
    }
    // A record needs no attribute. Then a person can read the copy, and no load verifies it.
    let generation = saving.fields.generation.saturating_sub(1).max(1);
    let adopted = foreign.then_some(Adopted { generation, needs_attribute: kind == Kind::Plain });
    let in_place = match Temp::create(target, 0o600, O_CLOEXEC) {
        Ok(temp) => {
            let published = copy::publish(current, temp, previous, adopted, true)?;
            return on_disk(if published.is_some() { target.sync_directory() } else { Err(Errno::of(EOPNOTSUPP)) });
        }
        Err(e) => e,
    };
    // The file that is there already can be written, if that is allowed.
    if !in_place.is_one_of(&[EACCES, EPERM, EROFS]) {
        return Err(Outcome::failed(in_place, STEP));
    }
    let file = match previous.open(CAREFUL | O_RDWR, 0) {
        Err(e) if e.is_one_of(&[EACCES, EPERM, EROFS, ENOENT]) => return Err(needs_previous(e)),
        opened => opened.at(STEP)?,
    };
    let now = hooks.fstat(file.raw()).at(STEP)?;
    if !copy.is_some_and(|copy| same(&now, &copy.stat)) {
        return Err(needs_previous(in_place));
    }
    hooks.ftruncate(file.raw(), 0).at(STEP)?;
    copy::fill(current, file.raw(), adopted)?;
    hooks.fsync(file.raw()).at(STEP)?;
    Ok(Detail::None)
}
