//! The events told last, and who waits for more.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use groundswell_core::time::Time;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::{
    super::{Api, Hangup, Problem},
    filter::{Filter, FilterKey},
    names::Names,
    page::{self, Chunk},
    position::Position,
    terms::Terms,
};
use crate::operate::{OperateError, State};

/// How often the log is looked at while somebody listens: what people take for at once.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often it is looked who takes nothing.
const CUT_EVERY: Duration = Duration::from_secs(1);

/// How long readers may take to end when the server does.
const END_MAX: Duration = Duration::from_secs(1);

/// How long the log is left alone that could not be read.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// Bytes of events that are kept for readers who are a little behind: a second of the fastest
/// rollout. Whoever is further behind reads the log.
const RING_BYTES_MAX: usize = 16 << 20;

/// Events that are kept; their marks take as much memory as a tenth of their bytes.
const RING_EVENTS_MAX: usize = 100_000;

/// Readers at once: the tabs and pipelines of a large team, some 100 MiB if all of them stall.
pub(crate) const READERS_MAX: usize = 2_000;

/// Stretches without anything for a group that are kept: readers that sleep wake to one of the last.
const STRETCHES_MAX: usize = 64;

/// Readers that read the log at once: of two processors the engine is to have one.
const READING_MAX: usize = 2;

/// What there is to be told, shared by all readers.
#[derive(Debug)]
pub(crate) struct Feed {
    ring: Mutex<Ring>,
    pub(super) names: Names,
    pub(super) reading: Semaphore,
    readers: AtomicUsize,
    readers_max: usize,
    /// Somebody began to listen.
    begun: Notify,
    terms: OnceLock<Terms>,
    no_terms: Terms,
}

#[derive(Debug, Default)]
struct Ring {
    chunks: VecDeque<Arc<Chunk>>,
    bytes: usize,
    events: usize,
    /// Up to where it was read; none while nobody listens.
    tail: Option<Position>,
    groups: HashMap<FilterKey, Arc<Group>>,
    /// Since when what readers were given is not taken.
    given: HashMap<u64, Arc<Given>>,
    given_last: u64,
}

/// Since when a reader has not come back for more.
#[derive(Debug)]
pub(super) struct Given {
    /// In milliseconds; 0 while it waits for more.
    since: AtomicI64,
    hangup: Option<Hangup>,
}

/// Readers who are told the same.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) filter: Filter,
    /// Told when there is something for them.
    news: watch::Sender<()>,
    quiet: Mutex<Quiet>,
    /// Changed under the lock of the ring.
    readers: AtomicUsize,
}

/// Stretches of what was read in which nothing is for a group.
#[derive(Debug, Default)]
struct Quiet(VecDeque<(Position, Position)>);

/// What there is for a reader.
pub(super) enum Next {
    /// Events, some of which may be for it.
    Chunk(Arc<Chunk>),
    /// Nothing up to there.
    Quiet(Position),
    /// It is behind: the log has it.
    Behind,
    /// Nothing yet.
    Nothing,
}

/// A reader's place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    feed: Arc<Feed>,
    pub(super) group: Arc<Group>,
    pub(super) news: watch::Receiver<()>,
    given: Arc<Given>,
    given_key: u64,
}

impl Feed {
    pub(crate) fn new(readers_max: usize) -> Self {
        Self {
            ring: Mutex::default(),
            names: Names::default(),
            reading: Semaphore::new(READING_MAX),
            readers: AtomicUsize::new(0),
            readers_max,
            begun: Notify::new(),
            terms: OnceLock::new(),
            no_terms: Terms::default(),
        }
    }

    /// Whose rows are whose, as far as it was looked up.
    pub(in crate::api) fn terms(&self) -> &Terms {
        self.terms.get().unwrap_or(&self.no_terms)
    }

    /// Looks up whose rows are whose. The driver of this process stays the last one as long as it lives.
    pub(crate) fn find_terms(&self, state: &State) -> Result<(), OperateError> {
        if self.terms.get().is_none() {
            // Whoever came first has found the same.
            let _ = self.terms.set(Terms::new(state.terms()?));
        }
        Ok(())
    }

    /// How many listen.
    pub(crate) fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    /// A place for one more reader; none if there are too many. `end` is the last row of the log.
    pub(crate) fn listen(
        self: &Arc<Self>,
        filter: Filter,
        end: i64,
        hangup: Option<Hangup>,
    ) -> Option<Place> {
        let one_more = |readers: usize| (readers < self.readers_max).then_some(readers + 1);
        self.readers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        let mut ring = self.ring.lock();
        let tail = *ring.tail.get_or_insert(Position::behind(end));
        let group = ring.groups.entry(filter.key().clone()).or_insert_with(|| {
            let quiet = Mutex::new(Quiet([(tail, tail)].into()));
            Arc::new(Group {
                filter,
                news: watch::channel(()).0,
                quiet,
                readers: AtomicUsize::new(0),
            })
        });
        group.readers.fetch_add(1, Ordering::Relaxed);
        let (group, news) = (group.clone(), group.news.subscribe());
        let given = Arc::new(Given { since: AtomicI64::new(0), hangup });
        ring.given_last += 1;
        let given_key = ring.given_last;
        ring.given.insert(given_key, given.clone());
        drop(ring);
        self.begun.notify_one();
        Some(Place { feed: self.clone(), group, news, given, given_key })
    }

    /// Ends the connections of those who do not take what they were given. A connection that carries
    /// one answer ends by itself; one that carries several goes on with the others.
    fn cut_off(&self, now: Time) {
        for given in self.ring.lock().given.values() {
            let since = Time::from_millis(given.since.load(Ordering::Relaxed));
            if let Some(hangup) = &given.hangup
                && since != Time::ZERO
                && now.since(since) > hangup.stall_max
            {
                hangup.told.cancel();
            }
        }
    }

    /// Ends the connections of all who are left.
    fn hang_up(&self) {
        for given in self.ring.lock().given.values() {
            given.hangup.iter().for_each(|hangup| hangup.told.cancel());
        }
    }

    /// Takes in what was read of the log.
    fn publish(&self, state: &State, chunk: Chunk) -> Result<(), OperateError> {
        let mut kinds: HashMap<i64, u64> = HashMap::new();
        for mark in &chunk.marks {
            *kinds.entry(mark.rollout).or_default() |= mark.kind.bit();
        }
        let groups: Vec<Arc<Group>> = self.ring.lock().groups.values().cloned().collect();
        let mut quiet = vec![];
        for group in groups {
            if !group.is_told(state, &kinds)? {
                quiet.push(group);
            }
        }
        let mut ring = self.ring.lock();
        let to = chunk.to;
        ring.push(Arc::new(chunk));
        for group in ring.groups.values() {
            // One that was made meanwhile looks for itself.
            let is_quiet = quiet.iter().any(|quiet| Arc::ptr_eq(quiet, group));
            group.quiet.lock().take_in(to, is_quiet);
            if !is_quiet {
                group.news.send_replace(());
            }
        }
        Ok(())
    }

    /// Forgets everything, if nobody listens.
    fn rest(&self) -> bool {
        let mut ring = self.ring.lock();
        let is_idle = self.readers() == 0;
        if is_idle {
            *ring = Ring::default();
        }
        is_idle
    }
}

impl Group {
    fn is_told(&self, state: &State, kinds: &HashMap<i64, u64>) -> Result<bool, OperateError> {
        for (rollout, kinds) in kinds {
            if kinds & super::event::Kind::RolloutChanged.bit() != 0 {
                self.filter.forget(*rollout);
            }
            if self.filter.wants(*rollout, *kinds) && self.filter.sees(state, *rollout)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Quiet {
    fn take_in(&mut self, to: Position, is_quiet: bool) {
        match self.0.back_mut() {
            Some((_, end)) if is_quiet => *end = to,
            _ => {
                if self.0.len() == STRETCHES_MAX {
                    self.0.pop_front();
                }
                self.0.push_back((to, to));
            }
        }
    }

    /// Up to where nothing is for whoever was told up to there.
    fn up_to(&self, from: Position) -> Option<Position> {
        let at = self.0.partition_point(|(_, end)| *end <= from);
        self.0.get(at).filter(|(begin, _)| *begin <= from).map(|(_, end)| *end)
    }
}

impl Ring {
    fn push(&mut self, chunk: Arc<Chunk>) {
        self.tail = Some(chunk.to);
        if chunk.marks.is_empty() {
            // A chunk in front of a gap would send readers to the log.
            if let Some(last) = self.chunks.pop_back() {
                let to = chunk.to;
                self.chunks.push_back(Arc::new(last.extended(to)));
            }
            return;
        }
        self.bytes += chunk.bytes.len();
        self.events += chunk.marks.len();
        self.chunks.push_back(chunk);
        while self.bytes > RING_BYTES_MAX || self.events > RING_EVENTS_MAX {
            let Some(first) = self.chunks.pop_front() else { break };
            self.bytes -= first.bytes.len();
            self.events -= first.marks.len();
        }
    }
}

impl Place {
    pub(super) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// It was given something at this time, or waits for more.
    pub(super) fn give(&self, at: Option<Time>) {
        let since = at.map_or(0, Time::as_millis);
        self.given.since.store(since, Ordering::Relaxed);
    }

    /// What there is for a reader that was told up to there.
    pub(super) fn next(&self, from: Position) -> Next {
        let ring = self.feed.ring.lock();
        if ring.tail.is_none_or(|tail| from >= tail) {
            return Next::Nothing;
        }
        if let Some(to) = self.group.quiet.lock().up_to(from) {
            return Next::Quiet(to);
        }
        let at = ring.chunks.partition_point(|chunk| chunk.to <= from);
        match ring.chunks.get(at) {
            Some(chunk) if chunk.from <= from => Next::Chunk(chunk.clone()),
            _ => Next::Behind,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut ring = self.feed.ring.lock();
        self.feed.readers.fetch_sub(1, Ordering::Relaxed);
        ring.given.remove(&self.given_key);
        if self.group.readers.fetch_sub(1, Ordering::Relaxed) == 1 {
            ring.groups.remove(self.group.filter.key());
        }
    }
}

/// Reads the log while somebody listens, until `stop` is told.
pub(crate) async fn follow(api: Api, stop: CancellationToken) {
    let feed = api.live().feed().clone();
    read_until(&api, &feed, &stop).await;
    // Their streams end by themselves, unless nobody takes what they were given.
    api.clock().sleep(END_MAX, "readers to end").await;
    feed.hang_up();
}

async fn read_until(api: &Api, feed: &Arc<Feed>, stop: &CancellationToken) {
    let mut cut_at = api.now();
    loop {
        if feed.rest() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = feed.begun.notified() => {}
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = api.clock().sleep(LOOK_EVERY, "what the log has to tell") => {}
        }
        let now = api.now();
        if now.since(cut_at) >= CUT_EVERY {
            cut_at = now;
            feed.cut_off(now);
        }
        let read = feed.clone();
        let looked: Result<(), Problem> = api.look(move |state, _| read.read_on(state)).await;
        if let Err(problem) = looked {
            // Why has been said; readers are told nothing until it can be read again.
            tracing::debug!("events cannot be read: {}", problem.detail);
            tokio::select! {
                () = stop.cancelled() => return,
                () = api.clock().sleep(FAILED_FOR, "the log to be read again") => {}
            }
        }
    }
}

impl Feed {
    /// Reads whatever was committed since this was last done.
    fn read_on(&self, state: &State) -> Result<(), OperateError> {
        loop {
            let Some(tail) = self.ring.lock().tail else { return Ok(()) };
            if Position::behind(state.log_end()?) <= tail {
                return Ok(());
            }
            self.publish(state, page::read(state, self, tail, None)?)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::api::events::{event::Kind, page::Mark};

    fn chunk(from: i64, to: i64, bytes: usize) -> Chunk {
        let id = Position::new(from, 1);
        let mark = Mark { id, rollout: 1, kind: Kind::RolloutBegan, device: None, end: bytes };
        let (from, to) = (Position::new(from, 0), Position::new(to, 0));
        Chunk { from, to, bytes: Bytes::from(vec![0; bytes]), marks: vec![mark] }
    }

    #[test]
    fn the_ring_is_bounded_in_bytes_and_in_events() {
        let mut ring = Ring::default();
        for at in 0..600 {
            ring.push(Arc::new(chunk(at, at + 1, page::CHUNK_BYTES)));
            assert!(ring.bytes <= RING_BYTES_MAX);
        }
        assert_eq!(ring.chunks.len(), RING_BYTES_MAX / page::CHUNK_BYTES);
        let mut ring = Ring::default();
        for at in 0..RING_EVENTS_MAX as i64 + 10 {
            ring.push(Arc::new(chunk(at, at + 1, 1)));
        }
        assert_eq!((ring.events, ring.chunks.len()), (RING_EVENTS_MAX, RING_EVENTS_MAX));
    }

    #[test]
    fn who_was_told_nothing_for_long_goes_on_without_the_log() {
        let feed = Arc::new(Feed::new(2));
        let all = || Filter::new(None, &[], None);
        let place = feed.listen(all(), 9, None).unwrap();
        let at = Position::new(10, 0);
        assert!(matches!(place.next(at), Next::Nothing));
        for (to, is_quiet) in [(20, true), (30, true), (40, false), (50, true)] {
            let mut ring = feed.ring.lock();
            ring.push(Arc::new(chunk(to - 10, to, 1)));
            place.group.quiet.lock().take_in(Position::new(to, 0), is_quiet);
        }
        let next = |from: i64| place.next(Position::new(from, 0));
        assert!(matches!(next(10), Next::Quiet(to) if to.seq == 30));
        assert!(matches!(next(30), Next::Chunk(of) if of.to.seq == 40));
        assert!(matches!(next(35), Next::Chunk(of) if of.to.seq == 40), "in the middle of it");
        assert!(matches!(next(40), Next::Quiet(to) if to.seq == 50));
        assert!(matches!(next(50), Next::Nothing));
        assert!(matches!(next(5), Next::Behind));
        let second = feed.listen(all(), 9, None).unwrap();
        assert!(feed.listen(all(), 9, None).is_none(), "too many");
        drop(place);
        assert!(!feed.rest());
        assert_eq!(feed.ring.lock().groups.len(), 1);
        drop(second);
        assert!(feed.rest());
        assert!(feed.ring.lock().groups.is_empty());
    }
}
