//! What a handler can reach.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderValue;
use keys::{KeyError, KeySet, Pace, SecretRing, SigningKey};
use shared::time::Clock;
use store::Redis;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use web::{client_address::TrustedProxies, traces::Tracer};

use crate::{
    api_keys::ApiKeys,
    audit::AuditLines,
    authority::Authority,
    backends::Backends,
    claims::ClaimsCache,
    config::Config,
    endpoints::documents::Made,
    feed::Feed,
    inflight::Inflight,
    issuers::Issuers,
    jwks::IssuerKeys,
    limit::{Bank, Limits},
    metrics::Metrics,
    surface::Surfaces,
    warmup::Warmup,
};

/// The gateway at work under one configuration; cheap to clone. A request holds one from its start
/// to its end, and so sees one configuration only.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

/// What the gateway is made of.
#[derive(Debug)]
pub struct AppParts {
    /// The auth-server, in this process or over HTTP.
    pub authority: Arc<dyn Authority>,
    pub clock: Clock,
    pub config: Config,
    /// What the text of the configuration is known by, for operators.
    pub digest: String,
    /// The keys that sign identities; swapped at rotation.
    pub identity: Arc<ArcSwap<IdentityKeys>>,
    pub proxies: TrustedProxies,
    /// The secrets that seal session ids.
    pub sessions: SecretRing,
    /// Where budgets are shared with other gateways, if they are.
    pub shared_store: Option<Redis>,
    /// Ends relayed streams and background tasks.
    pub shutdown: CancellationToken,
    /// What requests are traced with, if they are.
    pub traces: Option<Tracer>,
    /// Where tasks are spawned, so that the shutdown waits for them.
    pub tracker: TaskTracker,
}

/// The key that signs identities, and the published set.
#[derive(Debug)]
pub struct IdentityKeys {
    /// For how long backends may keep the published set.
    pub(crate) cache_control: HeaderValue,
    pub jwks: Bytes,
    pub signing: SigningKey,
}

impl IdentityKeys {
    /// Takes both from a key set of the gateway's identity.
    pub fn of(set: &KeySet) -> Result<Self, KeyError> {
        let cache_control = HeaderValue::from_static(keys::JWKS_CACHE_CONTROL);
        Ok(Self { cache_control, jwks: set.jwks().into(), signing: set.signing()? })
    }

    /// The same, published so that it changes at another pace than the usual one.
    #[must_use]
    pub fn at(mut self, pace: &Pace) -> Self {
        if let Ok(written) = HeaderValue::try_from(pace.cache_control()) {
            self.cache_control = written;
        }
        self
    }
}

/// What an [`App`] holds; only the gateway looks inside.
pub(crate) struct Parts {
    pub(crate) api_keys: Arc<ApiKeys>,
    pub(crate) audit: AuditLines,
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) backends: Backends,
    pub(crate) claims: Arc<ClaimsCache>,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
    /// Public documents as they were made.
    pub(crate) documents: Made,
    pub(crate) feed: Arc<Feed>,
    pub(crate) identity: Arc<ArcSwap<IdentityKeys>>,
    pub(crate) inflight: Inflight,
    pub(crate) issuers: Issuers,
    pub(crate) keys: Arc<IssuerKeys>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) metrics: Arc<Metrics>,
    /// What this process calls itself in reports.
    pub(crate) name: String,
    pub(crate) proxies: TrustedProxies,
    pub(crate) sessions: SecretRing,
    pub(crate) shutdown: CancellationToken,
    pub(crate) surfaces: Surfaces,
    pub(crate) traces: Option<Tracer>,
    pub(crate) tracker: TaskTracker,
    pub(crate) warmup: Arc<Warmup>,
}

impl App {
    /// Puts the gateway together; nothing runs yet.
    pub(crate) fn new(parts: AppParts) -> Self {
        let config = parts.config;
        let name = name(&config.name);
        let metrics = Arc::new(Metrics::new());
        let bank = parts.shared_store;
        if let Some(redis) = &bank {
            let observed = Arc::clone(&metrics);
            redis.observe(Arc::new(move |verb, took, done| observed.store(verb, took, done)));
        }
        let bank = bank.map(|redis| Bank::new(redis, name.clone(), parts.tracker.clone()));
        let life = config.deployment.longest_access_token();
        Self(Arc::new(Parts {
            api_keys: Arc::new(ApiKeys::new()),
            audit: AuditLines::default(),
            authority: parts.authority,
            backends: Backends::new(&config.backends, &parts.tracker, &parts.shutdown),
            claims: Arc::new(ClaimsCache::new()),
            clock: parts.clock,
            documents: Made::default(),
            feed: Arc::new(Feed::new(life, config.feed_bound)),
            identity: parts.identity,
            inflight: Inflight::default(),
            issuers: Issuers::new(&config),
            keys: Arc::new(IssuerKeys::new(config.jwks_refetch, config.jwks_stale)),
            limits: Arc::new(Limits::new(&config, bank)),
            metrics,
            name,
            proxies: parts.proxies,
            sessions: parts.sessions,
            shutdown: parts.shutdown,
            surfaces: Surfaces::default(),
            traces: parts.traces,
            tracker: parts.tracker,
            warmup: Arc::default(),
            config,
        }))
    }

    /// The same gateway under another configuration: what did not change is shared, with all that
    /// it holds. Accepted tokens are judged anew, because what they open may be another.
    pub(crate) fn renewed(&self, config: Config) -> Self {
        self.feed.retune(config.deployment.longest_access_token(), config.feed_bound);
        Self(Arc::new(Parts {
            api_keys: Arc::clone(&self.api_keys),
            audit: self.audit.clone(),
            authority: Arc::clone(&self.authority),
            backends: self.backends.renewed(&config.backends, &self.tracker, &self.shutdown),
            claims: Arc::new(ClaimsCache::new()),
            clock: self.clock.clone(),
            documents: Made::default(),
            feed: Arc::clone(&self.feed),
            identity: Arc::clone(&self.identity),
            inflight: self.inflight.clone(),
            issuers: self.issuers.renewed(&config),
            keys: Arc::clone(&self.keys),
            limits: Arc::new(self.limits.renewed(&config)),
            metrics: Arc::clone(&self.metrics),
            name: self.name.clone(),
            proxies: self.proxies.clone(),
            sessions: self.sessions.clone(),
            shutdown: self.shutdown.clone(),
            surfaces: Surfaces::default(),
            traces: self.traces.clone(),
            tracker: self.tracker.clone(),
            warmup: Arc::clone(&self.warmup),
            config,
        }))
    }
}

/// The configured name with an ending of its own, so that no two processes are taken for one.
fn name(configured: &str) -> String {
    let ending = getrandom::u32().unwrap_or_default();
    format!("{configured}-{ending:08x}")
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("config", &self.0.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use keys::Purpose;
    use shared::time::Timestamp;

    use super::*;

    /// What a test's gateway is made of, at this time, with keys that nobody else has.
    pub(crate) fn parts(authority: Arc<dyn Authority>, config: Config, now: Timestamp) -> AppParts {
        let identity = KeySet::first(Purpose::GatewayIdentity, now).unwrap();
        AppParts {
            authority,
            clock: Clock::manual(now),
            config,
            digest: String::new(),
            identity: Arc::new(ArcSwap::from_pointee(IdentityKeys::of(&identity).unwrap())),
            proxies: TrustedProxies::default(),
            sessions: KeySet::first(Purpose::PageSeal, now).unwrap().secrets(),
            shared_store: None,
            shutdown: CancellationToken::new(),
            traces: None,
            tracker: TaskTracker::new(),
        }
    }
}
