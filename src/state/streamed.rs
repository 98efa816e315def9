//! A payload that was written piece by piece. It is in a file and nowhere else: it is hashed by reading it back, and copied
//! after a failed sync. A plain file is hashed while it is written, and read back only where the caller wrote to its descriptor.

use super::format::{self, Fields, HEADER, Hasher};
use super::options::Kind;
use crate::hooks::*;
use crate::status::*;

/// What is read back at once.
pub const PIECE: usize = 1 << 17;

/// The room before the payload that the header of a record gets.
pub const fn room(kind: Kind) -> usize {
    match kind {
        Kind::Record => HEADER,
        Kind::Plain => 0,
    }
}

/// What was handed to a writer so far.
pub struct Handed {
    hasher: Hasher,
    len: u64,
}

impl Handed {
    pub fn nothing() -> Handed {
        Handed { hasher: Hasher::new(&[]), len: 0 }
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.len = self.len.saturating_add(bytes.len() as u64);
    }
}

/// The file of a writer, which is open.
pub struct Streamed {
    fd: i32,
    kind: Kind,
    len: u64,
    /// Of the payload as it was handed to the writer; None when the caller wrote to the descriptor.
    payload: Option<[u8; 32]>,
    /// Of a plain file, when it has been [hashed](Streamed::hash).
    content: Option<[u8; 32]>,
    /// Of a record, whole when it has been [sealed](Streamed::seal).
    header: [u8; HEADER],
    piece: Buffer,
}

impl Streamed {
    /// `handed`: all of the payload, or None when the caller wrote to the descriptor `fd`. `piece` has PIECE bytes.
    pub fn new(hooks: &Hooks, fd: i32, kind: Kind, handed: Option<Handed>, piece: Buffer) -> Result<Streamed, Outcome> {
        let size = hooks.fstat(fd).at(STEADFAST_STEP_READ_FILE)?.size;
        let (len, payload) = match handed {
            Some(Handed { hasher, len }) => (len, Some(hasher.finish())),
            None => (size.saturating_sub(room(kind) as u64), None),
        };
        Ok(Streamed { fd, kind, len, payload, content: None, header: [0; HEADER], piece })
    }

    /// Hashes a plain file, if that has not been done on the way.
    pub fn hash(&mut self, hooks: &Hooks) -> Result<(), Outcome> {
        let sha256 = match self.payload {
            Some(payload) => payload,
            None => {
                let mut own = Hasher::new(&[]);
                self.read_through(hooks, self.fd, &mut [&mut own], None)?;
                own.finish()
            }
        };
        self.content = Some(sha256);
        self.check_end(hooks)
    }

    /// Digest and length of a plain file.
    pub fn content(&self) -> Option<([u8; 32], u64)> {
        self.content.map(|sha256| (sha256, self.len))
    }

    /// Hashes the payload of a record, and writes the header.
    pub fn seal(&mut self, hooks: &Hooks, fields: &Fields, unsynced: bool) -> Result<(), Outcome> {
        let mut header = format::header(fields, self.len, unsynced, None);
        let mut record = Hasher::new(&header);
        // What no sync will vouch for is compared with what was handed over.
        match self.payload.filter(|_| unsynced) {
            Some(payload) => self.hash_and_compare(hooks, self.fd, &mut record, None, &payload)?,
            None => self.read_through(hooks, self.fd, &mut [&mut record], None)?,
        }
        format::seal(&mut header, record);
        hooks.write_at_start(self.fd, &header).at(STEADFAST_STEP_WRITE)?;
        self.header = header;
        self.check_end(hooks)
    }

    /// Does the file end where the payload does?
    fn check_end(&self, hooks: &Hooks) -> Result<(), Outcome> {
        let size = hooks.fstat(self.fd).at(STEADFAST_STEP_READ_FILE)?.size;
        match size.cmp(&self.len.saturating_add(room(self.kind) as u64)) {
            // Somebody writes to the file still.
            core::cmp::Ordering::Greater => Err(Outcome::new(STEADFAST_E_TRAILING)),
            core::cmp::Ordering::Less => Err(Outcome::new(STEADFAST_E_TRUNCATED)),
            core::cmp::Ordering::Equal => Ok(()),
        }
    }

    /// Writes the whole content to `to`, an empty file, after a failed sync of this one. That has made its pages clean, so some
    /// may have been dropped, and what is read back may be what the disk held before. What was hashed at the commit may have been
    /// read after that, too: only the digest of what was handed over proves that nothing was lost.
    pub fn copy(&mut self, hooks: &Hooks, to: i32) -> Result<(), Outcome> {
        let unknown = Outcome::because(STEADFAST_E_NOT_SAVED_DURABLY, Detail::PayloadUnknown);
        let payload = self.payload.ok_or(unknown)?;
        let mut record = Hasher::new(&self.header);
        hooks.write_all(to, &[[0; HEADER].get(..room(self.kind)).unwrap_or_default()]).at(STEADFAST_STEP_WRITE)?;
        self.hash_and_compare(hooks, self.fd, &mut record, Some(to), &payload)?;
        if self.kind == Kind::Plain {
            return Ok(());
        }
        format::check(&self.header, record).map_err(Outcome::new)?;
        hooks.write_at_start(to, &self.header).at(STEADFAST_STEP_WRITE)
    }

    /// Marks the record in `fd` as one that was not synced. An error: its payload is not what it was.
    pub fn mark(&mut self, hooks: &Hooks, fd: i32, fields: &Fields) -> Result<(), Outcome> {
        let mut header = format::header(fields, self.len, true, None);
        let mut record = Hasher::new(&header);
        match self.payload {
            Some(payload) => self.hash_and_compare(hooks, fd, &mut record, None, &payload)?,
            None => self.read_through(hooks, fd, &mut [&mut record], None)?,
        }
        format::seal(&mut header, record);
        let _ = hooks.write_at_start(fd, &header);
        Ok(())
    }

    /// Reads the payload in `fd` through for `record`, and compares its own digest with `payload`.
    fn hash_and_compare(
        &mut self,
        hooks: &Hooks,
        fd: i32,
        record: &mut Hasher,
        to: Option<i32>,
        payload: &[u8; 32],
    ) -> Result<(), Outcome> {
        let mut own = Hasher::new(&[]);
        self.read_through(hooks, fd, &mut [record, &mut own], to)?;
        if own.finish() == *payload { Ok(()) } else { Err(Outcome::new(STEADFAST_E_DIGEST).with_step(STEADFAST_STEP_READ_FILE)) }
    }

    /// Gives each piece of the payload in `fd` to all `hashers`, and writes it to `to`.
    fn read_through(&mut self, hooks: &Hooks, fd: i32, hashers: &mut [&mut Hasher], to: Option<i32>) -> Result<(), Outcome> {
        let mut at = 0u64;
        while at < self.len {
            let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
            let want = left.min(PIECE);
            self.piece.truncate(0);
            hooks
                .fill(fd, &mut self.piece, at.saturating_add(room(self.kind) as u64) as i64, want)
                .at(STEADFAST_STEP_READ_FILE)?;
            let bytes = self.piece.bytes().get(..want).ok_or(Outcome::new(STEADFAST_E_TRUNCATED))?;
            hashers.iter_mut().for_each(|hasher| hasher.update(bytes));
            if let Some(to) = to {
                hooks.write_all(to, &[bytes]).at(STEADFAST_STEP_WRITE)?;
            }
            at = at.saturating_add(want as u64);
        }
        Ok(())
    }
}
