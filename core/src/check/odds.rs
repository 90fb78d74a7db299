//! Whether a rollout should have been stopped by its regression test, worked out in floating point
//! from the devices one by one: nothing of the test itself is used.

use super::{
    Invariant,
    rollout::{Books, Breaches, breach},
};
use crate::{
    assignment::{FailReason, State},
    gate::{
        Unreachable,
        regression::{Evidence, Results},
    },
};

/// By so much two ways to work out a logarithm to base 10 may differ.
const NEAR: f64 = 0.02;

/// How much speaks for a rate above a baseline: the logarithm to base 10 of the mean of what bets on
/// rates above it have won.
fn won(baseline: f64, succeeded: f64, failed: f64) -> f64 {
    let mut odds = baseline / (1.0 - baseline);
    let mut bets = vec![];
    loop {
        odds *= 1.5;
        let rate = odds / (1.0 + odds);
        let failures = failed * (rate / baseline).ln();
        bets.push(failures + succeeded * ((1.0 - rate) / (1.0 - baseline)).ln());
        if rate >= 0.95 {
            break;
        }
    }
    let most = bets.iter().copied().fold(f64::MIN, f64::max);
    let sum: f64 = bets.iter().map(|bet| (bet - most).exp()).sum();
    (most + sum.ln() - (bets.len() as f64).ln()) / std::f64::consts::LN_10
}

impl Books {
    /// Failed, succeeded, and under way, by the states of the devices.
    fn results(&self) -> Results {
        let mut failures = vec![];
        for (state, count) in &self.tally {
            match state {
                State::Failed(FailReason::Unreachable)
                    if self.spec.unreachable != Unreachable::Fail => {}
                State::Failed(_) | State::TimedOut(_) => failures.push(*count),
                _ => {}
            }
        }
        Results {
            succeeded: self.count(&[State::Succeeded]).saturating_sub(self.unwell),
            failed: failures.iter().sum::<u64>() + self.unwell,
            under_way: self.count(&[State::Delivering, State::Verifying, State::Retrying]),
        }
    }

    /// What the test has won on these, and what it stops at.
    fn stakes(&self, succeeded: u64, failed: u64) -> Option<(f64, f64)> {
        let asked = self.spec.regression.as_ref()?;
        let baseline = f64::from(asked.baseline.rate().ppm()) / 1e6;
        let limit = (100.0 / f64::from(asked.alpha.percent())).log10();
        Some((won(baseline, succeeded as f64, failed as f64), limit))
    }

    /// A device is claimed: is counted among those under way.
    pub(super) fn check_odds(&self, id: &str, breaches: &mut Breaches) {
        let (now, before) = (self.results(), self.accepted);
        let failed = now.failed.saturating_sub(before.failed);
        let succeeded = (now.succeeded + now.under_way).saturating_sub(before.succeeded);
        if let Some((won, limit)) = self.stakes(succeeded, failed)
            && won > limit + NEAR
        {
            let what = format!(
                "{id} was claimed though the regression test says stop: {failed} failed, \
                 {succeeded} succeeded or are under way"
            );
            breach(breaches, Invariant::Gates, what);
        }
    }

    /// The test stopped the rollout on these numbers.
    pub(super) fn check_stop(&self, evidence: &Evidence, breaches: &mut Breaches) {
        let Evidence { failures, results, under_way, .. } = *evidence;
        let succeeded = results - failures + under_way;
        let Some((won, limit)) = self.stakes(succeeded, failures) else {
            let what = "it was stopped by a test that nobody asked for".to_owned();
            return breach(breaches, Invariant::Gates, what);
        };
        if won < limit - NEAR {
            let what = format!("it was stopped though {failures} of {results} speak for nothing");
            breach(breaches, Invariant::Gates, what);
        }
        // Whoever was begun is in the numbers; nobody is claimed once it has stopped.
        let (now, before) = (self.results(), self.accepted);
        let begun = now.succeeded + now.failed + now.under_way;
        let known = results + under_way + before.succeeded + before.failed;
        if known < begun {
            let what = format!("it was stopped on {known} devices, and {begun} had been begun");
            breach(breaches, Invariant::Gates, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{baseline::Baseline, regression::Regression};

    #[test]
    fn it_comes_to_what_the_test_does() {
        for (percent, succeeded, failed) in
            [("2%", 33, 7), ("2%", 300, 12), ("0.5%", 5_000, 3), ("50%", 10, 30)]
        {
            let baseline = Baseline::given(percent.parse().unwrap()).unwrap();
            let asked = Regression { baseline, alpha: <_>::default() };
            let results = Results { succeeded, failed, under_way: 0 };
            let finding = asked.prepare().judge(results);
            let milli = finding.evidence().strength.log10_milli() as f64 / 1e3;
            let rate = f64::from(baseline.rate().ppm()) / 1e6;
            let own = won(rate, succeeded as f64, failed as f64);
            assert!((own - milli).abs() < NEAR / 2.0, "{percent}: {own} {milli}");
        }
    }
}
