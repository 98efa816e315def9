//! What a save keeps at PATH.prev until it has succeeded, and how it is put back if it has not.
#![forbid(unsafe_code)]

use super::existing::{Existing, is_recoverable};
use super::options::Kind;
use crate::file::deadline::Retry;
use crate::file::entry::Entry;
use crate::file::path::Name;
use crate::hooks::*;
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_KEEP_PREVIOUS;

/// What stands at .prev while the new state is published. Dropped, it puts back what was there before; a save that fails
/// leaves .prev as it was.
pub struct Kept<'h> {
    pub undo: Option<Undo<'h>>,
    /// Is a whole and durable state at .prev, which RECOVER gives?
    pub durable: bool,
    /// What there is to say about it.
    pub note: Detail,
}

/// How to put back what was at .prev.
pub struct Undo<'h> {
    pub hooks: &'h Hooks,
    pub dir: i32,
    pub target: Name,
    pub previous: Name,
    /// What was at .prev has this name meanwhile, if there was something.
    pub aside: Option<Name>,
    /// The file that is at .prev now, and the state at the target that it keeps.
    pub kept: steadfast_stat,
    pub current: steadfast_stat,
    pub kind: Kind,
    /// Of an alternating state what was there may not come back: that its name is on the disk was known, and would not be true.
    pub stays: bool,
    /// Is it still to be done?
    pub armed: bool,
}

impl Undo<'_> {
    fn entry<'n>(&self, name: &'n Name) -> Entry<'_, 'n> {
        Entry::of_raw(self.hooks, self.dir, name.c_str())
    }

    /// The generation that a load with RECOVER would find there.
    fn generation(&self, name: &Name) -> Option<u64> {
        let mut there = Existing::open(self.entry(name), &mut Retry::new(0), STEP).ok()??;
        there.verify(self.kind, STEP).ok().filter(|&content| is_recoverable(content, &there))?.generation
    }

    /// What was at .prev before goes. An error leaves an orphan for the next save with this number.
    fn forget(&self) {
        if let Some(aside) = &self.aside {
            let _ = self.entry(aside).unlink();
        }
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let previous = self.entry(&self.previous);
        // Another saver may have kept another state since, or have replaced the one that is kept here and rely on it. Where
        // nobody can look, nobody saves either.
        let is_ours = previous.is(&self.kept) != Ok(false);
        let is_current = self.entry(&self.target).is(&self.current) != Ok(false);
        // Is what is set aside newer? Then others kept it after the state that is kept here had been replaced.
        let is_newer = || self.aside.as_ref().is_some_and(|aside| self.generation(aside) > self.generation(&self.previous));
        if self.stays && is_ours && is_current && self.aside.is_some() && !is_newer() {
            return self.forget();
        }
        if !is_ours || !(is_current || is_newer()) {
            return self.forget();
        }
        // An error here comes after the one that is reported: .prev is then the current state once more.
        let _ = match &self.aside {
            None => previous.unlink(),
            // Between two names of one file it does nothing.
            Some(aside) => self.entry(aside).rename_to(&previous, 0).and_then(|()| self.entry(aside).unlink()),
        };
    }
}

impl Kept<'_> {
    /// .prev is as it was: nothing has to be put back.
    pub fn unchanged(durable: bool, note: Detail) -> Self {
        Kept { undo: None, durable, note }
    }

    /// The new state is published: what was at .prev before goes.
    pub fn settle(&mut self) {
        if let Some(mut undo) = self.undo.take() {
            undo.armed = false;
            undo.forget();
        }
    }
}
