//! A device that does what a script says, byte by byte.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use groundswell::core::device::Address;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Barrier, Notify},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// One thing a device does.
#[derive(Clone)]
pub(crate) enum Do {
    /// Reads a request's head.
    Head,
    /// Reads so many bytes of its body.
    Body(u64),
    /// Reads the rest of its body.
    Rest,
    /// Reads the rest of its body and answers with the headers that came.
    Echo(u16),
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Writes these bytes again and again, until nobody reads them.
    WriteForever(&'static [u8]),
    /// Waits until everybody is there.
    Meet(Arc<Barrier>),
    /// Reads until the other side closes.
    Hang,
    /// Does nothing, not even reading, until the device is dropped.
    Freeze,
    /// Closes the connection.
    Close,
    /// Resets the connection.
    Reset,
}

/// What happens to one request.
pub(crate) type Script = Vec<Do>;

/// Reads a request whole, then answers.
pub(crate) fn reply(status: u16, headers: &str, body: &str) -> Script {
    vec![Do::Head, Do::Rest, Do::Write(answer(status, headers, body))]
}

/// An answer's bytes; `headers` are whole lines.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: {len}\r\n\r\n{body}").into_bytes()
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Such as `POST /update HTTP/1.1`.
    pub(crate) line: String,
    /// Names in lower case, in the order they came.
    pub(crate) headers: Vec<(String, String)>,
    /// How much of the body was read.
    pub(crate) body_bytes: u64,
    /// Of as much of the body as was read.
    pub(crate) sha256: [u8; 32],
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().filter(|(given, _)| given == name);
        let first = all.next()?;
        assert!(all.next().is_none(), "{name} came twice");
        Some(&first.1)
    }
}

/// A device on a port of its own.
pub(crate) struct Device {
    pub(crate) addr: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    seen: Mutex<Vec<Seen>>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    changed: Notify,
    hashes: bool,
}

impl Drop for Device {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Device {
    /// Plays one script per request; the last one again and again.
    pub(crate) async fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::launch(scripts, None, true).await
    }

    /// The same over TLS.
    pub(crate) async fn start_tls(
        acceptor: TlsAcceptor,
        scripts: impl IntoIterator<Item = Script>,
    ) -> Self {
        Self::launch(scripts, Some(acceptor), true).await
    }

    /// Without a look at the bodies, which takes its time.
    pub(crate) async fn start_unhashed(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::launch(scripts, None, false).await
    }

    async fn launch(
        scripts: impl IntoIterator<Item = Script>,
        tls: Option<TlsAcceptor>,
        hashes: bool,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            scripts: Mutex::new(scripts.into_iter().collect()),
            seen: Mutex::default(),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            changed: Notify::new(),
            hashes,
        });
        let accepting = tokio::spawn(accept(listener, shared.clone(), tls));
        Self { addr, scheme, shared, accepting }
    }

    /// Its address, by IP.
    pub(crate) fn address(&self) -> Address {
        self.address_as("127.0.0.1")
    }

    /// Its address by another name, and with a path.
    pub(crate) fn address_as(&self, host: &str) -> Address {
        format!("{}://{host}:{}", self.scheme, self.addr.port()).parse().unwrap()
    }

    /// The requests that came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().clone()
    }

    /// How many requests came so far.
    pub(crate) fn seen_count(&self) -> usize {
        self.shared.seen.lock().len()
    }

    /// How many connections it took.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(SeqCst)
    }

    /// Returns once so many connections are open.
    pub(crate) async fn until_open(&self, connections: usize) {
        self.until(|shared| shared.open.load(SeqCst) == connections).await;
    }

    /// Returns once so many requests came.
    pub(crate) async fn until_seen(&self, requests: usize) {
        self.until(|shared| shared.seen.lock().len() >= requests).await;
    }

    async fn until(&self, holds: impl Fn(&Shared) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if holds(&self.shared) {
                return;
            }
            changed.await;
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        shared.accepted.fetch_add(1, SeqCst);
        shared.open.fetch_add(1, SeqCst);
        shared.changed.notify_waiters();
        let (shared, tls) = (shared.clone(), tls.clone());
        connections.spawn(async move {
            match tls {
                None => {
                    let mut visit = Visit::new(tcp, &shared);
                    let end = visit.play().await;
                    if end == End::Reset {
                        reset(&visit.stream);
                    }
                }
                Some(tls) => {
                    if let Ok(stream) = tls.accept(tcp).await {
                        let mut visit = Visit::new(stream, &shared);
                        if visit.play().await != End::Reset {
                            let _ = visit.stream.shutdown().await;
                        }
                    }
                }
            }
            shared.open.fetch_sub(1, SeqCst);
            shared.changed.notify_waiters();
        });
        while connections.try_join_next().is_some() {}
    }
}

fn reset(tcp: &TcpStream) {
    SockRef::from(tcp).set_linger(Some(Duration::ZERO)).unwrap();
}

#[derive(PartialEq, Eq)]
enum End {
    Closed,
    Reset,
}

struct Visit<'a, S> {
    stream: S,
    shared: &'a Shared,
    buffer: Vec<u8>,
    left: u64,
    seen: Option<(Seen, Sha256)>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Visit<'a, S> {
    fn new(stream: S, shared: &'a Shared) -> Self {
        Self { stream, shared, buffer: vec![], left: 0, seen: None }
    }

    async fn play(&mut self) -> End {
        let mut is_first = true;
        loop {
            // A connection that stays idle must not keep the script of another one's request.
            if !is_first && self.buffer.is_empty() {
                match self.stream.read_buf(&mut self.buffer).await {
                    Ok(read) if read > 0 => {}
                    _ => return End::Closed,
                }
            }
            is_first = false;
            let script = {
                let mut scripts = self.shared.scripts.lock();
                if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().cloned() }
            };
            for step in script.unwrap() {
                match self.take(step).await {
                    Ok(None) => {}
                    Ok(Some(end)) => {
                        self.record();
                        return end;
                    }
                    Err(_) => {
                        self.record();
                        return End::Closed;
                    }
                }
            }
            self.record();
        }
    }

    async fn take(&mut self, step: Do) -> std::io::Result<Option<End>> {
        match step {
            Do::Head => self.read_head().await?,
            Do::Body(bytes) => self.read_body(bytes).await?,
            Do::Rest => {
                self.read_body(self.left).await?;
                self.record();
            }
            Do::Echo(status) => {
                let mut lines = String::new();
                for (name, value) in self.seen.iter().flat_map(|(seen, _)| &seen.headers) {
                    let _ = writeln!(lines, "{name}: {value}");
                }
                self.read_body(self.left).await?;
                self.record();
                self.stream.write_all(&answer(status, "", &lines)).await?;
            }
            Do::Write(bytes) => {
                self.stream.write_all(&bytes).await?;
                // TLS may hold bytes back when the runtime lets other tasks go first.
                self.stream.flush().await?;
            }
            Do::WriteForever(bytes) => loop {
                self.stream.write_all(bytes).await?;
            },
            Do::Meet(barrier) => {
                barrier.wait().await;
            }
            Do::Hang => {
                self.record();
                while self.stream.read(&mut [0; 4_096]).await? > 0 {}
                return Ok(Some(End::Closed));
            }
            Do::Freeze => {
                self.record();
                std::future::pending::<()>().await;
            }
            Do::Close => return Ok(Some(End::Closed)),
            Do::Reset => return Ok(Some(End::Reset)),
        }
        Ok(None)
    }

    async fn read_head(&mut self) -> std::io::Result<()> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
        self.buffer.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let seen = Seen { line, headers, body_bytes: 0, sha256: [0; 32] };
        self.left = seen.header("content-length").map_or(0, |len| len.parse().unwrap());
        self.seen = Some((seen, Sha256::new()));
        Ok(())
    }

    async fn read_body(&mut self, bytes: u64) -> std::io::Result<()> {
        let mut left = bytes.min(self.left);
        let mut chunk = vec![0; 256 * 1_024];
        while left > 0 {
            if self.buffer.is_empty() {
                let read = self.stream.read(&mut chunk).await?;
                if read == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                self.buffer.extend_from_slice(&chunk[..read]);
            }
            let taken = self.buffer.len().min(usize::try_from(left).unwrap());
            let (seen, sha256) = self.seen.as_mut().unwrap();
            seen.body_bytes += taken as u64;
            if self.shared.hashes {
                sha256.update(&self.buffer[..taken]);
            }
            self.buffer.drain(..taken);
            left -= taken as u64;
            self.left -= taken as u64;
        }
        Ok(())
    }

    fn record(&mut self) {
        if let Some((mut seen, sha256)) = self.seen.take() {
            seen.sha256 = sha256.finalize().into();
            self.shared.seen.lock().push(seen);
            self.shared.changed.notify_waiters();
        }
    }
}
