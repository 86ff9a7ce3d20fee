//! The routes: the MCP endpoint behind the identity check, and JSON for everything else.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    engine::Engine,
    identity::{IdentityViolation, Verifier},
    server::Crm,
};

const LARGEST_BODY: usize = 1024 * 1024;

/// The router of one CRM.
pub(crate) fn routes(
    config: &Config,
    verifier: Verifier,
    engine: Engine,
    shutdown: CancellationToken,
) -> Router {
    let mut transport = StreamableHttpServerConfig::default()
        .with_cancellation_token(shutdown)
        .with_json_response(true)
        .with_legacy_session_mode(false)
        .with_max_request_body_bytes(LARGEST_BODY)
        .enforce_origin_validation();
    // An empty list would mean "any host" here, so the loopback default stays in force.
    if !config.allowed_hosts.is_empty() {
        transport = transport.with_allowed_hosts(&config.allowed_hosts);
    }
    let crm = Crm::new(engine);
    let mcp = StreamableHttpService::new(
        move || Ok(crm.clone()),
        Arc::new(NeverSessionManager::default()),
        transport,
    );
    Router::new()
        .route_service(&config.path, mcp)
        .route_layer(middleware::from_fn_with_state(Arc::new(verifier), identified))
        .fallback(not_found)
}

async fn identified(
    State(verifier): State<Arc<Verifier>>,
    mut request: Request,
    next: Next,
) -> Response {
    match verifier.identity(request.headers()).await {
        Ok(identity) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Err(violation) => refusal(violation),
    }
}

fn refusal(violation: IdentityViolation) -> Response {
    tracing::info!(?violation, "identity refused");
    if violation.is_temporary() {
        let mut response =
            problem(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", &violation);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    }
    let mut response = problem(StatusCode::UNAUTHORIZED, "invalid_token", &violation);
    // A request without credentials is told the scheme only (RFC 6750 section 3.1).
    let challenge = if violation == IdentityViolation::Missing {
        "Bearer"
    } else {
        "Bearer error=\"invalid_token\""
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "not_found", &"nothing is served at this path")
}

fn problem(status: StatusCode, error: &str, description: &impl ToString) -> Response {
    let body = json!({ "error": error, "error_description": description.to_string() });
    (status, Json(body)).into_response()
}
