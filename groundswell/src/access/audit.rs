//! Who did what: entries that are chained by hash, so that none can be changed, left out or moved
//! without a trace.

use groundswell_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

/// A link of the chain.
pub type Hash = [u8; 32];

/// A link as people and programs write it.
pub fn hash_in_hex(hash: &Hash) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    hash.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A change that somebody makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// When, in milliseconds since the Unix epoch.
    #[schema(value_type = i64)]
    pub at: Time,
    /// Who: the name of the token and its id, or the user on this machine.
    pub who: String,
    /// From where: an address, or the machine itself.
    pub from: String,
    /// What is done, such as `device.change`.
    pub action: String,
    /// To what, such as `device till-17`.
    pub subject: String,
    /// What it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// The request that it was done by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// A change as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number: one more than that of the entry before.
    pub seq: i64,
    /// The change, as JSON: the very bytes that are hashed.
    pub body: String,
    /// Sha-256 over the hash before, the number and the body.
    pub hash: Hash,
}

impl Entry {
    /// The entry behind one with `before`, the number and hash of the last.
    pub fn after(before: Option<(i64, Hash)>, body: String) -> Self {
        let (last, link) = before.unwrap_or_default();
        let seq = last + 1;
        let hash = link_of(&link, seq, &body);
        Self { seq, body, hash }
    }
}

fn link_of(before: &Hash, seq: i64, body: &str) -> Hash {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(seq.to_be_bytes());
    hash.update(body.as_bytes());
    hash.finalize().into()
}

/// Looks through entries one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain {
    seq: i64,
    hash: Hash,
}

/// Where the chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainBroken {
    /// Entries are not there, or in another order.
    #[error("behind entry {after} comes entry {found}: entries were removed or moved")]
    Gap {
        /// The last that was whole.
        after: i64,
        /// What came.
        found: i64,
    },
    /// An entry is not what it was.
    #[error("entry {seq} is not what was written: it, or one before it, was changed")]
    Changed {
        /// Which one.
        seq: i64,
    },
}

impl Chain {
    /// Looks at the next entry.
    ///
    /// # Errors
    /// [`ChainBroken`] says where.
    pub fn see(&mut self, entry: &Entry) -> Result<(), ChainBroken> {
        if entry.seq != self.seq + 1 {
            return Err(ChainBroken::Gap { after: self.seq, found: entry.seq });
        }
        if link_of(&self.hash, entry.seq, &entry.body) != entry.hash {
            return Err(ChainBroken::Changed { seq: entry.seq });
        }
        (self.seq, self.hash) = (entry.seq, entry.hash);
        Ok(())
    }

    /// How many entries were whole, and the hash of the last: whoever keeps it elsewhere sees
    /// whether the end was cut off.
    pub const fn head(&self) -> (i64, Hash) {
        (self.seq, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let mut last = None;
        let texts = ["a", "b", "c", "d"].into_iter();
        texts
            .map(|text| {
                let entry = Entry::after(last, text.to_owned());
                last = Some((entry.seq, entry.hash));
                entry
            })
            .collect()
    }

    fn verify(entries: &[Entry]) -> Result<(i64, Hash), ChainBroken> {
        let mut chain = Chain::default();
        entries.iter().try_for_each(|entry| chain.see(entry))?;
        Ok(chain.head())
    }

    #[test]
    fn every_edit_removal_and_move_is_seen() {
        let whole = entries();
        assert_eq!(verify(&whole), Ok((4, whole[3].hash)));
        for place in 0..4 {
            let mut edited = entries();
            edited[place].body.push('!');
            assert_eq!(verify(&edited), Err(ChainBroken::Changed { seq: place as i64 + 1 }));
            let mut removed = entries();
            removed.remove(place);
            let gap = ChainBroken::Gap { after: place as i64, found: place as i64 + 2 };
            match place {
                3 => assert_ne!(verify(&removed), verify(&whole), "the head tells"),
                _ => assert_eq!(verify(&removed), Err(gap)),
            }
            // Numbered anew, which the hash does not forgive.
            for (seq, entry) in removed.iter_mut().enumerate() {
                entry.seq = seq as i64 + 1;
            }
            if place < 3 {
                assert_eq!(verify(&removed), Err(ChainBroken::Changed { seq: place as i64 + 1 }));
            }
        }
        let mut moved = entries();
        moved.swap(1, 2);
        assert_eq!(verify(&moved), Err(ChainBroken::Gap { after: 1, found: 3 }));
        (moved[1].seq, moved[2].seq) = (2, 3);
        assert_eq!(verify(&moved), Err(ChainBroken::Changed { seq: 2 }));
    }
}
