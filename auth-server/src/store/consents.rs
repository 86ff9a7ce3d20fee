//! What people have consented to.

use shared::{
    ids::{ClientId, UserId},
    secret::SecretHash,
    time::Timestamp,
};

use super::{Kind, Store, StoreError};
use crate::rules::remembered::{Answer, Remembered};

impl dyn Store + '_ {
    /// What a person has answered to a client.
    pub(crate) async fn consent(
        &self,
        person: &UserId,
        client: &ClientId,
    ) -> Result<Option<Remembered>, StoreError> {
        self.read(Kind::Consent, &key(person, client)).await
    }

    /// Adds an answer of a person to what they have answered to a client.
    pub(crate) async fn remember_consent(
        &self,
        person: &UserId,
        client: &ClientId,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = key(person, client);
        let first = Remembered { answers: vec![answer.clone()], client: client.clone() };
        let until =
            |remembered: &Remembered| remembered.answers.iter().map(|one| one.expires).max();
        if self.create(Kind::Consent, &key, &first, until(&first)).await? {
            return Ok(());
        }
        let add = |stored: &Remembered| {
            let mut changed = stored.clone();
            changed.add(answer.clone(), now);
            let expires = until(&changed);
            Some((changed, expires))
        };
        if self.update(Kind::Consent, &key, add).await?.is_none() {
            // Forgotten in between.
            self.write(Kind::Consent, &key, &first, until(&first)).await?;
        }
        Ok(())
    }

    /// Forgets what a person has answered to a client.
    pub(crate) async fn forget_consent(
        &self,
        person: &UserId,
        client: &ClientId,
    ) -> Result<bool, StoreError> {
        self.delete(Kind::Consent, &key(person, client)).await
    }
}

/// Client ids may hold anything visible, so their hash stands in the key.
pub(super) fn key(person: &UserId, client: &ClientId) -> String {
    format!("{person}/{}", SecretHash::of(client.as_str().as_bytes()).as_str())
}
