//! Memory from malloc, with failure reported.

use super::Errno;
use core::ffi::c_void;
use core::ptr::NonNull;

/// A block from malloc: aligned to 16, freed when dropped unless handed out. Or a block of the caller's. Only
/// its first `len` bytes have been written.
pub struct Buffer {
    pointer: NonNull<u8>,
    capacity: usize,
    len: usize,
    borrowed: bool,
}

impl Buffer {
    /// `capacity` bytes, none of them written yet; -ENOMEM when there are none to be had.
    pub fn new(capacity: usize) -> Result<Buffer, Errno> {
        let size = capacity.max(1);
        #[cfg(any(target_pointer_width = "64", target_vendor = "apple"))]
        let raw = unsafe { libc::malloc(size) };
        // malloc aligns to 8 only on most 32-bit systems.
        #[cfg(not(any(target_pointer_width = "64", target_vendor = "apple")))]
        let raw = unsafe {
            let mut raw: *mut c_void = core::ptr::null_mut();
            if libc::posix_memalign(&mut raw, 16, size) != 0 { core::ptr::null_mut() } else { raw }
        };
        match NonNull::new(raw.cast::<u8>()) {
            Some(pointer) => Ok(Buffer { pointer, capacity, len: 0, borrowed: false }),
            None => Err(Errno::of(libc::ENOMEM)),
        }
    }

    /// The bytes written so far.
    pub fn bytes(&self) -> &[u8] {
        unsafe { core::slice::from_raw_parts(self.pointer.as_ptr(), self.len) }
    }

    /// Appends as much of `bytes` as fits.
    pub fn append(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(self.capacity.saturating_sub(self.len));
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer.as_ptr().add(self.len), count) };
        self.len = self.len.saturating_add(count);
    }

    /// No memory.
    pub const fn none() -> Buffer {
        Buffer { pointer: NonNull::dangling(), capacity: 0, len: 0, borrowed: true }
    }

    /// Memory of the caller's.
    ///
    /// # Safety
    /// `pointer` is writable for `capacity` bytes for as long as the answer lives.
    pub unsafe fn over(pointer: NonNull<u8>, capacity: usize) -> Buffer {
        Buffer { pointer, capacity, len: 0, borrowed: true }
    }

    /// How many bytes there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets what was written, and overwrites it.
    pub fn clear(&mut self) {
        unsafe { core::ptr::write_bytes(self.pointer.as_ptr(), 0, self.len) };
        self.len = 0;
    }

    /// Where the next byte goes, and how many have room until there are `enough`.
    pub(super) fn spare(&mut self, enough: usize) -> (*mut c_void, usize) {
        let room = self.capacity.min(enough).saturating_sub(self.len);
        (unsafe { self.pointer.as_ptr().add(self.len) }.cast(), room)
    }

    /// `count` more bytes of the spare room have been written.
    pub(super) unsafe fn grow(&mut self, count: usize) {
        self.len = self.len.saturating_add(count).min(self.capacity);
    }

    /// The block, now the caller's: to be given to [`free`].
    pub fn into_raw(self) -> *mut u8 {
        let pointer = self.pointer.as_ptr();
        core::mem::forget(self);
        pointer
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.borrowed {
            unsafe { free(self.pointer.as_ptr()) };
        }
    }
}

/// As many values as it was made for, one after the other.
pub struct List<T> {
    memory: Buffer,
    len: usize,
    values: core::marker::PhantomData<T>,
}

impl<T> List<T> {
    /// Room for `count`.
    pub fn new(count: usize) -> Result<List<T>, Errno> {
        debug_assert!(align_of::<T>() <= 16);
        let size = count.checked_mul(size_of::<T>()).ok_or(Errno::of(libc::ENOMEM))?;
        Ok(List { memory: Buffer::new(size)?, len: 0, values: core::marker::PhantomData })
    }

    fn at(&self, index: usize) -> *mut T {
        unsafe { self.memory.pointer.as_ptr().cast::<T>().add(index) }
    }

    /// Puts it at the end; when there is no room, it is dropped.
    pub fn push(&mut self, value: T) {
        let end = self.len.saturating_add(1);
        if end.saturating_mul(size_of::<T>()) <= self.memory.capacity {
            unsafe { self.at(self.len).write(value) };
            self.len = end;
        }
    }

    /// Takes the last one.
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        Some(unsafe { self.at(self.len).read() })
    }
}

impl<T> core::ops::Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        unsafe { core::slice::from_raw_parts(self.at(0), self.len) }
    }
}

impl<T> core::ops::DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        unsafe { core::slice::from_raw_parts_mut(self.at(0), self.len) }
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

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
        let start = self.memory.pointer.as_ptr();
        let skip = (start as usize).wrapping_neg() & (Pieces::ALIGN - 1);
        unsafe { start.add(skip.saturating_add((number & 1) << 20)) }
    }

    /// Copies `bytes` to `at` in piece 0 or 1, and zeros after them up to a multiple of ALIGN: where they end.
    pub fn put(&mut self, number: usize, at: usize, bytes: &[u8]) -> usize {
        let len = bytes.len().min(Pieces::LEN.saturating_sub(at));
        let end = at.saturating_add(len);
        let whole = end.next_multiple_of(Pieces::ALIGN);
        unsafe {
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start(number).add(at), len);
            core::ptr::write_bytes(self.start(number).add(end), 0, whole.saturating_sub(end));
        }
        whole
    }

    /// Piece 0 or 1: only what has been [`put`](Pieces::put) there is to be read.
    pub(super) fn get(&self, number: usize) -> *const c_void {
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

/// Gives back what [`Buffer::into_raw`] handed out.
///
/// # Safety
/// `pointer` is such a block, or NULL, and nobody uses it any more.
pub unsafe fn free(pointer: *mut u8) {
    unsafe { libc::free(pointer.cast()) }
}

/// A value moved to the heap, to be handed to C.
pub fn boxed<T>(value: T) -> Result<*mut T, Errno> {
    debug_assert!(align_of::<T>() <= 16);
    let pointer = Buffer::new(size_of::<T>())?.into_raw().cast::<T>();
    unsafe { pointer.write(value) };
    Ok(pointer)
}

/// Takes back what [`boxed`] made.
///
/// # Safety
/// `pointer` came from [`boxed`] and is not used afterwards.
pub unsafe fn unboxed<T>(pointer: *mut T) -> T {
    unsafe {
        let value = pointer.read();
        free(pointer.cast());
        value
    }
}

/// Ends the process. Only a defect of this library gets here.
#[cfg(feature = "capi")]
pub fn abort() -> ! {
    unsafe { libc::abort() }
}
