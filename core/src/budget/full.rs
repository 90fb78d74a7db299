//! A domain of which as many devices are out of order as may be, in words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::devices_of;

/// Most devices that are named.
pub const NAMED_MAX: usize = 3;

/// A domain of which no more devices may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Full {
    /// Which one, as [`super::Domain`] is written.
    pub domain: String,
    /// How many may be out of order at once.
    pub limit: u32,
    /// Devices of it that are being updated.
    pub under_way: u32,
    /// Devices of it that failed, and were not seen to be well since.
    pub failed: u32,
    /// The first of these, at most [`NAMED_MAX`].
    pub named: Vec<String>,
    /// Devices of it that are known to be down, where these count.
    pub down: u32,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = devices_of(u64::from(self.limit));
        write!(f, "{}, of which at most {most} may be out of order: ", self.domain)?;
        let mut parts = vec![];
        if self.failed > 0 {
            let more = u64::from(self.failed).saturating_sub(self.named.len() as u64);
            let names = self.named.join(", ");
            parts.push(match (self.named.len(), more) {
                (0, count) => format!("{count} failed"),
                (_, 0) => format!("{names} failed"),
                (_, more) => format!("{names} and {more} more failed"),
            });
        }
        if self.under_way > 0 {
            parts.push(format!("{} being updated", self.under_way));
        }
        if self.down > 0 {
            parts.push(format!("{} down", self.down));
        }
        if parts.is_empty() {
            parts.push("none is, but others come first".to_owned());
        }
        f.write_str(&parts.join(", "))?;
        if self.failed > 0 {
            f.write_str("; each is freed when it is seen to be well, or by budget release")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_is_out_of_order_and_what_to_do() {
        let full = |under_way, failed, down, named: &[&str]| Full {
            domain: "tag.store=0042".to_owned(),
            limit: 1,
            under_way,
            failed,
            down,
            named: named.iter().map(|&name| name.to_owned()).collect(),
        };
        let texts = [
            full(0, 1, 0, &["till-1"]),
            full(2, 5, 1, &["till-1", "till-2", "till-3"]),
            full(1, 0, 0, &[]),
            full(0, 0, 0, &[]),
        ]
        .map(|full| full.to_string())
        .join("\n");
        insta::assert_snapshot!(texts, @"
        tag.store=0042, of which at most 1 device may be out of order: till-1 failed; each is freed when it is seen to be well, or by budget release
        tag.store=0042, of which at most 1 device may be out of order: till-1, till-2, till-3 and 2 more failed, 2 being updated, 1 down; each is freed when it is seen to be well, or by budget release
        tag.store=0042, of which at most 1 device may be out of order: 1 being updated
        tag.store=0042, of which at most 1 device may be out of order: none is, but others come first
        ");
    }
}
