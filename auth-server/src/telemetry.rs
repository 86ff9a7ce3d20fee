//! One event per request, for logs and for the demo's readable lines: method, path, status and
//! time; never a query, a body or a header.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};

use crate::App;

/// The target of request events.
const TARGET: &str = "vestibule::request";

/// Records a request when its answer's head is ready.
pub(crate) async fn record(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let start = Instant::now();
    let response = next.run(request).await;
    let took = start.elapsed();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    app.metrics.request(route, response.status(), took);
    let (status, micros) = (response.status().as_u16(), took.as_micros());
    tracing::info!(target: TARGET, service = "auth", %method, %path, status, micros = %micros);
    response
}
