//! What a deadline comes before.

use serde::{Deserialize, Serialize};

use super::when;
use crate::time::Time;

/// What a deadline comes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Before {
    /// A window opens.
    Window,
    /// A freeze ends.
    Freeze,
    /// A device is tried again.
    Try,
    /// A wave opens.
    Wave {
        /// Which, counted from 0.
        wave: usize,
        /// How many there are.
        of: usize,
    },
}

impl Before {
    pub(super) fn in_words(self, count: u64, deadline: Time, now: Time) -> String {
        let (what, its) = match self {
            Self::Window => ("its window opens".to_owned(), true),
            Self::Freeze => ("its freeze ends".to_owned(), true),
            Self::Try => ("it is tried again".to_owned(), true),
            Self::Wave { wave, of } => {
                (format!("wave {} of {of} opens", wave.saturating_add(1)), false)
            }
        };
        let of = if count == 1 && its { String::new() } else { format!(" ({count} devices)") };
        let of = if count == 1 { of.replace("devices", "device") } else { of };
        format!("its deadline is {}, before {what}{of}", when(deadline, now))
    }
}
