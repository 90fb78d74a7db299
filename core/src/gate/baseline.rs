//! How many devices fail when nothing is wrong: what a release is held against.
//!
//! Owns the rate that is given or comes from earlier results, and the bound that is taken of these.
//! Read [`Baseline`] first.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{log2::Log2, rate::Rate};

/// Fewer earlier results bound a rate too loosely to be worth the name: without any failure among
/// 500 the bound is 0.6 %, among 100 it would be 3 %.
pub const RESULTS_MIN: u64 = 500;

/// More results than this are no fleet of ours; it bounds the work of finding the rate.
pub const RESULTS_MAX: u64 = 1_000_000_000;

/// The highest rate that can be held against: from there on hardly anything is worse.
pub const RATE_MAX: Rate = Rate::at_most_whole(990_000);

/// How sure it is that the true rate of earlier results is not above the bound.
pub const CONFIDENCE_PERCENT: u8 = 95;

/// The failure rate of a release that is no regression: never 0, never above [`RATE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Baseline {
    rate: Rate,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<Earlier>,
}

/// What came of earlier updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Devices that failed.
    pub failures: u64,
    /// Devices that succeeded or failed.
    pub results: u64,
}

/// A baseline as it is stored: its bound is not worked out again.
#[derive(Deserialize)]
struct Written {
    rate: Rate,
    #[serde(default)]
    of: Option<Earlier>,
}

impl TryFrom<Written> for Baseline {
    type Error = BaselineError;

    fn try_from(Written { rate, of }: Written) -> Result<Self, BaselineError> {
        Ok(Self { of, ..Self::given(rate)? })
    }
}

/// Why there is no rate to hold a release against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// Not enough earlier results.
    #[error(
        "{results} earlier results are too few for a baseline, {RESULTS_MIN} are the least; give \
         a rate instead"
    )]
    TooFewResults {
        /// So many.
        results: u64,
    },
    /// More results than are counted.
    #[error("{results} earlier results are more than the {RESULTS_MAX} that are counted")]
    TooManyResults {
        /// So many.
        results: u64,
    },
    /// Counts that cannot be.
    #[error("{failures} failures among {results} earlier results cannot be")]
    MoreFailuresThanResults {
        /// So many.
        failures: u64,
        /// So many.
        results: u64,
    },
    /// A rate of nothing.
    #[error(
        "a baseline of 0 % would make the first failure a proof; give at least 0.0001 %, or as \
         many as are put up with"
    )]
    Zero,
    /// Too high a rate.
    #[error("a baseline of {rate} leaves hardly anything that is worse; {RATE_MAX} is the most")]
    TooHigh {
        /// So high.
        rate: Rate,
    },
}

impl Baseline {
    /// As an operator says.
    pub fn given(rate: Rate) -> Result<Self, BaselineError> {
        match rate {
            zero if zero.ppm() == 0 => Err(BaselineError::Zero),
            rate if rate > RATE_MAX => Err(BaselineError::TooHigh { rate }),
            rate => Ok(Self { rate, of: None }),
        }
    }

    /// The upper bound of what came of earlier updates, with a confidence of
    /// [`CONFIDENCE_PERCENT`]. Takes milliseconds.
    pub fn measured(of: Earlier) -> Result<Self, BaselineError> {
        let Earlier { failures, results } = of;
        if results < RESULTS_MIN {
            return Err(BaselineError::TooFewResults { results });
        }
        let rate = upper_bound(failures, results, CONFIDENCE_PERCENT)?;
        Ok(Self { of: Some(of), ..Self::given(rate)? })
    }

    /// The rate to hold a release against.
    pub const fn rate(self) -> Rate {
        self.rate
    }

    /// What it was measured on, if it was.
    pub const fn of(self) -> Option<Earlier> {
        self.of
    }
}

impl fmt::Display for Baseline {
    /// Such as `2 %`, or `0.5974 % (the most that 0 failures of 500 leave plausible)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rate)?;
        match self.of {
            None => Ok(()),
            Some(Earlier { failures, results }) => {
                write!(f, " (the most that {failures} failures of {results} leave plausible)")
            }
        }
    }
}

/// The upper bound of a rate of which `failures` among `results` were seen, one-sided with a
/// confidence of so many percent (1 to 99): the lowest rate, in whole millionths, at which so few
/// failures are no more likely than the rest. Without results it is the whole.
///
/// C. Clopper and E. Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of
/// the Binomial", Biometrika 26 (1934). Rounding only ever makes it higher.
pub fn upper_bound(
    failures: u64,
    results: u64,
    confidence_percent: u8,
) -> Result<Rate, BaselineError> {
    if failures > results {
        return Err(BaselineError::MoreFailuresThanResults { failures, results });
    }
    if results > RESULTS_MAX {
        return Err(BaselineError::TooManyResults { results });
    }
    let whole = Rate::WHOLE_PPM;
    if failures == results {
        return Ok(Rate::at_most_whole(whole));
    }
    let doubt = 100 - u64::from(confidence_percent.clamp(1, 99));
    let tail = Tail::new(failures, results, doubt);
    // At the rate that was seen, so few failures are likely. Failures are fewer than results, so
    // that this is below the whole.
    let mut low = (u128::from(failures) * u128::from(whole) / u128::from(results)) as u32;
    let mut high = whole;
    while high - low > 1 {
        let middle = low.midpoint(high);
        if tail.is_unlikely(middle) { high = middle } else { low = middle }
    }
    Ok(Rate::at_most_whole(high))
}

/// How likely it is that no more than so many of the results are failures.
struct Tail {
    failures: u64,
    results: u64,
    /// In how many ways the failures may be spread, divided by how unlikely they are to be.
    ways: Log2,
}

impl Tail {
    /// Bits behind the point of a sum, and of what one summand is of the one before.
    const SUM_BITS: u32 = 60;
    const RATIO_BITS: u32 = 40;

    /// What is left of a sum is estimated, too high, once a summand is below this share of it.
    const NEGLIGIBLE_BITS: u32 = 24;

    fn new(failures: u64, results: u64, doubt_percent: u64) -> Self {
        let ways = Log2::of_factorial(results)
            .minus(Log2::of_factorial(failures))
            .minus(Log2::of_factorial(results - failures))
            .plus(Log2::of(100))
            .minus(Log2::of(doubt_percent));
        Self { failures, results, ways }
    }

    /// Whether so few failures are surely that unlikely at a rate of so many millionths, above the
    /// one that was seen and below the whole.
    fn is_unlikely(&self, ppm: u32) -> bool {
        let share = |ppm: u32| Log2::of(ppm.into()).minus(Log2::of(Rate::WHOLE_PPM.into()));
        let failed = share(ppm).times(self.failures);
        let succeeded = share(Rate::WHOLE_PPM - ppm).times(self.results - self.failures);
        let sum = self.sum(ppm) >> (Self::SUM_BITS - 30);
        let fewer = Log2::of(sum as u64 + 1).minus(Log2::of(1 << 30));
        self.ways.plus(failed).plus(succeeded).plus(fewer).high <= 0
    }

    /// The likelihood of each number of failures up to the one that was seen, added up, as a
    /// multiple of the likelihood of that one; rounded up. Above the rate that was seen each is
    /// less likely than the one above it, ever more so.
    fn sum(&self, ppm: u32) -> u128 {
        let one = 1_u128 << Self::RATIO_BITS;
        let mut term = 1_u128 << Self::SUM_BITS;
        let mut sum = term;
        for at in (1..=self.failures).rev() {
            let above = u128::from(at) * u128::from(Rate::WHOLE_PPM - ppm);
            let below = u128::from(self.results - at + 1) * u128::from(ppm);
            let ratio = ((above << Self::RATIO_BITS) / below + 1).min(one);
            term = ((term * ratio) >> Self::RATIO_BITS) + 1;
            sum += term;
            if term < sum >> Self::NEGLIGIBLE_BITS && ratio < one {
                return sum + term * ratio / (one - ratio) + 1;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn measured(failures: u64, results: u64) -> Result<String, BaselineError> {
        Baseline::measured(Earlier { failures, results })
            .map(|baseline| baseline.rate().to_string())
    }

    /// The likelihood of at most so many failures, added up naively.
    fn naive(failures: u64, results: u64, rate: f64) -> f64 {
        let mut ways = 0.0;
        let mut sum = 0.0;
        for at in 0..=failures {
            if at > 0 {
                ways += ((results - at + 1) as f64).ln() - (at as f64).ln();
            }
            sum += (ways + at as f64 * rate.ln() + (results - at) as f64 * (-rate).ln_1p()).exp();
        }
        sum
    }

    #[test]
    fn known_bounds() {
        // 1 - 0.05^(1/n) without failures; the others from tables of the beta distribution.
        for (failures, results, rate) in [
            (0, 500, "0.5974 %"),
            (0, 1_000, "0.2992 %"),
            (0, 1_000_000_000, "0.0001 %"),
            (500_000_000, 1_000_000_000, "50.0027 %"),
        ] {
            assert_eq!(measured(failures, results).unwrap(), rate, "{failures} of {results}");
        }
    }

    #[test]
    fn no_rate_is_refused_by_name() {
        assert_eq!(measured(0, 499), Err(BaselineError::TooFewResults { results: 499 }));
        assert!(matches!(
            measured(501, 500),
            Err(BaselineError::MoreFailuresThanResults { failures: 501, results: 500 })
        ));
        assert!(matches!(measured(0, u64::MAX), Err(BaselineError::TooManyResults { .. })));
        assert!(matches!(measured(500, 500), Err(BaselineError::TooHigh { .. })));
        let given = |text: &str| Baseline::given(text.parse().unwrap());
        assert_eq!(given("0%"), Err(BaselineError::Zero));
        assert!(given("0.0001%").is_ok() && given("99%").is_ok());
        assert_eq!(
            given("100%").unwrap_err().to_string(),
            "a baseline of 100 % leaves hardly anything that is worse; 99 % is the most"
        );
        assert_eq!(
            measured(3, 499).unwrap_err().to_string(),
            "499 earlier results are too few for a baseline, 500 are the least; give a rate instead"
        );
        assert_eq!(
            upper_bound(0, 0, 95),
            Rate::from_ppm(1_000_000).map_err(|_| BaselineError::Zero)
        );
    }

    #[test]
    fn what_is_left_of_a_sum_is_never_left_out() {
        for (failures, results, ppm) in
            [(40, 1_000, 60_000), (4_000, 100_000, 41_000), (50_000, 100_000, 505_000)]
        {
            let rate = f64::from(ppm) / 1e6;
            let (mut term, mut exact) = (1.0, 1.0);
            for at in (1..=failures).rev() {
                term *= at as f64 * (1.0 - rate) / ((results - at + 1) as f64 * rate);
                exact += term;
            }
            let sum = Tail::new(failures, results, 5).sum(ppm) as f64 / (1_u64 << 60) as f64;
            assert!(sum >= exact * (1.0 - 1e-12), "{sum} {exact}");
            assert!(sum <= exact * (1.0 + 1e-5), "{sum} {exact}");
        }
    }

    proptest! {
        #[test]
        fn as_added_up_naively(results in 1_u64..3_000, share in 0.0..1.0_f64, confidence in 1_u8..=99) {
            let failures = (results as f64 * share * share) as u64;
            let rate = upper_bound(failures, results, confidence).unwrap();
            prop_assume!(failures < results);
            let doubt = 1.0 - f64::from(confidence) / 100.0;
            let at = |ppm: u32| naive(failures, results, f64::from(ppm) / 1e6);
            let whole = rate.ppm() == Rate::WHOLE_PPM;
            prop_assert!(whole || at(rate.ppm()) <= doubt * (1.0 + 1e-9), "{rate}");
            let below = rate.ppm() - 1;
            let seen = u64::from(below) * results <= failures * 1_000_000;
            prop_assert!(seen || at(below) > doubt * (1.0 - 1e-5), "{rate}");
        }

        #[test]
        fn more_failures_never_give_a_lower_bound(results in 500_u64..100_000, failures in 0_u64..5_000) {
            let failures = failures.min(results - 1);
            let bound = |failures| upper_bound(failures, results, 95).unwrap();
            prop_assert!(bound(failures) <= bound(failures + 1));
            prop_assert!(bound(failures).ppm() > 0);
        }
    }
}
