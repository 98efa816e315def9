//! The real calls that make content durable or go past the page cache.

use super::real::*;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
use super::ring::{AGAIN, INTERRUPTED, INVALID, Ring, UNSUPPORTED};
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
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    let result = int(unsafe { libc::ftruncate(fd, len as libc::off_t) });
    #[cfg(all(target_os = "linux", not(target_pointer_width = "64")))]
    let result = int(unsafe { libc::ftruncate64(fd, len as i64) });
    #[cfg(not(target_os = "linux"))]
    let result = int(unsafe { libc::ftruncate(fd, len as libc::off_t) });
    result
}

pub unsafe extern "C" fn writeback(_: *mut c_void, fd: i32, operation: i32, offset: u64, len: u64) -> i32 {
    #[cfg(target_os = "linux")]
    {
        let mut flags = libc::SYNC_FILE_RANGE_WRITE;
        if operation == STEADFAST_WRITEBACK_WAIT {
            flags |= libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        }
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        return int(unsafe { libc::sync_file_range(fd, offset as i64, len as i64, flags) });
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        return int(unsafe { libc::sync_file_range(fd, offset as i64, len as i64, flags) });
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, operation, offset, len);
        libc::ENOSYS.wrapping_neg()
    }
}

/// Through the page cache, and on to the device at once: the kernel writes it back while the next piece is hashed.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn write_through(queue: *mut u64, fd: i32, (buf, len, offset): (*const c_void, usize, u64)) -> i64 {
    let mut written = INTERRUPTED;
    while written == INTERRUPTED {
        written = long(unsafe { libc::pwrite(fd, buf, len, offset as libc::off_t) });
    }
    unsafe { queue.write((written as u64) << 1 | 1) };
    // Only a beginning: what it misses, the sync will meet.
    unsafe { libc::sync_file_range(fd, offset as i64, len as i64, libc::SYNC_FILE_RANGE_WRITE) };
    written
}

/// Past the page cache where that can be had (see [`Ring`]), or else through it. `queue` is the ring, or 0, or what was
/// written, twice and 1: addresses are even.
pub unsafe extern "C" fn aio(
    _: *mut c_void,
    operation: i32,
    queue: *mut u64,
    fd: i32,
    buf: *const c_void,
    len: usize,
    offset: u64,
) -> i64 {
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    unsafe {
        let ring = queue.read() as *mut Ring;
        let direct = !ring.is_null() && queue.read() & 1 == 0;
        match operation {
            STEADFAST_AIO_OPEN => match Ring::open(fd, len as u64) {
                Ok(ring) => queue.write(ring as u64),
                Err(error) => return error,
            },
            STEADFAST_AIO_WRITE if direct => return (*ring).write(fd, buf, len, offset),
            STEADFAST_AIO_WRITE => return write_through(queue, fd, (buf, len, offset)).min(0),
            STEADFAST_AIO_WAIT if direct => {
                let result = (*ring).wait();
                if ![AGAIN, UNSUPPORTED, INVALID].contains(&result) {
                    return result;
                }
                // Not here, or not without waiting: from now on the other way.
                let given = (*ring).given();
                (*ring).close(fd);
                return write_through(queue, fd, given);
            }
            STEADFAST_AIO_WAIT => return queue.read() as i64 >> 1,
            _ if direct => {
                (*ring).close(fd);
                queue.write(0);
            }
            _ => {}
        }
        0
    }
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    {
        let _ = (operation, queue, fd, buf, len, offset);
        i64::from(libc::ENOSYS.wrapping_neg())
    }
}

/// By Linux's asynchronous I/O (io_submit(2)), whose fsync runs in a worker of the kernel, not of this process. That is
/// worth it for many: ending it waits some 30 ms.
pub unsafe extern "C" fn fsync_many(user: *mut c_void, queue: *mut u64, files: *mut i32, count: u32) -> i32 {
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    unsafe {
        const OP_FSYNC: u64 = 2;
        const MOST: u64 = 64;
        if count == 0 {
            return by_number!(SYS_io_destroy, queue.read()) as i32;
        }
        if queue.read() == 0 {
            let made = by_number!(SYS_io_setup, MOST, queue);
            if made < 0 {
                return made as i32;
            }
        }
        let mut under_way = 0u32;
        for index in 0..count as usize {
            let file = files.add(index);
            let fd = file.read();
            // struct iocb: what the event is to say, then operation and file.
            let mut request = [file as u64, 0, OP_FSYNC | (fd as u64) << 32, 0, 0, 0, 0, 0];
            let requests = &raw mut request;
            if by_number!(SYS_io_submit, queue.read(), 1, &raw const requests) == 1 {
                // Until it is known better.
                file.write(libc::EIO.wrapping_neg());
                under_way = under_way.wrapping_add(1);
            } else {
                file.write(fsync(user, fd));
            }
        }
        while under_way > 0 {
            // struct io_event: the result is its third word.
            let mut event = [0u64; 4];
            match by_number!(SYS_io_getevents, queue.read(), 1, 1, event.as_mut_ptr()) {
                1 => {
                    let [file, _, result, _] = event;
                    (file as *mut i32).write(result as i32);
                    under_way = under_way.wrapping_sub(1);
                }
                INTERRUPTED => {}
                _ => break,
            }
        }
        0
    }
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    {
        let _ = (user, queue, files, count);
        libc::ENOSYS.wrapping_neg()
    }
}
