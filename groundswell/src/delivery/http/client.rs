//! The client: sends once, asks once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use groundswell_core::{
    device::Address,
    outcome::{Answer, Fault, Outcome},
};
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;

use super::{
    Config, ConfigError, Reuse, Shipment, Target,
    answer::{DETAIL_BYTES_MAX, REFUSAL, SUCCESS, VERSION, read_retry_after},
    connect::{Conn, Connector},
    escape::escape,
    exchange::{self, Appetite, Content, End, Steps},
    fault::Failure,
    pool::Pool,
    request::{Kind, Requests},
    timers::Timers,
    tls::TlsSetup,
    version::read_version,
};

/// Sends to devices and asks them, over its own pool of connections. Clones share everything.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    requests: Requests,
    connector: Connector,
    pool: Pool<Box<Conn>>,
}

/// What a client holds open at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Connections waiting to be used again.
    pub idle: usize,
    /// Hosts (scheme, name and port) they lead to.
    pub idle_hosts: usize,
    /// All open connections, idle or in use.
    pub open: usize,
}

/// A connection that was just used and may be needed again at once, so that it is not among the
/// idle ones yet. Whoever has nothing to do for it gives it back by [`Client::release`].
#[derive(Default)]
pub(crate) struct Held(Option<Box<Conn>>);

impl Held {
    /// Where the connection leads, if there is one.
    pub(crate) fn origin(&self) -> Option<Arc<str>> {
        self.0.as_ref().map(|conn| conn.origin.clone())
    }
}

/// What a request is for, and to whom it goes.
#[derive(Clone, Copy)]
struct Errand<'a> {
    kind: Kind<'a>,
    shipment: &'a Shipment,
    target: &'a Target,
    reuse: Reuse,
    sent: Option<&'a AtomicU64>,
    /// Nothing is sent once this is set.
    halted: Option<&'a AtomicBool>,
}

/// A failed request, and whether all of it may have left.
struct Failed {
    failure: Failure,
    may_have_left: bool,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, may_have_left: false }
    }
}

/// An answer whose head is there; its body is read next.
struct Answered {
    conn: Box<Conn>,
    response: Response<Incoming>,
    bytes: u64,
}

/// An answer, read as far as it was wanted.
struct Read {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
    may_have_left: bool,
}

impl Client {
    /// A client that has opened nothing yet.
    ///
    /// # Errors
    /// A path, header, time-out, certificate or key that cannot be used.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let tls = TlsSetup::new(&config.tls)?;
        let requests =
            Requests::new(&config).map_err(|error| ConfigError::Uri(error.to_string()))?;
        let connector = Connector::new(&config, tls);
        let pool = Pool::new(config.pool);
        Ok(Self { shared: Arc::new(Shared { config, requests, connector, pool }) })
    }

    /// Sends the shipment to one device, once: `POST {address}{update_path}`.
    ///
    /// `sent` follows the number of body bytes handed to the connection; it starts again at 0.
    /// Redirects are not followed. Must run on a tokio runtime with time and IO. Canceled by
    /// dropping it, at any instant; the device may then have got none, a part or all of the body.
    pub async fn push(
        &self,
        shipment: &Shipment,
        target: &Target,
        reuse: Reuse,
        sent: &AtomicU64,
    ) -> Outcome {
        let mut held = Held::default();
        let never = AtomicBool::new(false);
        let outcome = self.push_over(&mut held, shipment, target, reuse, sent, &never).await;
        self.release(&mut held);
        outcome
    }

    /// As [`Client::push`], over `held` if it leads to the device; the connection is held
    /// afterwards if it is to be kept. Once `halted` is set, nothing is begun to be sent: the outcome
    /// is then a fault of [`Fault::Canceled`].
    pub(crate) async fn push_over(
        &self,
        held: &mut Held,
        shipment: &Shipment,
        target: &Target,
        reuse: Reuse,
        sent: &AtomicU64,
        halted: &AtomicBool,
    ) -> Outcome {
        sent.store(0, Relaxed);
        let (sent, halted) = (Some(sent), Some(halted));
        let errand = Errand { kind: Kind::Update, shipment, target, reuse, sent, halted };
        let config = &self.shared.config;
        let mut timers = Timers::for_push(&config.clock, config.timeouts.attempt);
        match self.run(held, errand, &mut timers).await {
            Ok(read) => self.conclude(read),
            Err(Failed { failure: Failure { fault, detail }, may_have_left }) => {
                if may_have_left {
                    Outcome::Unknown { fault, detail }
                } else {
                    Outcome::NotSent { fault, detail }
                }
            }
        }
    }

    /// Asks a device for its version, once: `GET {address}{verify_path}`. Ends within `within`,
    /// and earlier when a step takes longer than its own time-out. Must run on a tokio runtime
    /// with time and IO. Canceled by dropping it.
    pub async fn ask(
        &self,
        shipment: &Shipment,
        target: &Target,
        reuse: Reuse,
        within: Duration,
    ) -> Answer {
        let mut held = Held::default();
        let answer = self.ask_over(&mut held, shipment, target, reuse, within).await;
        self.release(&mut held);
        answer
    }

    /// As [`Client::ask`], over `held` as [`Client::push_over`].
    pub(crate) async fn ask_over(
        &self,
        held: &mut Held,
        shipment: &Shipment,
        target: &Target,
        reuse: Reuse,
        within: Duration,
    ) -> Answer {
        let errand =
            Errand { kind: Kind::Version, shipment, target, reuse, sent: None, halted: None };
        let config = &self.shared.config;
        let mut timers = Timers::for_question(&config.clock, within);
        match self.run(held, errand, &mut timers).await {
            Ok(read) => {
                let answer = understand(&read, config.version_pointer.as_deref());
                self.without_secrets(answer, shipment, target)
            }
            Err(Failed { failure: Failure { fault, detail }, .. }) => {
                Answer::Silent { fault, detail }
            }
        }
    }

    /// Asks a device for `path`, relative to its address, once, over `held` as
    /// [`Client::push_over`]; the status of its answer. Its body is read as far as the connection
    /// can be used again, and not looked at. Ends within `within`. Redirects are not followed.
    pub(crate) async fn look_over(
        &self,
        held: &mut Held,
        shipment: &Shipment,
        target: &Target,
        path: &str,
        reuse: Reuse,
        within: Duration,
    ) -> Result<u16, Fault> {
        let (kind, sent, halted) = (Kind::Health(path), None, None);
        let errand = Errand { kind, shipment, target, reuse, sent, halted };
        let mut timers = Timers::for_question(&self.shared.config.clock, within);
        let read = self.run(held, errand, &mut timers).await.map_err(|f| f.failure.fault)?;
        match read.content.end {
            End::Cut(Failure { fault, .. }) if read.status.is_success() => Err(fault),
            _ => Ok(read.status.as_u16()),
        }
    }

    /// What a device reports other than the release's version may be anything that it was sent.
    fn without_secrets(&self, answer: Answer, shipment: &Shipment, target: &Target) -> Answer {
        match answer {
            Answer::Version { version } if version != shipment.version() => {
                let mut bytes = version.into_bytes();
                self.shared.requests.secrets(target).blank(&mut bytes);
                Answer::Version { version: String::from_utf8_lossy(&bytes).into_owned() }
            }
            answer => answer,
        }
    }

    /// Puts a held connection among the idle ones.
    pub(crate) fn release(&self, held: &mut Held) {
        if let Some(conn) = held.0.take() {
            let origin = conn.origin.clone();
            drop(self.shared.pool.put(&origin, conn, self.shared.config.clock.now()));
        }
    }

    /// What requests that are to no device are made with.
    pub(super) fn wire(&self) -> (&Config, &Connector) {
        (&self.shared.config, &self.shared.connector)
    }

    /// What it holds open at the moment.
    pub fn pool_stats(&self) -> PoolStats {
        let (idle, idle_hosts) = self.shared.pool.counts();
        PoolStats { idle, idle_hosts, open: self.shared.connector.open() }
    }

    /// One request and its answer, read as far as its status calls for.
    async fn run(
        &self,
        held: &mut Held,
        errand: Errand<'_>,
        timers: &mut Timers<'_>,
    ) -> Result<Read, Failed> {
        let len = if errand.kind == Kind::Update { errand.shipment.payload().len() } else { 0 };
        let steps = Steps::new(&self.shared.config.timeouts, len);
        let Answered { mut conn, response, bytes } =
            self.obtain_answer(held, errand, len, &steps, timers).await?;
        let (parts, body) = response.into_parts();
        let appetite = appetite(errand.kind, parts.status);
        let mut content =
            exchange::read_content(&mut conn, body, appetite, &steps, timers, errand.sent).await;
        if appetite.keep == DETAIL_BYTES_MAX {
            self.shared.requests.secrets(errand.target).blank(&mut content.kept);
        }
        let may_have_left = conn.flow.may_have_left(bytes);
        let has_left = conn.flow.has_left();
        let complete = matches!(content.end, End::Complete);
        if complete && has_left && errand.reuse == Reuse::Keep && conn.is_reusable().await {
            held.0 = Some(conn);
        } else if complete && has_left {
            conn.close().await;
        }
        Ok(Read { status: parts.status, headers: parts.headers, content, may_have_left })
    }

    /// Sends the request and waits for the head of its answer. An idle connection that turns out
    /// to be closed before a byte has left is replaced without a word.
    async fn obtain_answer(
        &self,
        held: &mut Held,
        errand: Errand<'_>,
        len: u64,
        steps: &Steps,
        timers: &mut Timers<'_>,
    ) -> Result<Answered, Failed> {
        let Shared { requests, connector, .. } = &*self.shared;
        let Errand { kind, shipment, target, reuse, sent, halted } = errand;
        loop {
            let (mut conn, was_idle) = match self.take_idle(held, &target.endpoint.address) {
                Some(conn) => (conn, true),
                None => (connector.connect(&target.endpoint.address, timers).await?, false),
            };
            if halted.is_some_and(|halted| halted.load(Relaxed)) {
                return Err(Failure::bare(Fault::Canceled).into());
            }
            conn.flow.begin(len, was_idle);
            let sendable = requests.build(kind, shipment, target, reuse, &conn.flow)?;
            let bytes = sendable.bytes;
            match exchange::send(&mut conn, sendable, steps, timers, sent).await {
                Ok(response) => return Ok(Answered { conn, response, bytes }),
                Err(_) if was_idle && conn.end().is_some() && conn.flow.on_wire() == 0 => {
                    tracing::debug!(origin = &*conn.origin, "an idle connection was closed");
                }
                Err(failure) => {
                    let was_turned_away = failure.is_turned_away() && !conn.flow.is_answered();
                    let may_have_left = conn.flow.may_have_left(bytes) && !was_turned_away;
                    return Err(Failed { failure, may_have_left });
                }
            }
        }
    }

    fn take_idle(&self, held: &mut Held, address: &Address) -> Option<Box<Conn>> {
        if let Some(conn) = held.0.take_if(|conn| *conn.origin == *address.origin()) {
            return Some(conn);
        }
        self.release(held);
        let (taken, _expired) =
            self.shared.pool.take(address.origin(), self.shared.config.clock.now());
        taken
    }

    fn conclude(&self, read: Read) -> Outcome {
        let status = read.status.as_u16();
        if !read.status.is_success() {
            let now = self.shared.config.clock.now();
            return Outcome::Refused {
                status,
                retry_after: read_retry_after(&read.headers, now),
                detail: escape(&read.content.kept, DETAIL_BYTES_MAX),
            };
        }
        match (incomplete(read.content.end), read.may_have_left) {
            (None, true) => Outcome::Accepted { status },
            // A captive portal does so, too.
            (None, false) => {
                let detail = format!("HTTP {status}");
                Outcome::NotSent { fault: Fault::AnsweredEarly, detail }
            }
            (Some(Failure { fault, detail }), true) => Outcome::Unknown { fault, detail },
            (Some(Failure { fault, detail }), false) => Outcome::NotSent { fault, detail },
        }
    }
}

fn appetite(kind: Kind<'_>, status: StatusCode) -> Appetite {
    match kind {
        Kind::Update | Kind::Health(_) if status.is_success() => SUCCESS,
        Kind::Version if status == StatusCode::OK => VERSION,
        _ => REFUSAL,
    }
}

/// Why the answer is none, if its body was not read whole.
fn incomplete(end: End) -> Option<Failure> {
    match end {
        End::Complete => None,
        End::Enough => Some(Failure::bare(Fault::Oversized)),
        End::Cut(failure) => Some(failure),
    }
}

fn understand(read: &Read, pointer: Option<&str>) -> Answer {
    let status = read.status.as_u16();
    if read.status != StatusCode::OK {
        return Answer::Unreadable { status, detail: escape(&read.content.kept, DETAIL_BYTES_MAX) };
    }
    let silent = |fault, detail: &str| Answer::Silent { fault, detail: detail.to_owned() };
    match &read.content.end {
        End::Cut(Failure { fault, detail }) => silent(*fault, detail),
        End::Enough => silent(Fault::Oversized, ""),
        End::Complete => match read_version(&read.content.kept, pointer) {
            Ok(version) => Answer::Version { version },
            Err(detail) => Answer::Unreadable { status, detail },
        },
    }
}
