//! The keys of Redis. Braces mark what must share a slot.

use shared::{ids::FamilyId, secret::SecretHash, time::Timestamp};
use store::Reply;

use crate::store::{Kind, Owner};

pub(in crate::store) fn millis(reply: &Reply) -> Option<Timestamp> {
    reply.as_str().ok()?.parse().ok().map(Timestamp::from_millis)
}

/// Keys of records may hold braces, and one record is one slot anyway.
pub(in crate::store) fn record_key(kind: Kind, key: &str) -> String {
    format!("{}:{key}", kind.name())
}

/// The keys of a listed kind, in order.
pub(in crate::store) fn list_key(kind: Kind) -> String {
    format!("list:{}", kind.name())
}

/// Client ids may hold anything visible, so their hash stands in the key.
pub(in crate::store) fn index_key(owner: Owner<'_>) -> String {
    match owner {
        Owner::Client(client) => {
            format!("client-grants:{}", SecretHash::of(client.as_str().as_bytes()).as_str())
        }
        Owner::Person(user) => format!("grants:{user}"),
    }
}

pub(in crate::store) fn code_key(family: FamilyId, code: &SecretHash) -> String {
    format!("code:{{{family}}}:{}", code.as_str())
}

pub(in crate::store) fn family_key(family: FamilyId) -> String {
    // Short, because there may be millions of them.
    format!("f{{{family}}}")
}
