//! What makes a push the same push: run again, it goes on instead of starting anew.

use groundswell_core::release::Release;
use sha2::{Digest, Sha256};

use crate::inventory::{self, Entry};

/// Sha-256 over the artifact's digest, version, name, selector and the set of (id, address) of
/// the devices, each with its length before it.
pub(super) fn identity(release: &Release, select: Option<&str>, entries: &[Entry]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let devices = inventory::identity_digest(entries.iter().map(|entry| &entry.device));
    let parts: [&[u8]; 5] = [
        &release.artifact.0,
        release.version.as_bytes(),
        release.name.as_bytes(),
        select.unwrap_or_default().as_bytes(),
        &devices,
    ];
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}
