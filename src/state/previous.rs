//! Keeping the current state as NAME.prev.
//!
//! link(state, rotating), then exchange rotating and prev: the state never loses its name, .prev changes in one step, and
//! what was there before stays under the rotating name until the new state has been published. Every other order of
//! renames and links shows a crash state without one of the two.

use super::copy::{self, Adopted};
use super::existing::{Content, Existing, if_regular, is_durable, is_gone, is_recoverable};
use super::format::Slot;
use super::kept::{Kept, Undo};
use super::options::Kind;
use super::pair;
use crate::file::deadline::Retry;
use crate::file::entry::{Entry, same};
use crate::file::names::{self, Shape};
use crate::file::path::Name;
use crate::file::temp::Temp;
use crate::hooks::*;
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_KEEP_PREVIOUS;

/// The current state was replaced again and again while it was being kept.
const ATTEMPTS: u32 = 100;

/// The name on the way was taken away by the saver that had our number before.
const AGAIN: u32 = 3;

/// How the current state is to be kept.
#[derive(Clone, Copy)]
pub struct How {
    /// Was KEEP_PREVIOUS asked for? Else it is kept because the new state could not be synced.
    pub wanted: bool,
    /// Is a copy, where there are no hard links, to be synced?
    pub sync: bool,
    /// Is it the state that was compared with, and no other, that may be replaced?
    pub swap: bool,
    pub kind: Kind,
    /// The generation that a plain file gets which nothing confirms.
    pub number: u64,
    /// Can a file here have the attribute that confirms it?
    pub verifiable: bool,
    /// Is a state that is gone waited for here, since the save does not begin again?
    pub waits: bool,
    /// Does the state alternate?
    pub alternates: bool,
    /// May other savers let two files take turns here? They are kept out until the new state has its name.
    pub shares: bool,
}

/// Makes the current state the previous generation, if it is whole and durable, or if nothing durable is in its way.
/// `temp` is the new state: its number owns the names that are used on the way.
pub fn keep<'h>(
    target: Entry<'h, '_>,
    temp: &Temp<'h>,
    current: &mut Option<Existing<'h>>,
    how: How,
    retry: &mut Retry,
) -> Result<Kept<'h>, Outcome> {
    let previous = names::previous(target.name()).at(STEP)?;
    let shape = if fits(target, temp)? { temp.shape } else { Shape::Short };
    let rotating = names::rotating(target.name(), temp.number, shape).at(STEP)?;
    let aside = names::aside(target.name(), temp.number, shape).at(STEP)?;
    let keeping = Keeping {
        target,
        temp,
        previous: target.sibling(previous.c_str()),
        rotating: target.sibling(rotating.c_str()),
        aside: target.sibling(aside.c_str()),
        how,
    };
    let mut failed = Outcome::failed(Errno::of(EAGAIN), STEP);
    for _ in 0..ATTEMPTS {
        if how.shares {
            pair::share(target, current, retry)?;
        }
        let Some(there) = current.as_mut() else { return Ok(Kept::unchanged(keeping.has_recoverable(retry)?, Detail::None)) };
        let kept = match keeping.keep(there, retry, AGAIN) {
            Ok(Some(kept)) => return Ok(kept),
            Ok(None) if how.swap => return Err(Outcome::new(STEADFAST_E_CONFLICT)),
            // Replaced since it was opened: the new one is what is to be kept.
            Ok(None) => Existing::open(target, retry, STEP).and_then(|there| {
                *current = there;
                pair::begin_again_if_slot(current.as_ref())
            }),
            Err(e) => Err(e),
        };
        match kept {
            // The same over NFS and FUSE, where it is gone for whoever has opened it.
            Err(e) if is_gone(&e) && how.waits && !how.swap && retry.sleep(target.hooks()) == Ok(true) => {
                failed = e;
                if let Ok(there) = Existing::open(target, retry, STEP) {
                    *current = there;
                }
            }
            done => done?,
        }
    }
    Err(failed)
}

/// The names of a state that is being kept.
struct Keeping<'h, 'n> {
    target: Entry<'h, 'n>,
    temp: &'n Temp<'h>,
    previous: Entry<'h, 'n>,
    rotating: Entry<'h, 'n>,
    aside: Entry<'h, 'n>,
    how: How,
}

enum Linked {
    Yes,
    /// There are no hard links here, not for us, or they are other files than the one that they are links to.
    Unlinkable,
    /// Another file has the name by now.
    Replaced,
}

impl<'h> Keeping<'h, '_> {
    /// Keeps `there`; None when it is no longer what is at the target.
    fn keep(&self, there: &mut Existing<'h>, retry: &mut Retry, attempts: u32) -> Result<Option<Kept<'h>>, Outcome> {
        let content = there.verify(self.how.kind, STEP)?;
        // What may be somebody's gets an attribute, so that a load can take it.
        let adopted = content.is_foreign() && there.stat.size > 0 && self.how.verifiable;
        let durable = adopted || is_durable(content, there);
        let recoverable = adopted || is_recoverable(content, there);
        let note = if content.is_whole() { Detail::None } else { Detail::KeptUnverified };
        if !durable && let Some(kept) = self.stays(content, there.stat.size, retry)? {
            return Ok(Some(kept));
        }
        let before = self.previous.stat_if_there().at(STEP)?;
        if before.is_some_and(|before| is_directory(before.mode)) {
            return Err(Outcome::failed(Errno::of(EISDIR), STEP));
        }
        // rename between two names of one file does nothing.
        if before.is_some_and(|before| same(&before, &there.stat)) && self.target.is(&there.stat).at(STEP)? {
            // A save that failed and could not put back what was there has left it.
            let _ = self.rotating.unlink();
            return Ok(Some(Kept::unchanged(recoverable, note)));
        }
        if let Some(before) = before
            && self.may_be_only_one_on_disk(&before, there)?
        {
            target_synced(self.target)?;
        }
        // The attribute is not for the file itself: it may have other names, and the save may fail.
        let linked = if adopted { Linked::Unlinkable } else { self.link(there, AGAIN)? };
        let kept = match linked {
            Linked::Yes => there.stat,
            // A copy that is not synced is no durable state, and where the mode has no place for the mark nothing tells.
            Linked::Unlinkable if !self.how.sync && content.is_whole() => return self.not_copied(content, retry),
            Linked::Unlinkable => match self.copy(there, self.rotating, adopted)? {
                Some(stat) => stat,
                None => return self.not_copied(content, retry),
            },
            Linked::Replaced => return Ok(None),
        };
        if !matches!(linked, Linked::Yes) {
            // Copying takes its time: others may have saved, and have kept what is newer.
            let still = self.target.is(&there.stat);
            if still != Ok(true) {
                let _ = self.rotating.unlink();
                return still.at(STEP).map(|_| None);
            }
        }
        let undo = match self.replace(kept, there.stat, before.is_some()) {
            Ok(undo) => undo,
            Err(e) => {
                let _ = self.rotating.unlink();
                // The saver that had our number before has just published, and removed what it had set aside.
                let again = e.os_error == ENOENT && attempts > 0;
                return if again { self.keep(there, retry, attempts.saturating_sub(1)) } else { Err(e) };
            }
        };
        Ok(Some(Kept { undo: Some(undo), durable: recoverable, note }))
    }

    /// Is what is at .prev one of an alternating state's two, and PATH none any more? Then the disk may still call the older of the two
    /// PATH, until the directory is synced, and the one at .prev is the state there.
    fn may_be_only_one_on_disk(&self, before: &steadfast_stat, there: &Existing<'_>) -> Result<bool, Outcome> {
        if !before.size.is_multiple_of(Slot::STEP) || before.size == 0 || there.slot(STEP)?.is_some() {
            return Ok(false);
        }
        let previous = if_regular(Existing::open(self.previous, &mut Retry::new(0), STEP))?;
        previous.map_or(Ok(false), |previous| Ok(previous.slot(STEP)?.is_some()))
    }

    /// There is no copy of the current state, unless a save before this one has left one at .prev.
    fn not_copied(&self, current: Content, retry: &mut Retry) -> Result<Option<Kept<'h>>, Outcome> {
        if let Some(mut there) = self.open_previous(retry)? {
            let content = there.verify(self.how.kind, STEP)?;
            if content.sha256 == current.sha256 && is_recoverable(content, &there) {
                return Ok(Some(Kept::unchanged(true, Detail::None)));
            }
        }
        Ok(Some(Kept::unchanged(false, Detail::NotCopied)))
    }

    /// Is a state at .prev that RECOVER gives after a power cut?
    fn has_recoverable(&self, retry: &mut Retry) -> Result<bool, Outcome> {
        Ok(match self.open_previous(retry)? {
            Some(mut there) => is_recoverable(there.verify(self.how.kind, STEP)?, &there),
            None => false,
        })
    }

    /// What is at .prev, but for what a rename replaces whatever it is.
    fn open_previous(&self, retry: &mut Retry) -> Result<Option<Existing<'h>>, Outcome> {
        if_regular(Existing::open(self.previous, retry, STEP))
    }

    /// Is what is at .prev to stay, since the current state is whole but not durable, or no state at all?
    fn stays(&self, current: Content, size: u64, retry: &mut Retry) -> Result<Option<Kept<'h>>, Outcome> {
        let whole = current.is_whole() && !(current.is_foreign() && size == 0);
        let Some(mut there) = self.open_previous(retry)? else {
            // Nothing is in the way. But what is no state is only kept if that was asked for, and never as a plain file.
            let kept = whole || (self.how.wanted && self.how.kind == Kind::Record);
            return Ok((!kept).then(|| Kept::unchanged(false, if self.how.wanted { Detail::NotKept } else { Detail::None })));
        };
        let content = there.verify(self.how.kind, STEP)?;
        // One of the other kind stays as well.
        let verified = is_durable(content, &there) || (content.generation.is_some() && !there.is_unsynced());
        if whole && !verified {
            return Ok(None);
        }
        let note = if whole || !self.how.wanted { Detail::None } else { Detail::NotKept };
        // Where the current state is one of the other kind, that is lost.
        let is_last = whole || current.generation.is_none();
        Ok(Some(Kept::unchanged(is_last && is_recoverable(content, &there), note)))
    }

    /// Gives the current state its second name.
    fn link(&self, current: &Existing<'_>, attempts: u32) -> Result<Linked, Outcome> {
        match link_anew(self.target, self.rotating) {
            Ok(()) => {}
            Err(e) if e.is(ENOENT) => return Ok(Linked::Replaced),
            Err(e) if is_unlinkable(e) => return Ok(Linked::Unlinkable),
            Err(e) => return Err(Outcome::failed(e, STEP)),
        }
        let ours = self.rotating.is(&current.stat);
        if ours == Ok(true) {
            return Ok(Linked::Yes);
        }
        match self.rotating.unlink() {
            // The saver that had our number before has removed it with what it had set aside.
            Err(e) if e.is(ENOENT) && attempts > 0 => return self.link(current, attempts.saturating_sub(1)),
            removed => removed.at(STEP)?,
        }
        ours.at(STEP)?;
        // Over FUSE a hard link may be another inode for the kernel.
        Ok(if self.target.is(&current.stat).at(STEP)? { Linked::Unlinkable } else { Linked::Replaced })
    }

    /// Gives .prev to the file at the rotating name, whose stat is `kept`: it keeps `current`. What is there, as far as is known
    /// already (`replaces`), is set aside.
    fn replace(&self, kept: steadfast_stat, current: steadfast_stat, replaces: bool) -> Result<Undo<'h>, Outcome> {
        let rename = |flags| self.rotating.rename_file_to(&self.previous, &kept, flags);
        let mut flags = if replaces { RENAME_EXCHANGE } else { RENAME_NOREPLACE };
        let mut renamed = rename(flags);
        for _ in 0..AGAIN {
            flags = match renamed {
                // It has gone meanwhile, or has been made.
                Err(e) if e.is(ENOENT) && flags == RENAME_EXCHANGE => RENAME_NOREPLACE,
                Err(e) if e.is(EEXIST) && flags == RENAME_NOREPLACE => RENAME_EXCHANGE,
                _ => break,
            };
            renamed = rename(flags);
        }
        let mut aside = (renamed.is_ok() && flags == RENAME_EXCHANGE).then_some(self.rotating);
        if renamed.is_err_and(Errno::unsupported) {
            aside = self.set_aside()?.then_some(self.aside);
            renamed = rename(0);
            match (renamed, aside) {
                // A rename does nothing for two names of one file: a remover may have put the state there meanwhile.
                (Ok(()), _) => drop(self.rotating.unlink()),
                (Err(_), Some(aside)) => drop(aside.unlink()),
                _ => {}
            }
        }
        renamed.at(STEP)?;
        let name_of = |entry: Entry<'_, '_>| Name::of(&[entry.name().to_bytes()]).at(STEP);
        Ok(Undo {
            hooks: self.target.hooks(),
            dir: self.target.dir(),
            target: name_of(self.target)?,
            previous: name_of(self.previous)?,
            aside: aside.map(name_of).transpose()?,
            kept,
            current,
            kind: self.how.kind,
            stays: self.how.alternates,
            armed: true,
        })
    }

    /// Gives what is at .prev a second name, or copies it, where there is no exchange. False: there is nothing.
    fn set_aside(&self) -> Result<bool, Outcome> {
        match link_anew(self.previous, self.aside) {
            Ok(()) => Ok(true),
            Err(e) if e.is(ENOENT) => Ok(false),
            Err(e) if is_unlinkable(e) => match self.open_previous(&mut Retry::new(0))? {
                Some(there) => {
                    let copied = self.copy(&there, self.aside, false)?;
                    copied.map(|_| true).ok_or(Outcome::failed(Errno::of(EOPNOTSUPP), STEP))
                }
                None => Ok(false),
            },
            Err(e) => Err(Outcome::failed(e, STEP)),
        }
    }

    /// A second file, byte for byte as `there`, which gets the name `to`: that name is ours, as long as the new state's
    /// temporary file is. A plain file that is `adopted` gets an attribute, any other that of `there`. The
    /// answer: its stat; None, and no copy, when it cannot be synced here.
    fn copy(&self, there: &Existing<'h>, to: Entry<'h, '_>, adopted: bool) -> Result<Option<steadfast_stat>, Outcome> {
        let copy = Temp::create_after(self.temp, self.target, 0o600).at(STEP)?;
        let adopted = adopted.then_some(Adopted { generation: self.how.number, needs_attribute: true });
        copy::publish(there, copy, to, adopted, self.how.sync)
    }
}

/// Syncs the directory, where that can be done.
fn target_synced(target: Entry<'_, '_>) -> Result<(), Outcome> {
    match target.sync_directory() {
        Err(e) if !e.unsupported() => Err(Outcome::failed(e, STEP)),
        _ => Ok(()),
    }
}

/// Can the names be made that belong to the temporary file's? They are longer than its own.
fn fits(target: Entry<'_, '_>, temp: &Temp<'_>) -> Result<bool, Outcome> {
    /// No file system has shorter names than this and the rest of ours.
    const SHORT: usize = 100;
    if target.name().count_bytes() <= SHORT {
        return Ok(true);
    }
    let longest = names::rotating(target.name(), temp.number, temp.shape).at(STEP)?;
    Ok(!target.sibling(longest.c_str()).stat().is_err_and(|e| e.is(ENAMETOOLONG)))
}

/// Links `file` to a name that only we use: what is there was left by a killed writer that had our number.
fn link_anew(file: Entry<'_, '_>, name: Entry<'_, '_>) -> Result<(), Errno> {
    match file.link_to(&name) {
        Err(e) if e.is(EEXIST) => name.unlink().and_then(|()| file.link_to(&name)),
        other => other,
    }
}

/// Does this error of link say that there are no hard links here, not for us (protected_hardlinks), or not to here?
fn is_unlinkable(error: Errno) -> bool {
    error.unsupported() || error.is_one_of(&[EPERM, EACCES, EMLINK, EXDEV])
}
