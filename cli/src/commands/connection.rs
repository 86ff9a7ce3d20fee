//! The way to the admin interface: the socket of a running server, or the same interface inside
//! this process when none runs.

use std::{io::ErrorKind, path::Path};

use auth_server::{AdminPeer, App};
use axum::{Router, body::Body};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use shared::secret::Secret;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tower::ServiceExt as _;
use url::{Host, Url};

use super::{Failure, Place};
use crate::{
    admin_socket,
    deployment_file::{self, File},
    gateway_keys, serve, stores,
};

/// Somebody who answers.
#[derive(Debug)]
pub(super) struct Connection {
    end: End,
    operator: Option<HeaderValue>,
}

#[derive(Debug)]
enum End {
    Here(Box<App>),
    HereGateway(Router),
    Listener(TcpStream, Listener),
    Socket(UnixStream),
}

/// A server's admin listener, and what is shown there.
#[derive(Debug)]
struct Listener {
    host: String,
    token: Secret,
}

/// A request: a method, the path's segments below `/admin/v1`, a query and a body.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Value,
}

impl<'a> Ask<'a> {
    /// A request without query and body.
    pub(super) fn of(method: Method, path: &'a [&'a str]) -> Self {
        Self { method, path, query: &[], body: Value::Null }
    }

    fn url(&self) -> Result<Url, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure::Misuse(error.to_string());
        let mut url = Url::parse("http://localhost/admin/v1").map_err(|error| wrong(&error))?;
        url.path_segments_mut().map_err(|()| wrong(&"no path"))?.extend(self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(self.query);
        }
        Ok(url)
    }
}

/// Asks the server of the data folder, or its store, and gives the answer.
pub(super) async fn ask(place: &Place, ask: Ask<'_>) -> Result<Value, Failure> {
    Connection::open(place).await?.send(&ask).await
}

/// Asks the gateway of the data folder, or its store, and gives the answer. Paths are those of
/// [`gateway_keys`].
pub(super) async fn ask_gateway(place: &Place, ask: Ask<'_>) -> Result<Value, Failure> {
    Connection::open_gateway(place).await?.send(&ask).await
}

/// Asks for every page of a list, and gives all its items.
pub(super) async fn ask_all(
    place: &Place,
    path: &[&str],
    items: &str,
) -> Result<Vec<Value>, Failure> {
    let mut after: Option<String> = None;
    let mut all = Vec::new();
    loop {
        let query: Vec<(&str, &str)> = after.iter().map(|key| ("after", key.as_str())).collect();
        let page = ask(place, Ask { query: &query, ..Ask::of(Method::GET, path) }).await?;
        all.extend(page.get(items).and_then(Value::as_array).into_iter().flatten().cloned());
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok(all),
        }
    }
}

impl Connection {
    async fn open(place: &Place) -> Result<Self, Failure> {
        let operator = place.operator.as_deref().and_then(|name| name.parse().ok());
        if let Some(url) = &place.admin {
            return Ok(Self { end: listener(url, place).await?, operator });
        }
        let path = admin_socket::path(&place.data_dir);
        let end = match UnixStream::connect(&path).await {
            Ok(stream) => End::Socket(stream),
            Err(error) if is_nobody(error.kind()) => {
                let Some(config) = &place.config else {
                    return Err(Failure::Misuse(format!(
                        "no server runs on {}; name the server's --data-dir, or with --config the \
                         deployment file whose store is asked instead",
                        place.data_dir.display()
                    )));
                };
                End::Here(Box::new(open_store(config, &place.data_dir).await?))
            }
            Err(error) => {
                let text = format!("{} cannot be asked: {error}", path.display());
                return Err(Failure::Misuse(text));
            }
        };
        Ok(Self { end, operator })
    }

    /// A gateway of its own has a socket of its own; one that runs with auth-server shares its
    /// socket.
    async fn open_gateway(place: &Place) -> Result<Self, Failure> {
        let operator = || place.operator.as_deref().and_then(|name| name.parse().ok());
        if let Some(url) = &place.admin {
            return Ok(Self { end: listener(url, place).await?, operator: operator() });
        }
        for name in [admin_socket::GATEWAY, admin_socket::AUTH_SERVER] {
            let path = place.data_dir.join(name);
            let stream = match UnixStream::connect(&path).await {
                Ok(stream) => stream,
                Err(error) if is_nobody(error.kind()) => continue,
                Err(error) => {
                    let text = format!("{} cannot be asked: {error}", path.display());
                    return Err(Failure::Misuse(text));
                }
            };
            let here = Self { end: End::Socket(stream), operator: operator() };
            if name == admin_socket::GATEWAY || has_gateway(&path).await? {
                return Ok(here);
            }
        }
        let Some(config) = &place.config else {
            return Err(Failure::Misuse(format!(
                "no gateway runs on {}; name the gateway's --data-dir, or with --config the \
                 deployment file whose store is asked instead",
                place.data_dir.display()
            )));
        };
        let file = File::read(config).map_err(Failure::Misuse)?;
        serve::make_private_folder(&place.data_dir).map_err(Failure::Misuse)?;
        let ring = stores::ring(&file, &place.data_dir).await.map_err(Failure::Unavailable)?;
        let end = End::HereGateway(gateway_keys::router(ring, None));
        Ok(Self { end, operator: operator() })
    }

    async fn send(self, ask: &Ask<'_>) -> Result<Value, Failure> {
        let url = ask.url()?;
        let body = if ask.body.is_null() { String::new() } else { ask.body.to_string() };
        let target = url[url::Position::BeforePath..].to_owned();
        let mut request = Request::builder().method(&ask.method).uri(target);
        if let End::Listener(_, listener) = &self.end {
            request = request.header(header::HOST, &listener.host);
            let shown = format!("Bearer {}", listener.token.expose());
            request = request.header(header::AUTHORIZATION, shown);
        } else {
            request = request.header(header::HOST, "localhost");
        }
        if let Some(operator) = self.operator {
            request = request.header("vestibule-operator", operator);
        }
        let request = request.body(Body::from(body));
        let request = request.map_err(|error| Failure::Misuse(error.to_string()))?;
        let (status, text) = match self.end {
            End::Here(app) => {
                let answer = here(auth_server::admin_router((*app).clone()), request).await?;
                if let Err(error) = app.flush_audit().await {
                    tracing::warn!(%error, "the act is not in the audit");
                }
                answer
            }
            End::HereGateway(router) => here(router, request).await?,
            End::Listener(stream, _) => over(stream, request).await?,
            End::Socket(stream) => over(stream, request).await?,
        };
        read(status, &text)
    }
}

/// Whether nobody listens, rather than that we may not ask.
fn is_nobody(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

/// Posts to the server behind a socket; `None` if nobody listens there.
pub(super) async fn post(
    socket: &Path,
    path: &str,
    operator: Option<&str>,
) -> Result<Option<Value>, Failure> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if is_nobody(error.kind()) => return Ok(None),
        Err(error) => {
            return Err(Failure::Misuse(format!("{} cannot be asked: {error}", socket.display())));
        }
    };
    let mut request = Request::builder().method(Method::POST).uri(path);
    request = request.header(header::HOST, "localhost");
    if let Some(name) = operator {
        request = request.header("vestibule-operator", name);
    }
    let request = request.body(Body::empty());
    let request = request.map_err(|error| Failure::Misuse(error.to_string()))?;
    let (status, text) = over(stream, request).await?;
    read(status, &text).map(Some)
}

async fn open_store(config: &Path, data_dir: &Path) -> Result<App, Failure> {
    let file = File::read(config).map_err(Failure::Misuse)?;
    serve::make_private_folder(data_dir).map_err(Failure::Misuse)?;
    stores::open_auth_server(&file, data_dir).await.map_err(Failure::Unavailable)
}

async fn here(
    router: Router,
    mut request: Request<Body>,
) -> Result<(StatusCode, Vec<u8>), Failure> {
    let uid = rustix::process::getuid().as_raw();
    let pid = i32::try_from(std::process::id()).ok();
    request.extensions_mut().insert(AdminPeer { pid, uid });
    let Ok(response) = router.oneshot(request).await;
    whole(response).await
}

/// Whether a gateway runs in the process behind auth-server's socket.
async fn has_gateway(socket: &Path) -> Result<bool, Failure> {
    let gone = |error| Failure::Unavailable(format!("{}: {error}", socket.display()));
    let stream = UnixStream::connect(socket).await.map_err(gone)?;
    let request = Request::get(gateway_keys::PATH).header(header::HOST, "localhost");
    let request = request.body(Body::empty());
    let request = request.map_err(|error| Failure::Misuse(error.to_string()))?;
    Ok(over(stream, request).await?.0 != StatusCode::NOT_FOUND)
}

/// Connects to a listener. The token goes to this machine alone, or into a tunnel that begins on
/// it.
async fn listener(url: &str, place: &Place) -> Result<End, Failure> {
    let wrong = |why: &str| Failure::Misuse(format!("--admin {url}: {why}"));
    let asked = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
    let is_loopback = match asked.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let (Some(host), Some(port)) = (asked.host_str(), asked.port()) else {
        return Err(wrong("write it like http://127.0.0.1:7419"));
    };
    if asked.scheme() != "http" || !is_loopback {
        return Err(wrong("it must be http on a loopback address; from elsewhere use a tunnel"));
    }
    let path =
        place.admin_token_file.as_ref().ok_or_else(|| wrong("--admin-token-file is missing"))?;
    let token = deployment_file::admin_token(path)
        .map_err(|error| Failure::Misuse(format!("--admin-token-file: {error}")))?;
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((name, port)).await;
    let stream = stream.map_err(|error| Failure::Unavailable(format!("{url}: {error}")))?;
    Ok(End::Listener(stream, Listener { host: format!("{host}:{port}"), token }))
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Body>,
) -> Result<(StatusCode, Vec<u8>), Failure> {
    let gone = |error: hyper::Error| Failure::Unavailable(format!("the server went away: {error}"));
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(gone)?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(gone)?;
        whole(response.map(Body::new)).await
    };
    // The connection ends when the exchange has let go of it.
    let (answer, _closed) = tokio::join!(exchange, connection);
    answer
}

async fn whole(response: Response<Body>) -> Result<(StatusCode, Vec<u8>), Failure> {
    let status = response.status();
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| Failure::Unavailable(error.to_string()))?;
    Ok((status, body.to_bytes().to_vec()))
}

/// The answer, or the reason in it.
fn read(status: StatusCode, text: &[u8]) -> Result<Value, Failure> {
    let value: Value = serde_json::from_slice(text).unwrap_or_default();
    if status.is_success() {
        return Ok(value);
    }
    let reason = value.get("error_description").and_then(Value::as_str);
    let reason = reason.map_or_else(|| format!("the server answered {status}"), str::to_owned);
    if status.is_server_error() {
        return Err(Failure::Unavailable(reason));
    }
    Err(Failure::Refused(reason))
}
