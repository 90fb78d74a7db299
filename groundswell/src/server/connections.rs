//! How many connections there may be, in all and from one source.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use http::HeaderMap;
use parking_lot::Mutex;

use crate::{api::Source, networks::Network};

/// Where proxies say whom they were asked by.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// What connections may cost.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// At once, in all: well below what a process may have open.
    pub max: usize,
    /// At once from one source, an address or a network of IPv6: a site behind one has many devices.
    pub per_source_max: usize,
    /// How long the head of a request may take to arrive, and the first one from the connection on.
    pub head_max: Duration,
    /// How long a body may send nothing, and an answer may not be taken.
    pub stall_max: Duration,
    /// Networks of proxies that are believed where a request comes from, and whose connections count
    /// in all only.
    pub proxies: Vec<Network>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max: 10_000,
            per_source_max: 2_000,
            head_max: Duration::from_secs(10),
            stall_max: Duration::from_secs(30),
            proxies: vec![],
        }
    }
}

impl ConnectionLimits {
    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(address.to_canonical()))
    }

    /// Where a request comes from that came over a connection of `peer`. Each proxy writes whom it was
    /// asked by behind what it was told: what stands before the last that is no proxy may be made up.
    pub(super) fn source(&self, peer: IpAddr, headers: &HeaderMap) -> Source {
        let mut source = peer;
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut said = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        while self.is_proxy(source) {
            let Some(address) = said.next().and_then(|text| text.trim().parse().ok()) else {
                break;
            };
            source = address;
        }
        Source(source)
    }
}

/// The connections that are open, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Open(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// A connection that counts until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    open: Open,
    source: IpAddr,
}

impl Open {
    /// A place for one more from there, unless there are too many.
    pub(super) fn take(&self, source: Source, limits: &ConnectionLimits) -> Option<Place> {
        let (is_proxy, source) = (limits.is_proxy(source.0), source.network());
        let mut counted = self.0.lock();
        let from_there = counted.by_source.get(&source).copied().unwrap_or(0);
        let is_too_many = from_there >= limits.per_source_max && !is_proxy;
        if counted.all >= limits.max || is_too_many {
            return None;
        }
        counted.all += 1;
        *counted.by_source.entry(source).or_insert(0) += 1;
        Some(Place { open: self.clone(), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counted = self.open.0.lock();
        counted.all -= 1;
        if let Some(from_there) = counted.by_source.get_mut(&self.source) {
            *from_there -= 1;
            if *from_there == 0 {
                counted.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let limits = ConnectionLimits { max: 3, per_source_max: 2, ..Default::default() };
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|text| Source(text.parse().unwrap()));
        let open = Open::default();
        let first = open.take(a, &limits).unwrap();
        let _second = open.take(a, &limits).unwrap();
        assert!(open.take(a, &limits).is_none(), "too many from there");
        let _third = open.take(b, &limits).unwrap();
        assert!(open.take(b, &limits).is_none(), "too many in all");
        drop(first);
        assert!(open.take(a, &limits).is_some());
        assert_eq!(open.0.lock().by_source.len(), 2);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_source() {
        let limits = ConnectionLimits { max: 9, per_source_max: 1, ..Default::default() };
        let take = |open: &Open, text: &str| open.take(Source(text.parse().unwrap()), &limits);
        let open = Open::default();
        let _first = take(&open, "2001:db8::1").unwrap();
        assert!(take(&open, "2001:db8::2").is_none());
        assert!(take(&open, "2001:db8:0:1::2").is_some());
    }

    #[test]
    fn only_proxies_are_believed_where_a_request_comes_from() {
        let proxies = ["10.0.0.0/24", "2001:db8::7/128"].map(|text| text.parse().unwrap());
        let limits =
            ConnectionLimits { per_source_max: 1, proxies: proxies.to_vec(), ..Default::default() };
        for (peer, said, wanted) in [
            ("10.0.1.1", &["1.2.3.4"][..], "10.0.1.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            ("::ffff:10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("2001:db8::7", &["6.6.6.6, 1.2.3.4 ,10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4", "10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["6.6.6.6", "\u{e4}"], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in said {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            let source = limits.source(peer.parse().unwrap(), &headers);
            assert_eq!(source, Source(wanted.parse().unwrap()), "{peer} {said:?}");
        }
        let (open, proxy) = (Open::default(), Source("10.0.0.1".parse().unwrap()));
        let _both = [open.take(proxy, &limits).unwrap(), open.take(proxy, &limits).unwrap()];
    }
}
