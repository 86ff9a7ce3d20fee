//! Puts what was revoked in force again where a store has lost it: its last writes in a failover,
//! or everything since an older copy of it was made.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use keys::Purpose;
use shared::{
    ids::{ApiKeyId, ClientId, UserId, WorkspaceId},
    internal::Event,
    time::Timestamp,
};

use super::{
    EVENT_LIFE, Kind, Store, StoreError,
    journal::{DAY, Entry, Journal, Logged, Standing, name},
};
use crate::{live::revocation_note, rules::api_key::ApiKey};

/// How far a store may be behind the moment it says it is of: what was under way then.
const BEHIND: Duration = Duration::from_mins(2);
/// How long it is remembered that a client's grants ended: longer than any grant.
const CUTOFF_KEPT: Duration = Duration::from_hours(24 * 400);
/// How many keys one look at the store holds.
const PAGE: usize = 500;
/// The keys of marks.
const AS_OF: &str = "as-of";
const SEALED: &str = "sealed";

/// How long an auth-server may have been away from a feed that others go on with.
pub(super) const FEED: Option<Duration> = Some(EVENT_LIFE);

/// What has to be in force in a store, read from the log.
#[derive(Debug)]
pub(super) struct Due {
    /// The oldest first.
    pub(super) entries: Vec<Entry>,
    /// What happened from here on the store may not know at all.
    unknown_from: Timestamp,
}

impl Due {
    /// What the log has for a store in which everything is that was answered until the moment
    /// it names. Refused if revocations may be missing from the log.
    pub(super) async fn of(
        store: &dyn Store,
        journal: &Journal,
        now: Timestamp,
        feed: Option<Duration>,
    ) -> Result<Self, StoreError> {
        let as_of = store.as_of().await?;
        if let Some(as_of) = as_of
            && !journal.reaches(as_of, now, feed)?
        {
            return Err(StoreError::RevocationsLost { as_of, since: journal.since() });
        }
        let unknown_from = as_of.unwrap_or(now).minus(BEHIND);
        let from = unknown_from.min(now.minus(DAY));
        Ok(Self { entries: journal.entries(from, now)?, unknown_from })
    }

    /// Puts everything but families in force again, which each engine has its own way for.
    pub(super) async fn apply(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        for entry in &self.entries {
            let Logged::Event(event) = &entry.what else { continue };
            match event {
                Event::Client { client, not_after } => {
                    cut_client(store, client, *not_after, now).await?;
                }
                Event::Person { user, not_after } => cut_person(store, user, *not_after).await?,
                Event::Token { token } => {
                    let until = entry.at.plus(EVENT_LIFE);
                    if until > now {
                        store.take_ticket(&revocation_note(token), until).await?;
                    }
                }
                // Families: see above. Memberships and API keys: below. Keys: their set says so.
                Event::ApiKey { .. }
                | Event::Family { .. }
                | Event::Key { .. }
                | Event::Membership { .. } => {}
            }
        }
        self.apply_unknown(store, now).await
    }

    /// The events that belong on the feed of a store whose feed has those `present`.
    pub(super) fn events(
        &self,
        present: &[Event],
        now: Timestamp,
    ) -> Result<Vec<Event>, StoreError> {
        let names = present.iter().map(|event| name(&Logged::Event(event.clone())));
        let present: HashSet<String> = names.collect::<Result<_, _>>()?;
        let mut missing = Vec::new();
        for entry in &self.entries {
            let Logged::Event(event) = &entry.what else { continue };
            let in_force = entry.at.plus(EVENT_LIFE) > now || matches!(event, Event::Key { .. });
            if in_force && !present.contains(&name(&entry.what)?) {
                missing.push(event.clone());
            }
        }
        Ok(missing)
    }

    /// What can be given back is only applied where the store cannot know it: the last word of
    /// the log counts.
    async fn apply_unknown(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        let unknown = self.entries.iter().filter(|entry| entry.at >= self.unknown_from);
        let mut accounts: HashMap<&UserId, bool> = HashMap::new();
        let mut gone: HashMap<&ClientId, Timestamp> = HashMap::new();
        let mut left: HashSet<(&UserId, &WorkspaceId)> = HashSet::new();
        let mut keys: HashMap<&ApiKeyId, u32> = HashMap::new();
        for entry in unknown {
            match &entry.what {
                Logged::Event(Event::ApiKey { key, revision }) => {
                    let known = keys.entry(key).or_default();
                    *known = (*known).max(*revision);
                }
                // That tokens of a membership ended says not that it did: a plan changed, perhaps.
                // Key sets are sealed: whoever opens them sees to theirs.
                Logged::Event(_)
                | Logged::Standing(Standing::KeyGone { .. } | Standing::KeySet { .. }) => {}
                Logged::Standing(Standing::Account { user, active }) => {
                    accounts.insert(user, *active);
                }
                Logged::Standing(Standing::ClientGone { client }) => {
                    gone.insert(client, entry.at);
                }
                Logged::Standing(Standing::Left { user, workspace }) => {
                    left.insert((user, workspace));
                }
                Logged::Standing(Standing::Member { user, workspace }) => {
                    left.remove(&(user, workspace));
                }
            }
        }
        for (user, active) in accounts {
            store.change_account(user, |account| account.active &= active).await?;
        }
        for (user, workspace) in left {
            let leave = |account: &mut super::Account| {
                account.memberships.remove(workspace);
            };
            store.change_account(user, leave).await?;
        }
        for (client, at) in gone {
            if store.client(client).await?.is_some_and(|held| held.registered <= at) {
                store.delete(Kind::Client, client.as_str()).await?;
            }
        }
        end_api_keys(store, &keys, now).await
    }
}

impl Journal {
    /// What the log has of keys.
    pub(super) fn keys(&self, now: Timestamp) -> Result<Vec<Standing>, StoreError> {
        let mut known = Vec::new();
        for entry in self.entries(Timestamp::default(), now)? {
            known.extend(match entry.what {
                Logged::Event(Event::Key { key }) => {
                    Some(Standing::KeyGone { key, purpose: Purpose::Issuer })
                }
                Logged::Standing(
                    standing @ (Standing::KeyGone { .. } | Standing::KeySet { .. }),
                ) => Some(standing),
                Logged::Event(_) | Logged::Standing(_) => None,
            });
        }
        Ok(known)
    }
}

impl dyn Store + '_ {
    /// The moment until which everything that was answered is in the store, as far as it says.
    pub(crate) async fn as_of(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(Kind::Mark, AS_OF).await
    }

    /// Says that everything that was answered until this moment is in the store.
    pub(crate) async fn put_as_of(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(Kind::Mark, AS_OF, &now, None).await
    }

    /// Why no server may use the store, if that is so.
    pub(crate) async fn sealed(&self) -> Result<Option<String>, StoreError> {
        self.read(Kind::Mark, SEALED).await
    }

    /// Lets no server use the store, or lets them again.
    pub(crate) async fn seal(&self, why: Option<&str>) -> Result<(), StoreError> {
        match why {
            Some(why) => self.write(Kind::Mark, SEALED, &why.to_owned(), None).await,
            None => self.delete(Kind::Mark, SEALED).await.map(drop),
        }
    }
}

async fn cut_client(
    store: &dyn Store,
    id: &ClientId,
    not_after: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let is_over = |cutoff: Option<Timestamp>| cutoff.is_some_and(|cutoff| cutoff >= not_after);
    if !is_over(store.read(Kind::ClientCutoff, id.as_str()).await?) {
        store.remember_cutoff(id, not_after, now.plus(CUTOFF_KEPT)).await?;
    }
    if store.client(id).await?.is_some_and(|held| !is_over(held.cutoff)) {
        let cut = |held: &crate::rules::client::Client| {
            let cutoff = held.cutoff.max(Some(not_after));
            crate::rules::client::Client { cutoff, ..held.clone() }
        };
        store.change_client(id, cut).await?;
    }
    Ok(())
}

async fn cut_person(
    store: &dyn Store,
    id: &UserId,
    not_after: Timestamp,
) -> Result<(), StoreError> {
    let is_over = |cutoff: Option<Timestamp>| cutoff.is_some_and(|cutoff| cutoff >= not_after);
    if let Some(account) = store.account(id).await? {
        if !is_over(account.cutoff) {
            let cut = |account: &mut super::Account| {
                account.cutoff = account.cutoff.max(Some(not_after));
            };
            store.change_account(id, cut).await?;
        }
    } else if !is_over(store.person_cutoff(id).await?) {
        // Of the deployment file, or of an account that was removed since.
        store.put_person_cutoff(id, not_after).await?;
    }
    Ok(())
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
