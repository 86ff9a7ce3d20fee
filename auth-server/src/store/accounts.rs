//! Accounts and workspaces that operators keep while the server runs; those of the deployment
//! file are not stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::{
    ids::{UserId, WorkspaceId},
    resource::ResourceIndicator,
    time::Timestamp,
};

use super::{
    Expected, Kind, Store, StoreError,
    record::{decode, encode},
};
use crate::rules::account::folded;

/// A person's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) active: bool,
    pub(crate) created: Timestamp,
    /// Grants and sessions that began at or before this moment are over.
    pub(crate) cutoff: Option<Timestamp>,
    pub(crate) email: Option<String>,
    pub(crate) email_verified: bool,
    /// Grants that began at or before this moment are over; sessions and API keys go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grants_cutoff: Option<Timestamp>,
    pub(crate) id: UserId,
    /// Workspace and role.
    pub(crate) memberships: BTreeMap<WorkspaceId, String>,
    pub(crate) name: String,
    /// The argon2id hash; without it nobody signs in with a password.
    pub(crate) password: Option<String>,
    /// When the password was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password_set: Option<Timestamp>,
    /// Sessions that began at or before this moment are over: the person set a new password.
    #[serde(default)]
    pub(crate) sessions_cutoff: Option<Timestamp>,
    pub(crate) username: String,
}

/// A workspace that people are members of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) created: Timestamp,
    pub(crate) id: WorkspaceId,
    pub(crate) name: String,
    /// The plan: the resources it may use; none given means all.
    pub(crate) resources: Option<BTreeSet<ResourceIndicator>>,
}

impl Workspace {
    /// Whether its plan has the resource.
    pub(crate) fn permits(&self, resource: &ResourceIndicator) -> bool {
        self.resources.as_ref().is_none_or(|plan| plan.contains(resource))
    }
}

impl dyn Store + '_ {
    /// An account.
    pub(crate) async fn account(&self, id: &UserId) -> Result<Option<Account>, StoreError> {
        self.read(Kind::Account, id.as_str()).await
    }

    /// The account that signs in by this name. Unknown names take as many reads as known ones.
    pub(crate) async fn account_named(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let name = folded(name);
        let id: Option<String> = self.read(Kind::AccountName, &name).await?;
        let id = id.as_deref().unwrap_or("usr_-");
        let account: Option<Account> = self.read(Kind::Account, id).await?;
        Ok(account.filter(|account| folded(&account.username) == name))
    }

    /// Creates an account. False if another has its name.
    pub(crate) async fn create_account(&self, account: &Account) -> Result<bool, StoreError> {
        // The account comes before its name, so that a name without an account is always one
        // that was removed, and may be taken.
        self.write(Kind::Account, account.id.as_str(), account, None).await?;
        if self.claim_name(account).await? {
            return Ok(true);
        }
        self.delete(Kind::Account, account.id.as_str()).await?;
        Ok(false)
    }

    /// Takes the name for the account, unless it is another's.
    async fn claim_name(&self, account: &Account) -> Result<bool, StoreError> {
        let name = folded(&account.username);
        if self.create(Kind::AccountName, &name, &account.id, None).await? {
            return Ok(true);
        }
        // Read before its account is looked for: whoever takes it over meanwhile changes it.
        let Some(left) = self.record(Kind::AccountName, &name).await? else { return Ok(false) };
        let holder: UserId = decode(&left)?;
        let holder = self.account(&holder).await?;
        if holder.is_some_and(|holder| folded(&holder.username) == name) {
            return Ok(false);
        }
        let value = encode(&account.id)?;
        let expected = Expected::Same(&left);
        self.replace_record(Kind::AccountName, &name, expected, Some(&value), None).await
    }

    /// Changes an account; nothing if there is none. Its id and name stay.
    pub(crate) async fn change_account(
        &self,
        id: &UserId,
        change: impl Fn(&mut Account) + Send + Sync,
    ) -> Result<Option<Account>, StoreError> {
        let changed = |account: &Account| {
            let mut changed = account.clone();
            change(&mut changed);
            (changed != *account).then_some((changed, None))
        };
        self.update(Kind::Account, id.as_str(), changed).await
    }

    /// Removes an account and frees its name.
    pub(crate) async fn remove_account(&self, account: &Account) -> Result<bool, StoreError> {
        let removed = self.delete(Kind::Account, account.id.as_str()).await?;
        let name = folded(&account.username);
        let value = encode(&account.id)?;
        let expected = Expected::Same(&value);
        self.replace_record(Kind::AccountName, &name, expected, None, None).await?;
        Ok(removed)
    }

    /// A stored workspace.
    pub(crate) async fn workspace(
        &self,
        id: &WorkspaceId,
    ) -> Result<Option<Workspace>, StoreError> {
        self.read(Kind::Workspace, id.as_str()).await
    }

    /// Ends what a person of the deployment file began up to a moment.
    pub(crate) async fn put_person_cutoff(
        &self,
        id: &UserId,
        cutoff: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(Kind::PersonCutoff, id.as_str(), &cutoff, None).await
    }

    /// Ends the grants that a person of the deployment file gave up to a moment.
    pub(crate) async fn put_grants_cutoff(
        &self,
        id: &UserId,
        cutoff: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(Kind::PersonCutoff, &grants_of(id), &cutoff, None).await
    }

    /// Until when the grants of a person of the deployment file are over.
    pub(crate) async fn grants_cutoff(&self, id: &UserId) -> Result<Option<Timestamp>, StoreError> {
        self.read(Kind::PersonCutoff, &grants_of(id)).await
    }

    /// Until when what a person of the deployment file began is over.
    pub(crate) async fn person_cutoff(&self, id: &UserId) -> Result<Option<Timestamp>, StoreError> {
        self.read(Kind::PersonCutoff, id.as_str()).await
    }
}

/// The key of a cutoff for grants alone.
fn grants_of(id: &UserId) -> String {
    format!("{id}/grants")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{EmbeddedStore, RedisStore};

    fn account(id: &str, username: &str) -> Account {
        Account {
            active: true,
            created: Timestamp::from_secs(1_800_000_000),
            cutoff: None,
            email: None,
            email_verified: false,
            grants_cutoff: None,
            id: UserId::parse(id).unwrap(),
            memberships: BTreeMap::new(),
            name: "Name".to_owned(),
            password: None,
            password_set: None,
            sessions_cutoff: None,
            username: username.to_owned(),
        }
    }

    /// Many ask for one name at the same moment, and one gets it, again and again.
    async fn a_name_has_one_account(store: Arc<dyn Store>) {
        for round in 0..5 {
            let mut racers = tokio::task::JoinSet::new();
            for racer in 0..8 {
                let store = Arc::clone(&store);
                let asked = account(&format!("usr_{round}_{racer}"), ["dana", "DANA"][racer % 2]);
                racers.spawn(async move { store.create_account(&asked).await.unwrap() });
            }
            let made = racers.join_all().await;
            assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
            let all: Vec<(String, Account)> =
                store.list(Kind::Account, "", None, 100).await.unwrap();
            let [(_, only)] = &all[..] else { panic!("{all:?}") };
            assert_eq!(store.account_named(" Dana ").await.unwrap().as_ref(), Some(only));
            // An account that was removed by a process that then died leaves its name behind.
            if round % 2 == 0 {
                store.delete(Kind::Account, only.id.as_str()).await.unwrap();
                assert_eq!(store.account_named("dana").await.unwrap(), None);
            } else {
                assert!(store.remove_account(only).await.unwrap());
            }
        }
    }

    #[tokio::test]
    async fn a_name_has_one_account_in_a_file() {
        let engine = store::Embedded::memory().unwrap();
        a_name_has_one_account(Arc::new(EmbeddedStore::new(engine, "epoch".to_owned()))).await;
    }

    #[tokio::test]
    async fn a_name_has_one_account_in_redis() {
        let server = store::test_server::RedisServer::start();
        let redis = store::Redis::connect(server.config("auth:")).await.unwrap();
        a_name_has_one_account(Arc::new(RedisStore::new(redis, "epoch".to_owned(), true))).await;
    }
}
