//! Every way a peer can be wrong, with its wire code and its requirement: one enum per registry
//! of codes. What is answered by a page alone is in `untrusted_redirect.rs`.

pub(crate) use super::untrusted_redirect::UntrustedRedirect;

/// A wire code with the requirement behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) requirement: &'static str,
}

pub(super) fn wire(status: u16, code: &'static str, requirement: &'static str) -> Wire {
    Wire { status, code, requirement }
}

/// What goes back to the client by redirect (RFC 6749 section 4.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthorizeViolation {
    #[error("the person denied the request")]
    AccessDenied,
    #[error("code_challenge is not 43 characters of base64url")]
    ChallengeMalformed,
    #[error("code_challenge_method must be S256")]
    ChallengeMethod,
    #[error("code_challenge is required")]
    ChallengeMissing,
    #[error("consent is needed, and prompt=none forbids to ask for it")]
    ConsentRequired,
    #[error("the person must sign in, and prompt=none or id_token_hint forbids to go on")]
    LoginRequired,
    #[error("max_age must be a number of seconds")]
    MaxAgeMalformed,
    #[error("nonce must have at most 512 bytes and no control characters")]
    NonceMalformed,
    #[error("prompt must be none, login, consent or select_account, and none stands alone")]
    PromptMalformed,
    #[error("request objects are not supported; send the parameters themselves")]
    RequestObject,
    #[error("response_mode must be query, or form_post to an http or https address")]
    ResponseMode,
    #[error("response_type must be code")]
    ResponseType,
    #[error("name the resource you want a token for; this server has more than one")]
    ResourceMissing,
    #[error(
        "the resource is not one this server issues tokens for; send it as the resource metadata has it"
    )]
    ResourceUnknown,
    #[error("scope holds a character that scope tokens may not have")]
    ScopeMalformed,
    #[error("none of the scopes asked for exists here")]
    ScopeUnknown,
    #[error("state must have at most 2048 bytes")]
    StateTooLong,
}

impl AuthorizeViolation {
    pub(crate) fn wire(&self) -> Wire {
        match self {
            Self::AccessDenied => wire(302, "access_denied", "RFC 6749 section 4.1.2.1"),
            Self::ChallengeMalformed => wire(302, "invalid_request", "RFC 7636 section 4.2"),
            Self::ChallengeMethod => wire(302, "invalid_request", "RFC 7636 section 4.3"),
            Self::ChallengeMissing => wire(302, "invalid_request", "RFC 7636 section 4.4.1"),
            Self::ConsentRequired => wire(302, "consent_required", "OpenID Connect Core 3.1.2.6"),
            Self::LoginRequired => wire(302, "login_required", "OpenID Connect Core 3.1.2.6"),
            Self::MaxAgeMalformed | Self::NonceMalformed | Self::PromptMalformed => {
                wire(302, "invalid_request", "OpenID Connect Core 3.1.2.1")
            }
            Self::RequestObject => wire(302, "request_not_supported", "RFC 9101 section 7"),
            Self::ResponseMode => wire(302, "invalid_request", "RFC 6749 section 4.1.2"),
            Self::ResponseType => wire(302, "unsupported_response_type", "RFC 6749 section 3.1.1"),
            Self::ResourceMissing | Self::ResourceUnknown => {
                wire(302, "invalid_target", "RFC 8707 section 2")
            }
            Self::ScopeMalformed => wire(302, "invalid_scope", "RFC 6749 section 3.3"),
            Self::ScopeUnknown => wire(302, "invalid_scope", "RFC 6749 section 4.1.2.1"),
            Self::StateTooLong => wire(302, "invalid_request", "RFC 6749 section 4.1.2.1"),
        }
    }
}

/// What the token and revocation endpoints answer (RFC 6749 section 5.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenViolation {
    #[error("the client assertion is refused: {0}")]
    Assertion(String),
    #[error("client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer")]
    AssertionType,
    #[error("the body must be application/x-www-form-urlencoded")]
    BodyType,
    #[error("client authentication failed: use the method and the secret of the registration")]
    ClientAuthentication,
    #[error("two ways of client authentication are used at once; keep one")]
    ClientAuthenticationTwice,
    #[error("client_id is missing")]
    ClientMissing,
    #[error(
        "client_credentials is for clients with a secret or key that the operator approved for it"
    )]
    ClientNotApproved,
    #[error("this client is not registered here; register it again")]
    ClientUnknown,
    #[error("the code was issued to another client")]
    CodeClient,
    #[error("the code is unknown, used or expired; start a new authorization")]
    CodeInvalid,
    #[error("code is missing")]
    CodeMissing,
    #[error("grant_type is missing")]
    GrantMissing,
    #[error("grant_type must be authorization_code, refresh_token or client_credentials")]
    GrantUnsupported,
    #[error("only a client with a credential may ask about tokens")]
    IntrospectionClient,
    #[error("token is missing")]
    IntrospectionTokenMissing,
    #[error("a parameter is given twice or is too long")]
    Parameters,
    #[error("redirect_uri differs from the one of the authorization request")]
    RedirectMismatch,
    #[error("the refresh token was issued to another client")]
    RefreshClient,
    #[error("the grant has expired; sign in again")]
    RefreshExpired,
    #[error("the refresh token is not one of this server's; sign in again")]
    RefreshInvalid,
    #[error("refresh_token is missing")]
    RefreshMissing,
    #[error("the client proved itself otherwise when the grant began; sign in again")]
    RefreshProof,
    #[error("the grant was revoked because an old refresh token was used again; sign in again")]
    RefreshReuse,
    #[error("the grant was revoked; sign in again")]
    RefreshRevoked,
    #[error("the refresh token was replaced by a newer one; use the newest, or sign in again")]
    RefreshStale,
    #[error("the operator did not give this client the resource")]
    ResourceNotGiven,
    #[error("the resource is not part of this grant; send it as the resource metadata has it")]
    ResourceRefused,
    #[error("name one resource: the grant has several")]
    ResourceSeveral,
    #[error("scope holds a character that scope tokens may not have")]
    ScopeMalformed,
    #[error("the operator gave this client none of the scopes asked for")]
    ScopeNotGiven,
    #[error("a scope is wider than the grant; ask for it in a new authorization")]
    ScopeWider,
    #[error("token is missing")]
    TokenMissing,
    #[error("an ID token cannot be revoked; revoke the refresh token or the access token")]
    TokenTypeUnsupported,
    #[error("code_verifier must be 43 to 128 characters of A-Z a-z 0-9 - . _ ~")]
    VerifierMalformed,
    #[error("code_verifier does not match code_challenge")]
    VerifierMismatch,
    #[error("code_verifier is missing")]
    VerifierMissing,
    #[error("the account is not active here any more; sign in again")]
    AccountInactive,
}

impl TokenViolation {
    pub(crate) fn wire(&self) -> Wire {
        match self {
            Self::AccountInactive => wire(400, "invalid_grant", "RFC 6749 section 5.2"),
            Self::Assertion(_) => wire(401, "invalid_client", "RFC 7523 section 3"),
            Self::AssertionType => wire(401, "invalid_client", "RFC 7523 section 2.2"),
            Self::ClientAuthentication | Self::ClientUnknown => {
                wire(401, "invalid_client", "RFC 6749 section 5.2")
            }
            Self::ClientAuthenticationTwice => wire(400, "invalid_request", "RFC 6749 section 2.3"),
            Self::ClientMissing => wire(401, "invalid_client", "RFC 6749 section 3.2.1"),
            Self::ClientNotApproved => wire(400, "unauthorized_client", "RFC 6749 section 4.4"),
            Self::CodeInvalid => wire(400, "invalid_grant", "RFC 6749 section 4.1.2"),
            Self::BodyType | Self::CodeMissing => {
                wire(400, "invalid_request", "RFC 6749 section 4.1.3")
            }
            Self::GrantMissing => wire(400, "invalid_request", "RFC 6749 section 5.2"),
            Self::GrantUnsupported => wire(400, "unsupported_grant_type", "RFC 6749 section 5.2"),
            Self::Parameters => wire(400, "invalid_request", "RFC 6749 section 3.2"),
            Self::CodeClient | Self::RedirectMismatch => {
                wire(400, "invalid_grant", "RFC 6749 section 4.1.3")
            }
            Self::RefreshClient | Self::RefreshProof => {
                wire(400, "invalid_grant", "RFC 6749 section 6")
            }
            Self::RefreshExpired | Self::RefreshInvalid => {
                wire(400, "invalid_grant", "RFC 6749 section 5.2")
            }
            Self::RefreshMissing => wire(400, "invalid_request", "RFC 6749 section 6"),
            Self::RefreshReuse | Self::RefreshStale => {
                wire(400, "invalid_grant", "RFC 9700 section 4.14.2")
            }
            Self::RefreshRevoked => wire(400, "invalid_grant", "RFC 7009 section 2.1"),
            Self::ResourceNotGiven | Self::ResourceRefused | Self::ResourceSeveral => {
                wire(400, "invalid_target", "RFC 8707 section 2.2")
            }
            Self::ScopeMalformed => wire(400, "invalid_scope", "RFC 6749 section 3.3"),
            Self::ScopeNotGiven => wire(400, "invalid_scope", "RFC 6749 section 4.4.2"),
            Self::ScopeWider => wire(400, "invalid_scope", "RFC 6749 section 6"),
            Self::IntrospectionClient => wire(401, "invalid_client", "RFC 7662 section 2.1"),
            Self::IntrospectionTokenMissing => wire(400, "invalid_request", "RFC 7662 section 2.1"),
            Self::TokenMissing => wire(400, "invalid_request", "RFC 7009 section 2.1"),
            Self::TokenTypeUnsupported => {
                wire(400, "unsupported_token_type", "RFC 7009 section 2.2.1")
            }
            Self::VerifierMalformed => wire(400, "invalid_grant", "RFC 7636 section 4.1"),
            Self::VerifierMismatch => wire(400, "invalid_grant", "RFC 7636 section 4.6"),
            Self::VerifierMissing => wire(400, "invalid_grant", "RFC 7636 section 4.5"),
        }
    }
}

/// Why an access token opens nothing here (RFC 6750 section 3.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BearerViolation {
    #[error("the access token has expired")]
    Expired,
    #[error("the access token is not one of this server's")]
    Foreign,
    #[error("send one access token, in the Authorization header")]
    Missing,
    #[error("the access token was revoked")]
    Revoked,
    #[error("the access token was granted without the scope openid")]
    Scope,
    #[error("the access token is sent twice, or in a body that cannot be read")]
    Several,
}

impl BearerViolation {
    pub(crate) fn wire(&self) -> Wire {
        match self {
            Self::Expired | Self::Foreign | Self::Revoked => {
                wire(401, "invalid_token", "RFC 6750 section 3.1")
            }
            Self::Missing => wire(401, "", "RFC 6750 section 3"),
            Self::Scope => wire(403, "insufficient_scope", "RFC 6750 section 3.1"),
            Self::Several => wire(400, "invalid_request", "RFC 6750 section 2"),
        }
    }
}

/// What the registration endpoint answers (RFC 7591 section 3.2.2), also where a registration is
/// read, changed and deleted (RFC 7592).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegistrationViolation {
    #[error("application_type must be native or web")]
    ApplicationType,
    #[error(
        "token_endpoint_auth_method must be none, client_secret_basic, client_secret_post or private_key_jwt"
    )]
    AuthMethod,
    #[error("the body must be a JSON object: {0}")]
    Body(String),
    #[error("the content type must be application/json")]
    BodyType,
    #[error("client_id must be the one of this address")]
    ClientId,
    #[error("client_name must have at most 128 characters")]
    ClientName,
    #[error("contacts must hold at most 8 texts of at most 256 characters")]
    Contacts,
    #[error("grant_types must hold authorization_code; refresh_token may stand beside it")]
    GrantTypes,
    #[error("the initial access token is unknown, used up or expired; ask the operator for one")]
    InitialAccessInvalid,
    #[error("registration needs an initial access token; ask the operator for one")]
    InitialAccessMissing,
    #[error("the registration access token is not one of this client, or the client is gone")]
    ManagementInvalid,
    #[error("this address needs the registration access token of the client")]
    ManagementMissing,
    #[error("a client cannot come to or part from its secret or key; register it anew")]
    MethodFixed,
    #[error("redirect URI {0} leads to a place this server sends nobody to")]
    RedirectBlocked(String),
    #[error("jwks cannot be used: {0}")]
    Jwks(String),
    #[error("private_key_jwt needs jwks or jwks_uri")]
    JwksMissing,
    #[error("jwks and jwks_uri exclude each other")]
    JwksTwice,
    #[error("jwks_uri cannot be used: {0}")]
    JwksUri(String),
    #[error("redirect URI {0} has a wildcard, which is never matched")]
    RedirectWildcard(String),
    #[error("redirect URI {0} is neither https, nor loopback http, nor a private-use scheme")]
    RedirectScheme(String),
    #[error("redirect URI {0} is not an absolute URI without fragment and user info")]
    RedirectMalformed(String),
    #[error("redirect URI {0} is not https, and application_type is web")]
    RedirectOfWeb(String),
    #[error("redirect_uris must hold 1 to 32 URIs of at most 2048 characters")]
    Redirects,
    #[error("response_types must hold code alone")]
    ResponseTypes,
    #[error("scope holds a character that scope tokens may not have")]
    Scope,
    #[error("client_secret must be the current one or left out")]
    Secret,
    #[error("{0} is the server's to choose; leave it out")]
    ServerMember(&'static str),
    #[error("software_statement is not a signed JWT")]
    StatementInvalid,
    #[error("this server trusts no issuer of software statements; leave software_statement out")]
    StatementUnapproved,
    #[error("{0} must be an http or https URL")]
    Uri(&'static str),
    #[error("{0} must be at a public host name")]
    UriInside(&'static str),
}

impl RegistrationViolation {
    pub(crate) fn wire(&self) -> Wire {
        match self {
            Self::ApplicationType => {
                wire(400, "invalid_client_metadata", "OpenID Connect Registration section 2")
            }
            Self::AuthMethod
            | Self::ClientName
            | Self::Contacts
            | Self::GrantTypes
            | Self::Jwks(_)
            | Self::JwksMissing
            | Self::JwksTwice
            | Self::JwksUri(_)
            | Self::ResponseTypes
            | Self::Scope
            | Self::Uri(_) => wire(400, "invalid_client_metadata", "RFC 7591 section 2"),
            Self::Body(_) => wire(400, "invalid_client_metadata", "RFC 7591 section 3.1"),
            Self::BodyType => wire(415, "invalid_client_metadata", "RFC 7591 section 3.1"),
            Self::ClientId | Self::MethodFixed | Self::Secret | Self::ServerMember(_) => {
                wire(400, "invalid_client_metadata", "RFC 7592 section 2.2")
            }
            Self::InitialAccessInvalid | Self::InitialAccessMissing => {
                wire(401, "invalid_token", "RFC 7591 section 3")
            }
            Self::ManagementInvalid | Self::ManagementMissing => {
                wire(401, "invalid_token", "RFC 7592 section 2.1")
            }
            Self::RedirectBlocked(_) => wire(400, "invalid_redirect_uri", "RFC 7591 section 5"),
            Self::RedirectMalformed(_)
            | Self::RedirectScheme(_)
            | Self::RedirectWildcard(_)
            | Self::Redirects => wire(400, "invalid_redirect_uri", "RFC 7591 section 3.2.2"),
            Self::RedirectOfWeb(_) => {
                wire(400, "invalid_redirect_uri", "OpenID Connect Registration section 2")
            }
            Self::StatementInvalid => {
                wire(400, "invalid_software_statement", "RFC 7591 section 3.2.2")
            }
            Self::StatementUnapproved => {
                wire(400, "unapproved_software_statement", "RFC 7591 section 3.2.2")
            }
            Self::UriInside(_) => wire(400, "invalid_client_metadata", "RFC 7591 section 5"),
        }
    }
}

/// Wire text: what the violation says and where the rule stands, in the characters RFC 6749
/// section 5.2 allows.
pub(crate) fn describe(violation: &impl std::fmt::Display, wire: Wire) -> String {
    let text = format!("{violation} ({})", wire.requirement);
    text.chars()
        .map(|c| if matches!(c, ' '..='!' | '#'..='[' | ']'..='~') { c } else { '?' })
        .take(400)
        .collect()
}
