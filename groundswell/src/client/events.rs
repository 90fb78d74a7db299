//! What happens in rollouts, while it happens (docs/protocol/events.md): a stream that goes on where
//! it was cut off.

use std::{collections::VecDeque, time::Duration};

use serde_json::Value;

use super::{Client, ClientError};

/// How long nothing may come: three heartbeats of the server.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Before the first try to connect again, unless the server says otherwise; each is twice the one
/// before.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest of these.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Longest line that is taken: many times what any event has to say.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventsWant {
    /// Only of these rollouts: numbers, ids, or what ids begin with; none: of all.
    pub rollouts: Vec<String>,
    /// Only of these kinds; none: of all.
    pub kinds: Vec<String>,
    /// From the beginning of the log on, and not from now on.
    pub from_begin: bool,
    /// Behind the event of this id.
    pub after: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Where to go on behind it.
    pub id: String,
    /// What kind it is.
    pub kind: String,
    /// What is said of it.
    pub data: Value,
}

/// Whoever listens.
#[derive(Debug)]
pub struct Listening {
    client: Client,
    want: EventsWant,
    response: Option<reqwest::Response>,
    frames: Frames,
    pause: Duration,
    ready: VecDeque<Event>,
}

impl Client {
    /// Listens to what happens. What was missed while the connection was cut off comes first once it
    /// stands again, and nothing twice.
    pub fn listen(&self, want: EventsWant) -> Listening {
        Listening {
            client: self.clone(),
            frames: Frames { last_id: want.after.clone(), ..Frames::default() },
            want,
            response: None,
            pause: PAUSE,
            ready: VecDeque::new(),
        }
    }
}

impl Listening {
    /// The next event. Waits for it as long as it takes, also for a server that is started anew.
    ///
    /// # Errors
    /// [`ClientError`] if the server refuses to go on, or was never there.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let Some(response) = &mut self.response else {
                self.connect().await?;
                continue;
            };
            match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
                Ok(Ok(Some(part))) if self.frames.take(&part, &mut self.ready) => {
                    self.pause = PAUSE;
                }
                // It ended, broke off, fell silent, or sends what nobody can keep.
                _ => {
                    self.response = None;
                    self.frames.begin();
                    self.rest(None).await;
                }
            }
        }
    }

    /// The id to go on behind.
    pub fn last_id(&self) -> Option<&str> {
        self.frames.last_id.as_deref()
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let was_there = self.frames.last_id.is_some();
        match self.ask().await {
            Ok(response) => self.response = Some(response),
            Err(error) => match error.retry_after_secs() {
                Some(secs) => self.rest(Some(Duration::from_secs(secs))).await,
                None if was_there && error.is_of_connection() => self.rest(None).await,
                None => return Err(error),
            },
        }
        Ok(())
    }

    async fn ask(&self) -> Result<reqwest::Response, ClientError> {
        let mut ask = self.client.get(&["events"]);
        for rollout in &self.want.rollouts {
            ask = ask.query("rollout", rollout);
        }
        for kind in &self.want.kinds {
            ask = ask.query("kind", kind);
        }
        match &self.frames.last_id {
            Some(id) => ask = ask.header("last-event-id", id),
            None if self.want.from_begin => ask = ask.query("since", "begin"),
            None => {}
        }
        ask.header("accept", "text/event-stream").answer().await
    }

    async fn rest(&mut self, wanted: Option<Duration>) {
        let wanted = wanted.or(self.frames.retry).unwrap_or_default();
        tokio::time::sleep(self.pause.max(wanted).min(PAUSE_MAX)).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

/// Lines of a stream, put together to events.
#[derive(Debug, Default)]
struct Frames {
    /// Of the last event that came whole, or the last id that came without one.
    last_id: Option<String>,
    /// Of what has begun: taken over at its end, so that whoever is cut off before is told it again.
    id: Option<String>,
    retry: Option<Duration>,
    line: Vec<u8>,
    kind: String,
    data: String,
}

impl Frames {
    /// A new connection begins with a new line.
    fn begin(&mut self) {
        self.line.clear();
        self.id = None;
        self.kind.clear();
        self.data.clear();
    }

    /// Takes what was received, and says whether that can be kept.
    fn take(&mut self, part: &[u8], ready: &mut VecDeque<Event>) -> bool {
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']), ready);
            }
            if self.line.len() + self.data.len() > LINE_BYTES_MAX {
                return false;
            }
        }
        true
    }

    fn line(&mut self, line: &str, ready: &mut VecDeque<Event>) {
        if line.is_empty() {
            if let Some(id) = self.id.take() {
                self.last_id = Some(id);
            }
            let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
            if !data.is_empty() {
                let id = self.last_id.clone().unwrap_or_default();
                let data = serde_json::from_str(&data).unwrap_or(Value::String(data));
                ready.push_back(Event { id, kind, data });
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "retry" => self.retry = value.parse().ok().map(Duration::from_millis),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_put_together_wherever_they_are_cut() {
        let whole = "retry: 2000\nid: 41.0\n\n: still here\r\nid: 41.2\nevent: wave_opened\n\
                     data: {\"at\":1,\"wave\":1}\n\nid:42.0\n\nevent: x\ndata: a\ndata:  b\n\n";
        for at in 0..=whole.len() {
            let (mut frames, mut ready) = (Frames::default(), VecDeque::new());
            for part in [&whole[..at], &whole[at..]] {
                assert!(frames.take(part.as_bytes(), &mut ready));
            }
            let wave = Event {
                id: "41.2".to_owned(),
                kind: "wave_opened".to_owned(),
                data: json!({"at": 1, "wave": 1}),
            };
            let text = Event { id: "42.0".to_owned(), kind: "x".to_owned(), data: json!("a\n b") };
            assert_eq!(ready, [wave, text], "{at}");
            assert_eq!(frames.last_id.as_deref(), Some("42.0"), "an id without an event counts");
            assert_eq!(frames.retry, Some(Duration::from_secs(2)));
        }
    }

    #[test]
    fn an_event_that_is_cut_off_is_not_gone_on_behind() {
        let event = "id: 4.2\nevent: b\ndata: {}\n\n";
        for at in 0..event.len() {
            let (mut frames, mut ready) = (Frames::default(), VecDeque::new());
            assert!(frames.take(b"id: 4.1\n\n", &mut ready));
            assert!(frames.take(&event.as_bytes()[..at], &mut ready));
            frames.begin();
            assert_eq!(frames.last_id.as_deref(), Some("4.1"), "{at}");
            assert!(frames.take(b"\n", &mut ready) && ready.is_empty());
            assert_eq!(frames.last_id.as_deref(), Some("4.1"), "{at}");
            assert!(frames.take(event.as_bytes(), &mut ready));
            assert_eq!((ready.len(), frames.last_id.as_deref()), (1, Some("4.2")), "{at}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let (mut frames, mut ready) = (Frames::default(), VecDeque::new());
        assert!(frames.take(b"data: x", &mut ready));
        assert!(!frames.take(&vec![b'x'; LINE_BYTES_MAX], &mut ready));
    }
}
