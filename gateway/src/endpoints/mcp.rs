//! A resource: Streamable HTTP in and out (MCP transports). The work is in `phases.rs`.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_REQUEST_HEADERS, VARY,
    },
};
use tokio::task::yield_now;

use crate::{
    config::Route,
    limit::LimitHeaders,
    phases::{self, Incoming},
    rules::headers::PARAM_PREFIX,
    state::App,
};

/// Any method on a resource's path.
pub(crate) async fn any(
    State((app, route)): State<(App, Arc<Route>)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    Box::pin(phases::answer(&app, &route, Incoming { body, parts })).await
}

/// A call of a program: no script sends an `Origin` of its own choice, so there is none to answer.
pub(crate) async fn post(app: &App, route: &Arc<Route>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let incoming = Incoming { body, parts };
    let mut response = Box::pin(phases::answer(app, route, incoming)).await;
    // As everywhere where answers differ by origin, so that no cache gives this one to a script.
    response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
    if response.status().is_client_error() {
        // Most clients send the body right behind the head: what is refused before its body is
        // there would cost the connection, and the client perhaps its next request.
        yield_now().await;
    }
    response
}

/// What scripts may send and read beyond what every endpoint allows: API keys, the headers that
/// repeat arguments, and the version.
pub(crate) async fn widen_cors(
    State(route): State<Arc<Route>>,
    request: Request,
    next: Next,
) -> Response {
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS);
    let asked = asked.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let asked = asked.split(',').map(|name| name.trim().to_ascii_lowercase());
    let keys = route.resource.api_keys.iter().flat_map(|keys| &keys.headers);
    let mut sent: Vec<String> = keys.cloned().collect();
    sent.extend(asked.filter(|name| name.starts_with(PARAM_PREFIX)).take(MOST_PARAMS));
    let mut response = next.run(request).await;
    append(response.headers_mut(), &ACCESS_CONTROL_ALLOW_HEADERS, &sent.join(", "));
    let limits = route.limit_headers.iter().flat_map(LimitHeaders::names);
    let read: Vec<&str> = std::iter::once("MCP-Protocol-Version").chain(limits).collect();
    append(response.headers_mut(), &ACCESS_CONTROL_EXPOSE_HEADERS, &read.join(", "));
    response
}

/// More headers than any tool declares.
const MOST_PARAMS: usize = 64;

/// Adds to a list that is there.
fn append(headers: &mut HeaderMap, name: &HeaderName, more: &str) {
    let Some(held) = headers.get(name).filter(|_| !more.is_empty()) else { return };
    let list = [held.as_bytes(), b", ", more.as_bytes()].concat();
    if let Ok(value) = list.try_into() {
        headers.insert(name.clone(), value);
    }
}
