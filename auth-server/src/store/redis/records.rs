//! Records as they stand in Redis: their keys and their form.

use serde::{Serialize, de::DeserializeOwned};
use shared::{
    ids::{ClientId, FamilyId, UserId},
    secret::SecretHash,
    time::Timestamp,
};
use store::Reply;

use crate::store::StoreError;

pub(super) fn millis(reply: &Reply) -> Option<Timestamp> {
    reply.as_str().ok()?.parse().ok().map(Timestamp::from_millis)
}

pub(super) fn client_key(id: &ClientId) -> String {
    format!("client:{id}")
}

pub(super) fn session_key(secret: &SecretHash) -> String {
    format!("session:{}", secret.as_str())
}

/// Client ids may hold anything visible, so their hash stands in the key.
pub(super) fn index_key(user: &UserId, client: &ClientId) -> String {
    format!("grants:{user}:{}", SecretHash::of(client.as_str().as_bytes()).as_str())
}

pub(super) fn code_key(family: FamilyId, code: &SecretHash) -> String {
    format!("code:{{{family}}}:{}", code.as_str())
}

pub(super) fn family_key(family: FamilyId) -> String {
    format!("fam:{{{family}}}")
}

/// The version of the records' form stands first, so that a later one can tell.
pub(super) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&(1_u8, record)).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    match serde_json::from_slice::<(u8, T)>(bytes) {
        Ok((1, record)) => Ok(record),
        Ok((version, _)) => Err(StoreError::Corrupt(format!("record version {version}"))),
        Err(error) => Err(StoreError::Corrupt(error.to_string())),
    }
}
