//! Bytes that are nowhere but on their way: the same block of noise again and again, each with its
//! number, the last one also with that of the run.

use groundswell::core::release::Digest;
use sha2::{Digest as _, Sha256};

/// Bytes of a block.
pub(crate) const BLOCK: u64 = 1 << 20;

pub(crate) struct MadeUp {
    blocks: u64,
    noise: Vec<u8>,
    /// Over all blocks but the last.
    hasher: Sha256,
}

impl MadeUp {
    pub(crate) fn new(bytes: u64) -> Self {
        let mut noise = vec![0; BLOCK as usize];
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        for word in noise.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        let mut made = Self { blocks: bytes / BLOCK, noise, hasher: Sha256::new() };
        let mut block = vec![0; BLOCK as usize];
        for at in 0..made.blocks - 1 {
            made.write(at, 0, &mut block);
            made.hasher.update(&block);
        }
        made
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.blocks * BLOCK
    }

    /// The block of this number.
    pub(crate) fn write(&self, at: u64, run: u64, into: &mut [u8]) {
        into.copy_from_slice(&self.noise);
        into[..8].copy_from_slice(&at.to_le_bytes());
        if at + 1 == self.blocks {
            into[8..16].copy_from_slice(&run.to_le_bytes());
        }
    }

    /// The sha-256 of all of it, in hex.
    pub(crate) fn digest(&self, run: u64) -> String {
        let (mut hasher, mut last) = (self.hasher.clone(), vec![0; BLOCK as usize]);
        self.write(self.blocks - 1, run, &mut last);
        hasher.update(&last);
        Digest(hasher.finalize().into()).to_string()
    }
}
