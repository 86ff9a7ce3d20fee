//! Kept-alive HTTP/1.1 connections to one backend.
//!
//! A request goes out a second time only if not a byte of it was sent: a tool call must not
//! happen twice. Dropping a response before its end closes its connection, which is how the
//! backend learns that the client has gone.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};
use tokio_util::task::TaskTracker;

/// How many connections a pool holds and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolLimits {
    /// How long a connection may take to open, or a request may wait for one.
    pub(crate) connect: Duration,
    /// How long an unused connection is kept.
    pub(crate) idle: Duration,
    /// How many requests may be under way.
    pub(crate) most: usize,
    /// How many unused connections are kept.
    pub(crate) most_idle: usize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            idle: Duration::from_secs(30),
            most: 2048,
            most_idle: 256,
        }
    }
}

/// Why no response came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    #[error("too many requests to it are under way")]
    Busy,
    #[error("it could not be connected to")]
    Connect(#[source] io::Error),
    #[error("connecting to it took too long")]
    ConnectTimeout,
    #[error("the exchange with it failed")]
    Exchange(#[source] hyper::Error),
}

/// The connections to one backend; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    closed: AtomicBool,
    host: String,
    /// Oldest first.
    idle: Mutex<VecDeque<Idle>>,
    limits: PoolLimits,
    permits: Arc<Semaphore>,
    port: u16,
    tasks: TaskTracker,
    tls: Option<Arc<ClientConfig>>,
}

type Sender = SendRequest<Full<Bytes>>;

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// A pool of plain connections for a host name or address without brackets, and a port.
    #[cfg(test)]
    pub(crate) fn new(host: String, port: u16, limits: PoolLimits, tasks: TaskTracker) -> Self {
        Self::secure(host, port, limits, tasks, None)
    }

    /// A pool of TLS connections, if it is given whom certificates may come from.
    pub(crate) fn secure(
        host: String,
        port: u16,
        limits: PoolLimits,
        tasks: TaskTracker,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        Self(Arc::new(Shared {
            closed: AtomicBool::new(false),
            host,
            idle: Mutex::default(),
            limits,
            permits: Arc::new(Semaphore::new(limits.most)),
            port,
            tasks,
            tls,
        }))
    }

    /// Sends a request in origin form; its `Host` is the caller's to set.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<PooledBody>, PoolError> {
        let permit = self.permit().await?;
        while let Some(mut sender) = self.0.take_idle() {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.lend(response, sender, permit)),
                // Only a request that was never begun comes back.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(PoolError::Exchange(error.into_error())),
                },
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(request).await.map_err(PoolError::Exchange)?;
        Ok(self.lend(response, sender, permit))
    }

    /// Closes unused connections, and others as soon as they would be unused.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.idle().clear();
    }

    /// Closes connections that have been unused for too long.
    pub(crate) fn sweep(&self) {
        self.0.sweep(&mut self.0.idle());
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, PoolError> {
        let permits = Arc::clone(&self.0.permits);
        // Most requests need no timer.
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            return Ok(permit);
        }
        match timeout(self.0.limits.connect, permits.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(PoolError::Busy),
        }
    }

    async fn connect(&self) -> Result<Sender, PoolError> {
        let open = async {
            let stream = TcpStream::connect((self.0.host.as_str(), self.0.port)).await;
            let stream = stream.map_err(PoolError::Connect)?;
            stream.set_nodelay(true).map_err(PoolError::Connect)?;
            let Some(tls) = &self.0.tls else { return self.handshake(stream).await };
            let name = ServerName::try_from(self.0.host.clone());
            let name = name.map_err(|error| PoolError::Connect(io::Error::other(error)))?;
            let secured = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
            self.handshake(secured.map_err(PoolError::Connect)?).await
        };
        timeout(self.0.limits.connect, open).await.map_err(|_| PoolError::ConnectTimeout)?
    }

    async fn handshake(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Sender, PoolError> {
        let (sender, connection) = Builder::new()
            .max_buf_size(HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(PoolError::Exchange)?;
        // Its error reaches the request that was under way.
        self.0.tasks.spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    fn lend(
        &self,
        response: Response<Incoming>,
        sender: Sender,
        permit: OwnedSemaphorePermit,
    ) -> Response<PooledBody> {
        response.map(|body| {
            let loan = Loan { permit, pool: self.clone(), sender };
            let mut body = PooledBody { body, loan: Some(loan) };
            if body.body.is_end_stream() {
                body.give_back();
            }
            body
        })
    }
}

const HEAD_BYTES: usize = 64 * 1024;

impl Shared {
    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection used last, so that the others can grow old.
    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle();
        while let Some(last) = idle.pop_back() {
            if last.since.elapsed() > self.limits.idle {
                idle.clear();
                return None;
            }
            if !last.sender.is_closed() {
                return Some(last.sender);
            }
        }
        None
    }

    fn put_idle(&self, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle();
        self.sweep(&mut idle);
        if !self.closed.load(Ordering::Acquire) && idle.len() < self.limits.most_idle {
            idle.push_back(Idle { sender, since: Instant::now() });
        }
    }

    fn sweep(&self, idle: &mut VecDeque<Idle>) {
        while idle.front().is_some_and(|oldest| oldest.since.elapsed() > self.limits.idle) {
            idle.pop_front();
        }
    }
}

/// A response's body; at its end the connection goes back to the pool, else it is closed.
#[derive(Debug)]
pub(crate) struct PooledBody {
    body: Incoming,
    loan: Option<Loan>,
}

#[derive(Debug)]
struct Loan {
    permit: OwnedSemaphorePermit,
    pool: Pool,
    sender: Sender,
}

impl PooledBody {
    fn give_back(&mut self) {
        if let Some(Loan { permit, pool, sender }) = self.loan.take() {
            pool.0.put_idle(sender);
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
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || (matches!(frame, Some(Ok(_))) && self.body.is_end_stream()) {
            self.give_back();
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

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::atomic::AtomicUsize};

    use axum::{Router, body::to_bytes, extract::ConnectInfo, routing::post};
    use http_body_util::BodyExt;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn request(body: &'static str) -> Request<Full<Bytes>> {
        let request = Request::post("/").header("host", "backend");
        request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
    }

    fn pool(address: SocketAddr, limits: PoolLimits) -> Pool {
        Pool::new(address.ip().to_string(), address.port(), limits, TaskTracker::new())
    }

    /// A server that answers with the port of the connection it was asked on.
    async fn echo_port() -> SocketAddr {
        let app = Router::new().route(
            "/",
            post(
                |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.port().to_string() },
            ),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
        address
    }

    async fn text(response: Response<PooledBody>) -> String {
        let body = to_bytes(axum::body::Body::new(response.into_body()), 1000).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_connection_is_used_again() {
        let pool = pool(echo_port().await, PoolLimits::default());
        let first = text(pool.send(request("")).await.unwrap()).await;
        let second = text(pool.send(request("")).await.unwrap()).await;
        assert_eq!(first, second);
        let (one, other) = tokio::join!(pool.send(request("")), pool.send(request("")));
        assert_ne!(text(one.unwrap()).await, text(other.unwrap()).await);
    }

    #[tokio::test]
    async fn a_connection_is_not_used_after_its_idle_time() {
        let limits = PoolLimits { idle: Duration::ZERO, ..PoolLimits::default() };
        let pool = pool(echo_port().await, limits);
        let first = text(pool.send(request("")).await.unwrap()).await;
        let second = text(pool.send(request("")).await.unwrap()).await;
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn requests_beyond_the_cap_wait_and_then_fail() {
        let limits =
            PoolLimits { connect: Duration::from_millis(50), most: 1, ..PoolLimits::default() };
        let pool = pool(echo_port().await, limits);
        let held = pool.send(request("")).await.unwrap();
        assert!(matches!(pool.send(request("")).await, Err(PoolError::Busy)));
        drop(held);
        assert!(pool.send(request("")).await.is_ok());
    }

    /// A server that closes each connection after one answer, or after reading the second
    /// request, without saying so in a header.
    async fn closing(
        answers_per_connection: usize,
        reads_on: bool,
    ) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        TaskTracker::new().spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 4096];
                for _ in 0..answers_per_connection {
                    if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
                        break;
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    stream.write_all(answer).await.unwrap();
                }
                if reads_on && stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        (address, seen)
    }

    #[tokio::test]
    async fn a_connection_the_backend_closed_is_replaced() {
        let (address, seen) = closing(1, false).await;
        let pool = pool(address, PoolLimits::default());
        for _ in 0..3 {
            assert_eq!(text(pool.send(request("x")).await.unwrap()).await, "ok");
            // The backend's end is read before the next request goes out.
            while pool.0.idle().back().is_some_and(|idle| !idle.sender.is_closed()) {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(seen.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_request_that_was_sent_is_not_sent_again() {
        let (address, seen) = closing(1, true).await;
        let pool = pool(address, PoolLimits::default());
        assert_eq!(text(pool.send(request("x")).await.unwrap()).await, "ok");
        assert!(matches!(pool.send(request("x")).await, Err(PoolError::Exchange(_))));
        assert_eq!(seen.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn dropping_a_response_closes_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = pool(listener.local_addr().unwrap(), PoolLimits::default());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nbegun").await.unwrap();
            while stream.read(&mut buffer).await.unwrap_or(0) > 0 {}
        };
        let client = async {
            let mut response = pool.send(request("")).await.unwrap();
            let frame = response.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "begun");
        };
        let both = async { tokio::join!(server, client) };
        timeout(Duration::from_secs(5), Box::pin(both)).await.unwrap();
    }

    #[tokio::test]
    async fn a_closed_pool_keeps_no_connection_open() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/", post(|| async { "ok" }));
        TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
        let tasks = TaskTracker::new();
        let (host, limits) = (address.ip().to_string(), PoolLimits::default());
        let pool = Pool::new(host, address.port(), limits, tasks.clone());
        text(pool.send(request("")).await.unwrap()).await;
        let held = pool.send(request("")).await.unwrap();
        pool.close();
        text(held).await;
        tasks.close();
        timeout(Duration::from_secs(5), tasks.wait()).await.unwrap();
    }

    #[tokio::test]
    async fn an_absent_backend_is_a_connect_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let pool = pool(address, PoolLimits::default());
        assert!(matches!(pool.send(request("")).await, Err(PoolError::Connect(_))));
    }
}
