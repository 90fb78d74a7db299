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
    /// The first of these, at most [`NAMED_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub down_named: Vec<String>,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = devices_of(u64::from(self.limit));
        write!(f, "{}, of which at most {most} may be out of order: ", self.domain)?;
        let mut parts = vec![];
        if self.failed > 0 {
            parts.push(format!("{} failed", called(self.failed, &self.named)));
        }
        if self.under_way > 0 {
            parts.push(format!("{} being updated", self.under_way));
        }
        if self.down > 0 {
            parts.push(format!("{} down", called(self.down, &self.down_named)));
        }
        if parts.is_empty() {
            parts.push("none is, but others come first".to_owned());
        }
        f.write_str(&parts.join(", "))?;
        if self.failed > 0 {
            f.write_str("; each is freed when it is seen to be well, or by budget release")?;
        }
        if self.down > 0 {
            f.write_str(
                "; who is down counts until it calls, or device check-in says that it did",
            )?;
        }
        Ok(())
    }
}

/// So many devices, of which the first are known by their names.
fn called(count: u32, named: &[String]) -> String {
    let more = u64::from(count).saturating_sub(named.len() as u64);
    let first = named.join(", ");
    match (named.len(), more) {
        (0, count) => count.to_string(),
        (_, 0) => first,
        (_, more) => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_is_out_of_order_and_what_to_do() {
        let names = |named: &[&str]| named.iter().map(|&name| name.to_owned()).collect();
        let full = |under_way, failed, down, named: &[&str]| Full {
            domain: "tag.store=0042".to_owned(),
            limit: 1,
            under_way,
            failed,
            down,
            named: names(named),
            down_named: vec![],
        };
        let texts = [
            full(0, 1, 0, &["till-1"]),
            full(2, 5, 1, &["till-1", "till-2", "till-3"]),
            full(1, 0, 0, &[]),
            full(0, 0, 0, &[]),
            Full { down_named: names(&["till-4"]), ..full(0, 0, 1, &[]) },
            Full { down_named: names(&["till-4", "till-5"]), ..full(0, 1, 3, &["till-1"]) },
        ]
        .map(|full| full.to_string())
        .join("\n");
        insta::assert_snapshot!(texts, @"
        tag.store=0042, of which at most 1 device may be out of order: till-1 failed; each is freed when it is seen to be well, or by budget release
        tag.store=0042, of which at most 1 device may be out of order: till-1, till-2, till-3 and 2 more failed, 2 being updated, 1 down; each is freed when it is seen to be well, or by budget release; who is down counts until it calls, or device check-in says that it did
        tag.store=0042, of which at most 1 device may be out of order: 1 being updated
        tag.store=0042, of which at most 1 device may be out of order: none is, but others come first
        tag.store=0042, of which at most 1 device may be out of order: till-4 down; who is down counts until it calls, or device check-in says that it did
        tag.store=0042, of which at most 1 device may be out of order: till-1 failed, till-4, till-5 and 1 more down; each is freed when it is seen to be well, or by budget release; who is down counts until it calls, or device check-in says that it did
        ");
    }
}
