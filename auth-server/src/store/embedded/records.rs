//! Records as they stand in the file: their keys, their form, and the writes that several verbs
//! share.

use shared::{
    ids::{ClientId, FamilyId, UserId},
    internal::Event,
    secret::SecretHash,
    time::Timestamp,
};
use store::Writer;

use crate::{
    rules::rotation::Family,
    store::{AFTER_EXPIRY, EVENT_LIFE, StoreError, record::encode},
};

pub(super) const FEED_LAST: &[u8] = b"feed/last";

pub(super) fn append(
    writer: &mut Writer<'_>,
    event: &Event,
    now: Timestamp,
) -> Result<(), store::StoreError> {
    let seq = writer.get(FEED_LAST)?.map_or(0, |bytes| number(&bytes)) + 1;
    let expires = now.plus(EVENT_LIFE).millis();
    writer.put(
        event_key(seq).as_bytes(),
        &encode(event).map_err(|error| corrupt(&error))?,
        Some(expires),
    )?;
    writer.put(FEED_LAST, &seq.to_be_bytes(), None)
}

pub(super) fn put_family(
    writer: &mut Writer<'_>,
    key: &str,
    family: &Family,
) -> Result<(), store::StoreError> {
    let expires = family.absolute_expiry.plus(AFTER_EXPIRY).millis();
    writer.put(key.as_bytes(), &encode(family).map_err(|error| corrupt(&error))?, Some(expires))
}

pub(super) fn client_key(id: &ClientId) -> String {
    format!("client/{id}")
}

pub(super) fn session_key(secret: &SecretHash) -> String {
    format!("session/{}", secret.as_str())
}

pub(super) fn code_key(family: FamilyId, code: &SecretHash) -> String {
    format!("code/{family}/{}", code.as_str())
}

pub(super) fn family_key(family: FamilyId) -> String {
    format!("family/{family}")
}

/// Client ids may hold a slash, so their hash stands in the key.
pub(super) fn index_key(user: &UserId, client: &ClientId) -> String {
    format!("grant/{user}/{}/", SecretHash::of(client.as_str().as_bytes()).as_str())
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
