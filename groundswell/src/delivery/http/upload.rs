//! A request's body.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::io::Flow;
use crate::artifacts::payload::{Payload, PayloadReader};

/// A payload on its way out through a cursor of its own, or nothing at all.
pub(super) struct Upload {
    reader: Option<PayloadReader>,
    flow: Arc<Flow>,
}

impl Upload {
    pub(super) fn new(payload: Option<&Payload>, flow: Arc<Flow>) -> Self {
        Self { reader: payload.map(Payload::reader), flow }
    }

    fn left(&self) -> u64 {
        self.reader.as_ref().map_or(0, PayloadReader::left)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.flow.is_halted() {
            // The connection is dropped as soon as the answer is read; nobody wakes this.
            return Poll::Pending;
        }
        let Some(reader) = &mut self.reader else { return Poll::Ready(None) };
        let Some(chunk) = ready!(reader.poll_next(cx)) else { return Poll::Ready(None) };
        let chunk = chunk?;
        let last = reader.left() == 0;
        self.flow.hand(chunk.len() as u64, last);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
