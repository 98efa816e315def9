//! What a routine did, recorded through the hook table while it runs on a real directory: changes of files,
//! changes of directories, and the syncs that force them to disk.

use super::synced_writes;
use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use steadfast::ffi::context::{steadfast_context, steadfast_context_free, steadfast_context_new, steadfast_hooks_default};
use steadfast::hooks::steadfast_hooks;

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Hash, Debug)]
pub enum Node {
    File(usize),
    Directory(usize),
}

/// The smallest changes: each reaches the disk whole or not at all.
#[derive(Clone, PartialEq, Hash, Debug)]
pub enum Event {
    /// Names set and cleared together.
    Names {
        dir: usize,
        set: Vec<(Vec<u8>, Option<Node>)>,
    },
    Size {
        file: usize,
        len: usize,
    },
    Part {
        file: usize,
        at: usize,
        bytes: Vec<u8>,
    },
    Xattr {
        file: usize,
        value: Vec<u8>,
        mtime: (i64, i64),
    },
    Mode {
        file: usize,
        mode: u32,
    },
    SyncFile(usize),
    SyncDirectory(usize),
    /// A sync of it failed: what was written so far reaches the disk or not, whatever a later sync answers.
    Lost(usize),
    /// A moment that a history remembers.
    Moment,
    /// Save number n was asked for; it was acknowledged as durable.
    Begun(u64),
    Acknowledged(u64),
    /// From here on the disk fails: what is saved may be damaged, and the save says so.
    Reserved,
}

/// How the recorded routine is spoilt.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Mutant {
    None,
    NoFileSync,
    NoDirectorySync,
    /// Of a batch with SYNCFS.
    NoFileSystemSync,
    /// The previous generation made by renaming the current state instead of linking it.
    PreviousByRename,
    /// The directory synced before the rename instead of after it.
    SyncBeforeRename,
    /// A removal that unlinks the state first, and then the previous one.
    UnlinkFirst,
    /// The attribute of a plain file before its content.
    AttributeFirst,
    /// The attribute of a plain file after its sync.
    AttributeLate,
    /// What is written in place is synced by another call.
    WriteThenSync,
    /// The directory is not synced before a file of it is written in place.
    NoPairSync,
    /// fdatasync does nothing.
    NoDataSync,
}

pub struct Recorder {
    pub events: Vec<Event>,
    /// By file: the mode it was made with.
    pub modes: Vec<u32>,
    pub mutant: Mutant,
    /// The content, or the attribute, of a plain file, of which it is not the turn yet.
    deferred: Vec<u8>,
    /// This many file syncs to come fail, as on a broken disk.
    pub failing: u32,
    /// Is there a file mounted at "state", which no rename replaces?
    pub mounted: bool,
    /// Descriptors that sync what is written to them (O_DSYNC), and whether something has been.
    pub in_place: HashMap<i32, bool>,
    /// With WriteThenSync: the file whose sync is still to come.
    pub unsynced: Option<usize>,
    fds: HashMap<i32, Node>,
    known: HashMap<(u64, u64), Node>,
    directories: usize,
    /// A number that no process has: the recorded lock is a dead process's.
    pub pid: i32,
}

pub fn real() -> &'static steadfast_hooks {
    unsafe { &*steadfast_hooks_default() }
}

pub fn identity(fd: i32) -> (libc::stat, (u64, u64)) {
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    unsafe { libc::fstat(fd, &mut stat) };
    (stat, (stat.st_dev, stat.st_ino))
}

pub fn identity_of(path: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or((0, 0), |m| (m.dev(), m.ino()))
}

pub unsafe fn recorder<'a>(user: *mut c_void) -> &'a mut Recorder {
    unsafe { &mut *user.cast::<Recorder>() }
}

unsafe fn text(path: *const c_char) -> Vec<u8> {
    unsafe { CStr::from_ptr(path) }.to_bytes().to_vec()
}

impl Recorder {
    pub fn new(root: &Path, mutant: Mutant) -> Box<Recorder> {
        let known = HashMap::from([(identity_of(root), Node::Directory(0))]);
        Box::new(Recorder {
            events: vec![],
            modes: vec![],
            mutant,
            deferred: vec![],
            failing: 0,
            mounted: false,
            in_place: HashMap::new(),
            unsynced: None,
            fds: HashMap::new(),
            known,
            directories: 1,
            pid: i32::MAX - 1,
        })
    }

    pub fn file(&self, fd: i32) -> Option<usize> {
        if let Some(Node::File(file)) = self.fds.get(&fd) { Some(*file) } else { None }
    }

    fn directory(&self, fd: i32) -> usize {
        if let Some(Node::Directory(dir)) = self.fds.get(&fd) { *dir } else { 0 }
    }

    /// The file that `name` means in the directory now.
    fn named(&self, dirfd: i32, name: &[u8]) -> Option<Node> {
        let name = CString::new(name).unwrap();
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        let result = unsafe { libc::fstatat(dirfd, name.as_ptr(), &mut stat, libc::AT_SYMLINK_NOFOLLOW) };
        if result == 0 { self.known.get(&(stat.st_dev, stat.st_ino)).copied() } else { None }
    }

    /// As when the holder is dead.
    pub fn drop_flocks(&self) {
        for (&fd, node) in &self.fds {
            if matches!(node, Node::File(_)) {
                unsafe { libc::flock(fd, libc::LOCK_UN) };
            }
        }
    }

    /// A file that is there already, and on the disk when the directory is; its content if it is `synced`.
    pub fn adopt(&mut self, path: &Path, name: &str, content: &[u8], mode: u32, synced: bool) {
        let file = self.modes.len();
        self.modes.push(mode);
        self.known.insert(identity_of(path), Node::File(file));
        self.events.push(Event::Size { file, len: content.len() });
        self.events.push(Event::Part { file, at: 0, bytes: content.to_vec() });
        self.events.extend(synced.then_some(Event::SyncFile(file)));
        self.events.push(Event::Names { dir: 0, set: vec![(name.as_bytes().to_vec(), Some(Node::File(file)))] });
    }

    /// The number of the file that has these of the device and the inode.
    pub fn number_of(&self, id: (u64, u64)) -> Option<usize> {
        if let Some(Node::File(file)) = self.known.get(&id) { Some(*file) } else { None }
    }

    /// All of them.
    pub fn files(&self) -> HashMap<(u64, u64), usize> {
        self.known.keys().filter_map(|&id| Some((id, self.number_of(id)?))).collect()
    }

    /// What a call has written from `buf` on to place `at` of `fd`.
    pub unsafe fn wrote_to(&mut self, fd: i32, at: usize, buf: *const c_void, written: i64) {
        if let (Some(file), true) = (self.file(fd), written > 0) {
            let bytes = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), written as usize) };
            self.wrote(file, identity(fd).0.st_size as usize, at, bytes);
        }
    }

    pub fn wrote(&mut self, file: usize, size: usize, at: usize, bytes: &[u8]) {
        self.events.push(Event::Size { file, len: size.max(at + bytes.len()) });
        // Two parts: what a sector holds and the rest.
        let (first, rest) = bytes.split_at(bytes.len().min(512));
        self.events.push(Event::Part { file, at, bytes: first.to_vec() });
        if !rest.is_empty() {
            self.events.push(Event::Part { file, at: at + first.len(), bytes: rest.to_vec() });
        }
    }

    pub fn node(&self, fd: i32) -> Option<Node> {
        self.fds.get(&fd).copied()
    }

    /// A context whose calls are recorded here.
    pub fn context(&mut self, absent: u32) -> Context {
        Context::new(&self.table(absent))
    }

    pub fn table(&mut self, absent: u32) -> steadfast_hooks {
        let mut table: steadfast_hooks = unsafe { std::mem::zeroed() };
        table.size = size_of::<steadfast_hooks>();
        table.user = (self as *mut Recorder).cast();
        table.absent = absent;
        table.openat = Some(openat);
        table.write = Some(write);
        table.pwrite = Some(synced_writes::pwrite);
        table.fsync = Some(fsync);
        table.fdatasync = Some(fdatasync);
        table.syncfs = Some(syncfs);
        table.renameat = Some(renameat);
        table.unlinkat = Some(unlinkat);
        table.linkat = Some(linkat);
        table.mkdirat = Some(mkdirat);
        table.ftruncate = Some(ftruncate);
        table.fchmod = Some(fchmod);
        table.fsetxattr = Some(fsetxattr);
        table.getpid = Some(getpid);
        table
    }
}

/// Freed when dropped.
pub struct Context(pub *mut steadfast_context);

impl Context {
    pub fn new(table: &steadfast_hooks) -> Context {
        let mut context = std::ptr::null_mut();
        assert_eq!(unsafe { steadfast_context_new(table, &mut context) }, 0);
        Context(context)
    }

    /// Real calls on a platform that lacks something.
    pub fn real(absent: u32) -> Context {
        let mut table: steadfast_hooks = unsafe { std::mem::zeroed() };
        table.size = size_of::<steadfast_hooks>();
        table.absent = absent;
        Context::new(&table)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        unsafe { steadfast_context_free(self.0) };
    }
}

pub const ATTRIBUTE: &CStr = c"user.steadfast";
/// The length of a plain file's attribute, and where in it the file's modification time stands.
const LEN: usize = 60;
const MTIME: std::ops::Range<usize> = 48..56;
/// So that equal contents are equal events.
pub const TIME: (i64, i64) = (1_700_000_000, 0);

/// An attribute as an event. That of a plain file gets a time that is always the same, and so does its file.
fn attribute(file: usize, stat: &libc::stat, value: Vec<u8>) -> Event {
    let mut value = value;
    let mtime = (stat.st_mtime, stat.st_mtime_nsec);
    if value.len() != LEN || value[MTIME] != (mtime.0 * 1_000_000_000 + mtime.1).to_le_bytes() {
        return Event::Xattr { file, value, mtime };
    }
    value[MTIME].copy_from_slice(&(TIME.0 * 1_000_000_000 + TIME.1).to_le_bytes());
    Event::Xattr { file, value, mtime: TIME }
}

/// Of a plain file? It is a change of names and inodes, which a journal keeps in order with the renames.
pub fn is_of_plain(value: &[u8]) -> bool {
    value.len() == LEN
}

unsafe extern "C" fn openat(user: *mut c_void, dirfd: i32, path: *const c_char, flags: i32, mode: u32) -> i32 {
    unsafe {
        let r = recorder(user);
        let fd = (real().openat.unwrap())(user, dirfd, path, flags, mode);
        if fd < 0 {
            return fd;
        }
        let (stat, id) = identity(fd);
        let nameless = flags & libc::O_TMPFILE == libc::O_TMPFILE;
        if nameless || flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL {
            let file = r.modes.len();
            r.modes.push(stat.st_mode & 0o7777);
            r.known.insert(id, Node::File(file));
            if !nameless {
                let set = vec![(text(path), Some(Node::File(file)))];
                r.events.push(Event::Names { dir: r.directory(dirfd), set });
            }
        }
        match r.known.get(&id) {
            Some(&node) => drop(r.fds.insert(fd, node)),
            None => drop(r.fds.remove(&fd)),
        }
        r.opened(fd, flags);
        fd
    }
}

unsafe extern "C" fn write(user: *mut c_void, fd: i32, buf: *const c_void, len: usize) -> i64 {
    unsafe {
        let r = recorder(user);
        if r.mutant == Mutant::AttributeFirst && r.file(fd).is_some() {
            r.deferred.extend(std::slice::from_raw_parts(buf.cast::<u8>(), len));
            return len as i64;
        }
        let at = libc::lseek(fd, 0, libc::SEEK_CUR) as usize;
        let written = (real().write.unwrap())(user, fd, buf, len);
        r.wrote_to(fd, at, buf, written);
        written
    }
}

unsafe extern "C" fn fsync(user: *mut c_void, fd: i32) -> i32 {
    let r = unsafe { recorder(user) };
    if r.failing > 0 && r.file(fd).is_some() {
        r.failing -= 1;
        return -libc::EIO;
    }
    match r.fds.get(&fd) {
        Some(&Node::File(file)) if r.mutant == Mutant::AttributeLate => {
            r.events.push(Event::SyncFile(file));
            let value = std::mem::take(&mut r.deferred);
            if !value.is_empty() {
                unsafe { libc::fsetxattr(fd, ATTRIBUTE.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
                r.events.push(attribute(file, &identity(fd).0, value));
            }
        }
        Some(Node::File(file)) if r.mutant != Mutant::NoFileSync => r.events.push(Event::SyncFile(*file)),
        Some(Node::Directory(_)) if r.mutant == Mutant::NoPairSync && r.is_about_to_write_in_place() => {}
        Some(Node::Directory(dir)) if r.mutant != Mutant::NoDirectorySync && r.mutant != Mutant::SyncBeforeRename => {
            r.events.push(Event::SyncDirectory(*dir));
        }
        _ => {}
    }
    0
}

unsafe extern "C" fn fdatasync(user: *mut c_void, fd: i32) -> i32 {
    if unsafe { recorder(user) }.mutant == Mutant::NoDataSync { 0 } else { unsafe { fsync(user, fd) } }
}

/// Everything that was written so far.
unsafe extern "C" fn syncfs(user: *mut c_void, _: i32) -> i32 {
    let r = unsafe { recorder(user) };
    if r.mutant != Mutant::NoFileSystemSync {
        r.events.extend((0..r.modes.len()).map(Event::SyncFile));
        r.events.extend((0..r.directories).map(Event::SyncDirectory));
    }
    0
}

unsafe extern "C" fn renameat(user: *mut c_void, od: i32, from: *const c_char, nd: i32, to: *const c_char, flags: u32) -> i32 {
    unsafe {
        let r = recorder(user);
        let node = r.named(od, &text(from));
        if r.mounted && text(to) == b"state" {
            return -libc::EBUSY;
        }
        if r.mutant == Mutant::UnlinkFirst && flags == 0 {
            return unlinkat(user, od, from, 0);
        }
        let exchanged = if flags & libc::RENAME_EXCHANGE != 0 { r.named(nd, &text(to)) } else { None };
        let result = (real().renameat.unwrap())(user, od, from, nd, to, flags);
        if result == 0 && node.is_some() {
            let dir = r.directory(nd);
            if r.mutant == Mutant::SyncBeforeRename {
                r.events.push(Event::SyncDirectory(dir));
            }
            r.events.push(Event::Names { dir, set: vec![(text(to), node), (text(from), exchanged)] });
        }
        result
    }
}

unsafe extern "C" fn ftruncate(user: *mut c_void, fd: i32, len: u64) -> i32 {
    unsafe {
        let r = recorder(user);
        let result = (real().ftruncate.unwrap())(user, fd, len);
        if let (Some(file), 0) = (r.file(fd), result) {
            r.events.push(Event::Size { file, len: len as usize });
        }
        result
    }
}

unsafe extern "C" fn unlinkat(user: *mut c_void, dirfd: i32, path: *const c_char, flags: i32) -> i32 {
    unsafe {
        let r = recorder(user);
        let result = (real().unlinkat.unwrap())(user, dirfd, path, flags);
        if result == 0 {
            r.events.push(Event::Names { dir: r.directory(dirfd), set: vec![(text(path), None)] });
        }
        result
    }
}

unsafe extern "C" fn linkat(user: *mut c_void, od: i32, from: *const c_char, nd: i32, to: *const c_char, flags: i32) -> i32 {
    unsafe {
        let r = recorder(user);
        let node = match flags {
            libc::AT_EMPTY_PATH => r.fds.get(&od).copied(),
            // By way of /proc/self/fd, where AT_EMPTY_PATH needs a privilege.
            libc::AT_SYMLINK_FOLLOW => {
                String::from_utf8_lossy(&text(from)).rsplit('/').next().and_then(|fd| r.fds.get(&fd.parse().ok()?).copied())
            }
            _ => r.named(od, &text(from)),
        };
        if r.mutant == Mutant::PreviousByRename && flags == 0 {
            return renameat(user, od, from, nd, to, 0);
        }
        let result = (real().linkat.unwrap())(user, od, from, nd, to, flags);
        if result == 0 {
            r.events.push(Event::Names { dir: r.directory(nd), set: vec![(text(to), node)] });
        }
        result
    }
}

unsafe extern "C" fn mkdirat(user: *mut c_void, dirfd: i32, path: *const c_char, mode: u32) -> i32 {
    unsafe {
        let r = recorder(user);
        let result = (real().mkdirat.unwrap())(user, dirfd, path, mode);
        if result == 0 {
            let mut stat: libc::stat = std::mem::zeroed();
            libc::fstatat(dirfd, path, &mut stat, libc::AT_SYMLINK_NOFOLLOW);
            let made = Node::Directory(r.directories);
            r.directories += 1;
            r.known.insert((stat.st_dev, stat.st_ino), made);
            // By its whole path, or by its name in a directory that is open.
            let whole = text(path);
            let whole = Path::new(OsStr::from_bytes(&whole));
            let parent = whole.parent().filter(|parent| !parent.as_os_str().is_empty()).map(identity_of);
            let dir = match parent {
                Some(parent) => r.known.get(&parent).copied(),
                None => r.fds.get(&dirfd).copied(),
            };
            let dir = if let Some(Node::Directory(dir)) = dir { dir } else { 0 };
            let name = whole.file_name().map(|n| n.as_bytes().to_vec()).unwrap_or_default();
            r.events.push(Event::Names { dir, set: vec![(name, Some(made))] });
        }
        result
    }
}

unsafe extern "C" fn fchmod(user: *mut c_void, fd: i32, mode: u32) -> i32 {
    unsafe {
        let r = recorder(user);
        let result = (real().fchmod.unwrap())(user, fd, mode);
        if let (Some(file), 0) = (r.file(fd), result) {
            r.events.push(Event::Mode { file, mode });
        }
        result
    }
}

/// Without the flag of what was not synced: its time would not count.
fn unmark(attribute: &mut [u8]) {
    attribute[47] &= !2;
}

unsafe extern "C" fn fsetxattr(user: *mut c_void, fd: i32, name: *const c_char, buf: *const c_void, len: usize) -> i32 {
    unsafe {
        let r = recorder(user);
        let mut value = std::slice::from_raw_parts(buf.cast::<u8>(), len).to_vec();
        if r.mutant == Mutant::AttributeFirst {
            unmark(&mut value);
        }
        if r.mutant == Mutant::AttributeLate {
            r.deferred = value;
            return 0;
        }
        let result = (real().fsetxattr.unwrap())(user, fd, name, value.as_ptr().cast(), len);
        if let (Some(file), 0) = (r.file(fd), result) {
            r.events.push(attribute(file, &identity(fd).0, value));
            if r.mutant == Mutant::AttributeFirst {
                let content = std::mem::take(&mut r.deferred);
                assert_eq!(libc::write(fd, content.as_ptr().cast(), content.len()), content.len() as isize);
                r.wrote(file, content.len(), 0, &content);
            }
        }
        result
    }
}

unsafe extern "C" fn getpid(user: *mut c_void) -> i32 {
    unsafe { recorder(user) }.pid
}
