//! Clients and initial access tokens: what is written about them, on either engine.

use std::sync::atomic::{AtomicBool, Ordering};

use shared::{ids::ClientId, secret::SecretHash, time::Timestamp};

use super::{Expected, Kind, Owner, Standing, Store, StoreError, record::decode};
use crate::rules::{client::Client, client_life::Touch, initial_access::InitialAccess};

/// How many grants of a client are looked at; one with more is alive.
const MOST_GRANTS: usize = 200;

/// What is known of an id that registers.
#[derive(Debug)]
pub(crate) enum Registered {
    Known(Box<Client>),
    /// Nobody's; up to `cutoff` grants under it are over, if it was a client's before.
    Unknown {
        cutoff: Option<Timestamp>,
    },
}

impl dyn Store + '_ {
    /// A stored client.
    pub(crate) async fn client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        self.read(Kind::Client, id.as_str()).await
    }

    /// Creates a client; grants that were ended under its id stay ended. False if there is one.
    pub(crate) async fn create_client(&self, client: &Client) -> Result<bool, StoreError> {
        let cutoff = self.read(Kind::ClientCutoff, client.id.as_str()).await?;
        self.create_client_anew(&Client { cutoff, ..client.clone() }).await
    }

    /// The same where the cutoff of its id was read.
    pub(crate) async fn create_client_anew(&self, client: &Client) -> Result<bool, StoreError> {
        self.create(Kind::Client, client.id.as_str(), client, None).await
    }

    /// Whether an id is a client's that registers again, which is noted.
    pub(crate) async fn registered(
        &self,
        id: &ClientId,
        now: Timestamp,
    ) -> Result<Registered, StoreError> {
        let at = [(Kind::Client, id.as_str()), (Kind::ClientCutoff, id.as_str())];
        let mut found = self.records_at(&at).await?.into_iter();
        let (client, cutoff) = (found.next().flatten(), found.next().flatten());
        let client: Option<Client> = client.map(|bytes| decode(&bytes)).transpose()?;
        let Some(client) = client else {
            let cutoff = cutoff.map(|bytes| decode(&bytes)).transpose()?;
            return Ok(Registered::Unknown { cutoff });
        };
        if client.touched(Touch::Registered, now).is_none() {
            return Ok(Registered::Known(Box::new(client)));
        }
        if let Some(touched) = self.touch_client(id, Touch::Registered, now).await? {
            return Ok(Registered::Known(Box::new(touched)));
        }
        // Deleted meanwhile.
        let cutoff = self.read(Kind::ClientCutoff, id.as_str()).await?;
        Ok(Registered::Unknown { cutoff })
    }

    /// Notes that a client is alive, if that is not noted yet; none if there is no such client.
    pub(crate) async fn touch_client(
        &self,
        id: &ClientId,
        touch: Touch,
        now: Timestamp,
    ) -> Result<Option<Client>, StoreError> {
        self.update(Kind::Client, id.as_str(), |held: &Client| {
            held.touched(touch, now).map(|life| (Client { life, ..held.clone() }, None))
        })
        .await
    }

    /// Changes a stored client; none if there is no such client.
    pub(crate) async fn change_client(
        &self,
        id: &ClientId,
        change: impl Fn(&Client) -> Client + Send + Sync,
    ) -> Result<Option<Client>, StoreError> {
        self.update(Kind::Client, id.as_str(), |held: &Client| Some((change(held), None))).await
    }

    /// Remembers until `expires` that the client's grants up to `cutoff` are over.
    pub(crate) async fn remember_cutoff(
        &self,
        id: &ClientId,
        cutoff: Timestamp,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(Kind::ClientCutoff, id.as_str(), &cutoff, Some(expires)).await
    }

    /// Deletes the clients of one page that were not used for long, unless they are touched at
    /// the same moment. Returns where the next page begins and how many are gone.
    pub(crate) async fn forget_clients(
        &self,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Option<String>, usize), StoreError> {
        let page = self.records(Kind::Client, "", after, limit).await?;
        let next = (page.len() == limit).then(|| page.last().map(|(key, _)| key.clone())).flatten();
        let mut gone = 0;
        for (key, bytes) in page {
            let client: Client = decode(&bytes)?;
            if !client.may_be_forgotten(now) || self.has_live_grant(&client.id, now).await? {
                continue;
            }
            let same = Expected::Same(&bytes);
            if self.replace_record(Kind::Client, &key, same, None, None).await? {
                gone += 1;
            }
        }
        Ok((next, gone))
    }

    async fn has_live_grant(&self, id: &ClientId, now: Timestamp) -> Result<bool, StoreError> {
        let families = self.families_of(Owner::Client(id), None, MOST_GRANTS).await?;
        if families.len() == MOST_GRANTS {
            return Ok(true);
        }
        for family in families {
            let family = self.family(family).await?;
            let ends = |ends: Timestamp| now < ends;
            if family.is_some_and(|family| {
                !family.revoked && ends(family.idle_expiry) && ends(family.absolute_expiry)
            }) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An initial access token.
    pub(crate) async fn initial_access(
        &self,
        token: &SecretHash,
    ) -> Result<Option<InitialAccess>, StoreError> {
        self.read(Kind::InitialAccess, token.as_str()).await
    }

    /// Keeps an initial access token.
    pub(crate) async fn put_initial_access(
        &self,
        token: &SecretHash,
        access: &InitialAccess,
    ) -> Result<(), StoreError> {
        self.write(Kind::InitialAccess, token.as_str(), access, access.expires).await
    }

    /// Spends one registration of an initial access token. False if none is left.
    pub(crate) async fn spend_initial_access(
        &self,
        token: &SecretHash,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let spent = AtomicBool::new(false);
        let change = |held: &InitialAccess| {
            let rest = held.spent(now);
            spent.store(rest.is_some(), Ordering::Relaxed);
            // Nothing is counted, so nothing is written.
            rest.filter(|rest| rest != held).map(|rest| (rest.clone(), rest.expires))
        };
        let held = self.update(Kind::InitialAccess, token.as_str(), change).await?;
        let Some(held) = held.filter(|_| spent.load(Ordering::Relaxed)) else { return Ok(false) };
        if let Some(left) = held.remaining {
            let token = token.as_str().to_owned();
            self.note_standing(Standing::InitialAccess { token, left }, now).await?;
        }
        Ok(true)
    }
}
