//! Connections that take nothing are cut off: whoever does not read keeps nothing here for long.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::telemetry::Telemetry;

/// How long nothing may be taken once the server is to end.
const END_STALL_MAX: Duration = Duration::from_secs(2);

/// A stream that fails once it has taken nothing of what is written to it for too long. Reading may
/// take as long as it does: whoever reads a request has limits of its own.
pub(super) struct Bounded<S> {
    stream: S,
    stall_max: Duration,
    /// Until when it has to take something; none while nothing waits.
    until: Option<Pin<Box<Sleep>>>,
    /// Told when the server is to end; none once that is known.
    stopping: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    telemetry: Telemetry,
}

impl<S> Bounded<S> {
    pub(super) fn new(
        stream: S,
        stall_max: Duration,
        stop: CancellationToken,
        telemetry: Telemetry,
    ) -> Self {
        let stopping = Some(Box::pin(stop.cancelled_owned()));
        Self { stream, stall_max, until: None, stopping, telemetry }
    }

    /// Whoever takes nothing does not keep a server from its end.
    fn hurry(&mut self, cx: &mut Context<'_>) {
        let Some(stopping) = &mut self.stopping else { return };
        if stopping.as_mut().poll(cx).is_ready() {
            self.stopping = None;
            self.stall_max = self.stall_max.min(END_STALL_MAX);
            self.until = None;
        }
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, came: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if came.is_ready() {
            self.until = None;
            return came;
        }
        self.hurry(cx);
        let stall_max = self.stall_max;
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(stall_max)));
        if until.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Told once, though it may be asked again.
        until.as_mut().reset(Instant::now() + stall_max);
        self.telemetry.stalled();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "it takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let came = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, came)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let came = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, came)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let came = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, came)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let came = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, came)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const MAX: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn who_takes_nothing_is_cut_off_and_who_is_slow_is_not() {
        let (near, mut far) = duplex(8);
        let mut near = Bounded::new(near, MAX, CancellationToken::new(), Telemetry::default());
        let slow = tokio::spawn(async move {
            let mut byte = [0; 1];
            for _ in 0..40 {
                tokio::time::sleep(MAX / 10).await;
                far.read_exact(&mut byte).await.unwrap();
            }
            far
        });
        near.write_all(&[7; 40]).await.unwrap();
        let _far = slow.await.unwrap();
        near.write_all(&[7; 8]).await.unwrap();
        let cut = near.write_all(&[7; 8]).await.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn the_end_of_the_server_is_not_waited_with() {
        let (near, _far) = duplex(8);
        let (stop, hour) = (CancellationToken::new(), Duration::from_hours(1));
        let mut near = Bounded::new(near, hour, stop.clone(), Telemetry::default());
        let stalled = tokio::spawn(async move { near.write_all(&[7; 9]).await });
        tokio::task::yield_now().await;
        stop.cancel();
        let cut = stalled.await.unwrap().unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
    }
}
