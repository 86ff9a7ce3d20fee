//! One HTTP/1.1 connection (RFC 9112 section 9): its deadlines and the way it is closed.
//!
//! The HTTP library sets a timer for every request; here one timer of the connection serves the
//! wait for a head that has begun and the rest between requests, and is seldom set.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body, extract::ConnectInfo};
use bytes::Bytes;
use futures_util::{FutureExt, future::CatchUnwind};
use http::{HeaderValue, Request, Response, header::STRICT_TRANSPORT_SECURITY};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::http1::{Builder, Connection},
    service::Service,
};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{Answering, ServeOptions, after_panic};
use crate::{quiet::quietly, timer::LazyTimer};

/// The largest request head; a larger one is answered 431.
const MAX_HEAD: usize = 32 << 10;
const MAX_BUFFER: usize = 64 << 10;
/// What is read and thrown away, and for how long, before a connection is closed on a peer that
/// still sends: closing at once would reset it, and the peer would lose the answer.
const LINGER_BYTES: usize = 1 << 20;
const LINGER: Duration = Duration::from_secs(2);

/// The connection as a future that ends with it.
pub(super) fn http1<I: AsyncRead + AsyncWrite + Unpin, S: Answering>(
    stream: I,
    peer: SocketAddr,
    service: S,
    options: &ServeOptions,
) -> Connection<TokioIo<Timed<I>>, Handler<S>> {
    let phase = Phase::default();
    let times = Times { head: options.header_timeout, rest: options.idle_timeout };
    let io = TokioIo::new(Timed::new(stream, phase.clone(), times));
    Builder::new()
        .max_buf_size(MAX_BUFFER)
        .max_header_size(MAX_HEAD)
        .serve_connection(io, Handler { by_tls: options.tls.is_some(), peer, phase, service })
}

/// Where the connection is between two heads, as socket, request and answer see it.
#[derive(Clone, Debug, Default)]
struct Phase(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// A head was taken since this was last asked for.
    answered: AtomicBool,
    /// A request is being answered; otherwise the connection waits for a head.
    answering: AtomicBool,
    /// The request's body has not been read to its end.
    unread: AtomicBool,
}

impl Phase {
    fn begin(&self, unread: bool) {
        self.set_unread(unread);
        self.0.answered.store(true, Ordering::Release);
        self.set_answering(true);
    }

    fn take_answered(&self) -> bool {
        self.0.answered.load(Ordering::Acquire) && self.0.answered.swap(false, Ordering::AcqRel)
    }

    fn set_answering(&self, answering: bool) {
        self.0.answering.store(answering, Ordering::Release);
    }

    fn is_answering(&self) -> bool {
        self.0.answering.load(Ordering::Acquire)
    }

    fn set_unread(&self, unread: bool) {
        self.0.unread.store(unread, Ordering::Release);
    }

    fn is_unread(&self) -> bool {
        self.0.unread.load(Ordering::Acquire)
    }
}

/// Hands requests to the service, with the peer's address.
#[derive(Debug)]
pub(super) struct Handler<S> {
    /// Whether answers say that plain http is never to be spoken to this host.
    by_tls: bool,
    peer: SocketAddr,
    phase: Phase,
    service: S,
}

impl<S: Answering> Service<Request<Incoming>> for Handler<S> {
    type Error = Infallible;
    type Future = Answered<S::Future>;
    type Response = Response<Answer>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.phase.begin(!request.body().is_end_stream());
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let phase = self.phase.clone();
        let request = request.map(|body| Body::new(Asked { body, phase }));
        // What is behind is always ready, and a panic leaves nothing of it that is used again.
        let called = panic::catch_unwind(AssertUnwindSafe(|| self.service.clone().call(request)));
        let future = called.ok().map(|future| AssertUnwindSafe(future).catch_unwind());
        Answered { by_tls: self.by_tls, future, phase: self.phase.clone() }
    }
}

pin_project! {
    /// The answer of the service; 503 if it panics.
    pub(super) struct Answered<F> {
        by_tls: bool,
        #[pin]
        future: Option<CatchUnwind<AssertUnwindSafe<F>>>,
        phase: Phase,
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>>> Future for Answered<F> {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.future.as_pin_mut().map(|future| future.poll(cx)) {
            Some(Poll::Pending) => return Poll::Pending,
            Some(Poll::Ready(Ok(Ok(response)))) => response,
            Some(Poll::Ready(Err(_))) | None => after_panic(),
        };
        if *this.by_tls {
            // A browser that was here once never speaks plain http to this host again.
            let always = HeaderValue::from_static("max-age=31536000");
            response.headers_mut().entry(STRICT_TRANSPORT_SECURITY).or_insert(always);
        }
        let phase = this.phase.clone();
        Poll::Ready(Ok(response.map(|body| Answer { body, phase })))
    }
}

/// A request's body, which tells the connection when it was read to its end.
#[derive(Debug)]
struct Asked {
    body: Incoming,
    phase: Phase,
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // Whoever brings the rest, if there is any, is this connection itself.
        let (frame, woken) = quietly(|| Pin::new(&mut self.body).poll_frame(cx));
        let is_over = matches!(frame, Poll::Ready(None)) || self.body.is_end_stream();
        if woken && !is_over {
            cx.waker().wake_by_ref();
        }
        let frame = ready!(frame);
        if is_over {
            self.phase.set_unread(false);
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

/// An answer's body, which tells the connection when it has ended.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    phase: Phase,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.phase.set_answering(false);
    }
}

/// A stream that fails when a head that has begun, or the next one, does not arrive in time.
#[derive(Debug)]
pub(super) struct Timed<S> {
    head_begun: bool,
    linger: Option<Linger>,
    phase: Phase,
    /// Since when a head, or the next request, is waited for; `None` before it is.
    since: Option<Instant>,
    stream: S,
    timer: LazyTimer,
    times: Times,
}

/// What is read and thrown away after the end.
#[derive(Clone, Copy, Debug)]
struct Linger {
    bytes: usize,
    until: Instant,
}

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// For the end of a head that has begun.
    head: Duration,
    /// For the next request.
    rest: Duration,
}

impl<S> Timed<S> {
    fn new(stream: S, phase: Phase, within: Times) -> Self {
        // A new connection is there to send a head: its time runs from the start.
        let since = Instant::now();
        let timer = LazyTimer::new(since + within.head);
        let since = Some(since);
        Self { head_begun: true, linger: None, phase, since, stream, timer, times: within }
    }

    /// Whether a head is under way; a head that was taken is none any longer.
    fn has_begun(&mut self) -> bool {
        if self.phase.take_answered() {
            self.head_begun = false;
            self.since = None;
        }
        self.head_begun
    }

    /// Whether what is waited for is late.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wait = if self.head_begun { self.times.head } else { self.times.rest };
        let since = *self.since.get_or_insert_with(Instant::now);
        self.timer.poll_due(since + wait, cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.phase.is_answering() {
            return read;
        }
        if !self.has_begun() && buffer.filled().len() > before {
            self.head_begun = true;
            self.since = None;
        }
        if read.is_pending() {
            ready!(self.poll_late(cx));
            let late = io::Error::new(io::ErrorKind::TimedOut, "the request took too long");
            return Poll::Ready(Err(late));
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Timed<S> {
    /// Reads what the peer still sends until it stops, or the caps are reached.
    fn poll_linger(&mut self, cx: &mut Context<'_>, linger: &mut Linger) -> Poll<()> {
        let mut scratch = [0_u8; 4096];
        while linger.bytes < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    linger.bytes += buffer.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.timer.poll_due(linger.until, cx),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut linger = if let Some(linger) = self.linger {
            linger
        } else {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            Linger { bytes: 0, until: Instant::now() + LINGER }
        };
        if !self.has_begun() && !self.phase.is_unread() {
            // Nothing is under way that could arrive after the end and reset the connection.
            return Poll::Ready(Ok(()));
        }
        let done = self.poll_linger(cx, &mut linger);
        self.linger = Some(linger);
        done.map(Ok)
    }
}
