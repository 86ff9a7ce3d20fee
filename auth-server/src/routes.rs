//! Every path of auth-server, on one screen.

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post},
};
use http::StatusCode;
use web::{
    cors::{self, Origins},
    problem::Problem,
};

use crate::{
    App,
    endpoints::{
        account, authorize, client_configuration, consent, health, internal, introspect, jwks,
        login, metadata, register, revoke, token, upstream, userinfo,
    },
    entrance::{self, Entrance},
    traces,
};

/// The public paths, under the issuer's own path. Requests for another host are refused.
pub(crate) fn router(app: App, entrance: Arc<Entrance>) -> Router {
    let path = |endpoint: &str| app.config.path(endpoint);
    let mut public = Router::new()
        .route(&path("/jwks"), get(jwks::show))
        .route(&path("/register"), post(register::register))
        .route(
            &path("/register/{client_id}"),
            get(client_configuration::show)
                .put(client_configuration::replace)
                .delete(client_configuration::remove),
        )
        .route(&path("/revoke"), post(revoke::revoke))
        .route(&path("/token"), post(token::exchange))
        .route(&path("/userinfo"), get(userinfo::show).post(userinfo::show));
    for well_known in metadata::paths(&app.config) {
        public = public.route(&well_known, get(metadata::show));
    }
    let public = public
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Origins::Any, cors::apply));
    // No script of another origin asks for pages or about tokens.
    let pages = Router::new()
        .route(&path("/account"), get(account::show).post(account::submit))
        .route(&path("/account/confirm"), get(account::ask))
        .route(&path("/account/keys"), post(account::make_key))
        .route(&path("/account/keys/new"), get(account::show_key_form))
        .route(
            &path("/account/password"),
            get(account::show_password_form).post(account::change_password),
        )
        .route(&path("/authorize"), get(authorize::show).post(authorize::post))
        .route(&path("/consent"), get(consent::show).post(consent::submit))
        .route(&path("/introspect"), post(introspect::introspect))
        .route(&path("/login/{provider}"), get(upstream::begin))
        .route(&path("/login/{provider}/callback"), get(upstream::callback))
        .route(&path("/login"), get(login::show).post(login::submit))
        .route(&path("/logout"), post(account::sign_out))
        .method_not_allowed_fallback(wrong_method);
    public
        .merge(pages)
        .fallback(|| async { Problem::not_found() })
        .layer(middleware::from_fn_with_state(entrance, entrance::enter))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .with_state(app)
}

/// The paths for gateways of other processes, on a listener of their own: the feed, look-ups,
/// reports, and the public documents under their public paths.
pub fn internal_router(app: App) -> Router {
    let mut documents = Router::new().route(&app.config.path("/jwks"), get(jwks::show));
    for well_known in metadata::paths(&app.config) {
        documents = documents.route(&well_known, get(metadata::show));
    }
    let mut paths = documents
        .route("/internal/events", get(internal::events))
        .route("/internal/principals", post(internal::principals))
        .route("/internal/usage", post(internal::usage))
        .fallback(|| async { Problem::not_found() });
    if app.traces.is_some() {
        paths = paths.layer(middleware::from_fn_with_state(app.clone(), traces::follow));
    }
    paths.with_state(app)
}

async fn wrong_method() -> Problem {
    let text = "this address does not answer that method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", text)
}
