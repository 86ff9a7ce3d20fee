//! The keys of the file.

use shared::{ids::FamilyId, secret::SecretHash};

use crate::store::{Kind, Owner, StoreError};

pub(super) const FEED_LAST: &[u8] = b"feed/last";

pub(super) fn record_key(kind: Kind, key: &str) -> String {
    format!("{}/{key}", kind.name())
}

/// How many records of a kind there are.
pub(super) fn count_key(kind: Kind) -> String {
    format!("count/{}", kind.name())
}

pub(super) fn code_key(family: FamilyId, code: &SecretHash) -> String {
    format!("code/{family}/{}", code.as_str())
}

pub(super) fn family_key(family: FamilyId) -> String {
    format!("family/{family}")
}

/// Client ids may hold a slash, so their hash stands in the key.
pub(super) fn index_key(owner: Owner<'_>) -> String {
    match owner {
        Owner::Client(client) => {
            format!("client-grant/{}/", SecretHash::of(client.as_str().as_bytes()).as_str())
        }
        Owner::Person(user) => format!("grant/{user}/"),
    }
}

pub(super) fn event_key(seq: u64) -> String {
    format!("event/{seq:020}")
}

/// The place of an event in the feed, from its key.
pub(super) fn event_seq(key: &[u8]) -> Option<u64> {
    std::str::from_utf8(key).ok()?.strip_prefix("event/")?.parse().ok()
}

pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map(u64::from_be_bytes).unwrap_or_default()
}

pub(super) fn corrupt(error: &StoreError) -> store::StoreError {
    store::StoreError::Corrupt(error.to_string())
}
