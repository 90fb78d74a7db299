use proptest::prelude::*;

use super::*;
use crate::gate::{baseline::Earlier, log2::POINT_BITS};

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

fn asked(baseline: Rate) -> Regression {
    Regression { baseline: Baseline::given(baseline).unwrap(), alpha: Alpha::default() }
}

fn ready(baseline: &str) -> Test {
    asked(rate(baseline)).prepare()
}

fn ended(succeeded: u64, failed: u64) -> Results {
    Results { succeeded, failed, under_way: 0 }
}

fn as_f64(log: i128) -> f64 {
    log as f64 / (1_u64 << POINT_BITS) as f64
}

#[test]
fn golden_findings() {
    let test = ready("2%");
    let found = [(0, 0), (0, 1), (0, 2), (33, 7), (300, 12), (980, 20), (900, 40)]
        .map(|(succeeded, failed)| test.judge(ended(succeeded, failed)).to_string())
        .join("\n");
    insta::assert_snapshot!(found, @r"
    go on: 0 of 0 devices failed where 2 % fail: evidence 1, stops at 100
    go on: 1 of 1 devices failed where 2 % fail: evidence 23.3, stops at 100
    stop: 2 of 2 devices failed where 2 % fail: evidence 826, stops at 100
    stop: 7 of 40 devices failed where 2 % fail: evidence 2,040, stops at 100
    go on: 12 of 312 devices failed where 2 % fail: evidence 0.855, stops at 100
    go on: 20 of 1000 devices failed where 2 % fail: evidence under 0.01, stops at 100
    stop: 40 of 940 devices failed where 2 % fail: evidence 662, stops at 100
    ");
    let bits = [("2%", 33, 7), ("0.01%", 5_000, 3), ("50%", 10, 30), ("0.0001%", 1_000_000_000, 1)]
        .map(|(baseline, succeeded, failed)| {
            ready(baseline).judge(ended(succeeded, failed)).evidence().strength.log10_milli()
        });
    assert_eq!(bits, [3_311, 324, 1_725, -435_607]);
}

#[test]
fn the_limit_is_one_over_alpha() {
    for (percent, milli, shown) in [
        (1, 2_000, "100"),
        (2, 1_699, "50"),
        (3, 1_523, "33.3"),
        (5, 1_302, "20"),
        (10, 1_000, "10"),
        (20, 699, "5"),
    ] {
        let limit = Alpha::from_percent(percent).unwrap().limit();
        assert_eq!((limit.log10_milli(), limit.to_string().as_str()), (milli, shown), "{percent}");
    }
    for percent in [0, 21, 100, 255] {
        assert_eq!(Alpha::from_percent(percent), Err(AlphaError(percent)));
    }
    assert_eq!(
        AlphaError(0).to_string(),
        "0 % is no chance of a false stop that can be asked for; write 1 to 20"
    );
}

#[test]
fn strength_is_shown_with_three_digits() {
    for (milli, shown) in [
        (i64::MIN, "under 0.01"),
        (-2_001, "under 0.01"),
        (-2_000, "0.01"),
        (-1_506, "0.0311"),
        (-506, "0.311"),
        (0, "1"),
        (301, "1.99"),
        (494, "3.11"),
        (1_000, "10"),
        (1_495, "31.2"),
        (1_999, "99.7"),
        (2_495, "312"),
        (3_495, "3,120"),
        (3_002, "1,000"),
        (4_495, "31,200"),
        (5_999, "997,000"),
        (6_000, "over 1,000,000"),
    ] {
        assert_eq!(Strength(milli).to_string(), shown, "{milli}");
    }
}

#[test]
fn who_is_under_way_counts_as_a_success() {
    let test = ready("2%");
    assert!(test.judge(ended(0, 2)).is_stop(), "the first two results");
    let first = Results { succeeded: 0, failed: 2, under_way: 98 };
    let finding = test.judge(first);
    assert_eq!(
        finding.to_string(),
        "go on: 2 of 2 devices failed (98 more under way) where 2 % fail: evidence 0.081, stops at 100"
    );
    let all = test.judge(ended(98, 2));
    assert_eq!(finding.evidence().strength, all.evidence().strength);
    let most = Results { succeeded: u64::MAX, failed: u64::MAX, under_way: u64::MAX };
    assert!(test.judge(most).is_stop());
}

#[test]
fn what_is_logged_reads_back() {
    let asked = Regression {
        baseline: Baseline::measured(Earlier { failures: 10, results: 1_000 }).unwrap(),
        alpha: Alpha::from_percent(5).unwrap(),
    };
    let text = serde_json::to_string(&asked).unwrap();
    let expected = r#"{"baseline":{"rate":16904,"of":{"failures":10,"results":1000}},"alpha":5}"#;
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_str::<Regression>(&text).unwrap(), asked);
    let short = serde_json::from_str::<Regression>(r#"{"baseline":{"rate":20000}}"#).unwrap();
    assert_eq!(short, super::tests::asked(rate("2%")));
    for none in [r#"{"baseline":{"rate":1},"alpha":21}"#, r#"{"baseline":{"rate":0}}"#] {
        assert!(serde_json::from_str::<Regression>(none).is_err(), "{none}");
    }
    for (succeeded, failed) in [(0, 9), (9, 0), (1_000, 41)] {
        let finding = asked.prepare().judge(ended(succeeded, failed));
        let text = serde_json::to_string(&finding).unwrap();
        assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), finding);
    }
}

/// The chance that a release that fails as often as the baseline is ever stopped within so many
/// results, each of which is looked at: added up over all courses, no dice.
fn false_stops(test: &Test, results: usize) -> f64 {
    let failing = f64::from(test.baseline.ppm()) / 1e6;
    // By failures: the most successes with which the test stops, if it does at all.
    let mut stops_up_to = vec![];
    let mut most = 0;
    for failed in 0..=results as u64 {
        while most <= results as u64 && test.judge(ended(most, failed)).is_stop() {
            most += 1;
        }
        stops_up_to.push(most);
    }
    let mut going = vec![0.0; results + 2];
    going[0] = 1.0;
    let mut stopped = 0.0;
    for seen in 1..=results {
        for failed in (0..=seen).rev() {
            let failure = if failed == 0 { 0.0 } else { going[failed - 1] * failing };
            going[failed] = failure + going[failed] * (1.0 - failing);
            if ((seen - failed) as u64) < stops_up_to[failed] {
                stopped += std::mem::take(&mut going[failed]);
            }
        }
    }
    stopped
}

#[test]
fn false_stops_stay_below_alpha_however_often_it_is_looked_at() {
    for (baseline, results) in [("0.1%", 3_000), ("2%", 2_000), ("10%", 1_000), ("50%", 400)] {
        for percent in [1, 5, 20] {
            let alpha = Alpha::from_percent(percent).unwrap();
            let test = Regression { alpha, ..asked(rate(baseline)) }.prepare();
            let stopped = false_stops(&test, results);
            assert!(stopped <= f64::from(percent) / 100.0, "{baseline} {percent}: {stopped}");
            assert!(stopped > f64::from(percent) / 1_000.0, "{baseline} {percent}: {stopped}");
        }
    }
}

/// The same by its definition, one result after the other.
fn naive(test: &Test, succeeded: u64, failed: u64) -> f64 {
    let share = |rate: Rate| f64::from(rate.ppm()) / 1e6;
    let rates = alternatives(test.baseline);
    let base = share(test.baseline);
    let bet = |&rate: &Rate| {
        let failures = (0..failed).map(|_| share(rate) / base).product::<f64>();
        let successes = (0..succeeded).map(|_| (1.0 - share(rate)) / (1.0 - base)).product::<f64>();
        failures * successes / rates.len() as f64
    };
    rates.iter().map(bet).sum()
}

fn any_baseline() -> impl Strategy<Value = Rate> {
    let max = crate::gate::baseline::RATE_MAX.ppm();
    // As many rare ones as frequent ones.
    (1..=max, 0_u32..20).prop_map(|(ppm, halved)| Rate::from_ppm((ppm >> halved).max(1)).unwrap())
}

fn any_count() -> impl Strategy<Value = u64> {
    (0..=u64::MAX, 0_u32..64).prop_map(|(count, halved)| count >> halved)
}

proptest! {
    #[test]
    fn as_by_its_definition(baseline in any_baseline(), succeeded in 0_u64..400, failed in 0_u64..25) {
        let test = asked(baseline).prepare();
        let found = test.judge(ended(succeeded, failed)).evidence().strength.log10_milli() as f64;
        let naive = naive(&test, succeeded, failed).log10() * 1_000.0;
        prop_assert!(found <= naive + 1e-6 && naive <= found + 1.0 + 1e-6, "{found} {naive}");
    }

    #[test]
    fn every_failure_adds_and_every_success_takes(
        baseline in any_baseline(),
        succeeded in any_count(),
        failed in any_count(),
        more in any_count(),
    ) {
        let test = asked(baseline).prepare();
        let strength = |succeeded, failed| test.judge(ended(succeeded, failed)).evidence().strength;
        let now = strength(succeeded, failed);
        for more in [1, more] {
            prop_assert!(strength(succeeded, failed.saturating_add(more)) >= now);
            prop_assert!(strength(succeeded.saturating_add(more), failed) <= now);
        }
    }

    #[test]
    fn a_billion_results_are_told_apart(baseline in 1_000_u32..500_000) {
        let baseline = Rate::from_ppm(baseline).unwrap();
        let test = asked(baseline).prepare();
        let usual = 1_000 * u64::from(baseline.ppm());
        prop_assert!(!test.judge(ended(1_000_000_000 - usual, usual)).is_stop());
        let doubled = 2 * usual;
        prop_assert!(test.judge(ended(1_000_000_000 - doubled, doubled)).is_stop());
    }

    #[test]
    fn alternatives_are_above_the_baseline(baseline in any_baseline()) {
        let rates = alternatives(baseline);
        prop_assert!(baseline < rates[0] && rates.is_sorted_by(|low, high| low < high));
        prop_assert!(rates.len() <= 48 && rates.last().unwrap().ppm() < Rate::WHOLE_PPM);
    }

    /// Bets are fair, or a little less, at the baseline: that is all the claim about alpha needs.
    #[test]
    fn bets_are_fair(baseline in any_baseline()) {
        let test = asked(baseline).prepare();
        let failing = f64::from(baseline.ppm()) / 1e6;
        let shares: f64 = test.bets.iter().map(|bet| as_f64(bet.share).exp2()).sum();
        prop_assert!((1.0 - 1e-9..=1.0 + 1e-14).contains(&shares), "{shares}");
        for bet in &test.bets {
            prop_assert!(bet.failure > 0 && bet.success < 0);
            let (failure, success) = (as_f64(bet.failure).exp2(), as_f64(bet.success).exp2());
            let expected = failing * failure + (1.0 - failing) * success;
            prop_assert!((1.0 - 1e-9..=1.0 + 1e-14).contains(&expected), "{expected}");
        }
    }
}

proptest! {
    /// What is not worked out while no more fail than should is no stop.
    #[test]
    fn judged_at_once_as_by_a_test_that_is_ready(
        ppm in 1_u32..990_000, succeeded in 0_u64..3_000, failed in 0_u64..200, under_way in 0_u64..200,
    ) {
        let asked = asked(Rate::from_ppm(ppm).unwrap());
        let results = Results { succeeded, failed, under_way };
        let finding = asked.prepare().judge(results);
        prop_assert_eq!(asked.judge(results), finding.is_stop().then_some(*finding.evidence()));
    }
}
