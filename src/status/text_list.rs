//! A list of constant texts.
#![forbid(unsafe_code)]

use core::ffi::CStr;

/// `N` NUL-terminated texts in one, and where each begins: an array of pointers would have to be relocated at each load.
pub(super) struct Texts<const N: usize> {
    all: &'static str,
    starts: [u16; N],
}

impl<const N: usize> Texts<N> {
    /// The `N` texts in `all`.
    pub(super) const fn of(all: &'static str) -> Texts<N> {
        let bytes = all.as_bytes();
        let (mut starts, mut at, mut number, mut start) = ([0u16; N], 0, 0, 0);
        // Evaluated by the compiler: an index or a sum that does not fit stops the build.
        #[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
        while at < bytes.len() {
            if bytes[at] == 0 {
                starts[number] = start as u16;
                number += 1;
                start = at + 1;
            }
            at += 1;
        }
        assert!(number == N && start <= u16::MAX as usize);
        Texts { all, starts }
    }

    /// Text number `index`.
    pub(super) fn get(&self, index: usize) -> Option<&'static CStr> {
        let start = usize::from(*self.starts.get(index)?);
        CStr::from_bytes_until_nul(self.all.as_bytes().get(start..)?).ok()
    }
}
