//! API keys: looked up at auth-server at each call, so that a key that is revoked is refused by
//! the very next one. What was learnt before saves nothing but the signing of identities.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use moka::sync::Cache;
use shared::{
    ids::ApiKeyId,
    internal::{ApiKeyUse, PrincipalQuery},
    secret::SecretHash,
    time::Timestamp,
};

use crate::{
    claims::{self, Admitted, Digest32},
    config::Route,
    error::Refusal,
    rules::{
        caller::{self, Expectation},
        violation::BearerViolation,
    },
    state::App,
};

/// How many unknown keys are remembered, and for how long: a key is never unknown first and good
/// later.
const MOST_UNKNOWN: u64 = 10_000;
const UNKNOWN_LIFE: Duration = Duration::from_secs(30);
/// Uses that wait to be reported; more are not worth their memory.
const MOST_USES: usize = 100_000;

/// What is known of API keys here.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    unknown: Cache<Digest32, ()>,
    uses: Mutex<HashMap<ApiKeyId, Timestamp>>,
}

impl ApiKeys {
    /// Nothing is known.
    pub(crate) fn new() -> Self {
        let unknown = Cache::builder().max_capacity(MOST_UNKNOWN).time_to_live(UNKNOWN_LIFE);
        Self { unknown: unknown.build(), uses: Mutex::default() }
    }

    /// Takes the uses that wait to be reported.
    pub(crate) fn take_uses(&self) -> Vec<ApiKeyUse> {
        let uses = std::mem::take(&mut *self.uses.lock().unwrap_or_else(PoisonError::into_inner));
        uses.into_iter().map(|(key, at)| ApiKeyUse { key, at }).collect()
    }

    /// Puts back what could not be reported.
    pub(crate) fn put_uses(&self, uses: Vec<ApiKeyUse>) {
        let mut waiting = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        for ApiKeyUse { key, at } in uses {
            waiting.entry(key).or_insert(at);
        }
    }

    fn note(&self, key: &ApiKeyId, now: Timestamp) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() < MOST_USES {
            uses.insert(key.clone(), now);
        }
    }
}

/// Looks a key up for a resource.
pub(crate) async fn admit(
    app: &App,
    route: &Route,
    key: &str,
    address: Option<IpAddr>,
) -> Result<Arc<Admitted>, Refusal> {
    let digest = claims::digest(key);
    if app.api_keys.unknown.contains_key(&digest) {
        return Err(BearerViolation::KeyUnknown.into());
    }
    let held = app.claims.find(&digest, Instant::now());
    // A key that was good a moment ago is no guess.
    if let (None, Some(address)) = (&held, address) {
        app.limits.charge_lookup(address)?;
    }
    let query = PrincipalQuery::ApiKey { hash: SecretHash::of(key.as_bytes()) };
    let principal = app.authority.principal(query).await.map_err(|error| {
        tracing::warn!(%error, "an API key cannot be looked up");
        Refusal::Unavailable("API keys cannot be looked up at the moment")
    })?;
    let Some(principal) = principal else {
        app.claims.forget(&digest);
        app.api_keys.unknown.insert(digest, ());
        return Err(BearerViolation::KeyUnknown.into());
    };
    let expected = Expectation {
        issuer: app.config.deployment.issuer.as_str(),
        now: app.clock.now(),
        resource: &route.resource.indicator,
    };
    let caller = caller::of_key(principal, &expected, &route.resource)?;
    if let Some((key, _)) = &caller.api_key {
        app.api_keys.note(key, expected.now);
    }
    // Identities made before are used again only for the same rights.
    match held {
        Some(held) if caller.is_as(&held.caller) && lasts(&held, &caller) => Ok(held),
        _ => Ok(app.claims.keep(caller, digest, 0)),
    }
}

/// Whether what is held ends about when it would if it were made now.
fn lasts(held: &Admitted, caller: &caller::Caller) -> bool {
    let later = Duration::from_mins(30);
    caller.expires <= held.caller.expires.plus(later)
}
