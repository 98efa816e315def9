//! Lock files.

use super::context::Context;
use super::convert::{c_path, done, timeout_ms};
use super::error::{Error, ErrorKind, Result};
use super::verdict::Examined;
use crate::file;
use crate::file::path::name_of;
use crate::hooks::Hooks;
use crate::lock::held::Held;
use crate::lock::identity::Identity;
use crate::lock::options::*;
use crate::lock::{acquire, adopt, examine, release};
use crate::status::*;
use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A lock that this process holds: a PID file, which it keeps locked by flock(2) as long as it lives. Dropped, it is released.
///
/// The process may exit without that: the next one that wants the lock removes the file.
///
/// Two threads of one process exclude each other like two processes. A forked child does not own its parent's lock; where it
/// drops it, only its own descriptors are closed.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{ErrorKind, Lock};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.lock");
/// let lock = Lock::acquire(&path, Some(Duration::from_secs(5)))?;
/// assert_eq!(std::fs::read_to_string(&path)?.trim(), std::process::id().to_string());
/// assert!(Lock::try_acquire(&path)?.is_none());
/// lock.release()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the lock is released when it is dropped"]
pub struct Lock {
    hooks: Hooks,
    identity: Identity,
    /// Until the release or the drop.
    held: Option<Held>,
    taken: Outcome,
    whole: CString,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock at `path`. A stale one is removed on the way. `None` waits without limit; waiters usually get the lock in the
    /// order in which they came. If it is not free in time, it is [`ErrorKind::Locked`], and [`Error::pid`] holds it.
    pub fn acquire(path: impl AsRef<Path>, timeout: Option<Duration>) -> Result<Lock> {
        LockOptions::new().acquire(path, timeout)
    }

    /// Takes the lock at `path` if it is free now. `None`: it is held, or it is not known whether its owner lives.
    pub fn try_acquire(path: impl AsRef<Path>) -> Result<Option<Lock>> {
        LockOptions::new().try_acquire(path)
    }

    /// The options, to take or judge a lock by them.
    pub fn options() -> LockOptions<'static> {
        LockOptions::new()
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Was it taken over from an owner that had died?
    pub fn was_taken_over(&self) -> bool {
        self.taken.detail == Detail::TakenOver
    }

    /// Is it on a network file system? Other machines may then not be kept out.
    pub fn is_on_network(&self) -> bool {
        self.taken.detail == Detail::Network
    }

    /// Is it still this process's? [`ErrorKind::LockLost`]: its file was removed or replaced. [`ErrorKind::WrongProcess`]: this is a
    /// forked child, or a child has adopted it.
    pub fn check(&self) -> Result<()> {
        let held = self.held.as_ref().ok_or(Outcome::internal());
        let checked = held.and_then(|held| release::check(&self.hooks, held, name_of(&self.whole)));
        done(checked, &self.path).map(drop)
    }

    /// Makes an inherited lock this process's own: for a child that goes on when its parent ends, such as a daemon. It must have
    /// been taken with [`LockOptions::inherit`].
    pub fn adopt(&mut self) -> Result<()> {
        let Lock { hooks, identity, held, whole, path, .. } = self;
        let held = held.as_mut().ok_or(Outcome::internal());
        done(held.and_then(|held| adopt::adopt(hooks, identity, held, name_of(whole))), path).map(drop)
    }

    /// Releases it, and says whether it was still held: [`ErrorKind::LockLost`] if its file was removed or replaced. What is there
    /// now was not touched. The lock is gone in any case.
    pub fn release(mut self) -> Result<()> {
        match self.give_up() {
            Some(released) => done(released, &self.path).map(drop),
            None => Ok(()),
        }
    }

    fn give_up(&mut self) -> Option<core::result::Result<Outcome, Outcome>> {
        let held = self.held.take()?;
        Some(release::release(&self.hooks, &held, name_of(&self.whole)))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.give_up();
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("path", &self.path).finish_non_exhaustive()
    }
}

/// How to take or judge a lock.
#[derive(Clone, Debug)]
#[must_use = "the options do nothing before acquire, or another call"]
pub struct LockOptions<'f> {
    context: Context,
    settings: Settings,
    cancel: Option<BorrowedFd<'f>>,
}

impl Default for LockOptions<'_> {
    fn default() -> Self {
        LockOptions::new()
    }
}

impl<'f> LockOptions<'f> {
    /// The defaults.
    pub fn new() -> LockOptions<'f> {
        LockOptions { context: Context::new(), settings: Settings::default(), cancel: None }
    }

    /// In this context.
    pub fn context(self, context: &Context) -> LockOptions<'f> {
        LockOptions { context: context.clone(), ..self }
    }

    /// Permission bits of the lock file, less the umask; 0644 by default.
    pub fn mode(mut self, mode: u32) -> LockOptions<'f> {
        self.settings.mode = mode;
        self
    }

    /// For lock files that contain only a PID: the lock is stale if the process with that PID started after the file was last
    /// written. Off by default, because a clock adjustment can make this wrong.
    pub fn trust_start_time(self, on: bool) -> LockOptions<'f> {
        self.with(STEADFAST_LOCK_TRUST_START_TIME, on)
    }

    /// Child processes get the lock's descriptor, through exec as well: the lock stays held while one of them lives, and a forked
    /// child can [`adopt`](Lock::adopt) it.
    pub fn inherit(self, on: bool) -> LockOptions<'f> {
        self.with(STEADFAST_LOCK_INHERIT, on)
    }

    /// A signal that is handled ends the wait: [`ErrorKind::Interrupted`]. One that comes just before the wait is missed;
    /// [`cancel_on`](LockOptions::cancel_on) has no such race.
    pub fn interruptible(self, on: bool) -> LockOptions<'f> {
        self.with(STEADFAST_LOCK_EINTR_RETURNS, on)
    }

    /// An empty lock file of another program is stale when it has been empty for so long. By default it never is: its creator may be
    /// about to write its PID.
    pub fn empty_grace(mut self, grace: Duration) -> LockOptions<'f> {
        // 0 would be never.
        self.settings.empty_grace_ms = timeout_ms(Some(grace)).max(1);
        self
    }

    /// A descriptor (a pipe, an eventfd, a signalfd) that ends the wait when it becomes readable: [`ErrorKind::Canceled`]. It is
    /// only polled.
    pub fn cancel_on<'g>(self, fd: BorrowedFd<'g>) -> LockOptions<'g> {
        LockOptions { context: self.context, settings: self.settings, cancel: Some(fd) }
    }

    /// [`Lock::acquire`] with these options.
    pub fn acquire(&self, path: impl AsRef<Path>, timeout: Option<Duration>) -> Result<Lock> {
        let path = path.as_ref();
        self.take(path, timeout_ms(timeout)).map_err(|outcome| Error::new(outcome, path))
    }

    /// [`Lock::try_acquire`] with these options.
    pub fn try_acquire(&self, path: impl AsRef<Path>) -> Result<Option<Lock>> {
        match self.acquire(path, Some(Duration::ZERO)) {
            Err(error) if error.kind() == ErrorKind::Locked => Ok(None),
            taken => taken.map(Some),
        }
    }

    /// [`clean_stale`] with these options.
    pub fn clean_stale(&self, path: impl AsRef<Path>) -> Result<Examined> {
        self.examine(path.as_ref(), true)
    }

    /// [`inspect`] with these options.
    pub fn inspect(&self, path: impl AsRef<Path>) -> Result<Examined> {
        self.examine(path.as_ref(), false)
    }

    fn with(mut self, flag: u32, on: bool) -> LockOptions<'f> {
        self.settings.set(flag, on);
        self
    }

    fn settings(&self) -> core::result::Result<Settings, Outcome> {
        Settings { cancel_fd: self.cancel.map(|fd| fd.as_raw_fd()), ..self.settings }.check()
    }

    fn take(&self, path: &Path, timeout_ms: i64) -> core::result::Result<Lock, Outcome> {
        let settings = self.settings()?;
        let whole = c_path(path)?;
        let mut parsed = file::path::Path::empty();
        parsed.parse(whole.to_bytes())?;
        let context = self.context.inner();
        let request = acquire::Request { identity: &context.identity, settings: &settings, timeout_ms, reported: true };
        let (held, taken) = acquire::acquire(&context.start()?, &parsed, &request)?;
        let (hooks, identity) = (context.hooks.clone(), Identity::new());
        Ok(Lock { hooks, identity, held: Some(held), taken, whole, path: path.to_path_buf() })
    }

    fn examine(&self, path: &Path, remove: bool) -> Result<Examined> {
        let examine = || {
            let settings = self.settings()?;
            let mut parsed = file::path::Path::empty();
            parsed.parse(c_path(path)?.to_bytes())?;
            let context = self.context.inner();
            examine::at_path(&context.start()?, &context.identity, &parsed, &settings, remove)
        };
        done(examine(), path).map(Examined::new)
    }
}

/// Locks.
impl Context {
    /// [`Lock::options`] in this context.
    pub fn lock(&self) -> LockOptions<'static> {
        LockOptions::new().context(self)
    }
}

/// Removes the lock file at `path` if its owner is provably dead; never takes it from a live one.
///
/// It is safe among any number of cleaners and takers that use this library, and beside any program that creates its lock with
/// O_EXCL or link and does not itself remove stale locks. It waits for nobody.
///
/// ```
/// use steadfast::Verdict;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.lock");
/// # let gone = { let mut child = std::process::Command::new("true").spawn()?; child.wait()?; child.id() };
/// std::fs::write(&path, format!("{gone}\n"))?; // of a process that has died
/// assert_eq!(steadfast::clean_stale(&path)?.verdict(), Verdict::Removed);
/// assert_eq!(steadfast::clean_stale(&path)?.verdict(), Verdict::Absent);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn clean_stale(path: impl AsRef<Path>) -> Result<Examined> {
    LockOptions::new().clean_stale(path)
}

/// Says what [`clean_stale`] would do, with [`Verdict::Stale`](crate::Verdict::Stale) instead of `Removed`. Changes nothing.
pub fn inspect(path: impl AsRef<Path>) -> Result<Examined> {
    LockOptions::new().inspect(path)
}
