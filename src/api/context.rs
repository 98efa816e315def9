//! Contexts: where relative paths begin, and hooks for tests.

use super::error::{Error, Result};
use super::testing::Call;
use crate::file::base::{Base, Start};
use crate::hooks::*;
use crate::lock::identity::Identity;
use crate::status::*;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

/// Where relative paths begin, and which hooks are asked before system calls.
///
/// The default is the working directory and no hooks; [`State::new`](crate::State::new) and [`Lock::acquire`](crate::Lock::acquire) use it.
/// A context does not change. Its clones share it, and so do threads.
///
/// ```
/// use std::fs::File;
/// use steadfast::{Context, ErrorKind};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path();
/// let jail = Context::beneath(File::open(path)?)?;
/// jail.state("app.state").save(b"data")?.durable()?;
/// assert!(jail.state("../other").save(b"data").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Context(Option<Arc<Inner>>);

pub(super) struct Inner {
    pub hooks: Hooks,
    pub identity: Identity,
    base: Base,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.base.close(&self.hooks);
    }
}

static DEFAULT: Inner = Inner { hooks: Hooks::REAL, identity: Identity::new(), base: Base::WORKING };

impl Inner {
    /// Where the relative paths of a call begin.
    pub fn start(&self) -> core::result::Result<Start<'_>, Outcome> {
        self.base.start(&self.hooks).at(STEADFAST_STEP_OPEN_DIRECTORY)
    }
}

impl Context {
    /// The default: the working directory, and no hooks.
    pub fn new() -> Context {
        Context(None)
    }

    /// Relative paths begin in this directory. The context keeps a descriptor of its own.
    pub fn at(directory: impl AsFd) -> Result<Context> {
        Context::builder().at(directory.as_fd()).build()
    }

    /// The same, and no path leaves the directory: not an absolute one, nor by a link or a `..`. Needs openat2(2), Linux 5.6;
    /// without it the error is [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    pub fn beneath(directory: impl AsFd) -> Result<Context> {
        Context::builder().at(directory.as_fd()).beneath(true).build()
    }

    /// A context by its parts.
    pub fn builder() -> ContextBuilder<'static> {
        ContextBuilder { directory: None, beneath: false, io_uring: true, fault: None, observer: Observer::NONE }
    }

    pub(super) fn inner(&self) -> &Inner {
        self.0.as_deref().unwrap_or(&DEFAULT)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Context { .. }" } else { "Context" })
    }
}

/// Makes a [`Context`].
#[must_use = "build() makes the context"]
pub struct ContextBuilder<'d> {
    directory: Option<BorrowedFd<'d>>,
    beneath: bool,
    io_uring: bool,
    fault: Option<Fault>,
    observer: Observer,
}

impl<'d> ContextBuilder<'d> {
    /// Relative paths begin in this directory.
    pub fn at<'e>(self, directory: BorrowedFd<'e>) -> ContextBuilder<'e> {
        ContextBuilder { directory: Some(directory), ..self }
    }

    /// No path leaves the directory of [`at`](ContextBuilder::at), without which this is
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput).
    pub fn beneath(self, beneath: bool) -> ContextBuilder<'d> {
        ContextBuilder { beneath, ..self }
    }

    /// May io_uring be used for large states? `false` is for a process whose seccomp filter kills instead of returning an error.
    pub fn io_uring(self, io_uring: bool) -> ContextBuilder<'d> {
        ContextBuilder { io_uring, ..self }
    }

    /// For tests: `hook` is asked before each system call, and its error, by its errno, becomes the call's. The [`testing`]
    /// module has an example.
    ///
    /// It runs in the thread that calls the library, and must not call the library with the same lock. What gives something
    /// back (close, munmap) is not asked for.
    ///
    /// [`testing`]: crate::testing
    pub fn hook(self, hook: impl Fn(Call) -> io::Result<()> + Send + Sync + 'static) -> ContextBuilder<'d> {
        let observer = Observer::new(move |number| {
            let Some(call) = Call::of(number) else { return Ok(()) };
            hook(call).map_err(|error| Errno::of(error.raw_os_error().filter(|e| (1..=4095).contains(e)).unwrap_or(EIO)))
        });
        ContextBuilder { observer, ..self }
    }

    /// For tests: the `nth` of these calls (1 is the first; with `None` of all calls) fails with this errno, and the others are
    /// made.
    ///
    /// ```
    /// use steadfast::testing::Call;
    /// use steadfast::{Context, Step};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.state");
    /// let full = Context::builder().fail(Some(Call::Write), 1, 28).build()?; // ENOSPC
    /// let error = full.state(&path).save(b"data").unwrap_err();
    /// assert_eq!((error.step(), error.raw_os_error()), (Some(Step::Write), Some(28)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fail(self, call: Option<Call>, nth: u64, errno: i32) -> ContextBuilder<'d> {
        ContextBuilder { fault: Some(Fault::new(call.map_or(STEADFAST_CALL_ANY, Call::number), nth, errno, false)), ..self }
    }

    /// Makes the context.
    pub fn build(self) -> Result<Context> {
        self.create().map_err(|outcome| Error::new(outcome, Path::new("(context)")))
    }

    fn create(self) -> core::result::Result<Context, Outcome> {
        let possible = self.fault.as_ref().is_none_or(|fault| fault.nth > 0 && (1..=4095).contains(&fault.error));
        if !possible || (self.beneath && self.directory.is_none()) {
            return Err(Outcome::failed(Errno::of(EINVAL), STEADFAST_STEP_ARGUMENTS));
        }
        let mut hooks = Hooks::new(&REAL_TABLE, self.fault).observed_by(self.observer);
        if !self.io_uring {
            hooks = hooks.without_io_uring();
        }
        let base = match self.directory {
            Some(directory) => Base::at(&hooks, directory.as_raw_fd(), self.beneath)?,
            None => Base::WORKING,
        };
        Ok(Context(Some(Arc::new(Inner { hooks, identity: Identity::new(), base }))))
    }
}
