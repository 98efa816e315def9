//! A loaded state.

use crate::hooks::Buffer;
use crate::state::format::HEADER;
use crate::state::loaded;
use crate::status::*;
use std::fmt;
use std::ops::Deref;
use std::time::{Duration, SystemTime};
use std::vec::Vec;

/// What a loaded state is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Condition {
    /// The current state, verified.
    Verified,
    /// With [`State::recover`](crate::State::recover): PATH.prev, verified, because the current state is missing, damaged or
    /// unreadable. Of an alternating state, with or without that: the other file is damaged, and may have been newer.
    Recovered,
    /// A plain file that nothing verifies.
    Unverified,
    /// A plain file that another program has changed since it was saved.
    Changed,
}

/// What is known about a loaded state.
#[derive(Clone, Debug)]
pub struct About {
    loaded: loaded::Loaded,
}

impl About {
    pub(super) fn new(loaded: loaded::Loaded) -> About {
        About { loaded }
    }

    /// The number of the state, which counts the saves. For a plain file that is not verified it is a tag of its content, 2^63 or
    /// more.
    pub fn generation(&self) -> u64 {
        self.loaded.fields.generation
    }

    /// When it was saved, by the saver's clock; of a plain file that is not verified, when it was changed.
    pub fn saved_at(&self) -> SystemTime {
        let ns = self.loaded.fields.saved_at_ns;
        let distance = Duration::from_nanos(ns.unsigned_abs());
        let time =
            if ns < 0 { SystemTime::UNIX_EPOCH.checked_sub(distance) } else { SystemTime::UNIX_EPOCH.checked_add(distance) };
        time.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The program's own format number, as it was saved.
    pub fn schema(&self) -> u32 {
        self.loaded.fields.schema
    }

    /// SHA-256: of a record what its first line says, of a plain file that of its content.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.loaded.sha256
    }

    /// Length of the data, in bytes.
    pub fn len(&self) -> usize {
        self.loaded.len
    }

    /// Is there no byte of data?
    pub fn is_empty(&self) -> bool {
        self.loaded.len == 0
    }

    /// Is it verified, and the current one?
    pub fn condition(&self) -> Condition {
        match self.loaded.status {
            STEADFAST_UNVERIFIED => Condition::Unverified,
            STEADFAST_CHANGED => Condition::Changed,
            STEADFAST_RECOVERED => Condition::Recovered,
            _ => Condition::Verified,
        }
    }
}

/// A loaded state: it derefs to its data.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.state");
/// # let state = steadfast::State::new(&path);
/// # state.save("three jobs")?.durable()?;
/// let loaded = state.load()?.expect("it was saved");
/// assert_eq!(std::str::from_utf8(&loaded)?, "three jobs");
/// assert!(loaded.about().saved_at() <= std::time::SystemTime::now());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Loaded {
    about: About,
    /// The whole record: the data begins behind its header.
    memory: Buffer,
}

impl Loaded {
    pub(super) fn new(loaded: loaded::Loaded, memory: Buffer) -> Loaded {
        Loaded { about: About::new(loaded), memory }
    }

    /// What is known about it.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The number of the state: [`About::generation`].
    pub fn generation(&self) -> u64 {
        self.about.generation()
    }

    /// Is it verified, and the current one? [`About::condition`].
    pub fn condition(&self) -> Condition {
        self.about.condition()
    }

    /// The data, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        Vec::from(&**self)
    }
}

impl Deref for Loaded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let end = HEADER.saturating_add(self.about.len());
        self.memory.bytes().get(HEADER..end).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Loaded {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("about", &self.about).finish_non_exhaustive()
    }
}
