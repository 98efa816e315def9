//! Direct writes by io_uring: past the page cache, and under way while the caller does something else. One at a time,
//! and without a thread: nothing is asked for that the kernel would do in a worker of this process.

use super::real::{int, long};
use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering};

/// struct io_uring_params, as far as it matters: where in the shared memory things are.
#[repr(C)]
#[derive(Default)]
struct Params {
    unused: [u32; 5],
    features: u32,
    unused2: [u32; 5],
    submitted: u32,
    unused3: [u32; 8],
    seen: u32,
    finished: u32,
    unused4: [u32; 3],
    completions: u32,
    unused5: [u32; 4],
}
const _: () = assert!(size_of::<Params>() == 120);

/// struct io_uring_sqe.
#[repr(C)]
#[derive(Default)]
struct Entry {
    operation: u32,
    fd: i32,
    offset: u64,
    buf: u64,
    len: u32,
    flags: u32,
    unused: [u64; 4],
}
const _: () = assert!(size_of::<Entry>() == 64);

/// struct io_uring_cqe.
#[repr(C)]
struct Completion {
    user_data: u64,
    result: i32,
    flags: u32,
}

/// The page of the one entry, and in the rest of it what we keep. See io_uring(7).
#[repr(C)]
pub struct Ring {
    entry: Entry,
    ring: i32,
    file_flags: i32,
    /// How many writes were handed over, how many of them are finished, how many of these have been looked at.
    submitted: *const AtomicU32,
    finished: *const AtomicU32,
    seen: *const AtomicU32,
    /// Two, which take turns.
    completions: *const Completion,
    map: *mut c_void,
}

const PAGE: usize = 4096;
const OP_WRITE: u32 = 23;
const RWF_NOWAIT: u32 = 8;
const ENTER_GETEVENTS: u32 = 1;
const OFF_SQES: i64 = 0x1000_0000;
const FEAT_SINGLE_MMAP: u32 = 1;
/// It would have had to wait.
pub const AGAIN: i64 = -(libc::EAGAIN as i64);

unsafe fn map(ring: i32, at: i64) -> *mut c_void {
    unsafe { libc::mmap64(core::ptr::null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, ring, at) }
}

impl Ring {
    /// A ring for writing `fd`, which gets room for `len` bytes: a write that has to find some would go to a worker. NULL:
    /// not to be had here. An error: there is no room.
    pub unsafe fn open(fd: i32, len: u64) -> Result<*mut Ring, i64> {
        let mut params = Params::default();
        let ring = by_number!(SYS_io_uring_setup, 1, &raw mut params) as i32;
        unsafe {
            if ring < 0 {
                return Ok(core::ptr::null_mut());
            }
            let (rings, page) = (map(ring, 0), map(ring, OFF_SQES));
            let file_flags = libc::fcntl(fd, libc::F_GETFL);
            let mapped = rings != libc::MAP_FAILED && page != libc::MAP_FAILED && params.features & FEAT_SINGLE_MMAP != 0;
            // What is in the page cache would have to be dropped, which is waiting as well.
            libc::posix_fadvise64(fd, 0, 0, libc::POSIX_FADV_DONTNEED);
            let room = int(libc::fallocate64(fd, 0, 0, len as i64));
            if !mapped || room < 0 || libc::fcntl(fd, libc::F_SETFL, file_flags | libc::O_DIRECT) < 0 {
                unmap(ring, rings, page);
                let unsupported = room == 0 || room == libc::EOPNOTSUPP.wrapping_neg();
                return if unsupported { Ok(core::ptr::null_mut()) } else { Err(room.into()) };
            }
            let at = |offset: u32| rings.byte_add(offset as usize).cast::<AtomicU32>().cast_const();
            let page = page.cast::<Ring>();
            page.write(Ring {
                entry: Entry::default(),
                ring,
                file_flags,
                submitted: at(params.submitted),
                finished: at(params.finished),
                seen: at(params.seen),
                completions: at(params.completions).cast(),
                map: rings,
            });
            Ok(page)
        }
    }

    unsafe fn enter(&self, submit: u32, wait: u32) -> i64 {
        by_number!(SYS_io_uring_enter, self.ring, submit, wait, wait * ENTER_GETEVENTS, core::ptr::null::<u8>(), 0usize)
    }

    unsafe fn is_idle(&self) -> bool {
        unsafe { (*self.submitted).load(Ordering::Relaxed) == (*self.seen).load(Ordering::Relaxed) }
    }

    /// Hands a write over; the one before has been waited for.
    pub unsafe fn write(&mut self, fd: i32, buf: *const c_void, len: usize, offset: u64) -> i64 {
        unsafe {
            self.entry =
                Entry { operation: OP_WRITE, fd, offset, buf: buf as u64, len: len as u32, flags: RWF_NOWAIT, unused: [0; 4] };
            (*self.submitted).fetch_add(1, Ordering::Release);
            let taken = self.enter(1, 0);
            if taken < 1 {
                (*self.submitted).fetch_sub(1, Ordering::Release);
                return taken.min(AGAIN);
            }
            0
        }
    }

    /// What the write came to.
    pub unsafe fn wait(&mut self) -> i64 {
        unsafe {
            let seen = (*self.seen).load(Ordering::Relaxed);
            while (*self.finished).load(Ordering::Acquire) == seen {
                let entered = if self.is_idle() { AGAIN } else { self.enter(0, 1) };
                if entered < 0 {
                    return entered;
                }
            }
            let result = (*self.completions.add((seen & 1) as usize)).result;
            (*self.seen).store(seen.wrapping_add(1), Ordering::Release);
            i64::from(result)
        }
    }

    /// What the last write was given.
    pub fn given(&self) -> (*const c_void, usize, u64) {
        (self.entry.buf as *const c_void, self.entry.len as usize, self.entry.offset)
    }

    /// Waits for what is under way: it would read memory that is about to be given back, and arrive late.
    pub unsafe fn close(&mut self, fd: i32) {
        unsafe {
            while !self.is_idle() {
                let waited = self.wait();
                if waited < 0 && waited != i64::from(libc::EINTR.wrapping_neg()) {
                    break;
                }
            }
            libc::fcntl(fd, libc::F_SETFL, self.file_flags);
            unmap(self.ring, self.map, (&raw mut *self).cast());
        }
    }
}

unsafe fn unmap(ring: i32, rings: *mut c_void, page: *mut c_void) {
    unsafe {
        libc::munmap(rings, PAGE);
        libc::munmap(page, PAGE);
        libc::close(ring);
    }
}
