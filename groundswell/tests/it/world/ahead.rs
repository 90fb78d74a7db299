//! How many claims may run ahead of sending, reckoned from the deliveries that were seen to be
//! handed out: what one commit brings, or 20 ms of the fastest that was seen lately.

use std::{collections::VecDeque, time::Duration};

use groundswell::core::{rollout::Limits, time::Time};

/// Whatever the speed.
const LEAST: u64 = 64;
const MOST: u64 = 4_096;

/// So many times the deliveries that may be open.
const OF_OPEN: u64 = 4;

/// Milliseconds' worth of what is sent.
const WORTH_MS: u64 = 20;

/// A speed is that of so many milliseconds, or more.
const SPAN_MS: u64 = 50;

/// What is longer ago than this makes no speed that matters: it would be less than [`LEAST`].
const KEPT: Duration = Duration::from_secs(3);

/// The deliveries of one rollout that were handed out.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// When, by the driver's clock, and how many; in the order in which they were.
    handed: VecDeque<(Time, u64)>,
    /// A speed that ended before this has been replaced by another.
    since: Time,
}

impl Ahead {
    pub(crate) fn handed_out(&mut self, at: Time) {
        match self.handed.back_mut() {
            Some((last, count)) if *last == at => *count += 1,
            _ => self.handed.push_back((at, 1)),
        }
    }

    /// Another driver knows nothing of how fast the last one was.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Claims are given to the store, decided on since the last ones were: so many may be ahead.
    pub(crate) fn most(&mut self, limits: &Limits) -> u32 {
        let worth = self.fastest().clamp(LEAST, MOST);
        if let Some((last, _)) = self.handed.back() {
            // Whatever was seen by then ended with it, or as long before as a speed takes at least.
            self.since = Time::from_millis(last.as_millis() - SPAN_MS as i64);
        }
        while self.handed.front().is_some_and(|(at, _)| *at + KEPT < self.since) {
            self.handed.pop_front();
        }
        // What is claimed ahead would leave in a burst, whatever the rate.
        let most = if limits.per_minute.is_some() { 0 } else { worth };
        most.min(OF_OPEN * u64::from(limits.max_in_flight)) as u32
    }

    /// [`WORTH_MS`] of the fastest over any time that ended lately.
    fn fastest(&self) -> u64 {
        let worth = |count: u64, elapsed: Duration| {
            count * WORTH_MS / (elapsed.as_millis() as u64).max(SPAN_MS)
        };
        let all = self.handed.iter().map(|(_, count)| count).sum();
        if worth(all, Duration::ZERO) <= LEAST {
            return LEAST;
        }
        let mut fastest = 0;
        for (end, (at, _)) in self.handed.iter().enumerate().rev() {
            let (until, mut count) = ((*at).max(self.since), 0);
            for (from, handed) in self.handed.range(..=end).rev() {
                count += handed;
                fastest = fastest.max(worth(count, until.since(*from)));
            }
            if *at < self.since {
                break;
            }
        }
        fastest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    fn hand_out(ahead: &mut Ahead, millis: i64, count: u32) {
        (0..count).for_each(|_| ahead.handed_out(at(millis)));
    }

    #[test]
    fn it_is_worth_20_ms_of_what_was_handed_out_lately() {
        let limits = Limits { max_in_flight: 1_000, ..Limits::default() };
        let mut ahead = Ahead::default();
        assert_eq!(ahead.most(&limits), 64);
        hand_out(&mut ahead, 1_000, 900);
        hand_out(&mut ahead, 1_040, 100);
        assert_eq!(ahead.most(&limits), 400);
        // Nothing else was seen since.
        assert_eq!(ahead.most(&limits), 400);
        hand_out(&mut ahead, 1_200, 1);
        assert_eq!(ahead.most(&limits), 400);
        // A second of one delivery is not fast.
        hand_out(&mut ahead, 2_200, 1);
        ahead.most(&limits);
        assert_eq!(ahead.most(&limits), 64);
        ahead.forget();
        assert_eq!(ahead.most(&limits), 64);
    }

    #[test]
    fn a_rate_and_few_places_leave_less() {
        let mut ahead = Ahead::default();
        hand_out(&mut ahead, 1_000, 900);
        assert_eq!(ahead.most(&Limits { max_in_flight: 5, ..Limits::default() }), 20);
        let rated = Limits { per_minute: Some(60), ..Limits::default() };
        assert_eq!(ahead.most(&rated), 0);
    }
}
