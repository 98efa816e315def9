//! The FUSE server: two files, `disk` and `ctl`. One thread reads and answers, so that the order of the log is the
//! order in which the device saw things; a marker written to `ctl` takes its place in the same order.

use super::pages::Pages;
use super::{Piece, SECTOR};
use fuser::*;
use std::ffi::OsStr;
use std::time::{Duration, UNIX_EPOCH};

const ROOT: u64 = 1;
const DISK: u64 = 2;
const CTL: u64 = 3;
const FOREVER: Duration = Duration::from_secs(1 << 30);
const FOPEN_DIRECT_IO: u32 = 1;

/// Commands of the `ctl` file: the first byte of what is written to it.
pub mod command {
    /// A path follows: its content is the disk.
    pub const LOAD: u8 = b'L';
    /// What is on the disk is what RESET goes back to.
    pub const SNAPSHOT: u8 = b'S';
    pub const RESET: u8 = b'R';
    /// Starts and ends the log.
    pub const BEGIN: u8 = b'B';
    pub const END: u8 = b'E';
    pub const MARK: u8 = b'M';
    /// kind (w, f), number u32, sticky u8, errno i32.
    pub const FAULT: u8 = b'F';
    /// Goes back to where the log began.
    pub const REWIND: u8 = b'W';
    /// u32: makes the log up to that entry durable; only forward.
    pub const DURABLE: u8 = b'D';
    /// Pieces: what else reached the disk. Answers the hash of the whole.
    pub const STATE: u8 = b'O';
    /// Answers the log.
    pub const LOG: u8 = b'G';
    /// Milliseconds to wait before a write is answered, u8: widens the kernel's races.
    pub const DELAY: u8 = b'Y';
}

enum Logged {
    Write(u64, Vec<u8>),
    Flush,
    Mark(Vec<u8>),
}

#[derive(Default)]
struct Fault {
    kind: u8,
    number: u32,
    sticky: bool,
    errno: i32,
    writes: u32,
    flushes: u32,
}

#[derive(Default)]
pub struct Server {
    now: Pages,
    snapshot: Pages,
    start: Pages,
    durable: Pages,
    durable_to: usize,
    log: Vec<Logged>,
    recording: bool,
    fault: Fault,
    delay: u64,
    answer: Vec<u8>,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl Server {
    fn obey(&mut self, text: &[u8]) -> Result<(), i32> {
        let (&what, rest) = text.split_first().ok_or(libc::EINVAL)?;
        match what {
            command::LOAD => {
                let path = std::path::Path::new(std::str::from_utf8(rest).map_err(|_| libc::EINVAL)?);
                let bytes = std::fs::read(path).map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))?;
                *self = Server { now: Pages::from_bytes(&bytes), ..Server::default() };
                self.snapshot = self.now.clone();
            }
            command::SNAPSHOT => self.snapshot = self.now.clone(),
            command::RESET => {
                self.now = self.snapshot.clone();
                (self.log, self.recording, self.fault) = (vec![], false, Fault::default());
            }
            command::BEGIN => {
                self.start = self.now.clone();
                (self.log, self.recording) = (vec![], true);
                (self.fault.writes, self.fault.flushes) = (0, 0);
            }
            command::END => (self.recording, self.fault) = (false, Fault::default()),
            command::MARK if self.recording => self.log.push(Logged::Mark(rest.to_vec())),
            command::MARK => {}
            command::FAULT => {
                self.fault = Fault {
                    kind: rest[0],
                    number: u32_at(rest, 1),
                    sticky: rest[5] != 0,
                    errno: u32_at(rest, 6) as i32,
                    ..Fault::default()
                };
            }
            command::REWIND => (self.durable, self.durable_to) = (self.start.clone(), 0),
            command::DURABLE => {
                let to = u32_at(rest, 0) as usize;
                for entry in &self.log[self.durable_to.min(to)..to] {
                    if let Logged::Write(offset, data) = entry {
                        self.durable.write(*offset, data);
                    }
                }
                self.durable_to = to.max(self.durable_to);
            }
            command::STATE => {
                self.now = self.durable.clone();
                for piece in rest.chunks_exact(12) {
                    let piece = Piece { entry: u32_at(piece, 0), first: u32_at(piece, 4), sectors: u32_at(piece, 8) };
                    let Some(Logged::Write(offset, data)) = self.log.get(piece.entry as usize) else { return Err(libc::EINVAL) };
                    let first = (u64::from(piece.first) * SECTOR).min(data.len() as u64);
                    let end = (first + u64::from(piece.sectors) * SECTOR).min(data.len() as u64);
                    self.now.write(offset + first, &data[first as usize..end as usize]);
                }
                self.answer = self.now.hash().to_le_bytes().to_vec();
            }
            command::LOG => self.answer = self.describe(),
            command::DELAY => self.delay = u64::from(rest[0]),
            _ => return Err(libc::EINVAL),
        }
        Ok(())
    }

    fn describe(&self) -> Vec<u8> {
        let mut out = vec![];
        for entry in &self.log {
            match entry {
                Logged::Write(offset, data) => {
                    out.push(b'w');
                    out.extend(offset.to_le_bytes());
                    out.extend((data.len() as u32).to_le_bytes());
                }
                Logged::Flush => out.push(b'f'),
                Logged::Mark(text) => {
                    out.push(b'm');
                    out.extend((text.len() as u32).to_le_bytes());
                    out.extend(text);
                }
            }
        }
        out
    }

    /// Does this write or flush fail?
    fn fails(&mut self, kind: u8) -> Option<i32> {
        if !self.recording {
            return None;
        }
        let count = if kind == b'w' { &mut self.fault.writes } else { &mut self.fault.flushes };
        *count += 1;
        let number = *count;
        let fault = &self.fault;
        let hit = fault.kind == kind && (number == fault.number || fault.sticky && number > fault.number)
            // A disk that is dead takes nothing any more, whatever it failed at first.
            || fault.sticky && fault.kind == b'w' && kind == b'f' && fault.writes >= fault.number;
        hit.then_some(fault.errno)
    }

    fn store(&mut self, offset: u64, data: &[u8]) -> Result<(), i32> {
        if let Some(errno) = self.fails(b'w') {
            return Err(errno);
        }
        if self.delay > 0 && self.recording {
            std::thread::sleep(Duration::from_millis(self.delay));
        }
        self.now.write(offset, data);
        if self.recording {
            self.log.push(Logged::Write(offset, data.to_vec()));
        }
        Ok(())
    }

    fn attr(&self, ino: u64) -> Option<FileAttr> {
        let (kind, size) = match ino {
            ROOT => (FileType::Directory, 0),
            DISK => (FileType::RegularFile, self.now.len()),
            CTL => (FileType::RegularFile, 1 << 30),
            _ => return None,
        };
        let time = UNIX_EPOCH;
        Some(FileAttr {
            ino,
            size,
            blocks: size / 512,
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm: if ino == ROOT { 0o755 } else { 0o600 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

impl Filesystem for Server {
    fn init(&mut self, _: &Request<'_>, config: &mut KernelConfig) -> Result<(), i32> {
        let _ = config.set_max_write(1 << 20);
        // FUSE_ASYNC_DIO, FUSE_MAX_PAGES.
        for capability in [1 << 15, 1 << 22] {
            let _ = config.add_capabilities(capability);
        }
        Ok(())
    }

    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let ino = match name.to_str() {
            Some("disk") => DISK,
            Some("ctl") => CTL,
            _ => 0,
        };
        match self.attr(ino).filter(|_| parent == ROOT) {
            // The size changes with LOAD.
            Some(attr) => reply.entry(&Duration::ZERO, &attr, 0),
            None => reply.error(libc::ENOENT),
        }
    }

    fn getattr(&mut self, _: &Request<'_>, ino: u64, _: Option<u64>, reply: ReplyAttr) {
        match self.attr(ino) {
            Some(attr) => reply.attr(if ino == ROOT { &FOREVER } else { &Duration::ZERO }, &attr),
            None => reply.error(libc::ENOENT),
        }
    }

    fn open(&mut self, _: &Request<'_>, _: u64, _: i32, reply: ReplyOpen) {
        reply.opened(0, FOPEN_DIRECT_IO);
    }

    fn read(&mut self, _: &Request<'_>, ino: u64, _: u64, offset: i64, size: u32, _: i32, _: Option<u64>, reply: ReplyData) {
        if ino == CTL {
            let from = (offset as usize).min(self.answer.len());
            reply.data(&self.answer[from..(from + size as usize).min(self.answer.len())]);
        } else {
            reply.data(&self.now.read(offset as u64, size as usize));
        }
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _: u64,
        offset: i64,
        data: &[u8],
        _: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyWrite,
    ) {
        let done = if ino == CTL { self.obey(data) } else { self.store(offset as u64, data) };
        match done {
            Ok(()) => reply.written(data.len() as u32),
            Err(errno) => reply.error(errno),
        }
    }

    // Always an answer, never ENOSYS: the kernel would remember that and lose every flush from then on.
    fn fsync(&mut self, _: &Request<'_>, ino: u64, _: u64, _: bool, reply: ReplyEmpty) {
        if ino != DISK {
            return reply.ok();
        }
        match self.fails(b'f') {
            Some(errno) => reply.error(errno),
            None => {
                if self.recording {
                    self.log.push(Logged::Flush);
                }
                reply.ok();
            }
        }
    }

    // A discarded or zeroed range is a write of zeros.
    fn fallocate(&mut self, _: &Request<'_>, ino: u64, _: u64, offset: i64, length: i64, _: i32, reply: ReplyEmpty) {
        let zeros = vec![0; length.max(0) as usize];
        match if ino == DISK { self.store(offset as u64, &zeros) } else { Err(libc::EINVAL) } {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }
}
