//! What of a request is told to the receiver of traces, where the operator has one: its route,
//! method, status and time, and no more.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::StatusCode;
use web::traces::Span;

use crate::App;

/// A request to a public path that begins, if it is traced.
pub(crate) fn begin(app: &App, request: &Request) -> Option<Span> {
    let tracer = app.traces.as_ref()?;
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let is_from_proxy =
        peer.is_some_and(|ConnectInfo(peer)| app.config.trusted_proxies.contains(peer.ip()));
    tracer.begin(request.headers(), is_from_proxy)
}

/// Traces what gateways ask on behalf of requests that are traced.
pub(crate) async fn follow(State(app): State<App>, request: Request, next: Next) -> Response {
    let span = app.traces.as_ref().and_then(|tracer| tracer.go_on(request.headers()));
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    // Who shows no credential is no gateway, and decides nothing about traces.
    let is_gateway = !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if let (Some(span), Some(route)) = (span.filter(|_| is_gateway), route) {
        span.answered(&method, route.as_str(), response.status());
    }
    response
}
