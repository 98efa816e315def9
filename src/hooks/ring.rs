//! Direct writes by io_uring: past the page cache, and under way while the caller does something else. One at a time,
//! and without a thread: nothing is asked for that the kernel would do in a worker of this process.

use super::real::system_call;
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
    ring: u64,
    file_flags: i64,
    /// How many writes were handed over, how many of them are finished, how many of these have been looked at.
    submitted: *const AtomicU32,
    finished: *const AtomicU32,
    seen: *const AtomicU32,
    /// Two, which take turns.
    completions: *const Completion,
    map: u64,
}

const PAGE: u64 = 4096;
const OP_WRITE: u32 = 23;
const RWF_NOWAIT: u32 = 8;
const ENTER_GETEVENTS: u64 = 1;
const OFF_SQES: u64 = 0x1000_0000;
const FEAT_SINGLE_MMAP: u32 = 1;
/// It would have had to wait.
pub const AGAIN: i64 = -(libc::EAGAIN as i64);
/// A signal came.
pub const INTERRUPTED: i64 = -(libc::EINTR as i64);
/// No such thing, or not with this length or place.
pub const INVALID: i64 = -(libc::EINVAL as i64);
/// Not here.
pub const UNSUPPORTED: i64 = -(libc::EOPNOTSUPP as i64);

impl Ring {
    /// A ring for writing `fd`, which gets room for `len` bytes: a write that has to find some would go to a worker. NULL:
    /// not to be had here. An error: there is no room.
    pub unsafe fn open(fd: i32, len: u64) -> Result<*mut Ring, i64> {
        const NONE: *mut Ring = core::ptr::null_mut();
        let mut params = Params::default();
        let ring = by_number!(SYS_io_uring_setup, 1, &raw mut params);
        if ring < 0 {
            return Ok(NONE);
        }
        let map = |at: u64| super::real::long(unsafe { libc::mmap(core::ptr::null_mut(), PAGE as usize, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, ring as i32, at as i64) } as isize);
        let (rings, page) = (map(0), map(OFF_SQES));
        let file_flags = i64::from(unsafe { libc::fcntl(fd, libc::F_GETFL) });
        let mut room = UNSUPPORTED;
        if rings >= 0 && page >= 0 && params.features & FEAT_SINGLE_MMAP != 0 {
            // What is in the page cache would have to be dropped, which is waiting as well.
            unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
            room = i64::from(super::real::int(unsafe { libc::fallocate(fd, 0, 0, len as i64) }));
        }
        if room < 0 || unsafe { libc::fcntl(fd, libc::F_SETFL, file_flags as i32 | libc::O_DIRECT) } < 0 {
            unmap(ring as u64, rings as u64, page as u64);
            return if room == 0 || room == UNSUPPORTED || room == INTERRUPTED { Ok(NONE) } else { Err(room) };
        }
        unsafe {
            let at = |offset: u32| (rings as usize as *const AtomicU32).byte_add(offset as usize);
            let page = page as usize as *mut Ring;
            page.write(Ring {
                entry: Entry::default(),
                ring: ring as u64,
                file_flags,
                submitted: at(params.submitted),
                finished: at(params.finished),
                seen: at(params.seen),
                completions: at(params.completions).cast(),
                map: rings as u64,
            });
            Ok(page)
        }
    }

    unsafe fn enter(&self, submit: u64, wait: u64) -> i64 {
        by_number!(SYS_io_uring_enter, self.ring, submit, wait, wait * ENTER_GETEVENTS)
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
                let _ = self.wait();
            }
            libc::fcntl(fd, libc::F_SETFL, self.file_flags as i32);
            unmap(self.ring, self.map, &raw mut *self as u64);
        }
    }
}

fn unmap(ring: u64, rings: u64, page: u64) {
    unsafe { libc::munmap(rings as *mut c_void, PAGE as usize) };
    unsafe { libc::munmap(page as *mut c_void, PAGE as usize) };
    unsafe { libc::close(ring as i32) };
}
