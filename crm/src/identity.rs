//! The gateway's identity: a short-lived JWS that says who calls and for which workspaces
//! (RFC 7515, RFC 7519).

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::Deserialize;
use shared::time::{Clock, Timestamp};

use crate::{
    Config, CrmError,
    jwks::{Jwks, KeyError},
};

const TYPE: &str = "vestibule-identity+jwt";
/// How far the gateway's clock and ours may lie apart, in seconds.
const SKEW: u64 = 10;

/// Whose call this is, as far as rows are concerned.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) workspaces: Arc<[String]>,
}

/// Checks identities.
#[derive(Debug)]
pub(crate) struct Verifier {
    clock: Clock,
    jwks: Jwks,
    validation: Validation,
}

/// Why a request's identity is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum IdentityViolation {
    #[error("the identity is not signed with ES256")]
    Algorithm,
    #[error("the identity is meant for another audience")]
    Audience,
    #[error("the identity has expired")]
    Expired,
    #[error("the identity has an issuer that is not trusted here")]
    Issuer,
    #[error("the identity names a key that its issuer does not publish")]
    KeyUnknown,
    #[error("the issuer's keys cannot be fetched at the moment")]
    KeysUnavailable,
    #[error("the identity is not a JWS with the claims of an identity")]
    Malformed,
    #[error("an identity is needed: send it as Authorization: Bearer")]
    Missing,
    #[error("the identity was issued in the future")]
    NotYetIssued,
    #[error("the signature of the identity does not verify")]
    Signature,
    #[error("the token is not of type vestibule-identity+jwt")]
    Type,
}

/// The claims of an identity; all are there, or it is none.
#[derive(Debug, Deserialize)]
struct Claims {
    #[serde(rename = "aud")]
    _audience: String,
    client_id: String,
    exp: u64,
    iat: u64,
    #[serde(rename = "iss")]
    _issuer: String,
    jti: String,
    kind: Kind,
    scope: String,
    sub: String,
    sub_iss: String,
    workspaces: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Client,
    Gateway,
    Key,
    Person,
}

impl Verifier {
    pub(crate) fn new(config: &Config) -> Result<Self, CrmError> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[&config.audience]);
        validation.set_issuer(&[&config.issuer]);
        validation.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
        // Times are compared below, by our clock.
        validation.validate_exp = false;
        let jwks = Jwks::new(config.jwks_url.clone()).map_err(CrmError::Client)?;
        Ok(Self { clock: config.clock.clone(), jwks, validation })
    }

    /// The identity of a request with these headers.
    pub(crate) async fn identity(
        &self,
        headers: &HeaderMap,
    ) -> Result<Identity, IdentityViolation> {
        let token = bearer(headers)?;
        let kid = key_id(token)?;
        let key = self.jwks.key(&kid).await.map_err(|error| match error {
            KeyError::Unavailable => IdentityViolation::KeysUnavailable,
            KeyError::Unknown => IdentityViolation::KeyUnknown,
        })?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &self.validation)
            .map_err(|error| violation(error.kind()))?
            .claims;
        check_times(&claims, self.clock.now())?;
        Ok(accept(claims))
    }
}

impl IdentityViolation {
    /// Whether the fault is ours for now, not the caller's.
    pub(crate) fn is_temporary(self) -> bool {
        self == Self::KeysUnavailable
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, IdentityViolation> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(IdentityViolation::Missing);
    };
    let split = HeaderValue::to_str(value).ok().and_then(|text| text.split_once(' '));
    match split {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(IdentityViolation::Missing),
    }
}

fn key_id(token: &str) -> Result<String, IdentityViolation> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| IdentityViolation::Malformed)?;
    if !header.typ.is_some_and(|value| value.eq_ignore_ascii_case(TYPE)) {
        return Err(IdentityViolation::Type);
    }
    if header.alg != Algorithm::ES256 {
        return Err(IdentityViolation::Algorithm);
    }
    // No extension is understood here, so none may be critical (RFC 7515 section 4.1.11).
    if header.crit.is_some() {
        return Err(IdentityViolation::Malformed);
    }
    header.kid.ok_or(IdentityViolation::KeyUnknown)
}

fn violation(kind: &ErrorKind) -> IdentityViolation {
    tracing::debug!(?kind, "an identity cannot be accepted");
    match kind {
        ErrorKind::InvalidAlgorithm => IdentityViolation::Algorithm,
        ErrorKind::InvalidAudience => IdentityViolation::Audience,
        ErrorKind::InvalidIssuer => IdentityViolation::Issuer,
        ErrorKind::InvalidSignature => IdentityViolation::Signature,
        _ => IdentityViolation::Malformed,
    }
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), IdentityViolation> {
    if claims.exp.saturating_add(SKEW) <= now.secs() {
        return Err(IdentityViolation::Expired);
    }
    if claims.iat > now.secs().saturating_add(SKEW) {
        return Err(IdentityViolation::NotYetIssued);
    }
    Ok(())
}

fn accept(claims: Claims) -> Identity {
    let Claims { client_id, jti, kind, scope, sub, sub_iss, workspaces, .. } = claims;
    tracing::debug!(client_id, jti, ?kind, scope, sub, sub_iss, "identity accepted");
    // The gateway itself only reads the catalogue; rows belong to callers.
    let mut workspaces = if kind == Kind::Gateway { Vec::new() } else { workspaces };
    workspaces.sort_unstable();
    workspaces.dedup();
    Identity { workspaces: workspaces.into() }
}
