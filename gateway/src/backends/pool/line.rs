//! One connection to a backend, driven by whoever uses it: no task stands between a call and its
//! connection, so nothing is handed over and nobody else is woken.
//!
//! While nobody uses it nobody reads from it: what the backend says or ends meanwhile is found
//! when it is asked for next.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Builder, Connection, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{task::coop::unconstrained, time::Instant};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use web::{
    gathered::GatheredStream,
    quiet::{QuietWaker, quietly},
    timer::LazyTimer,
};

/// A plain connection, or one over TLS.
pub(super) type Stream = Either<GatheredStream, Box<TlsStream<GatheredStream>>>;

/// HTTP/1.1 over it.
type Http = Connection<TokioIo<Stream>, Full<Bytes>>;

/// The largest head of an answer.
const HEAD_BYTES: usize = 64 * 1024;
/// What a timer is set to before it is known how long there is to wait.
const LONG: Duration = Duration::from_hours(24);

/// A connection that is open, or was when it was last used.
#[derive(Debug)]
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    timer: LazyTimer,
    wire: Wire,
}

/// The connection itself.
#[derive(Debug)]
struct Wire {
    /// `None` when it is over: dropped, it gives back a request that it did not begin.
    connection: Option<Pin<Box<Http>>>,
    quiet: Arc<QuietWaker>,
    waker: Waker,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(super) enum Failed {
    Broken(hyper::Error),
    /// The answer did not begin in time.
    Late,
    /// Nothing of the request was sent; here it is again.
    Unsent(Box<Request<Full<Bytes>>>, hyper::Error),
}

impl Line {
    /// Speaks HTTP over a connection that was opened.
    pub(super) async fn over(stream: Stream) -> Result<Self, hyper::Error> {
        let opening = Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(stream));
        let (sender, connection) = opening.await?;
        let timer = LazyTimer::new(Instant::now() + LONG);
        let quiet = Arc::new(QuietWaker::default());
        let (connection, waker) = (Some(Box::pin(connection)), quiet.waker());
        Ok(Self { sender, timer, wire: Wire { connection, quiet, waker } })
    }

    /// Sends a request and waits until then for the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        due: Instant,
    ) -> Result<Response<Incoming>, Failed> {
        // Only this line's own connection answers it, and that is driven here: it wakes nobody.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let outcome = poll_fn(|cx| {
            self.wire.drive(cx.waker());
            let mut nobody = Context::from_waker(Waker::noop());
            if let Poll::Ready(outcome) = answer.as_mut().poll(&mut nobody) {
                return Poll::Ready(Some(outcome));
            }
            self.timer.poll_due(due, cx).map(|()| None)
        })
        .await;
        match outcome {
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) => Err(Failed::of(error)),
            None => Err(Failed::Late),
        }
    }

    /// The next piece of an answer's body.
    pub(super) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // Whoever brings the next piece is driven when it is asked for.
        let mut take = || {
            let mut nobody = Context::from_waker(Waker::noop());
            quietly(|| Pin::new(&mut *body).poll_frame(&mut nobody)).0
        };
        let frame = take();
        if frame.is_ready() {
            return frame;
        }
        self.wire.drive(cx.waker());
        take()
    }

    /// Whether it could be used for another request when it was last used.
    pub(super) fn was_free(&mut self) -> bool {
        (self.wire.connection.is_some() && self.sender.is_ready()) || self.is_free()
    }

    /// Whether it can be used for another request, as far as can be told without waiting.
    pub(super) fn is_free(&mut self) -> bool {
        self.wire.drive(Waker::noop());
        self.wire.connection.is_some() && self.sender.is_ready()
    }
}

impl Wire {
    /// Reads and writes as far as it goes, and wakes this task when it goes on.
    fn drive(&mut self, task: &Waker) {
        let Some(connection) = &mut self.connection else { return };
        self.quiet.wakes(task);
        // Its error reaches the request that is under way.
        if connection.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
            self.connection = None;
        }
    }
}

impl Failed {
    fn of(mut error: TrySendError<Request<Full<Bytes>>>) -> Self {
        match error.take_message() {
            Some(unsent) => Self::Unsent(Box::new(unsent), error.into_error()),
            None => Self::Broken(error.into_error()),
        }
    }
}
