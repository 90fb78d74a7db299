//! The bytes of one connection on their way in and out.
//!
//! Owns [`Flow`], the account of what has left that decides between "not sent" and "unknown", and
//! two layers that keep it: [`Socket`] under TLS, [`Io`] above it. Must not know of HTTP.

use std::{
    io::{self, IoSlice, Read},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// What has happened on a connection since its present request began.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Taken by the socket, TLS included.
    on_wire: AtomicU64,
    /// Taken by whatever is below HTTP.
    written: AtomicU64,
    /// Body bytes given to HTTP.
    handed: AtomicU64,
    /// The last body byte was given to HTTP.
    finished: AtomicBool,
    /// Nothing written is held back in between.
    flushed: AtomicBool,
    /// No more of the body is wanted.
    halted: AtomicBool,
    /// The next read is to look whether the idle connection is still good.
    probe: AtomicBool,
    /// Given by the socket, TLS included.
    received: AtomicU64,
    /// The head of the answer is not there yet.
    is_head_due: AtomicBool,
    /// HTTP was given a byte of the answer.
    answered: AtomicBool,
}

/// Most bytes that may come before the head of the answer is there: more than its largest head and
/// any honest number of informational ones (RFC 9110 section 15.2) before it. Without a limit a
/// device could send these for ever.
const UNTIL_HEAD_BYTES_MAX: u64 = 4 * super::connect::HEAD_BYTES_MAX as u64;

/// A device sent [`UNTIL_HEAD_BYTES_MAX`] and no head of an answer among it.
#[derive(Debug, thiserror::Error)]
#[error("more than {UNTIL_HEAD_BYTES_MAX} bytes and no answer among them")]
pub(super) struct Flood;

impl Flow {
    /// A request with a body of `len` bytes begins; on a connection that was idle, it begins with
    /// a look whether the other side has closed it meanwhile.
    pub(super) fn begin(&self, len: u64, was_idle: bool) {
        for counter in [&self.on_wire, &self.written, &self.handed, &self.received] {
            counter.store(0, Relaxed);
        }
        self.finished.store(len == 0, Relaxed);
        self.flushed.store(false, Relaxed);
        self.halted.store(false, Relaxed);
        self.probe.store(was_idle, Relaxed);
        self.is_head_due.store(true, Relaxed);
        self.answered.store(false, Relaxed);
    }

    /// The head of the answer is there; its body has a limit of its own.
    pub(super) fn head_came(&self) {
        self.is_head_due.store(false, Relaxed);
    }

    /// Whether HTTP was given a byte of the answer.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    fn receive(&self, bytes: usize) -> io::Result<()> {
        let received = self.received.load(Relaxed) + bytes as u64;
        self.received.store(received, Relaxed);
        if received > UNTIL_HEAD_BYTES_MAX && self.is_head_due.load(Relaxed) {
            return Err(io::Error::other(Flood));
        }
        Ok(())
    }

    /// Body bytes were given to HTTP; `last` if none are left.
    pub(super) fn hand(&self, bytes: u64, last: bool) {
        self.handed.fetch_add(bytes, Relaxed);
        self.flushed.store(false, Relaxed);
        self.finished.store(last, Relaxed);
    }

    /// Body bytes given to HTTP so far.
    pub(super) fn handed(&self) -> u64 {
        self.handed.load(Relaxed)
    }

    /// Bytes taken by the socket so far: what shows that an upload moves.
    pub(super) fn on_wire(&self) -> u64 {
        self.on_wire.load(Relaxed)
    }

    /// Whether the request has left whole.
    pub(super) fn has_left(&self) -> bool {
        self.finished.load(Relaxed) && self.flushed.load(Relaxed)
    }

    /// Whether a request of at least `bytes` bytes, head and body, can have left whole.
    pub(super) fn may_have_left(&self, bytes: u64) -> bool {
        self.finished.load(Relaxed)
            && self.written.load(Relaxed) >= bytes
            && self.on_wire.load(Relaxed) >= bytes
    }

    /// Whether parts of the request have not left, and are to.
    pub(super) fn is_uploading(&self) -> bool {
        !self.has_left() && !self.is_halted()
    }

    /// Sends no more of the body.
    pub(super) fn halt(&self) {
        self.halted.store(true, Relaxed);
    }

    /// Whether no more of the body is to be sent.
    pub(super) fn is_halted(&self) -> bool {
        self.halted.load(Relaxed)
    }
}

/// Counts open sockets for as long as it lives.
#[derive(Debug)]
struct OpenGuard(Arc<AtomicUsize>);

impl OpenGuard {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Relaxed);
        Self(open.clone())
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A TCP connection that counts.
///
/// A failed write is not reported: the other side may have answered before it closed, and the
/// answer is still there to be read. Reading then ends with the answer, the end of the stream or
/// an error; until it does, writing waits.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    flow: Arc<Flow>,
    write_failed: bool,
    _open: OpenGuard,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, flow: Arc<Flow>, open: &Arc<AtomicUsize>) -> Self {
        Self { tcp, flow, write_failed: false, _open: OpenGuard::new(open) }
    }

    /// Reads past the runtime's idea of readiness, which may lag behind what the kernel knows.
    fn probe(&self, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut start = [0; 64];
        let len = start.len().min(buf.remaining());
        match (&*SockRef::from(&self.tcp)).read(&mut start[..len]) {
            Ok(read) => {
                buf.put_slice(&start[..read]);
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn account(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match ready!(written) {
            Ok(bytes) => {
                self.flow.on_wire.fetch_add(bytes as u64, Relaxed);
                Poll::Ready(Ok(bytes))
            }
            Err(error) => {
                tracing::debug!(%error, "write failed, waiting for what can still be read");
                self.write_failed = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.flow.probe.swap(false, Relaxed)
            && let Poll::Ready(found) = self.probe(buf)
        {
            return Poll::Ready(found);
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        Poll::Ready(self.flow.receive(buf.filled().len() - before))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.write_failed {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.account(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.write_failed {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.account(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// What HTTP writes to: a socket, or TLS over one.
#[derive(Debug)]
pub(super) struct Io {
    transport: Transport,
    flow: Arc<Flow>,
}

#[derive(Debug)]
enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Io {
    pub(super) fn plain(socket: Socket) -> Self {
        Self { flow: socket.flow.clone(), transport: Transport::Plain(socket) }
    }

    pub(super) fn tls(stream: TlsStream<Socket>) -> Self {
        let flow = stream.get_ref().0.flow.clone();
        Self { flow, transport: Transport::Tls(Box::new(stream)) }
    }
}

/// Calls one method on whichever stream it is.
macro_rules! with_stream {
    ($io:expr, $method:ident, $($argument:expr),*) => {
        match &mut $io.transport {
            Transport::Plain(socket) => Pin::new(socket).$method($($argument),*),
            Transport::Tls(stream) => Pin::new(&mut **stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(with_stream!(self, poll_read, cx, buf))?;
        if buf.filled().len() > before {
            self.flow.answered.store(true, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(with_stream!(self, poll_write, cx, buf))?;
        self.flow.written.fetch_add(bytes as u64, Relaxed);
        Poll::Ready(Ok(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(with_stream!(self, poll_write_vectored, cx, bufs))?;
        self.flow.written.fetch_add(bytes as u64, Relaxed);
        Poll::Ready(Ok(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(socket) => socket.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(with_stream!(self, poll_flush, cx))?;
        self.flow.flushed.store(true, Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_stream!(self, poll_shutdown, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_whole_has_not_left() {
        let flow = Flow::default();
        flow.begin(10, false);
        flow.on_wire.store(110, Relaxed);
        flow.written.store(110, Relaxed);
        assert!(!flow.may_have_left(110), "its last byte was never given to HTTP");
        flow.hand(10, true);
        assert!(flow.may_have_left(110));
        assert!(!flow.may_have_left(111), "HTTP still holds a byte");
        flow.on_wire.store(109, Relaxed);
        assert!(!flow.may_have_left(110), "TLS still holds a byte");
        flow.begin(0, false);
        assert!(!flow.may_have_left(100));
        assert!(!flow.has_left(), "the head has not left");
    }
}
