//! Where a client's public keys are: `jwks` or `jwks_uri`, not both (RFC 7591 section 2). Nothing is
//! fetched here.

use keys::ClientKeySet;
use serde_json::{Map, Value};

use super::{
    client::ClientKeys,
    outbound_url::{OutboundPolicy, OutboundUrl},
    violation::RegistrationViolation,
};

/// Reads the members of a registration or a document.
pub(crate) fn client_keys(
    body: &Map<String, Value>,
    policy: &OutboundPolicy,
) -> Result<Option<ClientKeys>, RegistrationViolation> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    match (given("jwks"), given("jwks_uri")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(RegistrationViolation::JwksTwice),
        (Some(jwks), None) => {
            let text = jwks.to_string();
            ClientKeySet::parse(&text)
                .map_err(|error| RegistrationViolation::Jwks(error.to_string()))?;
            Ok(Some(ClientKeys::Inline(text)))
        }
        (None, Some(uri)) => {
            let uri = uri.as_str().unwrap_or_default();
            OutboundUrl::parse(uri, policy)
                .map_err(|fault| RegistrationViolation::JwksUri(fault.to_string()))?;
            Ok(Some(ClientKeys::Remote(uri.to_owned())))
        }
    }
}
