//! Guessing, slowed for each source: a bucket of wrong answers that fills slowly.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use groundswell_core::time::Time;
use parking_lot::Mutex;

/// In which time a source gets one more guess.
const REFILL: Duration = Duration::from_secs(6);

/// Sources that are remembered: beyond, those that could guess freely again are forgotten, and if
/// there is none, everybody unknown is refused for a moment.
const SOURCES_MAX: usize = 100_000;

/// Wrong tokens, by where they come from.
#[derive(Debug)]
pub(super) struct Throttle {
    max: u32,
    /// When each source will have all its guesses again.
    whole_at: Mutex<HashMap<IpAddr, Time>>,
}

impl Throttle {
    pub(super) fn new(max: u32) -> Self {
        Self { max: max.max(1), whole_at: Mutex::default() }
    }

    /// How long a source has to wait before it may show another token; none if it need not.
    pub(super) fn wait(&self, source: IpAddr, now: Time) -> Option<Duration> {
        let whole_at = *self.whole_at.lock().get(&network(source))?;
        let owed = whole_at.since(now);
        let allowed = REFILL * (self.max - 1);
        (owed > allowed).then(|| owed.saturating_sub(allowed))
    }

    /// Counts a wrong token.
    pub(super) fn note_wrong(&self, source: IpAddr, now: Time) {
        let mut sources = self.whole_at.lock();
        if sources.len() >= SOURCES_MAX {
            sources.retain(|_, whole_at| *whole_at > now);
        }
        if sources.len() < SOURCES_MAX {
            let whole_at = sources.entry(network(source)).or_insert(now);
            *whole_at = (*whole_at).max(now) + REFILL;
        }
    }
}

/// An IPv6 source has a network of addresses to choose from: it counts as one.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_runs_out_of_guesses_and_gets_them_back_one_by_one() {
        let (source, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let throttle = Throttle::new(3);
        let at = |secs: i64| Time::from_millis(secs * 1_000);
        for _ in 0..3 {
            assert_eq!(throttle.wait(source, at(0)), None);
            throttle.note_wrong(source, at(0));
        }
        assert_eq!(throttle.wait(source, at(0)), Some(Duration::from_secs(6)));
        assert_eq!(throttle.wait(other, at(0)), None);
        assert_eq!(throttle.wait(source, at(5)), Some(Duration::from_secs(1)));
        assert_eq!(throttle.wait(source, at(6)), None);
        throttle.note_wrong(source, at(6));
        assert_eq!(throttle.wait(source, at(6)), Some(Duration::from_secs(6)));
        assert_eq!(throttle.wait(source, at(600)), None);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_source() {
        let throttle = Throttle::new(1);
        throttle.note_wrong("2001:db8::1".parse().unwrap(), Time::ZERO);
        assert!(throttle.wait("2001:db8::2".parse().unwrap(), Time::ZERO).is_some());
        assert!(throttle.wait("2001:db8:0:1::2".parse().unwrap(), Time::ZERO).is_none());
        throttle.note_wrong("::ffff:10.0.0.1".parse().unwrap(), Time::ZERO);
        assert!(throttle.wait("10.0.0.1".parse().unwrap(), Time::ZERO).is_some());
    }
}
