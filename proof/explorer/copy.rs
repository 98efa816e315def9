//! What a fork does to memory: the child gets a copy of the lock's handle. All processes of the explorer share one
//! memory, so the copy is made by hand.

use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use steadfast::ffi::lock::steadfast_lock;

/// The block that the handle points to: the path of the lock's directory.
const DIRECTORY: &[u8] = b"/d\0";

/// Where in the handle the pointer to that block is, found by its content; the rest of the handle points nowhere.
fn place_of_pointer(words: &[usize]) -> usize {
    static PLACE: OnceLock<usize> = OnceLock::new();
    *PLACE.get_or_init(|| {
        // Read as a file: a word that is no address is an error there.
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let points = |word: usize| {
            let mut block = [0; DIRECTORY.len()];
            memory.read_exact_at(&mut block, word as u64).is_ok() && block == DIRECTORY
        };
        let places: Vec<usize> = (0..words.len()).filter(|&at| points(words[at])).collect();
        assert_eq!(places.len(), 1, "the handle of a lock is not what it was");
        places[0]
    })
}

/// A copy of the handle, with a block of its own: to be released as well.
pub unsafe fn of_lock(lock: *const steadfast_lock) -> *mut steadfast_lock {
    unsafe {
        let copy: *mut usize = libc::malloc(size_of::<steadfast_lock>()).cast();
        std::ptr::copy_nonoverlapping(lock.cast::<u8>(), copy.cast::<u8>(), size_of::<steadfast_lock>());
        let words = std::slice::from_raw_parts_mut(copy, size_of::<steadfast_lock>() / size_of::<usize>());
        let block: *mut u8 = libc::malloc(DIRECTORY.len()).cast();
        std::ptr::copy_nonoverlapping(DIRECTORY.as_ptr(), block, DIRECTORY.len());
        words[place_of_pointer(words)] = block as usize;
        copy.cast()
    }
}
