//! Connections kept for later.
//!
//! Owns which ones are kept and for how long; must not know what a connection is. All operations
//! take constant time: one list orders everything by when it was put back, and one list per host
//! orders that host's. No task watches them: what is too old is thrown out whenever something is
//! taken or put back.

use std::{sync::Arc, time::Duration};

use groundswell_core::time::Time;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::config::PoolLimits;

/// Idle things by host.
pub(super) struct Pool<T> {
    limits: PoolLimits,
    state: Mutex<State<T>>,
}

struct State<T> {
    nodes: Vec<Node<T>>,
    free: Vec<usize>,
    all: List,
    hosts: HashMap<Arc<str>, List>,
}

struct Node<T> {
    kept: Option<(Arc<str>, T)>,
    since: Time,
    links: [Link; 2],
}

#[derive(Clone, Copy, Default)]
struct Link {
    older: Option<usize>,
    newer: Option<usize>,
}

#[derive(Clone, Copy, Default)]
struct List {
    oldest: Option<usize>,
    newest: Option<usize>,
    len: usize,
}

/// Which of a node's two lists.
#[derive(Clone, Copy)]
enum Of {
    All,
    Host,
}

/// What has to go; dropped by the caller, outside of the lock.
type Evicted<T> = Vec<T>;

impl<T> Pool<T> {
    pub(super) fn new(limits: PoolLimits) -> Self {
        let state =
            State { nodes: vec![], free: vec![], all: List::default(), hosts: HashMap::default() };
        Self { limits, state: Mutex::new(state) }
    }

    /// The one to `host` that was put back last.
    pub(super) fn take(&self, host: &str, now: Time) -> (Option<T>, Evicted<T>) {
        let mut state = self.state.lock();
        let expired = state.remove_expired(self.limits.idle_for, now);
        let newest = state.hosts.get(host).and_then(|list| list.newest);
        (newest.and_then(|at| state.remove(at)), expired)
    }

    /// Keeps `thing`; whatever is then too many or too old comes back.
    pub(super) fn put(&self, host: &Arc<str>, thing: T, now: Time) -> Evicted<T> {
        if self.limits.idle_max == 0 || self.limits.idle_per_host == 0 {
            return vec![thing];
        }
        let mut state = self.state.lock();
        let mut evicted = state.remove_expired(self.limits.idle_for, now);
        let of_host = state.hosts.get(&**host).copied().unwrap_or_default();
        if of_host.len >= self.limits.idle_per_host {
            evicted.extend(of_host.oldest.and_then(|at| state.remove(at)));
        }
        if state.all.len >= self.limits.idle_max {
            evicted.extend(state.all.oldest.and_then(|at| state.remove(at)));
        }
        state.insert(host, thing, now);
        evicted
    }

    /// How many are kept, and to how many hosts.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.all.len, state.hosts.len())
    }
}

impl<T> State<T> {
    fn insert(&mut self, host: &Arc<str>, thing: T, now: Time) {
        let kept = Some((host.clone(), thing));
        let node = Node { kept, since: now, links: [Link::default(); 2] };
        let at = if let Some(at) = self.free.pop() {
            self.nodes[at] = node;
            at
        } else {
            self.nodes.push(node);
            self.nodes.len() - 1
        };
        push_newest(&mut self.nodes, &mut self.all, Of::All, at);
        let list = self.hosts.entry(host.clone()).or_default();
        push_newest(&mut self.nodes, list, Of::Host, at);
    }

    fn remove(&mut self, at: usize) -> Option<T> {
        let (host, thing) = self.nodes[at].kept.take()?;
        unlink(&mut self.nodes, &mut self.all, Of::All, at);
        if let Some(list) = self.hosts.get_mut(&*host) {
            unlink(&mut self.nodes, list, Of::Host, at);
            if list.len == 0 {
                self.hosts.remove(&*host);
            }
        }
        self.free.push(at);
        Some(thing)
    }

    fn remove_expired(&mut self, idle_for: Duration, now: Time) -> Evicted<T> {
        let mut expired = vec![];
        while let Some(at) = self.all.oldest
            && now.since(self.nodes[at].since) >= idle_for
        {
            expired.extend(self.remove(at));
        }
        expired
    }
}

fn push_newest<T>(nodes: &mut [Node<T>], list: &mut List, of: Of, at: usize) {
    nodes[at].links[of as usize] = Link { older: list.newest, newer: None };
    match list.newest {
        Some(newest) => nodes[newest].links[of as usize].newer = Some(at),
        None => list.oldest = Some(at),
    }
    list.newest = Some(at);
    list.len += 1;
}

fn unlink<T>(nodes: &mut [Node<T>], list: &mut List, of: Of, at: usize) {
    let Link { older, newer } = nodes[at].links[of as usize];
    match older {
        Some(older) => nodes[older].links[of as usize].newer = newer,
        None => list.oldest = newer,
    }
    match newer {
        Some(newer) => nodes[newer].links[of as usize].older = older,
        None => list.newest = older,
    }
    list.len -= 1;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(secs: i64) -> Time {
        Time::from_millis(secs * 1_000)
    }

    fn pool(idle_max: usize, idle_per_host: usize) -> Pool<u32> {
        Pool::new(PoolLimits { idle_max, idle_per_host, ..PoolLimits::default() })
    }

    #[test]
    fn the_newest_is_taken_and_the_oldest_goes() {
        let pool = pool(3, 2);
        let (a, b, c) = (Arc::from("a"), Arc::from("b"), Arc::from("c"));
        assert!(pool.put(&a, 1, at(0)).is_empty());
        assert!(pool.put(&a, 2, at(1)).is_empty());
        assert_eq!(pool.put(&a, 3, at(2)), [1], "over the limit per host");
        assert!(pool.put(&b, 4, at(3)).is_empty());
        assert_eq!(pool.put(&c, 5, at(4)), [2], "over the limit in all");
        assert_eq!(pool.counts(), (3, 3));
        assert_eq!(pool.take("a", at(5)).0, Some(3));
        assert_eq!(pool.take("a", at(5)).0, None);
        assert_eq!(pool.counts(), (2, 2));
    }

    #[test]
    fn what_is_too_old_goes_whatever_is_asked_for() {
        let pool = pool(100, 10);
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        pool.put(&a, 1, at(0));
        pool.put(&b, 2, at(50));
        assert_eq!(pool.take("c", at(89)), (None, vec![]));
        assert_eq!(pool.take("c", at(90)), (None, vec![1]));
        assert_eq!(pool.put(&a, 3, at(140)), [2]);
    }

    #[test]
    fn a_limit_of_zero_keeps_nothing() {
        for pool in [pool(0, 1), pool(1, 0)] {
            assert_eq!(pool.put(&Arc::from("a"), 1, at(0)), [1]);
            assert_eq!(pool.counts(), (0, 0));
        }
    }

    /// The same rules, written as a walk over a list.
    #[derive(Default)]
    struct Naive(Vec<(u8, u32, i64)>);

    impl Naive {
        fn expire(&mut self, now: i64) {
            self.0.retain(|(_, _, since)| now - since < 90);
        }

        fn take(&mut self, host: u8, now: i64) -> Option<u32> {
            self.expire(now);
            let newest = self.0.iter().rposition(|(kept, _, _)| *kept == host)?;
            Some(self.0.remove(newest).1)
        }

        fn put(&mut self, host: u8, thing: u32, now: i64) {
            self.expire(now);
            if self.0.iter().filter(|(kept, _, _)| *kept == host).count() >= 3
                && let Some(oldest) = self.0.iter().position(|(kept, _, _)| *kept == host)
            {
                self.0.remove(oldest);
            }
            if self.0.len() >= 6 {
                self.0.remove(0);
            }
            self.0.push((host, thing, now));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_pool(steps in prop::collection::vec((0_u8..5, any::<bool>(), 0_i64..40), 0..200)) {
            let (pool, mut naive, mut now) = (pool(6, 3), Naive::default(), 0);
            for (thing, (host, put, wait)) in (0..).zip(steps) {
                now += wait;
                let name: Arc<str> = format!("h{host}").into();
                if put {
                    pool.put(&name, thing, at(now));
                    naive.put(host, thing, now);
                } else {
                    prop_assert_eq!(pool.take(&name, at(now)).0, naive.take(host, now));
                }
                prop_assert_eq!(pool.counts().0, naive.0.len());
            }
        }
    }
}
