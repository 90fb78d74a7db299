//! One who listens: where it is, and what it is sent next.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use groundswell_core::time::Time;
use tokio_util::sync::CancellationToken;

use super::{
    super::{Api, Caller, Problem},
    event::Kind,
    feed::{Next, Place},
    page::{self, Chunk},
    position::{Id, Position},
};

/// How often a reader hears that the server is there: well below what proxies take for dead.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// How often it is looked up whether the token is still good.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// When a client that was cut off connects again, in milliseconds.
const RETRY_MILLIS: u32 = 2_000;

/// One who listens.
pub(crate) struct Reader {
    api: Api,
    caller: Caller,
    place: Place,
    /// Up to where it was told.
    at: Position,
    stop: CancellationToken,
    checked_at: Time,
    is_greeted: bool,
}

/// What a reader is sent, until it is cut off, the server stops, or its token is no good any more.
pub(crate) fn stream(reader: Reader) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(reader, |mut reader| async move {
        reader.place.give(None);
        let bytes = reader.next().await?;
        reader.place.give(Some(reader.api.now()));
        Some((Ok(bytes), reader))
    })
}

impl Reader {
    pub(crate) fn new(api: Api, caller: Caller, place: Place, at: Position) -> Self {
        let (stop, checked_at) = (api.live().stopping().clone(), api.now());
        Self { api, caller, place, at, stop, checked_at, is_greeted: false }
    }

    fn id(&self) -> Id {
        self.place.feed().terms().id(self.at)
    }

    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.is_greeted, true) {
            // Whoever is cut off before the first event goes on from here.
            return Some(format!("retry: {RETRY_MILLIS}\nid: {}\n\n", self.id()).into());
        }
        let mut heartbeat = self.api.clock().sleep(HEARTBEAT_EVERY, "heartbeat");
        loop {
            if self.stop.is_cancelled() || !self.is_welcome() {
                return None;
            }
            // What comes while it is looked is not to be missed.
            self.place.news.mark_unchanged();
            match self.place.next(self.at) {
                Next::Chunk(chunk) => {
                    if let Some(bytes) = self.take(&chunk)? {
                        return Some(bytes);
                    }
                }
                Next::Quiet(to) => self.at = to,
                Next::Behind => {
                    if let Some(bytes) = self.read().await? {
                        return Some(bytes);
                    }
                }
                Next::Nothing => {
                    tokio::select! {
                        () = self.stop.cancelled() => return None,
                        _ = self.place.news.changed() => {}
                        // Also who is told nothing ends with its token.
                        () = self.api.clock().sleep(CHECK_EVERY, "a look at a token") => {}
                        () = &mut heartbeat => {
                            let beat = format!(": still here\nid: {}\n\n", self.id());
                            return self.is_welcome().then(|| beat.into());
                        }
                    }
                }
            }
        }
    }

    /// What of a chunk is for it; none of it may be. Ends it if that cannot be found out.
    #[expect(clippy::option_option, reason = "the end is not the same as nothing for now")]
    fn take(&mut self, chunk: &Arc<Chunk>) -> Option<Option<Bytes>> {
        let filter = &self.place.group.filter;
        if filter.is_all() && self.at == chunk.from {
            self.at = chunk.to;
            return Some(Some(chunk.bytes.clone()).filter(|bytes| !bytes.is_empty()));
        }
        let (mut taken, mut begin) = (BytesMut::new(), 0);
        for mark in &chunk.marks {
            if mark.kind == Kind::RolloutChanged {
                filter.forget(mark.rollout);
            }
            if mark.id > self.at
                && filter.wants(mark.rollout, mark.kind.bit())
                && filter.sees_beside(&self.api, mark).ok()?
            {
                taken.extend_from_slice(&chunk.bytes[begin..mark.end]);
            }
            begin = mark.end;
        }
        self.at = chunk.to;
        Some((!taken.is_empty()).then(|| taken.freeze()))
    }

    /// Reads on in the log. The engine needs the processors, too: it rests for as long as that took.
    async fn read(&mut self) -> Option<Option<Bytes>> {
        let (place, at) = (&self.place, self.at);
        let begun = tokio::time::Instant::now();
        let chunk = {
            let _one_of_few = tokio::select! {
                () = self.stop.cancelled() => return None,
                permit = place.feed().reading.acquire() => permit.ok()?,
            };
            let begun = tokio::time::Instant::now();
            let (group, api) = (place.group.clone(), self.api.clone());
            let read = self.api.look(move |state, _| {
                page::read(state, api.live().feed(), at, Some(&group.filter))
            });
            let chunk: Result<Chunk, Problem> = read.await;
            tokio::time::sleep(begun.elapsed()).await;
            chunk.ok()?
        };
        tracing::trace!("read {} bytes of the log in {:?}", chunk.bytes.len(), begun.elapsed());
        self.at = chunk.to;
        Some(Some(chunk.bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// Whether its token is still good, as far as that was looked up a moment ago.
    fn is_welcome(&mut self) -> bool {
        let now = self.api.now();
        if now.since(self.checked_at) < CHECK_EVERY {
            return true;
        }
        self.checked_at = now;
        let known = self.api.glance(|state, _| state.token(self.caller.id()));
        matches!(known, Ok(Some(token)) if token.check(now).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        path::Path,
    };

    use super::{super::Filter, *};
    use crate::{
        access::{Kind, Role},
        api::{Limits, Live},
        clock::{Clock, ManualClock},
        operate::{Borders, State},
        telemetry::Telemetry,
    };

    /// A reader whose token expires so long from now, and its token.
    fn listening(dir: &Path, clock: &ManualClock, expires_in: Duration) -> (Api, Reader) {
        let mut state = State::open(dir).unwrap();
        let kind = Kind::Operator { role: Role::Viewer, scope: None };
        let expires_at = Some(clock.now() + expires_in);
        let (token, _) = state.create_token("one", kind, expires_at, clock.now()).unwrap();
        let live = Live::new(Telemetry::default(), CancellationToken::new());
        let (clock, borders) = (Clock::Manual(clock.clone()), Borders::default());
        let api = Api::new(dir.to_owned(), clock, Limits::default(), borders, live);
        let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let caller = Caller { token: token.into(), source, request: String::new() };
        let place = api.live().feed().listen(Filter::new(None, &[], None), 0, None).unwrap();
        (api.clone(), Reader::new(api, caller, place, Position::behind(0)))
    }

    #[tokio::test]
    async fn who_is_told_nothing_ends_within_a_second_of_its_token() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Time::from_millis(1_000));
        let (_, mut reader) = listening(dir.path(), &clock, Duration::from_hours(1));
        reader.next().await.unwrap();
        let id = reader.caller.id().clone();
        let waiting = tokio::spawn(async move { reader.next().await });
        assert_eq!(clock.until_waiting("a look at a token").await, CHECK_EVERY);
        clock.advance(CHECK_EVERY);
        // It is good, and is looked at again.
        assert_eq!(clock.until_waiting("a look at a token").await, CHECK_EVERY);
        State::open(dir.path()).unwrap().revoke_token(&id, clock.now()).unwrap();
        clock.advance(CHECK_EVERY);
        assert_eq!(waiting.await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_reader_is_greeted_hears_a_heartbeat_and_ends_with_its_token() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Time::from_millis(1_000));
        let (api, mut reader) = listening(dir.path(), &clock, HEARTBEAT_EVERY * 2);
        assert_eq!(reader.next().await.unwrap(), "retry: 2000\nid: 1.0\n\n");
        let mut told = vec![];
        for _ in 0..2 {
            let waiting = tokio::spawn(async move {
                let bytes = reader.next().await;
                (reader, bytes)
            });
            clock.until_waiting("heartbeat").await;
            clock.advance(HEARTBEAT_EVERY);
            let (back, bytes) = waiting.await.unwrap();
            reader = back;
            told.push(bytes);
        }
        assert_eq!(told[0].as_deref(), Some(&b": still here\nid: 1.0\n\n"[..]));
        assert_eq!(told[1], None, "its token has expired");
        assert_eq!(api.live().feed().readers(), 1);
        drop(reader);
        assert_eq!(api.live().feed().readers(), 0);
    }
}
