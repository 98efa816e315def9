//! The real calls that keep the device busy while the caller goes on: the hooks `aio` and `fsync_many`.

use super::abi::*;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
use super::raw::NO_CALL;
use core::ffi::c_void;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod here {
    pub use crate::sys::raw::{by_number, long};
    pub use crate::sys::sync::{fdatasync, fsync};
    pub use crate::sys::uring::{AGAIN, INTERRUPTED, INVALID, Ring, UNSUPPORTED};
    use core::ffi::c_void;

    /// Through the page cache, and on to the device at once: the kernel writes it back while the next piece is hashed.
    pub unsafe fn write_through(queue: *mut u64, fd: i32, (buf, len, offset): (*const c_void, usize, u64)) -> i64 {
        let mut written = INTERRUPTED;
        while written == INTERRUPTED {
            written = long(unsafe { libc::pwrite(fd, buf, len, offset as libc::off_t) });
        }
        unsafe { queue.write((written as u64) << 1 | 1) };
        // Only a beginning: an error that it misses, the sync will report.
        unsafe { libc::sync_file_range(fd, offset as libc::off64_t, len as libc::off64_t, libc::SYNC_FILE_RANGE_WRITE) };
        written
    }
}
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
use here::*;

/// Past the page cache where [`Ring`] can do that, else through it. `queue` is the ring, or 0, or the number of bytes
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
                Ok(ring) => {
                    queue.write(ring as u64);
                    0
                }
                Err(error) => error,
            },
            STEADFAST_AIO_WRITE if direct => (*ring).write(fd, buf, len, offset),
            STEADFAST_AIO_WRITE => write_through(queue, fd, (buf, len, offset)).min(0),
            STEADFAST_AIO_WAIT if direct => {
                let result = (*ring).wait();
                if ![AGAIN, UNSUPPORTED, INVALID].contains(&result) {
                    return result;
                }
                // No direct write here, or not without waiting: the rest goes through the page cache.
                let given = (*ring).given();
                let closed = (*ring).close(fd);
                if closed < 0 { closed } else { write_through(queue, fd, given) }
            }
            STEADFAST_AIO_WAIT => queue.read() as i64 >> 1,
            _ if direct => {
                queue.write(0);
                (*ring).close(fd)
            }
            _ => 0,
        }
    }
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    {
        let _ = (operation, queue, fd, buf, len, offset);
        i64::from(NO_CALL)
    }
}

/// By Linux's asynchronous I/O (io_submit(2)), whose fsync runs in a worker of the kernel, not in this process. That pays
/// for many files: ending it waits some 30 ms.
pub unsafe extern "C" fn fsync_many(user: *mut c_void, queue: *mut u64, files: *mut i32, count: u32) -> i32 {
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    unsafe {
        /// IOCB_CMD_FSYNC and IOCB_CMD_FDSYNC (linux/aio_abi.h).
        const OP_FSYNC: u64 = 2;
        const OP_FDSYNC: u64 = 3;
        const MOST: usize = 64;
        let data_alone = count & STEADFAST_SYNC_DATA != 0;
        let operation = if data_alone { OP_FDSYNC } else { OP_FSYNC };
        let count = count & !STEADFAST_SYNC_DATA;
        if count == 0 {
            return by_number(libc::SYS_io_destroy, [queue.read() as usize, 0, 0, 0, 0, 0]) as i32;
        }
        if queue.read() == 0 {
            let made = by_number(libc::SYS_io_setup, [MOST, queue as usize, 0, 0, 0, 0]);
            if made < 0 {
                return made as i32;
            }
        }
        let mut under_way = 0u32;
        for index in 0..count as usize {
            let file = files.add(index);
            let fd = file.read();
            // struct iocb: a number for the event to bring back, then operation and file.
            let mut request = [index as u64, 0, operation | (fd as u64) << 32, 0, 0, 0, 0, 0];
            let requests = &raw mut request;
            if by_number(libc::SYS_io_submit, [queue.read() as usize, 1, &raw const requests as usize, 0, 0, 0]) == 1 {
                // Until its result is there.
                file.write(-libc::EIO);
                under_way = under_way.wrapping_add(1);
            } else {
                file.write(if data_alone { fdatasync(user, fd) } else { fsync(user, fd) });
            }
        }
        while under_way > 0 {
            // struct io_event: the number first, the result in its third word.
            let mut event = [0u64; 4];
            match by_number(libc::SYS_io_getevents, [queue.read() as usize, 1, 1, event.as_mut_ptr() as usize, 0, 0]) {
                1 => {
                    let [index, _, result, _] = event;
                    if index < u64::from(count) {
                        files.add(index as usize).write(result as i32);
                    }
                    under_way = under_way.wrapping_sub(1);
                }
                INTERRUPTED => {}
                // Those whose result is not known stay -EIO. io_destroy waits until none is under way any more.
                _ => {
                    by_number(libc::SYS_io_destroy, [queue.read() as usize, 0, 0, 0, 0, 0]);
                    queue.write(0);
                    break;
                }
            }
        }
        0
    }
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    {
        let _ = (user, queue, files, count);
        NO_CALL
    }
}
