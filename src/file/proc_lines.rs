//! The lines of a table in /proc.

use crate::hooks::*;
use core::ffi::CStr;

/// Longer tables are not read to their end.
const MOST_READS: u32 = 256;

/// Shows the lines of `path` to `look`, until it answers: the first `N` bytes of each.
pub fn find<const N: usize, T>(hooks: &Hooks, path: &CStr, mut look: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
    if hooks.absent(STEADFAST_ABSENT_PROC) {
        return None;
    }
    let fd = hooks.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0).ok()?;
    let mut buf = [0u8; 1024];
    let mut line = [0u8; N];
    let mut len = 0usize;
    for _ in 0..MOST_READS {
        let bytes = hooks.read(fd.raw(), &mut buf).ok().filter(|bytes| !bytes.is_empty())?;
        for &byte in bytes {
            if byte == b'\n' {
                let found = line.get(..len).and_then(&mut look);
                if found.is_some() {
                    return found;
                }
                len = 0;
            } else if let Some(slot) = line.get_mut(len) {
                *slot = byte;
                len = len.saturating_add(1);
            }
        }
    }
    None
}

/// Major and minor number of a st_dev, which is laid out as in makedev(3).
pub fn device_numbers(dev: u64) -> (u64, u64) {
    ((dev >> 8 & 0xfff) | (dev >> 32 & 0xffff_f000), (dev & 0xff) | (dev >> 12 & 0xffff_ff00))
}
