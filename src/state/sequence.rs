//! The save sequence. Its order is the proof; the steps are numbered as the report names them.

use super::alternate;
use super::existing::{Existing, is_gone};
use super::in_place;
use super::kept::Kept;
use super::options::*;
use super::pair::Pair;
use super::previous::{self, How};
use super::publish::{publish, publish_over};
use super::resolve::Session;
use super::saving::{Saving, Synced, Written, verdict};
use super::sync::sync_directory;
use crate::file::path::Path;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// How often a state may be replaced while it is kept, before that is taken for a defect.
const ATTEMPTS: u32 = 100;

/// How often a call begins again at most. The kernel may keep the name of a file that is gone for a second, and between two
/// attempts are two milliseconds.
const AGAIN: u32 = 1000;

/// Is the file that was there gone, so that the call can begin again? Of a directory on the way, and of a rename, ENOENT says
/// something else.
pub fn begins_again(outcome: &Outcome) -> bool {
    let asked = matches!(
        outcome.step.into(),
        STEADFAST_STEP_INSPECT_TARGET | STEADFAST_STEP_READ_CURRENT | STEADFAST_STEP_SET_MODE | STEADFAST_STEP_KEEP_PREVIOUS
    );
    is_gone(outcome) && (asked || outcome.os_error == ESTALE)
}

/// Makes the call again while the file that it has found is gone, for as long as it may wait for others. Nothing has changed
/// before.
pub fn while_gone<'h, T>(
    session: &mut Session<'h>,
    mut call: impl FnMut(&mut Session<'h>) -> Result<T, Outcome>,
) -> Result<T, Outcome> {
    let mut attempts = AGAIN;
    loop {
        let done = call(session);
        attempts = attempts.saturating_sub(1);
        let again = done.as_ref().err().is_some_and(begins_again) && attempts > 0;
        if !again || session.retry.sleep(session.start.hooks()) != Ok(true) {
            return done;
        }
    }
}

/// Saves `request` at `path`.
pub fn save(session: &mut Session<'_>, path: &mut Path, request: &SaveRequest<'_>) -> Result<Outcome, Outcome> {
    let mut displaced = false;
    let saved = while_gone(session, |session| {
        let saved = save_once(session, path, request);
        displaced |= saved.is_err_and(|e| alternate::was_displaced(&e));
        saved
    });
    saved.map_err(|e| if displaced { alternate::after_displaced(e) } else { e })
}

fn save_once(session: &mut Session<'_>, path: &mut Path, request: &SaveRequest<'_>) -> Result<Outcome, Outcome> {
    let mut saving = Saving::begin(session, path, request)?;
    if saving.current.as_ref().is_some_and(Existing::is_mount_root) {
        return in_place::save(&mut saving, path.name(), request);
    }
    if let Some(saved) = alternate::save(&mut saving, path.name(), request)? {
        return Ok(saved);
    }
    let written = saving.write(path.name(), request);
    match written.and_then(|written| finish(&mut saving, written, path.name(), request)) {
        Err(e) if in_place::gets_round(&e, request) => in_place::save(&mut saving, path.name(), request),
        saved => saved,
    }
}

/// Steps 7 to 10.
pub fn finish<'h>(
    saving: &mut Saving<'h>,
    written: Written<'h>,
    name: &CStr,
    request: &SaveRequest<'_>,
) -> Result<Outcome, Outcome> {
    let synced = if request.skips_sync() { Synced::Skipped } else { Synced::of(saving.dir.hooks().fsync(written.temp.fd.raw())) };
    let outcome = replace(saving, written, name, request, synced)?;
    Ok(verdict(sync_directory(&saving.dir, outcome, request), saving.unverified))
}

/// Steps 7 to 9, the sync of the new file having been tried. What is left is the directory's sync, where the status is
/// still 0.
pub fn replace<'h>(
    saving: &mut Saving<'h>,
    written: Written<'h>,
    name: &CStr,
    request: &SaveRequest<'_>,
    synced: Synced,
) -> Result<Outcome, Outcome> {
    let hooks = saving.dir.hooks();
    let (mut written, mut synced) = (written, synced);
    // The first inode stays open, so that the second is a different one.
    let mut _spent = None;
    if let Synced::Failed(e) = synced {
        // After a failed fsync the kernel has dropped the dirty pages and forgotten the error: another fsync of
        // this inode would answer 0 with nothing on disk (fsync(2), "Errors"; Rebello et al., ATC'20).
        written.temp.remove();
        let lost = |outcome: Outcome| {
            if outcome.detail == Detail::PayloadUnknown { outcome.caused_by(e, STEADFAST_STEP_SYNC_FILE) } else { outcome }
        };
        let again = saving.write(name, request).map_err(lost)?;
        _spent = Some(core::mem::replace(&mut written, again).temp.into_fd());
        synced = Synced::of(hooks.fsync(written.temp.fd.raw()));
    }
    if let Synced::Failed(e) | Synced::Unsupported(e) = synced {
        if request.has(STEADFAST_SAVE_STRICT) {
            return Err(Outcome::new(STEADFAST_E_NOT_SAVED_DURABLY).caused_by(e, STEADFAST_STEP_SYNC_FILE));
        }
        saving.mark_unsynced(&written.temp, request)?;
    }
    // 8: the previous generation. Without a sync that was wanted it is kept in any case: the new content may be lost.
    let mut looked = false;
    let mut kept = loop {
        match keep(saving, &written, name, request, synced) {
            // What a writer has written is in this file alone: it cannot begin again.
            Err(e) if saving.streamed.is_some() && begins_again(&e) && !request.swaps() && !looked => {
                saving.look_under_flock(name)?;
                looked = true;
            }
            kept => break kept?,
        }
    };
    // What an unsynced content replaces has to be what was kept, even where that is nothing: another saver may publish in between, durably.
    let mut over = false;
    for _ in 0..ATTEMPTS {
        if matches!(synced, Synced::Yes) || kept.is_none() {
            break;
        }
        if !saving.is_replaced(name)? {
            over = !request.exchanges() && publish_over(saving, &mut written.temp, name, request)?;
            if over || saving.current.is_some() || !saving.is_replaced(name)? {
                break;
            }
        }
        if request.swaps() {
            return Err(saving.conflict(name, request.kind()));
        }
        drop(kept.take());
        saving.look_again(name)?;
        kept = keep(saving, &written, name, request, synced)?;
    }
    // A content that was not synced may be lost. Then the old state must be there still, as PATH.prev.
    let either = match synced {
        Synced::Yes => true,
        Synced::Skipped => kept.as_ref().is_some_and(|kept| kept.durable),
        Synced::Unsupported(_) | Synced::Failed(_) => !saving.had_state || kept.as_ref().is_some_and(|kept| kept.durable),
    };
    let on_disk = if either { STEADFAST_ON_DISK_EITHER } else { STEADFAST_ON_DISK_UNKNOWN };
    // 9: the rename. When it fails, what was at .prev is put back; but not when it may have happened.
    let published = if over { Ok(()) } else { publish(saving, &mut written.temp, name, request) };
    if let Err(outcome) = published {
        if outcome.status != STEADFAST_E_INDETERMINATE {
            return Err(outcome);
        }
        kept.iter_mut().for_each(Kept::settle);
        return Err(outcome.with_on_disk(on_disk));
    }
    kept.iter_mut().for_each(Kept::settle);
    // The new file is the current state now: its flock belongs to savers that compare and swap, and a
    // child forked meanwhile must not keep it.
    let _ = hooks.flock(written.temp.fd.raw(), LOCK_UN);
    saving.current = None;
    let note = kept.as_ref().map_or(Detail::None, |kept| kept.note);
    let note = match note {
        Detail::None if saving.edit_left => Detail::EditKept,
        Detail::None => written.note,
        note => note,
    };
    let mut done = Outcome::because(STEADFAST_OK, note).with_generation(saving.generation()).with_on_disk(on_disk);
    if let Some(e) = saving.unsynced_parent {
        done = done.caused_by(e, STEADFAST_STEP_MAKE_PARENT);
    }
    Ok(match synced {
        Synced::Yes => done,
        Synced::Skipped if note == Detail::NotCopied => done.with_status(STEADFAST_NOT_DURABLE),
        Synced::Skipped => done.with_status(STEADFAST_NOT_DURABLE).with_detail(Detail::NoSync),
        // With the content not known to be on disk, a synced name is worse than none: after a power cut
        // xfs and btrfs then show an empty file, where without it the old file is still there.
        Synced::Unsupported(e) | Synced::Failed(e) => {
            done.with_status(STEADFAST_NOT_DURABLE).caused_by(e, STEADFAST_STEP_SYNC_FILE)
        }
    })
}

/// Step 8, where it is asked for or needed.
fn keep<'h>(
    saving: &mut Saving<'h>,
    written: &Written<'h>,
    name: &CStr,
    request: &SaveRequest<'_>,
    synced: Synced,
) -> Result<Option<Kept<'h>>, Outcome> {
    let wanted = request.keeps_previous();
    if !wanted && !matches!(synced, Synced::Failed(_) | Synced::Unsupported(_)) {
        return Ok(None);
    }
    let how = How {
        wanted,
        sync: !request.skips_sync(),
        swap: request.swaps(),
        kind: request.kind(),
        // A plain file that nothing confirms gets the number before.
        number: saving.fields.generation.saturating_sub(1).max(1),
        verifiable: saving.unverified.is_none(),
        waits: saving.streamed.is_some(),
        alternates: saving.pair.is_some(),
        shares: saving.may_share(),
    };
    if saving.pair.as_ref().is_some_and(Pair::stays_at_previous) {
        return Ok(Some(Kept::unchanged(true, Detail::None)));
    }
    let target = saving.target(name);
    match previous::keep(target, &written.temp, &mut saving.current, how, &mut saving.retry) {
        Ok(kept) => Ok(Some(kept)),
        Err(outcome) if outcome.status == STEADFAST_E_CONFLICT => Err(saving.conflict(name, request.kind())),
        // Without a durable copy nothing may take the place of a state that alternates by now: the save begins again.
        Err(outcome) if wanted || outcome.status == Errno::of(ESTALE).code() => Err(outcome),
        Err(_) => Ok(None),
    }
}
