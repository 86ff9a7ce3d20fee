//! What a store cannot know, because it happened after the moment the store is of: of what can be
//! given back, the last word of the log counts.

use std::collections::{HashMap, HashSet};

use shared::{
    ids::{ApiKeyId, ClientId, UserId, WorkspaceId},
    internal::Event,
    secret::SecretHash,
    time::Timestamp,
};

use crate::{
    rules::{
        api_key::ApiKey,
        client::{Client, ClientAuth},
        initial_access::InitialAccess,
    },
    store::{
        Account, Expected, Kind, Store, StoreError,
        journal::{Entry, Logged, Standing},
    },
};

/// How many keys one look at the store holds.
const PAGE: usize = 500;

/// The last words of the log.
#[derive(Debug, Default)]
pub(super) struct Unknown<'a> {
    accounts: HashMap<&'a UserId, bool>,
    api_keys: HashMap<&'a ApiKeyId, u32>,
    gone: HashMap<&'a ClientId, Timestamp>,
    grants: HashMap<&'a UserId, Timestamp>,
    initial_access: HashMap<&'a str, u32>,
    left: HashSet<(&'a UserId, &'a WorkspaceId)>,
    passwords: HashMap<&'a UserId, (Timestamp, Option<Timestamp>)>,
    secrets: HashMap<&'a ClientId, HashMap<&'a SecretHash, Timestamp>>,
    sessions: HashSet<&'a SecretHash>,
}

impl<'a> Unknown<'a> {
    /// What entries say together, the oldest first.
    pub(super) fn of(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut unknown = Self::default();
        for entry in entries {
            match &entry.what {
                Logged::Event(Event::ApiKey { key, revision }) => {
                    let known = unknown.api_keys.entry(key).or_default();
                    *known = (*known).max(*revision);
                }
                // That tokens of a membership ended says not that it did: a plan changed, perhaps.
                Logged::Event(_) => {}
                Logged::Standing(standing) => unknown.hear(standing, entry.at),
            }
        }
        unknown
    }

    fn hear(&mut self, standing: &'a Standing, at: Timestamp) {
        match standing {
            Standing::Account { user, active } => {
                self.accounts.insert(user, *active);
            }
            Standing::ClientGone { client } => {
                self.gone.insert(client, at);
            }
            Standing::ClientSecrets { client, ends } => {
                let known = self.secrets.entry(client).or_default();
                for (secret, end) in ends {
                    let known = known.entry(secret).or_insert(*end);
                    *known = (*known).min(*end);
                }
            }
            Standing::Grants { user, not_after } => {
                let known = self.grants.entry(user).or_insert(*not_after);
                *known = (*known).max(*not_after);
            }
            Standing::InitialAccess { token, left } => {
                let known = self.initial_access.entry(token).or_insert(*left);
                *known = (*known).min(*left);
            }
            // Key sets are sealed: whoever opens them sees to theirs.
            Standing::KeyGone { .. } | Standing::KeySet { .. } => {}
            Standing::Left { user, workspace } => {
                self.left.insert((user, workspace));
            }
            Standing::Member { user, workspace } => {
                self.left.remove(&(user, workspace));
            }
            Standing::Password { user, set, sessions } => {
                let known = self.passwords.entry(user).or_default();
                *known = (known.0.max(*set), known.1.max(*sessions));
            }
            Standing::Session { session } => {
                self.sessions.insert(session);
            }
        }
    }

    /// Puts it in force.
    pub(super) async fn apply(self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        for (user, active) in self.accounts {
            store.change_account(user, |account| account.active &= active).await?;
        }
        for (user, workspace) in self.left {
            let leave = |account: &mut Account| {
                account.memberships.remove(workspace);
            };
            store.change_account(user, leave).await?;
        }
        for (user, (set, sessions)) in self.passwords {
            store.change_account(user, |account| forget_password(account, set, sessions)).await?;
        }
        for (user, not_after) in self.grants {
            end_grants(store, user, not_after).await?;
        }
        for (client, at) in self.gone {
            if store.client(client).await?.is_some_and(|held| held.registered <= at) {
                store.delete(Kind::Client, client.as_str()).await?;
            }
        }
        for (client, ends) in self.secrets {
            store.change_client(client, |held| with_ends(held, &ends)).await?;
        }
        for (token, left) in self.initial_access {
            spend(store, token, left).await?;
        }
        for session in self.sessions {
            let (key, anything) = (session.as_str(), Expected::Anything);
            store.replace_record(Kind::Session, key, anything, None, None).await?;
        }
        end_api_keys(store, &self.api_keys, now).await
    }
}

async fn end_grants(
    store: &dyn Store,
    user: &UserId,
    not_after: Timestamp,
) -> Result<(), StoreError> {
    let end = |account: &mut Account| {
        account.grants_cutoff = account.grants_cutoff.max(Some(not_after));
    };
    if store.change_account(user, end).await?.is_none() {
        let held = store.grants_cutoff(user).await?;
        store.put_grants_cutoff(user, held.max(Some(not_after)).unwrap_or(not_after)).await?;
    }
    Ok(())
}

/// The log has no passwords: one that was replaced since is gone, and the new one with it.
fn forget_password(account: &mut Account, set: Timestamp, sessions: Option<Timestamp>) {
    if account.password_set.is_none_or(|held| held < set) {
        account.password = None;
        account.password_set = Some(set);
    }
    account.sessions_cutoff = account.sessions_cutoff.max(sessions);
}

fn with_ends(held: &Client, ends: &HashMap<&SecretHash, Timestamp>) -> Client {
    let mut held = held.clone();
    if let ClientAuth::Secret { secrets, .. } = &mut held.auth {
        for secret in secrets {
            if let Some(end) = ends.get(&secret.hash) {
                secret.expires = Some(secret.expires.map_or(*end, |expires| expires.min(*end)));
            }
        }
    }
    held
}

async fn spend(store: &dyn Store, token: &str, left: u32) -> Result<(), StoreError> {
    let spend = |held: &InitialAccess| {
        let is_more = held.remaining.is_none_or(|remaining| remaining > left);
        let spent = InitialAccess { remaining: Some(left), ..held.clone() };
        is_more.then_some((spent, held.expires))
    };
    store.update(Kind::InitialAccess, token, spend).await.map(drop)
}

/// Takes back every key of the revision that the log says ended, or of an earlier one: it was
/// revoked, or its secret replaced at once.
async fn end_api_keys(
    store: &dyn Store,
    ended: &HashMap<&ApiKeyId, u32>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if ended.is_empty() {
        return Ok(());
    }
    let mut after: Option<String> = None;
    loop {
        let page: Vec<(String, ApiKey)> =
            store.list(Kind::ApiKey, "", after.as_deref(), PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        for (_, key) in &page {
            let is_older = |key: &ApiKey| {
                key.revoked.is_none()
                    && ended.get(&key.id).is_some_and(|revision| key.revision <= *revision)
            };
            if is_older(key) {
                let end = |key: &ApiKey| is_older(key).then(|| key.taken_back(now));
                store.change_api_key(&key.user, &key.id, end).await?;
            }
        }
    }
}
