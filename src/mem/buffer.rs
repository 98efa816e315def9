//! Memory from malloc, whose failure is reported.

use crate::sys::Errno;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// A block from malloc: aligned to 16, freed when dropped unless handed out. Or a block that the caller owns, and lends for 'm.
/// Only its first `len` bytes have been written.
pub struct Memory<'m> {
    pointer: NonNull<u8>,
    capacity: usize,
    len: usize,
    borrowed: bool,
    lent: PhantomData<&'m mut [u8]>,
}

/// Memory that is not lent.
pub type Buffer = Memory<'static>;

// SAFETY: it is a block of bytes that one owner changes.
unsafe impl Sync for Memory<'_> {}
unsafe impl Send for Memory<'_> {}

impl<'m> Memory<'m> {
    /// Where the pointer to the block is.
    #[cfg(feature = "__internals")]
    pub const POINTER: usize = core::mem::offset_of!(Memory<'static>, pointer);

    /// `capacity` bytes, none of them written yet; -ENOMEM when malloc has none.
    pub fn new(capacity: usize) -> Result<Memory<'m>, Errno> {
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
            Some(pointer) => Ok(Memory { pointer, capacity, len: 0, borrowed: false, lent: PhantomData }),
            None => Err(Errno::of(libc::ENOMEM)),
        }
    }

    /// The bytes written so far.
    pub fn bytes(&self) -> &[u8] {
        unsafe { core::slice::from_raw_parts(self.pointer.as_ptr(), self.len) }
    }

    /// `len` zeros.
    pub fn zeroed(len: usize) -> Result<Memory<'m>, Errno> {
        let mut buffer = Memory::new(len)?;
        unsafe { core::ptr::write_bytes(buffer.pointer.as_ptr(), 0, len) };
        buffer.len = len;
        Ok(buffer)
    }

    /// The same as [`bytes`](Memory::bytes), to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        unsafe { core::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.len) }
    }

    /// Forgets what comes after the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Appends as much of `bytes` as fits.
    pub fn append(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(self.capacity.saturating_sub(self.len));
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer.as_ptr().add(self.len), count) };
        self.len = self.len.saturating_add(count);
    }

    /// No memory.
    pub const fn none() -> Memory<'m> {
        Memory { pointer: NonNull::dangling(), capacity: 0, len: 0, borrowed: true, lent: PhantomData }
    }

    /// Memory that the caller lends.
    pub fn lent(memory: &'m mut [u8]) -> Memory<'m> {
        // SAFETY: it is borrowed, so it is writable, and nobody else's, as long as the answer lives.
        unsafe { Memory::over(NonNull::from(&mut *memory).cast(), memory.len()) }
    }

    /// Memory that the caller owns.
    ///
    /// # Safety
    /// `pointer` is writable for `capacity` bytes for as long as the answer lives.
    pub unsafe fn over(pointer: NonNull<u8>, capacity: usize) -> Memory<'m> {
        Memory { pointer, capacity, len: 0, borrowed: true, lent: PhantomData }
    }

    /// How many bytes there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The start of the block.
    pub(super) fn start(&self) -> *mut u8 {
        self.pointer.as_ptr()
    }

    /// Forgets what was written, and overwrites it.
    pub fn clear(&mut self) {
        unsafe { core::ptr::write_bytes(self.pointer.as_ptr(), 0, self.len) };
        self.len = 0;
    }

    /// Where the next byte goes, and how many have room until there are `enough`.
    pub fn spare(&mut self, enough: usize) -> (*mut c_void, usize) {
        let room = self.capacity.min(enough).saturating_sub(self.len);
        (unsafe { self.pointer.as_ptr().add(self.len) }.cast(), room)
    }

    /// Counts `count` more bytes of the spare room as written.
    ///
    /// # Safety
    /// They have been written.
    pub unsafe fn grow(&mut self, count: usize) {
        self.len = self.len.saturating_add(count).min(self.capacity);
    }

    /// The block, now the caller's: to be given to [`free`].
    pub fn into_raw(self) -> *mut u8 {
        let pointer = self.pointer.as_ptr();
        core::mem::forget(self);
        pointer
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        if !self.borrowed {
            unsafe { free(self.pointer.as_ptr()) };
        }
    }
}

/// Gives back what [`Memory::into_raw`] handed out.
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
