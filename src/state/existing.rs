//! What is at the target, or at PATH.prev, now.

use super::format::{self, HEADER, Hasher, Slot};
use super::options::Kind;
use super::plain::{self, Stored, Verdict};
use crate::file::deadline::Retry;
use crate::file::entry::{CAREFUL, Entry, same};
use crate::file::flock;
use crate::file::ownership::{Replaced, UNSYNCED};
use crate::hooks::*;
use crate::mem::copy;
use crate::status::*;
use core::cell::Cell;

/// How often a state may be replaced while it is being opened, before that is taken for a defect.
const ATTEMPTS: u32 = 10_000;

/// What a file's content came to when it was read through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// 0 when it is a whole state, or STEADFAST_E_NEWER for a whole one of a later format, else what is wrong with it.
    pub damage: i32,
    /// Of a whole state of this format, or of a plain file that is verified.
    pub generation: Option<u64>,
    /// The content tag of what a load as a plain file would not verify: somebody's file, or a record.
    pub tag: Option<u64>,
    /// Its digest, when it is whole.
    pub sha256: Option<[u8; 32]>,
    /// Is it marked as one that was not synced?
    unsynced: bool,
    /// Is it marked as one that was saved by comparing and swapping?
    pub swapped: bool,
}

impl Content {
    fn damaged(damage: i32) -> Content {
        Content { damage, generation: None, tag: None, sha256: None, unsynced: false, swapped: false }
    }

    /// A plain file that nothing confirms.
    fn foreign(sha256: [u8; 32]) -> Content {
        Content { tag: Some(plain::tag(&sha256)), sha256: Some(sha256), ..Content::damaged(0) }
    }

    /// A content that may be somebody's, and that nothing confirms?
    pub fn is_foreign(&self) -> bool {
        self.damage == 0 && self.generation.is_none()
    }

    /// A record, looked at as a plain file? No load of a plain file gives it.
    fn is_of_other_kind(&self) -> bool {
        self.generation.is_some() && self.tag.is_some()
    }

    /// What a load of the kind that was asked for gives as the generation.
    pub fn number(&self) -> Option<u64> {
        self.tag.or(self.generation)
    }

    /// The same, of what that load verifies.
    pub fn verified(&self) -> Option<u64> {
        self.generation.filter(|_| self.damage == 0 && self.tag.is_none())
    }

    /// A state that has been damaged, as far as can be seen? What is no state at all is not.
    pub fn is_damaged(&self) -> bool {
        [STEADFAST_E_EMPTY, STEADFAST_E_TRUNCATED, STEADFAST_E_TRAILING, STEADFAST_E_DIGEST].contains(&self.damage)
    }

    /// A whole state?
    pub fn is_whole(&self) -> bool {
        [STEADFAST_OK, STEADFAST_E_NEWER].contains(&self.damage)
    }
}

/// What the header of a record says.
#[derive(Clone, Copy)]
struct Said {
    /// The generation, if the header's own check confirms it.
    generation: Option<u64>,
    slot: Option<Slot>,
}

/// A regular file at the target, open.
pub struct Existing<'h> {
    fd: Fd<'h>,
    pub stat: steadfast_stat,
    held: bool,
    /// What its header says, once it was asked; in there None, if it has none that fits its length.
    header: Cell<Option<Option<Said>>>,
    /// What it came to when it was read through as this kind.
    content: Option<(Kind, Content)>,
    /// Has its sync failed?
    unsynced: bool,
}

impl Drop for Existing<'_> {
    fn drop(&mut self) {
        // The flock explicitly: a child that was forked meanwhile has the descriptor too.
        if self.held {
            let _ = self.fd.hooks().flock(self.fd.raw(), LOCK_UN);
        }
    }
}

impl<'h> Existing<'h> {
    /// Opens what has the name, without following a link; None when nothing has. Another process's lease on the file is
    /// waited for. Nothing but a regular file is a target.
    pub fn open(entry: Entry<'h, '_>, retry: &mut Retry, step: i32) -> Result<Option<Existing<'h>>, Outcome> {
        let fd = loop {
            match entry.open(CAREFUL, 0) {
                Ok(fd) => break fd,
                // ENAMETOOLONG: nothing can have a name that is too long here.
                Err(e) if e.is(ENOENT) || e.is(ENAMETOOLONG) => return Ok(None),
                // EMLINK: the same on FreeBSD.
                Err(e) if e.is(ELOOP) || e.is(EMLINK) => return Err(Outcome::new(STEADFAST_E_SYMLINK)),
                // A socket, or a device without a driver (open(2)).
                Err(e) if e.is(ENXIO) => return Err(Outcome::new(STEADFAST_E_NOT_REGULAR)),
                // A lease is being broken (fcntl(2), "Leases").
                Err(e) if e.is(EAGAIN) => {
                    if !retry.sleep(entry.hooks()).at(step)? {
                        return Err(busy(entry, Detail::Leased));
                    }
                }
                Err(e) => return Err(Outcome::failed(e, step)),
            }
        };
        let stat = entry.hooks().fstat(fd.raw()).at(step)?;
        if !is_regular(stat.mode) {
            return Err(Outcome::new(STEADFAST_E_NOT_REGULAR));
        }
        Ok(Some(Existing { fd, stat, held: false, header: Cell::new(None), content: None, unsynced: false }))
    }

    /// Is something mounted there, so that no other file can get the name?
    pub fn is_mount_root(&self) -> bool {
        self.stat.attributes & STEADFAST_STAT_MOUNT_ROOT != 0
    }

    /// What the new file takes over from this one.
    pub fn replaced(&self) -> Replaced {
        Replaced { fd: self.fd.raw(), stat: self.stat }
    }

    /// The hooks that it was opened with.
    pub fn hooks(&self) -> &'h Hooks {
        self.fd.hooks()
    }

    /// Is its flock ours?
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Its descriptor.
    pub fn fd(&self) -> i32 {
        self.fd.raw()
    }

    /// Takes the flock of what has the name, waiting as long as `retry` allows, and keeps it: what then has the name is
    /// what is open. None when nothing has it any more. The flock of `held` is ours already, and would be waited for for ever.
    pub fn hold(
        self,
        entry: Entry<'h, '_>,
        held: Option<&steadfast_stat>,
        retry: &mut Retry,
    ) -> Result<Option<Existing<'h>>, Outcome> {
        self.hold_as(LOCK_EX, entry, held, retry)
    }

    /// The same with a shared flock, which keeps out only those that take an exclusive one. Where there is no flock, it is none.
    pub fn share(self, entry: Entry<'h, '_>, retry: &mut Retry) -> Result<Option<Existing<'h>>, Outcome> {
        self.hold_as(LOCK_SH, entry, None, retry)
    }

    fn hold_as(
        self,
        kind: i32,
        entry: Entry<'h, '_>,
        held: Option<&steadfast_stat>,
        retry: &mut Retry,
    ) -> Result<Option<Existing<'h>>, Outcome> {
        const STEP: i32 = STEADFAST_STEP_READ_CURRENT;
        let hooks = entry.hooks();
        let mut current = self;
        for _ in 0..ATTEMPTS {
            if held.is_some_and(|held| same(held, &current.stat)) {
                return Ok(Some(current));
            }
            let mut taken = flock::taken(hooks, current.fd.raw(), kind, retry);
            if taken.is_err_and(|e| e.is(EBADF)) {
                // Over NFS and CIFS an exclusive flock needs a descriptor that is open for writing (flock(2)).
                if let Ok(writable) = entry.open(CAREFUL | O_RDWR, 0) {
                    current.stat = hooks.fstat(writable.raw()).at(STEP)?;
                    current.fd = writable;
                    taken = flock::taken(hooks, current.fd.raw(), kind, retry);
                }
            }
            match taken {
                Ok(true) => current.held = true,
                Ok(false) => return Err(busy(entry, Detail::StateBusy)),
                Err(e) if flock::is_missing(e) && kind == LOCK_SH => return Ok(Some(current)),
                Err(e) if flock::is_missing(e) || e.is(EBADF) => return Err(no_flock(e)),
                Err(e) => return Err(Outcome::failed(e, STEP)),
            }
            if let Some(named) = entry.stat_if_there().at(STEP)?
                && same(&named, &current.stat)
            {
                // Somebody may have written it in place before. Who shares the flock goes by time and size, since reading all of it
                // again would cost each save that keeps a state.
                if kind == LOCK_EX || (named.mtime_ns, named.size) != (current.stat.mtime_ns, current.stat.size) {
                    current.content = None;
                }
                current.header.set(None);
                current.stat = named;
                return Ok(Some(current));
            }
            match Existing::open(entry, retry, STEP)? {
                Some(next) => current = next,
                None => return Ok(None),
            }
        }
        Err(Outcome::failed(Errno::of(EAGAIN), STEP))
    }

    /// What the header says, if the file has one that fits its length. It is read once.
    fn header(&self) -> Result<Option<Said>, Errno> {
        if let Some(said) = self.header.get() {
            return Ok(said);
        }
        let mut header = [0u8; HEADER];
        let len = self.fd.hooks().pread(self.fd.raw(), &mut header, 0)?.len();
        let fits = len == HEADER && format::expected_len(&header, self.stat.size).is_ok();
        let said = fits.then(|| Said { generation: format::checked_generation(&header), slot: format::slot(&header) });
        self.header.set(Some(said));
        Ok(said)
    }

    /// The generation that its header's own check confirms, or its attribute; and does it look like a state, of this format
    /// or a later one? A plain file always does.
    pub fn look(&self, kind: Kind, step: i32) -> Result<(Option<u64>, bool), Outcome> {
        let attribute = || -> Result<Option<u64>, Outcome> {
            Ok(match Stored::read(self.fd.hooks(), self.fd()).at(step)? {
                Stored::Ours(attribute) if attribute.fits(&self.stat) => Some(attribute.generation),
                _ => None,
            })
        };
        if kind == Kind::Plain
            && let Some(generation) = attribute()?
        {
            return Ok((Some(generation), true));
        }
        match self.header().at(step)? {
            Some(said) => Ok((said.generation, true)),
            None if kind == Kind::Plain => Ok((None, true)),
            None => attribute().map(|number| (number, number.is_some())),
        }
    }

    /// Is it, as far as is known, not durable? Asked after [`verify`](Existing::verify).
    pub fn is_unsynced(&self) -> bool {
        self.unsynced || self.content.is_some_and(|(_, content)| content.unsynced)
    }

    /// It could not be synced. Another sync would answer 0, so the mark goes to the file as well.
    pub fn mark_unsynced(&mut self) {
        self.unsynced = true;
        let _ = self.hooks().fchmod(self.fd(), self.stat.mode & 0o7777 | UNSYNCED);
    }

    /// What its header says of an alternating state, if it is one of its two files; and the generation, if the header's own check
    /// confirms it.
    pub fn slot(&self, step: i32) -> Result<Option<(Slot, Option<u64>)>, Outcome> {
        let said = self.header().at(step)?;
        Ok(said.and_then(|said| Some((said.slot?, said.generation))))
    }

    /// Shows the content to `look`, piece by piece, until it answers false: how much was read.
    pub fn pieces(&self, mut look: impl FnMut(u64, &[u8]) -> Result<bool, Errno>) -> Result<u64, Errno> {
        let mut piece = [0u8; 8192];
        let mut at = 0u64;
        loop {
            let bytes = self.fd.hooks().pread(self.fd(), &mut piece, at)?;
            let (start, len) = (at, bytes.len());
            at = at.saturating_add(len as u64);
            if !look(start, bytes)? || len < piece.len() {
                return Ok(at);
            }
        }
    }

    /// Reads it through and checks it, once: as the `kind` that is saved, or as the other one.
    pub fn verify(&mut self, kind: Kind, step: i32) -> Result<Content, Outcome> {
        if let Some((_, content)) = self.content.filter(|&(verified, _)| verified == kind) {
            return Ok(content);
        }
        let content = match kind {
            Kind::Record => self.verify_record().at(step)?,
            Kind::Plain => self.verify_plain().at(step)?,
        };
        self.content = Some((kind, content));
        Ok(content)
    }

    /// A record; the number of a plain file counts as well.
    fn verify_record(&self) -> Result<Content, Errno> {
        let record = self.read_record()?;
        if record.is_whole() {
            return Ok(record);
        }
        let stored = Stored::read(self.fd.hooks(), self.fd())?;
        if stored == Stored::None {
            return Ok(record);
        }
        let plain = self.read_plain(stored)?;
        Ok(Content { generation: plain.generation, sha256: plain.sha256, unsynced: plain.unsynced, ..record })
    }

    /// A plain file. The number of a record counts as well, and so does the tag that a load of it as a plain file gives.
    fn verify_plain(&self) -> Result<Content, Errno> {
        let plain = self.read_plain(Stored::read(self.fd.hooks(), self.fd())?)?;
        if !plain.is_foreign() {
            return Ok(plain);
        }
        let record = self.read_record()?;
        Ok(if record.is_whole() { Content { tag: plain.tag, sha256: plain.sha256, ..record } } else { plain })
    }

    fn read_plain(&self, stored: Stored) -> Result<Content, Errno> {
        let mut hasher = plain::hasher();
        let len = self.pieces(|_, bytes| {
            hasher.update(bytes);
            Ok(true)
        })?;
        let sha256 = hasher.finish();
        Ok(match stored.judge(len, self.stat.mtime_ns, &sha256) {
            Verdict::Verified(attribute) => Content {
                generation: Some(attribute.generation),
                sha256: Some(sha256),
                unsynced: attribute.is_unsynced(),
                swapped: attribute.is_swapped(),
                ..Content::damaged(0)
            },
            Verdict::Changed | Verdict::Unverified => Content::foreign(sha256),
            Verdict::Damaged(code) => Content::damaged(code),
        })
    }

    fn read_record(&self) -> Result<Content, Errno> {
        let size = self.stat.size;
        let mut header = [0u8; HEADER];
        let mut hasher = Hasher::new(&[]);
        let mut damage = None;
        let len = self.pieces(|at, bytes| {
            if at == 0 {
                let start = bytes.first_chunk::<HEADER>().map_or(bytes, |start| start);
                damage = format::expected_len(start, size).err();
                copy(&mut header, start);
                hasher = Hasher::new(bytes);
            } else {
                hasher.update(bytes);
            }
            Ok(damage.is_none())
        })?;
        let unsynced = self.stat.mode & UNSYNCED != 0 || format::says_unsynced(&header);
        if let Some(code) = damage {
            return Ok(Content { unsynced, ..Content::damaged(code) });
        }
        if len != size {
            let code = if len < size { STEADFAST_E_TRUNCATED } else { STEADFAST_E_TRAILING };
            return Ok(Content { unsynced, ..Content::damaged(code) });
        }
        Ok(match format::check(&header, hasher) {
            Ok((fields, sha256)) => {
                Content { damage: 0, generation: Some(fields.generation), sha256: Some(sha256), unsynced, ..Content::damaged(0) }
            }
            Err(code) => Content { unsynced, ..Content::damaged(code) },
        })
    }
}

/// What was opened, where a load takes what is no regular file for nothing.
pub fn if_regular(opened: Result<Option<Existing<'_>>, Outcome>) -> Result<Option<Existing<'_>>, Outcome> {
    match opened {
        Err(e) if [STEADFAST_E_SYMLINK, STEADFAST_E_NOT_REGULAR].contains(&e.status) => Ok(None),
        opened => opened,
    }
}

/// Was the file that had the name replaced by another process, and is it gone for whoever had opened it? So it is over NFS and
/// over FUSE; ENOENT is the answer where the server goes by paths. What `outcome` is about was open, and has changed nothing.
pub fn is_gone(outcome: &Outcome) -> bool {
    [ESTALE, ENOENT].iter().any(|&errno| outcome.status == Errno::of(errno).code())
}

/// Would RECOVER give it after a power cut? A record no load of a plain file gives.
pub fn is_recoverable(content: Content, file: &Existing<'_>) -> bool {
    is_durable(content, file) && !content.is_of_other_kind()
}

/// Is it whole, verified and, as far as is known, on the disk?
pub fn is_durable(content: Content, file: &Existing<'_>) -> bool {
    content.is_whole() && !content.is_foreign() && !file.is_unsynced()
}

/// Another process kept the save waiting for too long. It is named, if the system tells.
pub fn busy(entry: Entry<'_, '_>, detail: Detail) -> Outcome {
    let holder = entry.stat().ok().and_then(|stat| flock::holder(entry.hooks(), &stat));
    Outcome::because(STEADFAST_E_BUSY, detail).with_step(STEADFAST_STEP_READ_CURRENT).with_pid(holder.unwrap_or(0))
}

/// IF_GENERATION needs flock.
pub fn no_flock(error: Errno) -> Outcome {
    Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::SwapNeedsFlock).caused_by(error, STEADFAST_STEP_READ_CURRENT)
}
