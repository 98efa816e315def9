//! Step 9: the new file gets the name.

use super::exchange;
use super::existing::{Existing, is_durable};
use super::options::{Kind, SaveRequest};
use super::saving::Saving;
use crate::file::deadline::Retry;
use crate::file::entry::Entry;
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

/// Gives `temp`, which is not synced, the name of the file that is kept at PATH.prev, and looks at what it has replaced: another saver
/// may have published durably since. Then that is what PATH.prev has to be. False: nothing has happened, since names cannot be
/// exchanged here, or for another reason, which a rename will tell.
pub fn publish_over(saving: &Saving<'_>, temp: &mut Temp<'_>, name: &CStr, request: &SaveRequest<'_>) -> bool {
    let target = saving.target(name);
    let Some(kept) = &saving.current else { return false };
    let is_lost = temp.unlocked.is_some() && temp.entry().is(&temp.stat) != Ok(true);
    if is_lost || (request.swaps() && target.is(&kept.stat) != Ok(true)) {
        return false;
    }
    // An answer may be lost after the exchange.
    if temp.entry().rename_file_to(&target, &temp.stat, RENAME_EXCHANGE).is_err() {
        return false;
    }
    let replaced = temp.entry();
    if replaced.is(&kept.stat) == Ok(false) && stays_whole(replaced) {
        let moved = names::previous(name).is_ok_and(|previous| replaced.rename_to(&target.sibling(previous.c_str()), 0).is_ok());
        if moved {
            temp.published();
        }
    }
    temp.remove();
    true
}

/// Is it a state of either kind that a power cut leaves whole?
fn stays_whole(entry: Entry<'_, '_>) -> bool {
    let Ok(Some(mut file)) = Existing::open(entry, &mut Retry::new(0), STEP) else { return false };
    [Kind::Record, Kind::Plain].iter().any(|&kind| file.verify(kind, STEP).is_ok_and(|content| is_durable(content, &file)))
}
