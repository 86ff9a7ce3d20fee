//! API keys: the key by person and id, the way to it by each secret's hash, and when it was last
//! used.

use serde::{Deserialize, Serialize};
use shared::{
    ids::{ApiKeyId, UserId},
    secret::SecretHash,
    time::Timestamp,
};

use super::{Kind, Store, StoreError};
use crate::rules::api_key::ApiKey;

/// Where a secret leads. It is written before the key, and what leads nowhere is refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Way {
    key: ApiKeyId,
    user: UserId,
}

/// More keys of one person are not read: revoked ones are kept for a while.
const MOST_READ: usize = 500;

impl dyn Store + '_ {
    /// Writes a new key with the way to it, durably.
    pub(crate) async fn put_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        for secret in &key.secrets {
            self.lead_to_api_key(&secret.hash, key).await?;
        }
        self.write(Kind::ApiKey, &name(&key.user, &key.id), key, key.kept_until()).await
    }

    /// Makes a secret lead to a key that does not know it yet.
    pub(crate) async fn lead_to_api_key(
        &self,
        secret: &SecretHash,
        key: &ApiKey,
    ) -> Result<(), StoreError> {
        let way = Way { key: key.id.clone(), user: key.user.clone() };
        self.write(Kind::ApiKeySecret, secret.as_str(), &way, key.kept_until()).await
    }

    /// The key that a secret once led to; whether it opens it, the key says.
    pub(crate) async fn api_key_of(
        &self,
        secret: &SecretHash,
    ) -> Result<Option<ApiKey>, StoreError> {
        let way: Option<Way> = self.read(Kind::ApiKeySecret, secret.as_str()).await?;
        let Some(Way { key, user }) = way else { return Ok(None) };
        self.api_key(&user, &key).await
    }

    /// A person's key.
    pub(crate) async fn api_key(
        &self,
        user: &UserId,
        key: &ApiKeyId,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.read(Kind::ApiKey, &name(user, key)).await
    }

    /// A person's keys, revoked ones included.
    pub(crate) async fn api_keys(&self, user: &UserId) -> Result<Vec<ApiKey>, StoreError> {
        let prefix = format!("{}/", user.as_str());
        let keys = self.list(Kind::ApiKey, &prefix, None, MOST_READ).await?;
        Ok(keys.into_iter().map(|(_, key)| key).collect())
    }

    /// Changes a key, durably; `change` gives what it is to be, or nothing to leave it.
    pub(crate) async fn change_api_key(
        &self,
        user: &UserId,
        key: &ApiKeyId,
        change: impl Fn(&ApiKey) -> Option<ApiKey> + Send + Sync,
    ) -> Result<Option<ApiKey>, StoreError> {
        let change = |key: &ApiKey| {
            let changed = change(key)?;
            let until = changed.kept_until();
            Some((changed, until))
        };
        self.update(Kind::ApiKey, &name(user, key), change).await
    }

    /// Makes a secret lead nowhere any more.
    pub(crate) async fn forget_api_key_secret(
        &self,
        secret: &SecretHash,
    ) -> Result<(), StoreError> {
        self.delete(Kind::ApiKeySecret, secret.as_str()).await.map(drop)
    }

    /// When a key was last used, as far as gateways have said.
    pub(crate) async fn api_key_use(
        &self,
        key: &ApiKeyId,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.read(Kind::ApiKeyUse, key.as_str()).await
    }

    /// Notes a use of a key.
    pub(crate) async fn note_api_key_use(
        &self,
        key: &ApiKeyId,
        at: Timestamp,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(Kind::ApiKeyUse, key.as_str(), &at, Some(expires)).await
    }
}

fn name(user: &UserId, key: &ApiKeyId) -> String {
    format!("{}/{key}", user.as_str())
}
