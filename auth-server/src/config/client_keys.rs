//! The public keys of a `[[client]]` (RFC 7591 section 2): in a file, or where it publishes them.

use keys::ClientKeySet;
use shared::problem::Problem;

use super::RawClient;
use crate::rules::{
    client::{ClientAuth, ClientKeys},
    outbound_url::{OutboundPolicy, OutboundUrl},
};

/// How a client with keys authenticates; nothing for a client without. The problem, if the keys
/// cannot be used.
pub(super) fn of(
    raw: &RawClient,
    at: usize,
    policy: &OutboundPolicy,
    read: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Option<ClientAuth>, Problem> {
    let problem = |key: &str, what: String, remedy: &str| {
        Problem::new(format!("client[{at}].{key}"), what, remedy)
    };
    let keys = [&raw.jwks_file, &raw.jwks_uri].into_iter().flatten().count();
    let has_secret = raw.secret_file.is_some() || !raw.secret.is_empty();
    if keys + usize::from(has_secret && keys > 0) > 1 {
        let what = "stands beside another of jwks_file, jwks_uri and a secret".to_owned();
        let key = if raw.jwks_file.is_some() { "jwks_file" } else { "jwks_uri" };
        return Err(problem(key, what, "keep one of the three"));
    }
    let keys = match (&raw.jwks_file, &raw.jwks_uri) {
        (Some(file), _) => {
            let remedy = "write a JWK Set of public keys there";
            let text = read(file).map_err(|error| problem("jwks_file", error, remedy))?;
            ClientKeySet::parse(&text)
                .map_err(|error| problem("jwks_file", error.to_string(), remedy))?;
            ClientKeys::Inline(text)
        }
        (None, Some(uri)) => {
            OutboundUrl::parse(uri, policy).map_err(|fault| {
                let remedy = "write an https URL, and allow its host in auth.outbound.allow";
                problem("jwks_uri", fault.to_string(), remedy)
            })?;
            ClientKeys::Remote(uri.clone())
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(ClientAuth::PrivateKeyJwt { keys }))
}
