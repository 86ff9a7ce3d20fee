//! Changes of workspaces. A narrower plan or a removal reaches the gateways before it is answered.

use std::collections::BTreeSet;

use shared::{
    ids::{UserId, WorkspaceId},
    resource::ResourceIndicator,
};

use super::changes::ChangeError;
use crate::{
    App,
    audit::{Actor, Event},
    rules::account::check_name,
    store::{Account, Kind, StoreError, Workspace},
};

/// How many accounts are read at a time.
const PAGE: usize = 500;

impl App {
    /// Creates a workspace. Without a plan it may use every resource.
    pub(crate) async fn create_workspace(
        &self,
        id: WorkspaceId,
        name: String,
        plan: Option<Vec<String>>,
        actor: &Actor,
    ) -> Result<Workspace, ChangeError> {
        check_name(&name)?;
        let resources = plan.map(|plan| self.resources(&plan)).transpose()?;
        let workspace = Workspace { created: self.clock.now(), id, name, resources };
        let id = &workspace.id;
        let is_new = !self.workspaces.is_of_file(id)
            && self.store.create(Kind::Workspace, id.as_str(), &workspace, None).await?;
        if !is_new {
            return Err(ChangeError::WorkspaceExists(workspace.id));
        }
        self.workspaces.forget(id);
        self.audit(&Event::WorkspaceCreated { actor, workspace: id });
        Ok(workspace)
    }

    /// Says which resources a workspace may use; nothing means all.
    pub(crate) async fn set_plan(
        &self,
        id: &WorkspaceId,
        plan: Option<Vec<String>>,
        actor: &Actor,
    ) -> Result<Workspace, ChangeError> {
        let resources = plan.map(|plan| self.resources(&plan)).transpose()?;
        let before = self.stored_workspace(id).await?;
        let workspace = self.planned(id, resources).await?;
        let mut known = self.config.deployment.resources.iter().map(|one| &one.indicator);
        let widened = known.all(|one| workspace.permits(one) || !before.permits(one));
        // The same plan again is a change whose end was perhaps not told.
        if !widened || before == workspace {
            for user in self.members(id).await? {
                self.end_membership(&user, id).await?;
            }
        }
        self.audit(&Event::WorkspacePlanChanged { actor, workspace: id });
        Ok(workspace)
    }

    /// Removes a workspace and every membership of it.
    pub(crate) async fn remove_workspace(
        &self,
        id: &WorkspaceId,
        actor: &Actor,
    ) -> Result<(), ChangeError> {
        // It is closed first, and gone last: until then it can be asked for again.
        self.planned(id, Some(BTreeSet::new())).await?;
        for user in self.members(id).await? {
            self.take_membership(&user, id, actor).await?;
        }
        self.store.delete(Kind::Workspace, id.as_str()).await?;
        self.workspaces.forget(id);
        self.audit(&Event::WorkspaceRemoved { actor, workspace: id });
        Ok(())
    }

    /// Everybody who is a member, in the deployment file or in the store.
    pub(crate) async fn members(&self, id: &WorkspaceId) -> Result<Vec<UserId>, StoreError> {
        let is_member = |user: &&super::User| user.memberships.contains_key(id);
        let mut members: Vec<UserId> =
            self.accounts.of_file().filter(is_member).map(|user| user.id.clone()).collect();
        members.sort();
        let mut after = None;
        loop {
            let page: Vec<(String, Account)> =
                self.store.list(Kind::Account, "", after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(members) };
            after = Some(last.clone());
            let stored = page.into_iter().map(|(_, account)| account);
            let stored = stored.filter(|account| account.memberships.contains_key(id));
            members.extend(stored.map(|account| account.id));
        }
    }

    async fn stored_workspace(&self, id: &WorkspaceId) -> Result<Workspace, ChangeError> {
        if self.workspaces.is_of_file(id) {
            return Err(ChangeError::OfFile(id.to_string()));
        }
        let workspace = self.store.workspace(id).await?;
        workspace.ok_or_else(|| ChangeError::UnknownWorkspace(id.to_string()))
    }

    async fn planned(
        &self,
        id: &WorkspaceId,
        resources: Option<BTreeSet<ResourceIndicator>>,
    ) -> Result<Workspace, ChangeError> {
        self.stored_workspace(id).await?;
        let change = |workspace: &Workspace| {
            Some((Workspace { resources: resources.clone(), ..workspace.clone() }, None))
        };
        let workspace = self.store.update(Kind::Workspace, id.as_str(), change).await?;
        self.workspaces.forget(id);
        workspace.ok_or_else(|| ChangeError::UnknownWorkspace(id.to_string()))
    }

    fn resources(&self, plan: &[String]) -> Result<BTreeSet<ResourceIndicator>, ChangeError> {
        let known = |url: &String| {
            let resource = self.config.deployment.resource(url);
            let resource = resource.map(|resource| resource.indicator.clone());
            resource.ok_or_else(|| ChangeError::UnknownResource(url.clone()))
        };
        plan.iter().map(known).collect()
    }
}
