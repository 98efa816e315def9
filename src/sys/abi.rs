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
}

impl steadfast_stat {
    /// About no file.
    pub(crate) const ZERO: steadfast_stat =
        steadfast_stat { dev: 0, ino: 0, mode: 0, nlink: 0, uid: 0, gid: 0, size: 0, mtime_ns: 0, attributes: 0, reserved: 0 };
}

/// In steadfast_stat.attributes: the file is the root of a mount (a bind-mounted file).
pub const STEADFAST_STAT_MOUNT_ROOT: u32 = 1;

/// struct pollfd of POSIX, by its fixed-width name.
#[repr(C)]
#[derive(Clone, Copy, Default)]
#[allow(non_camel_case_types)]
pub struct steadfast_pollfd {
    /// Descriptor; a negative one is passed over.
    pub fd: i32,
    /// Events asked for: 1 is POLLIN.
    pub events: i16,
    /// Events seen.
    pub revents: i16,
}

/// Operations of the sigxfsz hook.
pub const STEADFAST_SIGXFSZ_BLOCK: i32 = 0;
/// See STEADFAST_SIGXFSZ_BLOCK.
pub const STEADFAST_SIGXFSZ_RESTORE: i32 = 1;
/// State bits of the sigxfsz hook: it was blocked, was pending, and (given by the library) was raised.
pub const STEADFAST_SIGXFSZ_WAS_BLOCKED: i32 = 1;
/// See STEADFAST_SIGXFSZ_WAS_BLOCKED.
pub const STEADFAST_SIGXFSZ_WAS_PENDING: i32 = 2;
/// See STEADFAST_SIGXFSZ_WAS_BLOCKED.
pub const STEADFAST_SIGXFSZ_RAISED: i32 = 4;

/// Clocks of the clock hook: CLOCK_REALTIME and CLOCK_MONOTONIC.
pub const STEADFAST_CLOCK_REALTIME: i32 = 0;
/// See STEADFAST_CLOCK_REALTIME.
pub const STEADFAST_CLOCK_MONOTONIC: i32 = 1;

/// Operations of the ofdlock hook, which gives and asks for open file description locks on a range of bytes:
/// take a shared one without waiting.
pub const STEADFAST_OFDLOCK_SET: i32 = 0;
/// Is there one of somebody else's?
pub const STEADFAST_OFDLOCK_TEST: i32 = 1;
/// Take a shared one, waiting.
pub const STEADFAST_OFDLOCK_WAIT: i32 = 2;
/// Take an exclusive one without waiting.
pub const STEADFAST_OFDLOCK_EXCLUSIVE: i32 = 3;
/// Give it up.
pub const STEADFAST_OFDLOCK_UNLOCK: i32 = 4;

/// Operations of the writeback hook: begin to write what is dirty in a range of bytes.
pub const STEADFAST_WRITEBACK_START: i32 = 0;
/// The same, and wait; an error that it met is returned.
pub const STEADFAST_WRITEBACK_WAIT: i32 = 1;

/// Operations of the aio hook, which writes so that the device begins at once. OPEN makes ready for a file of `len`
/// bytes, which may get longer by it; `queue` is 0 before, and from then on the hook's.
pub const STEADFAST_AIO_OPEN: i32 = 0;
/// Starts writing `len` bytes at `offset`; `buf` stays as it is until its WAIT. All three are multiples of 4096, as for
/// O_DIRECT (open(2)). One at a time.
pub const STEADFAST_AIO_WRITE: i32 = 1;
/// Waits for the started write: how much it wrote, or its error.
pub const STEADFAST_AIO_WAIT: i32 = 2;
/// Waits for what is still being written, and ends it. Also after an OPEN that failed; its answer is not looked at.
pub const STEADFAST_AIO_CLOSE: i32 = 3;

/// steadfast_hooks.absent: act as if the platform had no such thing.
pub const STEADFAST_ABSENT_O_DIRECTORY: u32 = 1 << 0;
/// A directory cannot be synced: every save is STEADFAST_NOT_DURABLE, with STRICT it is refused.
pub const STEADFAST_ABSENT_DIR_FSYNC: u32 = 1 << 1;
/// open(2) has no O_TMPFILE: lock files are made under a private name first.
pub const STEADFAST_ABSENT_O_TMPFILE: u32 = 1 << 2;
/// rename has no flags: a name is created by link instead of by RENAME_NOREPLACE.
pub const STEADFAST_ABSENT_RENAMEAT2: u32 = 1 << 3;
/// No flock: orphans stay, IF_GENERATION and taking or cleaning a lock are STEADFAST_E_UNSUPPORTED.
pub const STEADFAST_ABSENT_FLOCK: u32 = 1 << 4;
/// No extended attributes: another boot and a reused PID are not recognised.
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
/// No syncfs: STEADFAST_SAVE_SYNCFS syncs one file after the other.
pub const STEADFAST_ABSENT_SYNCFS: u32 = 1 << 12;
/// No such writes: a large state is hashed first and then written.
pub const STEADFAST_ABSENT_AIO: u32 = 1 << 13;
/// Files cannot be synced at once: a batch syncs one after the other.
pub const STEADFAST_ABSENT_FSYNC_MANY: u32 = 1 << 14;
/// No openat2: a context made with STEADFAST_CONTEXT_BENEATH is STEADFAST_E_UNSUPPORTED.
pub const STEADFAST_ABSENT_OPENAT2: u32 = 1 << 15;
/// A mapping does not keep the flock of a lock file: the lock keeps a descriptor.
pub const STEADFAST_ABSENT_MAP: u32 = 1 << 16;
/// All bits above.
pub(crate) const ABSENT_ALL: u32 = (1 << 17) - 1;

/// The system calls of the library, as function pointers.
///
/// Each hook returns >= 0 or a negated errno, and gets `user` first. A NULL hook is the real call; but fdatasync is the
/// fsync hook, where there is one, and nothing goes past an fsync or write hook, or a fault
/// injected there, by syncfs, fsync_many or aio. The
/// library retries a hook that returns -EINTR (except close), goes on after a short write, and answers
/// STEADFAST_E_HOOK for a hook that returns more than it was given or something that is no errno. A hook
/// runs in the thread that called the library; it must not call back with the same lock.
///
/// Start from steadfast_hooks_init() or from a zeroed table with `size` set. A table of a later, longer
/// version is accepted when its unknown tail is zero.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_hooks {
    /// sizeof(steadfast_hooks).
    pub size: usize,
    /// First argument of every hook.
    pub user: *mut c_void,
    /// STEADFAST_ABSENT_*; 0 is a complete platform.
    pub absent: u32,
    /// 0.
    pub reserved: u32,
    pub openat: Option<unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, flags: i32, mode: u32) -> i32>,
    pub close: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i32>,
    pub write: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, buf: *const c_void, len: usize) -> i64>,
    pub fsync: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i32>,
    /// `flags` are those of renameat2(2); 0 is plain renameat.
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
    pub unlinkat: Option<unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, flags: i32) -> i32>,
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
    pub mkdirat: Option<unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, mode: u32) -> i32>,
    pub readlinkat:
        Option<unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, buf: *mut c_void, len: usize) -> i64>,
    pub read: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, buf: *mut c_void, len: usize) -> i64>,
    pub pread: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, buf: *mut c_void, len: usize, offset: u64) -> i64>,
    pub fstat: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, out: *mut steadfast_stat) -> i32>,
    /// Never follows a symbolic link.
    pub fstatat:
        Option<unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, out: *mut steadfast_stat) -> i32>,
    /// Returns the file system's magic number (statfs.f_type), 0 where there is none.
    pub fstatfs: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i64>,
    pub fchmod: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, mode: u32) -> i32>,
    pub fchown: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, uid: u32, gid: u32) -> i32>,
    pub flock: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, operation: i32) -> i32>,
    /// One of STEADFAST_OFDLOCK_* on [start, start + len). TEST returns 1 when a lock of someone else lies in that range,
    /// and its start and length (0: to the end) in `found[0]` and `found[1]`; else 0.
    pub ofdlock:
        Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, operation: i32, start: i64, len: i64, found: *mut i64) -> i32>,
    pub fgetxattr:
        Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, name: *const c_char, buf: *mut c_void, len: usize) -> i64>,
    pub fsetxattr:
        Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, name: *const c_char, buf: *const c_void, len: usize) -> i32>,
    pub getpid: Option<unsafe extern "C" fn(user: *mut c_void) -> i32>,
    /// The effective user, >= 0.
    pub geteuid: Option<unsafe extern "C" fn(user: *mut c_void) -> i64>,
    pub kill: Option<unsafe extern "C" fn(user: *mut c_void, pid: i32, signal: i32) -> i32>,
    pub pidfd_open: Option<unsafe extern "C" fn(user: *mut c_void, pid: i32, flags: u32) -> i32>,
    /// ppoll(2) without a signal mask: `timeout_ns` 0 returns at once, a negative one waits for ever.
    pub poll: Option<unsafe extern "C" fn(user: *mut c_void, fds: *mut steadfast_pollfd, count: u32, timeout_ns: i64) -> i32>,
    pub inotify_init: Option<unsafe extern "C" fn(user: *mut c_void, flags: i32) -> i32>,
    pub inotify_add_watch: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, path: *const c_char, mask: u32) -> i32>,
    /// Nanoseconds of one of STEADFAST_CLOCK_*.
    pub clock: Option<unsafe extern "C" fn(user: *mut c_void, clock: i32, ns: *mut i64) -> i32>,
    /// BLOCK holds SIGXFSZ off the calling thread and returns the state to give back to RESTORE.
    pub sigxfsz: Option<unsafe extern "C" fn(user: *mut c_void, operation: i32, state: i32) -> i32>,
    /// fsync, but for metadata that reading the content back does not need.
    pub fdatasync: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i32>,
    /// Syncs the whole file system of `fd`.
    pub syncfs: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i32>,
    pub ftruncate: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, len: u64) -> i32>,
    /// One of STEADFAST_WRITEBACK_*, as sync_file_range(2). It makes nothing durable.
    pub writeback: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32, operation: i32, offset: u64, len: u64) -> i32>,
    /// One of STEADFAST_AIO_*.
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
    /// fsync of the `count` descriptors at `files`, all under way at once: each is replaced by 0 or a negated errno. An error
    /// of its own means that none was begun. `queue` is 0 at first, and then the hook's; a call with `count` 0 ends it.
    pub fsync_many: Option<unsafe extern "C" fn(user: *mut c_void, queue: *mut u64, files: *mut i32, count: u32) -> i32>,
    /// openat2(2) with `resolve` as its RESOLVE_* flags; STEADFAST_CONTEXT_BENEATH needs it.
    pub openat2: Option<
        unsafe extern "C" fn(user: *mut c_void, dirfd: i32, path: *const c_char, flags: i32, mode: u32, resolve: u64) -> i32,
    >,
    /// Maps a page of `fd`, private to this process and not inherited by fork, so that its open file description, and
    /// with it its flock, outlives the descriptor. Returns the address.
    pub map: Option<unsafe extern "C" fn(user: *mut c_void, fd: i32) -> i64>,
    /// Ends such a mapping.
    pub unmap: Option<unsafe extern "C" fn(user: *mut c_void, address: u64) -> i32>,
}

// The library only reads a table that it hands out.
unsafe impl Sync for steadfast_hooks {}
