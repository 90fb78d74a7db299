//! The keys by which a device tells attempts of one update apart.

use super::report::KeyCount;

/// Attempts share one key; more than a few keys already are a finding.
pub(super) const KEYS_MAX: usize = 16;

/// The Idempotency-Keys that a device saw: mostly one, which has a place of its own.
#[derive(Default)]
pub(super) struct Keys {
    first: Option<Key>,
    pub(super) others: Vec<Key>,
    pub(super) left_out: u64,
}

pub(super) struct Key {
    pub(super) text: Box<str>,
    receptions: u64,
}

impl Key {
    pub(super) fn report(&self) -> KeyCount {
        KeyCount { key: self.text.to_string(), receptions: self.receptions }
    }
}

impl Keys {
    /// Counts one more reception; says which key it came with, if that has a place.
    pub(super) fn count(&mut self, text: &str) -> Option<u8> {
        let known = self.iter().position(|key| *key.text == *text);
        let place = known.unwrap_or_else(|| self.iter().count());
        if known.is_none() {
            let key = || Key { text: text.into(), receptions: 0 };
            match place {
                0 => self.first = Some(key()),
                1..KEYS_MAX => self.others.push(key()),
                _ => {
                    self.left_out += 1;
                    return None;
                }
            }
        }
        self.first.iter_mut().chain(&mut self.others).nth(place)?.receptions += 1;
        Some(place as u8)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.first.iter().chain(&self.others)
    }
}
