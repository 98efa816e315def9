//! What a file holds, with a number that stands for it: states are compared far more often than files are written.

use super::fs::mix_bytes;

#[derive(Clone, Default)]
pub struct Content {
    bytes: Vec<u8>,
    hash: u64,
}

impl Content {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
        self.hash = mix_bytes(0, &self.bytes);
    }

    pub fn truncate(&mut self, len: usize) {
        self.bytes.resize(len, 0);
        self.hash = mix_bytes(0, &self.bytes);
    }
}
