//! Sends what waits to one receiver, by OTLP over HTTP (OpenTelemetry Protocol 1.9, section
//! OTLP/HTTP): binary protobuf in POST requests, one at a time, tried again where the receiver
//! says so or is away.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{Settings, otlp, queue::Queue};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a request is sent, and how long it waits before the second time; twice as long
/// before each further one.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// What is believed of a receiver that asks for time.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How much of an answer is read.
const LARGEST: usize = 64 * 1024;

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// There is no certificate among the authorities.
    #[error("the file of the authorities holds no certificate in PEM")]
    NoCertificate,
    /// A certificate of an authority cannot be used.
    #[error("a certificate of an authority cannot be used")]
    Unusable(#[from] rustls::Error),
}

/// The way to the receiver.
#[derive(Debug)]
pub(super) struct Exporter {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    endpoint: Uri,
    headers: HeaderMap,
}

/// What became of a request.
enum Outcome {
    /// It may be tried again, after so long if the receiver says that.
    Later(&'static str, Option<Duration>),
    Refused(StatusCode),
    Taken {
        rejected: u64,
    },
}

impl Exporter {
    pub(super) fn new(settings: &Settings) -> Result<Self, TracesError> {
        let Settings { authorities, endpoint, headers, .. } = settings;
        let mut headers = headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("vestibule/", env!("CARGO_PKG_VERSION"))),
        );
        let is_secure = endpoint.scheme_str() == Some("https");
        let tls = tls(authorities.as_deref(), is_secure)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
        let connector = connector.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, endpoint: endpoint.clone(), headers })
    }

    /// Sends what the queue gets, until it is closed and empty.
    pub(super) async fn run(&self, service: &'static str, queue: &Queue) {
        let mut is_away = false;
        loop {
            queue.gathered().await;
            while let Some((batch, spans)) = queue.next() {
                let body = Bytes::from(otlp::request(service, &batch));
                drop(batch);
                let sent = self.send(&body, queue).await;
                let rejected = match &sent {
                    Ok(rejected) => usize::try_from(*rejected).unwrap_or(spans).min(spans),
                    Err(_) => spans,
                };
                queue.drop_spans(rejected);
                let taken = u64::try_from(spans.saturating_sub(rejected)).unwrap_or_default();
                queue.sent.fetch_add(taken, Ordering::Relaxed);
                match (sent, is_away) {
                    (Err(why), false) => {
                        tracing::warn!(service, why, "traces cannot be sent, and are dropped");
                    }
                    (Ok(_), true) => tracing::info!(service, "traces are sent again"),
                    _ => {}
                }
                is_away = sent.is_err();
            }
            if queue.closing.is_cancelled() {
                return queue.ended.cancel();
            }
        }
    }

    /// How many spans of a body were not taken, or why none was.
    async fn send(&self, body: &Bytes, queue: &Queue) -> Result<u64, &'static str> {
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = timeout(PATIENCE, self.post(body.clone())).await;
            let (why, asked) = match outcome {
                Ok(Outcome::Taken { rejected }) => return Ok(rejected),
                Ok(Outcome::Refused(status)) => {
                    tracing::debug!(%status, "a receiver of traces refuses them");
                    return Err("the receiver refuses them");
                }
                Ok(Outcome::Later(why, asked)) => (why, asked),
                Err(_) => ("the receiver does not answer", None),
            };
            if tries >= TRIES || queue.closing.is_cancelled() {
                return Err(why);
            }
            let pause = asked.unwrap_or(PAUSE * 2_u32.pow(tries - 1)).min(LONGEST_PAUSE);
            queue.closing.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    async fn post(&self, body: Bytes) -> Outcome {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        match self.client.request(request).await {
            Ok(response) => answer(response).await,
            Err(error) if error.is_connect() => {
                Outcome::Later("the receiver cannot be reached", None)
            }
            Err(_) => Outcome::Later("the exchange with the receiver failed", None),
        }
    }
}

async fn answer(response: Response<Incoming>) -> Outcome {
    let (head, body) = response.into_parts();
    match head.status.as_u16() {
        200..=299 => {}
        429 | 502..=504 => {
            let asked = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let asked = asked.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
            return Outcome::Later("the receiver asks for time", asked);
        }
        _ => return Outcome::Refused(head.status),
    }
    // An answer that cannot be read is one without a word about spans that were not taken.
    let body = Limited::new(body, LARGEST).collect().await;
    let rejected = body.map_or(0, |body| otlp::rejected(&body.to_bytes()));
    Outcome::Taken { rejected }
}

/// Whom to believe: these authorities, or those of the system where TLS is spoken at all.
fn tls(authorities: Option<&str>, is_secure: bool) -> Result<ClientConfig, TracesError> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = authorities {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok) {
            roots.add(certificate)?;
        }
        if roots.is_empty() {
            return Err(TracesError::NoCertificate);
        }
    } else if is_secure {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
