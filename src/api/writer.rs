//! Writing a state piece by piece.

use super::context::Context;
use super::convert::{c_path, done};
use super::error::{Error, Result};
use super::saved::Saved;
use crate::file;
use crate::state::options::*;
use crate::state::resolve::Session;
use crate::state::writer;
use crate::status::*;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::{fmt, io};

/// A state that is being written piece by piece.
///
/// The pieces go to a temporary file in the same directory. [`commit`](Writer::commit) saves them as [`State::save`] would; a
/// writer that is dropped saves nothing, and its temporary file is removed. It needs less than 1 MiB of memory, whatever the
/// length. After a failed write every later call fails as well.
///
/// ```
/// use std::io::Write;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rows");
/// let state = steadfast::State::new(&path);
/// let mut writer = state.writer()?;
/// for row in 0..1000 {
///     writeln!(writer, "row {row}")?;
/// }
/// writer.commit()?.durable()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It belongs to the process that opened it: in a forked child every call is
/// [`ErrorKind::WrongProcess`](crate::ErrorKind::WrongProcess), and its drop leaves the file to the parent.
///
/// [`State::save`]: crate::State::save
#[must_use = "a writer that is dropped saves nothing"]
pub struct Writer<'a> {
    /// Until the commit or the drop.
    writer: Option<writer::Writer<'a>>,
    path: &'a Path,
}

impl<'a> Writer<'a> {
    pub(super) fn open(context: &'a Context, path: &'a Path, request: SaveRequest<'static>) -> Result<Writer<'a>> {
        let open = || {
            let request = request.check(SAVE_PIECES)?;
            let mut parsed = file::path::Path::empty();
            parsed.parse(c_path(path)?.to_bytes())?;
            request.check_name(parsed.name())?;
            let mut session = Session::new(context.inner().start()?, request.timeout_ms);
            writer::Writer::open(&mut session, &mut parsed, request)
        };
        Ok(Writer { writer: Some(open().map_err(|outcome| Error::new(outcome, path))?), path })
    }

    fn with<'w, T>(&'w mut self, call: impl FnOnce(&'w mut writer::Writer<'a>) -> core::result::Result<T, Outcome>) -> Result<T> {
        let called = self.writer.as_mut().ok_or(Outcome::internal()).and_then(call);
        called.map_err(|outcome| Error::new(outcome, self.path))
    }

    /// The descriptor of the temporary file, to write to it with other means. Its position is the end of what was written, and
    /// is shared: the writer goes on where the program ended.
    ///
    /// Do not sync it: a failed sync would be told once only. A writer whose descriptor was asked for is not saved if the sync of
    /// the file fails.
    pub fn descriptor(&mut self) -> Result<BorrowedFd<'_>> {
        Ok(self.with(writer::Writer::descriptor)?.lend())
    }

    /// Saves what was written, as [`State::save`](crate::State::save) would. After an error the temporary file is gone as well.
    pub fn commit(mut self) -> Result<Saved> {
        let writer = self.writer.take().ok_or(Outcome::internal());
        let outcome = done(writer.and_then(writer::Writer::commit), self.path)?;
        Ok(Saved::new(outcome, self.path.to_path_buf()))
    }

    /// Gives it up, as a drop does: nothing is saved.
    pub fn abort(self) {}
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.writer.take().into_iter().for_each(writer::Writer::abort);
    }
}

impl io::Write for Writer<'_> {
    /// Writes all of it.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.with(|writer| writer.write(data))?;
        Ok(data.len())
    }

    /// Nothing waits for a flush. Only the commit makes it durable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("path", &self.path).finish_non_exhaustive()
    }
}
