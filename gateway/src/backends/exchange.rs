//! A backend's own token for a caller: its token endpoint gives one for an identity of ours, which
//! is used while it lives (RFC 8693 section 2.1).
//!
//! One exchange at a time for each credential and workspace; what failed is not asked again at
//! once.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;
use shared::time::Timestamp;
use tokio::{
    sync::Mutex,
    time::{self, timeout_at},
};
use url::form_urlencoded;

use super::{
    BackendError,
    credential::{Identities, Identity},
    mcp::Target,
    pool::{Pool, PoolLimits},
};
use crate::config;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What may be given.
const GIVEN: [&str; 2] = [ACCESS_TOKEN, JWT];
/// How long a token endpoint may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a failure is remembered.
const FAILURE: Duration = Duration::from_secs(2);
/// A token with less time left is not sent: it could end on the way.
const LEAST_LEFT: Duration = Duration::from_secs(10);
/// How long a token lasts that does not say so, and how long any is kept.
const UNSAID: u64 = 60;
const LONGEST: u64 = 3600;
const LARGEST: usize = 64 * 1024;

/// A backend's token endpoint.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The backend as it is configured, which its tokens belong to.
    backend: [u8; 32],
    config: config::Exchange,
    pool: Pool,
    target: Target,
}

/// The token of one credential in one workspace, or why there is none.
#[derive(Debug, Default)]
pub(crate) struct Slot(Mutex<Held>);

#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Failed(Failure, Instant),
    Token(HeaderValue, Timestamp),
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    Away,
    Refused,
}

impl Exchange {
    /// `None` where the URL is none that can be spoken to; the configuration has said so.
    pub(super) fn new(config: config::Exchange, backend: [u8; 32]) -> Option<Self> {
        let target = Target::of(&config.token_endpoint)?;
        let (host, tls) = (target.host.clone(), config.tls.clone());
        let pool = Pool::secure(host, target.port, PoolLimits::default(), tls);
        Some(Self { backend, config, pool, target })
    }

    /// `Bearer` and the token for an identity, kept with the credential that it belongs to.
    pub(super) async fn token(
        &self,
        identities: &Identities,
        identity: &Identity<'_>,
        made: &HeaderValue,
        now: Timestamp,
    ) -> Result<HeaderValue, BackendError> {
        let slot = identities.slot(self.backend, identity);
        let mut held = slot.0.lock().await;
        match &*held {
            Held::Token(token, until) if *until > now.plus(LEAST_LEFT) => return Ok(token.clone()),
            Held::Failed(failure, at) if at.elapsed() < FAILURE => return Err(failure.into_error()),
            _ => {}
        }
        match self.ask(made).await {
            Ok((token, seconds)) => {
                let lasts = Duration::from_secs(seconds.unwrap_or(UNSAID).min(LONGEST));
                let until = now.plus(lasts).min(identity.expires);
                *held = Held::Token(token.clone(), until);
                Ok(token)
            }
            Err(failure) => {
                *held = Held::Failed(failure, Instant::now());
                Err(failure.into_error())
            }
        }
    }

    async fn ask(&self, made: &HeaderValue) -> Result<(HeaderValue, Option<u64>), Failure> {
        let now = time::Instant::now();
        let exchange = async {
            let response =
                self.pool.send(self.request(made), now, PATIENCE).await.map_err(|error| {
                    tracing::warn!(%error, "a token endpoint is not available");
                    Failure::Away
                })?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            let body = body.map_err(|_| Failure::Away)?.to_bytes();
            self.read(status, &body)
        };
        timeout_at(now + PATIENCE, exchange).await.unwrap_or(Err(Failure::Away))
    }

    fn request(&self, made: &HeaderValue) -> Request<Full<Bytes>> {
        let subject = made.to_str().unwrap_or_default();
        let subject = subject.strip_prefix("Bearer ").unwrap_or(subject);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", GRANT)
            .append_pair("subject_token", subject)
            .append_pair("subject_token_type", JWT)
            .append_pair("requested_token_type", ACCESS_TOKEN);
        for (name, value) in &self.config.target {
            form.append_pair(name, value);
        }
        let mut headers = HeaderMap::new();
        match &self.config.secret {
            // RFC 6749 section 2.3.1: both are encoded as in a form first.
            Some(secret) => {
                let encode = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair =
                    format!("{}:{}", encode(&self.config.client_id), encode(secret.expose()));
                let basic = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
                if let Ok(mut basic) = basic {
                    basic.set_sensitive(true);
                    headers.insert(AUTHORIZATION, basic);
                }
            }
            None => {
                form.append_pair("client_id", &self.config.client_id);
            }
        }
        headers.insert(HOST, self.target.authority.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let media = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, media);
        let mut request = Request::new(Full::new(form.finish().into()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.path().clone();
        *request.headers_mut() = headers;
        request
    }

    /// RFC 8693 section 2.2.
    fn read(&self, status: StatusCode, body: &[u8]) -> Result<(HeaderValue, Option<u64>), Failure> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
            expires_in: Option<u64>,
            issued_token_type: Option<String>,
            token_type: String,
        }
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        let endpoint = self.config.token_endpoint.as_str();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            tracing::warn!(%status, endpoint, "a token endpoint is not available");
            return Err(Failure::Away);
        }
        if !status.is_success() {
            let error = serde_json::from_slice(body).map(|Refusal { error }| error);
            let error: String = error.unwrap_or_default().chars().take(40).collect();
            tracing::warn!(%status, endpoint, error, "a token endpoint gave no token");
            return Err(Failure::Refused);
        }
        let answer: Option<Answer> = serde_json::from_slice(body).ok();
        // A refresh or ID token is none that a backend could take, whatever it is called.
        let bearer = answer.filter(|answer| {
            answer.token_type.eq_ignore_ascii_case("bearer")
                && answer.issued_token_type.as_deref().is_none_or(|issued| GIVEN.contains(&issued))
        });
        let header = bearer.and_then(|answer| {
            let fits = answer.access_token.bytes().all(|byte| byte.is_ascii_graphic());
            let header = HeaderValue::try_from(format!("Bearer {}", answer.access_token));
            let header = header.ok().filter(|_| fits && !answer.access_token.is_empty())?;
            Some((header, answer.expires_in))
        });
        let Some((mut header, seconds)) = header else {
            tracing::warn!(endpoint, "a token endpoint answered what is no bearer token");
            return Err(Failure::Refused);
        };
        header.set_sensitive(true);
        Ok((header, seconds))
    }
}

impl Failure {
    fn into_error(self) -> BackendError {
        match self {
            Self::Away => BackendError::ExchangeAway,
            Self::Refused => BackendError::ExchangeRefused,
        }
    }
}
