//! A save on its way: what it found, and the new file.

use super::existing::{Existing, is_gone, no_flock};
use super::format::{Fields, Slot};
use super::generation;
use super::options::*;
use super::pair::{self, Pair};
use super::plain::{self, Attribute};
use super::resolve::{self, Session, Target};
use super::stream::{self, Record};
use super::streamed::Streamed;
use super::turn;
use crate::file::deadline::Retry;
use crate::file::entry::{Entry, same};
use crate::file::filesystem;
use crate::file::ownership::{self, Mode, UNSYNCED};
use crate::file::path::Path;
use crate::file::temp::Temp;
use crate::file::xattr;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// Whether the content of the new file is on the disk.
#[derive(Clone, Copy)]
pub enum Synced {
    Yes,
    /// NO_SYNC.
    Skipped,
    /// The file system has no fsync.
    Unsupported(Errno),
    /// It failed.
    Failed(Errno),
}

impl Synced {
    /// The result of a sync.
    pub fn of(result: Result<(), Errno>) -> Synced {
        match result {
            Ok(()) => Synced::Yes,
            Err(e) if e.unsupported() => Synced::Unsupported(e),
            Err(e) => Synced::Failed(e),
        }
    }
}

/// A save that has looked at what is there, and changed nothing yet.
pub struct Saving<'h> {
    pub current: Option<Existing<'h>>,
    /// Of an alternating state.
    pub pair: Option<Pair<'h>>,
    /// Is the new file to be one of an alternating state's?
    pub alternates: bool,
    /// What its header then says of the two files.
    pub pair_of_new: u64,
    permissions_of_new: u16,
    /// Of a save that compares and swaps a plain file: the directory's flock. Before `dir`, whose it is.
    _turn: Option<Flock<'h>>,
    pub dir: Fd<'h>,
    _fillers: Fillers<'h>,
    pub fields: Fields,
    /// The verified generation that is there, at PATH or else at PATH.prev.
    pub there: Option<u64>,
    /// PATH.prev with its flock, where it was compared with.
    _basis: Option<Existing<'h>>,
    /// Is there a state, as far as is known?
    pub had_state: bool,
    pub unsynced_parent: Option<Errno>,
    pub retry: Retry,
    /// The payload, where it is in a writer's file and nowhere else.
    pub streamed: Option<Streamed>,
    /// Of a plain file: what was written.
    attribute: Option<Attribute>,
    /// Did a saver that was killed leave somebody's edit beside it?
    pub edit_left: bool,
    /// Why it has no attribute.
    pub unverified: Option<Errno>,
}

/// The new file, complete but for its sync.
pub struct Written<'h> {
    pub temp: Temp<'h>,
    /// What there is to say about it.
    pub note: Detail,
}

impl<'h> Saving<'h> {
    /// Steps 1 to 3: the directory first, then the target, then what is there.
    pub fn begin(session: &mut Session<'h>, path: &mut Path, request: &SaveRequest<'_>) -> Result<Saving<'h>, Outcome> {
        let mut retry = session.retry.again();
        let begun = Saving::look(session, path, request, &mut retry);
        session.retry = retry.again();
        begun
    }

    /// Is there what the flags need?
    pub fn check_platform(hooks: &Hooks, request: &SaveRequest<'_>) -> Result<(), Outcome> {
        if request.has(STEADFAST_SAVE_STRICT) && hooks.absent(STEADFAST_ABSENT_DIR_FSYNC) {
            return Err(Outcome::because(STEADFAST_E_NOT_SAVED_DURABLY, Detail::NoDirFsyncStrict));
        }
        if request.swaps() && hooks.absent(STEADFAST_ABSENT_FLOCK) {
            return Err(no_flock(Errno::of(ENOSYS)));
        }
        Ok(())
    }

    fn look(
        session: &mut Session<'h>,
        path: &mut Path,
        request: &SaveRequest<'_>,
        retry: &mut Retry,
    ) -> Result<Saving<'h>, Outcome> {
        const STEP: i32 = STEADFAST_STEP_READ_CURRENT;
        let hooks = session.start.hooks();
        Saving::check_platform(hooks, request)?;
        let Target { dir, mut current } = resolve::open(session, path, request, retry)?;
        let fillers = Fillers::of(&dir);
        let target = Entry::new(&dir, path.name());
        let mut taken = None;
        if request.exchanges() {
            taken = Some(turn::take_turn(&dir, retry)?);
            // Who had the turn before may have made it; what has been replaced meanwhile, its flock tells.
            if current.is_none() {
                current = Existing::open(target, retry, STEADFAST_STEP_INSPECT_TARGET)?;
            }
        }
        let alternates = alternates_here(&dir, current.as_ref(), request);
        let mut pair = None;
        if let Some(there) = current.take() {
            // Who may overwrite what is there in place has its flock; and so has whoever replaces it.
            let is_kept = session.is_streamed && request.keeps_previous() && !hooks.absent(STEADFAST_ABSENT_FLOCK);
            let locked = request.swaps()
                || alternates
                || is_kept
                || (!hooks.absent(STEADFAST_ABSENT_FLOCK) && there.slot(STEP)?.is_some());
            current = if locked { there.hold(target, None, retry)? } else { Some(there) };
            if let Some(current) = current.as_mut().filter(|_| locked) {
                pair = pair::find(target, current, retry)?;
                if let Some(pair) = pair.as_mut().filter(|_| session.settles) {
                    pair.settle(current);
                }
            }
        }
        let now = hooks.clock(STEADFAST_CLOCK_REALTIME).at(STEADFAST_STEP_CLOCK)?;
        let known = generation::count(target, &mut current, pair.as_mut(), request, now, retry)?;
        let fields = Fields { generation: known.next, saved_at_ns: now, schema: request.schema };
        let retry = retry.again();
        let (there, _basis, had_state) = (known.there, known.basis, known.replaces);
        Ok(Saving {
            current,
            pair,
            alternates,
            pair_of_new: 0,
            permissions_of_new: 0,
            _turn: taken,
            dir,
            _fillers: fillers,
            fields,
            there,
            _basis,
            had_state,
            unsynced_parent: session.unsynced_parent,
            retry,
            streamed: None,
            attribute: None,
            edit_left: false,
            unverified: None,
        })
    }

    /// The hooks of its directory.
    fn hooks(&self) -> &'h Hooks {
        self.dir.hooks()
    }

    /// The newer file of an alternating state, where it may not be on the disk.
    pub fn unsettled(&mut self) -> Option<&mut Existing<'h>> {
        let pair = self.pair.as_mut().filter(|pair| pair.slot.grouped)?;
        pair.newest_of(self.current.as_mut()?)
    }

    /// Syncs it.
    pub fn settle(&mut self) {
        if let (Some(pair), Some(current)) = (&mut self.pair, &mut self.current) {
            pair.settle(current);
        }
    }

    /// Keeps out savers that would let two files take turns, where there may be such.
    pub fn share(&mut self, name: &CStr) -> Result<(), Outcome> {
        if self.may_share() {
            pair::share(Entry::new(&self.dir, name), &mut self.current, &mut self.retry)?;
        }
        Ok(())
    }

    /// May others let two files take turns here, and is nothing done against it yet?
    pub fn may_share(&self) -> bool {
        let is_free = self.current.as_ref().is_some_and(|current| !current.is_held());
        is_free && can_sync_both(self.hooks()) && filesystem::may_be_well_known(self.hooks(), self.dir.raw())
    }

    /// The name in the directory.
    pub fn target<'n>(&self, name: &'n CStr) -> Entry<'h, 'n> {
        Entry::new(&self.dir, name)
    }

    /// The record to write.
    pub fn record<'a>(&self, request: &SaveRequest<'a>, unsynced: bool) -> Record<'a> {
        let used = request.data.len() as u64;
        let permissions = Some(self.permissions_of_new);
        let slot = self.alternates.then_some(Slot { used, pair: self.pair_of_new, grouped: false, permissions });
        Record { fields: self.fields, data: request.data, unsynced, slot }
    }

    /// Steps 4 to 6: the new file. Only its owner may open it before it has the permissions of the one that it replaces.
    pub fn write(&mut self, name: &CStr, request: &SaveRequest<'_>) -> Result<Written<'h>, Outcome> {
        let hooks = self.hooks();
        let mark = if request.skips_sync() && request.kind() == Kind::Record { UNSYNCED } else { 0 };
        let temp = Temp::create(self.target(name), 0o600 | mark, O_CLOEXEC).at(STEADFAST_STEP_CREATE_TEMP)?;
        let fd = temp.fd.raw();
        if self.alternates {
            // Those that it is to get. If it gets others, it is not written in place.
            self.permissions_of_new = match &self.current {
                Some(current) if !request.asked().always => {
                    ownership::fingerprint(hooks, &current.replaced()).at(STEADFAST_STEP_SET_MODE)?
                }
                Some(current) => ownership::fingerprint_without_acl(&current.stat, request.asked().bits()),
                None => ownership::fingerprint_without_acl(&temp.stat, request.asked().bits()),
            };
        }
        match (&mut self.streamed, request.kind()) {
            (Some(streamed), _) => {
                streamed.copy(hooks, fd)?;
                let content = streamed.content();
                self.describe_streamed(fd, content, request)?;
            }
            (None, Kind::Record) => self.record(request, request.skips_sync()).write(hooks, fd).at(STEADFAST_STEP_WRITE)?,
            (None, Kind::Plain) => {
                let sha256 = stream::write_plain(hooks, fd, request.data).at(STEADFAST_STEP_WRITE)?;
                self.describe(fd, sha256, request.data.len() as u64, request)?;
            }
        }
        let note = self.complete(&temp, request)?;
        Ok(Written { temp, note })
    }

    /// Step 6 of a new file that has its content, and what there is to say about it.
    pub fn complete(&self, temp: &Temp<'h>, request: &SaveRequest<'_>) -> Result<Detail, Outcome> {
        let mark = if request.skips_sync() && request.kind() == Kind::Record { UNSYNCED } else { 0 };
        let kept = match &self.current {
            // Before the mode, which may forbid it.
            Some(current) if request.has(STEADFAST_SAVE_KEEP_ATTRIBUTES) => {
                xattr::copy(self.hooks(), current.fd(), temp.fd.raw(), plain::NAME).at(STEADFAST_STEP_SET_MODE)?
            }
            _ => true,
        };
        let mode = self.give_permissions(temp, request, mark)?;
        Ok(match mode {
            _ if self.unverified.is_some() => Detail::NoAttribute,
            _ if !kept => Detail::AttributesLost,
            Mode::Set => Detail::None,
            Mode::Fixed(_) => Detail::FixedMode,
        })
    }

    /// Gives a writer's plain file `fd`, of this digest and length, what verifies it.
    pub fn describe_streamed(
        &mut self,
        fd: i32,
        content: Option<([u8; 32], u64)>,
        request: &SaveRequest<'_>,
    ) -> Result<(), Outcome> {
        match content {
            Some((sha256, len)) => self.describe(fd, sha256, len, request),
            None => Ok(()),
        }
    }

    /// Gives a plain file that has its content the attribute: it has to be there before the mode may forbid it.
    fn describe(&mut self, fd: i32, sha256: [u8; 32], len: u64, request: &SaveRequest<'_>) -> Result<(), Outcome> {
        const STEP: i32 = STEADFAST_STEP_WRITE;
        let hooks = self.hooks();
        let mtime_ns = hooks.fstat(fd).at(STEP)?.mtime_ns;
        let flags = if request.swaps() { plain::SWAPPED } else { 0 };
        let synced = Attribute { sha256, generation: self.fields.generation, len, flags, mtime_ns, schema: request.schema };
        let attribute = if request.skips_sync() { synced.unsynced() } else { synced };
        self.attribute = Some(attribute);
        match attribute.write(hooks, fd).at(STEP)? {
            Ok(()) => {}
            Err(e) if request.has(STEADFAST_SAVE_STRICT) => {
                return Err(Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::AttributeNeeded).caused_by(e, STEP));
            }
            Err(e) => self.unverified = Some(e),
        }
        Ok(())
    }

    /// Step 6.
    fn give_permissions(&self, temp: &Temp<'h>, request: &SaveRequest<'_>, mark: u32) -> Result<Mode, Outcome> {
        let replaced = self.current.as_ref().map(Existing::replaced);
        ownership::give(self.hooks(), temp.fd.raw(), &temp.stat, replaced.as_ref(), request.asked(), mark)
            .at(STEADFAST_STEP_SET_MODE)
    }

    /// Has the name another file by now than the one that was found?
    pub fn is_replaced(&self, name: &CStr) -> Result<bool, Outcome> {
        let now = self.target(name).stat_if_there().at(STEADFAST_STEP_KEEP_PREVIOUS)?;
        Ok(match (&self.current, now) {
            (Some(current), Some(now)) => !same(&current.stat, &now),
            (None, None) => false,
            _ => true,
        })
    }

    /// Opens what has the name now.
    pub fn look_again(&mut self, name: &CStr) -> Result<(), Outcome> {
        self.current = Existing::open(Entry::new(&self.dir, name), &mut self.retry, STEADFAST_STEP_KEEP_PREVIOUS)?;
        pair::begin_again_if_slot(self.current.as_ref())
    }

    /// The same under its flock: the state alternates by now.
    #[inline(never)]
    pub fn look_under_flock(&mut self, name: &CStr) -> Result<(), Outcome> {
        const STEP: i32 = STEADFAST_STEP_KEEP_PREVIOUS;
        let target = Entry::new(&self.dir, name);
        self.current = match Existing::open(target, &mut self.retry, STEP)? {
            Some(there) => there.hold(target, None, &mut self.retry)?,
            None => None,
        };
        if let Some(current) = &mut self.current {
            self.pair = pair::find(target, current, &mut self.retry)?;
        }
        self.settle();
        Ok(())
    }

    /// What a load of the new file gives as its generation: without an attribute, its tag.
    pub fn generation(&self) -> u64 {
        match (self.attribute, self.unverified) {
            (Some(attribute), Some(_)) => plain::tag(&attribute.sha256),
            _ => self.fields.generation,
        }
    }

    /// Marks the new file as one that could not be synced. As the current state it is then never kept in the place of a
    /// durable one. An error: what a writer's file holds is not what was written to it.
    pub fn mark_unsynced(&mut self, temp: &Temp<'_>, request: &SaveRequest<'_>) -> Result<(), Outcome> {
        let hooks = self.dir.hooks();
        if request.kind() == Kind::Plain {
            if let (Some(attribute), None) = (self.attribute, self.unverified) {
                let _ = attribute.unsynced().write(hooks, temp.fd.raw());
            }
            return Ok(());
        }
        // Both marks, as far as they can be made: some file systems have no sticky bit.
        if let Some(streamed) = &mut self.streamed {
            streamed.mark(hooks, temp.fd.raw(), &self.fields)?;
        } else if let Ok(fd) = temp.entry().open(O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0) {
            let _ = self.record(request, true).write_header(hooks, fd.raw());
        }
        if let Ok(stat) = hooks.fstat(temp.fd.raw()) {
            let _ = hooks.fchmod(temp.fd.raw(), stat.mode & 0o7777 | UNSYNCED);
        }
        Ok(())
    }

    /// Another process was first: with the generation that is there now.
    pub fn conflict(&mut self, name: &CStr, kind: Kind) -> Outcome {
        let there = Existing::open(Entry::new(&self.dir, name), &mut self.retry, STEADFAST_STEP_READ_CURRENT);
        let generation = match there {
            Ok(Some(mut there)) if kind == Kind::Plain => {
                there.verify(kind, STEADFAST_STEP_READ_CURRENT).map_or(None, |content| content.number())
            }
            Ok(Some(there)) => there.look(kind, STEADFAST_STEP_READ_CURRENT).map_or(None, |(generation, _)| generation),
            // The call begins again, and finds what is there.
            Err(e) if is_gone(&e) => return e,
            _ => None,
        };
        Outcome::because(STEADFAST_E_CONFLICT, Detail::SavedMeanwhile).with_generation(generation.unwrap_or(0))
    }
}

/// Can this state be one of two that take turns? Larger ones gain nothing.
fn alternates_here(dir: &Fd<'_>, current: Option<&Existing<'_>>, request: &SaveRequest<'_>) -> bool {
    const LARGE: usize = 4 << 20;
    request.alternates()
        && request.data.len() < LARGE
        && !current.is_some_and(Existing::is_mount_root)
        && can_sync_both(dir.hooks())
        && filesystem::is_well_known(dir.hooks(), dir.raw())
}

/// Has the platform what two files that take turns need?
fn can_sync_both(hooks: &Hooks) -> bool {
    !hooks.absent(STEADFAST_ABSENT_DIR_FSYNC | STEADFAST_ABSENT_FLOCK) && O_DSYNC != 0
}

/// The result of a save, where nothing but the attribute is missing.
pub fn verdict(outcome: Outcome, unverified: Option<Errno>) -> Outcome {
    match unverified {
        Some(e) if outcome.status == STEADFAST_OK => outcome.with_status(STEADFAST_UNVERIFIED).caused_by(e, STEADFAST_STEP_WRITE),
        _ => outcome,
    }
}
