//! The same calls on a real directory, at the same time: proof that the fake behaves like a kernel.
//!
//! Every simulated descriptor has a real one, every description and every mapping too, so that locks mean the same for
//! both. PIDs stay simulated. Results, content, types, modes and link counts must agree, and inode numbers must be the
//! same or different for the same pairs of files. Mappings and byte locks are made by the library's own calls.

use super::fs::Name;
use std::collections::HashMap;
use std::ffi::CString;
use std::ptr::null_mut;
use steadfast::hooks::{
    REAL_TABLE, STEADFAST_OFDLOCK_EXCLUSIVE, STEADFAST_OFDLOCK_SET, STEADFAST_OFDLOCK_TEST, STEADFAST_OFDLOCK_UNLOCK,
    steadfast_stat,
};

pub struct Mirror {
    pub directory: std::path::PathBuf,
    dir: i32,
    fds: HashMap<(usize, i32), i32>,
    /// By process and simulated address.
    maps: HashMap<(usize, i64), i64>,
    numbers: HashMap<u64, u64>,
    pub compared: u64,
    pub difference: Option<String>,
    /// tmpfs has user attributes since Linux 6.6.
    no_xattr: bool,
}

fn c(n: &[u8]) -> CString {
    let end = n.iter().position(|&b| b == 0).unwrap_or(n.len());
    CString::new(&n[..end]).unwrap()
}

fn errno() -> i32 {
    unsafe { *libc::__errno_location() }
}

fn result(value: i32) -> Result<i32, i32> {
    if value < 0 { Err(errno()) } else { Ok(value) }
}

impl Mirror {
    /// In a fresh directory on tmpfs if there is one.
    pub fn new(tag: u64) -> Mirror {
        let base = if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
        let directory = base.join(format!("steadfast-explorer-{}-{tag}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let path = c(directory.as_os_str().as_encoded_bytes());
        let dir = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) };
        Mirror {
            directory,
            dir,
            fds: HashMap::new(),
            maps: HashMap::new(),
            numbers: HashMap::new(),
            compared: 0,
            difference: None,
            no_xattr: false,
        }
    }

    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, call: &str, fake: T, real: T) {
        self.compared += 1;
        if fake != real && self.difference.is_none() {
            self.difference = Some(format!("{call}: fake {fake:?}, real {real:?}"));
        }
    }

    fn real(&self, slot: usize, fd: i32) -> i32 {
        self.fds.get(&(slot, fd)).copied().unwrap_or(-1)
    }

    pub fn open(&mut self, slot: usize, path: &[u8], flags: i32, mode: u32, fake: Result<i32, i32>) {
        let path = if path == b"/d" { c(b".") } else { c(path) };
        let real = result(unsafe { libc::openat(self.dir, path.as_ptr(), flags | libc::O_CLOEXEC, mode) });
        if let (Ok(fd), Ok(real)) = (fake, real) {
            self.fds.insert((slot, fd), real);
        }
        self.compare("openat", fake.map(|_| ()), real.map(|_| ()));
    }

    /// A new file has this number: another one had it before.
    pub fn made(&mut self, number: u64) {
        self.numbers.remove(&number);
    }

    pub fn close(&mut self, slot: usize, fd: i32) {
        if let Some(real) = self.fds.remove(&(slot, fd)) {
            unsafe { libc::close(real) };
        }
    }

    /// A child shares the description.
    pub fn fork(&mut self, parent: usize, child: usize, fd: i32) {
        if let Some(&real) = self.fds.get(&(parent, fd)) {
            let copy = unsafe { libc::fcntl(real, libc::F_DUPFD_CLOEXEC, 3) };
            self.fds.insert((child, fd), copy);
        }
    }

    pub fn map(&mut self, slot: usize, fd: i32, fake: Result<i64, i32>) {
        let address = unsafe { (REAL_TABLE.map.unwrap())(null_mut(), self.real(slot, fd)) };
        if let (Ok(fake), true) = (fake, address >= 0) {
            self.maps.insert((slot, fake), address);
        }
        self.compare("map", fake.map(|_| ()), if address < 0 { Err(-address as i32) } else { Ok(()) });
    }

    pub fn unmap(&mut self, slot: usize, address: i64) {
        if let Some(real) = self.maps.remove(&(slot, address)) {
            let unmapped = unsafe { (REAL_TABLE.unmap.unwrap())(null_mut(), real.cast_unsigned()) };
            self.compare("unmap", 0, unmapped);
        }
    }

    fn byte_lock(
        &self,
        (slot, fd): (usize, i32),
        operation: i32,
        (start, len): (i64, i64),
        found: &mut [i64; 2],
    ) -> Result<i32, i32> {
        let call = REAL_TABLE.ofdlock.unwrap();
        let answer = unsafe { call(null_mut(), self.real(slot, fd), operation, start, len, found.as_mut_ptr()) };
        if answer < 0 { Err(-answer) } else { Ok(answer) }
    }

    pub fn take_turn(&mut self, slot: usize, fd: i32, exclusive: bool, range: (i64, i64), fake: Result<(), i32>) {
        let operation = if exclusive { STEADFAST_OFDLOCK_EXCLUSIVE } else { STEADFAST_OFDLOCK_SET };
        let real = self.byte_lock((slot, fd), operation, range, &mut [0; 2]);
        self.compare("ofdlock of a file", fake, real.map(|_| ()));
    }

    pub fn give_turn_up(&mut self, slot: usize, fd: i32, range: (i64, i64), fake: Result<(), i32>) {
        let real = self.byte_lock((slot, fd), STEADFAST_OFDLOCK_UNLOCK, range, &mut [0; 2]);
        self.compare("ofdlock, unlock", fake, real.map(|_| ()));
    }

    pub fn take_ticket(&mut self, slot: usize, fd: i32, start: i64, len: i64) {
        let real = self.byte_lock((slot, fd), STEADFAST_OFDLOCK_SET, (start, len), &mut [0; 2]);
        self.compare("ofdlock, set", Ok(0), real);
    }

    /// Start and length of somebody else's must be the same.
    pub fn find_ticket(&mut self, slot: usize, fd: i32, start: i64, len: i64, fake: Option<(i64, i64)>) {
        let mut found = [0; 2];
        let real = self.byte_lock((slot, fd), STEADFAST_OFDLOCK_TEST, (start, len), &mut found);
        self.compare("ofdlock, test", Ok(fake), real.map(|there| (there == 1).then_some((found[0], found[1]))));
    }

    pub fn write(&mut self, slot: usize, fd: i32, data: &[u8], at: Option<u64>, fake: Result<i64, i32>) {
        let (real, from, len) = (self.real(slot, fd), data.as_ptr().cast(), data.len());
        let real = match at {
            None => unsafe { libc::write(real, from, len) as i64 },
            Some(at) => unsafe { libc::pwrite(real, from, len, at as i64) as i64 },
        };
        self.compare("write", fake, if real < 0 { Err(errno()) } else { Ok(real) });
    }

    pub fn truncate(&mut self, slot: usize, fd: i32, len: u64, fake: Result<(), i32>) {
        let real = result(unsafe { libc::ftruncate(self.real(slot, fd), len as i64) });
        self.compare("ftruncate", fake, real.map(|_| ()));
    }

    pub fn chmod(&mut self, slot: usize, fd: i32, mode: u32, fake: Result<(), i32>) {
        let real = result(unsafe { libc::fchmod(self.real(slot, fd), mode) });
        self.compare("fchmod", fake, real.map(|_| ()));
    }

    pub fn pread(&mut self, slot: usize, fd: i32, len: usize, offset: u64, fake: Result<&[u8], i32>) {
        let mut buf = vec![0u8; len];
        let count = unsafe { libc::pread(self.real(slot, fd), buf.as_mut_ptr().cast(), len, offset as i64) };
        let real = if count < 0 { Err(errno()) } else { Ok(&buf[..count as usize]) };
        self.compare("pread", fake, real);
    }

    pub fn rename(&mut self, from: &Name, to: &Name, flags: u32, fake: Result<(), i32>) {
        let (from, to) = (c(from), c(to));
        let real = unsafe { libc::syscall(libc::SYS_renameat2, self.dir, from.as_ptr(), self.dir, to.as_ptr(), flags) };
        self.compare("renameat", fake, result(real as i32).map(|_| ()));
    }

    pub fn unlink(&mut self, named: &Name, fake: Result<(), i32>) {
        let real = result(unsafe { libc::unlinkat(self.dir, c(named).as_ptr(), 0) }).map(|_| ());
        self.compare("unlinkat", fake, real);
    }

    pub fn link(&mut self, slot: usize, from: &Name, to: &Name, fd: Option<i32>, fake: Result<(), i32>) {
        let to = c(to);
        let real = match fd {
            None => result(unsafe { libc::linkat(self.dir, c(from).as_ptr(), self.dir, to.as_ptr(), 0) }),
            Some(fd) => {
                // AT_EMPTY_PATH needs a privilege before Linux 6.10; this way does not.
                let path = c(format!("/proc/self/fd/{}", self.real(slot, fd)).as_bytes());
                result(unsafe { libc::linkat(libc::AT_FDCWD, path.as_ptr(), self.dir, to.as_ptr(), libc::AT_SYMLINK_FOLLOW) })
            }
        };
        self.compare("linkat", fake, real.map(|_| ()));
    }

    fn stat(&mut self, call: &str, fake: Result<steadfast_stat, i32>, real: Result<libc::stat, i32>) {
        let seen = |mode: u32, nlink: u32, size: u64| (mode & 0o171_700, nlink, size);
        self.compare(
            call,
            fake.map(|f| seen(f.mode, f.nlink, f.size)),
            real.map(|r| seen(r.st_mode, r.st_nlink as u32, r.st_size.cast_unsigned())),
        );
        if let (Ok(fake), Ok(real)) = (fake, real) {
            let known = *self.numbers.entry(fake.ino).or_insert(real.st_ino);
            self.compare("inode number", known, real.st_ino);
        }
    }

    pub fn fstat(&mut self, slot: usize, fd: i32, fake: Result<steadfast_stat, i32>) {
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        let real = result(unsafe { libc::fstat(self.real(slot, fd), &mut stat) }).map(|_| stat);
        self.stat("fstat", fake, real);
    }

    pub fn fstatat(&mut self, named: &Name, fake: Result<steadfast_stat, i32>) {
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        let real = unsafe { libc::fstatat(self.dir, c(named).as_ptr(), &mut stat, libc::AT_SYMLINK_NOFOLLOW) };
        self.stat("fstatat", fake, result(real).map(|_| stat));
    }

    pub fn flock(&mut self, slot: usize, fd: i32, operation: i32, fake: Result<(), i32>) {
        let real = result(unsafe { libc::flock(self.real(slot, fd), operation | libc::LOCK_NB) }).map(|_| ());
        self.compare("flock", fake, real);
    }

    pub fn getxattr(&mut self, slot: usize, fd: i32, fake: Result<i64, i32>) {
        let mut buf = [0u8; 64];
        let real =
            unsafe { libc::fgetxattr(self.real(slot, fd), c"user.steadfast".as_ptr(), buf.as_mut_ptr().cast(), 64) } as i64;
        let real = if real < 0 { Err(errno()) } else { Ok(real) };
        if !self.no_xattr {
            self.compare("fgetxattr", fake, real);
        }
    }

    pub fn setxattr(&mut self, slot: usize, fd: i32, value: &[u8], fake: Result<(), i32>) {
        let name = c"user.steadfast";
        let real = unsafe { libc::fsetxattr(self.real(slot, fd), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
        let real = result(real).map(|_| ());
        if real == Err(libc::EOPNOTSUPP) {
            self.no_xattr = true;
        }
        if !self.no_xattr {
            self.compare("fsetxattr", fake, real);
        }
    }

    /// The names that are there, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(&self.directory).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Begins anew, with nothing there.
    pub fn reset(&mut self) {
        for (_, real) in self.fds.drain() {
            unsafe { libc::close(real) };
        }
        for (_, real) in self.maps.drain() {
            unsafe { (REAL_TABLE.unmap.unwrap())(null_mut(), real.cast_unsigned()) };
        }
        self.numbers.clear();
        for n in self.names() {
            std::fs::remove_file(self.directory.join(n)).unwrap();
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.reset();
        unsafe { libc::close(self.dir) };
        let _ = std::fs::remove_dir(&self.directory);
    }
}
