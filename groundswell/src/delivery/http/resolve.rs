//! Addresses of names.
//!
//! Tells a name that does not exist, where trying again is useless, from a look-up that failed
//! just now, which is why `getaddrinfo` is called here directly.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use dns_lookup::LookupErrorKind;
use groundswell_core::time::Time;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinError,
};

use crate::clock::Clock;

/// How long an answer is used again. Devices behind one name are pushed to within seconds of one
/// another; longer would outlive a change of address during a rollout.
const CACHED_FOR: Duration = Duration::from_secs(10);

/// Names in the cache; a fleet with more gains nothing from it.
const CACHED_MAX: usize = 1_024;

/// Look-ups at once: each one blocks a thread, for seconds if the name server is silent.
const LOOKUPS_MAX: usize = 64;

/// Where addresses of names come from.
#[derive(Clone, Debug, Default)]
pub enum Resolver {
    /// The operating system's `getaddrinfo`.
    #[default]
    System,
    /// A fixed list, for tests; a name that is not on it does not exist.
    Fixed(Arc<BTreeMap<String, Result<Vec<IpAddr>, LookupError>>>),
    /// For every name one answer after the other, the last one for ever, for tests: as whoever
    /// rules a name server may answer.
    InTurn(Arc<Mutex<VecDeque<Vec<IpAddr>>>>),
}

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// There is no such name, or it has no address.
    #[error("there is no such name, or it has no address")]
    NoSuchName,
    /// The look-up failed just now.
    #[error("{0}")]
    Failed(String),
}

/// Until when an answer is used again, and the answer.
type Known = (Time, Arc<[IpAddr]>);

/// A resolver and the answers it gave lately.
pub(super) struct Names {
    resolver: Resolver,
    clock: Clock,
    cache: Mutex<HashMap<Box<str>, Known>>,
    permits: Arc<Semaphore>,
}

impl Names {
    pub(super) fn new(resolver: Resolver, clock: Clock) -> Self {
        let permits = Arc::new(Semaphore::new(LOOKUPS_MAX));
        Self { resolver, clock, cache: Mutex::default(), permits }
    }

    /// The addresses of `host`, at least one, in the order they are to be tried.
    pub(super) async fn look_up(&self, host: &str) -> Result<Arc<[IpAddr]>, LookupError> {
        if let Some(cached) = self.cached(host) {
            return Ok(cached);
        }
        let failed = |error: &dyn std::fmt::Display| LookupError::Failed(error.to_string());
        let permit = self.permits.clone().acquire_owned().await.map_err(|error| failed(&error))?;
        // Whoever held the permit before may have asked for the same name.
        if let Some(cached) = self.cached(host) {
            return Ok(cached);
        }
        let found = match &self.resolver {
            Resolver::Fixed(fixed) => {
                fixed.get(host).cloned().unwrap_or(Err(LookupError::NoSuchName))?
            }
            Resolver::InTurn(turns) => {
                let mut turns = turns.lock();
                let next = turns.pop_front().unwrap_or_default();
                if turns.is_empty() {
                    turns.push_back(next.clone());
                }
                next
            }
            Resolver::System => {
                let host = host.to_owned();
                let asked = blocking(permit, move || ask_system(&host)).await;
                asked.map_err(|error| failed(&error))??
            }
        };
        if found.is_empty() {
            return Err(LookupError::NoSuchName);
        }
        let found: Arc<[IpAddr]> = found.into();
        self.remember(host, found.clone());
        Ok(found)
    }

    fn cached(&self, host: &str) -> Option<Arc<[IpAddr]>> {
        let cache = self.cache.lock();
        let (since, found) = cache.get(host)?;
        (self.clock.now().since(*since) < CACHED_FOR).then(|| found.clone())
    }

    fn remember(&self, host: &str, found: Arc<[IpAddr]>) {
        let now = self.clock.now();
        let mut cache = self.cache.lock();
        if cache.len() >= CACHED_MAX {
            cache.retain(|_, (since, _)| now.since(*since) < CACHED_FOR);
        }
        if cache.len() < CACHED_MAX {
            cache.insert(host.into(), (now, found));
        }
    }
}

/// Runs `ask` on a thread of its own. The permit goes with it: nobody can call a look-up back, and
/// one whose asker has given up blocks its thread all the same.
async fn blocking<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let asking = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        ask()
    });
    asking.await
}

fn ask_system(host: &str) -> Result<Vec<IpAddr>, LookupError> {
    match dns_lookup::lookup_host(host) {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(match error.kind() {
            LookupErrorKind::NoName | LookupErrorKind::NoData => LookupError::NoSuchName,
            _ => LookupError::Failed(std::io::Error::from(error).to_string()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn answers_are_kept_for_ten_seconds_and_their_number_is_bounded() {
        let manual = ManualClock::new(Time::from_millis(1_000));
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        let fixed = (0..CACHED_MAX + 5).map(|i| (format!("h{i}"), Ok(vec![address]))).collect();
        let resolver = Resolver::Fixed(Arc::new(fixed));
        let names = Names::new(resolver, Clock::Manual(manual.clone()));
        for i in 0..CACHED_MAX + 5 {
            assert_eq!(*names.look_up(&format!("h{i}")).await.unwrap(), [address]);
        }
        assert_eq!(names.cache.lock().len(), CACHED_MAX);
        assert!(names.cached("h1").is_some());
        manual.advance(CACHED_FOR);
        assert!(names.cached("h1").is_none());
        assert_eq!(names.look_up("other").await, Err(LookupError::NoSuchName));
    }

    #[tokio::test]
    async fn a_look_up_counts_until_its_thread_is_free() {
        let permits = Arc::new(Semaphore::new(1));
        let permit = permits.clone().acquire_owned().await.unwrap();
        let (answer, answered) = std::sync::mpsc::channel::<()>();
        let asking = tokio::spawn(blocking(permit, move || answered.recv()));
        tokio::task::yield_now().await;
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        assert_eq!(permits.available_permits(), 0, "the thread still waits");
        answer.send(()).unwrap();
        drop(permits.acquire().await.unwrap());
    }

    #[test]
    fn the_system_knows_localhost_and_no_invalid_name() {
        assert!(!ask_system("localhost").unwrap().is_empty());
    }
}
