//! Workspaces: their names, and which resources they may use.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use moka::sync::Cache;
use shared::{ids::WorkspaceId, resource::ResourceIndicator, time::Timestamp};

use super::{BEHIND, MOST_CACHED};
use crate::{
    config::ConfiguredWorkspace,
    store::{Store, StoreError, Workspace},
};

/// Every workspace, of the deployment file and of the store.
#[derive(Debug)]
pub(crate) struct Workspaces {
    cache: Cache<WorkspaceId, Option<Arc<Workspace>>>,
    file: BTreeMap<WorkspaceId, Arc<Workspace>>,
    store: Arc<dyn Store>,
}

impl Workspaces {
    /// The workspaces of the deployment file and of the store.
    pub(crate) fn open(
        file: &BTreeMap<WorkspaceId, ConfiguredWorkspace>,
        store: Arc<dyn Store>,
    ) -> Self {
        let known = |(id, raw): (&WorkspaceId, &ConfiguredWorkspace)| {
            let workspace = Workspace {
                created: Timestamp::default(),
                id: id.clone(),
                name: raw.name.clone(),
                resources: raw.resources.clone(),
            };
            (id.clone(), Arc::new(workspace))
        };
        let cache = Cache::builder().max_capacity(MOST_CACHED).time_to_live(BEHIND).build();
        Self { cache, file: file.iter().map(known).collect(), store }
    }

    /// A workspace. At most one second behind the store.
    pub(crate) async fn workspace(
        &self,
        id: &WorkspaceId,
    ) -> Result<Option<Arc<Workspace>>, StoreError> {
        if let Some(workspace) = self.file.get(id) {
            return Ok(Some(Arc::clone(workspace)));
        }
        if let Some(known) = self.cache.get(id) {
            return Ok(known);
        }
        let workspace = self.store.workspace(id).await?.map(Arc::new);
        self.cache.insert(id.clone(), workspace.clone());
        Ok(workspace)
    }

    /// Those of the workspaces that may use the resource.
    pub(crate) async fn permitted(
        &self,
        workspaces: impl IntoIterator<Item = &WorkspaceId>,
        resource: &ResourceIndicator,
    ) -> Result<BTreeSet<WorkspaceId>, StoreError> {
        let mut permitted = BTreeSet::new();
        for id in workspaces {
            if self.workspace(id).await?.is_some_and(|one| one.permits(resource)) {
                permitted.insert(id.clone());
            }
        }
        Ok(permitted)
    }

    /// The workspaces of the deployment file.
    pub(crate) fn of_file(&self) -> impl Iterator<Item = &Workspace> {
        self.file.values().map(AsRef::as_ref)
    }

    /// Whether the deployment file names the workspace.
    pub(crate) fn is_of_file(&self, id: &WorkspaceId) -> bool {
        self.file.contains_key(id)
    }

    /// Forgets what is remembered of a workspace, because it has just changed.
    pub(crate) fn forget(&self, id: &WorkspaceId) {
        self.cache.invalidate(id);
    }
}
