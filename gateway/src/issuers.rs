//! Further issuers: their keys, each kept apart by issuer, fetched again for an unknown id by one
//! request at a time and not too often, and used for a bounded time (RFC 8414 section 3,
//! RFC 7517 section 5).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{
    HeaderValue, Request, StatusCode,
    header::{ACCEPT, HOST},
};
use http_body_util::{BodyExt, Full, Limited};
use keys::{ForeignKeys, ForeignToken};
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{self, timeout},
};
use url::Url;

use crate::{
    backends::{Pool, PoolLimits, Target},
    claims::{Admitted, Digest32},
    config::{Config, KeySource, Route, TrustedIssuer},
    error::Refusal,
    rules::{
        caller::{self, Caller},
        violation::BearerViolation,
    },
    state::App,
};

/// How long what a token says is believed at most: then a stream is opened anew, and the token is
/// judged again.
const LONGEST: Duration = Duration::from_hours(1);
/// How long an issuer's keys may take, and how large a document may be.
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 256 * 1024;

/// The issuers of every route.
#[derive(Debug)]
pub(crate) struct Issuers(Vec<Arc<Issuer>>);

/// One issuer's keys.
#[derive(Debug)]
struct Issuer {
    current: ArcSwapOption<Held>,
    floor: Duration,
    /// When it was last asked; locked while it is.
    last: Mutex<Option<Fetch>>,
    settings: Arc<TrustedIssuer>,
    stale: Duration,
}

#[derive(Debug)]
struct Held {
    at: Instant,
    /// Grows whenever a key is taken away or is another under its id.
    generation: u64,
    keys: ForeignKeys,
}

#[derive(Clone, Copy, Debug)]
struct Fetch {
    at: Instant,
    worked: bool,
}

impl Issuers {
    /// The issuers of a configuration; no keys yet.
    pub(crate) fn new(config: &Config) -> Self {
        Self(Vec::new()).renewed(config)
    }

    /// The issuers of another configuration. Those whose keys are got as before are the same.
    pub(crate) fn renewed(&self, config: &Config) -> Self {
        let mut all: Vec<Arc<Issuer>> = Vec::new();
        for settings in config.routes.iter().flat_map(|route| &route.issuers) {
            if all.iter().any(|one| one.settings.has_keys_of(settings)) {
                continue;
            }
            let held = self.find(settings).cloned();
            all.push(held.unwrap_or_else(|| {
                Arc::new(Issuer {
                    current: ArcSwapOption::empty(),
                    floor: config.jwks_refetch,
                    last: Mutex::new(None),
                    settings: Arc::clone(settings),
                    stale: config.jwks_stale,
                })
            }));
        }
        Self(all)
    }

    /// Fetches every issuer's keys; one that does not answer keeps no other one waiting.
    pub(crate) async fn refresh(&self) {
        let all = self.0.iter().map(async |issuer| {
            let mut last = issuer.last.lock().await;
            issuer.fetch(&mut last).await;
        });
        join_all(all).await;
    }

    /// Each issuer, and whether there are keys of it.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&str, bool)> {
        self.0.iter().map(|one| (one.settings.issuer.as_str(), one.fresh().is_some()))
    }

    /// Whether what was verified in this generation is still good.
    pub(crate) fn is_good(&self, settings: &TrustedIssuer, generation: u64) -> bool {
        let held = self.find(settings).and_then(|issuer| issuer.fresh());
        held.is_some_and(|held| held.generation == generation)
    }

    fn find(&self, settings: &TrustedIssuer) -> Option<&Arc<Issuer>> {
        self.0.iter().find(|one| one.settings.has_keys_of(settings))
    }
}

/// The route's issuer that a token says it comes from, if it is one of the further ones.
pub(crate) fn of<'r>(route: &'r Route, token: &str) -> Option<&'r Arc<TrustedIssuer>> {
    if route.issuers.is_empty() {
        return None;
    }
    let presented = ForeignToken::parse(token).ok()?;
    let issuer = presented.unverified_claims().get("iss")?.as_str()?;
    route.issuers.iter().find(|one| one.issuer == issuer)
}

/// Verifies a token of a further issuer.
pub(crate) async fn verify(
    app: &App,
    route: &Route,
    settings: &Arc<TrustedIssuer>,
    token: &str,
    digest: Digest32,
) -> Result<Arc<Admitted>, Refusal> {
    let presented = ForeignToken::parse(token).map_err(caller::violation)?;
    presented.check_type(settings.token_type).map_err(caller::violation)?;
    settings.mapping.refuse(presented.unverified_claims())?;
    let (begins, ends) = presented.check_times(app.clock.now()).map_err(caller::violation)?;
    let issuer = app.issuers.find(settings).ok_or(BearerViolation::Issuer)?;
    let held = issuer.holding(presented.kid()).await?;
    let verified = presented.verify(&held.keys).map_err(caller::violation)?;
    let mapped = settings.mapping.map(verified.claims())?;
    let times = (begins, ends.min(app.clock.now().plus(LONGEST)));
    let caller = Caller::of_foreign(mapped, &settings.issuer, &route.resource.indicator, times);
    Ok(app.claims.keep_foreign(caller, digest, held.generation, settings))
}

impl Issuer {
    fn fresh(&self) -> Option<Arc<Held>> {
        self.current.load_full().filter(|held| held.at.elapsed() <= self.stale)
    }

    /// Keys among which this one is, fetched if need be.
    async fn holding(&self, kid: &str) -> Result<Arc<Held>, Refusal> {
        let found = || self.fresh().filter(|held| held.keys.has(kid));
        if let Some(held) = found() {
            return Ok(held);
        }
        let mut last = self.last.lock().await;
        // Whoever held the lock before may have brought it.
        if let Some(held) = found() {
            return Ok(held);
        }
        if last.is_none_or(|fetch| fetch.at.elapsed() >= self.floor) {
            self.fetch(&mut last).await;
        }
        if let Some(held) = found() {
            return Ok(held);
        }
        // A fetch that failed says nothing about the key.
        if last.is_some_and(|fetch| fetch.worked) && self.fresh().is_some() {
            return Err(BearerViolation::UnknownKey.into());
        }
        Err(Refusal::Unavailable("the issuer's keys are not known at the moment"))
    }

    async fn fetch(&self, last: &mut Option<Fetch>) {
        let asked = Instant::now();
        let read = timeout(PATIENCE, self.read()).await;
        let read = read.unwrap_or_else(|_| Err("it does not answer in time".to_owned()));
        let read = read.and_then(|bytes| {
            ForeignKeys::parse(&bytes, &self.settings.algorithms).map_err(|error| error.to_string())
        });
        // From its end, so that a slow issuer is not asked by one caller after the other.
        *last = Some(Fetch { at: Instant::now(), worked: read.is_ok() });
        match read {
            Ok(keys) => {
                let before = self.current.load_full();
                let generation = before
                    .map_or(0, |held| held.generation + u64::from(!keys.includes(&held.keys)));
                self.current.store(Some(Arc::new(Held { at: asked, generation, keys })));
            }
            Err(why) => {
                let issuer = self.settings.issuer.as_str();
                tracing::warn!(issuer, why, "an issuer's keys could not be fetched");
            }
        }
    }

    async fn read(&self) -> Result<Bytes, String> {
        #[derive(Deserialize)]
        struct Metadata {
            issuer: String,
            jwks_uri: String,
        }
        match &self.settings.keys {
            KeySource::File(path) => {
                std::fs::read(path).map(Bytes::from).map_err(|error| error.to_string())
            }
            KeySource::Url(url) => self.document(url).await,
            KeySource::Discovered(urls) => {
                let mut why = "it has no metadata".to_owned();
                for url in urls {
                    let document = match self.document(url).await {
                        Ok(document) => document,
                        Err(error) => {
                            why = error;
                            continue;
                        }
                    };
                    let Metadata { issuer, jwks_uri } =
                        serde_json::from_slice(&document).map_err(|error| error.to_string())?;
                    // RFC 8414 section 3.3: it must be this issuer's own.
                    if issuer != self.settings.issuer {
                        return Err("its metadata names another issuer".to_owned());
                    }
                    let keys = Url::parse(&jwks_uri).map_err(|error| error.to_string())?;
                    if url.scheme() == "https" && keys.scheme() != "https" {
                        return Err("its keys are not where its metadata is safe".to_owned());
                    }
                    return self.document(&keys).await;
                }
                Err(why)
            }
        }
    }

    async fn document(&self, url: &Url) -> Result<Bytes, String> {
        let target = Target::of(url).ok_or("its address is no http or https URL")?;
        let tls = self.settings.tls.clone().filter(|_| url.scheme() == "https");
        let host = target.host.clone();
        let pool = Pool::secure(host, target.port, PoolLimits::default(), tls);
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = target.path().clone();
        request.headers_mut().insert(HOST, target.authority.clone());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let sent = pool
            .send(request, time::Instant::now(), PATIENCE)
            .await
            .map_err(|error| error.to_string());
        // The connection is used once.
        pool.close();
        let response = sent?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answers {}", response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
#[path = "issuers_tests.rs"]
mod tests;
