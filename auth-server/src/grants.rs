//! What a person has granted: to see, and to take back.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use shared::{
    ids::{ClientId, FamilyId, UserId, WorkspaceId},
    resource::ResourceIndicator,
    scope::Scope,
    time::Timestamp,
};

use crate::{
    App,
    accounts::{ChangeError, User},
    audit::{Actor, Event},
    rules::{consent::Grant, rotation::Family},
    store::{Owner, StoreError},
};

/// A grant that is in force, for its person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveGrant {
    pub client: ClientId,
    pub client_name: String,
    /// When an old token of it came back, so that a copy of it may be in use.
    pub contested: Option<Timestamp>,
    pub created: Timestamp,
    /// When it ends, if it is not used until then.
    pub expires: Timestamp,
    pub family: FamilyId,
    /// The scopes that belong to no resource.
    pub identity: Scope,
    /// What may be done at each resource.
    pub scopes: BTreeMap<ResourceIndicator, Scope>,
    /// When it was used last; calls are known to some minutes.
    pub used: Timestamp,
    /// The granted ones; the person may have left some since.
    pub workspaces: BTreeSet<WorkspaceId>,
}

/// The families of a person or client, page by page.
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    after: Option<FamilyId>,
    app: &'a App,
    is_over: bool,
    owner: Owner<'a>,
}

impl Pages<'_> {
    /// The next page; none after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<FamilyId>>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let page = self.app.store.families_of(self.owner, self.after, PAGE).await?;
        self.is_over = page.len() < PAGE;
        self.after = page.last().copied().or(self.after);
        Ok(Some(page).filter(|page| !page.is_empty()))
    }
}

/// How many families one look at an index gives.
const PAGE: usize = 500;
/// How many grants are ended at the same time.
const AT_ONCE: usize = 16;

impl App {
    /// A person's grants that are in force, the last used first.
    pub async fn grants_of(&self, person: &UserId) -> Result<Vec<LiveGrant>, StoreError> {
        let Some(user) = self.accounts.user(person).await? else { return Ok(Vec::new()) };
        let mut grants = Vec::new();
        let mut pages = self.families_of(Owner::Person(person));
        while let Some(page) = pages.next().await? {
            let found = try_join_all(page.iter().map(|id| self.live_grant(*id, &user))).await?;
            grants.extend(found.into_iter().flatten());
        }
        grants.sort_by(|one: &LiveGrant, other| {
            other.used.cmp(&one.used).then(one.family.cmp(&other.family))
        });
        Ok(grants)
    }

    /// Ends every grant of a person, durably, and the consent that led to it. Returns how many
    /// were in force.
    pub async fn revoke_grants(&self, person: &UserId) -> Result<usize, StoreError> {
        // Whoever does not exist has nothing that could go on.
        if let Err(ChangeError::Store(error)) = self.end_grants(person).await {
            return Err(error);
        }
        // The gateways learn of each; what an index has lost ends with its access token.
        self.end_families(Owner::Person(person), |_| true).await
    }

    /// Ends every grant of a person or client that is meant, page by page. Returns how many were
    /// in force.
    pub(crate) async fn end_families(
        &self,
        owner: Owner<'_>,
        is_meant: impl Fn(&Family) -> bool,
    ) -> Result<usize, StoreError> {
        let mut ended = 0;
        let mut pages = self.families_of(owner);
        while let Some(page) = pages.next().await? {
            for some in page.chunks(AT_ONCE) {
                let is_meant = &is_meant;
                let ends = some.iter().map(async |id| {
                    let family = self.store.family(*id).await?;
                    let family = family.filter(|family| !family.revoked && is_meant(family));
                    match family {
                        Some(family) => self.end_grant(*id, &family.grant).await,
                        None => Ok(false),
                    }
                });
                ended += try_join_all(ends).await?.into_iter().filter(|over| *over).count();
            }
        }
        Ok(ended)
    }

    /// The families of a person or client, page by page.
    pub(crate) fn families_of<'a>(&'a self, owner: Owner<'a>) -> Pages<'a> {
        Pages { after: None, app: self, is_over: false, owner }
    }

    /// Ends one grant of a person, durably. False if it is not theirs, or over.
    pub async fn revoke_grant(
        &self,
        person: &UserId,
        family: FamilyId,
    ) -> Result<bool, StoreError> {
        let Some(held) = self.store.family(family).await? else { return Ok(false) };
        if held.grant.user != *person {
            return Ok(false);
        }
        self.end_grant(family, &held.grant).await
    }

    /// Ends a grant, durably, and the consent that led to it, so that the next connection asks
    /// again. False if it was over.
    pub(crate) async fn end_grant(
        &self,
        family: FamilyId,
        grant: &Grant,
    ) -> Result<bool, StoreError> {
        self.store.forget_consent(&grant.user, &grant.client).await?;
        let revoked = self.store.revoke_family(family, self.clock.now()).await?;
        if revoked {
            let Grant { client, user, .. } = grant;
            self.audit(&Event::GrantRevoked { client, family, user });
        }
        Ok(revoked)
    }

    /// Ends everything that began by now: every grant and every session of a person, durably.
    pub async fn sign_out_everywhere(&self, person: &UserId) -> Result<(), StoreError> {
        match self.sign_out_person(person, &Actor::Person).await {
            Err(ChangeError::Store(error)) => Err(error),
            // Whoever does not exist has nothing that could go on.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn live_grant(&self, id: FamilyId, user: &User) -> Result<Option<LiveGrant>, StoreError> {
        let Some(family) = self.store.family(id).await? else { return Ok(None) };
        if family.revoked
            || family.grant.user != user.id
            || self.clock.now() >= family.idle_expiry
            || !user.accepts_grant(family.created)
        {
            return Ok(None);
        }
        let client = self.client(&family.grant.client).await?;
        let client = client.filter(|one| one.cutoff.is_none_or(|cutoff| cutoff < family.created));
        Ok(client.map(|client| LiveGrant {
            client: client.id,
            client_name: client.name,
            contested: family.contested,
            created: family.created,
            expires: family.idle_expiry,
            family: id,
            identity: family.grant.identity,
            scopes: family.grant.scopes,
            used: family.used,
            workspaces: family.grant.workspaces,
        }))
    }
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
