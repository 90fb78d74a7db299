//! How a device shows that it runs the release, and when it is asked.
//!
//! Owns the modes of verification and the schedule of questions. What an answer means for the
//! assignment is [`crate::assignment::apply`]'s.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// What counts as proof that an update arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The device reports the release's version.
    #[default]
    Version,
    /// After it accepted the update, the device answers at all.
    Reachable,
    /// The 2xx answer to the update is enough.
    None,
}

impl Mode {
    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Reachable => "reachable",
            Self::None => "none",
        }
    }
}

/// The wait before question `asked + 1`, after `asked` questions: the first at once, then after
/// 1, 2 and 4 s, then every 5 s.
pub const fn wait_before_next(asked: u32) -> Duration {
    Duration::from_secs(match asked {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        _ => 5,
    })
}

/// When to ask next, after `asked` questions: never later than the deadline, so that the last
/// question is asked right then.
pub fn next_question(asked: u32, now: Time, deadline: Time) -> Time {
    (now + wait_before_next(asked)).min(deadline.max(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_again_after_1_2_4_then_every_5_and_at_the_deadline() {
        let deadline = Time::from_millis(20_000);
        let mut now = Time::ZERO;
        let mut asked = 0;
        let mut at = vec![];
        loop {
            now = next_question(asked, now, deadline);
            at.push(now.as_millis() / 1_000);
            asked += 1;
            if now >= deadline {
                break;
            }
        }
        assert_eq!(at, [0, 1, 3, 7, 12, 17, 20]);
    }
}
