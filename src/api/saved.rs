//! What a save or a removal has done.

use super::error::{Error, OnDisk, Result, Step, os_error, sentence};
use crate::status::*;
use std::path::PathBuf;
use std::string::String;

/// Does what was done survive a power cut?
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Durability {
    /// It does.
    Durable,
    /// It does, but the attribute of a plain file could not be stored: nothing verifies the content.
    Unverified,
    /// It is not known to. A sync failed, is not possible here, or was not wanted. If one failed, alert the operator.
    NotDurable,
}

macro_rules! done {
    ($(#[doc = $doc:literal])+ #[must_use = $must:literal] $name:ident, $generation:literal) => {
        $(#[doc = $doc])+
        #[must_use = $must]
        #[derive(Clone, Debug)]
        pub struct $name {
            outcome: Outcome,
            path: PathBuf,
        }

        impl $name {
            pub(super) fn new(outcome: Outcome, path: PathBuf) -> $name {
                $name { outcome, path }
            }

            #[doc = $generation]
            pub fn generation(&self) -> u64 {
                self.outcome.generation
            }

            /// Does it survive a power cut?
            pub fn durability(&self) -> Durability {
                match self.outcome.status {
                    STEADFAST_OK => Durability::Durable,
                    STEADFAST_UNVERIFIED => Durability::Unverified,
                    _ => Durability::NotDurable,
                }
            }

            /// Makes an error of [`Durability::NotDurable`]; otherwise the generation.
            pub fn durable(self) -> Result<u64> {
                match self.durability() {
                    Durability::NotDurable => Err(Error::new(self.outcome, &self.path)),
                    _ => Ok(self.outcome.generation),
                }
            }

            /// What a power cut at this moment would leave.
            pub fn on_disk(&self) -> OnDisk {
                OnDisk::of(&self.outcome)
            }

            /// The step that led to a reservation.
            pub fn step(&self) -> Option<Step> {
                Step::of(&self.outcome)
            }

            /// errno of the call that led to a reservation.
            pub fn raw_os_error(&self) -> Option<i32> {
                os_error(&self.outcome)
            }

            /// A sentence for the log, where there is more to say than that it was done: a sync that failed, permissions or
            /// attributes that could not be kept, somebody's edit that is still beside the file.
            pub fn note(&self) -> Option<String> {
                let quiet = self.outcome.status == STEADFAST_OK && self.outcome.detail == Detail::None;
                (!quiet).then(|| sentence(&self.outcome, &self.path))
            }
        }
    };
}

done! {
    /// A state was saved: every reader finds it.
    ///
    /// Whether it survives a power cut, [`durability`](Saved::durability) says. Most programs end a save with
    /// [`durable`](Saved::durable):
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.state");
    /// let generation = steadfast::State::new(path).save(b"data")?.durable()?;
    /// assert_eq!(generation, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "the state may not survive a power cut: call `durable()`, or look at `durability()`"]
    Saved, "The number of the new state. It counts the saves."
}

done! {
    /// A state was removed: no reader finds it, nor an older one.
    #[must_use = "the removal may not survive a power cut: call `durable()`, or look at `durability()`"]
    Removed, "The number of the state that was removed; 0 if it is not known."
}
