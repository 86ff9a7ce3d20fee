//! Kept-alive HTTP/1.1 connections to one backend.
//!
//! A request goes out a second time only if not a byte of it was sent: a tool call must not
//! happen twice. Dropping a response before its end closes its connection, which is how the
//! backend learns that the client has gone.

mod body;
mod line;

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};
use tokio_util::either::Either;
use web::gathered::GatheredStream;

pub(crate) use self::body::PooledBody;
use self::{
    body::Loan,
    line::{Failed, Line},
};

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
    #[error("its answer did not begin in time")]
    Late,
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
    tls: Option<Arc<ClientConfig>>,
}

#[derive(Debug)]
struct Idle {
    line: Line,
    since: Instant,
}

impl Pool {
    /// A pool of plain connections for a host name or address without brackets, and a port.
    #[cfg(test)]
    pub(crate) fn new(host: String, port: u16, limits: PoolLimits) -> Self {
        Self::secure(host, port, limits, None)
    }

    /// A pool of TLS connections, if it is given whom certificates may come from.
    pub(crate) fn secure(
        host: String,
        port: u16,
        limits: PoolLimits,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        Self(Arc::new(Shared {
            closed: AtomicBool::new(false),
            host,
            idle: Mutex::default(),
            limits,
            permits: Arc::new(Semaphore::new(limits.most)),
            port,
            tls,
        }))
    }

    /// Sends a request in origin form, whose `Host` is the caller's to set, and waits for the head
    /// of its answer, no longer than `within` from `now` on.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        now: Instant,
        within: Duration,
    ) -> Result<Response<PooledBody>, PoolError> {
        let due = now + within;
        let permit = match Arc::clone(&self.0.permits).try_acquire_owned() {
            Ok(permit) => permit,
            // Boxed, because most requests wait for nothing.
            Err(_) => Box::pin(by(due, self.permit())).await?,
        };
        loop {
            let idle = self.0.take_idle(now);
            let is_new = idle.is_none();
            let mut line = match idle {
                Some(line) => line,
                None => Box::pin(by(due, self.connect())).await?,
            };
            match line.exchange(request, due).await {
                Ok(response) => return Ok(self.lend(response, line, permit)),
                // A connection may end while it is unused, but not when it has just been opened.
                Err(Failed::Unsent(unsent, _)) if !is_new => request = *unsent,
                Err(Failed::Broken(error) | Failed::Unsent(_, error)) => {
                    return Err(PoolError::Exchange(error));
                }
                Err(Failed::Late) => return Err(PoolError::Late),
            }
        }
    }

    /// Closes unused connections, and others as soon as they would be unused.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.idle().clear();
    }

    /// Closes connections that have been unused for too long, or that the backend has closed.
    pub(crate) fn sweep(&self) {
        let mut idle = self.0.idle();
        self.0.sweep(&mut idle, Instant::now());
        idle.retain_mut(|held| held.line.is_free());
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, PoolError> {
        let permits = Arc::clone(&self.0.permits).acquire_owned();
        match timeout(self.0.limits.connect, permits).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(PoolError::Busy),
        }
    }

    async fn connect(&self) -> Result<Line, PoolError> {
        let open = async {
            let stream = TcpStream::connect((self.0.host.as_str(), self.0.port)).await;
            let stream = stream.map_err(PoolError::Connect)?;
            stream.set_nodelay(true).map_err(PoolError::Connect)?;
            let stream = GatheredStream::new(stream);
            let stream = match &self.0.tls {
                None => Either::Left(stream),
                Some(tls) => {
                    let name = ServerName::try_from(self.0.host.clone());
                    let name = name.map_err(|error| PoolError::Connect(io::Error::other(error)))?;
                    let secured = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
                    Either::Right(Box::new(secured.map_err(PoolError::Connect)?))
                }
            };
            Line::over(stream).await.map_err(PoolError::Exchange)
        };
        timeout(self.0.limits.connect, open).await.map_err(|_| PoolError::ConnectTimeout)?
    }

    fn lend(
        &self,
        response: Response<Incoming>,
        line: Line,
        permit: OwnedSemaphorePermit,
    ) -> Response<PooledBody> {
        let loan = Loan { line, permit, pool: self.clone() };
        response.map(|body| PooledBody::new(body, loan))
    }
}

/// What comes of it, if that is known by then.
async fn by<T>(
    due: Instant,
    future: impl Future<Output = Result<T, PoolError>>,
) -> Result<T, PoolError> {
    let done = timeout_at(due, future).await.map_err(|_| PoolError::Late)??;
    // Nothing is begun that is late already.
    if Instant::now() < due { Ok(done) } else { Err(PoolError::Late) }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection used last, so that the others can grow old.
    fn take_idle(&self, now: Instant) -> Option<Line> {
        loop {
            let Idle { mut line, since } = self.idle().pop_back()?;
            if now.duration_since(since) > self.limits.idle {
                self.idle().clear();
                return None;
            }
            if line.is_free() {
                return Some(line);
            }
        }
    }

    fn put_idle(&self, mut line: Line) {
        if !line.was_free() {
            return;
        }
        let since = Instant::now();
        let mut idle = self.idle();
        self.sweep(&mut idle, since);
        if !self.closed.load(Ordering::Acquire) && idle.len() < self.limits.most_idle {
            idle.push_back(Idle { line, since });
        }
    }

    fn sweep(&self, idle: &mut VecDeque<Idle>, now: Instant) {
        let is_old = |held: &Idle| now.duration_since(held.since) > self.limits.idle;
        while idle.front().is_some_and(is_old) {
            idle.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
