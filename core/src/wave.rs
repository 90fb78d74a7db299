//! Which device is in which wave.
//!
//! Owns the order that is drawn and the cuts through it. Both follow from the salt, the ids and
//! the spec alone, so that a dry run and the rollout choose the same devices.

use sha2::{Digest as _, Sha256};

use crate::rollout::{WAVES_LIMIT, WaveSize, WaveSpec};

/// Buckets that dynamic membership divides devices into: a hundredth of a percent each.
pub const BUCKETS: u64 = 10_000;

/// The place of a device in the order that `salt` draws: the first half of
/// sha-256(length of the salt as 8 bytes, big-endian | salt | id). Ties are broken by the id.
pub fn place(salt: &str, device: &str) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update((salt.len() as u64).to_be_bytes());
    hasher.update(salt.as_bytes());
    hasher.update(device.as_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    digest.iter().take(16).fold(0, |place, byte| place << 8 | u128::from(*byte))
}

/// The bucket of a device that may join later.
pub const fn bucket(place: u128) -> u64 {
    (place % BUCKETS as u128) as u64
}

/// The wave of a device that joins: by its bucket against the cumulative percentages, and if that
/// wave has passed, the first that has not. If all have, it goes on in the last one.
///
/// `current` is the first wave that has not passed.
pub fn wave_of_joiner(waves: &[WaveSpec], place: u128, current: Option<usize>) -> usize {
    let bucket = bucket(place);
    let own = waves.iter().position(|wave| match wave.size {
        WaveSize::Percent(percent) => bucket < u64::from(percent) * (BUCKETS / 100),
        WaveSize::Count(_) | WaveSize::Select(_) => false,
    });
    let last = waves.len().saturating_sub(1);
    own.unwrap_or(0).max(current.unwrap_or(last))
}

/// Which of the selectors of waves choose a device: bit n for wave n.
pub type Chosen = u128;

const _: () = assert!(WAVES_LIMIT <= Chosen::BITS as usize);

/// The wave of each device of `chosen`, which stand in the order drawn.
///
/// A percentage cuts at ceil(n x percent / 100) of all devices and counts those of the waves
/// before; a count takes so many more; a selector takes what it chooses and no wave before has.
pub fn divide(waves: &[WaveSpec], chosen: &[Chosen]) -> Vec<u16> {
    const NONE: u16 = u16::MAX;
    if waves.is_empty() {
        return vec![0; chosen.len()];
    }
    let mut wave_of = vec![NONE; chosen.len()];
    let mut taken = 0;
    // Devices before this place all have a wave.
    let mut first_free = 0;
    for (number, wave) in waves.iter().enumerate() {
        let want = match wave.size {
            WaveSize::Percent(percent) if bites!(PercentNotCumulative) => {
                cut(chosen.len(), percent)
            }
            WaveSize::Percent(percent) => cut(chosen.len(), percent).saturating_sub(taken),
            WaveSize::Count(count) => count as usize,
            WaveSize::Select(_) => usize::MAX,
        };
        let is_chosen = |at: usize| match wave.size {
            WaveSize::Select(_) => chosen[at] >> number & 1 == 1,
            WaveSize::Percent(_) | WaveSize::Count(_) => true,
        };
        let free = (first_free..chosen.len()).filter(|at| wave_of[*at] == NONE && is_chosen(*at));
        let picked: Vec<usize> = free.take(want).collect();
        taken += picked.len();
        for at in picked {
            wave_of[at] = number as u16;
        }
        while wave_of.get(first_free).is_some_and(|wave| *wave != NONE) {
            first_free += 1;
        }
    }
    wave_of
}

/// The selectors of the waves that stand before all that are drawn.
pub fn leading_selectors(waves: &[WaveSpec]) -> impl Iterator<Item = &str> {
    waves.iter().map_while(|wave| match &wave.size {
        WaveSize::Select(text) => Some(text.as_str()),
        WaveSize::Percent(_) | WaveSize::Count(_) => None,
    })
}

/// How many devices each wave will have, as far as that follows from counts: of all `devices`, and
/// of those that the first, the first two, ... of the [`leading_selectors`] choose between them.
/// What is behind a selector that others are drawn before is not known before the draw.
pub fn sizes(waves: &[WaveSpec], devices: u64, led: &[u64]) -> Vec<Option<u64>> {
    if waves.is_empty() {
        return vec![Some(devices)];
    }
    let mut taken = Some(0);
    let size = |(number, wave): (usize, &WaveSpec)| {
        let before = taken?;
        let free = devices.saturating_sub(before);
        let size = match &wave.size {
            WaveSize::Percent(percent) => {
                Some((cut(devices as usize, *percent) as u64).saturating_sub(before).min(free))
            }
            WaveSize::Count(count) => Some(u64::from(*count).min(free)),
            WaveSize::Select(_) => led.get(number).map(|led| led.saturating_sub(before)),
        };
        taken = size.map(|size| before + size);
        size
    };
    waves.iter().enumerate().map(size).collect()
}

/// The wave of a device that is chosen, if it does not depend on the draw. `is_chosen` says whether
/// the selector of a wave chooses it.
///
/// # Errors
/// What `is_chosen` returns.
pub fn wave_of_one<E>(
    waves: &[WaveSpec],
    mut is_chosen: impl FnMut(&str) -> Result<bool, E>,
) -> Result<Option<usize>, E> {
    for (number, wave) in waves.iter().enumerate() {
        match &wave.size {
            WaveSize::Select(text) if !is_chosen(text)? => {}
            WaveSize::Select(_) | WaveSize::Percent(100) => return Ok(Some(number)),
            WaveSize::Percent(_) | WaveSize::Count(_) => return Ok(None),
        }
    }
    Ok(waves.is_empty().then_some(0))
}

/// ceil(count x percent / 100)
fn cut(count: usize, percent: u8) -> usize {
    if bites!(PercentRoundedDown) {
        return count * percent as usize / 100;
    }
    (count * percent as usize).div_ceil(100)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn wave(size: WaveSize) -> WaveSpec {
        WaveSpec { size, soak: Duration::ZERO, min_success: None }
    }

    fn percents(percents: &[u8]) -> Vec<WaveSpec> {
        percents.iter().map(|percent| wave(WaveSize::Percent(*percent))).collect()
    }

    fn sizes(waves: &[WaveSpec], chosen: &[Chosen]) -> Vec<usize> {
        let wave_of = divide(waves, chosen);
        (0..waves.len()).map(|n| wave_of.iter().filter(|w| usize::from(**w) == n).count()).collect()
    }

    #[test]
    fn percentages_are_cumulative_and_rounded_up() {
        assert_eq!(sizes(&percents(&[10, 50, 100]), &[0; 10]), [1, 4, 5]);
        assert_eq!(sizes(&percents(&[1, 100]), &[0; 10]), [1, 9], "never rounded down to nothing");
        assert_eq!(sizes(&percents(&[1, 2, 100]), &[0; 10]), [1, 0, 9]);
        assert_eq!(sizes(&percents(&[10, 100]), &[]), [0, 0]);
        assert_eq!(sizes(&percents(&[33, 66, 100]), &[0; 1_000]), [330, 330, 340]);
    }

    #[test]
    fn counts_and_selectors_take_their_own_and_count_in_what_follows() {
        let waves = [
            wave(WaveSize::Select("tag.lab==yes".to_owned())),
            wave(WaveSize::Count(2)),
            wave(WaveSize::Percent(50)),
            wave(WaveSize::Percent(100)),
        ];
        let mut chosen = [0; 10];
        chosen[7] = 1; // by the selector of wave 0
        assert_eq!(divide(&waves, &chosen), [1, 1, 2, 2, 3, 3, 3, 0, 3, 3]);
        assert_eq!(sizes(&waves, &[1; 10]), [10, 0, 0, 0]);
        assert_eq!(divide(&[], &chosen), [0; 10]);
    }

    #[test]
    fn one_device_has_a_wave_before_the_draw_if_no_draw_decides_it() {
        let select = |text: &str| wave(WaveSize::Select(text.to_owned()));
        let ask = |waves: &[WaveSpec], chosen: &str| {
            wave_of_one(waves, |text| Ok::<_, ()>(text == chosen)).unwrap()
        };
        let all = wave(WaveSize::Percent(100));
        let drawn = [select("a"), select("b"), wave(WaveSize::Count(2)), all.clone()];
        assert_eq!(
            [ask(&drawn, "a"), ask(&drawn, "b"), ask(&drawn, "c")],
            [Some(0), Some(1), None]
        );
        let rest = [select("a"), all];
        assert_eq!([ask(&rest, "a"), ask(&rest, "b")], [Some(0), Some(1)]);
        assert_eq!(ask(&percents(&[10, 100]), "a"), None);
        assert_eq!(ask(&[], "a"), Some(0));
    }

    #[test]
    fn a_joiner_goes_by_its_bucket_or_into_the_wave_that_is_open() {
        let waves = percents(&[10, 50, 100]);
        for (bucket, current, wave) in [
            (0, Some(0), 0),
            (999, Some(0), 0),
            (1_000, Some(0), 1),
            (4_999, Some(0), 1),
            (5_000, Some(0), 2),
            (9_999, Some(0), 2),
            (0, Some(1), 1),
            (0, Some(2), 2),
            (9_999, Some(1), 2),
            (0, None, 2),
        ] {
            assert_eq!(wave_of_joiner(&waves, bucket, current), wave, "{bucket} {current:?}");
        }
        assert_eq!(wave_of_joiner(&[], 17, None), 0);
    }

    #[test]
    fn the_order_is_fixed_for_good() {
        // By another program: printf '\0\0\0\0\0\0\0\4saltpos-1' | sha256sum
        assert_eq!(format!("{:032x}", place("salt", "pos-1")), PLACE);
        assert_ne!(
            place("salt", "pos-1"),
            place("sal", "tpos-1"),
            "salt and id do not run together"
        );
    }

    const PLACE: &str = "dcc2bb28cd27b3d716fb6130bd2b4ef6";

    proptest! {
        /// However many there are, the waves are as the percentages say, nobody is left out, and
        /// more devices move nobody into a later wave than its share asks for.
        #[test]
        fn sizes_are_cumulative_cuts(count in 0_usize..400, first in 1_u8..50, second in 50_u8..100) {
            let waves = percents(&[first, second, 100]);
            let sizes = sizes(&waves, &vec![0; count]);
            prop_assert_eq!(sizes.iter().sum::<usize>(), count);
            prop_assert_eq!(sizes[0], (count * usize::from(first)).div_ceil(100));
            prop_assert_eq!(sizes[0] + sizes[1], (count * usize::from(second)).div_ceil(100));
        }

        /// What counts say of the sizes is what they come to, and they say all unless somebody is
        /// drawn before a selector.
        #[test]
        fn counts_tell_the_sizes(
            kinds in proptest::collection::vec(0_u32..6, 0..5),
            chosen in proptest::collection::vec(0_u128..32, 0..60),
        ) {
            let size = |(at, kind): (usize, &u32)| match kind {
                0..3 => WaveSize::Select(String::new()),
                3 => WaveSize::Count(at as u32 * 7 + 1),
                _ => WaveSize::Percent(at as u8 * 20 + 10),
            };
            let mut waves: Vec<WaveSpec> = kinds.iter().enumerate().map(size).map(wave).collect();
            waves.push(wave(WaveSize::Percent(100)));
            let led = |count: usize| {
                let bits = (1 << count) - 1;
                chosen.iter().filter(|chosen| **chosen & bits != 0).count() as u64
            };
            let leading = leading_selectors(&waves).count();
            let led: Vec<u64> = (1..=leading).map(led).collect();
            let told = super::sizes(&waves, chosen.len() as u64, &led);
            for (told, is) in told.iter().zip(sizes(&waves, &chosen)) {
                prop_assert!(told.is_none_or(|told| told == is as u64), "{told:?} {is}");
            }
            let is_late = |wave: &WaveSpec| matches!(wave.size, WaveSize::Select(_));
            let is_all = !waves[leading..].iter().any(is_late);
            prop_assert_eq!(told.iter().all(Option::is_some), is_all);
        }

        /// The same devices are drawn in the same order, whatever the order they are given in.
        #[test]
        fn the_draw_is_stable(ids in proptest::collection::btree_set("[a-z]{1,6}", 1..50), salt in "[a-z]{0,4}") {
            let drawn = |mut ids: Vec<String>| {
                ids.sort_by_key(|id| (place(&salt, id), id.clone()));
                ids
            };
            let sorted = ids.iter().cloned().collect();
            let turned = ids.iter().rev().cloned().collect();
            prop_assert_eq!(drawn(sorted), drawn(turned));
        }
    }
}
