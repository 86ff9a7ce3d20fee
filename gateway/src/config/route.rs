//! One resource and what stands behind it, from its tables.

use std::sync::Arc;

use shared::{deployment::Resource, metadata::well_known_path, resource::is_loopback};
use url::Url;
use web::cors::Origins;

use super::{RawGateway, RawRoute, RawSession, Route};
use crate::{
    error::Challenges,
    rules::{
        narrowing::Toolsets, offerings::Offerings, origin::normal_host, policy::Pattern,
        scopes::Implications,
    },
};

/// The route of a resource without what the gateway itself offers; `None` where its URL is none.
pub(super) fn route(
    gateway: &RawGateway,
    raw: &RawRoute,
    resource: &Resource,
    (implies, exempt_tools): (Implications, Vec<Pattern>),
) -> Option<Route> {
    let url = Url::parse(resource.indicator.as_str()).ok()?;
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str()?),
        None => url.host_str()?.to_owned(),
    };
    let origin = url.origin().ascii_serialization();
    let origins = if !gateway.origins_allowed.is_empty() {
        Origins::Listed(gateway.origins_allowed.clone().into())
    } else if is_loopback(&url) {
        Origins::Loopback
    } else {
        Origins::Listed(Arc::new([]))
    };
    let prm_url = format!("{origin}{}", well_known_path("oauth-protected-resource", url.path()));
    Some(Route {
        aliases: raw.aliases,
        audit: raw.audit,
        backends: raw.backends.iter().map(|name| name.as_str().into()).collect(),
        budgets: None,
        challenges: Challenges::new(raw.challenge.terms(resource, &origin, &prm_url)),
        documents: None,
        exempt_tools,
        host: normal_host(&host),
        implies,
        is_root: false,
        issuers: Vec::new(),
        limit_headers: None,
        offerings: Offerings::default(),
        on_missing_scope: raw.on_missing_scope,
        origins,
        page_size: None,
        path: url.path().to_owned(),
        prm_url,
        relay: raw.session == RawSession::Relay,
        resource: resource.clone(),
        row_workspace: raw.row_workspace.clone(),
        silence: raw.while_feed_is_silent.unwrap_or(gateway.while_feed_is_silent),
        toolsets: Toolsets::new(),
        workspace_list_tool: raw.workspace_list_tool.clone(),
    })
}

/// Each host's metadata also stands at its root: for the deployment's default resource, or for
/// the host's only one.
pub(super) fn choose_roots(routes: &mut [Route]) {
    let hosts: Vec<String> = routes.iter().map(|route| route.host.clone()).collect();
    for route in routes {
        let alone = hosts.iter().filter(|host| **host == route.host).count() == 1;
        route.is_root = alone || route.resource.is_default;
    }
}
