//! The content of a disk: copy-on-write pages, so that a snapshot costs next to nothing.

use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128_with_seed;

pub const PAGE: usize = 4096;
type Page = [u8; PAGE];

#[derive(Clone, Default)]
pub struct Pages {
    pages: Vec<Option<Arc<Page>>>,
    /// Of all that is not zero; kept up to date by every write.
    hash: u128,
}

fn hash_of(number: usize, page: &Option<Arc<Page>>) -> u128 {
    match page {
        Some(page) if page.iter().any(|&byte| byte != 0) => xxh3_128_with_seed(&page[..], number as u64),
        _ => 0,
    }
}

impl Pages {
    pub fn from_bytes(bytes: &[u8]) -> Pages {
        let mut pages = Pages { pages: vec![None; bytes.len().div_ceil(PAGE)], hash: 0 };
        for (number, chunk) in bytes.chunks(PAGE).enumerate() {
            if chunk.iter().any(|&byte| byte != 0) {
                pages.write((number * PAGE) as u64, chunk);
            }
        }
        pages
    }

    pub fn len(&self) -> u64 {
        (self.pages.len() * PAGE) as u64
    }

    pub fn hash(&self) -> u128 {
        self.hash
    }

    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let (mut at, mut rest) = (offset as usize, data);
        while !rest.is_empty() && at < self.pages.len() * PAGE {
            let (number, start) = (at / PAGE, at % PAGE);
            let (now, later) = rest.split_at(rest.len().min(PAGE - start));
            let page = &mut self.pages[number];
            self.hash ^= hash_of(number, page);
            Arc::make_mut(page.get_or_insert_with(|| Arc::new([0; PAGE])))[start..start + now.len()].copy_from_slice(now);
            self.hash ^= hash_of(number, page);
            at += now.len();
            rest = later;
        }
    }

    pub fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len.min(self.len().saturating_sub(offset) as usize)];
        let mut at = 0;
        while at < out.len() {
            let (number, start) = ((offset as usize + at) / PAGE, (offset as usize + at) % PAGE);
            let now = (PAGE - start).min(out.len() - at);
            if let Some(page) = &self.pages[number] {
                out[at..at + now].copy_from_slice(&page[start..start + now]);
            }
            at += now;
        }
        out
    }
}
