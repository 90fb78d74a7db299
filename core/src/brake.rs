//! When a rollout stops by itself.
//!
//! Owns the brake, a number or a share of failures, and the words for whatever stops a rollout
//! between its gates: the brake, or the [regression test](crate::gate::regression). Both look at
//! counts only, so looking again gives the same verdict.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{gate::regression, snapshot::Counts, time::Time};

/// A percentage is not judged before this many devices have failed: 10 % of the first dozen is
/// one terminal that was switched off, not a bad release.
pub const PERCENT_FAILURES_MIN: u64 = 10;

/// The most failures that are put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Brake {
    /// More than this many devices failed.
    Count(u32),
    /// More than this percentage of the devices that ended failed, and at least
    /// [`PERCENT_FAILURES_MIN`] devices did.
    Percent(u8),
}

impl Default for Brake {
    fn default() -> Self {
        Self::Percent(10)
    }
}

/// Text that is neither a number nor a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a number of devices (5) nor a whole percentage from 0% to 100% (10%)")]
pub struct BrakeError(String);

impl FromStr for Brake {
    type Err = BrakeError;

    fn from_str(text: &str) -> Result<Self, BrakeError> {
        let refuse = || BrakeError(text.chars().take(40).collect());
        match text.trim().strip_suffix('%') {
            Some(number) => match number.trim().parse() {
                Ok(percent @ 0..=100) => Ok(Self::Percent(percent)),
                _ => Err(refuse()),
            },
            None => text.trim().parse().map(Self::Count).map_err(|_| refuse()),
        }
    }
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent} %"),
        }
    }
}

/// What a verdict was made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Evidence {
    /// More failed than may.
    Failures(Failures),
    /// More failed than the baseline explains.
    Regression(regression::Evidence),
}

/// The numbers of the brake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// Devices that failed, could not be reached or timed out, and those that regressed.
    pub failures: u64,
    /// Of these, the ones that could not be reached.
    pub unreachable: u64,
    /// Of these, the ones that were updated, and found not to be well since.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub regressed: u64,
    /// Devices that ended.
    pub ended: u64,
    /// What was allowed.
    pub allowed: Brake,
    /// Failures that an operator had accepted before: these are not among the numbers above.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub accepted: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Verdicts that are kept of a round: each but the first takes an operator who
/// accepted the one before.
pub const VERDICTS_MAX: usize = 8;

/// What stopped it for good, or an operator over that, and on which numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// When.
    pub at: Time,
    /// What.
    pub ruling: Ruling,
    /// The numbers then.
    pub evidence: Evidence,
}

/// What was ruled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// Nothing new is claimed.
    Pause,
    /// The rollout is given up.
    Abort,
    /// By an operator: it goes on, what came of devices so far put up with.
    Accept,
}

impl fmt::Display for Verdict {
    /// Such as `aborted by the brake: 3 of 19 devices failed, at most 2 may`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ruling, evidence, .. } = self;
        let by = evidence.by();
        match ruling {
            Ruling::Pause => write!(f, "paused by the {by}: {evidence}"),
            Ruling::Abort => write!(f, "aborted by the {by}: {evidence}"),
            Ruling::Accept => write!(f, "accepted by the operator: {}", evidence.in_numbers()),
        }
    }
}

impl Verdict {
    /// Takes it down beside what was before; the oldest make room.
    pub fn keep(self, verdicts: &mut Vec<Self>) {
        let more = (verdicts.len() + 1).saturating_sub(VERDICTS_MAX);
        verdicts.drain(..more);
        verdicts.push(self);
    }
}

impl Evidence {
    /// What judges by it, in words.
    pub const fn by(&self) -> &'static str {
        match self {
            Self::Failures(_) => "brake",
            Self::Regression(_) => "regression test",
        }
    }

    /// The same in one short word, to stand before it.
    pub const fn heading(&self) -> &'static str {
        match self {
            Self::Failures(_) => "brake",
            Self::Regression(_) => "test",
        }
    }

    fn in_numbers(&self) -> String {
        match self {
            Self::Failures(failures) => failures.in_numbers(),
            Self::Regression(evidence) => evidence.in_numbers(),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failures(failures) => failures.fmt(f),
            Self::Regression(evidence) => evidence.fmt(f),
        }
    }
}

impl Failures {
    fn in_numbers(&self) -> String {
        let Self { failures, unreachable, regressed, ended, accepted, .. } = self;
        let mut numbers = format!("{failures} of {ended} devices failed");
        if *regressed > 0 {
            let _ = write!(numbers, " ({regressed} of them after their update)");
        }
        if *unreachable > 0 {
            let _ = write!(numbers, " ({unreachable} of them unreachable)");
        }
        if *accepted > 0 {
            let _ = write!(numbers, " (besides {accepted} accepted)");
        }
        numbers
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at most {} may", self.in_numbers(), self.allowed)
    }
}

impl Brake {
    /// Whether to stop now, and on which numbers. `accepted` failures are put up with and looked at
    /// no more.
    pub fn judge(self, counts: &Counts, accepted: u64) -> Option<Evidence> {
        let numbers = self.look(counts, accepted);
        let Failures { failures, ended, .. } = numbers;
        let stops = match self {
            Self::Count(allowed) => failures > u64::from(allowed),
            Self::Percent(percent) => {
                failures >= PERCENT_FAILURES_MIN && failures * 100 > ended * u64::from(percent)
            }
        };
        stops.then_some(Evidence::Failures(numbers))
    }

    /// The numbers it judges on.
    pub fn look(self, counts: &Counts, accepted: u64) -> Failures {
        let failures = counts.harmed().saturating_sub(accepted);
        let ended = counts.ended().saturating_sub(accepted);
        let unreachable = counts.unreachable.min(failures);
        let regressed = counts.regressed.min(failures);
        Failures { failures, unreachable, regressed, ended, allowed: self, accepted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(succeeded: u64, failed: u64) -> Counts {
        Counts { succeeded, failed, ..Counts::default() }
    }

    #[test]
    fn judged_on_counts() {
        let table = [
            (Brake::Count(0), counts(5, 0), false),
            (Brake::Count(0), counts(5, 1), true),
            (Brake::Count(3), counts(0, 3), false),
            (Brake::Count(3), counts(0, 4), true),
            (Brake::Percent(10), counts(0, 9), false),
            (Brake::Percent(10), counts(0, 10), true),
            (Brake::Percent(10), counts(90, 10), false),
            (Brake::Percent(10), counts(89, 10), true),
            (Brake::Percent(100), counts(0, 1_000), false),
            (Brake::Percent(0), counts(1_000, 10), true),
        ];
        for (brake, counts, stops) in table {
            assert_eq!(brake.judge(&counts, 0).is_some(), stops, "{brake} {counts:?}");
        }
    }

    #[test]
    fn the_evidence_reads_well() {
        let counts = Counts { succeeded: 88, failed: 2, unreachable: 10, ..Counts::default() };
        let evidence = Brake::default().judge(&counts, 0).unwrap();
        assert_eq!(
            evidence.to_string(),
            "12 of 100 devices failed (10 of them unreachable), at most 10 % may"
        );
    }

    #[test]
    fn a_device_that_was_updated_and_then_failed_counts() {
        let well = counts(5, 1);
        assert_eq!(Brake::Count(1).judge(&well, 0), None);
        let evidence = Brake::Count(1).judge(&Counts { regressed: 2, ..well }, 0).unwrap();
        assert_eq!(
            evidence.to_string(),
            "3 of 6 devices failed (2 of them after their update), at most 1 may"
        );
        assert_eq!(Brake::Count(1).judge(&Counts { regressed: 2, ..well }, 2), None, "accepted");
    }

    #[test]
    fn read_as_operators_write_it() {
        assert_eq!("5".parse(), Ok(Brake::Count(5)));
        assert_eq!("10%".parse(), Ok(Brake::Percent(10)));
        assert_eq!("10 %".parse(), Ok(Brake::Percent(10)));
        for text in ["", "%", "-1", "101%", "2.5%", "ten", "10%%"] {
            assert!(text.parse::<Brake>().is_err(), "{text:?} was taken");
        }
    }
}
