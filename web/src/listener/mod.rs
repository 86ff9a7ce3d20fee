//! The accept loop: HTTP/1.1, plain or over TLS, with a deadline for handshakes and request heads,
//! a cap on connections, and an end that waits for answers under way but not for ever.

mod addresses;
mod connection;
pub mod tls;

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{body::Body, response::IntoResponse};
use http::{Request, Response};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::server::TlsStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use self::{addresses::Addresses, tls::Certificates};
use crate::{
    client_address::TrustedProxies, gathered::GatheredStream, problem::Problem, quiet::QuietWaker,
};

/// How long accepting pauses when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a client is read from that spoke plain http.
const MOST_READS: usize = 16;
/// The first byte of a TLS handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;
/// What a client that speaks plain http to a port with TLS is told.
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\
    connection: close\r\ncontent-length: 32\r\n\r\nThis port speaks https. Use it.\n";

/// The listener's limits.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// How long answers under way may take once the shutdown began; then they are cut.
    pub drain: Duration,
    /// How long a request's head may take to arrive, counted from its first byte, and on a new
    /// connection from the start. A TLS handshake may take as long again.
    pub header_timeout: Duration,
    /// How long a connection may rest between requests. Keep it above the idle time of the
    /// clients' pools: a client that reuses a connection just as it is closed loses a request.
    pub idle_timeout: Duration,
    /// Connections beyond this wait in the operating system's queue.
    pub max_connections: u32,
    /// Connections of one client address beyond this are closed at once.
    pub max_per_address: u32,
    /// Their connections are not counted: they speak for many.
    pub proxies: TrustedProxies,
    /// With certificates every connection speaks TLS; without, none does.
    pub tls: Option<Certificates>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(10),
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(95),
            max_connections: 4096,
            max_per_address: 1024,
            proxies: TrustedProxies::default(),
            tls: None,
        }
    }
}

/// What answers requests: a router, or something of a service's own. It is always ready.
pub trait Answering:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Answering for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Serves requests on every listener until `shutdown`, then stops accepting, drains, and
/// returns when the last connection has ended. Handlers find the peer's address as
/// `axum::extract::ConnectInfo<SocketAddr>`; a handler that panics answers 503.
pub async fn serve<S: Answering>(
    listeners: Vec<TcpListener>,
    service: S,
    options: ServeOptions,
    shutdown: CancellationToken,
    tracker: TaskTracker,
) {
    let permits = Arc::new(Semaphore::new(options.max_connections as usize));
    let max_connections = options.max_connections;
    let addresses = Addresses::new(options.max_per_address, options.proxies.clone());
    let server = Arc::new(Server { addresses, options, permits, service, shutdown, tracker });
    for listener in listeners {
        let server = Arc::clone(&server);
        let tracker = server.tracker.clone();
        tracker.spawn(async move { server.accept_all(listener).await });
    }
    server.shutdown.cancelled().await;
    // Every connection holds a permit, so all permits are free when none is left.
    let _all_ended = server.permits.acquire_many(max_connections).await;
}

struct Server<S> {
    addresses: Addresses,
    options: ServeOptions,
    permits: Arc<Semaphore>,
    service: S,
    shutdown: CancellationToken,
    tracker: TaskTracker,
}

impl<S: Answering> Server<S> {
    async fn accept_all(self: Arc<Self>, listener: TcpListener) {
        let stop = self.shutdown.clone();
        while let Some(Some((permit, stream, peer))) =
            stop.run_until_cancelled(self.accept(&listener)).await
        {
            let Some(room) = self.addresses.open(peer.ip()) else {
                tracing::info!(%peer, "an address holds too many connections");
                continue;
            };
            let server = Arc::clone(&self);
            self.tracker.spawn(async move {
                server.connection(stream, peer).await;
                drop((permit, room));
            });
        }
    }

    /// Waits for room, then for a connection.
    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> Option<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((permit, stream, peer)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream, peer: SocketAddr) {
        // Without it small answers wait for the peer's delayed acknowledgement.
        let _best_effort = stream.set_nodelay(true);
        match &self.options.tls {
            None => self.http(GatheredStream::new(stream), peer).await,
            // Apart, so that a connection without TLS does not hold the room for one.
            Some(certificates) => Box::pin(self.https(stream, peer, certificates)).await,
        }
    }

    async fn https(&self, stream: TcpStream, peer: SocketAddr, certificates: &Certificates) {
        let handshake = timeout(self.options.header_timeout, handshake(stream, certificates));
        // Its room is given back before the first request.
        let secured = self.shutdown.run_until_cancelled(Box::pin(handshake)).await;
        match secured {
            Some(Ok(Ok(stream))) => self.http(stream, peer).await,
            Some(Ok(Err(error))) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
            Some(Err(_)) => tracing::debug!(%peer, "a TLS handshake took too long"),
            None => {}
        }
    }

    async fn http<I>(&self, stream: I, peer: SocketAddr)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = connection::http1(stream, peer, self.service.clone(), &self.options);
        let mut connection = pin!(connection);
        let first = until(&self.shutdown, connection.as_mut()).await;
        let ended = if let Some(ended) = first {
            Ok(ended)
        } else {
            connection.as_mut().graceful_shutdown();
            timeout(self.options.drain, connection).await
        };
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%peer, %error, "a connection ended early"),
            Err(_) => tracing::debug!(%peer, "a connection was cut at the drain deadline"),
        }
    }
}

/// Speaks TLS with a client; one that speaks plain http instead is told so.
async fn handshake(
    mut stream: TcpStream,
    certificates: &Certificates,
) -> std::io::Result<TlsStream<GatheredStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
        stream.write_all(SPEAK_TLS).await?;
        stream.shutdown().await?;
        // Closing on what the client still sends would reset the connection and lose the answer.
        let mut rest = [0; 4096];
        for _ in 0..MOST_READS {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        return Err(std::io::Error::other("the client spoke no TLS"));
    }
    certificates.acceptor().accept(GatheredStream::new(stream)).await
}

/// What the future comes to, or nothing after the shutdown. The token is asked to wake this task
/// once, and not each time the connection is looked at.
async fn until<F: Future>(
    shutdown: &CancellationToken,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    let mut cancelled = pin!(shutdown.cancelled());
    let mut woken_by: Option<Waker> = None;
    let quiet = Arc::new(QuietWaker::default());
    let waker = quiet.waker();
    poll_fn(|cx| {
        if woken_by.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            woken_by = Some(cx.waker().clone());
            let _registered = cancelled.as_mut().poll(cx);
        }
        if shutdown.is_cancelled() {
            return Poll::Ready(None);
        }
        quiet.wakes(cx.waker());
        future.as_mut().poll(&mut Context::from_waker(&waker)).map(Some)
    })
    .await
}

fn after_panic() -> Response<Body> {
    tracing::error!("a request handler panicked");
    Problem::unavailable("the request could not be handled", 5).into_response()
}

#[cfg(test)]
mod tests;
