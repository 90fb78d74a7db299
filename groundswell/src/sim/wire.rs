//! Connections that end otherwise than HTTP ends them.
//!
//! Owns the bytes of those faults that no HTTP server would send, and the pace of the slow ones.
//! The server gives up the connection with an [`Ending`], which is then played on the bare
//! socket. Start with [`Ending::play`].

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};

use super::fault::Name;
use crate::clock::Clock;

/// Slow enough to trip a time-out for headers, while the whole answer still ends in 8 s.
const DRIP_EVERY: Duration = Duration::from_millis(200);
/// About 10 kB/s to each connection: visible to the client, nothing to the machine.
const ENDLESS_EVERY: Duration = Duration::from_millis(100);

/// Longer than anybody waits for an answer.
const HANG_MAX: Duration = Duration::from_hours(24);

const SLOW_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const TRUNCATED_ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4096\r\n\r\n{\"accep";
const MALFORMED_ANSWER: &[u8] = b"\x00\x01\xfe\xff this is not HTTP \r\n\r\n\r\n";
const ENDLESS_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A reset, at once.
    Reset,
    /// Silence until the other side goes.
    Hang,
    /// A good answer, byte by byte.
    Drip,
    /// An answer that ends before its announced length.
    Truncated,
    /// Bytes that are no answer.
    Malformed,
    /// An answer without an end.
    Endless,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the connection ends by design: {self:?}")
    }
}

impl std::error::Error for Ending {}

impl Ending {
    /// How a fault that loses the answer does so.
    pub(super) fn of(lost: Name) -> Self {
        match lost {
            Name::Hang => Self::Hang,
            Name::Truncated => Self::Truncated,
            Name::Malformed => Self::Malformed,
            Name::Endless => Self::Endless,
            _ => Self::Reset,
        }
    }

    /// The ending that made the server give up, if one did.
    pub(super) fn behind(error: &hyper::Error) -> Option<Self> {
        std::error::Error::source(error)?.downcast_ref().copied()
    }

    /// Ends the connection. Errors are the other side's going, which is an end, too.
    pub(super) async fn play(self, mut stream: TcpStream, clock: &Clock) -> io::Result<()> {
        match self {
            Self::Reset => stream.set_zero_linger(),
            Self::Hang => tokio::select! {
                gone = read_out(&mut stream) => gone,
                () = clock.sleep(HANG_MAX, "hanging") => Ok(()),
            },
            Self::Drip => {
                for byte in SLOW_ANSWER {
                    clock.sleep(DRIP_EVERY, "sim drip").await;
                    stream.write_all(&[*byte]).await?;
                }
                Ok(())
            }
            Self::Truncated => stream.write_all(TRUNCATED_ANSWER).await,
            Self::Malformed => stream.write_all(MALFORMED_ANSWER).await,
            Self::Endless => {
                stream.write_all(ENDLESS_HEAD).await?;
                let chunk = format!("400\r\n{}\r\n", "and so on ".repeat(103).split_at(1024).0);
                loop {
                    stream.write_all(chunk.as_bytes()).await?;
                    clock.sleep(ENDLESS_EVERY, "sim endless").await;
                }
            }
        }
    }
}

async fn read_out(stream: &mut TcpStream) -> io::Result<()> {
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// A socket lent to the HTTP server, to be had back when that is done. It is not shut down, only
/// closed, which tells the other side the same and spares a call per connection.
pub(super) struct Lent<'a>(pub(super) &'a mut TcpStream);

impl AsyncRead for Lent<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Lent<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
