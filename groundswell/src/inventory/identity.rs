//! What makes two inventories the same fleet.

use groundswell_core::device::{Address, Device};
use sha2::{Digest, Sha256};

/// SHA-256 over the set of (id, address) of these devices: neither the order of rows nor a row
/// given twice changes it, and nothing else of a device is part of it.
///
/// Every text goes in with its length in front, so that no two sets have the same bytes.
pub fn identity_digest<'a>(devices: impl IntoIterator<Item = &'a Device>) -> [u8; 32] {
    let mut set: Vec<(&str, Option<&str>)> = devices
        .into_iter()
        .map(|device| (&*device.id, device.address.as_ref().map(Address::as_str)))
        .collect();
    set.sort_unstable();
    set.dedup();
    let mut digest = Sha256::new();
    digest.update((set.len() as u64).to_le_bytes());
    for (id, address) in set {
        write_text(&mut digest, id);
        match address {
            None => digest.update([0]),
            Some(address) => {
                digest.update([1]);
                write_text(&mut digest, address);
            }
        }
    }
    digest.finalize().into()
}

fn write_text(digest: &mut Sha256, text: &str) {
    digest.update((text.len() as u64).to_le_bytes());
    digest.update(text);
}
