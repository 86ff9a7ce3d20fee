//! The account that a sign-in at another provider opens: the linked one, one with the same
//! address that the provider vouches for, or a new one.

use std::{collections::BTreeSet, sync::Arc};

use shared::{
    ids::{UserId, WorkspaceId},
    secret::SecretHash,
};

use super::{ChangeError, NewAccount, User};
use crate::{
    App,
    audit::{Actor, Event},
    rules::{
        account::folded,
        upstream::{Entry, Identity, Known, NoAccount, entry},
    },
    store::{StoreError, UpstreamLink},
    upstream::UpstreamConfig,
};

/// Why no account opens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoEntry {
    #[error("{0}")]
    Change(#[from] ChangeError),
    #[error("the account is disabled")]
    Inactive,
    #[error("{0}")]
    NoAccount(#[from] NoAccount),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl App {
    /// The account of a verified identity, with the memberships its claims give.
    pub(crate) async fn upstream_account(
        &self,
        config: &UpstreamConfig,
        identity: &Identity,
    ) -> Result<Arc<User>, NoEntry> {
        let actor = Actor::Provider { upstream: config.id.clone() };
        let link = self.store.upstream_link(&config.id, &identity.subject).await?;
        let known = Known {
            by_address: self.account_by_address(identity).await?,
            linked: link.as_ref().map(|link| link.user.clone()),
        };
        let user = match entry(identity, known, config.creates_accounts)? {
            Entry::SignIn(user) => user,
            Entry::Link(user) => {
                self.audit(&Event::AccountLinked { upstream: &config.id, user: &user });
                user
            }
            Entry::Create => self.account_for(config, identity, &actor).await?,
        };
        let given = link.map(|link| link.workspaces).unwrap_or_default();
        self.follow_claims(&user, identity, &given, &actor).await?;
        let link = UpstreamLink {
            user: user.clone(),
            workspaces: identity.workspaces.keys().cloned().collect(),
        };
        self.store.put_upstream_link(&config.id, &identity.subject, &link).await?;
        self.accounts.forget(&user);
        self.accounts.user(&user).await?.ok_or(NoEntry::Inactive)
    }

    /// The account whose user name or address is the identity's.
    async fn account_by_address(&self, identity: &Identity) -> Result<Option<UserId>, StoreError> {
        let Some((email, _)) = &identity.email else { return Ok(None) };
        let email = folded(email);
        let is_theirs = |user: &&User| {
            user.email.as_deref().is_some_and(|own| folded(own) == email)
                || folded(&user.username) == email
        };
        if let Some(user) = self.accounts.of_file().find(is_theirs) {
            return Ok(Some(user.id.clone()));
        }
        Ok(self.store.account_named(&email).await?.map(|account| account.id))
    }

    async fn account_for(
        &self,
        config: &UpstreamConfig,
        identity: &Identity,
        actor: &Actor,
    ) -> Result<UserId, ChangeError> {
        let address = identity.email.clone().filter(|(_, verified)| *verified);
        // Without an address of its own the account is named after the provider's subject.
        let username = address.as_ref().map_or_else(
            || {
                let subject = SecretHash::of(identity.subject.as_bytes());
                let short: String = subject.as_str().chars().take(16).collect();
                format!("{short}@{}", config.id)
            },
            |(email, _)| email.clone(),
        );
        let new = NewAccount {
            email_verified: address.is_some(),
            email: address.map(|(email, _)| email),
            memberships: identity.workspaces.clone(),
            name: identity.name.clone().unwrap_or_else(|| username.clone()),
            password: None,
            username,
        };
        self.create_account(new, actor).await.map(|account| account.id)
    }

    /// Gives the memberships that the claims name, and takes those that they named before.
    /// Accounts of the deployment file keep what the file says.
    async fn follow_claims(
        &self,
        user: &UserId,
        identity: &Identity,
        given: &BTreeSet<WorkspaceId>,
        actor: &Actor,
    ) -> Result<(), NoEntry> {
        let Some(account) = self.store.account(user).await? else { return Ok(()) };
        for (workspace, role) in &identity.workspaces {
            if account.memberships.get(workspace) != Some(role) {
                self.give_membership(user, workspace, role, actor).await?;
            }
        }
        for workspace in given.iter().filter(|one| !identity.workspaces.contains_key(*one)) {
            if account.memberships.contains_key(workspace) {
                self.take_membership(user, workspace, actor).await?;
            }
        }
        Ok(())
    }
}
