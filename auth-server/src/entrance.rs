//! The way in, which every request takes once: the check of its host, the documents that are in
//! memory or else keys that are fresh, and one event for logs and for the demo's readable lines, with
//! method, path, status and time; never a query, a body or a header.

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
    /// Our name, as the `Host` header has it.
    host: String,
    jwks: String,
    metadata: Vec<String>,
}

impl Entrance {
    pub(crate) fn new(app: App) -> Self {
        let host = app.config.authority();
        let (jwks, metadata) = (app.config.path("/jwks"), metadata::paths(&app.config));
        Self { app, host, jwks, metadata }
    }

    /// The answer to a request for a document that is in memory.
    pub(crate) fn at_once(&self, request: &Request) -> Option<Response> {
        let since = Instant::now();
        let response = self.document(request).filter(|_| self.is_ours(request))?;
        let (method, uri) = (request.method(), request.uri());
        let answered = Answered { since, status: response.status() };
        self.note(uri.path(), (method, uri), &answered);
        if let Some(span) = traces::begin(&self.app, request) {
            span.answered(method, uri.path(), answered.status);
        }
        Some(response)
    }

    async fn answer(&self, request: Request, next: Next) -> Response {
        if !self.is_ours(&request) {
            let text = format!("this server answers for {} only", self.host);
            let refusal = Problem::new(StatusCode::MISDIRECTED_REQUEST, "invalid_request", &text);
            return refusal.into_response();
        }
        self.app.keys.keep_fresh().await;
        next.run(request).await
    }

    /// Whether a request names our host (RFC 9110 section 7.4): no page and no cookie exists
    /// under a name that is not ours.
    fn is_ours(&self, request: &Request) -> bool {
        let named = request
            .headers()
            .get(HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
        named.is_some_and(|named| named.eq_ignore_ascii_case(&self.host))
    }

    /// A document that everybody may read and that is in memory.
    fn document(&self, request: &Request) -> Option<Response> {
        if request.method() != Method::GET {
            return None;
        }
        let path = request.uri().path();
        let mut response = if path == self.jwks {
            jwks::at_once(&self.app, request.headers())?
        } else if self.metadata.iter().any(|one| path == one) {
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
