//! The loop that takes connections, and what becomes of each.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
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
    api::{Hangup, Source},
    telemetry::Telemetry,
};

/// Bytes of a connection that are kept for it in one direction, heads of requests among them.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// After a failure to take a connection: too many files are open, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers whoever connects until told to stop, and then lets what is open end, for at most
/// [`DRAIN_MAX`].
pub(super) async fn answer(
    listener: TcpListener,
    tls: Option<Acceptor>,
    router: Router,
    limits: ConnectionLimits,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    let (graceful, open) = (GracefulShutdown::new(), Open::default());
    let http = Arc::new(http(&limits));
    let limits = Arc::new(limits);
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!("a connection cannot be taken: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = open.take(Source(peer.ip()), &limits) else {
            telemetry.refused();
            continue;
        };
        let watcher = graceful.watcher();
        let (tls, router, http) = (tls.clone(), router.clone(), http.clone());
        let (limits, telemetry, stop) = (limits.clone(), telemetry.clone(), stop.clone());
        tokio::spawn(async move {
            let _place = place;
            let _ = stream.set_nodelay(true);
            let Some(stream) = secured(stream, tls, &limits, &stop).await else { return };
            let stream = Bounded::new(stream, limits.stall_max, stop, telemetry);
            let hangup = Hangup { told: CancellationToken::new(), stall_max: limits.stall_max };
            let (told, asked) = (hangup.told.clone(), CancellationToken::new());
            let served = serve(stream, (peer, hangup), asked.clone(), router, &http, watcher);
            tokio::select! {
                _ = served => {}
                () = told.cancelled() => {}
                () = silence(&asked, limits.head_max) => {}
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests that were still open were cut off");
    }
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

async fn secured(
    stream: TcpStream,
    tls: Option<Acceptor>,
    limits: &ConnectionLimits,
    stop: &CancellationToken,
) -> Option<Box<dyn Stream>> {
    let Some(tls) = tls else { return Some(Box::new(stream)) };
    tokio::select! {
        stream = tokio::time::timeout(limits.head_max, tls.accept(stream)) => {
            Some(Box::new(stream.ok()?.ok()?))
        }
        () = stop.cancelled() => None,
    }
}

/// Ends if nobody asked anything in that time. Until a connection has said which HTTP it speaks no
/// limit of that holds.
async fn silence(asked: &CancellationToken, head_max: Duration) {
    if tokio::time::timeout(head_max, asked.cancelled()).await.is_ok() {
        std::future::pending().await
    }
}

async fn serve(
    stream: Bounded<Box<dyn Stream>>,
    (peer, hangup): (SocketAddr, Hangup),
    asked: CancellationToken,
    router: Router,
    http: &auto::Builder<TokioExecutor>,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = router.map_request(move |mut request: http::Request<Incoming>| {
        let stall_max = hangup.stall_max;
        asked.cancel();
        request.extensions_mut().insert(Source(peer.ip()));
        request.extensions_mut().insert(hangup.clone());
        request.map(|body| axum::body::Body::new(TimeoutBody::new(stall_max, body)))
    });
    let connection = http
        .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    watcher.watch(connection.into_owned()).await
}
