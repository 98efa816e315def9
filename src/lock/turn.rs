//! Parent and children that share a flock change the lock file one at a time.

use super::held::Held;
use crate::file::deadline::Retry;
use crate::file::entry::Entry;
use crate::file::names::{self, Shape};
use crate::file::path::Name;
use crate::hooks::*;
use crate::status::*;

/// How long a release and an adoption of one lock wait for each other: 10 s.
const TIMEOUT_MS: i64 = 10_000;

/// A descriptor of the lock file, and the right to change what it says or to remove it.
pub struct Turn<'h> {
    pub fd: Fd<'h>,
    _file: Option<TurnFile<'h>>,
}

/// Opens the lock file and takes an exclusive lock on the descriptor. Somebody who may only read the file can lock it too,
/// shared, for as long as he likes. Beside him parent and children lock it shared as well, which keeps everybody from an
/// exclusive lock, and a file that he cannot open decides between them.
pub fn take_turns<'h>(held: &Held, entry: Entry<'h, '_>) -> Result<Turn<'h>, Outcome> {
    let hooks = entry.hooks();
    let fd = match held.open(entry, O_RDWR) {
        // A lock file that its owner may not write: an exclusive lock needs that.
        Err(e) if e.os_error == EACCES => held.open(entry, O_RDONLY)?,
        opened => opened?,
    };
    let lock = |operation| hooks.ofdlock(fd.raw(), operation, 0, 1);
    let mut shared = false;
    let mut file = None;
    let mut retry = Retry::new(TIMEOUT_MS);
    loop {
        match lock(STEADFAST_OFDLOCK_EXCLUSIVE) {
            Ok(_) => break,
            Err(e) if e.is_one_of(&[EAGAIN, EACCES]) => {}
            // There are no such locks here: the moment in which two processes of a family meet is short.
            Err(e) if e.unsupported() || e.is_one_of(&[ENOLCK, EBADF]) => break,
            Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_LOCK_FILE)),
        }
        if shared {
            file = match TurnFile::open(entry) {
                // Another user of the family has it: a child that has given its privileges up, or its parent.
                Err(e) if e.is_one_of(&[EACCES, EPERM]) => None,
                // FUSE: it was removed between the kernel's look and the server's open.
                Err(e) if e.is_one_of(&[ENOENT, ESTALE]) => None,
                opened => opened.at(STEADFAST_STEP_LOCK_FILE)?,
            };
            if file.is_some() {
                break;
            }
        } else if lock(STEADFAST_OFDLOCK_SET).is_ok() {
            // Who had it exclusively may have gone in between.
            shared = true;
            continue;
        }
        if !retry.sleep(hooks).at(STEADFAST_STEP_WAIT)? {
            return Err(Outcome::because(STEADFAST_E_BUSY, Detail::Adopting).with_step(STEADFAST_STEP_LOCK_FILE));
        }
    }
    held.check_name(entry)?;
    Ok(Turn { fd, _file: file })
}

/// A name beside the lock, held by a flock, and removed when this is dropped. Who is killed leaves an orphan, which the next
/// turn takes over.
struct TurnFile<'h> {
    fd: Fd<'h>,
    dir: i32,
    name: Option<Name>,
}

impl<'h> TurnFile<'h> {
    /// None: another process has it.
    fn open(lock: Entry<'h, '_>) -> Result<Option<TurnFile<'h>>, Errno> {
        let open = |shape| -> Result<_, Errno> {
            let name = names::turn(lock.name(), shape)?;
            let fd = lock.sibling(name.c_str()).open(O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0o600)?;
            Ok((fd, name))
        };
        let (fd, name) = match open(Shape::Named) {
            Err(e) if e.is(ENAMETOOLONG) => open(Shape::Short)?,
            opened => opened?,
        };
        let hooks = fd.hooks();
        match hooks.flock(fd.raw(), LOCK_EX | LOCK_NB) {
            Err(e) if e.is(EAGAIN) => return Ok(None),
            other => other?,
        }
        let mut file = TurnFile { fd, dir: lock.dir(), name: Some(name) };
        let stat = hooks.fstat(file.fd.raw())?;
        if !file.entry().map_or(Ok(false), |entry| entry.is(&stat))? {
            // The name is another one's by now.
            file.name = None;
            return Ok(None);
        }
        Ok(Some(file))
    }
}

impl TurnFile<'_> {
    fn entry(&self) -> Option<Entry<'_, '_>> {
        Some(Entry::of_raw(self.fd.hooks(), self.dir, self.name.as_ref()?.c_str()))
    }
}

impl Drop for TurnFile<'_> {
    fn drop(&mut self) {
        // An error leaves an orphan.
        let _ = self.entry().map(|entry| entry.unlink());
    }
}
