//! Many states in one call.

use super::context::Context;
use super::convert::{c_path, done, timeout_ms};
use super::error::{Error, Result};
use super::saved::Saved;
use super::settings::save_settings;
use crate::state::batch;
use crate::state::options::*;
use crate::state::resolve::Session;
use crate::status::*;
use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::vec::{self, Vec};

/// Many states that are saved in one call, faster than one after the other.
///
/// Each state is atomic and durable by itself; there is no promise across them. A path that comes twice is saved twice, in order.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let (one, two) = (folder.path().join("one"), folder.path().join("two"));
/// let mut batch = steadfast::Batch::new().keep_previous(true);
/// batch.add(&one, b"1");
/// batch.add(&two, vec![b'2'; 4096]);
/// batch.save()?.durable()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a Batch does nothing before save"]
pub struct Batch<'d> {
    context: Context,
    saving: SaveRequest<'static>,
    states: Vec<Entry<'d>>,
}

#[derive(Clone, Debug)]
struct Entry<'d> {
    path: PathBuf,
    data: Cow<'d, [u8]>,
}

impl Default for Batch<'_> {
    fn default() -> Self {
        Batch::new()
    }
}

save_settings!(Batch<'_>);

impl<'d> Batch<'d> {
    /// No state yet, by the defaults.
    pub fn new() -> Batch<'d> {
        Batch { context: Context::new(), saving: SaveRequest::new(&[]), states: Vec::new() }
    }

    /// In this context.
    pub fn context(self, context: &Context) -> Batch<'d> {
        Batch { context: context.clone(), ..self }
    }

    /// The states are plain files, as [`State::plain`](crate::State::plain) says.
    pub fn plain(self, on: bool) -> Batch<'d> {
        self.with_save(STEADFAST_SAVE_PLAIN, on)
    }

    /// One syncfs(2) for each file system instead of one fsync for each file, where it reaches the device. It also flushes what
    /// others have written there.
    pub fn syncfs(self, on: bool) -> Batch<'d> {
        self.with_save(STEADFAST_SAVE_SYNCFS, on)
    }

    /// Adds a state.
    pub fn add(&mut self, path: impl AsRef<Path>, data: impl Into<Cow<'d, [u8]>>) -> &mut Self {
        self.states.push(Entry { path: path.as_ref().to_path_buf(), data: data.into() });
        self
    }

    /// Saves all of them. The error is of a batch that was refused whole: nothing was saved. A state that fails alone has its own
    /// error among the results, and the others are saved.
    pub fn save(&self) -> Result<Results> {
        let first = self.states.first().map_or(Path::new(""), |entry| &entry.path);
        let mut entries = Entries {
            paths: self.states.iter().map(|entry| c_path(&entry.path)).collect(),
            states: &self.states,
            outcomes: std::vec![Outcome::internal(); self.states.len()],
        };
        let mut save = || {
            let request = self.saving.check(SAVE_MANY)?;
            if self.states.is_empty() {
                return Ok(());
            }
            let session = Session::new(self.context.inner().start()?, request.timeout_ms);
            batch::save_batch(session, &mut entries, &request).map(drop)
        };
        save().map_err(|outcome| Error::new(outcome, first))?;
        let results = self.states.iter().zip(entries.outcomes);
        let results =
            results.map(|(entry, outcome)| Ok(Saved::new(done(Ok(outcome), &entry.path)?, entry.path.clone()))).collect();
        Ok(Results(results))
    }
}

/// Batches.
impl Context {
    /// [`Batch::new`] in this context.
    pub fn batch<'d>(&self) -> Batch<'d> {
        Batch::new().context(self)
    }
}

struct Entries<'b, 'd> {
    paths: Vec<core::result::Result<CString, Outcome>>,
    states: &'b [Entry<'d>],
    outcomes: Vec<Outcome>,
}

impl batch::Entries for Entries<'_, '_> {
    fn count(&self) -> usize {
        self.states.len()
    }

    fn get(&self, number: usize) -> core::result::Result<(&CStr, &[u8]), Outcome> {
        match (self.paths.get(number), self.states.get(number)) {
            (Some(Ok(path)), Some(entry)) => Ok((path, &entry.data)),
            (Some(Err(outcome)), _) => Err(*outcome),
            _ => Err(Outcome::internal()),
        }
    }

    fn set(&mut self, number: usize, outcome: &Outcome) {
        self.outcomes.get_mut(number).into_iter().for_each(|own| *own = *outcome);
    }
}

/// What became of the states of a batch, in the order in which they were added.
#[derive(Debug)]
#[must_use = "a state may not have been saved, or may not survive a power cut: call `durable()`, or look at each"]
pub struct Results(Vec<Result<Saved>>);

impl Results {
    /// The generations, if all were saved and are durable; otherwise the first error.
    pub fn durable(self) -> Result<Vec<u64>> {
        self.into_iter().map(|saved| saved?.durable()).collect()
    }
}

impl Deref for Results {
    type Target = [Result<Saved>];

    fn deref(&self) -> &[Result<Saved>] {
        &self.0
    }
}

impl IntoIterator for Results {
    type Item = Result<Saved>;
    type IntoIter = vec::IntoIter<Result<Saved>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
