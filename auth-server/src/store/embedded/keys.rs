//! The keys of the file.

use shared::{ids::FamilyId, secret::SecretHash};

use crate::store::{Kind, Owner, StoreError};

pub(in crate::store) const FEED_LAST: &[u8] = b"feed/last";

pub(in crate::store) fn record_key(kind: Kind, key: &str) -> String {
    format!("{}/{key}", kind.name())
}

/// How many records of a kind there are.
pub(in crate::store) fn count_key(kind: Kind) -> String {
    format!("count/{}", kind.name())
}

pub(in crate::store) fn code_key(family: FamilyId, code: &SecretHash) -> String {
    format!("code/{family}/{}", code.as_str())
}

pub(in crate::store) fn family_key(family: FamilyId) -> String {
    format!("family/{family}")
}

/// Client ids may hold a slash, so their hash stands in the key.
pub(in crate::store) fn index_key(owner: Owner<'_>) -> String {
    match owner {
        Owner::Client(client) => {
            format!("client-grant/{}/", SecretHash::of(client.as_str().as_bytes()).as_str())
        }
        Owner::Person(user) => format!("grant/{user}/"),
    }
}

pub(in crate::store) fn event_key(seq: u64) -> String {
    format!("event/{seq:020}")
}

/// The place of an event in the feed, from its key.
pub(in crate::store) fn event_seq(key: &[u8]) -> Option<u64> {
    std::str::from_utf8(key).ok()?.strip_prefix("event/")?.parse().ok()
}

pub(in crate::store) fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map(u64::from_be_bytes).unwrap_or_default()
}

pub(in crate::store) fn corrupt(error: &StoreError) -> store::StoreError {
    store::StoreError::Corrupt(error.to_string())
}
