//! The keys that identities are signed with, fetched and cached (RFC 7517 section 5).
//!
//! One fetch runs at a time. A key id that is not in the set causes a fetch, but after a fetch
//! that did not help there is none for a while, so strangers cannot drive the issuer.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{DecodingKey, jwk};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

/// How long a set is used without looking for a newer one.
const FRESH: Duration = Duration::from_mins(5);
/// The pause after a fetch that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The pause after a fetch that did not bring the key asked for.
const PAUSE_AFTER_MISS: Duration = Duration::from_secs(3);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const LARGEST_SET: usize = 256 * 1024;

/// A cached key set.
#[derive(Debug)]
pub(crate) struct Jwks {
    client: reqwest::Client,
    fetching: Mutex<()>,
    state: RwLock<State>,
    url: String,
}

/// Why no key came back.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the issuer's keys cannot be fetched")]
    Unavailable,
    #[error("the issuer has no such key")]
    Unknown,
}

enum Cached {
    Absent,
    Fresh(Arc<DecodingKey>),
    Old,
}

#[derive(Debug, Default)]
struct State {
    fetched: Option<Instant>,
    keys: HashMap<String, Arc<DecodingKey>>,
    paused_until: Option<Instant>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("request failed")]
    Request(#[from] reqwest::Error),
    #[error("not a key set")]
    Shape(#[from] serde_json::Error),
    #[error("larger than {LARGEST_SET} bytes")]
    Size,
}

impl Jwks {
    pub(crate) fn new(url: String) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(FETCH_TIMEOUT)
            .build()?;
        Ok(Self { client, fetching: Mutex::new(()), state: RwLock::default(), url })
    }

    /// The key of that id.
    pub(crate) async fn key(&self, kid: &str) -> Result<Arc<DecodingKey>, KeyError> {
        match self.cached(kid) {
            Cached::Fresh(key) => return Ok(key),
            Cached::Old => {
                // Others need not wait for the one who looks for a newer set.
                if let Ok(_alone) = self.fetching.try_lock() {
                    self.refresh(kid).await;
                }
            }
            Cached::Absent => {
                let _alone = self.fetching.lock().await;
                // Whoever held the lock before may have brought the key.
                if matches!(self.cached(kid), Cached::Absent) {
                    self.refresh(kid).await;
                }
            }
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match (state.keys.get(kid), state.fetched) {
            (Some(key), _) => Ok(Arc::clone(key)),
            (None, Some(_)) => Err(KeyError::Unknown),
            (None, None) => Err(KeyError::Unavailable),
        }
    }

    fn cached(&self, kid: &str) -> Cached {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match state.keys.get(kid) {
            None => Cached::Absent,
            Some(key) if state.fetched.is_some_and(|at| at.elapsed() < FRESH) => {
                Cached::Fresh(Arc::clone(key))
            }
            Some(_) => Cached::Old,
        }
    }

    fn paused(&self) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.paused_until.is_some_and(|until| Instant::now() < until)
    }

    async fn refresh(&self, kid: &str) {
        if self.paused() {
            return;
        }
        let fetched = self.fetch().await;
        let now = Instant::now();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match fetched {
            Ok(keys) => {
                let pause = (!keys.contains_key(kid)).then_some(now + PAUSE_AFTER_MISS);
                *state = State { fetched: Some(now), keys, paused_until: pause };
            }
            Err(error) => {
                // An old set still serves: its keys were good, and identities live a minute.
                let error: &dyn std::error::Error = &error;
                tracing::warn!(url = %self.url, error, "cannot fetch the issuer's keys");
                state.paused_until = Some(now + PAUSE_AFTER_FAILURE);
            }
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, Arc<DecodingKey>>, FetchError> {
        let mut response = self.client.get(&self.url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_SET {
                return Err(FetchError::Size);
            }
        }
        let set: KeySet = serde_json::from_slice(&body)?;
        Ok(set.keys.into_iter().filter_map(understood).collect())
    }
}

/// The key with its id, unless it is of a kind not understood here (RFC 7517 section 5).
fn understood(value: Value) -> Option<(String, Arc<DecodingKey>)> {
    let key: jwk::Jwk = serde_json::from_value(value).ok()?;
    let signs = !matches!(key.common.public_key_use, Some(jwk::PublicKeyUse::Encryption));
    let es256 = matches!(key.common.key_algorithm, None | Some(jwk::KeyAlgorithm::ES256));
    let p256 = matches!(
        &key.algorithm,
        jwk::AlgorithmParameters::EllipticCurve(curve) if curve.curve == jwk::EllipticCurve::P256
    );
    if !(signs && es256 && p256) {
        return None;
    }
    let decoding = DecodingKey::from_jwk(&key).ok()?;
    Some((key.common.key_id?, Arc::new(decoding)))
}
