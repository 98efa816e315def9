//! A machine in memory that fills the hook table: one directory, one process that calls, some others that live
//! or are dead. No disk and no scheduler: a hundred thousand calls of the library in a second. Any one call can be
//! made to fail, or be the process's last.

#![allow(dead_code)] // Each of those who use it needs a part.

pub mod hooks;
mod marks;
pub mod processes;
mod sync;

use std::collections::BTreeMap;
use steadfast::ffi::context::{steadfast_context, steadfast_context_free, steadfast_context_new};
use steadfast::hooks::steadfast_hooks;

/// The directory, and the number of its inode.
pub const DIRECTORY: &str = "/d";
/// The clock at the start, in nanoseconds since the Unix epoch, and the seconds since the boot.
pub const NOW: i64 = 1_700_000_000_000_000_000;
pub const UPTIME: i64 = 5_000;
/// tmpfs; NFS, which several machines may see.
pub const TMPFS: i64 = 0x0102_1994;
pub const NFS: i64 = 0x6969;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    File,
    Link,
    Directory,
    Fifo,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Inode {
    pub kind: Kind,
    pub bytes: Vec<u8>,
    pub mode: u32,
    pub mtime: i64,
    pub nlink: u32,
    pub xattr: Option<Vec<u8>>,
    /// By open file description: exclusive?
    flocks: Vec<(u64, bool)>,
    /// Somebody else's flock.
    pub locked_elsewhere: bool,
}

#[derive(Clone, PartialEq, Debug)]
enum Handle {
    Directory,
    /// With the number of its open file description: no two descriptors share one.
    File {
        inode: usize,
        at: usize,
        description: u64,
    },
    Text(String),
    Pidfd(i32),
    Other,
}

/// What another process is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    Alive,
    /// Alive, and kill(2) may not touch it.
    Protected,
    Zombie,
    /// The number is that of a thread.
    Thread,
}

#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub pid: i32,
    pub life: Life,
    /// Clock ticks since the boot.
    pub start: u64,
    /// Of its pidfd.
    pub inode: u64,
}

/// Call number `nth` (1 is the first) fails with `error`; `for_ever`: also all after it.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub nth: u64,
    pub error: i32,
    pub for_ever: bool,
}

/// A kernel that does not do its part: what is checked on it must be found wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    /// The last byte of a write is lost.
    Write,
    /// A bit of what is read is another.
    Read,
    /// A rename, an unlink, a close does nothing.
    Rename,
    Unlink,
    Close,
    /// flock always succeeds.
    Flock,
    /// Everyone seems to be dead.
    Dead,
    /// A mapping keeps no flock.
    Map,
    /// A mapping never ends.
    Unmap,
}

thread_local! {
    /// Of every machine that is made in this thread.
    pub static LIE: std::cell::Cell<Option<Lie>> = const { std::cell::Cell::new(None) };
}

pub struct Machine {
    lie: Option<Lie>,
    pub inodes: Vec<Inode>,
    pub names: BTreeMap<Vec<u8>, usize>,
    fds: Vec<Option<Handle>>,
    /// The mappings: by address the inode and the open file description, which each keeps.
    maps: BTreeMap<u64, (usize, u64)>,
    descriptions: u64,
    pub processes: Vec<Process>,
    /// Which of them calls.
    pub own: i32,
    pub now: i64,
    pub magic: i64,
    /// The most that one read or write moves; 0: all.
    pub short: usize,
    pub fault: Option<Fault>,
    /// Calls so far, and which of them the fault has met: bits 1 << STEADFAST_CALL_*.
    pub calls: u64,
    pub struck: u64,
    pub context: *mut steadfast_context,
}

impl Machine {
    /// Boxed: the hooks keep its address.
    pub fn new(absent: u32) -> Box<Machine> {
        let mut machine = Box::new(Machine {
            lie: LIE.get(),
            inodes: vec![],
            names: BTreeMap::new(),
            fds: vec![],
            maps: BTreeMap::new(),
            descriptions: 0,
            processes: vec![],
            own: 0,
            now: NOW,
            magic: TMPFS,
            short: 0,
            fault: None,
            calls: 0,
            struck: 0,
            context: std::ptr::null_mut(),
        });
        machine.start_process(4242);
        let table = hooks::table((&raw mut *machine).cast(), absent);
        machine.new_context(&table);
        machine
    }

    fn new_context(&mut self, table: &steadfast_hooks) {
        assert_eq!(unsafe { steadfast_context_new(table, &mut self.context) }, 0);
    }

    /// A new process begins to call.
    pub fn start_process(&mut self, pid: i32) {
        self.add_process(pid, Life::Alive);
        self.own = pid;
    }

    pub fn add_process(&mut self, pid: i32, life: Life) {
        self.processes.retain(|p| p.pid != pid);
        let count = self.calls + pid as u64;
        self.processes.push(Process { pid, life, start: 1_000 + count % 7, inode: 50_000 + count });
    }

    /// What the kernel does at the end of the calling process: its descriptors, mappings and flocks are gone.
    pub fn die(&mut self) {
        self.fds.clear();
        self.maps.clear();
        for inode in &mut self.inodes {
            inode.flocks.clear();
        }
        let own = self.own;
        self.processes.retain(|p| p.pid != own);
        self.own = 0;
    }

    pub fn process(&self, pid: i32) -> Option<&Process> {
        self.processes.iter().find(|p| p.pid == pid)
    }

    pub fn open_descriptors(&self) -> usize {
        self.fds.iter().flatten().count()
    }

    pub fn mappings(&self) -> usize {
        self.maps.len()
    }

    /// A file as another program makes it.
    pub fn put(&mut self, name: &str, kind: Kind, bytes: &[u8], mode: u32) -> usize {
        self.remove(name.as_bytes());
        self.inodes.push(Inode {
            kind,
            bytes: bytes.to_vec(),
            mode,
            mtime: self.now,
            nlink: 1,
            xattr: None,
            flocks: vec![],
            locked_elsewhere: false,
        });
        self.names.insert(name.as_bytes().to_vec(), self.inodes.len() - 1);
        self.inodes.len() - 1
    }

    pub fn remove(&mut self, name: &[u8]) -> Option<usize> {
        let inode = self.names.remove(name)?;
        self.inodes[inode].nlink -= 1;
        Some(inode)
    }

    pub fn named(&self, name: &str) -> Option<&Inode> {
        self.names.get(name.as_bytes()).map(|&inode| &self.inodes[inode])
    }

    pub fn named_mut(&mut self, name: &str) -> Option<&mut Inode> {
        self.names.get(name.as_bytes()).map(|&inode| &mut self.inodes[inode])
    }

    pub fn is_flocked(&self, name: &str) -> bool {
        self.named(name).is_some_and(|inode| inode.locked_elsewhere || !inode.flocks.is_empty())
    }

    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        self.named(name).map(|inode| inode.bytes.clone())
    }

    /// The names, one after the other.
    pub fn listing(&self) -> Vec<String> {
        self.names.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    fn open(&mut self, handle: Handle) -> i32 {
        let free = self.fds.iter().position(Option::is_none).unwrap_or_else(|| {
            self.fds.push(None);
            self.fds.len() - 1
        });
        self.fds[free] = Some(handle);
        free as i32 + FIRST
    }

    /// A descriptor of `inode`, with an open file description of its own.
    fn open_file(&mut self, inode: usize) -> i32 {
        self.descriptions += 1;
        let description = self.descriptions;
        self.open(Handle::File { inode, at: 0, description })
    }

    fn handle(&mut self, fd: i32) -> Result<&mut Handle, i32> {
        let at = usize::try_from(fd - FIRST).map_err(|_| libc::EBADF)?;
        self.fds.get_mut(at).and_then(Option::as_mut).ok_or(libc::EBADF)
    }

    /// The inode, and the open file description.
    fn file_of(&mut self, fd: i32) -> Result<(usize, u64), i32> {
        match self.handle(fd)? {
            Handle::File { inode, description, .. } => Ok((*inode, *description)),
            _ => Err(libc::EINVAL),
        }
    }

    fn is_directory(&mut self, fd: i32) -> bool {
        matches!(self.handle(fd), Ok(Handle::Directory))
    }

    fn inode_of(&mut self, fd: i32) -> Result<usize, i32> {
        self.file_of(fd).map(|(inode, _)| inode)
    }

    /// A descriptor or a mapping of this open file description is gone. The last one takes the flock with it.
    fn drop_description(&mut self, inode: usize, description: u64) {
        let open = self.fds.iter().flatten().any(|h| matches!(h, Handle::File { description: d, .. } if *d == description));
        if !open && !self.maps.values().any(|&(_, kept)| kept == description) {
            self.inodes[inode].flocks.retain(|&(holder, _)| holder != description);
        }
    }

    /// Every hook begins here.
    fn begin(&mut self, call: u32) -> Result<(), i32> {
        self.calls += 1;
        if let Some(fault) = self.fault
            && (self.calls == fault.nth || fault.for_ever && self.calls > fault.nth)
        {
            self.struck |= 1 << call;
            return Err(fault.error);
        }
        Ok(())
    }
}

/// Descriptors begin here, so that a real call with one of them, were there one, would do no harm.
const FIRST: i32 = 1_000_000;

impl Drop for Machine {
    fn drop(&mut self) {
        unsafe { steadfast_context_free(self.context) };
    }
}
