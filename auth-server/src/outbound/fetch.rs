//! One guarded GET (RFC 9110 section 9.3.1): resolve, check the addresses, connect to one of
//! them, and read no more than was asked for. No redirects, no proxies, no compression.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, ETAG,
        HOST, HeaderName, IF_NONE_MATCH, USER_AGENT,
    },
};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::OnceCell};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::{
    config::OutboundConfig,
    rules::outbound_url::{OutboundPolicy, OutboundUrl},
};

/// How many of a host's addresses are tried.
const MOST_ADDRESSES: usize = 3;
/// How long a connection may take, at most.
const CONNECT: Duration = Duration::from_millis(2500);
const MOST_HEADERS: usize = 64;
const MOST_HEAD_BYTES: usize = 16 * 1024;
/// How long an answer is fresh: what it says, within these bounds.
const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(24);
const UNSAID: Duration = Duration::from_hours(1);

/// What a fetch gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Body {
        bytes: Bytes,
        etag: Option<String>,
        fresh_for: Duration,
    },
    /// It answered, and not with a document.
    Invalid(&'static str),
    NotModified {
        fresh_for: Duration,
    },
    /// No answer, or a fault of the other side: nothing is known.
    Unreachable(&'static str),
}

/// Dials out.
pub(super) struct Fetcher {
    authorities: Option<String>,
    policy: OutboundPolicy,
    resolve: BTreeMap<String, IpAddr>,
    timeout: Duration,
    /// Made at the first fetch: most deployments never need it.
    tls: OnceCell<Arc<ClientConfig>>,
}

impl Fetcher {
    pub(super) fn new(config: &OutboundConfig) -> Self {
        Self {
            authorities: config.authorities.clone(),
            policy: config.policy.clone(),
            resolve: config.resolve.clone(),
            timeout: config.timeout,
            tls: OnceCell::new(),
        }
    }

    /// Fetches at most `most` bytes, or learns that what is held under `etag` is still right.
    pub(super) async fn get(&self, url: &OutboundUrl, most: usize, etag: Option<&str>) -> Answer {
        let exchange = async {
            let stream = self.connect(url).await?;
            Ok(exchange(stream, url, most, etag).await)
        };
        let answer = tokio::time::timeout(self.timeout, exchange).await;
        let answer = answer.unwrap_or(Err("no answer in time"));
        answer.unwrap_or_else(Answer::Unreachable)
    }

    async fn connect(&self, url: &OutboundUrl) -> Result<TlsStream<TcpStream>, &'static str> {
        let addresses = self.addresses(url).await?;
        let mut connected = None;
        for address in addresses.into_iter().take(MOST_ADDRESSES) {
            let connecting = TcpStream::connect(SocketAddr::new(address, url.port()));
            if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT, connecting).await {
                connected = Some(stream);
                break;
            }
        }
        let stream = connected.ok_or("no connection")?;
        let tls = self.tls.get_or_try_init(|| tls(self.authorities.clone())).await?;
        // The certificate is for the name, wherever it resolved to.
        let name = ServerName::try_from(url.host().to_owned()).map_err(|_| "no server name")?;
        let connector = TlsConnector::from(Arc::clone(tls));
        connector.connect(name, stream).await.map_err(|_| "no TLS connection")
    }

    /// The addresses of the host that may be dialled.
    async fn addresses(&self, url: &OutboundUrl) -> Result<Vec<IpAddr>, &'static str> {
        let mut addresses: Vec<IpAddr> = match self.resolve.get(url.host()) {
            Some(fixed) => vec![*fixed],
            None => tokio::net::lookup_host((url.host(), url.port()))
                .await
                .map_err(|_| "the host does not resolve")?
                .map(|address| address.ip())
                .collect(),
        };
        addresses.retain(|address| url.may_dial(*address, &self.policy));
        if addresses.is_empty() { Err("the host is at no public address") } else { Ok(addresses) }
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// TLS with the system's authorities and the operator's.
async fn tls(authorities: Option<String>) -> Result<Arc<ClientConfig>, &'static str> {
    let made = tokio::task::spawn_blocking(move || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let own = authorities.unwrap_or_default();
        let own = CertificateDer::pem_slice_iter(own.as_bytes()).filter_map(Result::ok);
        roots.add_parsable_certificates(own);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(|_| "no TLS")?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    });
    made.await.map_err(|_| "no TLS")?
}

/// One request and its answer on a connection of its own.
async fn exchange(
    stream: TlsStream<TcpStream>,
    url: &OutboundUrl,
    most: usize,
    etag: Option<&str>,
) -> Answer {
    const FAILED: Answer = Answer::Unreachable("the exchange failed");
    let mut builder = http1::Builder::new();
    builder.max_headers(MOST_HEADERS).max_buf_size(MOST_HEAD_BYTES);
    let Ok((mut sender, connection)) = builder.handshake(TokioIo::new(stream)).await else {
        return FAILED;
    };
    let Ok(request) = request(url, etag) else { return FAILED };
    let work = async move {
        match sender.send_request(request).await {
            Ok(response) => read(response, most, etag.is_some()).await,
            // A head that is no HTTP, or too long.
            Err(error) if error.is_parse() => Answer::Invalid("no HTTP answer"),
            Err(_) => FAILED,
        }
    };
    tokio::pin!(connection, work);
    tokio::select! {
        answer = &mut work => answer,
        _ = &mut connection => work.await,
    }
}

fn request(url: &OutboundUrl, etag: Option<&str>) -> Result<Request<Empty<Bytes>>, http::Error> {
    let mut request = Request::get(url.target())
        .header(HOST, url.authority())
        .header(ACCEPT, "application/json")
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .header(USER_AGENT, concat!("vestibule/", env!("CARGO_PKG_VERSION")));
    if let Some(etag) = etag {
        request = request.header(IF_NONE_MATCH, etag);
    }
    request.body(Empty::new())
}

async fn read(response: Response<Incoming>, most: usize, conditional: bool) -> Answer {
    let headers = response.headers();
    let fresh_for = fresh_for(text(headers, &CACHE_CONTROL));
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if conditional => return Answer::NotModified { fresh_for },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            return Answer::Unreachable("it asks to come again");
        }
        status if status.is_server_error() => return Answer::Unreachable("a fault of its server"),
        status if status.is_redirection() => return Answer::Invalid("a redirect"),
        _ => return Answer::Invalid("another status than 200"),
    }
    if !is_json(text(headers, &CONTENT_TYPE)) {
        return Answer::Invalid("another content type than application/json");
    }
    if !matches!(text(headers, &CONTENT_ENCODING), "" | "identity") {
        return Answer::Invalid("a compressed body");
    }
    let etag = text(headers, &ETAG);
    let etag = (!etag.is_empty() && etag.len() <= 256).then(|| etag.to_owned());
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Answer::Unreachable("the body broke off") };
        let data = frame.into_data().unwrap_or_default();
        if bytes.len() + data.len() > most {
            return Answer::Invalid("too long a body");
        }
        bytes.extend_from_slice(&data);
    }
    Answer::Body { bytes: bytes.freeze(), etag, fresh_for }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || media.starts_with("application/") && media.ends_with("+json")
}

/// How long an answer is fresh (RFC 9111 section 5.2.2).
fn fresh_for(cache_control: &str) -> Duration {
    let mut fresh = UNSAID;
    for directive in cache_control.split(',').map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("max-age") {
            let seconds = value.trim_matches('"').parse();
            fresh = seconds.map_or(SHORTEST, Duration::from_secs);
        } else if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return SHORTEST;
        }
    }
    fresh.clamp(SHORTEST, LONGEST)
}

/// Whether the text holds certificates, and nothing that cannot be read.
pub(crate) fn are_certificates(pem: &str) -> Result<(), io::Error> {
    let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).peekable();
    if certificates.peek().is_none() {
        return Err(io::Error::other("it holds no certificate"));
    }
    certificates.try_for_each(|one| one.map(|_| ())).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_follows_the_answer_within_bounds() {
        for (header, seconds) in [
            ("", 3600),
            ("public, max-age=600", 600),
            ("max-age=5", 60),
            ("max-age=999999999", 86_400),
            ("max-age=x", 60),
            ("max-age=600, no-cache", 60),
            ("no-store", 60),
        ] {
            assert_eq!(fresh_for(header), Duration::from_secs(seconds), "{header}");
        }
    }

    #[test]
    fn json_is_known_by_its_type() {
        for good in
            ["application/json", "Application/JSON; charset=utf-8", "application/jwk-set+json"]
        {
            assert!(is_json(good), "{good}");
        }
        for bad in ["", "text/html", "text/json", "application/xml", "application/jsonx"] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
