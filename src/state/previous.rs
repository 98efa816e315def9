//! Keeping the current state as NAME.prev.
//!
//! link(state, rotating), then exchange rotating and prev: the state never loses its name, .prev changes in one step, and
//! what was there before stays under the rotating name until the new state has been published. Every other order of
//! renames and links shows a crash state without one of the two.

use super::existing::Existing;
use crate::file::deadline::Retry;
use crate::file::entry::{Entry, same};
use crate::file::names;
use crate::file::ownership;
use crate::file::path::Name;
use crate::file::temp::Temp;
use crate::hooks::*;
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_KEEP_PREVIOUS;

/// The current state was replaced again and again while it was being kept.
const ATTEMPTS: u32 = 100;

/// How the current state is to be kept.
#[derive(Clone, Copy)]
pub struct How {
    /// Was KEEP_PREVIOUS asked for? Else it is kept because the new state could not be synced.
    pub wanted: bool,
    /// Is a copy, where there are no hard links, to be synced?
    pub sync: bool,
    /// Is it the state that was compared with, and no other, that may be replaced?
    pub swap: bool,
}

/// What stands at .prev while the new state is published. Dropped, it puts back what was there before; a save that fails
/// leaves .prev as it was.
pub struct Kept<'h> {
    undo: Option<Undo<'h>>,
    /// Is a whole state at .prev?
    pub whole: bool,
    /// And is it durable?
    pub durable: bool,
    /// What there is to say about it.
    pub note: Detail,
}

/// How to put back what was at .prev.
struct Undo<'h> {
    hooks: &'h Hooks,
    dir: i32,
    previous: Name,
    aside: Aside<'h>,
    /// The file that is at .prev now.
    kept: steadfast_stat,
    /// Is it still to be done?
    armed: bool,
}

/// Where that is in the meantime.
enum Aside<'h> {
    /// There was nothing.
    Nothing,
    /// Under this name.
    Named(Name),
    /// In a copy, where there are neither exchanges nor links.
    Copied(Temp<'h>),
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let previous = Entry::of_raw(self.hooks, self.dir, self.previous.c_str());
        if !self.armed || previous.is(&self.kept) != Ok(true) {
            // Published; or another saver has kept another state since.
            return;
        }
        // An error here comes after the one that is reported: .prev is then the current state once more.
        let _ = match &mut self.aside {
            Aside::Nothing => previous.unlink(),
            Aside::Named(name) => previous.sibling(name.c_str()).rename_to(&previous, 0),
            Aside::Copied(copy) => copy.entry().rename_to(&previous, 0).inspect(|()| copy.published()),
        };
    }
}

impl Kept<'_> {
    /// .prev is as it was: nothing has to be put back.
    fn unchanged(whole: bool, durable: bool, note: Detail) -> Self {
        Kept { undo: None, whole, durable, note }
    }

    /// The new state is published: what was at .prev before goes.
    pub fn settle(&mut self) {
        let Some(mut undo) = self.undo.take() else { return };
        undo.armed = false;
        if let Aside::Named(name) = &undo.aside {
            // An error leaves an orphan for the next save with this number.
            let _ = Entry::of_raw(undo.hooks, undo.dir, name.c_str()).unlink();
        }
    }
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
    let rotating = names::rotating(target.name(), temp.number, temp.shape).at(STEP)?;
    let aside = names::aside(target.name(), temp.number, temp.shape).at(STEP)?;
    let keeping = Keeping {
        target,
        previous: target.sibling(previous.c_str()),
        rotating: target.sibling(rotating.c_str()),
        aside: target.sibling(aside.c_str()),
        how,
    };
    for _ in 0..ATTEMPTS {
        let Some(there) = current.as_mut() else { return Ok(Kept::unchanged(false, false, Detail::None)) };
        match keeping.keep(there, retry)? {
            Some(kept) => return Ok(kept),
            None if how.swap => return Err(Outcome::new(STEADFAST_E_CONFLICT)),
            // Replaced since it was opened: the new one is what is to be kept.
            None => *current = Existing::open(target, retry, STEP)?,
        }
    }
    Err(Outcome::failed(Errno::of(EAGAIN), STEP))
}

/// The names of a state that is being kept.
struct Keeping<'h, 'n> {
    target: Entry<'h, 'n>,
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
    fn keep(&self, there: &mut Existing<'h>, retry: &mut Retry) -> Result<Option<Kept<'h>>, Outcome> {
        let content = there.verify(STEP)?;
        let durable = content.is_whole() && !there.is_unsynced();
        let note = if content.is_whole() { Detail::None } else { Detail::KeptUnverified };
        if !durable && let Some(kept) = self.stays(content.is_whole(), retry)? {
            return Ok(Some(kept));
        }
        let before = self.previous.stat_if_there().at(STEP)?;
        if before.is_some_and(|before| is_directory(before.mode)) {
            return Err(Outcome::failed(Errno::of(EISDIR), STEP));
        }
        // rename between two names of one file does nothing.
        if before.is_some_and(|before| same(&before, &there.stat)) && self.target.is(&there.stat).at(STEP)? {
            return Ok(Some(Kept::unchanged(content.is_whole(), durable, note)));
        }
        let undo = match self.link(there)? {
            Linked::Yes => self.replace(self.rotating, there.stat, before.is_some()).inspect_err(|_| {
                let _ = self.rotating.unlink();
            })?,
            Linked::Unlinkable => {
                let mut copied = copy(self.target, there, self.how.sync)?;
                let undo = self.replace(copied.entry(), copied.stat, before.is_some())?;
                copied.published();
                undo
            }
            Linked::Replaced => return Ok(None),
        };
        Ok(Some(Kept { undo: Some(undo), whole: content.is_whole(), durable, note }))
    }

    /// Is what is at .prev to stay, since the current state is `whole` but not durable, or no state at all?
    fn stays(&self, whole: bool, retry: &mut Retry) -> Result<Option<Kept<'h>>, Outcome> {
        let there = match Existing::open(self.previous, retry, STEP) {
            // A rename replaces it.
            Err(e) if [STEADFAST_E_SYMLINK, STEADFAST_E_NOT_REGULAR].contains(&e.status) => None,
            opened => opened?,
        };
        let Some(mut there) = there else {
            // Nothing is in the way. But what is no state is only kept if that was asked for.
            return Ok(if whole || self.how.wanted { None } else { Some(Kept::unchanged(false, false, Detail::None)) });
        };
        let content = there.verify(STEP)?;
        let durable = content.is_whole() && !there.is_unsynced();
        if whole && !durable {
            return Ok(None);
        }
        let note = if whole { Detail::None } else { Detail::NotKept };
        Ok(Some(Kept::unchanged(content.is_whole(), durable, note)))
    }

    /// Gives the current state its second name.
    fn link(&self, current: &Existing<'_>) -> Result<Linked, Outcome> {
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
        self.rotating.unlink().at(STEP)?;
        ours.at(STEP)?;
        // Over FUSE a hard link may be another inode for the kernel.
        Ok(if self.target.is(&current.stat).at(STEP)? { Linked::Unlinkable } else { Linked::Replaced })
    }

    /// Gives .prev to the file at `new`, whose stat is `kept`. What is there already (`replaces`) is set aside.
    fn replace(&self, new: Entry<'h, '_>, kept: steadfast_stat, replaces: bool) -> Result<Undo<'h>, Outcome> {
        // Over NFS a rename that happened may be answered with an error: the inode tells.
        let rename = |flags| match new.rename_to(&self.previous, flags) {
            Err(_) if self.previous.is(&kept) == Ok(true) => Ok(()),
            other => other,
        };
        let mut renamed = if replaces { rename(RENAME_EXCHANGE) } else { Err(Errno::of(ENOENT)) };
        let mut aside = Aside::Nothing;
        match renamed {
            Ok(()) => aside = Aside::Named(Name::of(&[new.name().to_bytes()]).at(STEP)?),
            // There is none, or it has gone meanwhile.
            Err(e) if e.is(ENOENT) => renamed = rename(0),
            Err(e) if e.unsupported() => {
                aside = self.set_aside()?;
                renamed = rename(0);
            }
            Err(_) => {}
        }
        if let (Err(_), Aside::Named(_)) = (renamed, &aside) {
            let _ = self.aside.unlink();
        }
        renamed.at(STEP)?;
        let previous = Name::of(&[self.previous.name().to_bytes()]).at(STEP)?;
        Ok(Undo { hooks: new.hooks(), dir: new.dir(), previous, aside, kept, armed: true })
    }

    /// Gives what is at .prev a second name, or copies it, where there is no exchange.
    fn set_aside(&self) -> Result<Aside<'h>, Outcome> {
        match link_anew(self.previous, self.aside) {
            Ok(()) => Ok(Aside::Named(Name::of(&[self.aside.name().to_bytes()]).at(STEP)?)),
            Err(e) if e.is(ENOENT) => Ok(Aside::Nothing),
            Err(e) if is_unlinkable(e) => match Existing::open(self.previous, &mut Retry::new(0), STEP)? {
                Some(there) => copy(self.target, &there, self.how.sync).map(Aside::Copied),
                None => Ok(Aside::Nothing),
            },
            Err(e) => Err(Outcome::failed(e, STEP)),
        }
    }
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

/// A second temporary file of `target`, byte for byte as `there`.
fn copy<'h>(target: Entry<'h, '_>, there: &Existing<'h>, sync: bool) -> Result<Temp<'h>, Outcome> {
    let hooks = target.hooks();
    let copy = Temp::create(target, 0o600, O_CLOEXEC).at(STEP)?;
    let fd = copy.fd.raw();
    let mut piece = [0u8; 8192];
    let mut at = 0u64;
    loop {
        let bytes = hooks.pread(there.fd(), &mut piece, at).at(STEP)?;
        if bytes.is_empty() {
            break;
        }
        hooks.write_all(fd, &[bytes]).at(STEP)?;
        at = at.saturating_add(bytes.len() as u64);
    }
    let mark = there.stat.mode & ownership::UNSYNCED;
    ownership::give(hooks, fd, &copy.stat, Some(&there.replaced()), 0, mark).at(STEP)?;
    let synced = if sync { hooks.fsync(fd) } else { Ok(()) };
    match synced {
        Err(e) if !e.unsupported() => Err(Outcome::failed(e, STEP)),
        _ => Ok(copy),
    }
}
