//! The loop that takes connections, and what becomes of each.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use http::{HeaderValue, header};
use hyper::body::{Body as _, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutBody;

use super::{
    DRAIN_MAX,
    connections::{ConnectionLimits, Open},
    stall::Bounded,
    tls::Acceptor,
};
use crate::{
    api::{self, Hangup, Source},
    clock::Clock,
    telemetry::Telemetry,
};

/// Bytes of a connection that are kept for it in one direction, heads of requests among them.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// A browser that was here by TLS comes by nothing else for a year. Of names below this one nothing is
/// known.
const BY_TLS_ALONE: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// After a failure to take a connection: too many files are open, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// What every connection is served with.
pub(super) struct Serving {
    pub(super) tls: Option<Acceptor>,
    pub(super) router: Router,
    pub(super) limits: ConnectionLimits,
    pub(super) clock: Clock,
    pub(super) telemetry: Telemetry,
    pub(super) stop: CancellationToken,
}

/// Answers whoever connects until told to stop, and then lets what is open end, for at most
/// [`DRAIN_MAX`]. Once this has ended nothing is answered any more.
pub(super) async fn answer(listener: TcpListener, serving: Serving) {
    let (graceful, open) = (GracefulShutdown::new(), Open::default());
    let http = Arc::new(http(&serving.limits));
    let serving = Arc::new(serving);
    let mut connections = JoinSet::new();
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            () = serving.stop.cancelled() => break,
        };
        // Of those that have ended nothing is kept.
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!("a connection cannot be taken: {error}");
                serving.clock.sleep(PAUSE, "connections that cannot be taken").await;
                continue;
            }
        };
        let Some(place) = open.take(Source(peer.ip()), &serving.limits) else {
            serving.telemetry.refused();
            continue;
        };
        let (serving, http, watcher) = (serving.clone(), http.clone(), graceful.watcher());
        connections.spawn(async move {
            serving.connection(stream, peer, &http, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = serving.clock.sleep(DRAIN_MAX, "what is open to end") => {
            tracing::warn!("requests that were still open are cut off");
        }
    }
    connections.shutdown().await;
}

fn http(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_max)
        .max_buf_size(BUFFER_BYTES_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_send_buf_size(BUFFER_BYTES_MAX)
        .keep_alive_interval(limits.stall_max)
        .keep_alive_timeout(limits.stall_max);
    http
}

/// A connection that bytes can be read from in the clear.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Serving {
    async fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        http: &auto::Builder<TokioExecutor>,
        watcher: Watcher,
    ) {
        let _ = stream.set_nodelay(true);
        let Some(stream) = self.secured(stream).await else { return };
        let (stop, telemetry) = (self.stop.clone(), self.telemetry.clone());
        let stall_max = self.limits.stall_max;
        let stream = Bounded::new(stream, stall_max, stop, self.clock.clone(), telemetry);
        let hangup = Hangup { told: CancellationToken::new(), stall_max };
        let (told, asked) = (hangup.told.clone(), CancellationToken::new());
        let served = self.serve(stream, (peer.ip(), hangup), asked.clone(), http, watcher);
        tokio::select! {
            _ = served => {}
            () = told.cancelled() => {}
            () = self.silence(&asked) => {}
        }
    }

    async fn secured(&self, stream: TcpStream) -> Option<Box<dyn Stream>> {
        let Some(tls) = self.tls.clone() else { return Some(Box::new(stream)) };
        tokio::select! {
            stream = tls.accept(stream) => Some(Box::new(stream.ok()?)),
            () = self.clock.sleep(self.limits.head_max, "a handshake") => None,
            () = self.stop.cancelled() => None,
        }
    }

    /// Ends if nobody asked anything in that time. Until a connection has said which HTTP it speaks no
    /// other limit holds.
    async fn silence(&self, asked: &CancellationToken) {
        tokio::select! {
            () = asked.cancelled() => std::future::pending().await,
            () = self.clock.sleep(self.limits.head_max, "a first request") => {}
        }
    }

    async fn serve(
        &self,
        stream: Bounded<Box<dyn Stream>>,
        (peer, hangup): (IpAddr, Hangup),
        asked: CancellationToken,
        http: &auto::Builder<TokioExecutor>,
        watcher: Watcher,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let (limits, is_secured) = (self.limits.clone(), self.tls.is_some());
        let service = self.router.clone().map_request(move |request: http::Request<Incoming>| {
            asked.cancel();
            let mut request = request;
            api::lead(&mut request);
            let source = limits.source(peer, request.headers());
            request.extensions_mut().insert(source);
            request.extensions_mut().insert(hangup.clone());
            let stall_max = hangup.stall_max;
            request.map(|body| {
                if body.is_end_stream() {
                    return Body::empty();
                }
                Body::new(TimeoutBody::new(stall_max, body))
            })
        });
        let service = service.map_response(move |mut answer: http::Response<Body>| {
            if is_secured {
                answer.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, BY_TLS_ALONE);
            }
            answer
        });
        let service = TowerToHyperService::new(service);
        let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
        watcher.watch(connection.into_owned()).await
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use groundswell_core::time::Time;
    use tokio::{io::AsyncWriteExt as _, sync::mpsc};

    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn what_is_open_at_the_end_is_cut_off_and_does_nothing_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (clock, stop) = (ManualClock::new(Time::ZERO), CancellationToken::new());
        let (begun, mut open) = mpsc::channel::<()>(1);
        let never = get(move || async move {
            begun.send(()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let answering = tokio::spawn(answer(
            listener,
            Serving {
                tls: None,
                router: Router::new().route("/", never),
                limits: ConnectionLimits::default(),
                clock: Clock::Manual(clock.clone()),
                telemetry: Telemetry::default(),
                stop: stop.clone(),
            },
        ));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
        open.recv().await.unwrap();
        stop.cancel();
        clock.until_waiting("what is open to end").await;
        clock.advance(DRAIN_MAX);
        answering.await.unwrap();
        let left = open.try_recv();
        assert_eq!(left, Err(mpsc::error::TryRecvError::Disconnected), "it goes on");
    }
}
