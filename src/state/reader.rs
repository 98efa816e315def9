//! Reading parts of a state that was verified.
//!
//! The whole file is verified once. SHA-256's running state before each piece is kept, and a piece is hashed on from there to the
//! next one before a byte of it is handed out: what somebody writes into the file meanwhile is found, and never given for the state.

use super::blocks::{BLOCK, Blocks, Running};
use super::format::{self, COVERED, HEADER};
use super::load;
use super::load_plain;
use super::load_record::check;
use super::loaded::{Loaded, Taker};
use super::options::*;
use crate::file::base::Start;
use crate::file::deadline::Retry;
use crate::file::entry::is_still;
use crate::hooks::*;
use crate::mem::{List, copy};
use crate::status::*;
use core::cmp::Ordering;
use core::ffi::CStr;

const STEP: i32 = STEADFAST_STEP_READ_FILE;

/// What is verified at once: whole blocks, and with all else less than 1 MiB of memory.
const PIECE: u64 = 15 << 16;
const BLOCKS: u64 = PIECE >> BLOCK.trailing_zeros();

/// A verified state whose file is open.
pub struct Reader<'h> {
    fd: Fd<'h>,
    stat: steadfast_stat,
    pieces: Pieces,
}

/// What is hashed of a file, piece by piece.
struct Pieces {
    part: Part,
    /// Length of the payload, with what fills it up.
    len: u64,
    /// Without.
    used: u64,
    /// SHA-256's state before each piece, and the digest of all.
    states: List<Running>,
    digest: [u8; 32],
    /// Memory for one, and the number of the verified one that is in it.
    memory: Buffer,
    held: Option<u64>,
}

/// Which part of a file is hashed.
#[derive(Clone, Copy)]
struct Part {
    /// Where it begins.
    start: usize,
    /// How much of it comes before the payload.
    lead: usize,
}

impl Part {
    const RECORD: Part = Part { start: COVERED, lead: HEADER - COVERED };
    const PLAIN: Part = Part { start: 0, lead: 0 };
}

/// Where the file is kept that was found to be whole.
struct Place<'h>(Option<Reader<'h>>);

impl<'h> Taker<'h> for Place<'h> {
    fn take(&mut self, fd: Fd<'h>, request: &LoadRequest, retry: &mut Retry) -> Result<Loaded, Outcome> {
        let mut read = None;
        let loaded = match request.kind() {
            Kind::Record => verify_record(&fd, request, &mut read),
            Kind::Plain => load_plain::verify(&fd, request, retry, &mut |size| {
                let pieces = read.insert(Pieces::read(&fd, Part::PLAIN, (size, size), request)?);
                Ok((pieces.len, pieces.digest))
            }),
        }?;
        let stat = fd.hooks().fstat(fd.raw()).at(STEP)?;
        self.0 = Some(Reader { fd, stat, pieces: read.ok_or(Outcome::internal())? });
        Ok(loaded)
    }
}

/// Reads a whole record.
fn verify_record(fd: &Fd<'_>, request: &LoadRequest, read: &mut Option<Pieces>) -> Result<Loaded, Outcome> {
    let hooks = fd.hooks();
    let stat = hooks.fstat(fd.raw()).at(STEP)?;
    if !is_regular(stat.mode) {
        return Err(Outcome::new(STEADFAST_E_NOT_REGULAR));
    }
    let mut header = [0u8; HEADER];
    let seen = hooks.pread(fd.raw(), &mut header, 0).at(STEP)?.len();
    let len = format::expected_len(header.get(..seen).unwrap_or(&header), stat.size).map_err(Outcome::new)?;
    // What fills a file up is hashed, and not handed out.
    let slot = format::slot(&header).filter(|slot| slot.used <= len);
    let used = slot.map_or(len, |slot| slot.used);
    let pieces = read.insert(Pieces::read(fd, Part::RECORD, (len, used), request)?);
    match pieces.len.cmp(&len) {
        Ordering::Less => return Err(Outcome::new(STEADFAST_E_TRUNCATED)),
        Ordering::Greater => return Err(Outcome::new(STEADFAST_E_TRAILING)),
        Ordering::Equal => {}
    }
    let (fields, sha256) = check(&header, pieces.digest, request)?;
    let used = usize::try_from(used).unwrap_or(usize::MAX);
    Ok(Loaded { len: used, fields, sha256, previous: false, alternates: slot.is_some(), status: STEADFAST_OK })
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
    pub fn read(&mut self, offset: u64, out: &mut Memory<'_>) -> Result<Outcome, Outcome> {
        let mut at = offset;
        while at < self.pieces.used && out.bytes().len() < out.capacity() {
            let hashed = at.saturating_add(self.pieces.part.lead as u64);
            let number = hashed.checked_div(PIECE).unwrap_or(0);
            let within = hashed.checked_rem(PIECE).unwrap_or(0);
            if self.pieces.held != Some(number) {
                self.hold(number)?;
            }
            let before = out.bytes().len();
            let left = usize::try_from(self.pieces.used.saturating_sub(at)).unwrap_or(usize::MAX);
            let end = self.pieces.len_of(number).min((within as usize).saturating_add(left));
            out.append(self.pieces.memory.bytes().get(within as usize..end).unwrap_or_default());
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
        let Reader { fd, stat, pieces } = self;
        pieces.held = None;
        if !is_still(fd.hooks(), fd.raw(), stat) {
            return Err(Outcome::because(Errno::of(EBADF).code(), Detail::ReaderGone).with_step(STEP));
        }
        if !pieces.verify(fd, number)? {
            return Err(Outcome::new(STEADFAST_E_DIGEST));
        }
        pieces.held = Some(number);
        Ok(())
    }

    /// Closes it, if its descriptor is still its own.
    pub fn close(self) {
        if !is_still(self.fd.hooks(), self.fd.raw(), &self.stat) {
            self.fd.into_raw();
        }
    }
}

impl Pieces {
    /// Reads and hashes what should be a payload of `len` bytes, of which `used` are the caller's. There may be less by now, or more:
    /// `len` is then one byte more.
    fn read(fd: &Fd<'_>, part: Part, (len, used): (u64, u64), request: &LoadRequest) -> Result<Pieces, Outcome> {
        let total = len.saturating_add(part.lead as u64);
        let count = usize::try_from(total.div_ceil(PIECE)).ok().filter(|_| request.max_len == 0 || used <= request.max_len);
        let states = List::new(count.ok_or(Outcome::new(STEADFAST_E_TOO_LARGE))?).at(STEADFAST_STEP_ALLOCATE)?;
        let memory = Buffer::new(total.min(PIECE) as usize).at(STEADFAST_STEP_ALLOCATE)?;
        let mut pieces = Pieces { part, len, used, states, digest: [0; 32], memory, held: None };
        let mut blocks = Blocks::new().ok_or(Outcome::internal())?;
        let (mut found, mut rest, mut left) = (0u64, [0; BLOCK], 0);
        for number in 0..total.div_ceil(PIECE) {
            pieces.states.push(blocks.running()).at(STEADFAST_STEP_ALLOCATE)?;
            let want = pieces.len_of(number);
            let bytes = pieces.fetch(fd, number)?;
            found = found.saturating_add(bytes.len() as u64);
            let behind = blocks.update(bytes);
            copy(&mut rest, behind);
            left = behind.len();
            if bytes.len() < want {
                break;
            }
        }
        pieces.digest = blocks.finish(rest.get(..left).unwrap_or_default());
        let end = total.saturating_add(part.start as u64);
        let more = fd.hooks().pread(fd.raw(), &mut [0], end).at(STEP)?.len();
        pieces.len = found.saturating_add(more as u64).saturating_sub(part.lead as u64);
        Ok(pieces)
    }

    /// How much of what is hashed is in a piece.
    fn len_of(&self, number: u64) -> usize {
        let total = self.len.saturating_add(self.part.lead as u64);
        total.saturating_sub(number.saturating_mul(PIECE)).min(PIECE) as usize
    }

    /// Reads a piece, as far as the file has it.
    fn fetch(&mut self, fd: &Fd<'_>, number: u64) -> Result<&[u8], Outcome> {
        let want = self.len_of(number);
        let offset = number.saturating_mul(PIECE).saturating_add(self.part.start as u64);
        self.memory.truncate(0);
        fd.hooks().fill(fd.raw(), &mut self.memory, offset as i64, want).at(STEP)?;
        Ok(self.memory.bytes().get(..want).unwrap_or(self.memory.bytes()))
    }

    /// Reads a piece again: is it what it was? One that was cut is another one, too.
    fn verify(&mut self, fd: &Fd<'_>, number: u64) -> Result<bool, Outcome> {
        let before = number.saturating_mul(BLOCKS);
        let state = self.states.get(number as usize).ok_or(Outcome::internal())?;
        let mut blocks = Blocks::at(state, before).ok_or(Outcome::internal())?;
        let rest = blocks.update(self.fetch(fd, number)?);
        let cut = !rest.is_empty();
        let mut last = [0; BLOCK];
        copy(&mut last, rest);
        let left = rest.len();
        Ok(match self.states.get((number as usize).saturating_add(1)) {
            Some(next) => !cut && blocks.running() == *next,
            None => blocks.finish(last.get(..left).unwrap_or_default()) == self.digest,
        })
    }
}
