//! Memory for direct writes.

use super::buffer::Buffer;
use crate::sys::Errno;
use core::ffi::c_void;

/// Memory for direct writes: two pieces, each aligned, one to be filled while the other is written.
pub struct Pieces {
    memory: Buffer,
}

impl Pieces {
    /// The length of one, in bytes.
    pub const LEN: usize = 1 << 20;
    /// What addresses, offsets and lengths of a direct write are multiples of (open(2), O_DIRECT).
    pub const ALIGN: usize = 4096;

    /// Both, not yet written to.
    pub fn new() -> Result<Pieces, Errno> {
        Ok(Pieces { memory: Buffer::new(2 * Pieces::LEN + Pieces::ALIGN)? })
    }

    fn start(&self, number: usize) -> *mut u8 {
        let start = self.memory.start();
        let skip = (start as usize).wrapping_neg() & (Pieces::ALIGN - 1);
        unsafe { start.add(skip.saturating_add((number & 1) << 20)) }
    }

    /// Copies `bytes` to `at` in piece 0 or 1, and zeros after them up to a multiple of ALIGN: where the zeros end, and the
    /// copy.
    pub fn put(&mut self, number: usize, at: usize, bytes: &[u8]) -> (usize, &[u8]) {
        let at = at.min(Pieces::LEN);
        let len = bytes.len().min(Pieces::LEN.saturating_sub(at));
        let end = at.saturating_add(len);
        let whole = end.next_multiple_of(Pieces::ALIGN);
        unsafe {
            let start = self.start(number);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), start.add(at), len);
            core::ptr::write_bytes(start.add(end), 0, whole.saturating_sub(end));
            (whole, core::slice::from_raw_parts(start.add(at), len))
        }
    }

    /// Piece 0 or 1: only what has been [`put`](Pieces::put) there is to be read.
    pub fn get(&self, number: usize) -> *const c_void {
        self.start(number).cast_const().cast()
    }
}

/// Begins to fetch these bytes into the cache.
pub fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
