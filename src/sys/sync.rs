//! The real calls that make content durable, or begin to.

use super::abi::*;
#[cfg(not(target_os = "linux"))]
use super::raw::NO_CALL;
use super::raw::int;
use core::ffi::c_void;

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
        NO_CALL
    }
}

pub unsafe extern "C" fn ftruncate(_: *mut c_void, fd: i32, len: u64) -> i32 {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let result = unsafe { libc::ftruncate64(fd, len as libc::off64_t) };
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
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
        int(unsafe { libc::sync_file_range(fd, offset as libc::off64_t, len as libc::off64_t, flags) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, operation, offset, len);
        NO_CALL
    }
}
