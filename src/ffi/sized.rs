//! Structs that begin with their size.

use crate::status::*;

/// A struct that the caller filled: `size` first. A missing tail reads as zero, a longer one must be zero.
///
/// # Safety
/// `pointer` is NULL or points to as many readable bytes as its first member says; T is plain old data for
/// which zero bytes are a value.
pub(super) unsafe fn read_sized<T: Copy>(pointer: *const T, minimum: usize) -> Result<Option<T>, Outcome> {
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    unsafe {
        let there = read_bytes(pointer.cast(), value.as_mut_ptr().cast(), size_of::<T>(), minimum)?;
        Ok(there.then_some(value.assume_init()))
    }
}

/// # Safety
/// As [`read_sized`]; `out` is writable for `known` bytes.
unsafe fn read_bytes(pointer: *const u8, out: *mut u8, known: usize, minimum: usize) -> Result<bool, Outcome> {
    if pointer.is_null() {
        return Ok(false);
    }
    let size = unsafe { pointer.cast::<usize>().read() };
    if size < minimum {
        return Err(Outcome::invalid(Detail::StructTooSmall));
    }
    if size > 1 << 16 {
        return Err(Outcome::invalid(Detail::StructTooLarge));
    }
    let bytes = unsafe { core::slice::from_raw_parts(pointer, size) };
    if bytes.iter().skip(known).any(|&byte| byte != 0) {
        return Err(Outcome::invalid(Detail::StructUnknown));
    }
    unsafe { core::ptr::copy_nonoverlapping(pointer, out, known.min(size)) };
    Ok(true)
}

/// Writes `value` to a struct of the library's: as much as the caller's `size` has room for.
///
/// # Safety
/// `pointer` points to as many writable bytes as its first member says.
pub(super) unsafe fn write_sized<T: Copy>(pointer: *mut T, value: T) {
    unsafe {
        let size = pointer.cast::<usize>().read();
        let skip = size_of::<usize>();
        let count = size.min(size_of::<T>()).saturating_sub(skip);
        let from = (&raw const value).cast::<u8>().add(skip);
        core::ptr::copy_nonoverlapping(from, pointer.cast::<u8>().add(skip), count);
    }
}
