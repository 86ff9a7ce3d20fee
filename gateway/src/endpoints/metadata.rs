//! Public documents: resource metadata (RFC 9728 section 3), the issuer's metadata mirrored where
//! some clients look for it (RFC 8414 section 3), and the keys of identities.

use std::sync::Arc;

use axum::{
    extract::{OriginalUri, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, LOCATION},
};
use serde::Deserialize;
use shared::metadata::ProtectedResourceMetadata;
use web::problem::Problem;

use crate::{config::Route, gateway::Gateway, state::App};

/// How long a document may be kept.
const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// GET /.well-known/oauth-protected-resource: the same bytes at the resource's path and, for one
/// resource of a host, at the root.
pub(crate) async fn protected_resource(State((app, route)): State<(App, Arc<Route>)>) -> Response {
    let document = ProtectedResourceMetadata {
        resource: route.resource.indicator.as_str().to_owned(),
        resource_name: route.resource.name.clone(),
        authorization_servers: std::iter::once(app.config.deployment.issuer.as_str())
            .chain(route.issuers.iter().filter(|one| one.advertise).map(|one| &*one.issuer))
            .map(str::to_owned)
            .collect(),
        scopes_supported: route.resource.prm_scopes.iter().map(str::to_owned).collect(),
        bearer_methods_supported: vec!["header"],
    };
    match serde_json::to_vec(&document) {
        Ok(body) => kept(body.into(), KEEP),
        Err(_) => Problem::unavailable("the document could not be written", 1).into_response(),
    }
}

/// GET /.well-known/oauth-authorization-server at the resource's origin: the issuer's own bytes.
pub(crate) async fn authorization_server(State(app): State<App>) -> Response {
    match app.authority.metadata().await {
        Ok(body) => kept(body.into(), KEEP),
        Err(error) => unavailable(&error),
    }
}

#[derive(Deserialize)]
struct Endpoints {
    authorization_endpoint: String,
}

/// GET /authorize at the resource's origin: on to the issuer's, with the same query.
pub(crate) async fn authorize(State(app): State<App>, OriginalUri(uri): OriginalUri) -> Response {
    let document = match app.authority.metadata().await {
        Ok(document) => document,
        Err(error) => return unavailable(&error),
    };
    let location = serde_json::from_slice(&document).ok().and_then(|found| {
        let Endpoints { authorization_endpoint } = found;
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        HeaderValue::try_from(authorization_endpoint + &query).ok()
    });
    let Some(location) = location else { return Problem::not_found().into_response() };
    let mut response = StatusCode::FOUND.into_response();
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// GET /.well-known/jwks.json: the keys that sign identities.
pub(crate) async fn identity_keys(State(gateway): State<Gateway>) -> Response {
    let app = gateway.current();
    let held = app.identity.load();
    kept(held.jwks.clone(), held.cache_control.clone())
}

fn kept(body: Bytes, keep: HeaderValue) -> Response {
    let mut response = web::problem::json(StatusCode::OK, body);
    response.headers_mut().remove(http::header::PRAGMA);
    response.headers_mut().insert(CACHE_CONTROL, keep);
    response
}

fn unavailable(error: &crate::authority::AuthorityError) -> Response {
    tracing::warn!(%error, "the issuer's metadata could not be fetched");
    Problem::unavailable("the authorization server is not available now", 2).into_response()
}
