//! Does a release fail more often than it should: a test that may be looked at after every result.
//!
//! A threshold that is looked at again and again is crossed by chance sooner or later. This test is
//! not: it bets, on each result, against "fails as often as the baseline", at fair odds. What it has
//! won so far, as a multiple of what it began with, is the evidence
//!
//! ```text
//! e = sum over k of 1/K x (p_k / p_0)^failures x ((1 - p_k) / (1 - p_0))^successes
//! ```
//!
//! with the baseline rate `p_0` and K rates `p_k` above it. As long as each result is a failure with
//! a chance of at most `p_0`, whatever came before it, nobody can expect to win, and the chance that
//! e *ever* reaches 1/alpha is at most alpha (J. Ville, "Étude critique de la notion de collectif",
//! 1939). So it may be looked at after every commit, in waves of any size, for as long as one likes.
//!
//! It needs the two counts and nothing else, and it is computed in logarithms of whole numbers: the
//! same bits everywhere, for counts of any size. Rounding only ever makes it stop later.
//!
//! "Before" is the order in which devices are begun, not the one in which they answer: those that
//! fail may answer first, and then the first answers are all failures. So a device that is under
//! way counts as a success until it is known. That can only make e smaller than it will be once all
//! that were begun have answered, and so the bound holds whatever order they answer in.
//!
//! **What alpha covers:** this test alone, under the assumption above. It says nothing of the
//! cap on failures beside it ([`crate::brake`]), of other gates, of several rollouts together, nor of
//! a baseline that is too low. It does not hold where devices fail together: a store without power is one event, not
//! thirty failures of a release, each with a chance of its own.
//!
//! Read [`Regression`] and [`Test::judge`] first.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::snapshot::Counts;

use super::{
    Tally,
    baseline::Baseline,
    log2::{self, Log2},
    rate::Rate,
};

/// Alternatives are tried up to the first one at which so many millionths fail: one that is nearer
/// to "all of them" would stop no earlier, as one failure more is as good.
const ALTERNATIVE_ENOUGH_PPM: u64 = 950_000;

/// Powers of ten up to which evidence is told: the counts of any fleet give less.
const TENS_MAX: i128 = 1_000_000_000_000_000;

/// What is asked of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regression {
    /// How many fail when nothing is wrong.
    pub baseline: Baseline,
    /// How often a release that is no regression may be stopped.
    #[serde(default)]
    pub alpha: Alpha,
}

/// The chance of a false stop that is put up with, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Alpha(u8);

/// A chance that is not from 1 % to 20 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} % is no chance of a false stop that can be asked for; write 1 to {max}", max = Alpha::PERCENT_MAX)]
pub struct AlphaError(u8);

impl Alpha {
    /// Beyond one false stop in five nobody believes the test any more.
    pub const PERCENT_MAX: u8 = 20;

    /// So many percent.
    pub const fn from_percent(percent: u8) -> Result<Self, AlphaError> {
        match percent {
            1..=Self::PERCENT_MAX => Ok(Self(percent)),
            _ => Err(AlphaError(percent)),
        }
    }

    /// In percent.
    pub const fn percent(self) -> u8 {
        self.0
    }

    /// The evidence at which to stop: 1 divided by this.
    pub fn limit(self) -> Strength {
        Strength::at_least(Log2::of(100).minus(Log2::of(self.0.into())))
    }
}

impl Default for Alpha {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u8> for Alpha {
    type Error = AlphaError;

    fn try_from(percent: u8) -> Result<Self, AlphaError> {
        Self::from_percent(percent)
    }
}

impl From<Alpha> for u8 {
    fn from(alpha: Alpha) -> Self {
        alpha.0
    }
}

/// A value of e, as the thousandfold of its logarithm to base 10, rounded down: 2,000 is 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Strength(i64);

impl Strength {
    /// From a million on nobody asks how much more.
    const SHOWN_MAX: i64 = 6_000;

    /// Below a hundredth nobody asks how much less.
    const SHOWN_MIN: i64 = -2_000;

    /// 1,000 x log10(e).
    pub const fn log10_milli(self) -> i64 {
        self.0
    }

    /// The lowest value with at least this logarithm, which is above 0.
    fn at_least(log: Log2) -> Self {
        let mut milli = (log.high * 1_000 / Log2::of(10).high) as i64;
        // Only whole powers of ten are so near to a logarithm that the intervals overlap: these
        // are equal.
        while Self(milli).log2().high < log.low {
            milli += 1;
        }
        Self(milli)
    }

    fn log2(self) -> Log2 {
        let Log2 { low, high } = Log2::of(10);
        let milli = i128::from(self.0);
        let (low, high) = if milli < 0 { (high, low) } else { (low, high) };
        let round_up = |number: i128| -(-number).div_euclid(1_000);
        Log2 { low: (milli * low).div_euclid(1_000), high: round_up(milli * high) }
    }
}

impl fmt::Display for Strength {
    /// The value itself with three digits, cut off, such as `312`, `3.12` or `over 1,000,000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Self::SHOWN_MAX.. => return f.write_str("over 1,000,000"),
            ..Self::SHOWN_MIN => return f.write_str("under 0.01"),
            _ => {}
        }
        let (tens, part) = (self.0.div_euclid(1_000), self.0.rem_euclid(1_000));
        // A tenth of the leading digits is below 1, where powers have room; 2^-43 more than that
        // makes 10^-1 a whole tenth.
        let tenth = log2::power(Self(part - 1_000).log2().low) + (1 << 20);
        let digits = (u128::from(tenth) * 1_000) >> log2::POWER_BITS;
        match tens {
            5 => write!(f, "{digits},000"),
            4 => write!(f, "{},{}00", digits / 10, digits % 10),
            3 => write!(f, "{},{:02}0", digits / 100, digits % 100),
            2 => write!(f, "{digits}"),
            tens => {
                let behind = (2 - tens) as usize;
                let scale = 10_u128.pow(behind as u32);
                let part = format!("{:0behind$}", digits % scale);
                let part = part.trim_end_matches('0');
                let point = if part.is_empty() { "" } else { "." };
                write!(f, "{}{point}{part}", digits / scale)
            }
        }
    }
}

/// What came of the devices so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// Devices that succeeded.
    pub succeeded: u64,
    /// Devices that failed.
    pub failed: u64,
    /// Devices that were begun and may still do either. To leave them out is to let the quickest
    /// decide.
    pub under_way: u64,
}

impl Results {
    /// Those of devices counted so, of which `before` are looked at no more: an operator has accepted
    /// them. Who was found to run the release was not tried.
    pub const fn of(tally: &Tally, counts: &Counts, before: &Self) -> Self {
        Self {
            succeeded: counts
                .succeeded
                .saturating_sub(tally.regressed)
                .saturating_sub(before.succeeded),
            failed: tally.failures().saturating_sub(before.failed),
            under_way: counts.active(),
        }
    }

    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The numbers of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Devices that failed.
    pub failures: u64,
    /// Devices that succeeded or failed.
    pub results: u64,
    /// Devices under way, which count as successes until they are known.
    pub under_way: u64,
    /// The rate they are held against.
    pub baseline: Rate,
    /// The evidence for a higher one.
    pub strength: Strength,
    /// Where the test stops.
    pub limit: Strength,
}

impl Evidence {
    /// Such as `7 of 40 devices failed (3 more under way)`.
    pub fn in_numbers(&self) -> String {
        let Self { failures, results, under_way, .. } = self;
        let mut numbers = format!("{failures} of {results} devices failed");
        if *under_way > 0 {
            let _ = write!(numbers, " ({under_way} more under way)");
        }
        numbers
    }
}

impl fmt::Display for Evidence {
    /// Such as `7 of 40 devices failed where 2 % fail: evidence 312, stops at 100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { baseline, strength, limit, .. } = self;
        let numbers = self.in_numbers();
        write!(f, "{numbers} where {baseline} fail: evidence {strength}, stops at {limit}")
    }
}

/// What the test says of the results so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Nothing speaks against going on.
    GoOn(Evidence),
    /// It fails more often than the baseline: stop.
    Stop(Evidence),
}

impl Finding {
    /// Whether to stop.
    pub const fn is_stop(&self) -> bool {
        matches!(self, Self::Stop(_))
    }

    /// The numbers.
    pub const fn evidence(&self) -> &Evidence {
        match self {
            Self::GoOn(evidence) | Self::Stop(evidence) => evidence,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoOn(evidence) => write!(f, "go on: {evidence}"),
            Self::Stop(evidence) => write!(f, "stop: {evidence}"),
        }
    }
}

impl Regression {
    /// Makes the test ready, which takes microseconds, as judging does.
    pub fn prepare(&self) -> Test {
        let baseline = self.baseline.rate();
        let rates = alternatives(baseline);
        let share = Log2::ZERO.minus(Log2::of(rates.len() as u64));
        let bets = rates
            .into_iter()
            .map(|rate| Bet {
                share: share.low,
                failure: ratio(rate.ppm(), baseline.ppm()).low,
                success: ratio(rate.rest_ppm(), baseline.rest_ppm()).low,
            })
            .collect();
        Test { baseline, bets, limit: self.alpha.limit() }
    }

    /// The numbers, if they are those of a regression. While no greater share than the baseline has
    /// failed nothing has been won, and nothing is worked out.
    pub fn judge(&self, results: Results) -> Option<Evidence> {
        let Results { succeeded, failed, under_way } = results;
        let known = [succeeded, failed, under_way].map(u128::from).into_iter().sum::<u128>();
        let is_more = u128::from(failed) * u128::from(Rate::WHOLE_PPM)
            > known * u128::from(self.baseline.rate().ppm());
        match is_more.then(|| self.prepare().judge(results))? {
            Finding::Stop(evidence) => Some(evidence),
            Finding::GoOn(_) => None,
        }
    }
}

fn ratio(ppm: u32, baseline_ppm: u32) -> Log2 {
    Log2::of(ppm.into()).minus(Log2::of(baseline_ppm.into()))
}

/// The rates that are tried against a baseline: its odds times 1.5, times 1.5 again, up to the
/// first of 95 % or more. Which ones hardly matters: with steps of 1.4 or 2 as many devices are
/// harmed.
fn alternatives(baseline: Rate) -> Vec<Rate> {
    let whole = u64::from(Rate::WHOLE_PPM);
    let mut rates = vec![];
    let mut ppm = u64::from(baseline.ppm());
    while ppm < ALTERNATIVE_ENOUGH_PPM || rates.is_empty() {
        // Odds of 3/2 x ppm : (whole - ppm), as a share of the whole; above the one before however
        // small that is.
        ppm = (3 * ppm * whole).div_ceil(3 * ppm + 2 * (whole - ppm)).max(ppm + 1);
        rates.push(Rate::at_most_whole(ppm as u32));
    }
    rates
}

/// What is bet on one alternative: logarithms in units of [`log2`], none too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bet {
    /// Of what it begins with.
    share: i128,
    /// Of what a failure multiplies it by: above 0.
    failure: i128,
    /// Of what a success multiplies it by: below 0.
    success: i128,
}

/// A regression test that is ready to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    baseline: Rate,
    bets: Vec<Bet>,
    limit: Strength,
}

impl Test {
    /// Judges the results so far: stops once e has reached 1/alpha. The same counts give the same
    /// finding; a further failure never gives less evidence, a further success or device under way
    /// never more.
    pub fn judge(&self, results: Results) -> Finding {
        let Results { succeeded, failed, under_way } = results;
        let evidence = Evidence {
            failures: failed,
            results: succeeded.saturating_add(failed),
            under_way,
            baseline: self.baseline,
            strength: self.strength(succeeded.saturating_add(under_way), failed),
            limit: self.limit,
        };
        let is_enough = evidence.strength >= self.limit;
        if is_enough { Finding::Stop(evidence) } else { Finding::GoOn(evidence) }
    }

    /// The highest value that e has surely reached.
    ///
    /// That e has reached a value is asked of the sum of the bets, each divided by the value, so
    /// that none is too large for its number. Every step of it, rounding too, keeps the order of
    /// what it is given, and so does the search for the highest value.
    fn strength(&self, succeeded: u64, failed: u64) -> Strength {
        if (succeeded, failed) == (0, 0) {
            // e begins with 1; rounding would make it a little less.
            return Strength(0);
        }
        let logs = self.bets.iter().map(|bet| {
            bet.share + bet.failure * i128::from(failed) + bet.success * i128::from(succeeded)
        });
        let logs: Vec<i128> = logs.collect();
        let largest = logs.iter().copied().max().unwrap_or(0);
        // Far more than a million, or less than a millionth, is told no more exactly than so.
        let tens = largest.div_euclid(Log2::of(10).high).clamp(-TENS_MAX, TENS_MAX) as i64;
        // The largest alone is reached; all together are at most as many times as much as there
        // are, and each doubling of these is less than a third of a power of ten.
        let doublings = i64::from(logs.len().ilog2()) + 1;
        let (mut low, mut high) = (1_000 * tens - 1, 1_000 * tens + 1_001 + 334 * doublings);
        while high - low > 1 {
            let middle = low.midpoint(high);
            if has_reached(&logs, Strength(middle)) { low = middle } else { high = middle }
        }
        Strength(low)
    }
}

/// Whether the numbers with these logarithms surely add up to a value.
fn has_reached(logs: &[i128], value: Strength) -> bool {
    let value = value.log2().high;
    let mut sum = 0_u128;
    for log in logs {
        let rest = log - value;
        if rest >= 0 {
            return true;
        }
        sum += u128::from(log2::power(rest));
    }
    sum >= 1 << log2::POWER_BITS
}

#[cfg(test)]
mod tests;
