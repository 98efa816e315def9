//! SHA-256 that can be left and taken up again between two blocks.
#![forbid(unsafe_code)]

use crate::mem::{copy, prefetch};
use sha2::block_api::Sha256VarCore;
use sha2::digest::array::Array;
use sha2::digest::block_api::{Buffer, UpdateCore, VariableOutputCore};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};

/// Bytes of a block.
pub const BLOCK: usize = 64;

/// The running state: all that what was hashed has left, but for its length.
pub type Running = [u8; 32];

/// A hasher of whole blocks.
pub struct Blocks(Sha256VarCore);

impl Blocks {
    /// One that has hashed nothing.
    pub fn new() -> Option<Blocks> {
        Sha256VarCore::new(32).ok().map(Blocks)
    }

    /// One that has hashed `blocks` blocks, with this state after them.
    pub fn at(running: &Running, blocks: u64) -> Option<Blocks> {
        let mut all = SerializedState::<Sha256VarCore>::default();
        let (state, count) = all.split_at_mut_checked(size_of::<Running>())?;
        copy(state, running);
        copy(count, &blocks.to_le_bytes());
        Sha256VarCore::deserialize(&all).ok().map(Blocks)
    }

    /// Its state now.
    pub fn running(&self) -> Running {
        let mut running = Running::default();
        copy(&mut running, &self.0.serialize());
        running
    }

    /// Hashes the whole blocks that `bytes` begins with, and gives what is left. Beyond the cache SHA-256 waits for memory: asked for
    /// ahead, it does not.
    pub fn update<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        const STEP: usize = 16;
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut ahead = blocks.get(2 * STEP..).unwrap_or_default().chunks(STEP);
        for piece in blocks.chunks(STEP) {
            prefetch(ahead.next().unwrap_or_default().as_flattened());
            self.0.update_blocks(Array::cast_slice_from_core(piece));
        }
        rest
    }

    /// The digest of what was hashed and then `rest`, which is less than a block.
    pub fn finish(mut self, rest: &[u8]) -> [u8; 32] {
        let mut digest = Array::default();
        self.0.finalize_variable_core(&mut Buffer::<Sha256VarCore>::new(rest), &mut digest);
        digest.into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn taken_up_again_it_gives_the_digest_of_all() {
        let bytes: [u8; 70_000] = core::array::from_fn(|i| ((i * i) >> 3) as u8);
        for len in [0, 1, 63, 64, 65, 128, 4096, 65_536, 69_999] {
            for cut in [0, 64, 128, 4096, 65_472].into_iter().filter(|&cut| cut <= len) {
                let mut first = Blocks::new().unwrap();
                assert!(first.update(&bytes[..cut]).is_empty());
                let mut second = Blocks::at(&first.running(), (cut / BLOCK) as u64).unwrap();
                let rest = second.update(&bytes[cut..len]);
                assert_eq!(second.finish(rest)[..], Sha256::digest(&bytes[..len])[..], "{len} bytes, cut at {cut}");
            }
        }
    }

    #[test]
    fn another_content_has_another_state() {
        let mut one = Blocks::new().unwrap();
        let mut other = Blocks::new().unwrap();
        one.update(&[0; 64]);
        other.update(&[1; 64]);
        assert_ne!(one.running(), other.running());
    }
}
