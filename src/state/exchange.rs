//! Comparing and swapping plain files, which anybody may write: names are exchanged, and what came out is looked at.
//!
//! A rename cannot be told which file it is to replace. So the new file and the old one exchange their names: is it not the
//! file that was compared with, it is somebody's edit, and goes back. Compared and then renamed, 232 of 1,209 edits of a
//! racing editor were lost.
#![forbid(unsafe_code)]

use super::existing::{Content, Existing, if_regular};
use super::options::Kind;
use super::saving::Saving;
use crate::file::deadline::Retry;
use crate::file::entry::{Entry, same};
use crate::file::names;
use crate::file::path::Name;
use crate::file::temp::Temp;
use crate::hooks::*;
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_RENAME;

/// How often an edit may be replaced by another while it goes back.
const ATTEMPTS: u32 = 1000;

/// How many edits may be left beside a file by savers that were killed.
const LEFT: u32 = 100;

/// Gives `temp` the name of the current file, if that is still what it was. False: somebody's edit is there, or nothing any
/// more. Where there is no exchange it compares and renames, and an edit in between is lost.
pub fn swap(saving: &mut Saving<'_>, temp: &mut Temp<'_>, target: Entry<'_, '_>) -> Result<bool, Outcome> {
    let Some(current) = &saving.current else { return Ok(false) };
    let compared = current.stat;
    let (name, left) = rename_to_edit(temp, target, &mut saving.retry)?;
    let edit = target.sibling(name.c_str());
    // From here on the new file has the name of an edit, which no cleaner of orphans touches.
    temp.published();
    let ours = temp.stat;
    saving.edit_left = left;
    let unchanged = |out: &steadfast_stat| same(out, &compared) && (out.mtime_ns, out.size) == (compared.mtime_ns, compared.size);
    let mut exchanged = edit.rename_to(&target, RENAME_EXCHANGE);
    if exchanged.is_err_and(Errno::unsupported) {
        exchanged = match target.stat_if_there() {
            Ok(Some(there)) if unchanged(&there) => edit.rename_to(&target, 0),
            Ok(_) => Err(Errno::of(ENOENT)),
            Err(e) => Err(e),
        };
        if exchanged.is_ok() {
            return Ok(true);
        }
    }
    // An answer may be lost after the exchange.
    if let Err(e) = exchanged
        && target.is(&ours) != Ok(true)
    {
        remove(edit, &ours);
        return if e.is(ENOENT) { Ok(false) } else { Err(Outcome::failed(e, STEP)) };
    }
    let out = edit.stat();
    if out.is_ok_and(|out| unchanged(&out)) {
        let _ = edit.unlink();
        return Ok(true);
    }
    put_back(edit, target, ours)?;
    // Until it is on the disk a power cut may leave what was put in.
    match edit.sync_directory() {
        Err(e) if !e.unsupported() => return Err(indeterminate(e)),
        _ => {}
    }
    match out {
        Ok(_) => Ok(false),
        Err(e) => Err(Outcome::failed(e, STEP)),
    }
}

fn indeterminate(error: Errno) -> Outcome {
    Outcome::new(STEADFAST_E_INDETERMINATE).caused_by(error, STEP)
}

/// What came out goes back, since it may be somebody's edit, until what comes out is what was put in last.
fn put_back(edit: Entry<'_, '_>, target: Entry<'_, '_>, ours: steadfast_stat) -> Result<(), Outcome> {
    let mut put_in = ours;
    for _ in 0..ATTEMPTS {
        let back = edit.stat().map_err(indeterminate)?;
        match edit.rename_to(&target, RENAME_EXCHANGE) {
            Ok(()) => {}
            // Somebody has removed what we had put there: the edit that we hold is the last content.
            Err(e) if e.is(ENOENT) => return edit.rename_to(&target, RENAME_NOREPLACE).map_err(indeterminate),
            Err(e) => return Err(indeterminate(e)),
        }
        let out = edit.stat().map_err(indeterminate)?;
        if same(&out, &put_in) {
            let _ = edit.unlink();
            return Ok(());
        }
        put_in = back;
    }
    Err(indeterminate(Errno::of(EAGAIN)))
}

/// Renames the new file to the first free `.NAME.k.edit`; and is somebody's edit left under one before it?
fn rename_to_edit(temp: &Temp<'_>, target: Entry<'_, '_>, retry: &mut Retry) -> Result<(Name, bool), Outcome> {
    let mut left = false;
    for number in 0..LEFT {
        let name = names::edit(target.name(), number, temp.shape).at(STEP)?;
        let edit = target.sibling(name.c_str());
        for _ in 0..2 {
            let mut renamed = temp.entry().rename_to(&edit, RENAME_NOREPLACE);
            if renamed.is_err_and(Errno::unsupported) {
                // Without renameat2 there is no exchange either.
                renamed = match edit.stat_if_there().at(STEP)? {
                    None => temp.entry().rename_to(&edit, 0),
                    Some(_) => Err(Errno::of(EEXIST)),
                };
            }
            match renamed {
                Ok(()) => return Ok((name, left)),
                Err(e) if e.is(EEXIST) && was_never_acknowledged(edit, target, retry)? => {
                    let _ = edit.unlink();
                }
                Err(e) if e.is(EEXIST) => {
                    left = true;
                    break;
                }
                Err(e) => return Err(Outcome::failed(e, STEP)),
            }
        }
    }
    Err(Outcome::failed(Errno::of(EEXIST), STEP))
}

/// Is the file at `edit` one that a killed saver was about to publish, or has replaced? A verified one that was saved by
/// comparing and swapping is, and so is one whose generation is below the target's. Anything else is somebody's: a saver that does
/// not compare may have published it just before the exchange, and was told that it is saved.
fn was_never_acknowledged(edit: Entry<'_, '_>, target: Entry<'_, '_>, retry: &mut Retry) -> Result<bool, Outcome> {
    let (found, mut published) = (verified(edit, retry)?, None);
    if found.is_some_and(|found| !found.swapped) {
        published = verified(target, retry)?;
    }
    let number = |content: Option<Content>| content.and_then(|content| content.generation);
    Ok(found.is_some_and(|found| found.swapped) || number(found).is_some() && number(found) < number(published))
}

/// The content of a plain file, if it is verified.
fn verified(entry: Entry<'_, '_>, retry: &mut Retry) -> Result<Option<Content>, Outcome> {
    let Some(mut file) = if_regular(Existing::open(entry, retry, STEP))? else { return Ok(None) };
    Ok(Some(file.verify(Kind::Plain, STEP)?).filter(|content| content.generation.is_some()))
}

fn remove(edit: Entry<'_, '_>, ours: &steadfast_stat) {
    if edit.is(ours) == Ok(true) {
        let _ = edit.unlink();
    }
}
