//! Durations and sizes as people write them: `5ms`, `1.5s`, `2m`; `512`, `64KiB`, `10MiB`.
//!
//! Owns reading and printing of both. Whole numbers throughout, so that what is printed reads
//! back as the same value. Start with [`parse_duration`].

use std::{fmt, time::Duration};

/// Why a text is not a duration or a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// It does not begin with a number.
    #[error("`{0}` does not begin with a number; write {1}")]
    NoNumber(String, &'static str),
    /// There is a number but its unit is missing or unknown.
    #[error("`{0}` has no unit that is known; write {1}")]
    Unit(String, &'static str),
    /// More digits after the point than the smallest unit has.
    #[error("`{0}` is finer than can be counted; write {1}")]
    TooFine(String, &'static str),
    /// Larger than can be counted.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

const DURATION_HINT: &str = "for example 500ms, 1.5s, 2m or 1h";
const SIZE_HINT: &str = "for example 512, 64KiB or 10MiB";

const DURATION_UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads a duration: a number, with a fraction if need be, and one of `ns us ms s m h d`. A zero
/// needs no unit.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let number = Number::split(text, DURATION_HINT)?;
    let unit = DURATION_UNITS.iter().find(|(name, _)| *name == number.unit);
    let scale = match unit {
        Some((_, scale)) => *scale,
        None if number.unit.is_empty() && number.is_zero() => 1,
        None => return Err(UnitError::Unit(text.to_owned(), DURATION_HINT)),
    };
    number.times(scale).map(Duration::from_nanos)
}

/// Reads a size in bytes: a number, with a fraction if need be, and a unit of 1,024 (`KiB MiB GiB
/// TiB`), of 1,000 (`kB MB GB TB`) or none. Case does not matter.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let number = Number::split(text, SIZE_HINT)?;
    let unit = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(number.unit));
    let scale = match unit {
        Some((_, scale)) => *scale,
        None if number.unit.is_empty() => 1,
        None => return Err(UnitError::Unit(text.to_owned(), SIZE_HINT)),
    };
    number.times(scale)
}

/// A decimal number taken apart, and what follows it.
struct Number<'a> {
    text: &'a str,
    whole: &'a str,
    fraction: &'a str,
    unit: &'a str,
    hint: &'static str,
}

impl<'a> Number<'a> {
    fn split(text: &'a str, hint: &'static str) -> Result<Self, UnitError> {
        let (whole, rest) = split_digits(text.trim());
        if whole.is_empty() {
            return Err(UnitError::NoNumber(text.to_owned(), hint));
        }
        let (fraction, unit) = match rest.strip_prefix('.') {
            Some(rest) => split_digits(rest),
            None => ("", rest),
        };
        Ok(Self { text, whole, fraction, unit: unit.trim_start(), hint })
    }

    fn is_zero(&self) -> bool {
        self.whole.bytes().chain(self.fraction.bytes()).all(|digit| digit == b'0')
    }

    /// The number in the smallest unit, of which `scale` make one of the unit written.
    fn times(&self, scale: u64) -> Result<u64, UnitError> {
        let too_large = || UnitError::TooLarge(self.text.to_owned());
        let fraction = self.fraction.trim_end_matches('0');
        let whole: u128 = self.whole.parse().map_err(|_| too_large())?;
        let places = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
        let divisor = 10_u128.checked_pow(places).filter(|divisor| *divisor < 1 << 64);
        let too_fine = || UnitError::TooFine(self.text.to_owned(), self.hint);
        let divisor = divisor.ok_or_else(too_fine)?;
        let digits: u128 = if fraction.is_empty() { 0 } else { fraction.parse().unwrap_or(0) };
        let part = digits * u128::from(scale);
        if !part.is_multiple_of(divisor) {
            return Err(too_fine());
        }
        let sum = whole.checked_mul(u128::from(scale)).map(|whole| whole + part / divisor);
        sum.and_then(|sum| u64::try_from(sum).ok()).ok_or_else(too_large)
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// Prints a duration in the largest unit of seconds or less that keeps it short (`1.5s`, `5ms`),
/// and whole minutes, hours and days as such. [`parse_duration`] reads it back.
#[derive(Clone, Copy, Debug)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 {
            return f.write_str("0s");
        }
        let fits = |&&(unit, scale): &&(&str, u64)| {
            nanos >= scale && (nanos % scale == 0 || matches!(unit, "s" | "ms" | "us"))
        };
        let (unit, scale) = DURATION_UNITS.iter().find(fits).copied().unwrap_or(("ns", 1));
        let digits = scale.ilog10() as usize;
        let part = format!("{:0digits$}", nanos % scale);
        let part = part.trim_end_matches('0');
        let point = if part.is_empty() { "" } else { "." };
        write!(f, "{}{point}{part}{unit}", nanos / scale)
    }
}

/// Prints a size for people, to one decimal in units of 1,024 (`12 B`, `1.5 MiB`). Rounded, so
/// it does not read back.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIZE_UNITS[..4].iter().find(|(_, scale)| self.0 >= *scale) {
            Some((unit, scale)) => {
                let tenths = u128::from(self.0) * 10 / u128::from(*scale);
                write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
            }
            None => write!(f, "{} B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        let table = [
            ("0s", 0, "0s"),
            ("0", 0, "0s"),
            ("5ms", 5_000_000, "5ms"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("1.0625s", 1_062_500_000, "1.0625s"),
            ("2m", 120_000_000_000, "2m"),
            ("90s", 90_000_000_000, "90s"),
            ("1h", 3_600_000_000_000, "1h"),
            ("0.5d", 43_200_000_000_000, "12h"),
            ("250 us", 250_000, "250us"),
            ("7ns", 7, "7ns"),
        ];
        for (text, nanos, printed) in table {
            let span = parse_duration(text).unwrap();
            assert_eq!(span, Duration::from_nanos(nanos), "{text}");
            assert_eq!(Span(span).to_string(), printed, "{text}");
            assert_eq!(parse_duration(printed), Ok(span));
        }
    }

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes, printed) in [
            ("0", 0, "0 B"),
            ("512", 512, "512 B"),
            ("64KiB", 65_536, "64.0 KiB"),
            ("1.5 mib", 1_572_864, "1.5 MiB"),
            ("10MB", 10_000_000, "9.5 MiB"),
            ("2GiB", 2_147_483_648, "2.0 GiB"),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
            assert_eq!(Bytes(bytes).to_string(), printed, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let duration = |text| parse_duration(text).unwrap_err().to_string();
        assert_eq!(
            duration("fast"),
            "`fast` does not begin with a number; write for example 500ms, 1.5s, 2m or 1h"
        );
        assert_eq!(
            duration("10"),
            "`10` has no unit that is known; write for example 500ms, 1.5s, 2m or 1h"
        );
        assert!(matches!(parse_duration("-1s"), Err(UnitError::NoNumber(..))));
        assert!(matches!(parse_duration("1.5ns"), Err(UnitError::TooFine(..))));
        assert!(matches!(parse_duration("9999999d"), Err(UnitError::TooLarge(_))));
        assert!(matches!(
            parse_duration(&format!("{}s", "9".repeat(60))),
            Err(UnitError::TooLarge(_))
        ));
        assert!(matches!(
            parse_duration(&format!("1.{}1s", "0".repeat(60))),
            Err(UnitError::TooFine(..))
        ));
        assert_eq!(
            parse_bytes("5 parrots").unwrap_err().to_string(),
            "`5 parrots` has no unit that is known; write for example 512, 64KiB or 10MiB"
        );
        assert!(matches!(parse_bytes("99999999TiB"), Err(UnitError::TooLarge(_))));
    }

    proptest::proptest! {
        #[test]
        fn every_duration_printed_reads_back(nanos: u64) {
            let span = Duration::from_nanos(nanos);
            proptest::prop_assert_eq!(parse_duration(&Span(span).to_string()), Ok(span));
        }
    }
}
