//! The access token's claims (RFC 9068 section 2.2): the contract between both services.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClientId, FamilyId, TokenId, WorkspaceId},
    resource::ResourceIndicator,
    scope::Scope,
};

/// The `typ` of an access token (RFC 9068 section 2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// What an access token says. Every member but `fam` and `gen` is required; times are whole
/// seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    pub iss: String,
    pub aud: ResourceIndicator,
    /// A person (`usr_…`) or, for `client_credentials`, the client's own id.
    pub sub: String,
    pub client_id: ClientId,
    pub scope: Scope,
    pub exp: u64,
    pub iat: u64,
    pub jti: TokenId,
    pub auth_time: u64,
    /// The workspaces this token may act in; sorted, possibly empty.
    pub workspaces: Vec<WorkspaceId>,
    /// The grant's family; absent for `client_credentials`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fam: Option<FamilyId>,
    /// The refresh generation this token was issued with; absent for `client_credentials`.
    #[serde(rename = "gen", skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
}
