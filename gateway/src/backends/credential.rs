//! The signed identity a backend receives in place of the caller's token: a JWS of at most 60
//! seconds (RFC 7519 section 4, RFC 8725 section 3.11 for its own type).
//!
//! Invariant: an identity belongs to one verified credential at one resource, and a call that is
//! bound to a workspace names only that workspace.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use keys::{KeyError, SigningKey};
use serde::Serialize;
use shared::{
    ids::{KeyId, WorkspaceId},
    scope::Scope,
    time::Timestamp,
};

use super::exchange::Slot;

/// The `typ` of an identity: never that of an access token, so that none passes for the other.
pub(crate) const IDENTITY_TYPE: &str = "vestibule-identity+jwt";

/// Who a request to a backend speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A client on its own behalf.
    Client,
    /// This gateway, when it reads a catalogue.
    Gateway,
    /// A person through an API key.
    Key,
    /// A person through a client.
    Person,
}

/// What an identity says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    /// The backend's audience.
    pub(crate) audience: &'a str,
    /// The client; the gateway itself where it reads a catalogue.
    pub(crate) client_id: &'a str,
    /// When the credential behind it ends.
    pub(crate) expires: Timestamp,
    /// This gateway, as identities name it.
    pub(crate) issuer: &'a str,
    pub(crate) kind: Kind,
    pub(crate) scope: &'a Scope,
    pub(crate) sub: &'a str,
    /// The issuer that knows `sub`.
    pub(crate) sub_iss: &'a str,
    /// The one the call is bound to, or all of the credential.
    pub(crate) workspaces: &'a [WorkspaceId],
}

/// The identities made for one verified credential at one resource; it dies with that credential's
/// place in the cache.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    /// What token endpoints gave for them.
    exchanged: Mutex<Vec<Exchanged>>,
    made: Mutex<Vec<Made>>,
}

#[derive(Debug)]
struct Exchanged {
    /// The backend as it was configured.
    backend: [u8; 32],
    slot: Arc<Slot>,
    workspaces: Vec<WorkspaceId>,
}

#[derive(Debug)]
struct Made {
    audience: String,
    expires: Timestamp,
    header: HeaderValue,
    key: KeyId,
    workspaces: Vec<WorkspaceId>,
}

/// An identity that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("no random bytes could be drawn")]
    Random,
    #[error("the identity could not be signed")]
    Signing(#[from] KeyError),
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    sub_iss: &'a str,
    client_id: &'a str,
    kind: Kind,
    scope: &'a Scope,
    workspaces: &'a [WorkspaceId],
    iat: u64,
    exp: u64,
    jti: &'a str,
    #[serde(flatten)]
    call: Option<CallClaims<'a>>,
}

/// What an identity says of the one call that it is for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct CallClaims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workspace: Option<&'a WorkspaceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool: Option<&'a str>,
    pub(super) args_sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<&'a str>,
}

/// How long an identity lives at most.
pub(super) const LIFE: Duration = Duration::from_mins(1);
/// An identity with less time left is not sent: it could end on the way.
const LEAST_LEFT: Duration = Duration::from_secs(10);
/// Backends times workspaces that one credential keeps identities for.
const MOST_KEPT: usize = 32;

impl Identities {
    /// `Bearer` and the identity, reused where one that says the same lives on. Everything in it
    /// but audience and workspaces follows from the credential these identities belong to.
    pub(crate) fn header(
        &self,
        identity: &Identity<'_>,
        key: &SigningKey,
        now: Timestamp,
    ) -> Result<HeaderValue, IdentityError> {
        let least = now.plus(LEAST_LEFT);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let found = made.iter().find(|made| {
            made.expires > least
                && made.audience == identity.audience
                && made.workspaces == identity.workspaces
                && made.key == *key.id()
        });
        if let Some(found) = found {
            return Ok(found.header.clone());
        }
        let expires = now.plus(LIFE).min(identity.expires);
        let header = sign(identity, key, now, expires, None)?;
        made.retain(|made| made.expires > least);
        if made.len() >= MOST_KEPT {
            made.remove(0);
        }
        made.push(Made {
            audience: identity.audience.to_owned(),
            expires,
            header: header.clone(),
            key: key.id().clone(),
            workspaces: identity.workspaces.to_vec(),
        });
        Ok(header)
    }

    /// The place of what a token endpoint gives for an identity. Backends are told apart by all of
    /// their configuration, because API keys' identities outlive a change of it.
    pub(super) fn slot(&self, backend: [u8; 32], identity: &Identity<'_>) -> Arc<Slot> {
        let mut all = self.exchanged.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same =
            |one: &&Exchanged| one.backend == backend && one.workspaces == identity.workspaces;
        if let Some(found) = all.iter().find(is_same) {
            return Arc::clone(&found.slot);
        }
        if all.len() >= MOST_KEPT {
            all.remove(0);
        }
        let slot = Arc::new(Slot::default());
        all.push(Exchanged {
            backend,
            slot: Arc::clone(&slot),
            workspaces: identity.workspaces.to_vec(),
        });
        slot
    }
}

/// `Bearer` and an identity for one call; it is never used again.
pub(super) fn for_call(
    identity: &Identity<'_>,
    call: CallClaims<'_>,
    key: &SigningKey,
    now: Timestamp,
) -> Result<HeaderValue, IdentityError> {
    sign(identity, key, now, now.plus(LIFE).min(identity.expires), Some(call))
}

/// Bytes as JSON Web Signatures write them.
pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sign(
    identity: &Identity<'_>,
    key: &SigningKey,
    now: Timestamp,
    expires: Timestamp,
    call: Option<CallClaims<'_>>,
) -> Result<HeaderValue, IdentityError> {
    let jti = token_id()?;
    let claims = Claims {
        iss: identity.issuer,
        aud: identity.audience,
        sub: identity.sub,
        sub_iss: identity.sub_iss,
        client_id: identity.client_id,
        kind: identity.kind,
        scope: identity.scope,
        workspaces: identity.workspaces,
        iat: now.secs(),
        exp: expires.secs(),
        jti: &jti,
        call,
    };
    let token = keys::sign(key, IDENTITY_TYPE, &claims)?;
    // A JWS is base64url and full stops, which every header may hold.
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| KeyError::Library("writing a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// An id that nobody can guess.
pub(super) fn token_id() -> Result<String, IdentityError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| IdentityError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use keys::{KeySet, Presented, Purpose};
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    struct Fixture {
        identities: Identities,
        key: SigningKey,
        scope: Scope,
        workspaces: Vec<WorkspaceId>,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                identities: Identities::default(),
                key: KeySet::first(Purpose::GatewayIdentity, NOW).unwrap().signing().unwrap(),
                scope: Scope::parse("contacts:read").unwrap(),
                workspaces: ["a", "b"].map(|id| WorkspaceId::parse(id).unwrap()).to_vec(),
            }
        }

        fn identity(&self) -> Identity<'_> {
            Identity {
                audience: "crm",
                client_id: "app",
                expires: NOW.plus(Duration::from_mins(5)),
                issuer: "https://gateway",
                kind: Kind::Person,
                scope: &self.scope,
                sub: "usr_1",
                sub_iss: "https://issuer",
                workspaces: &self.workspaces,
            }
        }

        fn header(&self, identity: &Identity<'_>, now: Timestamp) -> String {
            let header = self.identities.header(identity, &self.key, now).unwrap();
            assert!(header.is_sensitive());
            header.to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
        }

        fn claims(&self, token: &str) -> Value {
            let presented = Presented::<Value>::parse_as(token, IDENTITY_TYPE).unwrap();
            presented.verify(&self.key.verifying()).unwrap().into_claims()
        }
    }

    #[test]
    fn an_identity_says_who_calls_and_nothing_more() {
        let fixture = Fixture::new();
        let mut claims = fixture.claims(&fixture.header(&fixture.identity(), NOW));
        claims["jti"].take();
        assert_eq!(
            claims,
            json!({
                "iss": "https://gateway", "aud": "crm", "sub": "usr_1",
                "sub_iss": "https://issuer", "client_id": "app", "kind": "person", "scope": "contacts:read",
                "workspaces": ["a", "b"], "iat": 1_800_000_000, "exp": 1_800_000_060, "jti": null,
            })
        );
    }

    #[test]
    fn an_identity_is_refused_as_an_access_token() {
        let fixture = Fixture::new();
        assert!(Presented::parse(&fixture.header(&fixture.identity(), NOW)).is_err());
    }

    #[test]
    fn an_identity_ends_with_the_credential() {
        let fixture = Fixture::new();
        let expires = NOW.plus(Duration::from_secs(20));
        let identity = Identity { expires, ..fixture.identity() };
        assert_eq!(fixture.claims(&fixture.header(&identity, NOW))["exp"], 1_800_000_020);
    }

    #[test]
    fn a_bound_call_names_its_workspace_only() {
        let fixture = Fixture::new();
        let bound = Identity { workspaces: &fixture.workspaces[1..], ..fixture.identity() };
        assert_eq!(fixture.claims(&fixture.header(&bound, NOW))["workspaces"], json!(["b"]));
        let free = fixture.header(&fixture.identity(), NOW);
        assert_eq!(fixture.claims(&free)["workspaces"], json!(["a", "b"]));
    }

    #[test]
    fn an_identity_is_reused_until_ten_seconds_before_its_end() {
        let fixture = Fixture::new();
        let identity = fixture.identity();
        let first = fixture.header(&identity, NOW);
        assert_eq!(fixture.header(&identity, NOW.plus(Duration::from_secs(49))), first);
        assert_ne!(fixture.header(&identity, NOW.plus(Duration::from_secs(50))), first);
        let other = Identity { audience: "erp", ..identity };
        assert_ne!(fixture.header(&other, NOW), first);
    }

    #[test]
    fn identities_are_made_anew_under_a_new_key() {
        let mut fixture = Fixture::new();
        let first = fixture.header(&fixture.identity(), NOW);
        fixture.key = KeySet::first(Purpose::GatewayIdentity, NOW).unwrap().signing().unwrap();
        assert_ne!(fixture.header(&fixture.identity(), NOW), first);
    }
}
