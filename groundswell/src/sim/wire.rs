//! Connections that end otherwise than HTTP ends them.
//!
//! Owns the bytes of those faults that no HTTP server would send, and the pace of the slow ones.
//! The server gives up the connection with an [`Ending`], which is then played on the bare
//! socket. Start with [`Ending::play`].

use std::{error::Error as _, io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
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
const TWICE_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
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
    /// A good answer, and the same again; then silence.
    Twice,
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
        let source = error.source()?;
        let below = source.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let ending = source.downcast_ref().or_else(|| below?.downcast_ref());
        ending.copied()
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
            Self::Twice => {
                stream.write_all(&TWICE_ANSWER.repeat(2)).await?;
                Box::pin(Self::Hang.play(stream, clock)).await
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
