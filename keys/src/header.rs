//! The header of a token that somebody shows (RFC 7515 section 4, RFC 8725 section 3.10).

use serde::Deserialize;

use crate::json::Absent;

/// The members of a header that mean something to us: `K` is how its key is named, `T` its type.
/// Members of type [`Absent`] would bring keys or rules of the sender's own.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Header<K, T> {
    pub(crate) alg: String,
    pub(crate) kid: K,
    pub(crate) typ: T,
    #[serde(default, rename = "b64")]
    _b64: Absent,
    #[serde(default, rename = "crit")]
    _crit: Absent,
    #[serde(default, rename = "jku")]
    _jku: Absent,
    #[serde(default, rename = "jwk")]
    _jwk: Absent,
    #[serde(default, rename = "x5c")]
    _x5c: Absent,
    #[serde(default, rename = "x5u")]
    _x5u: Absent,
    #[serde(default, rename = "zip")]
    _zip: Absent,
}
