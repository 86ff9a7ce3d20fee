//! Every path, by host. No address is ever built from a request, and what is not listed here is
//! 404 JSON; a host that is not listed is 421 (RFC 9110 section 15.5.20).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http::{
    HeaderValue, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, HOST},
};
use shared::metadata::well_known_path;
use tower::ServiceExt;
use web::{cors, problem::Problem};

use crate::{
    config::Route,
    endpoints::{
        documents::{self, Kind},
        health, mcp, metadata,
    },
    error::transport,
    gateway::Gateway,
    rules::{documents::Address, origin::normal_host, violation::TransportViolation},
    state::App,
    traces,
};

const AUTHORIZATION_SERVER: &str = "oauth-authorization-server";
const PROTECTED_RESOURCE: &str = "oauth-protected-resource";
const AUTHORIZE: &str = "/authorize";
const MANIFEST: &str = "/.well-known/mcp.json";
const OPENAPI: &str = "/openapi.json";

/// Every path, for whatever does not go straight to an endpoint.
pub(crate) fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/.well-known/jwks.json", get(metadata::identity_keys))
        .method_not_allowed_fallback(wrong_method)
        .fallback(by_host)
        .with_state(gateway)
}

/// What one host serves.
#[derive(Debug)]
pub(crate) struct Host {
    /// What the router knows.
    pub(crate) paths: HashSet<String>,
    router: Router,
}

/// What each host serves under one configuration.
pub(crate) fn hosts(app: &App) -> HashMap<String, Host> {
    let mut hosts: HashMap<String, Vec<Arc<Route>>> = HashMap::new();
    for route in &app.config.routes {
        hosts.entry(route.host.clone()).or_default().push(Arc::clone(route));
        // A host may have no resource and yet documents of one.
        for (address, _) in placed(route) {
            hosts.entry(address.host).or_default();
        }
    }
    let of_host = |(host, routes): (String, Vec<Arc<Route>>)| {
        let served = of_host(app, &host, &routes);
        (host, served)
    };
    hosts.into_iter().map(of_host).collect()
}

/// Where each public document of a resource is.
fn placed(route: &Route) -> Vec<(Address, Kind)> {
    let Some(about) = &route.documents else { return Vec::new() };
    let here = |path: String| Address { host: route.host.clone(), path };
    let card = here(format!("{}/server-card", route.path.trim_end_matches('/')));
    let at_root = |path: &str| route.is_root.then(|| here(path.to_owned()));
    let manifest = about.manifest_at.clone().or_else(|| at_root(MANIFEST));
    let openapi = about.openapi_at.clone().or_else(|| at_root(OPENAPI));
    [
        (about.has_server_card, Some(card), Kind::ServerCard),
        (about.has_manifest, manifest, Kind::Manifest),
        (about.has_openapi, openapi, Kind::OpenApi),
    ]
    .into_iter()
    .filter(|(is_there, _, _)| *is_there)
    .filter_map(|(_, address, kind)| Some((address?, kind)))
    .collect()
}

/// The host that a request names, as ours are written.
pub(crate) fn named_host(request: &Request) -> Option<String> {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let header = || request.headers().get(HOST).and_then(|value| value.to_str().ok());
    authority.or_else(header).map(normal_host)
}

async fn by_host(State(gateway): State<Gateway>, request: Request) -> Response {
    // RFC 9112 section 3.2: two hosts could mean two things to two readers.
    if request.headers().get_all(HOST).iter().count() > 1 {
        return transport(TransportViolation::UnknownHost);
    }
    let router = named_host(&request)
        .and_then(|host| gateway.generation().hosts.get(&host).map(|held| held.router.clone()));
    let Some(router) = router else {
        let mut response = transport(TransportViolation::UnknownHost);
        let anybody = HeaderValue::from_static("*");
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, anybody);
        return response;
    };
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn of_host(app: &App, host: &str, routes: &[Arc<Route>]) -> Host {
    let open = || from_fn_with_state(cors::Origins::Any, cors::apply);
    // Without a handler of its own a preflight would be answered past the layer.
    let nothing = || async { StatusCode::NO_CONTENT };
    let (mut served, mut paths) = documents(app, host, routes);
    for route in routes {
        let state = (app.clone(), Arc::clone(route));
        let document = get(metadata::protected_resource).options(nothing).layer(open());
        let endpoint = any(mcp::any)
            .layer(from_fn_with_state(route.origins.clone(), cors::apply))
            .layer(from_fn_with_state(Arc::clone(route), mcp::widen_cors));
        let mut own = Router::new().route(&route.path, endpoint);
        if route.resource.oauth {
            let path = well_known_path(PROTECTED_RESOURCE, &route.path);
            own = own.route(&path, document.clone());
            paths.insert(path);
        }
        if route.resource.oauth && route.is_root && route.path != "/" {
            let path = well_known_path(PROTECTED_RESOURCE, "");
            own = own.route(&path, document);
            paths.insert(path);
        }
        served = served.merge(own.with_state(state));
        if has_mirror(app, host, route) && route.path != "/" {
            let path = well_known_path(AUTHORIZATION_SERVER, &route.path);
            let mirror = get(metadata::authorization_server).options(nothing).layer(open());
            served = served.merge(Router::new().route(&path, mirror).with_state(app.clone()));
            paths.insert(path);
        }
    }
    if routes.iter().any(|route| has_mirror(app, host, route)) {
        let mirror = get(metadata::authorization_server).options(nothing).layer(open());
        let root = well_known_path(AUTHORIZATION_SERVER, "");
        let mut aliases = Router::new().route(&root, mirror);
        paths.insert(root);
        // Where the issuer's own is, a redirect to it would lead back here.
        if !is_issuers(app, host, AUTHORIZE) && !paths.contains(AUTHORIZE) {
            aliases = aliases.route(AUTHORIZE, get(metadata::authorize));
            paths.insert(AUTHORIZE.to_owned());
        }
        served = served.merge(aliases.with_state(app.clone()));
    }
    // Scripts look for documents that are not here, and must be able to read that they are not.
    let missing = any(|| async { Problem::not_found().into_response() });
    let served = served.fallback(missing.layer(open())).method_not_allowed_fallback(wrong_method);
    let served = match app.traces {
        Some(_) => served.layer(from_fn_with_state(app.clone(), traces::follow)),
        None => served,
    };
    Host { paths, router: served }
}

async fn wrong_method() -> Response {
    let mut response = transport(TransportViolation::MethodNotAllowed);
    // What is allowed depends on the path, and is filled in behind.
    response.headers_mut().remove(ALLOW);
    response
}

/// The public documents of a host, where no resource has their path; with every path that is
/// taken.
fn documents(app: &App, host: &str, routes: &[Arc<Route>]) -> (Router, HashSet<String>) {
    let open = || from_fn_with_state(cors::Origins::Any, cors::apply);
    let nothing = || async { StatusCode::NO_CONTENT };
    let mut taken: HashSet<String> = routes.iter().map(|route| route.path.clone()).collect();
    let mut paths = Router::new();
    for route in &app.config.routes {
        for (Address { path, .. }, kind) in
            placed(route).into_iter().filter(|(address, _)| address.host == host)
        {
            if taken.insert(path.clone()) {
                let state = (app.clone(), Arc::clone(route), kind);
                let document = get(documents::show).options(nothing).layer(open());
                paths = paths.merge(Router::new().route(&path, document).with_state(state));
            }
        }
    }
    (paths, taken)
}

/// Whether the issuer has an endpoint or a page at this address.
fn is_issuers(app: &App, host: &str, path: &str) -> bool {
    let endpoints = &app.config.deployment.endpoints;
    endpoints.hosts().iter().any(|own| normal_host(own) == host && endpoints.has(own, path))
}

/// Whether the issuer's addresses are mirrored here; not where they are the issuer's own.
fn has_mirror(app: &App, host: &str, route: &Route) -> bool {
    let own = app.config.deployment.issuer.authority();
    route.aliases && route.resource.oauth && normal_host(&own) != host
}
