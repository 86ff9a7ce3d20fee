//! The way in, which every request takes once: the host it names, the documents that are in memory
//! or else keys that are fresh, and one event for logs and for the demo's readable lines, with method,
//! path, status and time; never a query, a body or a header.
//!
//! Invariant: what is at one of our hosts is not found under the name of another.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, Uri, header::HOST};
use web::{cors, problem::Problem};

use crate::{
    App,
    endpoints::{jwks, metadata},
    traces,
};

/// The target of request events.
const TARGET: &str = "vestibule::request";

/// What the way in needs to know.
#[derive(Debug)]
pub(crate) struct Entrance {
    app: App,
    /// Our names, as the `Host` header has them.
    hosts: Vec<String>,
    /// The host and the path of each document in memory.
    jwks: (String, String),
    metadata: (String, Vec<String>),
}

impl Entrance {
    pub(crate) fn new(app: App) -> Self {
        let deployment = &app.config.deployment;
        let jwks = &deployment.endpoints.jwks;
        let jwks = (jwks.authority().to_owned(), jwks.path().to_owned());
        let metadata = (deployment.issuer.authority(), metadata::paths(&app.config));
        Self { hosts: deployment.issuer_hosts(), app, jwks, metadata }
    }

    /// Our names, as the `Host` header has them.
    pub(crate) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Which of our names a request has (RFC 9110 section 7.4), if it has one: no page and no
    /// cookie exists under a name that is not ours.
    pub(crate) fn named(&self, request: &Request) -> Option<usize> {
        let named = named(request)?;
        self.hosts.iter().position(|host| named.eq_ignore_ascii_case(host))
    }

    /// The answer to a request for a document that is in memory.
    pub(crate) fn at_once(&self, request: &Request) -> Option<Response> {
        let since = Instant::now();
        let response = self.document(request)?;
        let (method, uri) = (request.method(), request.uri());
        let answered = Answered { since, status: response.status() };
        self.note(uri.path(), (method, uri), &answered);
        if let Some(span) = traces::begin(&self.app, request) {
            span.answered(method, uri.path(), answered.status);
        }
        Some(response)
    }

    async fn answer(&self, request: Request, next: Next) -> Response {
        if self.named(&request).is_none() {
            let text = format!("this server answers for {} only", self.hosts.join(" and "));
            let refusal = Problem::new(StatusCode::MISDIRECTED_REQUEST, "invalid_request", &text);
            return refusal.into_response();
        }
        self.app.keys.keep_fresh().await;
        next.run(request).await
    }

    /// A document that everybody may read and that is in memory.
    fn document(&self, request: &Request) -> Option<Response> {
        if request.method() != Method::GET {
            return None;
        }
        let path = request.uri().path();
        let is_at = |host: &str| named(request).is_some_and(|it| it.eq_ignore_ascii_case(host));
        let mut response = if path == self.jwks.1 && is_at(&self.jwks.0) {
            jwks::at_once(&self.app, request.headers())?
        } else if self.metadata.1.iter().any(|one| path == one) && is_at(&self.metadata.0) {
            metadata::answer(&self.app)
        } else {
            return None;
        };
        cors::readable_by_all(response.headers_mut());
        Some(response)
    }

    /// Notes an answer when its head is ready.
    fn note(&self, route: &str, (method, uri): (&Method, &Uri), answer: &Answered) {
        let Answered { since, status } = *answer;
        let took = since.elapsed();
        self.app.metrics.request(route, status, took);
        let (path, status, micros) = (uri.path(), status.as_u16(), took.as_micros());
        tracing::info!(target: TARGET, service = "auth", %method, %path, status, micros = %micros);
    }
}

struct Answered {
    since: Instant,
    status: StatusCode,
}

/// The host that a request names. One that names two could mean either to whoever reads it next,
/// and names none (RFC 9112 section 3.2).
fn named(request: &Request) -> Option<&str> {
    let mut headers = request.headers().get_all(HOST).iter();
    let header = headers.next().map(|value| value.to_str().unwrap_or_default());
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    match (header, target) {
        _ if headers.next().is_some() => None,
        (Some(header), Some(target)) if !header.eq_ignore_ascii_case(target) => None,
        _ => header.or(target),
    }
}

/// The middleware.
pub(crate) async fn enter(
    State(entrance): State<Arc<Entrance>>,
    request: Request,
    next: Next,
) -> Response {
    let since = Instant::now();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = traces::begin(&entrance.app, &request);
    let response = entrance.answer(request, next).await;
    let answered = Answered { since, status: response.status() };
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    entrance.note(route, (&method, &uri), &answered);
    if let Some(span) = span {
        span.answered(&method, route, answered.status);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(target: &str, hosts: &[&str]) -> Request {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = target.parse().unwrap();
        for host in hosts {
            request.headers_mut().append(HOST, host.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_request_that_names_two_hosts_names_none() {
        for (target, hosts, expected) in [
            ("/jwks", vec!["api.example"], Some("api.example")),
            ("/jwks", vec![], None),
            ("/jwks", vec!["api.example", "api.example"], None),
            ("/jwks", vec!["api.example", "app.example"], None),
            ("https://api.example/jwks", vec![], Some("api.example")),
            ("https://api.example/jwks", vec!["API.example"], Some("API.example")),
            ("https://api.example/jwks", vec!["app.example"], None),
        ] {
            assert_eq!(named(&request(target, &hosts)), expected, "{target} {hosts:?}");
        }
    }
}
