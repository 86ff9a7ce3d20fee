//! GET of a resource's public documents: the manifest, the server card and the description in
//! `OpenAPI`. Without a credential they show what is public, with one what its owner sees.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, PRAGMA, VARY},
};
use sha2::{Digest, Sha256};
use shared::resource::ResourceIndicator;

use crate::{
    config::Route,
    error::{About, Refusal},
    limit::Seen,
    phases,
    rules::{
        caller::Caller,
        documents::{self, Documents, Subject},
        listing::{Choices, Shown},
        violation::BearerViolation,
        visible::{List, Surface},
    },
    state::App,
    surface,
};

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Manifest,
    OpenApi,
    ServerCard,
}

/// Public documents as they were made, each until the resource offers something else.
#[derive(Debug, Default)]
pub(crate) struct Made(ArcSwap<HashMap<(ResourceIndicator, Kind), Document>>);

#[derive(Clone, Debug)]
struct Document {
    body: Bytes,
    /// What it was made of.
    surface: Arc<Surface>,
    tag: HeaderValue,
}

/// Answers with a document.
pub(crate) async fn show(
    State((app, route, kind)): State<(App, Arc<Route>, Kind)>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let respond = |refusal: &Refusal| {
        refusal.respond(About {
            calls_tool: false,
            era: None,
            granted: None,
            id: None,
            route: &route,
        })
    };
    // By its own rule the card is the same for everybody.
    let caller = if kind == Kind::ServerCard {
        None
    } else {
        match phases::caller(&app, &route, &parts).await {
            Ok(caller) => Some(caller),
            Err(Refusal::Bearer(BearerViolation::Missing)) => None,
            Err(refusal) => return respond(&refusal),
        }
    };
    let Some(surface) = surface::current(&app, &route) else { return respond(&phases::NOT_READY) };
    let Some(about) = &route.documents else { return StatusCode::NOT_FOUND.into_response() };
    let Some(caller) = caller else {
        return public(&app, &route, (kind, about), surface, &parts.headers);
    };
    if let Err(limited) = app.limits.charge_discovery(&caller, &mut Seen::default()).await {
        return respond(&limited.into());
    }
    let document = made(&app, &route, (kind, about), surface, Some(&caller.caller));
    let mut response = answer(kind, &document, &parts.headers);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

fn public(
    app: &App,
    route: &Route,
    (kind, about): (Kind, &Documents),
    surface: Arc<Surface>,
    headers: &HeaderMap,
) -> Response {
    let key = (route.resource.indicator.clone(), kind);
    let held = app.documents.0.load();
    let held = held.get(&key).filter(|held| Arc::ptr_eq(&held.surface, &surface));
    let document = held.cloned().unwrap_or_else(|| {
        let document = made(app, route, (kind, about), surface, None);
        app.documents.0.rcu(|held| {
            let mut next = HashMap::clone(held);
            next.insert(key.clone(), document.clone());
            next
        });
        document
    });
    let mut response = answer(kind, &document, headers);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

fn made(
    app: &App,
    route: &Route,
    (kind, about): (Kind, &Documents),
    surface: Arc<Surface>,
    caller: Option<&Caller>,
) -> Document {
    let keys = route.resource.api_keys.as_ref();
    let mut key_headers = keys.map(|keys| keys.headers.clone()).unwrap_or_default();
    if keys.is_some_and(|keys| keys.authorization) {
        key_headers.insert(0, "authorization".to_owned());
    }
    let scopes: Vec<String> = route.resource.prm_scopes.iter().map(str::to_owned).collect();
    let subject = Subject {
        documents: about,
        issuer: app.config.deployment.issuer.as_str(),
        key_headers: &key_headers,
        name: &route.resource.name,
        oauth: route.resource.oauth,
        path: &route.path,
        prm_url: &route.prm_url,
        scopes: &scopes,
        url: route.resource.indicator.as_str(),
    };
    let tools = match caller {
        Some(caller) => {
            let choices = Choices::of(&caller.workspaces);
            let shown = surface.list(List::Tools, &caller.scope, &choices);
            shown.iter().filter_map(Shown::raw).map(Cow::Owned).collect()
        }
        None => surface.public_tools(&about.public_tools),
    };
    let document = match kind {
        Kind::Manifest => documents::manifest(&subject, &tools),
        Kind::OpenApi => documents::openapi(&subject, &tools),
        Kind::ServerCard => documents::server_card(&subject),
    };
    drop(tools);
    let body = Bytes::from(document.to_string());
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&body));
    let tag = HeaderValue::try_from(format!("\"{digest}\""));
    let tag = tag.unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    Document { body, surface, tag }
}

fn answer(kind: Kind, document: &Document, asked: &HeaderMap) -> Response {
    let is_known =
        asked.get(IF_NONE_MATCH).and_then(|held| held.to_str().ok()).is_some_and(|held| {
            let tags = held.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
            tags.into_iter().any(|tag| tag == "*" || tag.as_bytes() == document.tag.as_bytes())
        });
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        web::problem::json(StatusCode::OK, document.body.clone())
    };
    let headers = response.headers_mut();
    if kind == Kind::ServerCard && !is_known {
        let media = HeaderValue::from_static("application/mcp-server-card+json");
        headers.insert(CONTENT_TYPE, media);
    }
    headers.remove(PRAGMA);
    headers.insert(ETAG, document.tag.clone());
    headers.append(VARY, HeaderValue::from_static("Authorization"));
    response
}
