//! A client: how it proves who it is, what it may ask for, and where it comes from
//! (RFC 6749 section 2).

use std::collections::{BTreeMap, BTreeSet};

use keys::Algorithm;
use serde::{Deserialize, Serialize};
use shared::{
    ids::{ClientId, WorkspaceId},
    resource::ResourceIndicator,
    scope::Scope,
    secret::SecretHash,
    time::Timestamp,
};

/// A client as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Client {
    pub(crate) about: About,
    pub(crate) auth: ClientAuth,
    /// Grants that began at or before this moment are over.
    pub(crate) cutoff: Option<Timestamp>,
    pub(crate) id: ClientId,
    pub(crate) life: Life,
    /// The registration access token (RFC 7592), for clients that have one.
    pub(crate) management: Option<SecretHash>,
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) redirects: Vec<String>,
    /// Whether it gets refresh tokens.
    pub(crate) refreshes: bool,
    pub(crate) registered: Timestamp,
    /// What it may do on its own account.
    pub(crate) service: Option<ServiceAccount>,
}

/// What a client says about itself (RFC 7591 section 2): kept as it was written, never fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) application_type: Option<ApplicationType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) contacts: Vec<String>,
    /// The algorithm of its ID tokens (OpenID Connect Dynamic Client Registration 1.0 section 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id_token_signed_response_alg: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) logo_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy_uri: Option<String>,
    /// The scope of requests that name none: a default, not a ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tos_uri: Option<String>,
}

impl About {
    /// The algorithm of its ID tokens, if it chose one.
    pub(crate) fn id_token_algorithm(&self) -> Option<Algorithm> {
        self.id_token_signed_response_alg.as_deref().and_then(Algorithm::parse)
    }
}

/// Where a client runs, if it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ApplicationType {
    Native,
    Web,
}

/// What the sweep knows of a client; coarse, because each change is a durable write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    /// When it was last registered or used.
    pub(crate) touched: Timestamp,
    /// Whether a code was ever issued to it.
    pub(crate) used: bool,
}

/// How a client proves who it is at the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientAuth {
    None,
    /// A signed assertion (RFC 7523 section 3).
    PrivateKeyJwt {
        keys: ClientKeys,
    },
    Secret {
        method: SecretMethod,
        secrets: Vec<ClientSecret>,
    },
}

/// How a client proved itself when a grant began: it must not refresh by a weaker proof later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProofMethod {
    Assertion,
    None,
    Secret,
}

/// Where a client's public keys are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientKeys {
    /// A JWK Set (RFC 7517 section 5), checked when it was registered.
    Inline(String),
    /// Its `jwks_uri`.
    Remote(String),
}

/// Where a client puts its secret. Both places are accepted for either, because clients mix
/// them up and the secret is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SecretMethod {
    Basic,
    Post,
}

/// One of a client's secrets: an older one may overlap with its successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientSecret {
    /// Refused from this moment on.
    pub(crate) expires: Option<Timestamp>,
    pub(crate) hash: SecretHash,
}

/// Where a client comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// Its own document on the web: the id is the document's URL.
    Document,
    /// The deployment file.
    File,
    /// Registered by anybody.
    Open,
    /// Added by an operator while running.
    Operator,
    /// Registered with an initial access token.
    Token,
}

/// What a client may do without a person (RFC 6749 section 4.4), and whose tokens it may
/// introspect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceAccount {
    /// The resources whose tokens it may introspect (RFC 7662).
    pub(crate) introspects: BTreeSet<ResourceIndicator>,
    /// The scopes of its own tokens, by resource; none where it may not ask for any.
    pub(crate) scopes: BTreeMap<ResourceIndicator, Scope>,
    pub(crate) workspaces: BTreeSet<WorkspaceId>,
}

impl Client {
    /// Whether an operator wrote or approved it.
    pub(crate) fn is_preregistered(&self) -> bool {
        matches!(self.origin, Origin::File | Origin::Operator)
    }

    /// Whether everybody who registered the same holds it: then nobody may change it.
    pub(crate) fn is_shared(&self) -> bool {
        self.origin == Origin::Open && self.auth == ClientAuth::None
    }

    /// Whether its identity is proven by more than what anybody could have registered: such a
    /// client keeps its refresh token instead of rotating it.
    pub(crate) fn proves_itself(&self) -> bool {
        match self.auth {
            ClientAuth::None => false,
            ClientAuth::PrivateKeyJwt { .. } => true,
            // A secret from open registration proves nothing about who asks.
            ClientAuth::Secret { .. } => self.origin != Origin::Open,
        }
    }
}

impl ClientAuth {
    /// The kind of proof.
    pub(crate) fn method(&self) -> ProofMethod {
        match self {
            Self::None => ProofMethod::None,
            Self::PrivateKeyJwt { .. } => ProofMethod::Assertion,
            Self::Secret { .. } => ProofMethod::Secret,
        }
    }

    /// The secrets, those included that have ended.
    pub(crate) fn secrets(&self) -> &[ClientSecret] {
        match self {
            Self::Secret { secrets, .. } => secrets,
            Self::None | Self::PrivateKeyJwt { .. } => &[],
        }
    }

    /// One secret without an end.
    pub(crate) fn secret(method: SecretMethod, hash: SecretHash) -> Self {
        Self::Secret { method, secrets: vec![ClientSecret { expires: None, hash }] }
    }
}
