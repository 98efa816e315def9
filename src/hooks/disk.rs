//! The real calls that make content durable or go past the page cache.

use super::real::*;
use super::table::*;
use core::ffi::c_void;

pub unsafe extern "C" fn fdatasync(user: *mut c_void, fd: i32) -> i32 {
    #[cfg(target_vendor = "apple")]
    {
        unsafe { fsync(user, fd) }
    }
    #[cfg(not(target_vendor = "apple"))]
    {
        let _ = user;
        int(unsafe { libc::fdatasync(fd) })
    }
}

pub unsafe extern "C" fn syncfs(_: *mut c_void, fd: i32) -> i32 {
    #[cfg(target_os = "linux")]
    {
        int(unsafe { libc::syncfs(fd) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        libc::ENOSYS.wrapping_neg()
    }
}

pub unsafe extern "C" fn ftruncate(_: *mut c_void, fd: i32, len: u64) -> i32 {
    #[cfg(target_os = "linux")]
    let result = unsafe { libc::ftruncate64(fd, len as i64) };
    #[cfg(not(target_os = "linux"))]
    let result = unsafe { libc::ftruncate(fd, len as libc::off_t) };
    int(result)
}

pub unsafe extern "C" fn writeback(_: *mut c_void, fd: i32, operation: i32, offset: u64, len: u64) -> i32 {
    #[cfg(target_os = "linux")]
    {
        let mut flags = libc::SYNC_FILE_RANGE_WRITE;
        if operation == STEADFAST_WRITEBACK_WAIT {
            flags |= libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        }
        int(unsafe { libc::sync_file_range(fd, offset as i64, len as i64, flags) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, operation, offset, len);
        libc::ENOSYS.wrapping_neg()
    }
}

/// Through the page cache, and on to the device at once: the kernel writes back what has been handed over while the
/// next piece is hashed. (Linux's io_submit with O_DIRECT was tried: io_destroy waits some 30 ms for the kernel.)
pub unsafe extern "C" fn aio(
    _: *mut c_void,
    operation: i32,
    queue: *mut u64,
    fd: i32,
    buf: *const c_void,
    len: usize,
    offset: u64,
) -> i64 {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    unsafe {
        match operation {
            STEADFAST_AIO_WRITE => {
                let written = long(libc::pwrite64(fd, buf, len, offset as i64));
                if written < 0 {
                    return written;
                }
                queue.write(written as u64);
                // Only a beginning: what it misses, the sync will meet.
                libc::sync_file_range(fd, offset as i64, written, libc::SYNC_FILE_RANGE_WRITE);
                0
            }
            STEADFAST_AIO_WAIT => queue.read() as i64,
            _ => 0,
        }
    }
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    {
        let _ = (operation, queue, fd, buf, len, offset);
        i64::from(libc::ENOSYS.wrapping_neg())
    }
}
