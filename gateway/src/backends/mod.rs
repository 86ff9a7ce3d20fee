//! What stands behind the gateway: forwarding a permitted call, and what each backend offers.
//!
//! Invariant: a backend hears of a call only with a permit, a ticket and a clearance, and receives
//! an identity of ours, never the caller's token.

pub(crate) mod aside;
pub(crate) mod ask;
mod authorization;
mod breaker;
pub(crate) mod catalogue;
pub(crate) mod credential;
pub(crate) mod error;
mod exchange;
pub(crate) mod forward;
pub(crate) mod mcp;
pub(crate) mod pool;
mod reaper;
pub(crate) mod relay;
mod rest;
mod sending;
pub(crate) mod session;
mod stream;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwapOption, Guard};
use tokio::{
    sync::{Notify, mpsc::Receiver},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::{
    authorization::describe,
    breaker::{BreakerLimits, Health},
    credential::Identities,
    error::BackendError,
    forward::{Relayed, forward, relay},
    mcp::Target,
    pool::{Pool, PoolLimits},
    relay::{Upstream, UpstreamBody},
};
use self::{
    breaker::Breaker,
    exchange::Exchange,
    session::{Asked, Ending, Sessions},
};
use crate::{
    config::{self, IdentityMode},
    gateway::Gateway,
    rules,
};

/// How long a backend that is configured no longer may take to hear of its sessions' end.
const RETIREMENT: Duration = Duration::from_secs(10);

/// Every backend, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Backends(Vec<Arc<Backend>>);

/// One MCP server, or one described by `OpenAPI`, behind the gateway.
#[derive(Debug)]
pub(crate) struct Backend {
    /// What it asked clients whose sessions are relayed.
    asked: Arc<Asked>,
    breaker: Breaker,
    catalogue: ArcSwapOption<rules::catalogue::Catalogue>,
    /// Told when the backend says that its lists changed.
    changed: Notify,
    config: config::Backend,
    /// Pooled sessions that are to be ended, until somebody sees to it.
    endings: Mutex<Option<Receiver<Ending>>>,
    /// Where identities are exchanged for tokens, if they are.
    exchange: Option<Exchange>,
    /// The gateway's own, for reading the catalogue.
    identities: Identities,
    pool: Pool,
    sessions: Sessions,
    /// Ends what keeps its catalogue, at the shutdown or when no configuration names it any longer.
    stop: CancellationToken,
    target: Target,
    tasks: TaskTracker,
}

impl Backends {
    /// Prepares the backends; nothing is connected yet.
    pub(crate) fn new(
        config: &[config::Backend],
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        Self(Vec::new()).renewed(config, tracker, shutdown)
    }

    /// The backends of another configuration. Those that are configured as before are the same,
    /// with their connections, sessions and catalogues.
    pub(crate) fn renewed(
        &self,
        config: &[config::Backend],
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        let backends = config.iter().filter_map(|config| {
            let held = self.find(&config.name);
            if let Some(same) = held.filter(|held| held.config.fingerprint == config.fingerprint) {
                return Some(Arc::clone(same));
            }
            let mut backend = Backend::new(config.clone(), tracker, shutdown)?;
            if let Some(held) = held.filter(|held| held.is_the_server_of(&backend)) {
                // What it offers is known, and what it asked clients of relayed sessions too.
                backend.asked = Arc::clone(&held.asked);
                backend.catalogue = ArcSwapOption::from(held.catalogue());
            }
            Some(Arc::new(backend))
        });
        Self(backends.collect())
    }

    /// Those that the other configuration does not have.
    pub(crate) fn without(&self, other: &Self) -> Vec<Arc<Backend>> {
        let is_gone = |one: &&Arc<Backend>| !other.0.iter().any(|held| Arc::ptr_eq(held, one));
        self.0.iter().filter(is_gone).cloned().collect()
    }

    /// The names of those whose catalogue is not known.
    pub(crate) fn unread(&self) -> Vec<&str> {
        let unread = self.0.iter().filter(|backend| backend.catalogue().is_none());
        unread.map(|backend| &*backend.config.name).collect()
    }

    /// The backend of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Backend>> {
        self.0.iter().find(|backend| *backend.config.name == *name)
    }

    /// Reads again the files of what backends ask of everybody.
    pub(crate) fn read_credentials(&self) {
        for backend in &self.0 {
            if let Some(credential) = &backend.config.credential {
                credential.refresh(&backend.config.name);
            }
        }
    }

    /// Begins to keep the catalogue of every backend for which that was not begun yet.
    pub(crate) fn start(&self, gateway: &Gateway, tracker: &TaskTracker) {
        for backend in &self.0 {
            let endings = backend.endings.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(endings) = endings {
                tracker.spawn(reaper::reap(Arc::clone(backend), gateway.clone(), endings));
                tracker.spawn(catalogue::watch(Arc::clone(backend), gateway.clone()));
            }
        }
    }
}

impl Backend {
    /// `None` where the URL is none that can be spoken to; the configuration has said so.
    fn new(
        config: config::Backend,
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Option<Self> {
        let target = Target::of(&config.url)?;
        let limits = config.connection.pool;
        let (sessions, endings) = Sessions::new();
        let (host, tls) = (target.host.clone(), config.tls.clone());
        let pool = Pool::secure(host, target.port, limits, tls);
        let exchange = match &config.identity.mode {
            IdentityMode::Exchanged(exchange) => {
                Some(Exchange::new((**exchange).clone(), config.fingerprint)?)
            }
            _ => None,
        };
        Some(Self {
            asked: Arc::new(Asked::new()),
            breaker: Breaker::new(config.connection.breaker),
            catalogue: ArcSwapOption::from(
                config.api.as_ref().map(|api| Arc::clone(&api.catalogue)),
            ),
            changed: Notify::new(),
            config,
            endings: Mutex::new(Some(endings)),
            exchange,
            identities: Identities::default(),
            pool,
            sessions,
            stop: shutdown.child_token(),
            target,
            tasks: tracker.clone(),
        })
    }

    /// What it offers, once that is known.
    pub(crate) fn catalogue(&self) -> Option<Arc<rules::catalogue::Catalogue>> {
        self.catalogue.load_full()
    }

    /// The same, for a look at it.
    pub(crate) fn catalogue_in_use(&self) -> Guard<Option<Arc<rules::catalogue::Catalogue>>> {
        self.catalogue.load()
    }

    /// Ends its pooled sessions, and after a while what keeps its catalogue: no configuration names
    /// it any longer. Calls under way go on.
    pub(crate) async fn retire(self: Arc<Self>) {
        self.sessions.sweep(|_| true);
        self.stop.run_until_cancelled(sleep(RETIREMENT)).await;
        self.stop.cancel();
    }

    /// Whether both are one server, however it is configured.
    fn is_the_server_of(&self, other: &Self) -> bool {
        let (held, other) = (&self.config, &other.config);
        held.url == other.url && held.api.is_none() && other.api.is_none()
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
