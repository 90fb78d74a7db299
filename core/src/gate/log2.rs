//! Logarithms to base 2 in whole numbers.
//!
//! The logarithms of the standard library are the platform's and may differ in their last bit from
//! machine to machine; a log that is run again elsewhere would then differ. Here everything is
//! multiplication and shifting of integers, so the bits are the same everywhere, nothing overflows
//! for any `u64`, and the error is known: a logarithm is an interval that surely holds it.

/// Bits behind the point. A count of 10^9 times an error of 2^-48 is still below 10^-5.
pub(super) const POINT_BITS: u32 = 48;

/// Bits behind the point of what [`power`] gives.
pub(super) const POWER_BITS: u32 = 63;

/// log2(e) and log2(2 pi), cut off after so many bits behind the point that a `u64` times one of
/// them has room.
const CONSTANT_BITS: u32 = 60;
const E: u128 = 1_663_314_137_230_540_311;
const TWO_PI: u128 = 3_056_966_907_050_456_923;

/// Below this a factorial is multiplied out, from here on approximated: to better than 10^-6.
const APPROXIMATED_MIN: u64 = 256;

/// An interval that holds a logarithm to base 2, in units of 2^-48.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Log2 {
    pub(super) low: i128,
    pub(super) high: i128,
}

impl Log2 {
    /// Of 1.
    pub(super) const ZERO: Self = Self { low: 0, high: 0 };

    /// Of a number from 1 on.
    ///
    /// Squaring doubles a logarithm, so each squaring of a number in [1, 2) gives its next digit.
    /// What the squarings cut off comes to less than 2^-60 in all, far below the last digit.
    pub(super) fn of(number: u64) -> Self {
        debug_assert!(number > 0, "0 has no logarithm");
        let whole = number.max(1).ilog2();
        let mut rest = number << (63 - whole);
        let mut digits = i128::from(whole);
        for _ in 0..POINT_BITS {
            let square = (u128::from(rest) * u128::from(rest)) >> 63;
            let digit = square >> 64;
            rest = (square >> digit) as u64;
            digits = digits << 1 | digit as i128;
        }
        let is_exact = number.is_power_of_two();
        Self { low: digits, high: digits + if is_exact { 0 } else { 2 } }
    }

    /// Of n! (n factorial).
    ///
    /// Stirling's formula with the bounds of H. Robbins, "A Remark on Stirling's Formula", The
    /// American Mathematical Monthly 62 (1955): the logarithm of what it leaves out lies between
    /// 1/(12n + 1) and 1/(12n).
    pub(super) fn of_factorial(n: u64) -> Self {
        if n < APPROXIMATED_MIN {
            return (2..=n).fold(Self::ZERO, |sum, factor| sum.plus(Self::of(factor)));
        }
        let wide = u128::from(n);
        let left_out =
            Self { low: Self::cut(E / (12 * wide + 1)).low, high: Self::cut(E / (12 * wide)).high };
        let root = Self::of(n).plus(Self::cut(TWO_PI)).half();
        Self::of(n)
            .times(n)
            .minus(Self::cut(E * wide).wider(wide >> (CONSTANT_BITS - POINT_BITS)))
            .plus(root)
            .plus(left_out)
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self { low: self.low + other.low, high: self.high + other.high }
    }

    pub(super) const fn minus(self, other: Self) -> Self {
        Self { low: self.low - other.high, high: self.high - other.low }
    }

    pub(super) const fn times(self, count: u64) -> Self {
        Self { low: self.low * count as i128, high: self.high * count as i128 }
    }

    const fn half(self) -> Self {
        Self { low: self.low.div_euclid(2), high: (self.high + 1).div_euclid(2) }
    }

    /// From as many bits behind the point as constants have to as many as are kept here.
    const fn cut(number: u128) -> Self {
        let low = (number >> (CONSTANT_BITS - POINT_BITS)) as i128;
        Self { low, high: low + 1 }
    }

    /// With so much more room above, for a constant that was cut off and multiplied.
    const fn wider(self, by: u128) -> Self {
        Self { low: self.low, high: self.high + by as i128 + 1 }
    }
}

/// 2^-1/2, 2^-1/4, ..., one for each bit behind the point, in units of 2^-64 and cut off.
const ROOTS: [u64; POINT_BITS as usize] = {
    let mut roots = [0; POINT_BITS as usize];
    let mut square = 1 << 63;
    let mut at = 0;
    while at < roots.len() {
        let root = ((square as u128) << 64).isqrt() as u64;
        roots[at] = root;
        square = root;
        at += 1;
    }
    roots
};

/// 2 to an exponent below 0 that is in units of 2^-48; in units of 2^-63, and never too much.
///
/// What is cut off comes to less than 2^-54 of the result. A step of the exponent changes it by
/// 2^-49, so a larger exponent never gives less.
pub(super) fn power(exponent: i128) -> u64 {
    debug_assert!(exponent < 0, "only what is below 1 has room");
    let below = exponent.unsigned_abs();
    let whole = below >> POINT_BITS;
    if whole >= u128::from(POWER_BITS) {
        return 0;
    }
    let mut product: u64 = 1 << POWER_BITS;
    for (at, root) in ROOTS.iter().enumerate() {
        if below >> (POINT_BITS as usize - 1 - at) & 1 == 1 {
            product = ((u128::from(product) * u128::from(*root)) >> 64) as u64;
        }
    }
    product >> whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNIT: f64 = (1_u64 << POINT_BITS) as f64;

    #[test]
    fn golden_bits() {
        for (number, low) in [
            (1, 0),
            (2, 1 << 48),
            (3, 446_127_282_977_750),
            (10, 935_039_633_142_894),
            (19_999, 4_021_613_204_646_960),
            (980_000, 5_602_033_831_891_651),
            (1 << 63, 63 << 48),
            (u64::MAX, (64 << 48) - 1),
        ] {
            assert_eq!(Log2::of(number).low, low, "{number}");
        }
        // Beside each what it is short of the true value, by a calculation to 80 digits.
        for (exponent, found) in [
            (-1, 9_223_372_036_854_753_094),                   // 0
            (-(1 << 47), 6_521_908_912_666_391_106),           // 0
            (-446_127_282_977_750, 3_074_457_345_618_262_602), // 11
            (-(1 << 48), 1 << 62),
            (-(62 << 48), 2),
            (-(63 << 48), 0),
            (i128::MIN, 0),
        ] {
            assert_eq!(power(exponent), found, "{exponent}");
        }
    }

    #[test]
    fn a_factorial_is_what_it_is_multiplied_out() {
        let mut sum = 0.0_f64;
        let mut exact = Log2::ZERO;
        for n in 1..3_000_u64 {
            sum += (n as f64).log2();
            exact = exact.plus(Log2::of(n));
            let found = Log2::of_factorial(n);
            assert!(found.low <= exact.high && exact.low <= found.high, "{n}: {found:?}");
            assert!((found.low as f64 / UNIT - sum).abs() < 1e-6, "{n}");
            assert!(((found.high - found.low) as f64 / UNIT) < 1e-6, "{n}");
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let most = Log2::of(u64::MAX).times(u64::MAX);
        assert!(most.low > 0 && most.high > most.low);
        let billion = Log2::of_factorial(1_000_000_000);
        assert!((billion.high - billion.low) as f64 / UNIT < 1e-4, "{billion:?}");
    }

    proptest! {
        #[test]
        fn a_logarithm_is_that_of_the_standard_library(number in 1_u64.., shift in 0_u32..64) {
            let number = (number >> shift).max(1);
            let found = Log2::of(number);
            let naive = (number as f64).log2();
            // The nearest double to a number of 64 bits is off by 2^-53 of it, its logarithm by
            // half a last place.
            prop_assert!((found.low as f64 / UNIT - naive).abs() < 1.5e-14 + 1.0 / UNIT, "{found:?} {naive}");
        }

        #[test]
        fn a_power_is_that_of_the_standard_library(exponent in 1_i64..62 << 48) {
            let found = power(-i128::from(exponent)) as f64;
            let naive = (-(exponent as f64) / UNIT).exp2() * (1_u64 << 63) as f64;
            prop_assert!(found <= naive * (1.0 + 1e-13) + 1.0, "{found} {naive}");
            prop_assert!(found >= naive * (1.0 - 1e-13) - 1.0, "{found} {naive}");
        }

        #[test]
        fn a_larger_exponent_never_gives_less(exponent in 2_i64..62 << 48, more in 1_i64..1 << 20) {
            let (less, step) = (-i128::from(exponent), i128::from(more.min(exponent - 1)));
            prop_assert!(power(less) <= power(less + 1));
            prop_assert!(power(less) <= power(less + step));
        }

        #[test]
        fn powers_undo_logarithms(number in 2_u64..1 << 40) {
            let found = power(-Log2::of(number).low) as f64 * number as f64;
            let one = (1_u64 << POWER_BITS) as f64;
            prop_assert!((found / one - 1.0).abs() < 1e-13 * 64.0 + number as f64 / one, "{found}");
        }
    }
}
