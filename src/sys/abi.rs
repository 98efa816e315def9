//! The hook table as C sees it.

use core::ffi::{c_char, c_void};

/// What the fstat and fstatat hooks fill: the part of struct stat that the library looks at.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[allow(non_camel_case_types)]
pub struct steadfast_stat {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// File type and permission bits, as in struct stat.
    pub mode: u32,
    /// Number of hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Last change of the content, nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// STEADFAST_STAT_*.
    pub attributes: u32,
    /// 0.
    pub reserved: u32,
    /// When the file was created, in nanoseconds since the Unix epoch; 0 if that is not known.
    pub btime_ns: i64,
}

impl steadfast_stat {
    /// About no file.
    ///
    /// cbindgen:ignore
    pub const ZERO: steadfast_stat = steadfast_stat {
        dev: 0,
        ino: 0,
        mode: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        size: 0,
        mtime_ns: 0,
        attributes: 0,
        reserved: 0,
        btime_ns: 0,
    };
}

/// The file is the root of a mount, such as a bind-mounted file.
pub const STEADFAST_STAT_MOUNT_ROOT: u32 = 1;

/// struct pollfd (poll(2)) by a name of fixed width.
#[repr(C)]
#[derive(Clone, Copy, Default)]
#[allow(non_camel_case_types)]
pub struct steadfast_pollfd {
    /// Descriptor; a negative one is ignored.
    pub fd: i32,
    /// Events that are waited for: 1 is POLLIN.
    pub events: i16,
    /// Events that have occurred; set by the hook.
    pub revents: i16,
}

/// In the count of the fsync_many hook: fdatasync(2) is enough.
pub const STEADFAST_SYNC_DATA: u32 = 1 << 30;

/// Blocks SIGXFSZ in the calling thread. Returns the state.
pub const STEADFAST_SIGXFSZ_BLOCK: i32 = 0;
/// Undoes that, given the state.
pub const STEADFAST_SIGXFSZ_RESTORE: i32 = 1;
/// The signal was blocked before.
pub const STEADFAST_SIGXFSZ_WAS_BLOCKED: i32 = 1;
/// The signal was pending before.
pub const STEADFAST_SIGXFSZ_WAS_PENDING: i32 = 2;
/// Set by the library before RESTORE: a write failed with EFBIG, so that a signal is pending which must not arrive.
pub const STEADFAST_SIGXFSZ_RAISED: i32 = 4;

/// CLOCK_REALTIME (clock_gettime(2)).
pub const STEADFAST_CLOCK_REALTIME: i32 = 0;
/// CLOCK_MONOTONIC (clock_gettime(2)).
pub const STEADFAST_CLOCK_MONOTONIC: i32 = 1;

/// Take a shared lock without waiting.
pub const STEADFAST_OFDLOCK_SET: i32 = 0;
/// Look for a lock of somebody else's in the range.
pub const STEADFAST_OFDLOCK_TEST: i32 = 1;
/// Take a shared lock, waiting for it.
pub const STEADFAST_OFDLOCK_WAIT: i32 = 2;
/// Take an exclusive lock without waiting.
pub const STEADFAST_OFDLOCK_EXCLUSIVE: i32 = 3;
/// Release it.
pub const STEADFAST_OFDLOCK_UNLOCK: i32 = 4;

/// Begin to write them.
pub const STEADFAST_WRITEBACK_START: i32 = 0;
/// Write them and wait. An error that the file has met is returned.
pub const STEADFAST_WRITEBACK_WAIT: i32 = 1;

/// Prepare for a file of `len` bytes. The file may get that length by it. `*queue` is 0 before, and the hook's from
/// then on.
pub const STEADFAST_AIO_OPEN: i32 = 0;
/// Start writing `len` bytes at `offset`. `buf` does not change before the WAIT. Address, length and offset are
/// multiples of 4096, as O_DIRECT needs (open(2)).
pub const STEADFAST_AIO_WRITE: i32 = 1;
/// Wait for that write. Returns the number of bytes written.
pub const STEADFAST_AIO_WAIT: i32 = 2;
/// Wait for what is still being written, and end it. It comes after a failed OPEN as well. Its answer is ignored,
/// except that after an error the memory of a write under way is not freed.
pub const STEADFAST_AIO_CLOSE: i32 = 3;

/// open(2) has no O_DIRECTORY: a directory is opened without it and then checked.
pub const STEADFAST_ABSENT_O_DIRECTORY: u32 = 1 << 0;
/// A directory cannot be synced: every save is STEADFAST_NOT_DURABLE, and with STEADFAST_SAVE_STRICT it is refused.
pub const STEADFAST_ABSENT_DIR_FSYNC: u32 = 1 << 1;
/// open(2) has no O_TMPFILE: lock files are created under a private name first.
pub const STEADFAST_ABSENT_O_TMPFILE: u32 = 1 << 2;
/// rename has no flags: a name is created by link instead of by RENAME_NOREPLACE.
pub const STEADFAST_ABSENT_RENAMEAT2: u32 = 1 << 3;
/// No flock: temporary files of killed writers stay; IF_GENERATION, and taking or cleaning a lock, are
/// STEADFAST_E_UNSUPPORTED.
pub const STEADFAST_ABSENT_FLOCK: u32 = 1 << 4;
/// No extended attributes: another boot and a reused PID are not recognised, and ACLs are neither read nor set.
pub const STEADFAST_ABSENT_XATTR: u32 = 1 << 5;
/// No pidfd: kill and /proc tell whether a process lives.
pub const STEADFAST_ABSENT_PIDFD: u32 = 1 << 6;
/// No /proc.
pub const STEADFAST_ABSENT_PROC: u32 = 1 << 7;
/// No inotify: waiting for a lock polls.
pub const STEADFAST_ABSENT_INOTIFY: u32 = 1 << 8;
/// No open file description locks: waiters are not queued.
pub const STEADFAST_ABSENT_OFDLOCK: u32 = 1 << 9;
/// No hard links: the previous generation is kept by a copy.
pub const STEADFAST_ABSENT_LINK: u32 = 1 << 10;
/// No fdatasync: fsync is called instead.
pub const STEADFAST_ABSENT_FDATASYNC: u32 = 1 << 11;
/// No syncfs: STEADFAST_SAVE_SYNCFS syncs each file by itself.
pub const STEADFAST_ABSENT_SYNCFS: u32 = 1 << 12;
/// Asynchronous writes (the aio hook) are unavailable: large states are hashed completely, then written.
pub const STEADFAST_ABSENT_AIO: u32 = 1 << 13;
/// Files cannot be synced at once: a batch syncs one after the other.
pub const STEADFAST_ABSENT_FSYNC_MANY: u32 = 1 << 14;
/// No openat2: a context with STEADFAST_CONTEXT_BENEATH is STEADFAST_E_UNSUPPORTED.
pub const STEADFAST_ABSENT_OPENAT2: u32 = 1 << 15;
/// A mapping does not keep a lock file's flock: the lock keeps a descriptor.
pub const STEADFAST_ABSENT_MAP: u32 = 1 << 16;
/// All bits above.
pub(crate) const ABSENT_ALL: u32 = (1 << 17) - 1;

/// The system calls of the library, as function pointers.
///
/// Each hook gets `user` first and does what the system call of its name does, unless its comment says otherwise. It
/// returns 0 or more, or a negated errno. Flags, modes and errno values are those of the platform.
///
/// A NULL hook means the real system call, with two exceptions. If fsync is hooked and fdatasync is not, fdatasync goes
/// to the fsync hook. If fsync or write is hooked, or has a fault injected, the calls that would bypass it (syncfs,
/// fsync_many, aio) are disabled unless they are hooked too.
///
/// After -EINTR the library calls a hook again, except close and poll. After a short write it continues with the rest.
/// If a hook returns more than it was given, or a number that is no errno, the call is STEADFAST_E_HOOK.
///
/// A hook runs in the thread that called the library. It must not call the library with the same lock.
///
/// Start from steadfast_hooks_init(), or from a zeroed table with `size` set. A table may end after any hook; a later
/// version's longer table is accepted if what this version does not know is zero.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_hooks {
    /// sizeof(steadfast_hooks).
    pub size: usize,
    /// First argument of every hook.
    pub user: *mut c_void,
    /// STEADFAST_ABSENT_*; 0 means a complete platform.
    pub absent: u32,
    /// 0.
    pub reserved: u32,
    /// openat(2). A directory is opened by its path, so that a hook sees it; what is in it, relative to its descriptor.
    pub openat: Option<unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, flags: i32, mode: u32) -> i32>,
    /// close(2). It is called once, whatever it answers.
    pub close: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i32>,
    /// write(2).
    pub write: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, buf: *const c_void, len: usize) -> i64>,
    /// fsync(2), of files and directories.
    pub fsync: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i32>,
    /// renameat2(2); `flags` 0 is renameat(2).
    pub renameat: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            old_dirfd: i32,
            old_path: *const c_char,
            new_dirfd: i32,
            new_path: *const c_char,
            flags: u32,
        ) -> i32,
    >,
    /// unlinkat(2).
    pub unlinkat: Option<unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, flags: i32) -> i32>,
    /// linkat(2).
    pub linkat: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            old_dirfd: i32,
            old_path: *const c_char,
            new_dirfd: i32,
            new_path: *const c_char,
            flags: i32,
        ) -> i32,
    >,
    /// mkdirat(2).
    pub mkdirat: Option<unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, mode: u32) -> i32>,
    /// readlinkat(2).
    pub readlinkat:
        Option<unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, buf: *mut c_void, len: usize) -> i64>,
    /// read(2).
    pub read: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, buf: *mut c_void, len: usize) -> i64>,
    /// pread(2).
    pub pread: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, buf: *mut c_void, len: usize, offset: u64) -> i64>,
    /// fstat(2), into `out`.
    pub fstat: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, out: *mut steadfast_stat) -> i32>,
    /// fstatat(2), into `out`. It never follows a symbolic link.
    pub fstatat:
        Option<unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, out: *mut steadfast_stat) -> i32>,
    /// Returns the magic number of the file system (fstatfs(2), f_type), or 0 if there is none.
    pub fstatfs: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i64>,
    /// fchmod(2).
    pub fchmod: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, mode: u32) -> i32>,
    /// fchown(2).
    pub fchown: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, uid: u32, gid: u32) -> i32>,
    /// flock(2).
    pub flock: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, operation: i32) -> i32>,
    /// One of STEADFAST_OFDLOCK_* on [start, start + len); `len` 0 goes to the end. TEST returns 1 if somebody else has
    /// a lock in that range, and stores its start and length (0: to the end) in found[0] and found[1]; otherwise it
    /// returns 0.
    pub ofdlock:
        Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, operation: i32, start: i64, len: i64, found: *mut i64) -> i32>,
    /// fgetxattr(2).
    pub fgetxattr:
        Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, name: *const c_char, buf: *mut c_void, len: usize) -> i64>,
    /// fsetxattr(2), without flags.
    pub fsetxattr:
        Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, name: *const c_char, buf: *const c_void, len: usize) -> i32>,
    /// getpid(2).
    pub getpid: Option<unsafe extern "C" fn(user: *mut c_void) -> i32>,
    /// geteuid(2). Returns the user id, 0 or more.
    pub geteuid: Option<unsafe extern "C" fn(user: *mut c_void) -> i64>,
    /// kill(2), with signal 0 only.
    pub kill: Option<unsafe extern "C" fn(user: *mut c_void, pid: i32, signal: i32) -> i32>,
    /// pidfd_open(2).
    pub pidfd_open: Option<unsafe extern "C" fn(user: *mut c_void, pid: i32, flags: u32) -> i32>,
    /// ppoll(2) without a signal mask. `timeout_ns` 0 returns at once, a negative value waits without limit.
    pub poll: Option<unsafe extern "C" fn(user: *mut c_void, fds: *mut steadfast_pollfd, count: u32, timeout_ns: i64) -> i32>,
    /// inotify_init1(2).
    pub inotify_init: Option<unsafe extern "C" fn(user: *mut c_void, flags: i32) -> i32>,
    /// inotify_add_watch(2).
    pub inotify_add_watch: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, path: *const c_char, mask: u32) -> i32>,
    /// One of STEADFAST_CLOCK_*, in nanoseconds, into `*ns`.
    pub clock: Option<unsafe extern "C" fn(user: *mut c_void, clock: i32, ns: *mut i64) -> i32>,
    /// One of STEADFAST_SIGXFSZ_*: keeps a write that exceeds RLIMIT_FSIZE from killing the process.
    pub sigxfsz: Option<unsafe extern "C" fn(user: *mut c_void, operation: i32, state: i32) -> i32>,
    /// fdatasync(2).
    pub fdatasync: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i32>,
    /// syncfs(2), of the file system of `fd`.
    pub syncfs: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i32>,
    /// ftruncate(2).
    pub ftruncate: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, len: u64) -> i32>,
    /// One of STEADFAST_WRITEBACK_*, as sync_file_range(2). `len` 0 goes to the end.
    pub writeback: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, operation: i32, offset: u64, len: u64) -> i32>,
    /// One of STEADFAST_AIO_*: writes for which the device begins at once.
    pub aio: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            operation: i32,
            queue: *mut u64,
            fd: i32,
            buf: *const c_void,
            len: usize,
            offset: u64,
        ) -> i64,
    >,
    /// fsync(2) of the `count` descriptors at `files`, all under way at once. If `count` has the bit STEADFAST_SYNC_DATA, fdatasync(2)
    /// is enough. The hook replaces each descriptor by 0 or a negated errno. An error of the hook itself means that no sync was
    /// started. `*queue` is 0 at first, and the hook's from then on; a call with `count` 0 frees it.
    pub fsync_many: Option<unsafe extern "C" fn(user: *mut c_void, queue: *mut u64, files: *mut i32, count: u32) -> i32>,
    /// openat2(2); `resolve` has its RESOLVE_* flags. Only contexts with STEADFAST_CONTEXT_BENEATH call it.
    pub openat2: Option<
        unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, flags: i32, mode: u32, resolve: u64) -> i32,
    >,
    /// Maps a page of `fd`, private to this process (MAP_PRIVATE) and not inherited by fork (MADV_DONTFORK). The
    /// mapping keeps the open file description, and with it the flock, when the descriptor is closed. Returns the
    /// address.
    pub map: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i64>,
    /// munmap(2) of such a mapping.
    pub unmap: Option<unsafe extern "C" fn(user: *mut c_void, address: u64) -> i32>,
    /// pwrite(2). The position of the descriptor, which a child may share, stays.
    pub pwrite: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, buf: *const c_void, len: usize, offset: u64) -> i64>,
    /// flistxattr(2). Only saves with STEADFAST_SAVE_KEEP_ATTRIBUTES call it.
    pub flistxattr: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, buf: *mut c_void, len: usize) -> i64>,
    /// getdents64(2): fills `buf`, which is aligned to 8 bytes, with entries of the directory (struct linux_dirent64);
    /// 0 at its end. Only steadfast_directory_sweep calls it.
    pub getdents: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, buf: *mut c_void, len: usize) -> i64>,
}

// The library only reads a table that it hands out.
unsafe impl Sync for steadfast_hooks {}
