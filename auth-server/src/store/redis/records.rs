//! Records as they stand in Redis: their keys and their form.

use shared::{
    ids::{ClientId, FamilyId, UserId},
    secret::SecretHash,
    time::Timestamp,
};
use store::Reply;

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
