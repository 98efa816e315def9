//! The hook table of a recorded run: counts the calls that change something, makes the file system commit in the
//! background before a chosen one, and spoils the routine as a mutant wants it.

use crate::device::client::mark;
use crate::library::{NEW, OLD, Saved, empty_table, real, steadfast_hooks};
use std::ffi::{CStr, CString, c_char, c_void};
use std::fs::{File, OpenOptions};
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;
use steadfast::hooks::{STEADFAST_AIO_OPEN, STEADFAST_AIO_WAIT, STEADFAST_AIO_WRITE};

/// What the file system does of its own accord at some moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Background {
    /// Somebody syncs another file.
    Commit,
    /// Somebody syncs the whole file system.
    Sync,
}

/// How a routine is spoilt.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Mutant {
    None,
    NoFileSync,
    NoDirectorySync,
    NoSync,
    /// Writes over the state itself.
    InPlace,
    /// rename(state, prev); rename(temp, state).
    PreviousByRename,
    /// unlink(prev); link(state, prev); rename(temp, state).
    PreviousByUnlink,
    /// exchange(temp, state); rename(temp, prev).
    PreviousByExchange,
    /// No sync of a file that was written piece by piece: direct writes are on the disk, aren't they?
    NoLargeSync,
    /// The first piece of a large state is under way until after all syncs.
    LatePiece,
    /// fsync failed? Call it again.
    RetrySync,
    /// fsync failed? Never mind.
    IgnoreSync,
    /// A lock record without the mark in its mode, and without the attribute that would do as well.
    LockUnmarked,
    /// The attribute of a plain file before its content.
    AttributeFirst,
    /// The attribute of a plain file after all syncs. (Between the sync of the file and the rename, no journal here shows it.)
    AttributeLast,
    /// A slot is written and synced by two calls.
    SlotInTwo,
    /// A slot is not synced.
    SlotUnsynced,
    /// A report that says OLD, or NEW, where it should say EITHER.
    ClaimsOld,
    ClaimsNew,
}

impl Mutant {
    /// What the report says, or what it is made to say.
    pub fn claims(self, saved: Saved) -> Saved {
        match self {
            Mutant::ClaimsOld if saved.on_disk != NEW => Saved { on_disk: OLD, ..saved },
            Mutant::ClaimsNew if saved.on_disk != OLD => Saved { on_disk: NEW, ..saved },
            _ => saved,
        }
    }
}

/// What happens to one save of a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    None,
    /// Every sync of a file fails, and has written nothing.
    FileSyncs,
    /// So does that of the directory.
    DirectorySync,
    /// SIGKILL between the rename and the sync of the directory.
    KilledBeforeDirectorySync,
    /// The write of a slot is not synced, and says so.
    SlotSync,
    /// A half of a slot is written.
    TornSlot,
    /// The same, then SIGKILL.
    KilledInSlot,
    /// SIGKILL between the write and the sync of a slot, where these are two calls.
    KilledBetween,
}

impl Trouble {
    pub fn kills(self) -> bool {
        matches!(self, Trouble::KilledBeforeDirectorySync | Trouble::KilledInSlot | Trouble::KilledBetween)
    }
}

/// Can it be had here?
pub fn has_io_uring() -> bool {
    let mut parameters = [0u64; 15];
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
    if ring >= 0 {
        unsafe { libc::close(ring as i32) };
    }
    ring >= 0
}

/// The marker of a file that is written past the page cache from then on.
pub const DIRECT: &str = "direct";

pub struct Instrument {
    pub steps: u32,
    at: Option<(Background, u32)>,
    mutant: Mutant,
    /// Of another file in the file system.
    other: RawFd,
    ctl: RawFd,
    /// Direct writes cannot be had.
    pub cached: bool,
    pub trouble: Trouble,
    /// The name of the state is not given to another file: it is a mount point.
    pub mounted: bool,
    /// Where a child counts the steps, too, for its parent, when it is killed.
    pub shared_steps: Option<*mut u32>,
    /// What is written piece by piece has not been synced.
    large: bool,
    wants_late: bool,
    late: Option<Late>,
    /// The content, or the attribute, of a plain file, of which it is not the turn yet.
    deferred: Vec<u8>,
    /// What is to be the answer when it is waited for.
    pretended: Option<i64>,
}

/// A piece that is still under way.
struct Late {
    file: File,
    bytes: Vec<u8>,
    offset: u64,
}

unsafe fn me<'a>(user: *mut c_void) -> &'a mut Instrument {
    unsafe { &mut *user.cast::<Instrument>() }
}

impl Instrument {
    pub fn new(mutant: Mutant, at: Option<(Background, u32)>, other: RawFd, ctl: RawFd) -> Box<Instrument> {
        let (cached, large, wants_late) = (false, false, false);
        Box::new(Instrument {
            steps: 0,
            at,
            mutant,
            other,
            ctl,
            cached,
            trouble: Trouble::None,
            mounted: false,
            shared_steps: None,
            large,
            wants_late,
            late: None,
            deferred: vec![],
            pretended: None,
        })
    }

    /// Before every call that changes something.
    pub fn step(&mut self, name: &str) {
        if let Some((what, _)) = self.at.take_if(|(_, step)| *step == self.steps) {
            mark(self.ctl, if what == Background::Commit { "c (commit)" } else { "c (sync)" });
            let byte = self.steps as u8;
            unsafe {
                libc::pwrite(self.other, (&raw const byte).cast(), 1, 0);
                if what == Background::Commit {
                    libc::fsync(self.other)
                } else {
                    libc::syncfs(self.other)
                };
            }
        }
        mark(self.ctl, &format!("c {name}"));
        self.steps += 1;
        if let Some(shared) = self.shared_steps {
            unsafe { shared.write(self.steps) };
        }
    }

    /// By a descriptor whose writes are synced.
    fn write_slot(&mut self, fd: RawFd, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        let unsynced = || OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}"));
        let failed = || Err(std::io::Error::from_raw_os_error(libc::EIO));
        match (self.trouble, self.mutant) {
            (Trouble::SlotSync, _) => unsynced()?.write_all_at(bytes, offset).and_then(|()| failed()),
            (Trouble::TornSlot | Trouble::KilledInSlot, _) => {
                unsynced()?.write_all_at(&bytes[..bytes.len() / 2], offset)?;
                if self.trouble == Trouble::KilledInSlot {
                    kill_myself();
                }
                failed()
            }
            (_, Mutant::SlotUnsynced) => unsynced()?.write_all_at(bytes, offset),
            (trouble, Mutant::SlotInTwo) => {
                let file = unsynced()?;
                file.write_all_at(bytes, offset)?;
                if trouble == Trouble::KilledBetween {
                    kill_myself();
                }
                self.step("fdatasync");
                file.sync_data()
            }
            (Trouble::KilledBetween, _) => unreachable!("they are one call"),
            _ => {
                let written = unsafe { real().pwrite.unwrap()(real().user, fd, bytes.as_ptr().cast(), bytes.len(), offset) };
                if written == bytes.len() as i64 { Ok(()) } else { failed() }
            }
        }
    }

    pub fn table(&mut self) -> steadfast_hooks {
        let mut table = empty_table();
        table.user = (self as *mut Instrument).cast();
        table.openat = Some(openat);
        table.write = Some(write);
        table.pwrite = Some(pwrite);
        table.fsync = Some(fsync);
        table.fdatasync = Some(fdatasync);
        table.syncfs = Some(syncfs);
        table.writeback = Some(writeback);
        table.aio = Some(aio);
        table.ftruncate = Some(ftruncate);
        table.fchmod = Some(fchmod);
        table.fsetxattr = Some(fsetxattr);
        table.renameat = Some(renameat);
        table.linkat = Some(linkat);
        table.unlinkat = Some(unlinkat);
        table.mkdirat = Some(mkdirat);
        table.fstatat = Some(fstatat);
        table
    }
}

fn is_directory(fd: i32) -> bool {
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    unsafe { libc::fstat(fd, &mut stat) };
    stat.st_mode & libc::S_IFMT == libc::S_IFDIR
}

unsafe fn ends(path: *const c_char, end: &[u8]) -> bool {
    unsafe { CStr::from_ptr(path) }.to_bytes().ends_with(end)
}

unsafe fn is_rotating(path: *const c_char) -> bool {
    unsafe { ends(path, b".prev.tmp") }
}

unsafe fn is_temp(path: *const c_char) -> bool {
    unsafe { ends(path, b".tmp") && !is_rotating(path) }
}

const STATE: *const c_char = c"state".as_ptr();
const ATTRIBUTE: *const c_char = c"user.steadfast".as_ptr();
const PREVIOUS: *const c_char = c"state.prev".as_ptr();

unsafe extern "C" fn openat(user: *mut c_void, dirfd: i32, path: *const c_char, flags: i32, mode: u32) -> i32 {
    let this = unsafe { me(user) };
    let (mut path, mut flags, mut mode) = (path, flags, mode);
    if flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE {
        this.step("create");
        if this.mutant == Mutant::InPlace && unsafe { is_temp(path) } {
            (path, flags) = (STATE, flags & !libc::O_EXCL | libc::O_TRUNC);
        }
        if this.mutant == Mutant::LockUnmarked {
            mode &= 0o777;
        }
    }
    unsafe { real().openat.unwrap()(real().user, dirfd, path, flags, mode) }
}

unsafe extern "C" fn write(user: *mut c_void, fd: i32, buf: *const c_void, len: usize) -> i64 {
    let this = unsafe { me(user) };
    this.step("write");
    if this.mutant == Mutant::AttributeFirst {
        this.deferred.extend(unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) });
        return len as i64;
    }
    unsafe { real().write.unwrap()(real().user, fd, buf, len) }
}

unsafe extern "C" fn pwrite(user: *mut c_void, fd: i32, buf: *const c_void, len: usize, offset: u64) -> i64 {
    let this = unsafe { me(user) };
    this.step("pwrite");
    if unsafe { libc::fcntl(fd, libc::F_GETFL) } & libc::O_DSYNC == 0 {
        return unsafe { real().pwrite.unwrap()(real().user, fd, buf, len, offset) };
    }
    let bytes = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
    this.write_slot(fd, bytes, offset).map_or_else(|error| -i64::from(error.raw_os_error().unwrap_or(libc::EIO)), |()| len as i64)
}

fn kill_myself() {
    unsafe { libc::raise(libc::SIGKILL) };
}

/// What becomes of a sync of `fd`.
unsafe fn synced(user: *mut c_void, fd: i32, name: &str, call: impl Fn() -> i32) -> i32 {
    let this = unsafe { me(user) };
    let directory = is_directory(fd);
    this.step(if directory { "fsync directory" } else { name });
    match this.trouble {
        Trouble::FileSyncs if !directory || name == "syncfs" => return -libc::EIO,
        Trouble::DirectorySync if directory && name != "syncfs" => return -libc::EIO,
        Trouble::KilledBeforeDirectorySync if directory && name != "syncfs" => kill_myself(),
        _ => {}
    }
    if this.mutant == Mutant::AttributeLast && directory {
        let result = call();
        let value = std::mem::take(&mut this.deferred);
        let state = CString::new(format!("/proc/self/fd/{fd}/state")).unwrap();
        let set = unsafe { libc::setxattr(state.as_ptr(), ATTRIBUTE, value.as_ptr().cast(), value.len(), 0) };
        assert_eq!(set, 0, "the attribute after all");
        return result;
    }
    let large = !directory && std::mem::take(&mut this.large);
    if directory && let Some(late) = this.late.take() {
        let result = call();
        late.file.write_all_at(&late.bytes, late.offset).unwrap();
        return result;
    }
    match this.mutant {
        Mutant::NoSync => 0,
        Mutant::NoFileSync if !directory || name == "syncfs" => 0,
        Mutant::NoLargeSync if large => 0,
        Mutant::NoDirectorySync if directory => 0,
        Mutant::RetrySync => {
            let first = call();
            if first < 0 { call() } else { first }
        }
        Mutant::IgnoreSync => {
            call();
            0
        }
        _ => call(),
    }
}

unsafe extern "C" fn fsync(user: *mut c_void, fd: i32) -> i32 {
    unsafe { synced(user, fd, "fsync", || real().fsync.unwrap()(real().user, fd)) }
}

unsafe extern "C" fn fdatasync(user: *mut c_void, fd: i32) -> i32 {
    unsafe { synced(user, fd, "fdatasync", || real().fdatasync.unwrap()(real().user, fd)) }
}

unsafe extern "C" fn syncfs(user: *mut c_void, fd: i32) -> i32 {
    unsafe { synced(user, fd, "syncfs", || real().syncfs.unwrap()(real().user, fd)) }
}

unsafe extern "C" fn writeback(user: *mut c_void, fd: i32, operation: i32, offset: u64, len: u64) -> i32 {
    match unsafe { me(user) }.mutant {
        Mutant::NoSync | Mutant::NoFileSync => 0,
        _ => unsafe { real().writeback.unwrap()(real().user, fd, operation, offset, len) },
    }
}

unsafe extern "C" fn aio(
    user: *mut c_void,
    operation: i32,
    queue: *mut u64,
    fd: i32,
    buf: *const c_void,
    len: usize,
    offset: u64,
) -> i64 {
    let this = unsafe { me(user) };
    // No room of that length can be had, nor therefore direct writes.
    let len = if this.cached && operation == STEADFAST_AIO_OPEN { 0 } else { len };
    let call = || unsafe { real().aio.unwrap()(real().user, operation, queue, fd, buf, len, offset) };
    match operation {
        STEADFAST_AIO_OPEN => {
            let first = this.mutant == Mutant::LatePiece && this.late.is_none();
            this.step("begin");
            let answer = call();
            if answer >= 0 && unsafe { libc::fcntl(fd, libc::F_GETFL) } & libc::O_DIRECT != 0 {
                mark(this.ctl, DIRECT);
            }
            this.large = answer >= 0;
            this.wants_late = first && answer >= 0;
            answer
        }
        STEADFAST_AIO_WRITE => {
            this.step("piece");
            if std::mem::take(&mut this.wants_late) {
                let file = OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}")).unwrap();
                let bytes = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) }.to_vec();
                this.late = Some(Late { file, bytes, offset });
                this.pretended = Some(len as i64);
                return 0;
            }
            call()
        }
        STEADFAST_AIO_WAIT => this.pretended.take().unwrap_or_else(call),
        _ => call(),
    }
}

unsafe extern "C" fn ftruncate(user: *mut c_void, fd: i32, len: u64) -> i32 {
    unsafe { me(user) }.step("truncate");
    unsafe { real().ftruncate.unwrap()(real().user, fd, len) }
}

unsafe extern "C" fn fchmod(user: *mut c_void, fd: i32, mode: u32) -> i32 {
    unsafe { me(user) }.step("chmod");
    unsafe { real().fchmod.unwrap()(real().user, fd, mode) }
}

unsafe extern "C" fn fsetxattr(user: *mut c_void, fd: i32, name: *const c_char, buf: *const c_void, len: usize) -> i32 {
    let this = unsafe { me(user) };
    this.step("setxattr");
    if this.mutant == Mutant::LockUnmarked {
        return -libc::EOPNOTSUPP;
    }
    if this.mutant == Mutant::AttributeLast {
        this.deferred = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) }.to_vec();
        return 0;
    }
    let mut value = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) }.to_vec();
    if this.mutant == Mutant::AttributeFirst {
        // Without the flag of what was not synced: its time would not count.
        value[47] &= !2;
    }
    let set = unsafe { real().fsetxattr.unwrap()(real().user, fd, name, value.as_ptr().cast(), len) };
    let content = std::mem::take(&mut this.deferred);
    let written = unsafe { libc::pwrite(fd, content.as_ptr().cast(), content.len(), 0) };
    assert_eq!(written, content.len() as isize, "the content after the attribute");
    set
}

unsafe fn rename(dir: i32, from: *const c_char, to: *const c_char, flags: u32) -> i32 {
    unsafe { real().renameat.unwrap()(real().user, dir, from, dir, to, flags) }
}

unsafe extern "C" fn renameat(
    user: *mut c_void,
    old_dirfd: i32,
    old_path: *const c_char,
    new_dirfd: i32,
    new_path: *const c_char,
    flags: u32,
) -> i32 {
    let this = unsafe { me(user) };
    this.step("rename");
    if this.mounted && unsafe { ends(new_path, b"state") } {
        return -libc::EBUSY;
    }
    match this.mutant {
        Mutant::InPlace if unsafe { is_temp(old_path) } => 0,
        Mutant::PreviousByRename | Mutant::PreviousByUnlink | Mutant::PreviousByExchange if unsafe { is_rotating(old_path) } => 0,
        Mutant::PreviousByExchange if unsafe { is_temp(old_path) } => {
            let result = unsafe { rename(new_dirfd, old_path, new_path, libc::RENAME_EXCHANGE) };
            if result < 0 {
                return result;
            }
            this.step("rename");
            unsafe { rename(new_dirfd, old_path, PREVIOUS, 0) }
        }
        _ => unsafe { real().renameat.unwrap()(real().user, old_dirfd, old_path, new_dirfd, new_path, flags) },
    }
}

unsafe extern "C" fn linkat(
    user: *mut c_void,
    old_dirfd: i32,
    old_path: *const c_char,
    new_dirfd: i32,
    new_path: *const c_char,
    flags: i32,
) -> i32 {
    let this = unsafe { me(user) };
    this.step("link");
    let rotating = unsafe { is_rotating(new_path) };
    match this.mutant {
        Mutant::PreviousByExchange if rotating => 0,
        Mutant::PreviousByRename if rotating => unsafe { rename(new_dirfd, STATE, PREVIOUS, 0) },
        Mutant::PreviousByUnlink if rotating => unsafe {
            real().unlinkat.unwrap()(real().user, new_dirfd, PREVIOUS, 0);
            this.step("link");
            real().linkat.unwrap()(real().user, old_dirfd, STATE, new_dirfd, PREVIOUS, 0)
        },
        _ => unsafe { real().linkat.unwrap()(real().user, old_dirfd, old_path, new_dirfd, new_path, flags) },
    }
}

unsafe extern "C" fn unlinkat(user: *mut c_void, dirfd: i32, path: *const c_char, flags: i32) -> i32 {
    unsafe { me(user) }.step("unlink");
    unsafe { real().unlinkat.unwrap()(real().user, dirfd, path, flags) }
}

unsafe extern "C" fn mkdirat(user: *mut c_void, dirfd: i32, path: *const c_char, mode: u32) -> i32 {
    unsafe { me(user) }.step("mkdir");
    unsafe { real().mkdirat.unwrap()(real().user, dirfd, path, mode) }
}

/// Shows the library what it expects to see after a spoilt call.
unsafe extern "C" fn fstatat(
    user: *mut c_void,
    dirfd: i32,
    path: *const c_char,
    out: *mut steadfast::hooks::steadfast_stat,
) -> i32 {
    let path = match unsafe { me(user) }.mutant {
        Mutant::InPlace if unsafe { is_temp(path) } => STATE,
        Mutant::PreviousByExchange if unsafe { is_rotating(path) } => STATE,
        Mutant::PreviousByRename | Mutant::PreviousByUnlink if unsafe { is_rotating(path) } => PREVIOUS,
        _ => path,
    };
    unsafe { real().fstatat.unwrap()(real().user, dirfd, path, out) }
}
