//! From an address to a connection that takes requests.

use std::{
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use groundswell_core::{device::Address, outcome::Fault, time::Time};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

use super::{
    config::Config,
    fault::Failure,
    io::{Flow, Io, Socket},
    resolve::{LookupError, Names},
    timers::{Step, Timers},
    tls::TlsSetup,
    upload::Upload,
};
use crate::networks::{Networks, Refusal};

/// Largest head of an answer, and most of a body that is held for writing: 64 KiB.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A connection and the machine that drives it. Whoever holds it polls it; dropping it closes the
/// socket.
pub(super) struct Conn {
    pub(super) sender: http1::SendRequest<Upload>,
    pub(super) flow: Arc<Flow>,
    pub(super) origin: Arc<str>,
    driver: http1::Connection<TokioIo<Io>, Upload>,
    /// What the driver ended with, once it has.
    ended: Option<Failure>,
    is_tls: bool,
}

impl Conn {
    /// Moves bytes both ways, as far as they go.
    pub(super) fn poll_driver(&mut self, cx: &mut Context<'_>) {
        if self.ended.is_none()
            && let Poll::Ready(end) = self.driver.poll_without_shutdown(cx)
        {
            self.ended = Some(match end {
                Ok(()) => Failure::bare(Fault::Reset),
                Err(error) => Failure::exchange(&error),
            });
        }
    }

    /// Why nothing more will come, if that is so.
    pub(super) fn end(&self) -> Option<Failure> {
        self.ended.clone()
    }

    /// Whether it can take another request, now that an answer has been read.
    pub(super) async fn is_reusable(&mut self) -> bool {
        if !self.sender.is_ready() {
            poll_fn(|cx| {
                self.poll_driver(cx);
                Poll::Ready(())
            })
            .await;
        }
        self.ended.is_none() && self.sender.is_ready()
    }

    /// Closes it. TLS says good-bye as far as the socket takes it at once, so that the device
    /// does not log a truncation.
    pub(super) async fn close(self) {
        if !self.is_tls || self.ended.is_some() {
            return;
        }
        let Self { sender, mut driver, .. } = self;
        drop(sender);
        poll_fn(|cx| {
            let _ = Pin::new(&mut driver).poll(cx);
            Poll::Ready(())
        })
        .await;
    }
}

/// Makes connections.
pub(super) struct Connector {
    names: Names,
    tls: TlsSetup,
    timeout: Duration,
    networks: Option<Networks>,
    open: Arc<AtomicUsize>,
    http: http1::Builder,
}

impl Connector {
    pub(super) fn new(config: &Config, tls: TlsSetup) -> Self {
        let mut http = http1::Builder::new();
        http.max_buf_size(HEAD_BYTES_MAX);
        Self {
            names: Names::new(config.resolver.clone(), config.clock.clone()),
            tls,
            timeout: config.timeouts.connect,
            networks: config.networks.clone(),
            open: Arc::default(),
            http,
        }
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// A fresh connection: name look-up, TCP and TLS within the connect time-out.
    pub(super) async fn connect(
        &self,
        address: &Address,
        timers: &mut Timers<'_>,
    ) -> Result<Box<Conn>, Failure> {
        let started = timers.clock().now();
        let tcp = if let Some(ip) = address.ip() {
            self.judge(ip)?;
            self.connect_first(&[ip], address.port(), started, timers).await?
        } else {
            self.networks
                .as_ref()
                .map_or(Ok(()), |networks| networks.judge_name(address.host()))
                .map_err(|refusal| refused(&refusal))?;
            let asked = self.names.look_up(address.host());
            let asked = async { asked.await.map_err(|error| lookup_failure(&error)) };
            let found = timers.run(self.step(started, timers, 1), asked).await?;
            let found = self.only_allowed(&found)?;
            self.connect_first(&found, address.port(), started, timers).await?
        };
        // Without it a body's last packet could wait for an acknowledgement.
        let _ = tcp.set_nodelay(true);
        let flow = Arc::<Flow>::default();
        let socket = Socket::new(tcp, flow.clone(), &self.open);
        let io = if address.is_tls() {
            let step = self.step(started, timers, 1);
            timers.run(step, self.secure(address.host(), socket)).await?
        } else {
            Io::plain(socket)
        };
        let made = self.http.handshake(TokioIo::new(io)).await;
        let (sender, driver) = made.map_err(|error| Failure::exchange(&error))?;
        let (origin, is_tls) = (address.origin().into(), address.is_tls());
        Ok(Box::new(Conn { sender, flow, origin, driver, ended: None, is_tls }))
    }

    /// Tries one address after the other, each for an equal share of the time that is left.
    async fn connect_first(
        &self,
        addresses: &[IpAddr],
        port: u16,
        started: Time,
        timers: &mut Timers<'_>,
    ) -> Result<TcpStream, Failure> {
        let mut last = Failure::bare(Fault::DnsFailed);
        for (tried, ip) in addresses.iter().enumerate() {
            let step = self.step(started, timers, addresses.len() - tried);
            let connecting = TcpStream::connect(SocketAddr::new(*ip, port));
            let connecting =
                async { connecting.await.map_err(|error| Failure::connecting(&error)) };
            match timers.run(step, connecting).await {
                Ok(tcp) => {
                    // What is talked to is what was judged, whatever became of it meanwhile.
                    self.judge_peer(&tcp)?;
                    return Ok(tcp);
                }
                Err(failure) if failure.fault == Fault::AttemptTimeout => return Err(failure),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// Of the addresses of a name those that may be connected to; an error if there is none. Also
    /// of an answer that is used again: this is not where it was judged the last time.
    fn only_allowed(&self, found: &[IpAddr]) -> Result<Vec<IpAddr>, Failure> {
        let mut refusal = None;
        let mut allowed = Vec::with_capacity(found.len());
        for ip in found {
            match self.judge(*ip) {
                Ok(()) => allowed.push(*ip),
                Err(why) => refusal = Some(why),
            }
        }
        match refusal {
            Some(why) if allowed.is_empty() => Err(why),
            _ => Ok(allowed),
        }
    }

    fn judge(&self, ip: IpAddr) -> Result<(), Failure> {
        let Some(networks) = &self.networks else { return Ok(()) };
        networks.judge(ip).map_err(|refusal| refused(&refusal))
    }

    fn judge_peer(&self, tcp: &TcpStream) -> Result<(), Failure> {
        if self.networks.is_none() {
            return Ok(());
        }
        let peer = tcp.peer_addr().map_err(|error| Failure::connecting(&error))?;
        self.judge(peer.ip())
    }

    async fn secure(&self, host: &str, socket: Socket) -> Result<Io, Failure> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| Failure::new(Fault::BadRequest, &error))?;
        let stream = self.tls.connector()?.connect(name, socket).await;
        stream.map(Io::tls).map_err(|error| Failure::handshake(&error))
    }

    /// What is left of the connect time-out, divided by `parts`.
    fn step(&self, started: Time, timers: &Timers<'_>, parts: usize) -> Step {
        let left = self.timeout.saturating_sub(timers.clock().now().since(started));
        let parts = u32::try_from(parts).unwrap_or(u32::MAX).max(1);
        Step { wait: left / parts, label: "connect", fault: Fault::ConnectTimeout }
    }
}

fn refused(refusal: &Refusal) -> Failure {
    Failure::new(Fault::AddressRefused, refusal)
}

fn lookup_failure(error: &LookupError) -> Failure {
    let fault = match error {
        LookupError::NoSuchName => Fault::NoSuchName,
        LookupError::Failed(_) => Fault::DnsFailed,
    };
    Failure::new(fault, error)
}
