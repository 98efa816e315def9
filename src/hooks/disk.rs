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

/// Linux's own asynchronous calls, by number: glibc has no wrappers (io_submit(2)).
pub unsafe extern "C" fn aio(
    _: *mut c_void,
    operation: i32,
    queue: *mut u64,
    fd: i32,
    buf: *const c_void,
    len: usize,
    offset: u64,
) -> i64 {
    #[cfg(all(target_os = "linux", target_pointer_width = "64", target_endian = "little"))]
    unsafe {
        let result = match operation {
            STEADFAST_AIO_OPEN | STEADFAST_AIO_CLOSE => {
                if operation == STEADFAST_AIO_CLOSE {
                    libc::syscall(libc::SYS_io_destroy, *queue);
                }
                let flags = libc::fcntl(fd, libc::F_GETFL) & !libc::O_DIRECT;
                let direct = if operation == STEADFAST_AIO_OPEN { libc::O_DIRECT } else { 0 };
                let set = libc::c_long::from(libc::fcntl(fd, libc::F_SETFL, flags | direct));
                if set == 0 && direct != 0 { libc::syscall(libc::SYS_io_setup, 2, queue) } else { set }
            }
            STEADFAST_AIO_WRITE => {
                // struct iocb (linux/aio_abi.h), as words: opcode and descriptor share the third.
                const PWRITE: u64 = 1;
                let mut iocb = [0, 0, u64::from(fd as u32) << 32 | PWRITE, buf as u64, len as u64, offset, 0, 0];
                let mut list = iocb.as_mut_ptr();
                libc::syscall(libc::SYS_io_submit, *queue, 1, &mut list)
            }
            _ => {
                // struct io_event: data, obj, res, res2.
                let mut event = [0i64; 4];
                let none = core::ptr::null::<c_void>();
                match libc::syscall(libc::SYS_io_getevents, *queue, 1, 1, event.as_mut_ptr(), none) {
                    1 => return event[2],
                    other => other,
                }
            }
        };
        long(result as isize)
    }
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
    {
        let _ = (operation, queue, fd, buf, len, offset);
        i64::from(libc::ENOSYS.wrapping_neg())
    }
}
