//! Reading parts of a state that was verified.
//!
//! The whole file is verified once. A digest of each piece is kept, and a piece is compared with it before a byte of it is
//! handed out: what somebody writes into the file meanwhile is found, and never given for the state.

use super::format::{self, HEADER, Hasher};
use super::load;
use super::loaded::{Loaded, Taker};
use super::options::*;
use crate::file::base::Start;
use crate::file::deadline::Retry;
use crate::file::entry::is_still;
use crate::hooks::*;
use crate::mem::List;
use crate::status::*;
use core::ffi::CStr;

const STEP: i32 = STEADFAST_STEP_READ_FILE;

/// What is verified at once.
const PIECE: u64 = 1 << 20;

/// A verified state whose file is open.
pub struct Reader<'h> {
    fd: Fd<'h>,
    stat: steadfast_stat,
    /// Of the payload.
    len: u64,
    /// SHA-256 of each piece.
    digests: List<[u8; 32]>,
    /// Memory for one, and the number of the verified one that is in it.
    piece: Buffer,
    held: Option<u64>,
}

/// Where the file is kept that was found to be whole.
struct Place<'h>(Option<Reader<'h>>);

impl<'h> Taker<'h> for Place<'h> {
    fn take(&mut self, fd: Fd<'h>, request: &LoadRequest, _retry: &mut Retry) -> Result<Loaded, Outcome> {
        let (reader, loaded) = verify(fd, request)?;
        self.0 = Some(reader);
        Ok(loaded)
    }
}

/// Reads the whole file.
fn verify<'h>(fd: Fd<'h>, request: &LoadRequest) -> Result<(Reader<'h>, Loaded), Outcome> {
    let hooks = fd.hooks();
    let stat = hooks.fstat(fd.raw()).at(STEP)?;
    if !is_regular(stat.mode) {
        return Err(Outcome::new(STEADFAST_E_NOT_REGULAR));
    }
    let mut header = [0u8; HEADER];
    let read = hooks.pread(fd.raw(), &mut header, 0).at(STEP)?.len();
    let len = format::expected_len(header.get(..read).unwrap_or(&header), stat.size).map_err(Outcome::new)?;
    let pieces = usize::try_from(len.div_ceil(PIECE)).ok().filter(|_| request.max_len == 0 || len <= request.max_len);
    let digests = List::new(pieces.ok_or(Outcome::new(STEADFAST_E_TOO_LARGE))?).at(STEADFAST_STEP_ALLOCATE)?;
    let piece = Buffer::new(len.min(PIECE) as usize).at(STEADFAST_STEP_ALLOCATE)?;
    let mut reader = Reader { fd, stat, len, digests, piece, held: None };
    let mut hasher = Hasher::new(&header);
    for number in 0..len.div_ceil(PIECE) {
        let bytes = reader.fetch(number)?;
        hasher.update(bytes);
        let digest = digest(bytes);
        reader.digests.push(digest).at(STEADFAST_STEP_ALLOCATE)?;
    }
    if !hooks.pread(reader.fd.raw(), &mut [0], len.saturating_add(HEADER as u64)).at(STEP)?.is_empty() {
        return Err(Outcome::new(STEADFAST_E_TRAILING));
    }
    let (fields, sha256) = load::check(&header, hasher, request)?;
    let loaded =
        Loaded { len: usize::try_from(len).unwrap_or(usize::MAX), fields, sha256, previous: false, status: STEADFAST_OK };
    Ok((reader, loaded))
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::new(&[]);
    hasher.update(bytes);
    hasher.finish()
}

impl<'h> Reader<'h> {
    /// Opens the state at `path` as a load does, and verifies it.
    pub fn open(start: &Start<'h>, path: &CStr, request: &LoadRequest) -> Result<(Reader<'h>, Loaded, Outcome), Outcome> {
        // What lives on is never number 0, 1 or 2.
        let anywhere = if path.to_bytes().first() == Some(&b'/') { c"/" } else { c"." };
        let filler = start.open_directory(anywhere, O_PATH).at(STEADFAST_STEP_OPEN_FILE)?;
        let _fillers = Fillers::of(&filler);
        let mut place = Place(None);
        let (loaded, outcome) = load::load(start, path, request, &mut place)?;
        Ok((place.0.ok_or(Outcome::internal())?, loaded, outcome))
    }

    /// Appends to `out`, as far as it has room, what the payload has from `offset` on.
    pub fn read(&mut self, offset: u64, out: &mut Buffer) -> Result<Outcome, Outcome> {
        let mut at = offset;
        while at < self.len && out.bytes().len() < out.capacity() {
            let number = at.checked_div(PIECE).unwrap_or(0);
            let within = at.checked_rem(PIECE).unwrap_or(0);
            if self.held != Some(number) {
                self.hold(number)?;
            }
            let before = out.bytes().len();
            out.append(self.piece.bytes().get(within as usize..self.len_of(number)).unwrap_or_default());
            let count = out.bytes().len().saturating_sub(before);
            if count == 0 {
                return Err(Outcome::internal());
            }
            at = at.saturating_add(count as u64);
        }
        Ok(Outcome::new(STEADFAST_OK))
    }

    /// Reads a piece again, and compares it.
    fn hold(&mut self, number: u64) -> Result<(), Outcome> {
        self.held = None;
        if !is_still(self.fd.hooks(), self.fd.raw(), &self.stat) {
            return Err(Outcome::because(Errno::of(EBADF).code(), Detail::ReaderGone).with_step(STEP));
        }
        let digest = match self.fetch(number) {
            Ok(bytes) => digest(bytes),
            Err(outcome) if outcome.status == STEADFAST_E_TRUNCATED => return Err(Outcome::new(STEADFAST_E_DIGEST)),
            Err(outcome) => return Err(outcome),
        };
        if self.digests.get(number as usize) != Some(&digest) {
            return Err(Outcome::new(STEADFAST_E_DIGEST));
        }
        self.held = Some(number);
        Ok(())
    }

    fn len_of(&self, number: u64) -> usize {
        self.len.saturating_sub(number.saturating_mul(PIECE)).min(PIECE) as usize
    }

    /// Reads a piece.
    fn fetch(&mut self, number: u64) -> Result<&[u8], Outcome> {
        let want = self.len_of(number);
        let offset = number.saturating_mul(PIECE).saturating_add(HEADER as u64);
        self.piece.truncate(0);
        self.fd.hooks().fill(self.fd.raw(), &mut self.piece, offset as i64, want).at(STEP)?;
        self.piece.bytes().get(..want).ok_or(Outcome::new(STEADFAST_E_TRUNCATED))
    }

    /// Closes it, if its descriptor is still its own.
    pub fn close(self) {
        if !is_still(self.fd.hooks(), self.fd.raw(), &self.stat) {
            self.fd.into_raw();
        }
    }
}
