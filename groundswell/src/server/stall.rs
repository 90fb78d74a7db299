//! Connections that take nothing are cut off: whoever does not read keeps nothing here for long.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{
    clock::{Clock, Sleep},
    telemetry::Telemetry,
};

/// How long nothing may be taken once the server is to end.
const END_STALL_MAX: Duration = Duration::from_secs(2);

/// What is waited for, as the clock has it.
const LABEL: &str = "an answer to be taken";

/// A stream that fails once it has taken nothing of what is written to it for too long. Reading may
/// take as long as it does: whoever reads a request has limits of its own.
pub(super) struct Bounded<S> {
    stream: S,
    stall_max: Duration,
    /// Until when it has to take something; none while nothing waits.
    until: Option<Sleep>,
    /// Told when the server is to end; none once that is known.
    stopping: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    clock: Clock,
    telemetry: Telemetry,
}

impl<S> Bounded<S> {
    pub(super) fn new(
        stream: S,
        stall_max: Duration,
        stop: CancellationToken,
        clock: Clock,
        telemetry: Telemetry,
    ) -> Self {
        let stopping = Some(Box::pin(stop.cancelled_owned()));
        Self { stream, stall_max, until: None, stopping, clock, telemetry }
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
        let clock = &self.clock;
        let until = self.until.get_or_insert_with(|| clock.sleep(stall_max, LABEL));
        if Pin::new(&mut *until).poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Told once, though it may be asked again.
        until.reset(stall_max, LABEL);
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
    use groundswell_core::time::Time;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;
    use crate::clock::ManualClock;

    const MAX: Duration = Duration::from_secs(50);

    fn bounded(stop: &CancellationToken) -> (Bounded<DuplexStream>, DuplexStream, ManualClock) {
        let (near, far) = duplex(8);
        let clock = ManualClock::new(Time::ZERO);
        let of = Clock::Manual(clock.clone());
        (Bounded::new(near, MAX, stop.clone(), of, Telemetry::default()), far, clock)
    }

    /// Writes as much as is taken, and says how that ended.
    fn write(
        mut near: Bounded<DuplexStream>,
        bytes: usize,
    ) -> tokio::task::JoinHandle<(io::Result<()>, Bounded<DuplexStream>)> {
        tokio::spawn(async move { (near.write_all(&vec![7; bytes]).await, near) })
    }

    #[tokio::test]
    async fn who_takes_nothing_is_cut_off_and_who_is_slow_is_not() {
        let (near, mut far, clock) = bounded(&CancellationToken::new());
        let writing = write(near, 8 + 40);
        for _ in 0..40 {
            assert_eq!(clock.until_waiting(LABEL).await, MAX, "what was taken counts");
            clock.advance(MAX.saturating_sub(Duration::from_millis(1)));
            far.read_exact(&mut [0; 1]).await.unwrap();
            // It waits anew, or is done.
            while clock.waiting().iter().any(|(_, left)| *left < MAX) {
                tokio::task::yield_now().await;
            }
        }
        let (written, near) = writing.await.unwrap();
        written.unwrap();
        let writing = write(near, 1);
        clock.until_waiting(LABEL).await;
        clock.advance(MAX);
        let cut = writing.await.unwrap().0.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn the_end_of_the_server_is_not_waited_with() {
        let stop = CancellationToken::new();
        let (near, _far, clock) = bounded(&stop);
        let writing = write(near, 9);
        assert_eq!(clock.until_waiting(LABEL).await, MAX);
        stop.cancel();
        while clock.waiting() != [(LABEL, END_STALL_MAX)] {
            tokio::task::yield_now().await;
        }
        clock.advance(END_STALL_MAX);
        let cut = writing.await.unwrap().0.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
    }
}
