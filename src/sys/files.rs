//! The real calls about files and directories, in the form of the hooks: >= 0 or a negated errno.

use super::abi::*;
#[cfg(not(target_os = "linux"))]
use super::raw::NO_CALL;
#[cfg(target_os = "linux")]
use super::raw::by_number;
use super::raw::{int, long};
use core::ffi::{c_char, c_void};

pub unsafe extern "C" fn openat(_: *mut c_void, dirfd: i32, path: *const c_char, flags: i32, mode: u32) -> i32 {
    // Without it a file of 2 GiB and more cannot be opened where off_t has 32 bits.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let flags = flags | libc::O_LARGEFILE;
    int(unsafe { libc::openat(dirfd, path, flags, mode as libc::c_uint) })
}

/// By number: the C libraries have no function for it.
pub unsafe extern "C" fn openat2(_: *mut c_void, dirfd: i32, path: *const c_char, flags: i32, mode: u32, resolve: u64) -> i32 {
    #[cfg(target_os = "linux")]
    {
        // struct open_how.
        let how = [u64::from(flags.cast_unsigned()), u64::from(mode), resolve];
        let arguments = [dirfd as usize, path as usize, &raw const how as usize, size_of_val(&how), 0, 0];
        by_number(libc::SYS_openat2, arguments) as i32
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (dirfd, path, flags, mode, resolve);
        NO_CALL
    }
}

pub unsafe extern "C" fn close(_: *mut c_void, fd: i32) -> i32 {
    int(unsafe { libc::close(fd) })
}

pub unsafe extern "C" fn write(_: *mut c_void, fd: i32, buf: *const c_void, len: usize) -> i64 {
    long(unsafe { libc::write(fd, buf, len) })
}

pub unsafe extern "C" fn renameat(_: *mut c_void, od: i32, op: *const c_char, nd: i32, np: *const c_char, flags: u32) -> i32 {
    if flags == 0 {
        return int(unsafe { libc::renameat(od, op, nd, np) });
    }
    // By number: renameat2 is in glibc since 2.28.
    #[cfg(target_os = "linux")]
    {
        by_number(libc::SYS_renameat2, [od as usize, op as usize, nd as usize, np as usize, flags as usize, 0]) as i32
    }
    #[cfg(not(target_os = "linux"))]
    {
        NO_CALL
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
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let result = unsafe { libc::pread64(fd, buf, len, offset as libc::off64_t) };
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let result = unsafe { libc::pread(fd, buf, len, offset as libc::off_t) };
    long(result)
}

pub unsafe extern "C" fn pwrite(_: *mut c_void, fd: i32, buf: *const c_void, len: usize, offset: u64) -> i64 {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let result = unsafe { libc::pwrite64(fd, buf, len, offset as libc::off64_t) };
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let result = unsafe { libc::pwrite(fd, buf, len, offset as libc::off_t) };
    long(result)
}

/// struct stat in the form of the hooks. The casts differ from platform to platform.
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
            btime_ns: 0,
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
        let result = int(unsafe { libc::fstat(fd, &mut stat) });
        if result >= 0 {
            unsafe { out.write(from_stat!(stat)) };
        }
        result
    }
}

pub unsafe extern "C" fn fstatat(_: *mut c_void, dirfd: i32, path: *const c_char, out: *mut steadfast_stat) -> i32 {
    #[cfg(target_os = "linux")]
    {
        unsafe { statx(dirfd, path, libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT, out) }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut stat: libc::stat = unsafe { core::mem::zeroed() };
        let result = int(unsafe { libc::fstatat(dirfd, path, &mut stat, libc::AT_SYMLINK_NOFOLLOW) });
        if result >= 0 {
            unsafe { out.write(from_stat!(stat)) };
        }
        result
    }
}

/// statx costs what fstat costs, and also says whether the file is a mount point (statx(2), Linux 5.8). By number: the
/// function is in glibc since 2.28.
#[cfg(target_os = "linux")]
unsafe fn statx(dirfd: i32, path: *const c_char, flags: i32, out: *mut steadfast_stat) -> i32 {
    let mut x: libc::statx = unsafe { core::mem::zeroed() };
    let mask = (libc::STATX_BASIC_STATS | libc::STATX_BTIME) as usize;
    let arguments = [dirfd as usize, path as usize, flags as usize, mask, &raw mut x as usize, 0];
    let result = by_number(libc::SYS_statx, arguments) as i32;
    if result >= 0 {
        let root = x.stx_attributes & x.stx_attributes_mask & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0;
        let ns = |time: libc::statx_timestamp| time.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(i64::from(time.tv_nsec));
        let stat = steadfast_stat {
            dev: libc::makedev(x.stx_dev_major, x.stx_dev_minor),
            ino: x.stx_ino,
            mode: u32::from(x.stx_mode),
            nlink: x.stx_nlink,
            uid: x.stx_uid,
            gid: x.stx_gid,
            size: x.stx_size,
            mtime_ns: ns(x.stx_mtime),
            attributes: if root { STEADFAST_STAT_MOUNT_ROOT } else { 0 },
            reserved: 0,
            btime_ns: if x.stx_mask & libc::STATX_BTIME != 0 { ns(x.stx_btime) } else { 0 },
        };
        unsafe { out.write(stat) };
        return 0;
    }
    // Kernels before 4.11, and seccomp filters that do not know statx (they answer EPERM).
    if result != -libc::ENOSYS && result != -libc::EPERM {
        return result;
    }
    let mut stat: libc::stat64 = unsafe { core::mem::zeroed() };
    let flags = flags & !libc::AT_NO_AUTOMOUNT;
    // By number: fstatat is in glibc since 2.33. On these machines the kernel's struct is the C library's.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    let result =
        by_number(libc::SYS_newfstatat, [dirfd as usize, path as usize, &raw mut stat as usize, flags as usize, 0, 0]) as i32;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let result = int(unsafe { libc::fstatat64(dirfd, path, &mut stat, flags) });
    if result >= 0 {
        unsafe { out.write(from_stat!(stat)) };
    }
    result
}

pub unsafe extern "C" fn fstatfs(_: *mut c_void, fd: i32) -> i64 {
    #[cfg(target_os = "linux")]
    {
        let mut fs: libc::statfs = unsafe { core::mem::zeroed() };
        let result = int(unsafe { libc::fstatfs(fd, &mut fs) });
        if result < 0 { i64::from(result) } else { i64::from(fs.f_type as u32) }
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
    int(unsafe { libc::flock(fd, operation) })
}

pub unsafe extern "C" fn ofdlock(_: *mut c_void, fd: i32, operation: i32, start: i64, len: i64, found: *mut i64) -> i32 {
    #[cfg(target_os = "linux")]
    {
        #[cfg(not(all(target_env = "gnu", target_pointer_width = "32")))]
        use libc::flock as Lock;
        #[cfg(all(target_env = "gnu", target_pointer_width = "32"))]
        use libc::flock64 as Lock;
        let mut lock: Lock = unsafe { core::mem::zeroed() };
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
        let result = int(unsafe { libc::fcntl(fd, command, &mut lock) });
        if result < 0 || operation != STEADFAST_OFDLOCK_TEST || lock.l_type == libc::F_UNLCK as libc::c_short {
            return result;
        }
        unsafe {
            found.write(lock.l_start);
            found.add(1).write(lock.l_len);
        }
        1
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, operation, start, len, found);
        NO_CALL
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
        i64::from(-libc::EOPNOTSUPP)
    }
}

pub unsafe extern "C" fn flistxattr(_: *mut c_void, fd: i32, buf: *mut c_void, len: usize) -> i64 {
    #[cfg(target_os = "linux")]
    {
        long(unsafe { libc::flistxattr(fd, buf.cast(), len) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, buf, len);
        i64::from(-libc::EOPNOTSUPP)
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
        -libc::EOPNOTSUPP
    }
}

pub unsafe extern "C" fn getdents(_: *mut c_void, fd: i32, buf: *mut c_void, len: usize) -> i64 {
    #[cfg(target_os = "linux")]
    {
        // By number: getdents64 is in glibc since 2.30.
        by_number(libc::SYS_getdents64, [fd as usize, buf as usize, len, 0, 0, 0])
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, buf, len);
        i64::from(NO_CALL)
    }
}

/// One page: more than a lock file is long.
const MAPPED: usize = 4096;

pub unsafe extern "C" fn map(_: *mut c_void, fd: i32) -> i64 {
    #[cfg(target_os = "linux")]
    unsafe {
        let address = libc::mmap(core::ptr::null_mut(), MAPPED, libc::PROT_READ, libc::MAP_PRIVATE, fd, 0);
        if address == libc::MAP_FAILED {
            return long(-1);
        }
        let kept_from_children = int(libc::madvise(address, MAPPED, libc::MADV_DONTFORK));
        if kept_from_children < 0 {
            libc::munmap(address, MAPPED);
            return i64::from(kept_from_children);
        }
        address as i64
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        i64::from(NO_CALL)
    }
}

pub unsafe extern "C" fn unmap(_: *mut c_void, address: u64) -> i32 {
    int(unsafe { libc::munmap(address as usize as *mut c_void, MAPPED) })
}
