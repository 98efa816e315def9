//! Reading parts of a state.

use super::context::Context;
use super::convert::c_path;
use super::error::{Error, Result};
use super::loaded::About;
use crate::file;
use crate::hooks::Memory;
use crate::state::options::LoadRequest;
use crate::state::reader;
use crate::status::Outcome;
use std::path::Path;
use std::{fmt, io};

/// A verified state that is read in parts.
///
/// All of it was verified when it was opened. Every byte that it gives is one that was hashed then, whoever writes into the file
/// meanwhile: what somebody has changed in place since is [`ErrorKind::Digest`](crate::ErrorKind::Digest). A save meanwhile replaces
/// the file and does not change this one. It needs less than 1 MiB of memory, and 35 bytes for each MiB of the state.
///
/// ```
/// use std::io::{Read, Seek, SeekFrom};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rows");
/// # let state = steadfast::State::new(&path);
/// # state.save("first,second")?.durable()?;
/// let mut reader = state.reader()?.expect("it was saved");
/// let mut word = String::new();
/// reader.seek(SeekFrom::Start(6))?;
/// reader.read_to_string(&mut word)?;
/// assert_eq!(word, "second");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader<'a> {
    /// Until the drop.
    reader: Option<reader::Reader<'a>>,
    about: About,
    position: u64,
    path: &'a Path,
}

impl<'a> Reader<'a> {
    pub(super) fn open(context: &'a Context, path: &'a Path, request: &LoadRequest) -> core::result::Result<Reader<'a>, Outcome> {
        let whole = c_path(path)?;
        file::path::check(whole.to_bytes())?;
        let (reader, loaded, _) = reader::Reader::open(&context.inner().start()?, &whole, request)?;
        Ok(Reader { reader: Some(reader), about: About::new(loaded), position: 0, path })
    }

    /// What is known about the state.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Reads from `offset` on: how many bytes. They are fewer than `memory` has room for at the end of the data only. The position of
    /// [`Read`](io::Read) stays.
    pub fn read_at(&mut self, memory: &mut [u8], offset: u64) -> Result<usize> {
        let Reader { reader, path, .. } = self;
        let mut memory = Memory::lent(memory);
        let read = reader.as_mut().ok_or(Outcome::internal()).and_then(|reader| reader.read(offset, &mut memory));
        read.map(|_| memory.bytes().len()).map_err(|outcome| Error::new(outcome, path))
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.reader.take().into_iter().for_each(reader::Reader::close);
    }
}

impl io::Read for Reader<'_> {
    fn read(&mut self, memory: &mut [u8]) -> io::Result<usize> {
        let count = self.read_at(memory, self.position)?;
        self.position = self.position.saturating_add(count as u64);
        Ok(count)
    }
}

impl io::Seek for Reader<'_> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let position = match to {
            io::SeekFrom::Start(offset) => Some(offset),
            io::SeekFrom::End(offset) => (self.about.len() as u64).checked_add_signed(offset),
            io::SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).field("about", &self.about).finish_non_exhaustive()
    }
}
