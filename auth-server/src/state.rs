//! What a handler can reach, and what is made of it at start.

use std::{
    net::{IpAddr, SocketAddr},
    ops::Deref,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use keys::KeyEncryptionKeys;
use serde_json::Value;
use shared::{
    ids::ClientId,
    internal::{Cursor, Events, Usage},
    time::Clock,
};
use tokio_util::sync::CancellationToken;
use web::{
    cookie::Cookie,
    limits::{AddressLimits, Budget, Limited},
    traces::Tracer,
};

use crate::{
    accounts::{AccountError, Accounts, Throttle, Workspaces},
    audit::Event,
    audit_log::AuditLog,
    client_limits::ClientLimits,
    config::{Config, Registration},
    endpoints::metadata,
    engine::Engine,
    key_sets::{KeyChangeError, KeySets},
    metrics::Metrics,
    mint::{self, NoRandomness},
    outbound::{Due, Outbound},
    rules::{
        client::{Client, Origin},
        client_document::is_document,
    },
    store::{Store, StoreError, Transfer},
    upstream::{HttpError, Upstreams},
};

/// Everything a request needs; cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts of an [`App`].
#[derive(Clone, Debug)]
pub struct Parts {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) audit_log: Arc<AuditLog>,
    /// Where the sweep of clients goes on.
    pub(crate) client_sweep: Arc<Mutex<Option<String>>>,
    pub(crate) clock: Clock,
    pub(crate) config: Arc<Config>,
    pub(crate) cookies: Arc<Cookies>,
    pub(crate) keys: Arc<KeySets>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) metrics: Arc<Metrics>,
    /// The metadata document's bytes: they change only with the configuration.
    pub(crate) metadata: Bytes,
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) store: Arc<dyn Store>,
    /// What requests are traced with, if they are.
    pub(crate) traces: Option<Tracer>,
    /// Providers that people sign in with.
    pub(crate) upstreams: Arc<Upstreams>,
    /// The store as back-ups read it.
    pub(crate) whole: Arc<dyn Transfer>,
    pub(crate) workspaces: Arc<Workspaces>,
}

/// Why auth-server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("the keys cannot be opened")]
    Key(#[from] KeyChangeError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a provider that people sign in with cannot be used")]
    Upstream(#[from] HttpError),
}

/// The cookies of pages.
#[derive(Debug)]
pub(crate) struct Cookies {
    /// Names the browser before anybody is signed in.
    pub(crate) browser: Cookie,
    /// Names the signed-in session.
    pub(crate) session: Cookie,
}

/// Budgets, apart from one another so that a flood of one never starves another.
#[derive(Debug)]
pub(crate) struct Limits {
    by_address: AddressLimits,
    pub(crate) clients: ClientLimits,
    pub(crate) sign_in: Throttle,
}

/// Hosted clients share few addresses, so budgets per address are wide.
const BUDGETS: [Budget; 4] = [
    Budget { name: INTROSPECTION, burst: 6000, per_minute: 6000 },
    Budget { name: PAGES, burst: 600, per_minute: 600 },
    Budget { name: REGISTRATION, burst: 300, per_minute: 120 },
    Budget { name: TOKEN, burst: 6000, per_minute: 6000 },
];
pub(crate) const INTROSPECTION: &str = "introspection";
pub(crate) const PAGES: &str = "pages";
pub(crate) const REGISTRATION: &str = "registration";
pub(crate) const TOKEN: &str = "token";

impl App {
    /// Opens the state: keys are made at the first start and read afterwards.
    pub async fn open(
        config: Config,
        engine: Engine,
        clock: Clock,
        key: impl Into<KeyEncryptionKeys>,
    ) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let observed = Arc::clone(&metrics);
        engine.observe(Arc::new(move |verb, took, done| observed.store(verb, took, done)));
        let whole = engine.whole(&clock)?;
        let store = engine.open(&clock).await?;
        let keys = KeySets::open(
            Arc::clone(&store),
            key.into(),
            config.keys.clone(),
            clock.clone(),
            mint::token_id()?,
        )
        .await?;
        let login = format!("{}{}", config.origin(), config.path("/login"));
        let upstreams = Upstreams::open(config.upstreams.clone(), &login, &clock)?;
        let cookies = Cookies {
            browser: Cookie::new("vestibule-auth", "browser", config.public()),
            session: Cookie::new("vestibule-auth", "session", config.public()),
        };
        Ok(Self(Arc::new(Parts {
            accounts: Arc::new(Accounts::open(&config.users, Arc::clone(&store))?),
            audit_log: Arc::new(AuditLog::new(Arc::clone(&store), config.audit)),
            client_sweep: Arc::default(),
            outbound: Arc::new(Outbound::new(
                &config.outbound,
                &config.keys.algorithms,
                clock.clone(),
                Arc::clone(&store),
            )),
            clock,
            cookies: Arc::new(cookies),
            keys: Arc::new(keys),
            limits: Arc::new(Limits::new(config.new_clients_per_minute)),
            metadata: metadata::document(&config),
            metrics,
            upstreams: Arc::new(upstreams),
            workspaces: Arc::new(Workspaces::open(&config.workspaces, Arc::clone(&store))),
            config: Arc::new(config),
            store,
            traces: None,
            whole,
        })))
    }

    /// The same server, whose requests are traced if this is given.
    #[must_use]
    pub fn traced(&self, traces: Option<Tracer>) -> Self {
        Self(Arc::new(Parts { traces, ..Parts::clone(self) }))
    }

    /// The same server under another configuration. People, workspaces, providers, keys and what
    /// is dialled are those of the start.
    #[must_use]
    pub fn reconfigured(&self, config: Config) -> Self {
        let metadata = metadata::document(&config);
        Self(Arc::new(Parts { metadata, config: Arc::new(config), ..Parts::clone(self) }))
    }

    /// The same server with other keys and their store.
    #[cfg(test)]
    pub(crate) fn with_keys(&self, keys: Arc<KeySets>, store: Arc<dyn Store>) -> Self {
        Self(Arc::new(Parts { keys, store, ..Parts::clone(self) }))
    }

    /// The published keys (RFC 7517), for a gateway in the same process.
    pub fn jwks(&self) -> Bytes {
        self.keys.held().jwks.clone()
    }

    /// The metadata document (RFC 8414), for a gateway in the same process.
    pub fn metadata(&self) -> Bytes {
        self.metadata.clone()
    }

    /// The feed of revocations: a snapshot, or what came since the cursor; nothing new is an
    /// answer too. While the store is not seen that is said soon, so that a gateway knows why.
    pub async fn events(&self, after: Option<&Cursor>) -> Result<Events, StoreError> {
        let read = tokio::time::timeout(FEED_PATIENCE, self.read_events(after)).await;
        read.unwrap_or_else(|_| {
            let why = "it did not answer in time".to_owned();
            Err(StoreError::Engine(store::StoreError::Unavailable(why)))
        })
    }

    async fn read_events(&self, after: Option<&Cursor>) -> Result<Events, StoreError> {
        let mut feed = self.store.feed(after.map(|cursor| cursor.seq)).await?;
        let known =
            after.is_some_and(|cursor| cursor.epoch == feed.epoch && cursor.seq <= feed.last);
        if after.is_some() && !known {
            feed = self.store.feed(None).await?;
        }
        if !known {
            let keys = self.keys.revoked().into_iter();
            feed.events.extend(keys.map(|key| shared::internal::Event::Key { key }));
        }
        let cursor = Cursor { epoch: feed.epoch, seq: feed.last };
        let key_set_version = self.keys.held().verifying.version();
        Ok(Events { cursor, events: feed.events, key_set_version, snapshot: !known })
    }

    /// Takes a gateway's report: receipts say which generations arrived.
    pub async fn report(&self, usage: &Usage) -> Result<(), StoreError> {
        self.store.confirm_all(&usage.receipts, self.clock.now()).await?;
        self.note_key_uses(&usage.keys).await?;
        self.note_verifier(usage).await
    }

    /// Forgets what has expired. Call it every minute.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        self.limits.by_address.sweep();
        self.limits.sign_in.sweep(self.clock.now());
        self.limits.clients.sweep();
        let clients = self.sweep_clients().await?;
        self.store.mark(self.clock.now()).await?;
        let swept = self.store.sweep(self.clock.now()).await?;
        self.outbound.refresh_due().await;
        Ok(clients + swept)
    }

    /// A client: of the deployment file, of an operator, known by its document, or registered
    /// where registration is open. Nothing is fetched.
    pub(crate) async fn client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        let configured = self.config.clients.iter().find(|client| client.id == *id);
        if configured.is_some() {
            return Ok(configured.cloned());
        }
        if is_document(id) {
            let held =
                if self.config.outbound.documents { self.outbound.held(id).await? } else { None };
            if held.as_ref().is_some_and(|(_, fresh)| !fresh) {
                self.outbound.note_due(Due::Document(id.clone()));
            }
            return Ok(held.map(|(client, _)| client));
        }
        let is_closed = self.config.registration == Registration::Closed;
        let is_known = |client: &Client| match client.origin {
            Origin::File => false,
            Origin::Open => !is_closed,
            Origin::Document | Origin::Operator | Origin::Token => true,
        };
        Ok(self.store.client(id).await?.filter(is_known))
    }

    /// Keeps a security event: in the log at once, in the store as soon as it can be written.
    pub(crate) fn audit(&self, event: &Event<'_>) {
        event.record();
        let value = serde_json::to_value(event).unwrap_or_default();
        self.metrics.event(value.get("event").and_then(Value::as_str).unwrap_or("other"));
        self.audit_log.keep(value, self.clock.now());
    }

    /// Writes security events to the store until the shutdown. Run it in the background.
    pub async fn keep_audit(self, shutdown: CancellationToken) {
        self.audit_log.run(shutdown).await;
    }

    /// Writes the security events that wait, before the process ends.
    pub async fn flush_audit(&self) -> Result<(), StoreError> {
        self.audit_log.flush().await
    }

    /// The client's address of a request.
    pub(crate) fn address(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        self.config.trusted_proxies.client_address(peer.ip(), headers)
    }
}

impl Limits {
    fn new(new_clients_per_minute: u32) -> Self {
        Self {
            by_address: AddressLimits::new(&BUDGETS, 100_000),
            clients: ClientLimits::new(new_clients_per_minute),
            sign_in: Throttle::default(),
        }
    }

    /// Charges an address one request.
    pub(crate) fn charge(&self, budget: &'static str, address: IpAddr) -> Result<(), Limited> {
        self.by_address.check(budget, address)
    }
}

/// What of an address is one user's: all of an IPv4 address, the /64 of an IPv6 one.
pub(crate) fn network(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().into_iter().take(8).collect(),
    }
}

/// How long the store may take to tell its feed; a gateway asks again before that matters.
const FEED_PATIENCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_about_tokens_spends_nothing_of_who_gets_them() {
        let (limits, address) = (Limits::new(1200), IpAddr::from([192, 0, 2, 1]));
        let asked = (0..20_000).filter(|_| limits.charge(INTROSPECTION, address).is_ok()).count();
        assert!((6000..20_000).contains(&asked), "{asked}");
        assert_eq!(limits.charge(TOKEN, address), Ok(()));
    }
}
