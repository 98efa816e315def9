//! What a fork does to memory: the child gets a copy of the lock's handle. All processes of the explorer share one
//! memory, so the copy is made by hand.

use steadfast::ffi::lock::{POINTER_OF_LOCK, steadfast_lock};

/// The block that the handle points to: the path of the lock's directory.
const DIRECTORY: &[u8] = b"/d\0";

/// A copy of the handle, with a block of its own: to be released as well.
pub unsafe fn of_lock(lock: *const steadfast_lock) -> *mut steadfast_lock {
    unsafe {
        let copy: *mut usize = libc::malloc(size_of::<steadfast_lock>()).cast();
        std::ptr::copy_nonoverlapping(lock.cast::<u8>(), copy.cast::<u8>(), size_of::<steadfast_lock>());
        let block: *mut u8 = libc::malloc(DIRECTORY.len()).cast();
        std::ptr::copy_nonoverlapping(DIRECTORY.as_ptr(), block, DIRECTORY.len());
        let pointer = copy.byte_add(POINTER_OF_LOCK);
        assert_eq!(std::slice::from_raw_parts(*pointer as *const u8, DIRECTORY.len()), DIRECTORY, "another block");
        *pointer = block as usize;
        copy.cast()
    }
}
