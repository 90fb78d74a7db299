//! Who is on which address at the moment, and how many there were at most.
//!
//! Owns the peaks by which a driver's limits can be checked. A request costs two additions; only a
//! connection looks its address up. Start with [`Visits::enter`].

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use hashbrown::HashMap;
use parking_lot::Mutex;

/// The connections that are open.
#[derive(Debug, Default)]
pub(super) struct Visits {
    /// Requests under way on each address that has a connection.
    addresses: Mutex<HashMap<IpAddr, Arc<AtomicU64>>>,
    open: AtomicU64,
    open_peak: AtomicU64,
    requests_peak: AtomicU64,
}

impl Visits {
    /// A connection to `address` begins.
    pub(super) fn enter(&self, address: IpAddr) -> Visit<'_> {
        let requests = self.addresses.lock().entry(address).or_default().clone();
        raise(&self.open_peak, self.open.fetch_add(1, Relaxed) + 1);
        Visit { visits: self, address, requests, is_about_fleet: AtomicBool::new(false) }
    }

    /// Most connections that were open at once.
    pub(super) fn open_peak(&self) -> u64 {
        self.open_peak.load(Relaxed)
    }

    /// Most requests that were under way at once on one address.
    pub(super) fn requests_peak(&self) -> u64 {
        self.requests_peak.load(Relaxed)
    }
}

/// Peaks are read far more often than raised.
fn raise(peak: &AtomicU64, to: u64) {
    if peak.load(Relaxed) < to {
        peak.fetch_max(to, Relaxed);
    }
}

/// One connection.
pub(super) struct Visit<'a> {
    visits: &'a Visits,
    address: IpAddr,
    requests: Arc<AtomicU64>,
    /// It asks about the fleet, and comes to no device.
    is_about_fleet: AtomicBool,
}

impl Visit<'_> {
    /// Where it came in.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// It asks about the fleet.
    pub(super) fn set_about_fleet(&self) {
        self.is_about_fleet.store(true, Relaxed);
    }

    /// Whether it asks about the fleet.
    pub(super) fn is_about_fleet(&self) -> bool {
        self.is_about_fleet.load(Relaxed)
    }

    /// A request is under way until this is dropped.
    pub(super) fn begin_request(&self) -> OpenRequest<'_> {
        raise(&self.visits.requests_peak, self.requests.fetch_add(1, Relaxed) + 1);
        OpenRequest(&self.requests)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.visits.open.fetch_sub(1, Relaxed);
        let mut addresses = self.visits.addresses.lock();
        // The table's and this one: nobody else is there, and nobody can come while it is locked.
        if Arc::strong_count(&self.requests) == 2 {
            addresses.remove(&self.address);
        }
    }
}

/// A request that is under way.
pub(super) struct OpenRequest<'a>(&'a AtomicU64);

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_those_of_one_address_and_nobody_is_left_behind() {
        let visits = Visits::default();
        let [one, other] = ["127.0.0.1", "127.0.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let (first, second, third) = (visits.enter(one), visits.enter(one), visits.enter(other));
        let open = (first.begin_request(), third.begin_request());
        assert_eq!((visits.open_peak(), visits.requests_peak()), (3, 1));
        drop((first.begin_request(), second.begin_request()));
        drop(open);
        assert_eq!(visits.requests_peak(), 3);
        drop((first, second));
        assert_eq!(visits.addresses.lock().len(), 1);
        drop(third);
        assert!(visits.addresses.lock().is_empty());
        drop(visits.enter(one));
        assert_eq!((visits.open_peak(), visits.requests_peak()), (3, 3));
    }
}
