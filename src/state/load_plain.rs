//! Loading a plain file: its whole content, and what its attribute says of it.
#![forbid(unsafe_code)]

use super::format::{Fields, HEADER};
use super::loaded::{Loaded, Room, read_and_hash};
use super::options::*;
use super::plain::{self, Stored, Verdict};
use crate::file::deadline::Retry;
use crate::hooks::*;
use crate::mem::Buffer;
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_READ_FILE;

/// Loads the open file `fd` into `room`.
pub fn read(fd: &Fd<'_>, request: &LoadRequest, room: &mut Room<'_>, retry: &mut Retry) -> Result<Loaded, Outcome> {
    verify(fd, request, retry, &mut |size| content(fd, size, request, room))
}

/// Judges the open file `fd`. Somebody may be writing it: it is then read again, as long as `retry` allows. `content` reads and
/// hashes a file of some size: its length by now, or one byte more than the size if it has grown, and the digest.
pub fn verify(
    fd: &Fd<'_>,
    request: &LoadRequest,
    retry: &mut Retry,
    content: &mut dyn FnMut(u64) -> Result<(u64, [u8; 32]), Outcome>,
) -> Result<Loaded, Outcome> {
    let hooks = fd.hooks();
    loop {
        let stat = hooks.fstat(fd.raw()).at(STEP)?;
        if !is_regular(stat.mode) {
            return Err(Outcome::new(STEADFAST_E_NOT_REGULAR));
        }
        let stored = match Stored::read(hooks, fd.raw()) {
            // A content that may be read, and an attribute that may not.
            Err(e) if e.is_one_of(&[EPERM, EACCES]) => Stored::None,
            read => read.at(STEP)?,
        };
        let (len, sha256) = content(stat.size)?;
        let (verdict, generation) = match stored.judge(len, stat.mtime_ns, &sha256) {
            Verdict::Verified(attribute) => {
                let fields =
                    Fields { generation: attribute.generation, saved_at_ns: attribute.mtime_ns, schema: attribute.schema };
                return loaded(len, fields, sha256, STEADFAST_OK, request);
            }
            verdict => (verdict, plain::tag(&sha256)),
        };
        // Is it a content that was there at one moment?
        let now = hooks.fstat(fd.raw()).at(STEP)?;
        if (now.size, now.mtime_ns) != (stat.size, stat.mtime_ns) || len != stat.size {
            if !retry.sleep(hooks).at(STEADFAST_STEP_WAIT)? {
                return Err(Outcome::because(STEADFAST_E_BUSY, Detail::Changing).with_step(STEP));
            }
            continue;
        }
        let status = match verdict {
            Verdict::Damaged(code) => return Err(Outcome::new(code)),
            Verdict::Changed => STEADFAST_CHANGED,
            _ => STEADFAST_UNVERIFIED,
        };
        return loaded(len, Fields { generation, saved_at_ns: stat.mtime_ns, schema: 0 }, sha256, status, request);
    }
}

fn loaded(len: u64, fields: Fields, sha256: [u8; 32], status: i32, request: &LoadRequest) -> Result<Loaded, Outcome> {
    let told = |status| Outcome::new(status).with_generation(fields.generation);
    let loaded =
        Loaded { len: usize::try_from(len).unwrap_or(usize::MAX), fields, sha256, previous: false, alternates: false, status };
    if len == 0 && status != STEADFAST_OK && request.has(STEADFAST_LOAD_RECOVER) {
        // Whatever is required: PATH.prev comes first.
        return Ok(loaded);
    }
    if status != STEADFAST_OK && request.has(STEADFAST_LOAD_REQUIRE_VERIFIED) {
        return Err(told(STEADFAST_E_UNVERIFIED));
    }
    if request.has(STEADFAST_LOAD_REQUIRE_SCHEMA) && fields.schema != request.schema {
        return Err(told(STEADFAST_E_SCHEMA));
    }
    Ok(loaded)
}

/// Reads and hashes a file of `size` bytes: its length by now, or one byte more than `size` if it has grown, and the digest.
fn content(fd: &Fd<'_>, size: u64, request: &LoadRequest, room: &mut Room) -> Result<(u64, [u8; 32]), Outcome> {
    let addressable = usize::try_from(size).ok().filter(|&len| len <= (isize::MAX as usize).saturating_sub(HEADER + 2));
    let Some(len) = addressable.filter(|_| size <= room.most(request)) else {
        room.needed = size;
        return Err(Outcome::new(STEADFAST_E_TOO_LARGE));
    };
    // Memory of ours has room for a header, as every state's that is handed out.
    let mut base = 0;
    room.memory.clear();
    if !room.given {
        base = HEADER;
        room.memory = Buffer::new(len.saturating_add(HEADER + 2)).at(STEADFAST_STEP_ALLOCATE)?;
        room.memory.append(&[0; HEADER]);
    }
    let mut hasher = plain::hasher();
    let range = (base, base.saturating_add(len));
    let end = read_and_hash(fd, &mut room.memory, (base as i64).saturating_neg(), range, &mut hasher)?;
    if !room.given {
        room.memory.append(&[0]);
    }
    Ok((end.saturating_sub(base) as u64, hasher.finish()))
}
