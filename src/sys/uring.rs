//! Direct writes by io_uring: they go past the page cache, and the device works while the caller does something else.
//! One write is under way at a time, and no thread is started for it: nothing is asked for that the kernel would hand
//! to a worker in this process.

use super::raw::{by_number, int, long};
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, Ordering};
use linux_raw_sys::io_uring::{
    IORING_ENTER_GETEVENTS, IORING_FEAT_SINGLE_MMAP, IORING_OFF_SQES, io_uring_cqe, io_uring_op, io_uring_params, io_uring_sqe,
};

/// The write would have had to wait.
pub const AGAIN: i64 = -(libc::EAGAIN as i64);
/// A signal came.
pub const INTERRUPTED: i64 = -(libc::EINTR as i64);
/// This length or place cannot be written directly.
pub const INVALID: i64 = -(libc::EINVAL as i64);
/// The file system has no direct writes.
pub const UNSUPPORTED: i64 = -(libc::EOPNOTSUPP as i64);

const PAGE: usize = 4096;
/// Fail with EAGAIN instead of going to a worker (pwritev2(2)).
const RWF_NOWAIT: u32 = 8;
/// How long [`Ring::close`] waits for a write when the kernel no longer lets it wait: 10,000 times a millisecond.
const LAST_LOOKS: u32 = 10_000;

/// A ring with one entry. It lives in the page that the kernel maps for that entry, behind it (io_uring(7)).
#[repr(C)]
pub struct Ring {
    entry: io_uring_sqe,
    fd: i32,
    /// Of the file that is written, before O_DIRECT was added.
    file_flags: i32,
    /// How many writes were handed over, how many have finished, and how many of these have been looked at.
    submitted: *const AtomicU32,
    finished: *const AtomicU32,
    seen: *const AtomicU32,
    /// Two, used in turn.
    completions: *const io_uring_cqe,
    map: *mut c_void,
}

impl Ring {
    /// A ring for writing `fd`. The file gets room for `len` bytes first: a write that has to find some would go to a
    /// worker. NULL: there is no io_uring here. An error: there is no room.
    pub unsafe fn open(fd: i32, len: u64) -> Result<*mut Ring, i64> {
        let mut params: io_uring_params = unsafe { core::mem::zeroed() };
        let ring = by_number(libc::SYS_io_uring_setup, [1, &raw mut params as usize, 0, 0, 0, 0]) as i32;
        if ring < 0 {
            return Ok(null_mut());
        }
        let (map, page) = unsafe { (shared_page(ring, 0), shared_page(ring, IORING_OFF_SQES as libc::off_t)) };
        let file_flags = int(unsafe { libc::fcntl(fd, libc::F_GETFL) });
        let mut room = UNSUPPORTED;
        if let (Some(_), Some(_), true) = (map, page, params.features & IORING_FEAT_SINGLE_MMAP != 0) {
            // What is in the page cache would have to be dropped before a direct write, which is waiting as well.
            unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
            room = i64::from(int(unsafe { libc::fallocate(fd, 0, 0, len as libc::off_t) }));
        }
        let direct = || int(unsafe { libc::fcntl(fd, libc::F_SETFL, file_flags | libc::O_DIRECT) }) >= 0;
        let (Some(map), Some(page), 0, true) = (map, page, room, room == 0 && direct()) else {
            unsafe { unmap(ring, map, page) };
            return if [0, UNSUPPORTED, INTERRUPTED].contains(&room) { Ok(null_mut()) } else { Err(room) };
        };
        let at = |offset: u32| unsafe { map.cast::<AtomicU32>().cast_const().byte_add(offset as usize) };
        let made = page.cast::<Ring>();
        unsafe {
            made.write(Ring {
                entry: core::mem::zeroed(),
                fd: ring,
                file_flags,
                submitted: at(params.sq_off.tail),
                finished: at(params.cq_off.tail),
                seen: at(params.cq_off.head),
                completions: at(params.cq_off.cqes).cast(),
                map,
            });
        }
        Ok(made)
    }

    unsafe fn enter(&self, submit: u32, wait: u32) -> i64 {
        let flags = if wait > 0 { IORING_ENTER_GETEVENTS } else { 0 };
        by_number(libc::SYS_io_uring_enter, [self.fd as usize, submit as usize, wait as usize, flags as usize, 0, 0])
    }

    unsafe fn is_idle(&self) -> bool {
        unsafe { (*self.submitted).load(Ordering::Relaxed) == (*self.seen).load(Ordering::Relaxed) }
    }

    /// Hands a write over; the one before has been waited for.
    pub unsafe fn write(&mut self, fd: i32, buf: *const c_void, len: usize, offset: u64) -> i64 {
        unsafe {
            self.entry = core::mem::zeroed();
            self.entry.opcode = io_uring_op::IORING_OP_WRITE as u8;
            self.entry.fd = fd;
            self.entry.__bindgen_anon_1.off = offset;
            self.entry.__bindgen_anon_2.addr = buf as u64;
            self.entry.len = len as u32;
            self.entry.__bindgen_anon_3.rw_flags = RWF_NOWAIT;
            (*self.submitted).fetch_add(1, Ordering::Release);
            let taken = self.enter(1, 0);
            if taken < 1 {
                (*self.submitted).fetch_sub(1, Ordering::Release);
                return taken.min(AGAIN);
            }
            0
        }
    }

    /// The result of the write, if it has finished.
    unsafe fn finished(&mut self) -> Option<i64> {
        unsafe {
            let seen = (*self.seen).load(Ordering::Relaxed);
            if (*self.finished).load(Ordering::Acquire) == seen {
                return None;
            }
            let result = (*self.completions.add((seen & 1) as usize)).res;
            (*self.seen).store(seen.wrapping_add(1), Ordering::Release);
            Some(i64::from(result))
        }
    }

    /// Waits for the write: its result.
    pub unsafe fn wait(&mut self) -> i64 {
        unsafe {
            if self.is_idle() {
                return AGAIN;
            }
            loop {
                if let Some(result) = self.finished() {
                    return result;
                }
                let entered = self.enter(0, 1);
                if entered < 0 {
                    return entered;
                }
            }
        }
    }

    /// What the last write was given.
    pub fn given(&self) -> (*const c_void, usize, u64) {
        let (buf, offset) = unsafe { (self.entry.__bindgen_anon_2.addr, self.entry.__bindgen_anon_1.off) };
        (buf as *const c_void, self.entry.len as usize, offset)
    }

    /// Waits for what is under way, and frees the ring. An error: the kernel does not let us wait, and the write did not
    /// finish in 10 s either, so its memory must not be given back.
    pub unsafe fn close(&mut self, fd: i32) -> i64 {
        let mut looks = LAST_LOOKS;
        unsafe {
            while !self.is_idle() {
                let result = self.wait();
                if result >= 0 || result == INTERRUPTED || self.is_idle() {
                    continue;
                }
                // io_uring_enter fails for good: somebody has closed the ring. The result still arrives in its memory.
                if looks == 0 {
                    return result;
                }
                looks = looks.saturating_sub(1);
                libc::poll(null_mut(), 0, 1);
                let _ = self.finished();
            }
            libc::fcntl(fd, libc::F_SETFL, self.file_flags);
            let (ring, map) = (self.fd, self.map);
            unmap(ring, Some(map), Some((&raw mut *self).cast()));
        }
        0
    }
}

/// A page that is shared with the kernel.
unsafe fn shared_page(ring: i32, at: libc::off_t) -> Option<*mut c_void> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let page = unsafe { libc::mmap(null_mut(), PAGE, protection, libc::MAP_SHARED, ring, at) };
    (long(page as isize) >= 0 && page != libc::MAP_FAILED).then_some(page)
}

unsafe fn unmap(ring: i32, map: Option<*mut c_void>, page: Option<*mut c_void>) {
    for mapped in [map, page].into_iter().flatten() {
        unsafe { libc::munmap(mapped, PAGE) };
    }
    unsafe { libc::close(ring) };
}
