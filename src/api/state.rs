//! A state: how it is saved and loaded.

use super::context::Context;
use super::convert::{c_path, done, timeout_ms};
use super::error::{Error, Result};
use super::loaded::{About, Loaded};
use super::reader::Reader;
use super::saved::{Removed, Saved};
use super::settings::save_settings;
use super::watch::Watch;
use super::writer::Writer;
use crate::file;
use crate::hooks::{Buffer, ENOENT, Errno, Memory};
use crate::state::loaded::Room;
use crate::state::options::*;
use crate::state::resolve::Session;
use crate::state::{load, remove, sequence, update};
use crate::status::*;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file that is saved and loaded as a whole: how, and where. It opens nothing; every call looks anew.
///
/// [`State::new`] is a record: a header of 256 bytes with the SHA-256 and the generation, then the data. [`State::plain`] is the
/// data alone, so that every other program can read the file as well, and edit it.
///
/// Threads and processes may use one path at the same time.
#[derive(Clone, Debug)]
#[must_use = "a State does nothing before save, load or another call"]
pub struct State {
    path: PathBuf,
    context: Context,
    saving: SaveRequest<'static>,
    loading: LoadRequest,
}

save_settings!(State);

/// Making one.
impl State {
    /// A record at `path`.
    pub fn new(path: impl AsRef<Path>) -> State {
        State {
            path: path.as_ref().to_path_buf(),
            context: Context::new(),
            saving: SaveRequest::new(&[]),
            loading: LoadRequest::default(),
        }
    }

    /// A plain file at `path`: it holds the data and nothing else. What verifies it stands in its extended attribute
    /// `user.steadfast`. A load tells a damaged file from one that somebody has edited
    /// ([`Condition::Changed`](crate::Condition::Changed)).
    ///
    /// ```
    /// use steadfast::{Condition, State};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("config.json");
    /// let config = State::plain(&path);
    /// config.save("{\"debug\": false}")?.durable()?;
    /// assert_eq!(std::fs::read_to_string(&path)?, "{\"debug\": false}");
    /// std::fs::write(&path, "{\"debug\": true}")?; // somebody edits it
    /// # let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
    /// # std::fs::File::open(&path)?.set_modified(later)?;
    /// let loaded = config.load()?.expect("it is there");
    /// assert_eq!(loaded.condition(), Condition::Changed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn plain(path: impl AsRef<Path>) -> State {
        let mut state = State::new(path);
        state.saving.set(STEADFAST_SAVE_PLAIN, true);
        state.loading.set(STEADFAST_LOAD_PLAIN, true);
        state
    }

    /// In this context.
    pub fn context(self, context: &Context) -> State {
        State { context: context.clone(), ..self }
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file cannot be replaced (it is mounted by itself into a container, or its directory may not be written), a save
    /// writes it in place, after a durable copy as PATH.prev. A crash in between leaves damage, and
    /// [`recover`](State::recover) gives the old data. Not for a writer, where it is
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput).
    pub fn in_place(self, on: bool) -> State {
        self.with_save(STEADFAST_SAVE_IN_PLACE, on)
    }
}

/// States.
impl Context {
    /// [`State::new`] in this context.
    pub fn state(&self, path: impl AsRef<Path>) -> State {
        State::new(path).context(self)
    }

    /// [`State::plain`] in this context.
    pub fn plain(&self, path: impl AsRef<Path>) -> State {
        State::plain(path).context(self)
    }
}

/// How a load is done.
impl State {
    /// A load gives PATH.prev where the current state is missing, damaged or unreadable
    /// ([`Condition::Recovered`](crate::Condition::Recovered)).
    pub fn recover(self, on: bool) -> State {
        self.with_load(STEADFAST_LOAD_RECOVER, on)
    }

    /// A state with another [`schema`](State::schema) is [`ErrorKind::Schema`](crate::ErrorKind::Schema). A watch does not look at
    /// that.
    pub fn require_schema(mut self, schema: u32) -> State {
        self.loading.schema = schema;
        self.with_load(STEADFAST_LOAD_REQUIRE_SCHEMA, true)
    }

    /// A plain file that is not verified is [`ErrorKind::Unverified`](crate::ErrorKind::Unverified).
    pub fn require_verified(self, on: bool) -> State {
        self.with_load(STEADFAST_LOAD_REQUIRE_VERIFIED, on)
    }

    /// The longest data to accept, in bytes: more is [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge). 1 GiB by default; a
    /// [`reader`](State::reader) has no limit by default.
    pub fn max_len(mut self, bytes: u64) -> State {
        self.loading.max_len = bytes;
        self
    }

    fn with_load(mut self, flag: u32, on: bool) -> State {
        self.loading.set(flag, on);
        self
    }
}

/// Saving.
impl State {
    /// Saves `data`: after a crash at any moment a reader finds the old state or the new one, whole.
    ///
    /// A save of equal bytes is still a save. Of several savers at once the last one wins; [`save_if`](State::save_if) and
    /// [`update`](State::update) lose no other's state.
    pub fn save(&self, data: impl AsRef<[u8]>) -> Result<Saved> {
        self.save_request(SaveRequest { data: data.as_ref(), ..self.saving })
    }

    /// Compare and swap between processes: saves `data` if the generation that is there is `generation`; 0 means that there must be
    /// neither the state nor PATH.prev. Otherwise it is [`ErrorKind::Conflict`](crate::ErrorKind::Conflict). Of those that expect
    /// the same generation exactly one succeeds.
    pub fn save_if(&self, generation: u64, data: impl AsRef<[u8]>) -> Result<Saved> {
        self.save_request(SaveRequest { data: data.as_ref(), ..expecting(self.saving, generation) })
    }

    fn save_request(&self, request: SaveRequest<'_>) -> Result<Saved> {
        let save = || {
            let request = request.check(SAVE_ONE)?;
            let mut path = file::path::Path::empty();
            path.parse(c_path(&self.path)?.to_bytes())?;
            request.check_name(path.name())?;
            let mut session = Session::new(self.context.inner().start()?, request.timeout_ms);
            sequence::save(&mut session, &mut path, &request)
        };
        Ok(Saved::new(done(save(), &self.path)?, self.path.clone()))
    }

    /// Loads the state, calls `change` with it (`None`: there is none), and saves what that returns if nobody has saved meanwhile.
    /// Otherwise it does so again. No change of another process that updates, or saves with [`save_if`](State::save_if), is lost.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("counter");
    /// let counter = steadfast::State::new(&path);
    /// for _ in 0..3 {
    ///     let saved = counter.update(|old| {
    ///         let count: u64 = old.and_then(|old| std::str::from_utf8(old).ok()?.parse().ok()).unwrap_or(0);
    ///         (count + 1).to_string()
    ///     })?;
    ///     saved.durable()?;
    /// }
    /// assert_eq!(&*counter.load()?.expect("it was saved"), b"3");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update<D: AsRef<[u8]>>(&self, mut change: impl FnMut(Option<&Loaded>) -> D) -> Result<Saved> {
        let (saved, _) = self.update_request(|old| Ok::<_, Outcome>(Some(change(old))))?;
        Ok(saved)
    }

    /// As [`update`](State::update), for a change that may fail, or leave the state as it is: it then returns `Ok(None)`, and so
    /// does this call.
    pub fn try_update<D: AsRef<[u8]>, E: From<Error>>(
        &self,
        mut change: impl FnMut(Option<&Loaded>) -> Result<Option<D>, E>,
    ) -> Result<Option<Saved>, E> {
        let mut failed = None;
        let updated = self.update_request(|old| {
            change(old).map_err(|error| {
                failed = Some(error);
                Outcome::internal()
            })
        });
        match (failed, updated) {
            (Some(error), _) => Err(error),
            (None, updated) => {
                let (saved, changed) = updated?;
                Ok(changed.then_some(saved))
            }
        }
    }

    /// The result, and was there anything to save?
    fn update_request<D: AsRef<[u8]>>(
        &self,
        mut change: impl FnMut(Option<&Loaded>) -> core::result::Result<Option<D>, Outcome>,
    ) -> Result<(Saved, bool)> {
        let mut changed = false;
        let mut update = || {
            let whole = c_path(&self.path)?;
            file::path::check(whole.to_bytes())?;
            let saving = self.saving.check(SAVE_UPDATE)?;
            update::update(|| self.context.inner().start(), &whole, &self.loading, &saving, &mut |old| {
                let data = change(old.map(|(loaded, memory)| Loaded::new(loaded, memory)).as_ref())?;
                changed = data.is_some();
                Ok(data)
            })
        };
        let outcome = done(update(), &self.path)?;
        Ok((Saved::new(outcome, self.path.clone()), changed))
    }

    /// Begins to save a state of any length, piece by piece. Nothing is seen at the path before [`Writer::commit`].
    pub fn writer(&self) -> Result<Writer<'_>> {
        Writer::open(&self.context, &self.path, self.saving)
    }

    /// The same; the commit compares as [`save_if`](State::save_if) does.
    pub fn writer_if(&self, generation: u64) -> Result<Writer<'_>> {
        Writer::open(&self.context, &self.path, expecting(self.saving, generation))
    }

    /// Removes the state and PATH.prev, durably: at no moment of a crash does an older state come back. `None`: neither was there.
    ///
    /// A state that is saved later begins at generation 1 again. Of the options, those of links, syncs and the timeout count.
    pub fn remove(&self) -> Result<Option<Removed>> {
        self.remove_request(self.saving)
    }

    /// The same, if the generation that is there is `generation`.
    pub fn remove_if(&self, generation: u64) -> Result<Option<Removed>> {
        self.remove_request(expecting(self.saving, generation))
    }

    fn remove_request(&self, request: SaveRequest<'_>) -> Result<Option<Removed>> {
        let remove = || {
            let request = SaveRequest { flags: request.flags & SAVE_REMOVAL, removes: true, ..request }.check(SAVE_REMOVAL)?;
            let mut path = file::path::Path::empty();
            path.parse(c_path(&self.path)?.to_bytes())?;
            let mut session = Session::new(self.context.inner().start()?, request.timeout_ms);
            remove::remove(&mut session, &mut path, &request)
        };
        match remove() {
            Err(outcome) if is_missing(&outcome) => Ok(None),
            removed => Ok(Some(Removed::new(done(removed, &self.path)?, self.path.clone()))),
        }
    }
}

/// Loading.
impl State {
    /// Loads the state and verifies it: exactly the bytes that were saved, or an error. `None`: there is no state and no previous
    /// one. Nothing on disk changes. Symbolic links are followed.
    ///
    /// While another process has a lease on the file (fcntl(2)), it waits up to 10 seconds.
    pub fn load(&self) -> Result<Option<Loaded>> {
        let mut room = Room { memory: Buffer::none(), given: false, needed: 0 };
        Ok(self.load_to(&mut room)?.map(|about| Loaded::new(about, room.memory)))
    }

    /// Loads the state into `memory`: [`About::len`] says how much of it. Longer data is
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge). After an error no unverified byte is left in `memory`.
    pub fn load_into(&self, memory: &mut [u8]) -> Result<Option<About>> {
        let mut room = Room { memory: Memory::lent(memory), given: true, needed: 0 };
        Ok(self.load_to(&mut room)?.map(About::new))
    }

    fn load_to(&self, room: &mut Room<'_>) -> Result<Option<crate::state::loaded::Loaded>> {
        let mut load = || {
            let whole = c_path(&self.path)?;
            file::path::check(whole.to_bytes())?;
            let start = self.context.inner().start()?;
            load::load(&start, &whole, &self.loading, room).inspect_err(|_| room.memory.clear())
        };
        match load() {
            Ok((loaded, _)) => Ok(Some(loaded)),
            Err(outcome) if is_missing(&outcome) => Ok(None),
            Err(outcome) => Err(Error::new(outcome, &self.path)),
        }
    }

    /// Opens the state and verifies all of it, to read parts of it. The length does not matter. `None`: there is no state and no
    /// previous one.
    pub fn reader(&self) -> Result<Option<Reader<'_>>> {
        match Reader::open(&self.context, &self.path, &self.loading) {
            Ok(reader) => Ok(Some(reader)),
            Err(outcome) if is_missing(&outcome) => Ok(None),
            Err(outcome) => Err(Error::new(outcome, &self.path)),
        }
    }

    /// Begins to watch the state for another generation.
    pub fn watch(&self) -> Result<Watch> {
        Watch::open(&self.context, &self.path, self.loading)
    }
}

/// `saving`, where `generation` must be there.
fn expecting(mut saving: SaveRequest<'static>, generation: u64) -> SaveRequest<'static> {
    saving.set(STEADFAST_SAVE_IF_GENERATION, true);
    SaveRequest { expected_generation: generation, ..saving }
}

fn is_missing(outcome: &Outcome) -> bool {
    outcome.status == Errno::of(ENOENT).code()
}
