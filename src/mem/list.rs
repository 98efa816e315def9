//! A list of fixed capacity.

use super::buffer::Buffer;
use crate::sys::Errno;

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
        unsafe { self.memory.start().cast::<T>().add(index) }
    }

    /// Puts it at the end. There is room: the list was made for as many.
    pub fn push(&mut self, value: T) -> Result<(), Errno> {
        let end = self.len.saturating_add(1);
        if end.saturating_mul(size_of::<T>()) > self.memory.capacity() {
            return Err(Errno::INTERNAL);
        }
        unsafe { self.at(self.len).write(value) };
        self.len = end;
        Ok(())
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
