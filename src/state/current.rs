//! What is at the target now.
#![forbid(unsafe_code)]

use super::record::{self, HEADER, Hasher};
use super::temp::same;
use crate::hooks::*;
use crate::path::copy;
use crate::status::*;
use core::ffi::CStr;

/// Flags for opening a file that somebody else may have put there.
pub const CAREFUL: i32 = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;

/// How often a state may be replaced while it is being opened, before that is taken for a defect.
const ATTEMPTS: u32 = 10_000;

/// The state at the target, open. Large: it is opened in place.
pub struct Current<'h> {
    pub fd: Fd<'h>,
    pub stat: steadfast_stat,
    held: bool,
    /// Of the state, when it could be read.
    pub generation: Option<u64>,
    /// 0 when it has been read through and is whole.
    pub damage: i32,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<'h> Current<'h> {
    /// Not looked at yet.
    pub fn none(hooks: &'h Hooks) -> Current<'h> {
        Current { fd: Fd::none(hooks), stat: steadfast_stat::default(), held: false, generation: None, damage: STEADFAST_E_EMPTY }
    }

    /// Was there anything?
    pub fn is_there(&self) -> bool {
        self.fd.raw() >= 0
    }

    /// Gives up its flock, which a child that was forked meanwhile has too, and closes it.
    pub fn close(&mut self) {
        let hooks = self.fd.hooks();
        if core::mem::take(&mut self.held) {
            let _ = hooks.flock(self.fd.raw(), LOCK_UN);
        }
        self.fd = Fd::none(hooks);
    }

    /// Opens the target without following it. Nothing but a regular file is a target.
    pub fn open(&mut self, dir: i32, name: &CStr) -> Result<(), Outcome> {
        const STEP: i32 = STEADFAST_STEP_INSPECT_TARGET;
        self.close();
        let hooks = self.fd.hooks();
        self.generation = None;
        self.damage = STEADFAST_E_EMPTY;
        self.fd = match hooks.openat(dir, name, CAREFUL, 0) {
            Ok(fd) => fd,
            Err(e) if e.is(ENOENT) => return Ok(()),
            // EMLINK: the same on FreeBSD.
            Err(e) if e.is(ELOOP) || e.is(EMLINK) => return Err(Outcome::new(STEADFAST_E_SYMLINK)),
            // A socket, or a device without a driver (open(2)).
            Err(e) if e.is(ENXIO) => return Err(Outcome::new(STEADFAST_E_NOT_REGULAR)),
            Err(e) => return Err(Outcome::failed(e, STEP)),
        };
        hooks.fstat(self.fd.raw(), &mut self.stat).at(STEP)?;
        if !is_regular(self.stat.mode) {
            return Err(Outcome::new(STEADFAST_E_NOT_REGULAR));
        }
        if self.stat.attributes & STEADFAST_STAT_MOUNT_ROOT != 0 {
            return Err(Outcome::failed(Errno::of(EBUSY), STEP).with_detail(Detail::MOUNT_POINT));
        }
        Ok(())
    }

    /// Takes the flock of the current state, waiting, and keeps it: what is then under the name is what is open.
    pub fn hold(&mut self, dir: i32, name: &CStr) -> Result<(), Outcome> {
        const STEP: i32 = STEADFAST_STEP_READ_CURRENT;
        for _ in 0..ATTEMPTS {
            if !self.is_there() {
                return Ok(());
            }
            match self.fd.hooks().flock(self.fd.raw(), LOCK_EX) {
                Ok(()) => self.held = true,
                // EBADF: over NFS an exclusive flock needs a descriptor open for writing (flock(2)).
                Err(e) if e.unsupported() || e.is(EBADF) || e.is(ENOLCK) => return Err(no_flock(e)),
                Err(e) => return Err(Outcome::failed(e, STEP)),
            }
            // Whoever held it may have written over it (RECYCLE).
            self.fd.hooks().fstat(self.fd.raw(), &mut self.stat).at(STEP)?;
            if self.is_named(dir, name).at(STEP)? {
                return Ok(());
            }
            self.open(dir, name)?;
        }
        Err(Outcome::failed(Errno::of(EAGAIN), STEP))
    }

    /// Does the name still mean this file?
    pub fn is_named(&self, dir: i32, name: &CStr) -> Result<bool, Errno> {
        is_named(self.fd.hooks(), dir, name, &self.stat)
    }

    /// The generation in its header, not verified.
    pub fn read_generation(&mut self) -> Result<(), Outcome> {
        let mut header = [0u8; HEADER];
        let len = self.fd.hooks().pread(self.fd.raw(), &mut header, 0).at(STEADFAST_STEP_READ_CURRENT)?;
        let header = header.get(..len).unwrap_or_default();
        if record::expected_len(header, self.stat.size).is_ok() {
            self.generation = record::fields(header).ok().map(|fields| fields.generation);
        }
        Ok(())
    }

    /// Reads it through and checks it.
    pub fn verify(&mut self) -> Result<(), Outcome> {
        match self.read_through().at(STEADFAST_STEP_READ_CURRENT)? {
            Ok(generation) => (self.damage, self.generation) = (0, Some(generation)),
            Err(code) => (self.damage, self.generation) = (code, None),
        }
        Ok(())
    }

    fn read_through(&self) -> Result<Result<u64, i32>, Errno> {
        let (hooks, fd, size) = (self.fd.hooks(), self.fd.raw(), self.stat.size);
        let mut piece = [0u8; 16384];
        let mut header = [0u8; HEADER];
        let mut hasher = Hasher::new(&[]);
        let mut at = 0u64;
        loop {
            let len = hooks.pread(fd, &mut piece, at)?;
            let bytes = piece.get(..len).unwrap_or_default();
            if at == 0 {
                let start = bytes.get(..HEADER).unwrap_or(bytes);
                if let Err(code) = record::expected_len(start, size) {
                    return Ok(Err(code));
                }
                copy(&mut header, start);
                hasher = Hasher::new(bytes);
            } else {
                hasher.update(bytes);
            }
            at = at.saturating_add(len as u64);
            if len < piece.len() {
                break;
            }
        }
        if at != size {
            return Ok(Err(if at < size { STEADFAST_E_TRUNCATED } else { STEADFAST_E_TRAILING }));
        }
        Ok(record::check(&header, hasher).map(|(fields, _)| fields.generation))
    }
}

/// IF_GENERATION cannot be had without flock.
pub fn no_flock(error: Errno) -> Outcome {
    Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::SWAP_NEEDS_FLOCK).caused_by(error, STEADFAST_STEP_READ_CURRENT)
}

/// Does the name still mean this file?
pub fn is_named(hooks: &Hooks, dir: i32, name: &CStr, stat: &steadfast_stat) -> Result<bool, Errno> {
    let mut named = steadfast_stat::default();
    match hooks.fstatat(dir, name, &mut named) {
        Ok(()) => Ok(same(stat, &named)),
        Err(e) if e.is(ENOENT) => Ok(false),
        Err(e) => Err(e),
    }
}
