//! The real calls, in the shape of the hooks: >= 0 or a negated errno.

use super::disk::*;
use super::signal::{is_pending, mask, take_pending};
use super::table::*;
use core::ffi::{c_char, c_int, c_void};
use libc::ENOSYS;

fn errno() -> i32 {
    #[cfg(any(target_os = "linux", target_os = "emscripten"))]
    let slot = unsafe { libc::__errno_location() };
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    let slot = unsafe { libc::__error() };
    #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
    let slot = unsafe { libc::__errno() };
    #[cfg(target_os = "dragonfly")]
    let slot = unsafe { libc::__errno_location() };
    unsafe { *slot }
}

pub fn int(result: c_int) -> i32 {
    if result < 0 { errno().wrapping_neg() } else { result }
}

pub fn long(result: isize) -> i64 {
    if result < 0 { i64::from(errno()).wrapping_neg() } else { result as i64 }
}

/// For by_number!.
#[cfg(target_os = "linux")]
pub fn system_call(number: libc::c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> i64 {
    long(unsafe { libc::syscall(number, a, b, c, d, e, f) } as isize)
}

pub unsafe extern "C" fn openat(_: *mut c_void, dirfd: i32, path: *const c_char, flags: i32, mode: u32) -> i32 {
    int(unsafe { libc::openat(dirfd, path, flags, mode as libc::c_uint) })
}

pub unsafe extern "C" fn close(_: *mut c_void, fd: i32) -> i32 {
    int(unsafe { libc::close(fd) })
}

pub unsafe extern "C" fn write(_: *mut c_void, fd: i32, buf: *const c_void, len: usize) -> i64 {
    long(unsafe { libc::write(fd, buf, len) })
}

pub unsafe extern "C" fn fsync(_: *mut c_void, fd: i32) -> i32 {
    // On Apple systems fsync leaves the data in the drive's cache; F_FULLFSYNC does not (fcntl(2) there).
    #[cfg(target_vendor = "apple")]
    {
        let full = int(unsafe { libc::fcntl(fd, libc::F_FULLFSYNC) });
        if full >= 0 || ![-libc::ENOTSUP, -libc::EINVAL, -libc::ENOTTY].contains(&full) {
            return full;
        }
    }
    int(unsafe { libc::fsync(fd) })
}

pub unsafe extern "C" fn renameat(_: *mut c_void, od: i32, op: *const c_char, nd: i32, np: *const c_char, flags: u32) -> i32 {
    if flags == 0 {
        return int(unsafe { libc::renameat(od, op, nd, np) });
    }
    #[cfg(target_os = "linux")]
    {
        by_number!(SYS_renameat2, od, op, nd, np, flags) as i32
    }
    #[cfg(not(target_os = "linux"))]
    {
        ENOSYS.wrapping_neg()
    }
}

pub unsafe extern "C" fn unlinkat(_: *mut c_void, dirfd: i32, path: *const c_char, flags: i32) -> i32 {
    int(unsafe { libc::unlinkat(dirfd, path, flags) })
}

pub unsafe extern "C" fn linkat(_: *mut c_void, od: i32, op: *const c_char, nd: i32, np: *const c_char, flags: i32) -> i32 {
    int(unsafe { libc::linkat(od, op, nd, np, flags) })
}

pub unsafe extern "C" fn mkdirat(_: *mut c_void, dirfd: i32, path: *const c_char, mode: u32) -> i32 {
    int(unsafe { libc::mkdirat(dirfd, path, mode as libc::mode_t) })
}

pub unsafe extern "C" fn readlinkat(_: *mut c_void, dirfd: i32, path: *const c_char, buf: *mut c_void, len: usize) -> i64 {
    long(unsafe { libc::readlinkat(dirfd, path, buf.cast::<c_char>(), len) })
}

pub unsafe extern "C" fn read(_: *mut c_void, fd: i32, buf: *mut c_void, len: usize) -> i64 {
    long(unsafe { libc::read(fd, buf, len) })
}

pub unsafe extern "C" fn pread(_: *mut c_void, fd: i32, buf: *mut c_void, len: usize, offset: u64) -> i64 {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    let result = long(unsafe { libc::pread(fd, buf, len, offset as libc::off_t) });
    #[cfg(all(target_os = "linux", not(target_pointer_width = "64")))]
    let result = long(unsafe { libc::pread64(fd, buf, len, offset as i64) });
    #[cfg(not(target_os = "linux"))]
    let result = long(unsafe { libc::pread(fd, buf, len, offset as libc::off_t) });
    result
}

/// struct stat in our words. The casts differ from platform to platform.
#[allow(clippy::unnecessary_cast)]
macro_rules! from_stat {
    ($s:expr) => {
        steadfast_stat {
            dev: $s.st_dev as u64,
            ino: $s.st_ino as u64,
            mode: $s.st_mode as u32,
            nlink: $s.st_nlink as u32,
            uid: $s.st_uid as u32,
            gid: $s.st_gid as u32,
            size: $s.st_size as u64,
            mtime_ns: ($s.st_mtime as i64).wrapping_mul(1_000_000_000).wrapping_add($s.st_mtime_nsec as i64),
            attributes: 0,
            reserved: 0,
        }
    };
}

pub unsafe extern "C" fn fstat(_: *mut c_void, fd: i32, out: *mut steadfast_stat) -> i32 {
    #[cfg(target_os = "linux")]
    {
        unsafe { statx(fd, c"".as_ptr(), libc::AT_EMPTY_PATH, out) }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut stat: libc::stat = unsafe { core::mem::zeroed() };
        let result = unsafe { libc::fstat(fd, &mut stat) };
        if result < 0 {
            return int(result);
        }
        unsafe { out.write(from_stat!(stat)) };
        0
    }
}

/// statx costs what fstat costs, and also says whether the file is a mount point (statx(2), Linux 5.8).
#[cfg(target_os = "linux")]
unsafe fn statx(dirfd: i32, path: *const c_char, flags: i32, out: *mut steadfast_stat) -> i32 {
    let mut x: libc::statx = unsafe { core::mem::zeroed() };
    let result = by_number!(SYS_statx, dirfd, path, flags, libc::STATX_BASIC_STATS, &raw mut x) as i32;
    if result >= 0 {
        let root = x.stx_attributes & x.stx_attributes_mask & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0;
        let stat = steadfast_stat {
            dev: libc::makedev(x.stx_dev_major, x.stx_dev_minor),
            ino: x.stx_ino,
            mode: u32::from(x.stx_mode),
            nlink: x.stx_nlink,
            uid: x.stx_uid,
            gid: x.stx_gid,
            size: x.stx_size,
            mtime_ns: x.stx_mtime.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(i64::from(x.stx_mtime.tv_nsec)),
            attributes: if root { STEADFAST_STAT_MOUNT_ROOT } else { 0 },
            reserved: 0,
        };
        unsafe { out.write(stat) };
        return 0;
    }
    // Kernels before 4.11, and seccomp filters that do not know statx (they answer EPERM).
    if result != ENOSYS.wrapping_neg() && result != libc::EPERM.wrapping_neg() {
        return result;
    }
    let mut stat: libc::stat64 = unsafe { core::mem::zeroed() };
    let flags = flags & !libc::AT_NO_AUTOMOUNT;
    // There the kernel's struct is the C library's.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    let result = by_number!(SYS_newfstatat, dirfd, path, &raw mut stat, flags) as i32;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let result = int(unsafe { libc::fstatat64(dirfd, path, &mut stat, flags) });
    if result >= 0 {
        unsafe { out.write(from_stat!(stat)) };
    }
    result
}

pub unsafe extern "C" fn fstatat(_: *mut c_void, dirfd: i32, path: *const c_char, out: *mut steadfast_stat) -> i32 {
    #[cfg(target_os = "linux")]
    {
        unsafe { statx(dirfd, path, libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT, out) }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut stat: libc::stat = unsafe { core::mem::zeroed() };
        let result = unsafe { libc::fstatat(dirfd, path, &mut stat, libc::AT_SYMLINK_NOFOLLOW) };
        if result < 0 {
            return int(result);
        }
        unsafe { out.write(from_stat!(stat)) };
        0
    }
}

pub unsafe extern "C" fn fstatfs(_: *mut c_void, fd: i32) -> i64 {
    #[cfg(target_os = "linux")]
    {
        let mut fs: libc::statfs = unsafe { core::mem::zeroed() };
        #[cfg(target_pointer_width = "64")]
        let result = i64::from(int(unsafe { libc::fstatfs(fd, &mut fs) }));
        #[cfg(not(target_pointer_width = "64"))]
        let result = i64::from(int(unsafe { libc::fstatfs(fd, &mut fs) }));
        if result < 0 { result } else { i64::from(fs.f_type as u32) }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        0
    }
}

pub unsafe extern "C" fn fchmod(_: *mut c_void, fd: i32, mode: u32) -> i32 {
    int(unsafe { libc::fchmod(fd, mode as libc::mode_t) })
}

pub unsafe extern "C" fn fchown(_: *mut c_void, fd: i32, uid: u32, gid: u32) -> i32 {
    int(unsafe { libc::fchown(fd, uid, gid) })
}

pub unsafe extern "C" fn flock(_: *mut c_void, fd: i32, operation: i32) -> i32 {
    #[cfg(target_os = "linux")]
    {
        int(unsafe { libc::flock(fd, operation) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        int(unsafe { libc::flock(fd, operation) })
    }
}

pub unsafe extern "C" fn ofdlock(_: *mut c_void, fd: i32, operation: i32, start: i64, len: i64, found: *mut i64) -> i32 {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    {
        let mut lock: libc::flock = unsafe { core::mem::zeroed() };
        lock.l_whence = libc::SEEK_SET as libc::c_short;
        lock.l_start = start;
        lock.l_len = len;
        let kind = match operation {
            STEADFAST_OFDLOCK_SET | STEADFAST_OFDLOCK_WAIT => libc::F_RDLCK,
            STEADFAST_OFDLOCK_UNLOCK => libc::F_UNLCK,
            _ => libc::F_WRLCK,
        };
        lock.l_type = kind as libc::c_short;
        let command = match operation {
            STEADFAST_OFDLOCK_TEST => libc::F_OFD_GETLK,
            STEADFAST_OFDLOCK_WAIT => libc::F_OFD_SETLKW,
            _ => libc::F_OFD_SETLK,
        };
        #[cfg(target_pointer_width = "64")]
        let result = int(unsafe { libc::fcntl(fd, command, &mut lock) });
        #[cfg(not(target_pointer_width = "64"))]
        let result = int(unsafe { libc::fcntl(fd, command, &mut lock) });
        if result < 0 || operation != STEADFAST_OFDLOCK_TEST || lock.l_type == libc::F_UNLCK as libc::c_short {
            return result;
        }
        unsafe { found.write(lock.l_start) };
        1
    }
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    {
        let _ = (fd, operation, start, len, found);
        ENOSYS.wrapping_neg()
    }
}

pub unsafe extern "C" fn fgetxattr(_: *mut c_void, fd: i32, name: *const c_char, buf: *mut c_void, len: usize) -> i64 {
    #[cfg(target_os = "linux")]
    {
        long(unsafe { libc::fgetxattr(fd, name, buf, len) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, name, buf, len);
        i64::from(libc::EOPNOTSUPP.wrapping_neg())
    }
}

pub unsafe extern "C" fn fsetxattr(_: *mut c_void, fd: i32, name: *const c_char, buf: *const c_void, len: usize) -> i32 {
    #[cfg(target_os = "linux")]
    {
        int(unsafe { libc::fsetxattr(fd, name, buf, len, 0) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, name, buf, len);
        libc::EOPNOTSUPP.wrapping_neg()
    }
}

pub unsafe extern "C" fn getpid(_: *mut c_void) -> i32 {
    unsafe { libc::getpid() }
}

pub unsafe extern "C" fn geteuid(_: *mut c_void) -> i64 {
    // statx tells owners by number as well: what takes the place of one (fakeroot) takes that of neither.
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    let user = i64::from(unsafe { libc::geteuid() });
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    let user = i64::from(unsafe { libc::geteuid() });
    user
}

pub unsafe extern "C" fn kill(_: *mut c_void, pid: i32, signal: i32) -> i32 {
    int(unsafe { libc::kill(pid, signal) })
}

pub unsafe extern "C" fn pidfd_open(_: *mut c_void, pid: i32, flags: u32) -> i32 {
    #[cfg(target_os = "linux")]
    {
        // pidfds are close-on-exec from birth (pidfd_open(2)).
        by_number!(SYS_pidfd_open, pid, flags) as i32
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (pid, flags);
        ENOSYS.wrapping_neg()
    }
}

pub unsafe extern "C" fn poll(_: *mut c_void, fds: *mut steadfast_pollfd, count: u32, timeout_ns: i64) -> i32 {
    #[cfg(not(target_vendor = "apple"))]
    {
        let mut time: libc::timespec = unsafe { core::mem::zeroed() };
        time.tv_sec = (timeout_ns / 1_000_000_000) as libc::time_t;
        time.tv_nsec = (timeout_ns % 1_000_000_000) as _;
        let timeout = if timeout_ns < 0 { core::ptr::null_mut() } else { &raw mut time };
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        return int(unsafe { libc::ppoll(fds.cast(), count as libc::nfds_t, timeout, core::ptr::null()) });
        #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
        int(unsafe { libc::ppoll(fds.cast(), count as libc::nfds_t, timeout, core::ptr::null()) })
    }
    #[cfg(target_vendor = "apple")]
    {
        let ms = if timeout_ns < 0 { -1 } else { (timeout_ns / 1_000_000).clamp(0, i64::from(i32::MAX)) as c_int };
        let ms = if timeout_ns > 0 && ms == 0 { 1 } else { ms };
        int(unsafe { libc::poll(fds.cast(), count as libc::nfds_t, ms) })
    }
}

pub unsafe extern "C" fn inotify_init(_: *mut c_void, flags: i32) -> i32 {
    #[cfg(target_os = "linux")]
    {
        int(unsafe { libc::inotify_init1(flags) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = flags;
        ENOSYS.wrapping_neg()
    }
}

pub unsafe extern "C" fn inotify_add_watch(_: *mut c_void, fd: i32, path: *const c_char, mask: u32) -> i32 {
    #[cfg(target_os = "linux")]
    {
        int(unsafe { libc::inotify_add_watch(fd, path, mask) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, path, mask);
        ENOSYS.wrapping_neg()
    }
}

pub unsafe extern "C" fn clock(_: *mut c_void, clock: i32, ns: *mut i64) -> i32 {
    let id = if clock == STEADFAST_CLOCK_MONOTONIC { libc::CLOCK_MONOTONIC } else { libc::CLOCK_REALTIME };
    let mut time: libc::timespec = unsafe { core::mem::zeroed() };
    let result = int(unsafe { libc::clock_gettime(id, &mut time) });
    if result >= 0 {
        #[allow(clippy::unnecessary_cast)]
        unsafe {
            ns.write((time.tv_sec as i64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as i64))
        };
    }
    result
}

/// A write beyond RLIMIT_FSIZE raises SIGXFSZ in the writing thread, whose default is to kill the program
/// (setrlimit(2)). Blocked, the write just fails with EFBIG; the signal that it left pending is taken back
/// before the mask is restored.
pub unsafe extern "C" fn sigxfsz(_: *mut c_void, operation: i32, state: i32) -> i32 {
    if operation == STEADFAST_SIGXFSZ_BLOCK {
        let mut was_blocked = false;
        let error = mask(libc::SIG_BLOCK, &mut was_blocked);
        return match (error, was_blocked) {
            (0, true) => STEADFAST_SIGXFSZ_WAS_BLOCKED | if is_pending() { STEADFAST_SIGXFSZ_WAS_PENDING } else { 0 },
            _ => error,
        };
    }
    if state & (STEADFAST_SIGXFSZ_RAISED | STEADFAST_SIGXFSZ_WAS_PENDING) == STEADFAST_SIGXFSZ_RAISED && is_pending() {
        take_pending();
    }
    if state & STEADFAST_SIGXFSZ_WAS_BLOCKED == 0 { mask(libc::SIG_UNBLOCK, &mut false) } else { 0 }
}

/// The table of the calls above.
pub const TABLE: super::complete::Table = super::complete::Table {
    openat,
    close,
    write,
    fsync,
    renameat,
    unlinkat,
    linkat,
    mkdirat,
    readlinkat,
    read,
    pread,
    fstat,
    fstatat,
    fstatfs,
    fchmod,
    fchown,
    flock,
    ofdlock,
    fgetxattr,
    fsetxattr,
    getpid,
    geteuid,
    kill,
    pidfd_open,
    poll,
    inotify_init,
    inotify_add_watch,
    clock,
    sigxfsz,
    fdatasync,
    syncfs,
    ftruncate,
    writeback,
    aio,
    fsync_many,
};
