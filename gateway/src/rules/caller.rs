//! The claims of an access token as this resource reads them (RFC 9068 section 4), and what
//! auth-server says of an API key: they make a [`Caller`], or a refusal.

use std::time::Duration;

use keys::{TokenError, Verified};
use shared::{
    claims::AccessTokenClaims,
    deployment::{Resource, ScopeKind},
    ids::{ApiKeyId, ClientId, FamilyId, KeyId, TokenId, UserId, WorkspaceId},
    internal::{Principal, PrincipalCredential},
    resource::ResourceIndicator,
    scope::Scope,
    time::Timestamp,
};

use crate::rules::{foreign::Mapped, violation::BearerViolation};

/// How far ahead of ours the issuer's clock may go.
pub(crate) const SKEW: Duration = Duration::from_mins(1);

/// How long what was learnt of an API key's owner may last on a stream: then the client opens it
/// anew, and the key is looked up again.
const KEY_LIFE: Duration = Duration::from_hours(1);

/// Who stands behind a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A client of its own accord.
    Client,
    /// A person, through an API key.
    Key,
    /// A person, through a client.
    Person,
}

/// A verified principal with what it may do. Made only by [`admit`], [`of_key`] and
/// [`Caller::of_foreign`].
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The API key, if that is the credential, with its revision.
    pub(crate) api_key: Option<(ApiKeyId, u32)>,
    pub(crate) auth_time: Timestamp,
    /// The client, or the API key in its place.
    pub(crate) client: ClientId,
    pub(crate) expires: Timestamp,
    pub(crate) family: Option<FamilyId>,
    pub(crate) generation: Option<u32>,
    pub(crate) issued: Timestamp,
    /// Whether another issuer than ours vouches for it: what we know of our own people and clients
    /// says nothing about it.
    pub(crate) is_foreign: bool,
    pub(crate) issuer: String,
    /// The key that signed the token, if a token is the credential.
    pub(crate) key: Option<KeyId>,
    pub(crate) kind: Kind,
    /// An API key that was given for reading: what does not say that it only reads is not called.
    pub(crate) reads_only: bool,
    pub(crate) resource: ResourceIndicator,
    pub(crate) scope: Scope,
    pub(crate) subject: String,
    pub(crate) token: Option<TokenId>,
    pub(crate) workspaces: Vec<WorkspaceId>,
    _made_here: MadeHere,
}

#[derive(Clone, Copy, Debug)]
struct MadeHere;

/// What a token must say to be for us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation<'e> {
    pub(crate) issuer: &'e str,
    pub(crate) now: Timestamp,
    pub(crate) resource: &'e ResourceIndicator,
}

/// Refuses claims that cannot be for this resource now. Unverified claims may only refuse.
pub(crate) fn refuse(
    claims: &AccessTokenClaims,
    expected: &Expectation<'_>,
) -> Result<(), BearerViolation> {
    let now = expected.now.secs();
    if claims.iss != expected.issuer {
        return Err(BearerViolation::Issuer);
    }
    if claims.aud != *expected.resource {
        return Err(BearerViolation::Audience);
    }
    if claims.exp <= now {
        return Err(BearerViolation::Expired);
    }
    if claims.iat > expected.now.plus(SKEW).secs() {
        return Err(BearerViolation::NotYetValid);
    }
    Ok(())
}

/// Makes a caller of verified claims.
pub(crate) fn admit(
    verified: Verified<AccessTokenClaims>,
    key: KeyId,
    expected: &Expectation<'_>,
) -> Result<Caller, BearerViolation> {
    refuse(verified.claims(), expected)?;
    let claims = verified.into_claims();
    let kind = if UserId::parse(&claims.sub).is_ok() {
        Kind::Person
    } else if claims.sub == claims.client_id.as_str() {
        Kind::Client
    } else {
        return Err(BearerViolation::Malformed);
    };
    Ok(Caller {
        api_key: None,
        auth_time: Timestamp::from_secs(claims.auth_time),
        client: claims.client_id,
        expires: Timestamp::from_secs(claims.exp),
        family: claims.fam,
        generation: claims.generation,
        issued: Timestamp::from_secs(claims.iat),
        is_foreign: false,
        issuer: claims.iss,
        key: Some(key),
        kind,
        reads_only: false,
        resource: claims.aud,
        scope: claims.scope,
        subject: claims.sub,
        token: Some(claims.jti),
        workspaces: claims.workspaces,
        _made_here: MadeHere,
    })
}

/// Makes a caller of what auth-server says, at this moment, of an API key.
pub(crate) fn of_key(
    principal: Principal,
    expected: &Expectation<'_>,
    resource: &Resource,
) -> Result<Caller, BearerViolation> {
    let PrincipalCredential::ApiKey { key, revision } = principal.credential else {
        return Err(BearerViolation::KeyUnknown);
    };
    if principal.resource != *expected.resource {
        return Err(BearerViolation::Audience);
    }
    let longest = expected.now.plus(KEY_LIFE);
    let expires = principal.expires.map_or(longest, |expires| expires.min(longest));
    if expires <= expected.now {
        return Err(BearerViolation::KeyUnknown);
    }
    Ok(Caller {
        api_key: Some((key.clone(), revision)),
        auth_time: principal.began,
        client: key.into(),
        expires,
        family: None,
        generation: None,
        issued: expected.now,
        is_foreign: false,
        issuer: expected.issuer.to_owned(),
        key: None,
        kind: Kind::Key,
        reads_only: resource.scopes_of(&[ScopeKind::Read]).includes(&principal.scope),
        resource: principal.resource,
        scope: principal.scope,
        subject: principal.user.as_str().to_owned(),
        token: None,
        workspaces: principal.workspaces,
        _made_here: MadeHere,
    })
}

impl Caller {
    /// Makes a caller of what another issuer's verified token says, in our words.
    pub(crate) fn of_foreign(
        mapped: Mapped,
        issuer: &str,
        resource: &ResourceIndicator,
        (begins, ends): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            api_key: None,
            auth_time: begins,
            client: mapped.client,
            expires: ends,
            family: None,
            generation: None,
            issued: begins,
            is_foreign: true,
            issuer: issuer.to_owned(),
            key: None,
            kind: if mapped.is_client { Kind::Client } else { Kind::Person },
            reads_only: false,
            resource: resource.clone(),
            scope: mapped.scope,
            subject: mapped.subject,
            token: None,
            workspaces: mapped.workspaces,
            _made_here: MadeHere,
        }
    }

    /// Whether an API key's caller is as it was when it was looked up before.
    pub(crate) fn is_as(&self, before: &Self) -> bool {
        self.api_key.is_some()
            && self.api_key == before.api_key
            && self.auth_time == before.auth_time
            && self.resource == before.resource
            && self.scope == before.scope
            && self.subject == before.subject
            && self.workspaces == before.workspaces
    }
}

/// Why a token that does not parse or verify is refused.
pub(crate) fn violation(error: TokenError) -> BearerViolation {
    match error {
        TokenError::Algorithm => BearerViolation::Algorithm,
        TokenError::Audience => BearerViolation::Audience,
        TokenError::Expired => BearerViolation::Expired,
        TokenError::Issuer => BearerViolation::Issuer,
        TokenError::Key => BearerViolation::UnknownKey,
        TokenError::Malformed(_) | TokenError::TooLong => BearerViolation::Malformed,
        TokenError::NotYetValid => BearerViolation::NotYetValid,
        TokenError::Signature => BearerViolation::Signature,
        TokenError::Type => BearerViolation::Type,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    pub(crate) fn claims(change: &serde_json::Value) -> AccessTokenClaims {
        let mut claims = json!({
            "iss": "https://auth.example", "aud": "https://mcp.example/mcp", "sub": "usr_1",
            "client_id": "app", "scope": "contacts:read", "exp": NOW + 300, "iat": NOW,
            "jti": "t1", "auth_time": NOW, "workspaces": ["a", "b"],
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        serde_json::from_value(claims).unwrap()
    }

    /// A caller with these scopes and workspaces.
    pub(crate) fn caller(scope: &str, workspaces: &[&str]) -> Caller {
        let claims = claims(&json!({ "scope": scope, "workspaces": workspaces }));
        Caller {
            api_key: None,
            auth_time: Timestamp::from_secs(claims.auth_time),
            client: claims.client_id,
            expires: Timestamp::from_secs(claims.exp),
            family: None,
            generation: None,
            issued: Timestamp::from_secs(claims.iat),
            is_foreign: false,
            issuer: claims.iss,
            key: Some(KeyId::parse("k").unwrap()),
            kind: Kind::Person,
            reads_only: false,
            resource: claims.aud,
            scope: claims.scope,
            subject: claims.sub,
            token: Some(claims.jti),
            workspaces: claims.workspaces,
            _made_here: MadeHere,
        }
    }

    #[test]
    fn only_a_token_for_this_resource_and_moment_is_let_on() {
        let resource = ResourceIndicator::parse("https://mcp.example/mcp").unwrap();
        let cases = [
            (json!({}), Ok(())),
            (json!({ "iss": "https://auth.example/" }), Err(BearerViolation::Issuer)),
            (json!({ "aud": "https://mcp.example/other" }), Err(BearerViolation::Audience)),
            (json!({ "aud": "https://mcp.example/mcp/" }), Err(BearerViolation::Audience)),
            (json!({ "exp": NOW }), Err(BearerViolation::Expired)),
            (json!({ "exp": NOW - 1 }), Err(BearerViolation::Expired)),
            (json!({ "iat": NOW + 60 }), Ok(())),
            (json!({ "iat": NOW + 61 }), Err(BearerViolation::NotYetValid)),
        ];
        for (change, expected) in cases {
            let expectation = Expectation {
                issuer: "https://auth.example",
                now: Timestamp::from_secs(NOW),
                resource: &resource,
            };
            assert_eq!(refuse(&claims(&change), &expectation), expected, "{change}");
        }
    }
}
