//! Step 9: the new file gets the name.

use super::exchange;
use super::existing::{Existing, is_durable};
use super::options::{Kind, SaveRequest};
use super::saving::Saving;
use crate::file::deadline::Retry;
use crate::file::entry::Entry;
use crate::file::flock;
use crate::file::names;
use crate::file::temp::Temp;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

const STEP: i32 = STEADFAST_STEP_RENAME;

/// Gives `temp` the name. After an error the name is as it was, but for STEADFAST_E_INDETERMINATE.
pub fn publish(saving: &mut Saving<'_>, temp: &mut Temp<'_>, name: &CStr, request: &SaveRequest<'_>) -> Result<(), Outcome> {
    let target = saving.target(name);
    let mut flags = 0;
    if request.swaps() {
        match &saving.current {
            None => flags = RENAME_NOREPLACE,
            Some(current) if !target.is(&current.stat).at(STEP)? => return Err(saving.conflict(name, request.kind())),
            Some(_) => {}
        }
    }
    if temp.unlocked.is_some() && !temp.entry().is(&temp.stat).at(STEP)? {
        // Another process, for which there is a flock, has taken it for the orphan of a dead writer.
        temp.published();
        return Err(Outcome::failed(Errno::of(EAGAIN), STEP));
    }
    if request.exchanges() && saving.current.is_some() {
        return if exchange::swap(saving, temp, target)? { Ok(()) } else { Err(saving.conflict(name, request.kind())) };
    }
    let mut renamed = temp.entry().rename_to(&target, flags);
    if flags != 0 && renamed.is_err_and(Errno::unsupported) {
        // link refuses an existing name as well.
        renamed = temp.entry().link_to(&target);
        if renamed.is_ok() {
            temp.remove();
        }
    }
    let Err(error) = renamed else {
        temp.published();
        return Ok(());
    };
    // Over NFS, a rename whose answer was lost is repeated and then fails, although it happened.
    let happened = target.is(&temp.stat);
    temp.remove_if_ours();
    match happened {
        Ok(true) => Ok(()),
        Ok(false) if flags != 0 && error.is(EEXIST) => Err(saving.conflict(name, request.kind())),
        Ok(false) if error.is(EBUSY) => Err(Outcome::failed(error, STEP).with_detail(Detail::MountPoint)),
        Ok(false) => Err(Outcome::failed(error, STEP)),
        // Which is then on disk, the caller knows.
        Err(_) => Err(Outcome::new(STEADFAST_E_INDETERMINATE).caused_by(error, STEP)),
    }
}

/// Gives `temp`, which is not synced, the name of the file that was kept, and looks at what it has replaced: another saver may have
/// published durably since. Then that is what PATH.prev has to be. Where there was no file it gives it a name that nobody has.
/// False: nothing has happened, since somebody has the name by now, or names cannot be exchanged here, or for another reason, which a
/// rename will tell.
pub fn publish_over(saving: &Saving<'_>, temp: &mut Temp<'_>, name: &CStr, request: &SaveRequest<'_>) -> Result<bool, Outcome> {
    let target = saving.target(name);
    let Some(kept) = &saving.current else {
        let is_first = !is_lost(temp) && temp.entry().rename_file_to(&target, &temp.stat, RENAME_NOREPLACE).is_ok();
        if is_first {
            temp.published();
        }
        return Ok(is_first);
    };
    // While it has the name of the temporary file, nobody is to take it for the orphan of a dead writer. The flock that it was kept
    // under does that, too; another kind would be refused beside others that keep it, and would end that one.
    let taken = if kept.is_held() { Ok(None) } else { locked(target.hooks(), kept.fd()) };
    let _flock = match taken {
        Err(e) if e.is(EAGAIN) => return Ok(false),
        taken => taken.at(STEADFAST_STEP_KEEP_PREVIOUS)?,
    };
    if is_lost(temp) || (request.swaps() && target.is(&kept.stat) != Ok(true)) {
        return Ok(false);
    }
    // An answer may be lost after the exchange.
    if temp.entry().rename_file_to(&target, &temp.stat, RENAME_EXCHANGE).is_err() {
        return Ok(false);
    }
    if temp.entry().is(&kept.stat) == Ok(true) {
        temp.remove();
    } else {
        temp.published();
        keep_replaced(temp.entry(), target);
    }
    Ok(true)
}

/// Has another process, for which there is a flock, taken it for the orphan of a dead writer?
fn is_lost(temp: &Temp<'_>) -> bool {
    temp.unlocked.is_some() && temp.entry().is(&temp.stat) != Ok(true)
}

/// What another saver has published at the last moment has the name of a temporary file: it becomes PATH.prev if a power cut leaves it
/// whole, and goes if not. Who has taken it for an orphan meanwhile, or compares with it, has its flock.
fn keep_replaced(replaced: Entry<'_, '_>, target: Entry<'_, '_>) {
    let Ok(Some(mut file)) = Existing::open(replaced, &mut Retry::new(0), STEP) else { return };
    let Ok(_flock) = locked(target.hooks(), file.fd()) else { return };
    if replaced.is(&file.stat) != Ok(true) {
        return;
    }
    let kinds = [Kind::Record, Kind::Plain];
    let is_whole = kinds.iter().any(|&kind| file.verify(kind, STEP).is_ok_and(|content| is_durable(content, &file)));
    let _ = match names::previous(target.name()) {
        Ok(previous) if is_whole => replaced.rename_to(&target.sibling(previous.c_str()), 0),
        _ => replaced.unlink(),
    };
}

/// The flock of a file, which is free; None where there is no flock, and nobody who takes a file for an orphan.
fn locked(hooks: &Hooks, fd: i32) -> Result<Option<Flock<'_>>, Errno> {
    match hooks.lock(fd, LOCK_EX | LOCK_NB) {
        Err(e) if flock::is_missing(e) => Ok(None),
        taken => taken.map(Some),
    }
}
