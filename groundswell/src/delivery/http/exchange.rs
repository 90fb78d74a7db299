//! One request and its answer on one connection.
//!
//! Owns the order of the steps: upload, waiting for the answer, reading it. Everything happens in
//! one future that drives the connection and watches the time.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use groundswell_core::{outcome::Fault, time::Time};
use http::Response;
use http_body::Body;
use hyper::body::Incoming;

use super::{
    config::Timeouts,
    connect::Conn,
    fault::Failure,
    request::Sendable,
    timers::{Expired, Step, Timers},
};

/// The steps of an exchange, as the settings have them.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    upload: Step,
    response: Step,
    body: Step,
}

impl Steps {
    pub(super) fn new(timeouts: &Timeouts, len: u64) -> Self {
        Self {
            upload: Step {
                wait: timeouts.upload_stall,
                label: "upload",
                fault: Fault::UploadStalled,
            },
            response: Step {
                wait: timeouts.response_for(len),
                label: "response",
                fault: Fault::ResponseTimeout,
            },
            body: Step {
                wait: timeouts.response_body,
                label: "response-body",
                fault: Fault::BodyTimeout,
            },
        }
    }
}

/// Where a request that is under way stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing had to be waited for yet.
    Begun,
    /// Parts of it have not left; so much was on the wire when last looked at, and not more since.
    Uploading { on_wire: u64, since: Time },
    /// It has left whole, or the rest of it is not wanted.
    Waiting,
}

/// Sends a request and waits for the head of its answer. An answer that comes before the body has
/// left ends the upload.
pub(super) async fn send(
    conn: &mut Conn,
    sendable: Sendable,
    steps: &Steps,
    timers: &mut Timers<'_>,
    sent: Option<&AtomicU64>,
) -> Result<Response<Incoming>, Failure> {
    let mut response = pin!(conn.sender.try_send_request(sendable.request));
    let mut stage = Stage::Begun;
    poll_fn(|cx| {
        drive(conn, sent, cx);
        if let Poll::Ready(response) = response.as_mut().poll(cx) {
            conn.flow.head_came();
            return Poll::Ready(response.map_err(|error| Failure::exchange(error.error())));
        }
        if let Some(failure) = conn.end() {
            return Poll::Ready(Err(failure));
        }
        watch(conn, &mut stage, steps.upload, steps.response, timers, cx).map(Err)
    })
    .await
}

/// Moves bytes both ways, and tells how many of the body have been handed on.
fn drive(conn: &mut Conn, sent: Option<&AtomicU64>, cx: &mut Context<'_>) {
    conn.poll_driver(cx);
    if let Some(sent) = sent {
        sent.store(conn.flow.handed(), Relaxed);
    }
}

/// Keeps the timer of the present step, which is `upload` until the request has left and `after`
/// from then on, and says when it has run out.
fn watch(
    conn: &Conn,
    stage: &mut Stage,
    upload: Step,
    after: Step,
    timers: &mut Timers<'_>,
    cx: &mut Context<'_>,
) -> Poll<Failure> {
    let has_left = !conn.flow.is_uploading();
    let step = if has_left { after } else { upload };
    let on_wire = conn.flow.on_wire();
    match *stage {
        Stage::Waiting => {}
        Stage::Uploading { on_wire: before, .. } if !has_left => {
            if before != on_wire {
                *stage = Stage::Uploading { on_wire, since: timers.clock().now() };
            }
        }
        _ if has_left => {
            timers.arm(step);
            *stage = Stage::Waiting;
        }
        _ => {
            timers.arm(step);
            *stage = Stage::Uploading { on_wire, since: timers.clock().now() };
        }
    }
    loop {
        let expired = ready!(timers.poll(step, cx));
        // The timer is not moved with the bytes: it looks back when it ends.
        if let Stage::Uploading { since, .. } = *stage
            && expired == Expired::Step
        {
            let left = step.wait.saturating_sub(timers.clock().now().since(since));
            if !left.is_zero() {
                timers.arm(Step { wait: left, ..step });
                continue;
            }
        }
        return Poll::Ready(expired.failure(step));
    }
}

/// How much of an answer's body to read.
#[derive(Clone, Copy)]
pub(super) struct Appetite {
    /// Bytes to keep.
    pub(super) keep: usize,
    /// Bytes after which to stop.
    pub(super) most: usize,
    /// Whether the rest of the request is not wanted any more.
    pub(super) ends_upload: bool,
}

/// An answer's body, as far as it was read.
pub(super) struct Content {
    pub(super) kept: Vec<u8>,
    pub(super) end: End,
}

/// How the reading of a body ended.
pub(super) enum End {
    /// The body was read whole.
    Complete,
    /// There was more than was wanted.
    Enough,
    /// It broke off.
    Cut(Failure),
}

/// Reads the body of an answer within its own time-out. If the request has not left yet, a
/// refusal ends the upload; under a success it goes on, since the device may be reporting its
/// progress.
pub(super) async fn read_content(
    conn: &mut Conn,
    mut body: Incoming,
    appetite: Appetite,
    steps: &Steps,
    timers: &mut Timers<'_>,
    sent: Option<&AtomicU64>,
) -> Content {
    if appetite.ends_upload {
        conn.flow.halt();
    }
    let mut content = Content { kept: vec![], end: End::Complete };
    let mut read = 0;
    let mut stage = Stage::Begun;
    let end = poll_fn(|cx| {
        loop {
            drive(conn, sent, cx);
            match Pin::new(&mut body).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(End::Complete),
                Poll::Ready(Some(Ok(frame))) => {
                    let data = frame.data_ref().map_or(&[][..], |data| data);
                    let room = appetite.keep - content.kept.len();
                    content.kept.extend_from_slice(&data[..data.len().min(room)]);
                    read += data.len();
                    if read > appetite.most {
                        return Poll::Ready(End::Enough);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(End::Cut(Failure::exchange(&error)));
                }
                Poll::Pending => break,
            }
        }
        if let Some(failure) = conn.end() {
            return Poll::Ready(End::Cut(failure));
        }
        watch(conn, &mut stage, steps.upload, steps.body, timers, cx).map(End::Cut)
    })
    .await;
    content.end = end;
    content
}
