//! Decimal numbers, as exact as they are written.
//!
//! What a decision rests on is written down and compared again elsewhere: no binary fraction is
//! involved, and no digit is rounded.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest number that is read: twice the digits that a double needs, and its sign, point and
/// exponent.
const TEXT_BYTES_MAX: usize = 64;

/// Beyond such an exponent nothing is measured: doubles end at 308.
const EXPONENT_MAX: i32 = 400;

/// A number, as exact as it was written; `1.0`, `1` and `10e-1` are the same.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal {
    is_negative: bool,
    /// Without zeros in front and at the end; none for zero.
    digits: String,
    /// The number is 0.digits x 10^exponent; 0 for zero.
    exponent: i32,
}

/// A text that is no number of the kind that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no number of at most {TEXT_BYTES_MAX} characters, with an exponent up to {EXPONENT_MAX}")]
pub struct DecimalError;

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads what JSON and Prometheus write: `-12`, `0.5`, `1e-05`, `+3`.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(DecimalError);
        }
        let (is_negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, power) = match rest.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, read_power(power)?),
            None => (rest, 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let ends_in_point = mantissa.ends_with('.');
        if whole.is_empty() || ends_in_point || !is_digits(whole) || !is_digits(part) {
            return Err(DecimalError);
        }
        let all = [whole, part].concat();
        let digits = all.trim_start_matches('0');
        let in_front = (all.len() - digits.len()) as i32;
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            return Ok(Self { is_negative: false, digits: String::new(), exponent: 0 });
        }
        let exponent = whole.len() as i32 - in_front + power;
        if exponent.abs() > EXPONENT_MAX {
            return Err(DecimalError);
        }
        Ok(Self { is_negative, digits: digits.to_owned(), exponent })
    }
}

fn read_power(text: &str) -> Result<i32, DecimalError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    // More digits than that are out of range whatever they are, apart from zeros in front.
    if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DecimalError);
    }
    text.parse().map_err(|_| DecimalError)
}

impl TryFrom<String> for Decimal {
    type Error = DecimalError;

    fn try_from(text: String) -> Result<Self, DecimalError> {
        text.parse()
    }
}

impl From<Decimal> for String {
    fn from(number: Decimal) -> Self {
        number.to_string()
    }
}

impl From<i64> for Decimal {
    #[expect(clippy::unwrap_used, reason = "at most 20 characters, all digits but a sign")]
    fn from(number: i64) -> Self {
        number.to_string().parse().unwrap()
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        // Without zeros in front the larger exponent is the larger number; then the digits decide,
        // of which one that ends is the smaller one, as it goes on with zeros.
        let size = |number: &Self, other: &Self| {
            number.exponent.cmp(&other.exponent).then_with(|| number.digits.cmp(&other.digits))
        };
        sign(self)
            .cmp(&sign(other))
            .then_with(|| if self.is_negative { size(other, self) } else { size(self, other) })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Decimal {
    /// Plain where that is short, such as `0.001`; otherwise such as `1.5e-7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        if self.is_negative {
            f.write_str("-")?;
        }
        let (digits, len) = (&self.digits, self.digits.len() as i32);
        match self.exponent {
            exponent @ -5..=0 => write!(f, "0.{}{digits}", "0".repeat(-exponent as usize)),
            exponent @ 1..=21 if exponent >= len => {
                write!(f, "{digits}{}", "0".repeat((exponent - len) as usize))
            }
            exponent @ 1..=21 => {
                let (whole, part) = digits.split_at(exponent as usize);
                write!(f, "{whole}.{part}")
            }
            exponent => {
                let (first, rest) = digits.split_at(1);
                let point = if rest.is_empty() { "" } else { "." };
                write!(f, "{first}{point}{rest}e{}", exponent - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_are_read_as_they_are_written_and_shown_short() {
        for (text, shown) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("0e300", "0"),
            ("007", "7"),
            ("+3", "3"),
            ("1.50", "1.5"),
            ("100", "100"),
            ("10e-1", "1"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1.5e-05", "0.000015"),
            ("1e+21", "1e21"),
            ("123456789012345678901", "123456789012345678901"),
            ("-12.25", "-12.25"),
            ("1.7976931348623157e+308", "1.7976931348623157e308"),
        ] {
            assert_eq!(read(text).to_string(), shown, "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "1e",
            "1e1.5",
            "NaN",
            "+Inf",
            "-Inf",
            "0x10",
            "1_000",
            " 1",
            "1 ",
            "--1",
            "1e999",
            "1e-999",
            "1e99999999999999999999",
            "\u{661}",
        ] {
            assert_eq!(text.parse::<Decimal>(), Err(DecimalError), "{text}");
        }
        assert!("1".repeat(64).parse::<Decimal>().is_ok());
        assert!("1".repeat(65).parse::<Decimal>().is_err(), "no digit is rounded away");
    }

    #[test]
    fn digits_that_a_double_rounds_away_count() {
        assert!(read("0.1000000000000000000000001") > read("0.1"));
        assert!(read("9007199254740993") > read("9007199254740992"));
        assert!(read("-0.1000000000000000000000001") < read("-0.1"));
    }

    proptest! {
        /// Against whole numbers: mantissa x 10^(power + 20).
        #[test]
        fn compared_as_whole_numbers_are(
            (a, p) in (-99_999_i64..99_999, -9_i32..9),
            (b, q) in (-99_999_i64..99_999, -9_i32..9),
        ) {
            let whole = |number: i64, power: i32| i128::from(number) * 10_i128.pow((power + 9) as u32);
            let (left, right) = (read(&format!("{a}e{p}")), read(&format!("{b}e{q}")));
            prop_assert_eq!(left.cmp(&right), whole(a, p).cmp(&whole(b, q)));
            prop_assert_eq!(left == right, whole(a, p) == whole(b, q));
        }

        /// What is shown is read as the same, and so is a fraction written out.
        #[test]
        fn shown_and_read_back(text in "-?[0-9]{1,20}(\\.[0-9]{1,20})?(e-?[0-9]{1,2})?") {
            let number = read(&text);
            prop_assert_eq!(&read(&number.to_string()), &number);
            let json = serde_json::to_string(&number).unwrap();
            prop_assert_eq!(serde_json::from_str::<Decimal>(&json).unwrap(), number);
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,70}") {
            let _ = text.parse::<Decimal>();
        }
    }
}
