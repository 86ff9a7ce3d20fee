//! Auth-server in another process, over HTTP on an internal network, plain or over TLS.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{
    Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::de::DeserializeOwned;
use shared::{
    deployment::Issuer,
    internal::{Cursor, Events, Principal, PrincipalQuery, Usage},
    metadata::well_known_path,
    secret::Secret,
};
use url::Url;

use super::{Answer, Authority, AuthorityError, InternalTls, InternalTlsError, tls::Connector};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the issuer's metadata is kept.
const KEEP: Duration = Duration::from_secs(30);
/// The largest answer: a snapshot of very many revocations.
const LARGEST: usize = 64 * 1024 * 1024;

/// Auth-server's internal interface over HTTP.
pub struct HttpAuthority {
    base: String,
    client: Client<Connector, Full<Bytes>>,
    credential: Secret,
    issuer: Issuer,
    /// The metadata and when it was fetched: strangers may ask for it as often as they like.
    metadata: ArcSwapOption<(Instant, Bytes)>,
}

impl HttpAuthority {
    /// The interface at `base`, with this gateway's credential for it.
    pub fn new(
        base: &str,
        credential: Secret,
        issuer: Issuer,
        tls: &InternalTls,
    ) -> Result<Self, InternalTlsError> {
        let client = Client::builder(TokioExecutor::new()).build(tls.connector(base)?);
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { base, client, credential, issuer, metadata: ArcSwapOption::empty() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Bytes, AuthorityError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, format!("Bearer {}", self.credential.expose()));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(traced) = web::traces::outgoing() {
            request = request.header("traceparent", traced);
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let request = request.body(body).map_err(|error| unavailable(&error))?;
        self.exchange(request).await
    }

    /// A public document of the issuer's, asked for by its public host.
    async fn document(&self, path: &str) -> Result<Bytes, AuthorityError> {
        let request = Request::builder()
            .uri(format!("{}{path}", self.base))
            .header(HOST, authority(self.issuer.url()))
            .body(Full::default())
            .map_err(|error| unavailable(&error))?;
        self.exchange(request).await
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Bytes, AuthorityError> {
        let exchange = async {
            let response = self.client.request(request).await.map_err(|e| unavailable(&e))?;
            let status = response.status();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                return Err(AuthorityError::Blind(format!("it answered {status}")));
            }
            if !status.is_success() {
                return Err(AuthorityError::Unavailable(format!("it answered {status}")));
            }
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            body.map(http_body_util::Collected::to_bytes)
                .map_err(|error| AuthorityError::Unavailable(error.to_string()))
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .map_err(|_| AuthorityError::Unavailable("it did not answer in time".to_owned()))?
    }
}

impl Authority for HttpAuthority {
    fn events(&self, after: Option<Cursor>) -> Answer<'_, Events> {
        Box::pin(async move {
            let path = match after {
                Some(Cursor { epoch, seq }) => {
                    let query = url::form_urlencoded::Serializer::new(String::new())
                        .append_pair("epoch", &epoch)
                        .append_pair("seq", &seq.to_string())
                        .finish();
                    format!("/internal/events?{query}")
                }
                None => "/internal/events".to_owned(),
            };
            read(&self.send(Method::GET, &path, None).await?)
                .map_err(|error| AuthorityError::NotUnderstood(error.to_string()))
        })
    }

    fn jwks(&self) -> Answer<'_, Vec<u8>> {
        let path = format!("{}/jwks", self.issuer.path());
        Box::pin(async move { Ok(self.document(&path).await?.into()) })
    }

    fn metadata(&self) -> Answer<'_, Vec<u8>> {
        let path = well_known_path("oauth-authorization-server", self.issuer.path());
        Box::pin(async move {
            let held = self.metadata.load_full();
            if let Some((at, bytes)) = held.as_deref()
                && at.elapsed() < KEEP
            {
                return Ok(bytes.to_vec());
            }
            let bytes = self.document(&path).await?;
            self.metadata.store(Some(Arc::new((Instant::now(), bytes.clone()))));
            Ok(bytes.into())
        })
    }

    fn principal(&self, query: PrincipalQuery) -> Answer<'_, Option<Principal>> {
        Box::pin(async move {
            let body = serde_json::to_vec(&query).map_err(|error| unavailable(&error))?;
            read(&self.send(Method::POST, "/internal/principals", Some(body)).await?)
                .map_err(|error| unavailable(&error))
        })
    }

    fn report(&self, usage: Usage) -> Answer<'_, ()> {
        Box::pin(async move {
            let body = serde_json::to_vec(&usage).map_err(|error| unavailable(&error))?;
            self.send(Method::POST, "/internal/usage", Some(body)).await.map(drop)
        })
    }
}

impl fmt::Debug for HttpAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAuthority").field("base", &self.base).finish_non_exhaustive()
    }
}

/// `host` or `host:port` of a URL.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(body)
}

fn unavailable(error: &dyn std::error::Error) -> AuthorityError {
    AuthorityError::Unavailable(error.to_string())
}
