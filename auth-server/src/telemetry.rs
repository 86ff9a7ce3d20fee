//! One event per request, for logs and for the demo's readable lines: method, path, status and
//! time; never a query, a body or a header.

use std::time::Instant;

use axum::{extract::Request, middleware::Next, response::Response};

/// The target of request events.
const TARGET: &str = "vestibule::request";

/// Records a request when its answer's head is ready.
pub(crate) async fn record(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let start = Instant::now();
    let response = next.run(request).await;
    let (status, micros) = (response.status().as_u16(), start.elapsed().as_micros());
    tracing::info!(target: TARGET, service = "auth", %method, %path, status, micros = %micros);
    response
}
