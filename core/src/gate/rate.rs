//! How many of a million fail: a share that is written as a percentage.
//!
//! Owns reading and printing. Whole numbers throughout: what is printed reads back as the same
//! value. A release of which 1 in 1,000 fails is an ordinary one, so whole percents are too coarse.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A share in millionths, from 0 to 1,000,000: `2%` is 20,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Rate(u32);

/// What is no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// A text that is no percentage.
    #[error("{0:?} is no percentage; write for example 2% or 0.5%")]
    Text(String),
    /// More digits behind the point than are counted.
    #[error("{0:?} is finer than can be counted; write at most four digits behind the point")]
    TooFine(String),
    /// More than the whole.
    #[error("{0} is more than the whole; a share is at most 100%, or 1,000,000 millionths")]
    TooLarge(String),
}

impl Rate {
    /// Millionths in the whole.
    pub const WHOLE_PPM: u32 = 1_000_000;

    /// Millionths in one percent, and the digits that takes.
    const PERCENT_PPM: u32 = 10_000;
    const DIGITS: usize = 4;

    /// So many millionths.
    pub fn from_ppm(ppm: u32) -> Result<Self, RateError> {
        if ppm > Self::WHOLE_PPM {
            return Err(RateError::TooLarge(format!("{ppm} millionths")));
        }
        Ok(Self(ppm))
    }

    /// The same, of what is known to be none too many.
    pub(super) const fn at_most_whole(ppm: u32) -> Self {
        Self(if ppm > Self::WHOLE_PPM { Self::WHOLE_PPM } else { ppm })
    }

    /// In millionths.
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// The millionths that are left of the whole.
    pub const fn rest_ppm(self) -> u32 {
        Self::WHOLE_PPM - self.0
    }
}

impl TryFrom<u32> for Rate {
    type Error = RateError;

    fn try_from(ppm: u32) -> Result<Self, RateError> {
        Self::from_ppm(ppm)
    }
}

impl From<Rate> for u32 {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

impl FromStr for Rate {
    type Err = RateError;

    /// Reads a percentage such as `2%`, `0.5%` or `12.25 %`.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let shown = || text.chars().take(40).collect();
        let number = text.trim().strip_suffix('%').ok_or_else(|| RateError::Text(shown()))?.trim();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return Err(RateError::Text(shown()));
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > Self::DIGITS {
            return Err(RateError::TooFine(shown()));
        }
        let digits = Self::DIGITS;
        let ppm = format!("{whole}{fraction:0<digits$}").parse().ok();
        ppm.and_then(|ppm| Self::from_ppm(ppm).ok()).ok_or_else(|| RateError::TooLarge(shown()))
    }
}

impl fmt::Display for Rate {
    /// Such as `2 %` or `0.5 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / Self::PERCENT_PPM, self.0 % Self::PERCENT_PPM);
        let digits = Self::DIGITS;
        let part = format!("{part:0digits$}");
        let part = part.trim_end_matches('0');
        let point = if part.is_empty() { "" } else { "." };
        write!(f, "{whole}{point}{part} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_printed() {
        for (text, ppm, printed) in [
            ("2%", 20_000, "2 %"),
            ("0.5 %", 5_000, "0.5 %"),
            (" 12.25%", 122_500, "12.25 %"),
            ("0.0001%", 1, "0.0001 %"),
            ("100.0000000%", 1_000_000, "100 %"),
            ("0%", 0, "0 %"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.ppm(), ppm, "{text}");
            assert_eq!(rate.to_string(), printed, "{text}");
            assert_eq!(printed.parse(), Ok(rate));
        }
    }

    #[test]
    fn what_is_no_share_is_refused_by_name() {
        for text in ["", "%", "2", "-1%", "+1%", "two%", ".5%", "1.%", "1.2.3%", "1e1%"] {
            assert!(matches!(text.parse::<Rate>(), Err(RateError::Text(_))), "{text:?}");
        }
        assert!(matches!("0.00001%".parse::<Rate>(), Err(RateError::TooFine(_))));
        for text in ["100.0001%", "99999999999999999999%"] {
            assert!(matches!(text.parse::<Rate>(), Err(RateError::TooLarge(_))), "{text:?}");
        }
        let error = "2".parse::<Rate>().unwrap_err().to_string();
        assert_eq!(error, "\"2\" is no percentage; write for example 2% or 0.5%");
    }

    #[test]
    fn in_a_log_it_is_a_number() {
        let rate: Rate = "0.5%".parse().unwrap();
        assert_eq!(serde_json::to_string(&rate).unwrap(), "5000");
        assert_eq!(serde_json::from_str::<Rate>("5000").unwrap(), rate);
        assert!(serde_json::from_str::<Rate>("1000001").is_err());
    }

    proptest::proptest! {
        #[test]
        fn every_rate_printed_reads_back(ppm in 0..=Rate::WHOLE_PPM) {
            let rate = Rate::from_ppm(ppm).unwrap();
            proptest::prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }
    }
}
