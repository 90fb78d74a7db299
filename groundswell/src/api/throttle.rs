//! What a source may do so often only: guess tokens, enroll devices. A bucket that fills slowly.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use groundswell_core::time::Time;
use parking_lot::Mutex;

/// Sources that are remembered: beyond, those that could do it freely again are forgotten, and if
/// there is none, everybody unknown is refused for a moment.
const SOURCES_MAX: usize = 100_000;

/// What was done, by where it comes from.
#[derive(Debug)]
pub(super) struct Throttle {
    max: u32,
    /// In which time a source may do it once more.
    refill: Duration,
    /// When each source may do it as often as at first.
    whole_at: Mutex<HashMap<IpAddr, Time>>,
}

impl Throttle {
    /// So often at once, and once more in `refill`.
    pub(super) fn new(max: u32, refill: Duration) -> Self {
        Self { max: max.max(1), refill, whole_at: Mutex::default() }
    }

    /// How long a source has to wait before it may do it again; none if it need not.
    pub(super) fn wait(&self, source: IpAddr, now: Time) -> Option<Duration> {
        let whole_at = *self.whole_at.lock().get(&network(source))?;
        let owed = whole_at.since(now);
        let allowed = self.refill * (self.max - 1);
        (owed > allowed).then(|| owed.saturating_sub(allowed))
    }

    /// Counts that it was done.
    pub(super) fn note(&self, source: IpAddr, now: Time) {
        let mut sources = self.whole_at.lock();
        if sources.len() >= SOURCES_MAX {
            sources.retain(|_, whole_at| *whole_at > now);
        }
        if sources.len() < SOURCES_MAX {
            let whole_at = sources.entry(network(source)).or_insert(now);
            *whole_at = (*whole_at).max(now) + self.refill;
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
        let throttle = Throttle::new(3, Duration::from_secs(6));
        let at = |secs: i64| Time::from_millis(secs * 1_000);
        for _ in 0..3 {
            assert_eq!(throttle.wait(source, at(0)), None);
            throttle.note(source, at(0));
        }
        assert_eq!(throttle.wait(source, at(0)), Some(Duration::from_secs(6)));
        assert_eq!(throttle.wait(other, at(0)), None);
        assert_eq!(throttle.wait(source, at(5)), Some(Duration::from_secs(1)));
        assert_eq!(throttle.wait(source, at(6)), None);
        throttle.note(source, at(6));
        assert_eq!(throttle.wait(source, at(6)), Some(Duration::from_secs(6)));
        assert_eq!(throttle.wait(source, at(600)), None);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_source() {
        let throttle = Throttle::new(1, Duration::from_secs(6));
        throttle.note("2001:db8::1".parse().unwrap(), Time::ZERO);
        assert!(throttle.wait("2001:db8::2".parse().unwrap(), Time::ZERO).is_some());
        assert!(throttle.wait("2001:db8:0:1::2".parse().unwrap(), Time::ZERO).is_none());
        throttle.note("::ffff:10.0.0.1".parse().unwrap(), Time::ZERO);
        assert!(throttle.wait("10.0.0.1".parse().unwrap(), Time::ZERO).is_some());
    }
}
