//! One HTTP/1.1 connection (RFC 9112 section 9): its deadlines and the way it is closed.
//!
//! The HTTP library has one timer for a head and for the rest between requests, which want 5
//! seconds and a minute: so the wait for a head that has begun is timed here, at the socket.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::http1::{Builder, Connection},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tower::Service as _;

use super::ServeOptions;

/// The largest request head; a larger one is answered 431.
const MAX_HEAD: usize = 32 << 10;
const MAX_BUFFER: usize = 64 << 10;
/// What is read and thrown away, and for how long, before a connection is closed on a peer that
/// still sends: closing at once would reset it, and the peer would lose the answer.
const LINGER_BYTES: usize = 1 << 20;
const LINGER: Duration = Duration::from_secs(2);

/// The connection as a future that ends with it.
pub(super) fn http1<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    options: &ServeOptions,
) -> Connection<TokioIo<Timed<S>>, Handler> {
    let phase = Phase::default();
    let io = TokioIo::new(Timed::new(stream, phase.clone(), options.header_timeout));
    Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.idle_timeout)
        .max_buf_size(MAX_BUFFER)
        .max_header_size(MAX_HEAD)
        .serve_connection(io, Handler { peer, phase, router })
}

/// Where the connection is between two heads, as socket, request and answer see it.
#[derive(Clone, Debug, Default)]
struct Phase(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// A request is being answered; otherwise the connection waits for a head.
    answering: AtomicBool,
    /// The request's body has not been read to its end.
    unread: AtomicBool,
}

impl Phase {
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

/// Hands requests to the router, with the peer's address.
#[derive(Debug)]
pub(super) struct Handler {
    peer: SocketAddr,
    phase: Phase,
    router: Router,
}

impl Service<Request<Incoming>> for Handler {
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;
    type Response = Response<Answer>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.phase.set_answering(true);
        self.phase.set_unread(!request.body().is_end_stream());
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let asked = self.phase.clone();
        let request = request.map(|body| Body::new(Asked { body, phase: asked }));
        let phase = self.phase.clone();
        // A router is always ready.
        let answer = self.router.clone().call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Answer { body, phase })) })
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
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
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

/// A stream that fails when a head that has begun does not arrive in time.
#[derive(Debug)]
pub(super) struct Timed<S> {
    deadline: Pin<Box<Sleep>>,
    head_begun: bool,
    header_timeout: Duration,
    lingered: Option<usize>,
    phase: Phase,
    stream: S,
}

impl<S> Timed<S> {
    fn new(stream: S, phase: Phase, header_timeout: Duration) -> Self {
        // A new connection is there to send a head: its time runs from the start.
        let deadline = Box::pin(sleep(header_timeout));
        Self { deadline, head_begun: true, header_timeout, lingered: None, phase, stream }
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
            self.head_begun = false;
            return read;
        }
        if buffer.filled().len() > before && !self.head_begun {
            self.head_begun = true;
            let deadline = Instant::now() + self.header_timeout;
            self.deadline.as_mut().reset(deadline);
        }
        if read.is_pending() && self.head_begun {
            ready!(self.deadline.as_mut().poll(cx));
            let late = io::Error::new(io::ErrorKind::TimedOut, "the request head took too long");
            return Poll::Ready(Err(late));
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Timed<S> {
    /// Reads what the peer still sends until it stops, or the caps are reached.
    fn poll_linger(&mut self, cx: &mut Context<'_>, lingered: &mut usize) -> Poll<()> {
        let mut scratch = [0_u8; 4096];
        while *lingered < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    *lingered += buffer.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.deadline.as_mut().poll(cx),
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
        let mut lingered = if let Some(lingered) = self.lingered {
            lingered
        } else {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            let deadline = Instant::now() + LINGER;
            self.deadline.as_mut().reset(deadline);
            0
        };
        if !self.head_begun && !self.phase.is_unread() {
            // Nothing is under way that could arrive after the end and reset the connection.
            return Poll::Ready(Ok(()));
        }
        let done = self.poll_linger(cx, &mut lingered);
        self.lingered = Some(lingered);
        done.map(Ok)
    }
}
