//! A server: the driver of a state directory with the API before it, started and drained as one.
//!
//! Owns the order of start and end, the listener with its TLS, and what a connection may cost.
//! Knows nothing of routes. Types to read first: [`Server`], [`Setup`].

mod connections;
mod listen;
mod stall;
mod tls;

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use groundswell_core::gate::external::SecretSource;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use self::{
    connections::ConnectionLimits,
    tls::{TlsError, TlsFiles},
};
use crate::{
    access::{Change, Kind, Role, Secret},
    api::{self, Api, Limits, Live},
    clock::Clock,
    drive::{DriveError, Driver},
    networks::Networks,
    operate::{Borders, OperateError, State},
    store::{Attribution, dir::close_to_others},
    telemetry::Telemetry,
};

/// How long what is open when a server is told to stop may go on.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);

/// How often it is written down which tokens were shown.
const NOTE_USED_EVERY: Duration = Duration::from_secs(30);

/// How often what was counted is added up: 5 s of the fastest rollout are a few MiB.
const ADD_UP_EVERY: Duration = Duration::from_secs(5);

/// How often uploads that nobody goes on with are looked for: they are kept for a day.
const TIDY_EVERY: Duration = Duration::from_hours(1);

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its state directory, made if it is not there.
    pub data: PathBuf,
    /// Certificates; none: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Whether plain HTTP may be heard beyond this machine.
    pub allow_plain: bool,
    /// What a request may cost.
    pub limits: Limits,
    /// What connections may cost.
    pub connections: ConnectionLimits,
    /// Which devices and gates may be connected to.
    pub networks: Networks,
    /// The secrets of this machine that gates may be asked with.
    pub gate_secrets: Vec<SecretSource>,
}

/// Why a server does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Nobody may listen to tokens on their way.
    #[error(
        "{listen} can be reached from other machines, and without TLS everybody on the way reads \
         the tokens: give --tls-cert and --tls-key, listen on 127.0.0.1, or say \
         --allow-plain-http where something in front has the TLS"
    )]
    Plain {
        /// Where it was to listen.
        listen: SocketAddr,
    },
    /// It cannot listen there.
    #[error("cannot listen on {listen}")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] OperateError),
    /// The rollouts cannot be driven.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A part of it died.
    #[error("a part of the server died")]
    Died(#[source] tokio::task::JoinError),
}

/// A server that listens, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    listener: TcpListener,
    tls: Option<tls::Acceptor>,
    driver: Driver,
    clock: Clock,
}

impl Setup {
    /// Says what is wrong with it that can be seen without listening: reads the certificates.
    ///
    /// # Errors
    /// [`ServerError::Plain`], [`ServerError::Tls`].
    pub fn check(&self) -> Result<(), ServerError> {
        self.acceptor().map(drop)
    }

    fn acceptor(&self) -> Result<Option<tls::Acceptor>, ServerError> {
        let listen = self.listen;
        if self.tls.is_none() && !self.allow_plain && !listen.ip().is_loopback() {
            return Err(ServerError::Plain { listen });
        }
        Ok(self.tls.clone().map(tls::Acceptor::load).transpose()?)
    }
}

impl Server {
    /// Takes the place to listen. `driver` is one of the same directory, which [`run`](Self::run) makes
    /// if it is not there.
    ///
    /// # Errors
    /// [`ServerError`], with nothing left behind.
    pub async fn bind(setup: Setup, driver: Driver, clock: Clock) -> Result<Self, ServerError> {
        let (listen, tls) = (setup.listen, setup.acceptor()?);
        let listener = TcpListener::bind(listen).await;
        let listener = listener.map_err(|source| ServerError::Listen { listen, source })?;
        let driver = driver.networks(setup.networks.clone());
        Ok(Self { setup, listener, tls, driver, clock })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// An IO error of the socket.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Begins to drive and to answer, and returns once both have ended: some time after `stop` was
    /// told, at most [`DRAIN_MAX`], or at once if the state cannot be written any more. `begun` is
    /// told when it answers, with the token for whoever set it up, the first time.
    ///
    /// # Errors
    /// [`ServerError`] if it could not begin, or ended by itself.
    pub async fn run(
        self,
        stop: CancellationToken,
        begun: impl FnOnce(Option<Secret>) + Send,
    ) -> Result<(), ServerError> {
        let telemetry = Telemetry::on();
        let mut driver = self.driver.telemetry(telemetry.clone());
        let driver_stop = driver.stopper();
        let driver_begun = driver.begun();
        let mut driving = tokio::spawn(driver.run());
        let live = Live::new(telemetry.clone(), stop.clone());
        let Setup { data, limits, connections, .. } = &self.setup;
        let borders = Borders::new(self.setup.networks.clone(), self.setup.gate_secrets.clone());
        let api = Api::new(data.clone(), self.clock.clone(), limits.clone(), borders, live);
        // Whoever asks how it is is answered while it begins.
        let serving = listen::Serving {
            tls: self.tls,
            router: api::router(api.clone()),
            limits: connections.clone(),
            clock: self.clock.clone(),
            telemetry,
            stop: stop.clone(),
        };
        let answering = tokio::spawn(listen::answer(self.listener, serving));
        let has_begun = tokio::select! {
            told = driver_begun => told.is_ok(),
            () = stop.cancelled() => false,
        };
        let mut parts = vec![answering];
        // Told to stop after the last request was answered.
        let is_answered = CancellationToken::new();
        let mut hearing = None;
        let mut first = Ok(());
        if has_begun {
            if let Some(mode) = close_to_others(data) {
                let data = data.display();
                tracing::warn!("{data} may be entered by others (mode {mode:o}): chmod 700 {data}");
            }
            first = first_token(data, &self.clock).map(|secret| {
                api.live().begin();
                begun(secret);
            });
            hearing = Some(tokio::spawn(api::write_heard(api.clone(), is_answered.clone())));
            parts.push(tokio::spawn(note_used(api.clone(), stop.clone())));
            parts.push(tokio::spawn(api::follow(api.clone(), stop.clone())));
            parts.push(tokio::spawn(tidy_uploads(api.clone(), stop.clone())));
            parts.push(tokio::spawn(add_up(api, stop.clone())));
        }
        let mut ended = None;
        if has_begun && first.is_ok() {
            tokio::select! {
                by_itself = &mut driving => ended = Some(by_itself),
                () = stop.cancelled() => {}
            }
        }
        // Also if the driver ended by itself: a server that drives nothing promises too much.
        stop.cancel();
        driver_stop.cancel();
        let ended = match ended {
            Some(ended) => ended,
            None => driving.await,
        };
        all_ended(parts, &is_answered, hearing).await?;
        first?;
        end(ended)
    }
}

/// Waits for the end of all parts, and of what is told after the others. A part that died keeps none
/// of the others from its end: what they hold is written down first.
async fn all_ended(
    parts: Vec<JoinHandle<()>>,
    is_answered: &CancellationToken,
    hearing: Option<JoinHandle<()>>,
) -> Result<(), ServerError> {
    let mut ended = Ok(());
    for part in parts {
        ended = ended.and(part.await);
    }
    is_answered.cancel();
    if let Some(hearing) = hearing {
        ended = ended.and(hearing.await);
    }
    ended.map_err(ServerError::Died)
}

fn end(driven: Result<Result<(), DriveError>, tokio::task::JoinError>) -> Result<(), ServerError> {
    Ok(driven.map_err(ServerError::Died)??)
}

/// A token for whoever set the server up, if nobody has one.
fn first_token(data: &std::path::Path, clock: &Clock) -> Result<Option<Secret>, ServerError> {
    let mut state = State::open(data)?;
    if state.has_operators()? {
        return Ok(None);
    }
    let kind = Kind::Operator { role: Role::Admin, scope: None };
    state.attribute(Attribution {
        change: Change {
            at: clock.now(),
            who: "the server".to_owned(),
            from: "here".to_owned(),
            action: "token.create".to_owned(),
            subject: "token first admin".to_owned(),
            before: None,
            after: serde_json::to_value(&kind).ok(),
            request: None,
        },
        created: None,
    });
    let (_, secret) = state.create_token("first admin", kind, None, clock.now())?;
    Ok(Some(secret))
}

/// Adds up what was counted, which gathers until then.
async fn add_up(api: Api, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = api.clock().sleep(ADD_UP_EVERY, "adding up what was counted") => {}
        }
        api.live().telemetry().add_up();
    }
}

/// Removes now and then the uploads that nobody goes on with.
async fn tidy_uploads(api: Api, stop: CancellationToken) {
    loop {
        // What went wrong is in the log, and tried again.
        let _ = api.tidy_uploads().await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = api.clock().sleep(TIDY_EVERY, "removing uploads that nobody goes on with") => {}
        }
    }
}

/// Writes down now and then which tokens were shown.
async fn note_used(api: Api, stop: CancellationToken) {
    loop {
        let is_over = tokio::select! {
            () = stop.cancelled() => true,
            () = api.clock().sleep(NOTE_USED_EVERY, "noting which tokens were shown") => false,
        };
        let used = api.take_used();
        if !used.is_empty() {
            let path = api.path().to_owned();
            let noted = tokio::task::spawn_blocking(move || {
                State::open(&path).and_then(|mut state| state.note_used(&used))
            });
            match noted.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("{:#}", anyhow::Error::from(error)),
                Err(died) => tracing::error!("{died}"),
            }
        }
        if is_over {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_checked_in_is_written_down_also_if_a_part_died() {
        let died = tokio::spawn(async { std::panic::resume_unwind(Box::new("died")) });
        let (answered, is_answered) = (CancellationToken::new(), CancellationToken::new());
        let (told, written) = (is_answered.clone(), answered.clone());
        let hearing = tokio::spawn(async move {
            told.cancelled().await;
            written.cancel();
        });
        let ended = all_ended(vec![died], &is_answered, Some(hearing)).await;
        assert!(matches!(ended, Err(ServerError::Died(_))));
        assert!(answered.is_cancelled(), "it was not told that all has ended");
    }
}
