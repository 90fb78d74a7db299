//! May the next wave open: the verdict over a wave, with its evidence.
//!
//! Owns the rule of the minimum rate, and beside it the test for a regression ([`regression`]) and what
//! is asked outside of the rollout ([`external`]). The first two look at counts only, so looking again
//! gives the same verdict; doubt waits, it never advances.

pub mod baseline;
pub mod external;
mod log2;
pub mod rate;
pub mod regression;

use std::fmt;

use serde::{Deserialize, Serialize};

use self::external::Besides;
use crate::{snapshot::Counts, time::Time};

/// What a gate makes of devices that could not be reached: a rule of its own, because they say
/// nothing of the release and may say much of the site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreachable {
    /// They are told beside the others, and not judged.
    #[default]
    Ignore,
    /// They have failed like others.
    Fail,
    /// As long as there are any the gate does not rule; an operator may.
    Wait,
}

impl Unreachable {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
    pub(crate) const fn is_ignore(&self) -> bool {
        matches!(self, Self::Ignore)
    }
}

/// What a gate judges on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Devices that run the release: updated, or found to run it already.
    pub succeeded: u64,
    /// Devices that failed or timed out, apart from those that could not be reached; and those that
    /// regressed.
    pub failed: u64,
    /// Of these, devices that were updated, and found not to be well since.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub regressed: u64,
    /// Devices that could not be reached.
    pub unreachable: u64,
    /// What is made of these.
    #[serde(default, skip_serializing_if = "Unreachable::is_ignore")]
    pub rule: Unreachable,
    /// Devices that may still succeed.
    pub open: u64,
    /// All devices of the wave.
    pub of: u64,
}

impl Tally {
    /// The numbers of a wave whose devices are counted so.
    pub const fn of(counts: &Counts, rule: Unreachable) -> Self {
        Self {
            succeeded: counts.succeeded.saturating_sub(counts.regressed) + counts.current,
            failed: counts.failed + counts.timed_out + counts.regressed,
            regressed: counts.regressed,
            unreachable: counts.unreachable,
            rule,
            open: counts.waiting() + counts.active(),
            of: counts.total(),
        }
    }

    /// Devices that count as failed.
    pub const fn failures(&self) -> u64 {
        match self.rule {
            Unreachable::Fail => self.failed + self.unreachable,
            Unreachable::Ignore | Unreachable::Wait => self.failed,
        }
    }

    /// Devices that say something about the release.
    pub const fn judged(&self) -> u64 {
        self.succeeded + self.failures()
    }

    /// Whether the gate waits for devices that could not be reached.
    pub const fn is_held(&self) -> bool {
        matches!(self.rule, Unreachable::Wait) && self.unreachable > 0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl fmt::Display for Tally {
    /// Such as `9 of 10 succeeded (1 regressed, 2 more unreachable)`; whatever the rule, they are
    /// told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} succeeded", self.succeeded, self.judged())?;
        let regressed = (self.regressed > 0).then(|| format!("{} regressed", self.regressed));
        let unreachable = match (self.unreachable, self.rule) {
            (0, _) => None,
            (more, Unreachable::Ignore | Unreachable::Wait) => {
                Some(format!("{more} more unreachable"))
            }
            (count, Unreachable::Fail) => Some(format!("{count} unreachable")),
        };
        let beside: Vec<String> = regressed.into_iter().chain(unreachable).collect();
        if beside.is_empty() { Ok(()) } else { write!(f, " ({})", beside.join(", ")) }
    }
}

/// What a gate says of a wave that has ended, or is about to be judged early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opinion {
    /// The next wave may open.
    Go,
    /// It must not.
    Stop,
    /// There is nothing to judge by.
    NotYet,
}

/// What a gate said for good, or an operator in its place, and on which numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// When.
    pub at: Time,
    /// What.
    pub ruling: Ruling,
    /// The numbers then.
    pub tally: Tally,
    /// The least share of successes asked for, in percent.
    pub min_success: Option<u8>,
    /// What external gates said.
    #[serde(default, skip_serializing_if = "Besides::is_nothing")]
    pub besides: Besides,
}

/// What was ruled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// By the gate: the next wave may open.
    Go,
    /// By the gate: it must not.
    Stop,
    /// By an operator, whatever the gate says: the next wave may open.
    Override,
}

impl fmt::Display for Verdict {
    /// Such as `go: 10 of 10 succeeded, at least 95 % required`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.ruling {
            Ruling::Go => "go: ",
            Ruling::Stop => "stop: ",
            Ruling::Override => "overridden by the operator: ",
        })?;
        if self.tally.of == 0 {
            f.write_str("no device is in this wave")?;
            return self.besides.fmt(f);
        }
        write!(f, "{}", self.tally)?;
        if self.tally.open > 0 {
            write!(f, ", {} still open", self.tally.open)?;
        }
        if let Some(percent) = self.min_success {
            write!(f, ", at least {percent} % required")?;
        }
        self.besides.fmt(f)
    }
}

/// Judges a wave that has ended. An empty one is let through; without a minimum, so is any, unless
/// those that could not be reached are waited for.
pub const fn judge(tally: &Tally, min_success: Option<u8>) -> Opinion {
    if tally.is_held() {
        return Opinion::NotYet;
    }
    let Some(min) = min_success else { return Opinion::Go };
    if tally.of == 0 {
        return Opinion::Go;
    }
    if tally.judged() == 0 {
        return Opinion::NotYet;
    }
    if tally.succeeded * 100 >= min as u64 * tally.judged() { Opinion::Go } else { Opinion::Stop }
}

/// Whether the minimum can no longer be reached, even if every device that is left succeeds.
pub const fn is_out_of_reach(tally: &Tally, min_success: Option<u8>) -> bool {
    let Some(min) = min_success else { return false };
    let best = tally.succeeded + tally.open;
    tally.failures() > 0 && best * 100 < min as u64 * (tally.judged() + tally.open)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{external::Gates, *};

    fn tally(succeeded: u64, failed: u64, open: u64) -> Tally {
        let of = succeeded + failed + open;
        Tally { succeeded, failed, open, of, ..Tally::default() }
    }

    #[test]
    fn the_minimum_is_reached_or_not_and_doubt_waits() {
        for (succeeded, failed, min, says) in [
            (95, 5, Some(95), Opinion::Go),
            (94, 6, Some(95), Opinion::Stop),
            (9, 1, Some(91), Opinion::Stop),
            (9, 1, Some(90), Opinion::Go),
            (0, 1, Some(0), Opinion::Go),
            (0, 1, None, Opinion::Go),
            (0, 0, None, Opinion::Go),
            (0, 0, Some(0), Opinion::Go),
            (199, 1, Some(100), Opinion::Stop),
        ] {
            assert_eq!(
                judge(&tally(succeeded, failed, 0), min),
                says,
                "{succeeded} {failed} {min:?}"
            );
        }
        let unreachable = Tally { unreachable: 3, of: 3, ..Tally::default() };
        assert_eq!(judge(&unreachable, Some(50)), Opinion::NotYet, "0 of 0 is no success");
        assert_eq!(judge(&unreachable, Some(0)), Opinion::NotYet, "0 of 0 is no success");
    }

    #[test]
    fn shown_with_its_numbers() {
        let verdict = Verdict {
            at: Time::ZERO,
            ruling: Ruling::Stop,
            tally: Tally { unreachable: 2, of: 12, ..tally(9, 1, 0) },
            min_success: Some(95),
            besides: Besides::Nothing,
        };
        assert_eq!(
            verdict.to_string(),
            "stop: 9 of 10 succeeded (2 more unreachable), at least 95 % required"
        );
        let tally_of = |counts| Tally::of(&counts, Unreachable::Ignore);
        let counts = Counts { succeeded: 9, regressed: 1, current: 1, ..Counts::default() };
        let regressed = Verdict { tally: tally_of(counts), ..verdict };
        assert_eq!(
            regressed.to_string(),
            "stop: 9 of 10 succeeded (1 regressed), at least 95 % required"
        );
        let both = Verdict { tally: tally_of(Counts { unreachable: 2, ..counts }), ..verdict };
        assert_eq!(
            both.to_string(),
            "stop: 9 of 10 succeeded (1 regressed, 2 more unreachable), at least 95 % required"
        );
        let early = Verdict { tally: tally(1, 2, 7), ..verdict };
        let text = "stop: 1 of 3 succeeded, 7 still open, at least 95 % required";
        assert_eq!(early.to_string(), text);
        let empty = Verdict { ruling: Ruling::Go, tally: Tally::default(), ..verdict };
        assert_eq!(empty.to_string(), "go: no device is in this wave");
        let asked = |besides| Verdict { besides, ..early }.to_string();
        assert_eq!(asked(Besides::Go(1)), format!("{text}, 1 external gate says go"));
        assert_eq!(asked(Besides::Stop(2)), format!("{text}, external gate 2 says stop"));
        let unsaid = |places: &[usize]| asked(Besides::Unsaid(Gates::of(places.to_vec())));
        assert_eq!(unsaid(&[1]), format!("{text}, external gate 2 had not said go"));
        let several = format!("{text}, external gates 1, 3 and 8 had not all said go");
        assert_eq!(unsaid(&[0, 2, 7]), several);
    }

    proptest! {
        /// Stopping early is stopping what could only have ended in a stop.
        #[test]
        fn early_stops_are_right(succeeded in 0_u64..30, failed in 0_u64..30, open in 0_u64..30, min in 0_u8..=100) {
            let now = tally(succeeded, failed, open);
            let best = judge(&tally(succeeded + open, failed, 0), Some(min));
            if is_out_of_reach(&now, Some(min)) {
                prop_assert_eq!(best, Opinion::Stop);
            } else if now.judged() + open > 0 {
                prop_assert_eq!(best, Opinion::Go);
            }
        }
    }
}
