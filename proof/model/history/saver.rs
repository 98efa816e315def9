//! A saver of this test's own, over any hook table: it keeps the contract, plainly, and so shows that the judge lets a right
//! one pass. With a [`Fault`] it does what the library once did, or what others do: the judge must catch each.

#[path = "alternating.rs"]
mod alternating;

use super::fault::Fault;
use super::promise::Told;
use super::record;
use super::words::*;
use std::ffi::{CStr, CString, c_void};
use steadfast::hooks::{steadfast_hooks, steadfast_stat};

pub struct Request<'a> {
    pub directory: &'a CStr,
    pub name: &'a str,
    pub payload: &'a [u8],
    pub flags: u32,
    pub expected: u64,
}

type Done<T> = Result<T, i32>;

/// A file that is there, with what it holds.
struct There {
    fd: i32,
    stat: steadfast_stat,
    record: Option<record::Record>,
    /// What its header says, whether it is whole or not.
    says: Option<record::Record>,
}

impl There {
    fn durable(&self) -> bool {
        self.record.as_ref().is_some_and(|record| !record.unsynced) && self.stat.mode & MARK == 0
    }

    fn generation(&self) -> Option<u64> {
        self.record.as_ref().map(|record| record.generation)
    }
}

pub struct Saver<'a> {
    table: &'a steadfast_hooks,
    fault: Fault,
    dir: i32,
    open: Vec<i32>,
}

fn c(name: &str) -> CString {
    CString::new(name).unwrap()
}

fn done(answer: i32) -> Done<i32> {
    if answer < 0 { Err(answer) } else { Ok(answer) }
}

/// Saves. `table` has every hook.
pub fn save(table: &steadfast_hooks, fault: Fault, request: &Request) -> Told {
    let mut saver = Saver { table, fault, dir: -1, open: vec![] };
    let told = saver.save(request).unwrap_or_else(|status| Told { status, on_disk: OLD, generation: 0 });
    for fd in saver.open {
        unsafe { table.close.unwrap()(table.user, fd) };
    }
    told
}

impl Saver<'_> {
    fn user(&self) -> *mut c_void {
        self.table.user
    }

    fn openat(&mut self, dir: i32, name: &CStr, flags: i32) -> Done<i32> {
        let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW;
        let fd = done(unsafe { self.table.openat.unwrap()(self.user(), dir, name.as_ptr(), flags, 0o600) })?;
        self.open.push(fd);
        Ok(fd)
    }

    fn stat(&self, fd: i32) -> Done<steadfast_stat> {
        let mut stat = steadfast_stat::default();
        done(unsafe { self.table.fstat.unwrap()(self.user(), fd, &mut stat) })?;
        Ok(stat)
    }

    /// Does the name mean this file?
    fn is_named(&self, name: &str, stat: &steadfast_stat) -> Done<bool> {
        let mut named = steadfast_stat::default();
        match unsafe { self.table.fstatat.unwrap()(self.user(), self.dir, c(name).as_ptr(), &mut named) } {
            0.. => Ok((named.dev, named.ino) == (stat.dev, stat.ino)),
            error if error == -libc::ENOENT => Ok(false),
            error => Err(error),
        }
    }

    fn rename(&self, from: &str, to: &str, flags: u32) -> Done<i32> {
        let (from, to) = (c(from), c(to));
        done(unsafe { self.table.renameat.unwrap()(self.user(), self.dir, from.as_ptr(), self.dir, to.as_ptr(), flags) })
    }

    fn link(&self, from: &str, to: &str) -> Done<i32> {
        let (from, to) = (c(from), c(to));
        done(unsafe { self.table.linkat.unwrap()(self.user(), self.dir, from.as_ptr(), self.dir, to.as_ptr(), 0) })
    }

    fn unlink(&self, name: &str) -> Done<i32> {
        done(unsafe { self.table.unlinkat.unwrap()(self.user(), self.dir, c(name).as_ptr(), 0) })
    }

    /// An error leaves it to the next save.
    fn remove(&self, name: &str) {
        let _ = self.unlink(name);
    }

    fn flock(&self, fd: i32) -> Done<i32> {
        done(unsafe { self.table.flock.unwrap()(self.user(), fd, libc::LOCK_EX | libc::LOCK_NB) })
    }

    fn sync(&self, fd: i32) -> Done<i32> {
        done(unsafe { self.table.fsync.unwrap()(self.user(), fd) })
    }

    fn write(&self, fd: i32, bytes: &[u8]) -> Done<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = unsafe { self.table.write.unwrap()(self.user(), fd, rest.as_ptr().cast(), rest.len()) };
            rest = rest.get(usize::try_from(written).map_err(|_| written as i32)?..).unwrap_or_default();
        }
        Ok(())
    }

    /// What is under a name, read whole.
    fn look(&mut self, name: &str) -> Done<Option<There>> {
        let fd = match self.openat(self.dir, &c(name), libc::O_RDONLY | libc::O_NONBLOCK) {
            Err(error) if error == -libc::ENOENT || self.fault == Fault::ErrorIsAbsence => return Ok(None),
            other => other?,
        };
        self.read(fd).map(Some)
    }

    fn read(&self, fd: i32) -> Done<There> {
        let stat = self.stat(fd)?;
        let mut bytes = vec![0u8; stat.size as usize + 1];
        let got = unsafe { self.table.pread.unwrap()(self.user(), fd, bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        bytes.truncate(usize::try_from(got).map_err(|_| got as i32)?);
        Ok(There { fd, stat, record: record::read(&bytes), says: record::says(&bytes) })
    }

    fn now(&self) -> Done<i64> {
        let mut ns = 0;
        done(unsafe { self.table.clock.unwrap()(self.user(), 0, &mut ns) })?;
        Ok(ns)
    }

    fn save(&mut self, request: &Request) -> Done<Told> {
        let has = |flag: u32| request.flags & flag != 0;
        let previous_name = format!("{}.prev", request.name);
        self.dir = self.openat(libc::AT_FDCWD, request.directory, libc::O_RDONLY | libc::O_DIRECTORY)?;
        if has(ALTERNATE) {
            return self.alternate(request, &previous_name);
        }
        let current = self.look(request.name)?;
        if let (Some(there), true) = (&current, has(IF_GENERATION) && self.fault != Fault::SwapWithoutLock) {
            self.flock(there.fd).map_err(|error| if error == -libc::EAGAIN { E_BUSY } else { error })?;
            if !self.is_named(request.name, &there.stat)? {
                return Err(E_CONFLICT);
            }
        }
        let whole = current.as_ref().and_then(There::generation);
        let previous = if whole.is_none() || has(KEEP_PREVIOUS | IF_GENERATION) { self.look(&previous_name)? } else { None };
        let time = self.now()?;
        let generation = self.generation(&current, &previous, time);
        if has(IF_GENERATION) {
            let there = whole.or(previous.as_ref().and_then(There::generation));
            let none = current.is_none() && previous.is_none();
            if none != (request.expected == 0) || !none && there != Some(request.expected) {
                return Err(E_CONFLICT);
            }
        }
        if has(RECYCLE)
            && self.fault == Fault::Recycle
            && let Some(told) = self.recycle(request, &previous_name, &current, generation, time)?
        {
            return Ok(told);
        }
        let mark = has(NO_SYNC) && self.fault != Fault::UnmarkedNoSync;
        let bytes = record::format(generation, time, mark, request.payload);
        let (temp, mut fd) = self.temporary(request.name)?;
        let finish = self.finish(request, &previous_name, (&current, &previous), (&temp, &mut fd), (&bytes, mark));
        let (status, on_disk) = finish.inspect_err(|_| self.remove(&temp))?;
        Ok(Told { status, on_disk, generation })
    }

    fn generation(&self, current: &Option<There>, previous: &Option<There>, time: i64) -> u64 {
        let of = |there: &Option<There>| there.as_ref().and_then(There::generation);
        match (of(current), of(previous)) {
            (Some(current), previous) => 1 + current.max(previous.unwrap_or(0)),
            (None, None) if current.is_none() && previous.is_none() || self.fault == Fault::GenerationAgain => 1,
            _ if self.fault == Fault::GenerationAgain => 1,
            (None, previous) => (time as u64 / 1000).max(previous.map_or(1, |generation| generation + 1)),
        }
    }

    /// A fresh file under a temporary name, flocked.
    fn temporary(&mut self, name: &str) -> Done<(String, i32)> {
        for number in 0..10 {
            let temp = format!(".{name}.{number}.tmp");
            let create = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
            let mut made = self.openat(self.dir, &c(&temp), create);
            if made == Err(-libc::EEXIST) {
                // An orphan: nobody has its flock, and it still has the name.
                let Ok(orphan) = self.openat(self.dir, &c(&temp), libc::O_RDONLY) else { continue };
                let stat = self.stat(orphan)?;
                if self.flock(orphan).is_err() || !self.is_named(&temp, &stat)? {
                    continue;
                }
                let rotating = format!(".{name}.{number}.prev.tmp");
                match self.unlink(&rotating) {
                    Err(error) if error != -libc::ENOENT => return Err(error),
                    _ => self.unlink(&temp)?,
                };
                made = self.openat(self.dir, &c(&temp), create);
            }
            let fd = made?;
            // Who saw it before it had its flock may have taken it for an orphan.
            if self.flock(fd) == Err(-libc::EAGAIN) {
                continue;
            }
            let stat = self.stat(fd);
            let ours = stat.and_then(|stat| self.is_named(&temp, &stat)).inspect_err(|_| self.remove(&temp))?;
            if ours {
                return Ok((temp, fd));
            }
        }
        Err(-libc::EEXIST)
    }

    fn write_and_sync(&self, fd: i32, bytes: &[u8], sync: bool) -> Done<i32> {
        self.write(fd, bytes)?;
        if sync { self.sync(fd) } else { Ok(0) }
    }

    /// Steps 5 to 10.
    fn finish(
        &mut self,
        request: &Request,
        previous_name: &str,
        (current, previous): (&Option<There>, &Option<There>),
        (temp, fd): (&str, &mut i32),
        (bytes, mark): (&[u8], bool),
    ) -> Done<(i32, i32)> {
        let has = |flag: u32| request.flags & flag != 0;
        self.write(*fd, bytes)?;
        let mut synced = if has(NO_SYNC) { Ok(0) } else { self.sync(*fd) };
        if synced.is_err() && self.fault == Fault::RetrySync {
            synced = self.sync(*fd);
        }
        if synced.is_err() {
            // Another inode, once.
            self.unlink(temp)?;
            *fd = self.openat(self.dir, &c(temp), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)?;
            self.flock(*fd)?;
            self.write(*fd, bytes)?;
            synced = self.sync(*fd);
            if synced.is_err() && has(STRICT) {
                return Err(E_NOT_SAVED_DURABLY);
            }
        }
        let unsynced = has(NO_SYNC) || synced.is_err();
        if mark || synced.is_err() {
            let mode = self.stat(*fd)?.mode & 0o777 | MARK;
            done(unsafe { self.table.fchmod.unwrap()(self.user(), *fd, mode) })?;
        }
        // Looked at in any case where it is to be kept.
        let fresh;
        let previous = match previous {
            None if synced.is_err() => {
                fresh = self.look(previous_name)?;
                &fresh
            }
            other => other,
        };
        let rotated = match current {
            Some(there) if (has(KEEP_PREVIOUS) || synced.is_err()) && there.durable() => {
                self.keep(request.name, previous_name, previous, There::durable)?
            }
            // Whose it is is not known: it stays where a person finds it.
            Some(there) if has(KEEP_PREVIOUS) && there.record.is_none() && previous.is_none() => {
                self.keep(request.name, previous_name, &None, |there| there.record.is_none())?
            }
            _ => None,
        };
        let swap_new = has(IF_GENERATION) && current.is_none();
        if let Err(error) = self.rename(temp, request.name, if swap_new { libc::RENAME_NOREPLACE } else { 0 }) {
            if let Some(rotated) = rotated.filter(|_| self.fault != Fault::FailureKeepsPrevious) {
                self.put_back(previous_name, &rotated, previous.is_some());
            }
            return Err(if error == -libc::EEXIST { E_CONFLICT } else { error });
        }
        if let Some(rotated) = rotated {
            self.remove(&rotated);
        }
        let kept = [current, previous].into_iter().flatten().any(There::durable);
        let says_either = self.fault == Fault::NoSyncSaysEither;
        match (unsynced, kept && (has(KEEP_PREVIOUS) || synced.is_err()) || says_either) {
            (true, true) => return Ok((NOT_DURABLE, EITHER)),
            (true, false) => return Ok((NOT_DURABLE, UNKNOWN)),
            _ => {}
        }
        if self.fault == Fault::NoDirectorySync {
            return Ok((0, NEW));
        }
        match self.sync(self.dir) {
            Ok(_) => Ok((0, NEW)),
            Err(_) if has(STRICT) => Ok((E_SAVED_NOT_DURABLE, EITHER)),
            Err(_) => Ok((NOT_DURABLE, EITHER)),
        }
    }

    /// The state becomes PATH.prev, whose old content stays under the rotating name until the new state has its own. None: it
    /// was replaced meanwhile by one that is not to be kept.
    fn keep(
        &mut self,
        name: &str,
        previous_name: &str,
        previous: &Option<There>,
        which: fn(&There) -> bool,
    ) -> Done<Option<String>> {
        if self.fault == Fault::PreviousByRename {
            return self.rename(name, previous_name, 0).map(|_| None);
        }
        for _ in 0..3 {
            let Some(current) = self.look(name)?.filter(which) else { return Ok(None) };
            // What lies under the rotating name is this saver's to remove, whichever of the two it is.
            let both = [Some(&current), previous.as_ref()].into_iter().flatten();
            let ours: Vec<u64> = both.filter(|file| self.flock(file.fd).is_ok()).map(|file| file.stat.ino).collect();
            let Some(rotating) = self.rotating(name, &ours)? else { return Ok(None) };
            if self.is_named(&rotating, &current.stat)? {
                let mut renamed = self.rename(&rotating, previous_name, libc::RENAME_EXCHANGE);
                if renamed == Err(-libc::ENOENT) {
                    renamed = self.rename(&rotating, previous_name, 0);
                }
                return renamed.inspect_err(|_| self.remove(&rotating)).map(|_| Some(rotating));
            }
            self.unlink(&rotating)?;
        }
        Err(-libc::EAGAIN)
    }

    /// A second name for the state. One that is there already is another saver's, who has its flock, or was left by a killed
    /// one. `ours`: inodes of which this saver has it.
    fn rotating(&mut self, name: &str, ours: &[u64]) -> Done<Option<String>> {
        for number in 0..10 {
            let rotating = format!(".{name}.{number}.prev.tmp");
            let linked = match self.link(name, &rotating) {
                Err(error) if error == -libc::EEXIST => {
                    let there = self.openat(self.dir, &c(&rotating), libc::O_RDONLY | libc::O_NONBLOCK);
                    if let Ok(fd) = there
                        && !ours.contains(&self.stat(fd)?.ino)
                        && self.flock(fd).is_err()
                    {
                        continue;
                    }
                    self.remove(&rotating);
                    self.link(name, &rotating)
                }
                other => other,
            };
            return match linked {
                Ok(_) => Ok(Some(rotating)),
                Err(error) if error == -libc::ENOENT => Ok(None),
                Err(error) => Err(error),
            };
        }
        Err(-libc::EEXIST)
    }

    fn put_back(&self, previous: &str, rotating: &str, there: bool) {
        if there {
            let _ = self.rename(rotating, previous, libc::RENAME_EXCHANGE);
            self.remove(rotating);
        } else {
            self.remove(previous);
        }
    }

    /// As the library did it until November 2026.
    fn recycle(
        &mut self,
        request: &Request,
        previous: &str,
        current: &Option<There>,
        generation: u64,
        time: i64,
    ) -> Done<Option<Told>> {
        let Some(there) = current.as_ref().filter(|there| there.durable()) else { return Ok(None) };
        let Ok(fd) = self.openat(self.dir, &c(previous), libc::O_RDWR) else { return Ok(None) };
        let spare = self.stat(fd)?;
        if (spare.dev, spare.ino) == (there.stat.dev, there.stat.ino) || spare.nlink != 1 || self.flock(fd).is_err() {
            return Ok(None);
        }
        let bytes = record::format(generation, time, false, request.payload);
        if self.write_and_sync(fd, &bytes, false).is_err() {
            return Ok(None);
        }
        if spare.size > bytes.len() as u64 {
            done(unsafe { self.table.ftruncate.unwrap()(self.user(), fd, bytes.len() as u64) })?;
        }
        if done(unsafe { self.table.fdatasync.unwrap()(self.user(), fd) }).is_err() {
            return Ok(None);
        }
        self.rename(previous, request.name, libc::RENAME_EXCHANGE)?;
        let (status, on_disk) = if self.sync(self.dir).is_ok() { (0, NEW) } else { (NOT_DURABLE, EITHER) };
        Ok(Some(Told { status, on_disk, generation }))
    }
}
