//! What a source may do so often only: guess tokens, enroll devices. A bucket that fills slowly.

use std::{collections::HashMap, hash::Hash, net::IpAddr, time::Duration};

use groundswell_core::time::Time;
use parking_lot::Mutex;

use crate::access::TokenId;

/// Keys that are remembered. Beyond, those that could do it as often as at first are forgotten, and
/// while there are none of these, everybody unknown is refused.
const KEYS_MAX: usize = 100_000;

/// How often it is looked who can be forgotten: that is a walk over all of them.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Who guesses: the network that a request comes from, and the token that was guessed at, or whatever
/// was.
pub(super) type Guess = (IpAddr, Option<TokenId>);

/// What was done, by who did it.
#[derive(Debug)]
pub(super) struct Throttle<K> {
    max: u32,
    /// In which time it may be done once more.
    refill: Duration,
    keys_max: usize,
    done: Mutex<Done<K>>,
}

#[derive(Debug)]
struct Done<K> {
    /// When each may do it as often as at first.
    whole_at: HashMap<K, Time>,
    swept_at: Option<Time>,
}

impl<K: Eq + Hash> Throttle<K> {
    /// So often at once, and once more in `refill`.
    pub(super) fn new(max: u32, refill: Duration) -> Self {
        let done = Mutex::new(Done { whole_at: HashMap::new(), swept_at: None });
        Self { max: max.max(1), refill, keys_max: KEYS_MAX, done }
    }

    /// How long somebody has to wait before it may be done again; none if at once.
    pub(super) fn wait(&self, key: &K, now: Time) -> Option<Duration> {
        let mut done = self.done.lock();
        if done.whole_at.contains_key(key) || !done.is_full(self.keys_max, now) {
            drop(done);
            return self.owed(key, now);
        }
        Some(self.refill)
    }

    /// The same, and nobody unknown has to wait, also if no more can be remembered.
    pub(super) fn owed(&self, key: &K, now: Time) -> Option<Duration> {
        let owed = self.done.lock().whole_at.get(key)?.since(now);
        let allowed = self.refill * (self.max - 1);
        (owed > allowed).then(|| owed.saturating_sub(allowed))
    }

    /// Counts that it was done. However often it was, one more becomes free in the time for one.
    pub(super) fn note(&self, key: K, now: Time) {
        let mut done = self.done.lock();
        if done.whole_at.contains_key(&key) || !done.is_full(self.keys_max, now) {
            let whole_at = done.whole_at.entry(key).or_insert(now);
            *whole_at = ((*whole_at).max(now) + self.refill).min(now + self.refill * self.max);
        }
    }
}

impl<K: Eq + Hash> Done<K> {
    /// Whether no more can be remembered.
    fn is_full(&mut self, keys_max: usize, now: Time) -> bool {
        let is_to_sweep = self.swept_at.is_none_or(|at| now.since(at) >= SWEEP_EVERY);
        if self.whole_at.len() >= keys_max && is_to_sweep {
            self.swept_at = Some(now);
            self.whole_at.retain(|_, whole_at| *whole_at > now);
        }
        self.whole_at.len() >= keys_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_runs_out_of_guesses_and_gets_them_back_one_by_one() {
        let (source, other) = (&1, &2);
        let throttle = Throttle::new(3, Duration::from_secs(6));
        let at = |secs: i64| Time::from_millis(secs * 1_000);
        for _ in 0..3 {
            assert_eq!(throttle.wait(source, at(0)), None);
            throttle.note(*source, at(0));
        }
        assert_eq!(throttle.wait(source, at(0)), Some(Duration::from_secs(6)));
        assert_eq!(throttle.wait(other, at(0)), None);
        assert_eq!(throttle.wait(source, at(5)), Some(Duration::from_secs(1)));
        assert_eq!(throttle.wait(source, at(6)), None);
        throttle.note(*source, at(6));
        assert_eq!(throttle.wait(source, at(6)), Some(Duration::from_secs(6)));
        assert_eq!(throttle.wait(source, at(600)), None);
    }

    #[test]
    fn whoever_goes_on_is_not_kept_out_for_longer() {
        let throttle = Throttle::new(3, Duration::from_secs(6));
        for _ in 0..1_000 {
            throttle.note("a", Time::ZERO);
        }
        assert_eq!(throttle.wait(&"a", Time::ZERO), Some(Duration::from_secs(6)));
    }

    #[test]
    fn who_cannot_be_remembered_waits_until_others_are_forgotten() {
        let at = |millis: i64| Time::from_millis(millis);
        let throttle = Throttle { keys_max: 2, ..Throttle::new(2, Duration::from_secs(6)) };
        throttle.note("a", at(0));
        throttle.note("b", at(500));
        assert_eq!(throttle.wait(&"c", at(600)), Some(Duration::from_secs(6)));
        assert_eq!(throttle.owed(&"c", at(600)), None);
        throttle.note("c", at(600));
        assert_eq!(throttle.done.lock().whole_at.len(), 2);
        assert_eq!(throttle.wait(&"a", at(600)), None, "who is known goes on");
        // That `a` is as at first is looked for once a second.
        assert!(throttle.wait(&"c", at(5_900)).is_some());
        assert!(throttle.wait(&"c", at(6_100)).is_some());
        assert_eq!(throttle.wait(&"c", at(6_900)), None);
        throttle.note("c", at(6_900));
        assert!(throttle.wait(&"d", at(6_950)).is_none(), "b was forgotten as well");
    }
}
