//! What stands behind the gateway: forwarding a permitted call, and what each backend offers.
//!
//! Invariant: a backend hears of a call only with a permit, a ticket and a clearance, and receives
//! an identity of ours, never the caller's token.

pub(crate) mod aside;
pub(crate) mod ask;
pub(crate) mod catalogue;
pub(crate) mod credential;
pub(crate) mod error;
pub(crate) mod forward;
pub(crate) mod mcp;
pub(crate) mod pool;
mod reaper;
pub(crate) mod relay;
mod rest;
pub(crate) mod session;
mod stream;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{
    sync::{Notify, mpsc::Receiver},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::{
    credential::Identities,
    error::BackendError,
    forward::{Relayed, forward, relay},
    relay::{Upstream, UpstreamBody},
};
use self::{
    mcp::{Outgoing, Target},
    pool::{Pool, PoolLimits, PooledBody},
    session::{Asked, Session, Sessions},
};
use crate::{config, rules, state::App};

/// Every backend, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Backends(Vec<Arc<Backend>>);

/// One MCP server, or one described by `OpenAPI`, behind the gateway.
#[derive(Debug)]
pub(crate) struct Backend {
    /// What it asked clients whose sessions are relayed.
    asked: Asked,
    catalogue: ArcSwapOption<rules::catalogue::Catalogue>,
    /// Told when the backend says that its lists changed.
    changed: Notify,
    config: config::Backend,
    /// Pooled sessions that are to be ended, until somebody sees to it.
    endings: Mutex<Option<Receiver<Session>>>,
    /// The gateway's own, for reading the catalogue.
    identities: Identities,
    pool: Pool,
    sessions: Sessions,
    target: Target,
    tasks: TaskTracker,
}

impl Backends {
    /// Prepares the backends; nothing is connected yet.
    pub(crate) fn new(config: &[config::Backend], tracker: &TaskTracker) -> Self {
        let backends = config.iter().filter_map(|config| Backend::new(config.clone(), tracker));
        Self(backends.map(Arc::new).collect())
    }

    /// The backend of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Backend>> {
        self.0.iter().find(|backend| *backend.config.name == *name)
    }

    /// Begins to keep every backend's catalogue.
    pub(crate) fn start(app: &App, tracker: &TaskTracker, shutdown: &CancellationToken) {
        for backend in &app.backends.0 {
            let backend = Arc::clone(backend);
            let endings = backend.endings.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(endings) = endings {
                let (backend, stop) = (Arc::clone(&backend), shutdown.clone());
                tracker.spawn(reaper::reap(backend, app.clone(), endings, stop));
            }
            tracker.spawn(catalogue::watch(backend, app.clone(), shutdown.clone()));
        }
    }
}

impl Backend {
    /// `None` where the URL is none that can be spoken to; the configuration has said so.
    fn new(config: config::Backend, tracker: &TaskTracker) -> Option<Self> {
        let target = Target::of(&config.url)?;
        let limits = PoolLimits { connect: config.connect_timeout, ..PoolLimits::default() };
        let (sessions, endings) = Sessions::new();
        let (host, tls) = (target.host.clone(), config.tls.clone());
        let pool = Pool::secure(host, target.port, limits, tracker.clone(), tls);
        Some(Self {
            asked: Asked::new(),
            catalogue: ArcSwapOption::from(
                config.api.as_ref().map(|api| Arc::clone(&api.catalogue)),
            ),
            changed: Notify::new(),
            config,
            endings: Mutex::new(Some(endings)),
            identities: Identities::default(),
            pool,
            sessions,
            target,
            tasks: tracker.clone(),
        })
    }

    /// What it offers, once that is known.
    pub(crate) fn catalogue(&self) -> Option<Arc<rules::catalogue::Catalogue>> {
        self.catalogue.load_full()
    }

    /// What it is configured to be.
    pub(crate) fn config(&self) -> &config::Backend {
        &self.config
    }

    /// Sends a request and waits for the head of its response.
    async fn exchange(&self, outgoing: Outgoing<'_>) -> Result<Response<PooledBody>, BackendError> {
        self.send(self.target.request(outgoing)).await
    }

    /// Sends any request and waits for the head of its response.
    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<PooledBody>, BackendError> {
        let sending = self.pool.send(request);
        let response = timeout(self.config.response_timeout, sending).await;
        Ok(response.map_err(|_| BackendError::Timeout)??)
    }

    /// Takes note of a notification that passes by.
    fn notice(&self, method: &str) {
        if method.starts_with("notifications/") && method.ends_with("/list_changed") {
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
