//! What stands behind the gateway: forwarding a permitted call, and what each backend offers.
//!
//! Invariant: a backend hears of a call only with a permit, a ticket and a clearance, and receives
//! an identity of ours, never the caller's token.

pub(crate) mod aside;
pub(crate) mod ask;
mod breaker;
pub(crate) mod catalogue;
pub(crate) mod credential;
pub(crate) mod error;
pub(crate) mod forward;
pub(crate) mod mcp;
pub(crate) mod pool;
mod reaper;
pub(crate) mod relay;
mod rest;
mod sending;
pub(crate) mod session;
mod stream;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, mpsc::Receiver};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    breaker::Breaker,
    mcp::Target,
    pool::Pool,
    session::{Asked, Ending, Sessions},
};
pub(crate) use self::{
    breaker::{BreakerLimits, Health},
    credential::Identities,
    error::BackendError,
    forward::{Relayed, forward, relay},
    pool::PoolLimits,
    relay::{Upstream, UpstreamBody},
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
    breaker: Breaker,
    catalogue: ArcSwapOption<rules::catalogue::Catalogue>,
    /// Told when the backend says that its lists changed.
    changed: Notify,
    config: config::Backend,
    /// Pooled sessions that are to be ended, until somebody sees to it.
    endings: Mutex<Option<Receiver<Ending>>>,
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
        let limits = config.connection.pool;
        let (sessions, endings) = Sessions::new();
        let (host, tls) = (target.host.clone(), config.tls.clone());
        let pool = Pool::secure(host, target.port, limits, tracker.clone(), tls);
        Some(Self {
            asked: Asked::new(),
            breaker: Breaker::new(config.connection.breaker),
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

    /// Takes note of a notification that passes by.
    fn notice(&self, method: &str) {
        if method.starts_with("notifications/") && method.ends_with("/list_changed") {
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
