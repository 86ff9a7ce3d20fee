//! Puts what was revoked in force again where a store has lost it: its last writes in a failover,
//! or everything since an older copy of it was made.

mod unknown;

use std::{collections::HashSet, time::Duration};

use keys::Purpose;
use shared::{
    ids::{ClientId, UserId},
    internal::Event,
    time::Timestamp,
};

use self::unknown::Unknown;

use super::{
    EVENT_LIFE, Kind, Store, StoreError,
    journal::{DAY, Entry, Journal, Logged, Standing, name},
    marks::{Marks, PutBack},
};
use crate::live::revocation_note;

/// How far a store may be behind the moment it says it is of: what was under way then.
const BEHIND: Duration = Duration::from_mins(2);
/// How long it is remembered that a client's grants ended: longer than any grant.
const CUTOFF_KEPT: Duration = Duration::from_hours(24 * 400);

/// How long an auth-server may have been away from a feed that others go on with.
pub(super) const FEED: Option<Duration> = Some(EVENT_LIFE);

/// What has to be in force in a store, read from the log.
#[derive(Debug)]
pub(super) struct Due {
    /// The oldest first.
    pub(super) entries: Vec<Entry>,
    marks: Marks,
    /// What happened from here on the store may not know at all.
    unknown_from: Timestamp,
}

impl Due {
    /// What the log has for a store in which everything is that was answered until the moments
    /// its marks name. Refused if revocations may be missing from the log.
    pub(super) async fn of(
        store: &dyn Store,
        journal: &Journal,
        now: Timestamp,
        feed: Option<Duration>,
    ) -> Result<Self, StoreError> {
        let mut marks = store.marks().await?;
        let newest = marks.newest();
        if let Some(as_of) = newest
            && !journal.reaches(as_of, now, feed)?
        {
            return Err(StoreError::RevocationsLost { as_of, since: journal.since() });
        }
        let own = marks.logs.get(&journal.id()).map(|log| log.as_of);
        let marked = journal.marked();
        if let Some(of) = own.or(newest).filter(|of| of.plus(BEHIND) < marked) {
            store.note_put_back(marked, PutBack { at: now, of: newest.unwrap_or(of) }).await?;
            marks = store.marks().await?;
        }
        let waiting = marks.not_compared();
        let took_up = journal.took_up();
        let taken = took_up.intersection(&waiting).filter_map(|id| marks.logs.get(id));
        // A log that the store never heard of: all of it may be news, back to where the store is
        // known to be whole.
        let known = own.or(marks.base).unwrap_or(now);
        let known = taken.map(|log| log.as_of).fold(known, Timestamp::min);
        let unknown_from = known.minus(BEHIND);
        let from = unknown_from.min(now.minus(DAY));
        Ok(Self { entries: journal.entries(from, now)?, marks, unknown_from })
    }

    /// Says that everything of the log is in force.
    pub(super) async fn done(
        &self,
        store: &dyn Store,
        journal: &Journal,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        store.put_compared(journal, &self.marks, now).await?;
        journal.beat(now)
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
        let unknown = self.entries.iter().filter(|entry| entry.at >= self.unknown_from);
        Unknown::of(unknown).apply(store, now).await
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
