//! What each resource offers now: joined once for each change of a backend's catalogue.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use shared::resource::ResourceIndicator;

use crate::{
    config::{RawMissingScope, Route},
    rules::visible::{Source, Surface, Terms},
    state::App,
};

/// The surfaces in use.
#[derive(Debug, Default)]
pub(crate) struct Surfaces(ArcSwap<HashMap<ResourceIndicator, Arc<Surface>>>);

/// What the resource offers, or `None` while no backend's catalogue is known.
pub(crate) fn current(app: &App, route: &Route) -> Option<Arc<Surface>> {
    let sources: Vec<Source> = route
        .backends
        .iter()
        .filter_map(|name| {
            let backend = app.backends.find(name)?;
            Some(Source {
                backend: Arc::clone(name),
                catalogue: backend.catalogue()?,
                naming: Arc::clone(&backend.config().naming),
                policies: Arc::clone(&backend.config().policies),
            })
        })
        .collect();
    if sources.is_empty() {
        return None;
    }
    let held = app.surfaces.0.load();
    let known = held.get(&route.resource.indicator).filter(|surface| is_of(surface, &sources));
    if let Some(surface) = known {
        return Some(Arc::clone(surface));
    }
    let surface = Arc::new(Surface::build(sources, terms(route)));
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

fn is_of(surface: &Surface, sources: &[Source]) -> bool {
    surface.sources.len() == sources.len()
        && surface
            .sources
            .iter()
            .zip(sources)
            .all(|(held, now)| Arc::ptr_eq(&held.catalogue, &now.catalogue))
}

fn terms(route: &Route) -> Terms {
    Terms {
        argument: route.resource.workspace_argument.clone(),
        exempt: route.exempt_tools.clone(),
        hide: route.on_missing_scope == RawMissingScope::Hide,
        implies: route.implies.clone(),
        known: route.resource.all_scopes(),
        mode: route.resource.workspace,
        relay: route.relay,
        row_workspace: route.row_workspace.clone(),
    }
}
