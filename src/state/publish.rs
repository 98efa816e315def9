//! Step 9: the new file gets the name.

use super::exchange;
use super::options::SaveRequest;
use super::saving::Saving;
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
