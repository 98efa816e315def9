//! Watching a state.

use super::context::Context;
use super::convert::{c_path, done, timeout_ms};
use super::error::{Error, Result};
use crate::file;
use crate::file::deadline::Deadline;
use crate::hooks::{ETIMEDOUT, Errno, Unguarded};
use crate::state::options::*;
use crate::state::watch;
use crate::status::*;
use std::ffi::CString;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Waits until a state has another generation.
///
/// The directories on the way are watched, so that a state that is renamed into place, a link that is pointed elsewhere and a
/// directory that is made later are all seen. There need not be anything at the path.
///
/// It is an iterator that does not end. Its items are generations, each whole and verified; 0 means that there is no state any
/// more. The first one is what is there now, unless [`since`](Watch::since) says that it is known. Changes that follow one another
/// fast may be one item. Damage is an error, once for each change; then it goes on.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("config");
/// let config = steadfast::State::new(&path);
/// config.save("a")?.durable()?;
/// let mut watch = config.watch()?;
/// assert_eq!(watch.next().expect("it does not end")?, 1);
/// # let saver = config.clone();
/// # let thread = std::thread::spawn(move || saver.save("b").and_then(|saved| saved.durable()).map(drop));
/// assert_eq!(watch.next().expect("it does not end")?, 2); // another process has saved
/// # thread.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Watch {
    context: Context,
    request: LoadRequest,
    watch: watch::Watch,
    known: u64,
    whole: CString,
    path: PathBuf,
}

impl Watch {
    pub(super) fn open(context: &Context, path: &Path, request: LoadRequest) -> Result<Watch> {
        let open = || {
            let request = LoadRequest { flags: request.flags & LOAD_WATCH, ..request };
            let whole = c_path(path)?;
            file::path::check(whole.to_bytes())?;
            let start = context.inner().start()?;
            let mut watch = watch::Watch::new(start.hooks());
            // What happens from now on is told by the descriptor.
            watch.begin(&start, &whole, &request);
            Ok(Watch { context: context.clone(), request, watch, known: 0, whole, path: path.to_path_buf() })
        };
        open().map_err(|outcome| Error::new(outcome, path))
    }

    /// The generation that is known already; 0: no state.
    #[must_use]
    pub fn since(mut self, generation: u64) -> Watch {
        self.known = generation;
        self
    }

    /// Waits for another generation than the last one that was given; `None`: there was none in that time. A zero timeout looks
    /// once, `None` is no limit.
    ///
    /// A signal that is handled ends the wait with [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted).
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<u64>> {
        const TIMED_OUT: i32 = Errno::of(ETIMEDOUT).code();
        let Watch { context, request, watch, known, whole, path } = self;
        let mut wait = || {
            let start = context.inner().start()?;
            let deadline = Deadline::after(start.hooks(), timeout_ms(timeout)).at(STEADFAST_STEP_CLOCK)?;
            watch.wait(&start, whole, request, *known, deadline)
        };
        match wait() {
            Err(outcome) if outcome.status == TIMED_OUT => Ok(None),
            waited => {
                *known = done(waited, path)?.generation;
                Ok(Some(*known))
            }
        }
    }

    /// The descriptor, for poll(2), epoll(7) or an event loop. When it is readable, call [`wait`](Watch::wait) with a zero timeout;
    /// something else in a directory on the way makes it readable as well. Do not read it.
    ///
    /// `None`: nothing tells of every change (no inotify, a network file system, FUSE). Call [`wait`](Watch::wait) once a second
    /// instead.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.descriptor().map(Unguarded::lend)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watch.close(&self.context.inner().hooks);
    }
}

impl Iterator for Watch {
    type Item = Result<u64>;

    fn next(&mut self) -> Option<Result<u64>> {
        // Without a limit there is always one.
        self.wait(None).transpose()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("path", &self.path).field("known", &self.known).finish_non_exhaustive()
    }
}
