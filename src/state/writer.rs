//! A save whose payload comes piece by piece.
//!
//! The pieces go to a temporary file, behind room for the header: as long as that is zeros, the file is no state. The commit
//! looks at what is there, hashes the payload by reading it back while the device writes it, and goes on as a save does. The
//! pieces of a plain file are hashed on the way.

use super::format::HEADER;
use super::options::*;
use super::resolve::{self, Session, Target};
use super::saving::{Saving, Written};
use super::sequence;
use super::streamed::{self, Handed, PIECE, Streamed};
use super::turn;
use crate::file::base::Start;
use crate::file::entry::{Entry, is_still};
use crate::file::ownership::UNSYNCED;
use crate::file::path::{Name, Path};
use crate::file::process::Process;
use crate::file::temp::Temp;
use crate::hooks::*;
use crate::status::*;

/// A save that waits for more of its payload. It belongs to the process that opened it.
pub struct Writer<'h> {
    temp: Temp<'h>,
    owner: Process,
    /// Where the state will be: the path was followed to its end when the writer was opened.
    dir: Fd<'h>,
    dir_stat: steadfast_stat,
    name: Name,
    start: Start<'h>,
    request: SaveRequest<'static>,
    unsynced_parent: Option<Errno>,
    /// The first error: the commit tells it.
    failed: Option<Outcome>,
    /// What was written so far; None when the caller got the descriptor.
    handed: Option<Handed>,
    /// What the commit reads with: it is not to fail for lack of memory.
    piece: Buffer,
}

impl<'h> Writer<'h> {
    /// Finds the directory, and creates the temporary file in it.
    pub fn open(session: &mut Session<'h>, path: &mut Path, request: SaveRequest<'static>) -> Result<Writer<'h>, Outcome> {
        let hooks = session.start.hooks();
        Saving::check_platform(hooks, &request)?;
        let owner = Process::this(hooks).at(STEADFAST_STEP_CHECK_OWNER)?;
        let piece = Buffer::new(PIECE).at(STEADFAST_STEP_ALLOCATE)?;
        let Target { dir: first, .. } = sequence::while_gone(session, |session| {
            let mut retry = session.retry.again();
            let target = resolve::open(session, path, &request, &mut retry);
            session.retry = retry.again();
            target
        })?;
        // What lives on is never number 0, 1 or 2.
        let _fillers = Fillers::of(&first);
        let (dir, _first) = if first.raw() > 2 {
            (first, None)
        } else {
            let anew = session.start.moved_to(&first).open_directory(c".", 0).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
            (anew, Some(first))
        };
        if request.exchanges() {
            turn::check(&dir)?;
        }
        let dir_stat = hooks.fstat(dir.raw()).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
        let mark = if request.skips_sync() && request.kind() == Kind::Record { UNSYNCED } else { 0 };
        let temp = Temp::create(Entry::new(&dir, path.name()), 0o600 | mark, O_CLOEXEC).at(STEADFAST_STEP_CREATE_TEMP)?;
        let room = [0; HEADER];
        let room = room.get(..streamed::room(request.kind())).unwrap_or_default();
        hooks.write_all(temp.fd.raw(), &[room]).at(STEADFAST_STEP_WRITE)?;
        let name = Name::of(&[path.name().to_bytes()]).at(STEADFAST_STEP_ARGUMENTS)?;
        let start = session.start.moved_to(&dir);
        let handed = Some(Handed::nothing());
        Ok(Writer {
            temp,
            owner,
            dir,
            dir_stat,
            name,
            start,
            request,
            unsynced_parent: session.unsynced_parent,
            failed: None,
            handed,
            piece,
        })
    }

    /// Appends to the payload. After an error every call has that error.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Outcome, Outcome> {
        self.check()?;
        let (hooks, fd) = (self.dir.hooks(), self.temp.fd.raw());
        hooks.write_all(fd, &[bytes]).at(STEADFAST_STEP_WRITE).map_err(|outcome| self.fail(outcome))?;
        if let Some(handed) = &mut self.handed {
            handed.add(bytes);
        }
        Ok(Outcome::new(STEADFAST_OK))
    }

    /// The descriptor, whose position is where the payload ends. What the caller does with it is not seen.
    pub fn descriptor(&mut self) -> Result<&Fd<'h>, Outcome> {
        self.check()?;
        self.handed = None;
        Ok(&self.temp.fd)
    }

    /// An error that the commit has to tell.
    pub fn fail(&mut self, outcome: Outcome) -> Outcome {
        *self.failed.get_or_insert(outcome)
    }

    /// STEADFAST_E_WRONG_PROCESS in a forked child.
    fn check_owner(&self) -> Result<(), Outcome> {
        let ours = self.owner.is_this(self.dir.hooks()).at(STEADFAST_STEP_CHECK_OWNER)?;
        let wrong = Outcome::because(STEADFAST_E_WRONG_PROCESS, Detail::ParentsWriter).with_pid(self.owner.pid);
        if ours { Ok(()) } else { Err(wrong) }
    }

    /// The first error so far. A descriptor that the program closed (closefrom) may be another file's by now.
    fn check(&mut self) -> Result<(), Outcome> {
        if let Err(outcome) = self.check_owner() {
            self.fail(outcome);
        }
        let (file, dir) = self.descriptors();
        if !(file && dir) {
            let gone = Outcome::because(Errno::of(EBADF).code(), Detail::DescriptorGone).with_step(STEADFAST_STEP_WRITE);
            self.fail(gone);
        }
        self.failed.map_or(Ok(()), Err)
    }

    /// Are the numbers of the file and of the directory still theirs?
    fn descriptors(&self) -> (bool, bool) {
        let hooks = self.dir.hooks();
        (is_still(hooks, self.temp.fd.raw(), &self.temp.stat), is_still(hooks, self.dir.raw(), &self.dir_stat))
    }

    /// Saves what was written. After an error as well, the temporary file is gone.
    pub fn commit(mut self) -> Result<Outcome, Outcome> {
        if let Err(outcome) = self.check() {
            self.abort();
            return Err(outcome);
        }
        // The temporary file goes before its directory.
        let Writer { dir, temp, name, start, request, unsynced_parent, handed, piece, .. } = self;
        let (hooks, fd) = (dir.hooks(), temp.fd.raw());
        let mut streamed = Streamed::new(hooks, fd, request.kind(), handed, piece)?;
        if !request.skips_sync() {
            // Only a beginning: an error that it misses, the sync will report.
            let _ = hooks.writeback(fd, STEADFAST_WRITEBACK_START);
        }
        if request.kind() == Kind::Plain {
            // Before any flock is taken: its digest covers nothing else.
            streamed.hash(hooks)?;
        }
        // The path has been followed, and its parents have been made. Nothing that comes piece by piece is written in one call.
        let kept = if request.keeps_previous() { STEADFAST_SAVE_KEEP_PREVIOUS } else { 0 };
        let done = STEADFAST_SAVE_FOLLOW_SYMLINK | STEADFAST_SAVE_CREATE_PARENTS | STEADFAST_SAVE_ALTERNATE;
        let flags = request.flags & !done | kept;
        let request = SaveRequest { flags, ..request };
        let mut session = Session::new(start, request.timeout_ms);
        session.unsynced_parent = unsynced_parent;
        session.is_streamed = true;
        let mut path = Path::empty();
        path.set(name.bytes()).at(STEADFAST_STEP_ARGUMENTS)?;
        let (mut saving, note) = sequence::while_gone(&mut session, |session| {
            let mut saving = Saving::begin(session, &mut path, &request)?;
            match request.kind() {
                Kind::Record => streamed.seal(hooks, &saving.fields, request.skips_sync())?,
                Kind::Plain => saving.describe_streamed(fd, streamed.content(), &request)?,
            }
            let note = saving.complete(&temp, &request)?;
            Ok((saving, note))
        })?;
        saving.streamed = Some(streamed);
        sequence::finish(&mut saving, Written { temp, note }, path.name(), &request)
    }

    /// Gives it up, and removes the temporary file. Without its descriptor the name may be another writer's: then it is left
    /// for the next save. In a forked child the file is the parent's, and so is its flock. Closes those of the two descriptors
    /// that are still its own.
    pub fn abort(self) {
        let (file, dir_is_ours) = self.descriptors();
        let removes = file && dir_is_ours && self.check_owner().is_ok();
        let Writer { dir, mut temp, .. } = self;
        if !removes {
            temp.published();
        }
        let fd = temp.into_fd();
        if !file {
            fd.into_raw();
        }
        if !dir_is_ours {
            dir.into_raw();
        }
    }
}
