//! The body of an answer, which brings its connection back to the pool.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use super::{Pool, line::Line};

/// An answer's body; at its end the connection goes back to the pool, else it is closed.
#[derive(Debug)]
pub(crate) struct PooledBody {
    body: Incoming,
    loan: Option<Loan>,
}

#[derive(Debug)]
pub(super) struct Loan {
    pub(super) line: Line,
    pub(super) permit: OwnedSemaphorePermit,
    pub(super) pool: Pool,
}

impl PooledBody {
    pub(super) fn new(body: Incoming, loan: Loan) -> Self {
        let mut body = Self { body, loan: Some(loan) };
        if body.body.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some(Loan { line, permit, pool }) = self.loan.take() {
            pool.0.put_idle(line);
            drop(permit);
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { body, loan } = &mut *self;
        let Some(held) = loan else { return Poll::Ready(None) };
        let frame = ready!(held.line.poll_frame(body, context));
        match &frame {
            Some(Ok(_)) if !body.is_end_stream() => {}
            Some(Err(_)) => *loan = None,
            Some(Ok(_)) | None => self.give_back(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
