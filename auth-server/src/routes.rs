//! Every path of auth-server, on one screen.

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{MethodRouter, get, post},
};
use http::StatusCode;
use shared::endpoints::Endpoint;
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

/// The public paths of one of our hosts: each endpoint where the deployment has it, the pages
/// beside the authorization endpoint, and metadata at the issuer's host.
pub(crate) fn router(app: App, entrance: Arc<Entrance>, host: &str) -> Router {
    let endpoints = &app.config.deployment.endpoints;
    let mut public = at(host, Router::new(), &endpoints.jwks, "", get(jwks::show));
    public = at(host, public, &endpoints.register, "", post(register::register));
    let managed = get(client_configuration::show)
        .put(client_configuration::replace)
        .delete(client_configuration::remove);
    public = at(host, public, &endpoints.register, "/{client_id}", managed);
    public = at(host, public, &endpoints.revoke, "", post(revoke::revoke));
    public = at(host, public, &endpoints.token, "", post(token::exchange));
    let userinfo = get(userinfo::show).post(userinfo::show);
    public = at(host, public, &endpoints.userinfo, "", userinfo);
    if app.config.deployment.issuer.authority() == host {
        for well_known in metadata::paths(&app.config) {
            public = public.route(&well_known, get(metadata::show));
        }
    }
    let public = public
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Origins::Any, cors::apply));
    // No script of another origin asks for pages or about tokens.
    let asked = post(introspect::introspect);
    let mut pages = at(host, Router::new(), &endpoints.introspect, "", asked);
    if endpoints.authorize.authority() == host {
        pages = pages.merge(of_people(&app));
    }
    let pages = pages.method_not_allowed_fallback(wrong_method);
    let paths = public.merge(pages).fallback(|| async { Problem::not_found() });
    entered(paths, app, entrance)
}

/// Under a name that is not ours every path is refused on the way in.
pub(crate) fn elsewhere(app: App, entrance: Arc<Entrance>) -> Router {
    entered(Router::new().fallback(|| async { Problem::not_found() }), app, entrance)
}

/// The pages for people, and where they are sent.
fn of_people(app: &App) -> Router<App> {
    let path = |page: &str| app.config.path(page);
    let authorize = app.config.deployment.endpoints.authorize.path();
    Router::new()
        .route(&path("/account"), get(account::show).post(account::submit))
        .route(&path("/account/confirm"), get(account::ask))
        .route(&path("/account/keys"), post(account::make_key))
        .route(&path("/account/keys/new"), get(account::show_key_form))
        .route(
            &path("/account/password"),
            get(account::show_password_form).post(account::change_password),
        )
        .route(authorize, get(authorize::show).post(authorize::post))
        .route(&path("/consent"), get(consent::show).post(consent::submit))
        .route(&path("/login/{provider}"), get(upstream::begin))
        .route(&path("/login/{provider}/callback"), get(upstream::callback))
        .route(&path("/login"), get(login::show).post(login::submit))
        .route(&path("/logout"), post(account::sign_out))
}

/// An endpoint, or what is below it, if it is at this host.
fn at(
    host: &str,
    paths: Router<App>,
    endpoint: &Endpoint,
    below: &str,
    methods: MethodRouter<App>,
) -> Router<App> {
    if endpoint.authority() != host {
        return paths;
    }
    paths.route(&format!("{}{below}", endpoint.path()), methods)
}

/// Paths behind the way in, and health, which is the same whatever the host.
fn entered(paths: Router<App>, app: App, entrance: Arc<Entrance>) -> Router {
    paths
        .layer(middleware::from_fn_with_state(entrance, entrance::enter))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
}

/// The paths for gateways of other processes, on a listener of their own: the feed, look-ups,
/// reports, and the public documents: keys below the issuer's path, wherever the public URL is.
pub fn internal_router(app: App) -> Router {
    let keys = format!("{}/jwks", app.config.deployment.issuer.path());
    let mut documents = Router::new().route(&keys, get(jwks::show));
    for well_known in metadata::paths(&app.config) {
        documents = documents.route(&well_known, get(metadata::show));
    }
    let mut paths = documents
        .route("/internal/events", get(internal::events))
        .route("/internal/principals", post(internal::principals))
        .route("/internal/usage", post(internal::usage))
        .method_not_allowed_fallback(wrong_method)
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
