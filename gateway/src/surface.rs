//! What each resource offers now: joined once for each change of a backend's catalogue.

use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::HashMap;
use shared::resource::ResourceIndicator;

use crate::{
    config::{RawMissingScope, Route},
    rules::{
        policy::Pattern,
        visible::{Source, Surface, Terms, Unread},
    },
    state::App,
};

/// The surfaces in use.
#[derive(Debug, Default)]
pub(crate) struct Surfaces(ArcSwap<HashMap<ResourceIndicator, Arc<Surface>>>);

/// What the resource offers, or `None` while no backend's catalogue is known.
pub(crate) fn current(app: &App, route: &Route) -> Option<Arc<Surface>> {
    let held = app.surfaces.0.load();
    let known = held.get(&route.resource.indicator);
    if let Some(surface) = known.filter(|surface| is_current(app, route, surface)) {
        return Some(Arc::clone(surface));
    }
    let own = route.offerings.source();
    let mut sources = Vec::with_capacity(route.backends.len() + 1);
    let mut unread = Vec::new();
    for name in &route.backends {
        let Some(backend) = app.backends.find(name) else { continue };
        let naming = Arc::clone(&backend.config().naming);
        let policies = Arc::clone(&backend.config().policies);
        if let Some(catalogue) = backend.catalogue() {
            sources.push(Source { backend: Arc::clone(name), catalogue, naming, policies });
        } else {
            let at = sources.len() + usize::from(own.is_some());
            unread.push(Unread { at, backend: Arc::clone(name), naming, policies });
        }
    }
    if sources.is_empty() {
        return None;
    }
    // What the operator gave the gateway itself goes before what a backend calls the same.
    sources.splice(0..0, own.cloned());
    // Whoever had a name before keeps it.
    let owners = known.map(|surface| surface.owners().clone());
    let surface = Surface::join(sources, terms(route), unread, owners.unwrap_or_default());
    let surface = Arc::new(surface);
    for alarm in surface.alarms() {
        tracing::warn!(resource = %route.resource.indicator, "{alarm}");
    }
    app.surfaces.0.rcu(|held| {
        let mut next = HashMap::clone(held);
        next.insert(route.resource.indicator.clone(), Arc::clone(&surface));
        next
    });
    Some(surface)
}

/// Whether it was joined from the catalogues that the backends have now.
fn is_current(app: &App, route: &Route, surface: &Surface) -> bool {
    let mut held = surface.sources.iter().filter(|source| !source.is_own());
    let mut backends = route.backends.iter().filter_map(|name| app.backends.find(name));
    backends.all(|backend| match &*backend.catalogue_in_use() {
        Some(now) => held.next().is_some_and(|held| Arc::ptr_eq(&held.catalogue, now)),
        None => true,
    }) && held.next().is_none()
}

/// Tools that act in no workspace in particular; who calls is none of a workspace's business.
fn exempt(route: &Route) -> Vec<Pattern> {
    let own = route.offerings.whoami().map(Pattern::literal);
    route.exempt_tools.iter().cloned().chain(own).collect()
}

fn terms(route: &Route) -> Terms {
    Terms {
        argument: route.resource.workspace_argument.clone(),
        exempt: exempt(route),
        hide: route.on_missing_scope == RawMissingScope::Hide,
        implies: route.implies.clone(),
        known: route.resource.all_scopes(),
        list_tool: route.workspace_list_tool.clone(),
        mode: route.resource.workspace,
        relay: route.relay,
        row_workspace: route.row_workspace.clone(),
    }
}
