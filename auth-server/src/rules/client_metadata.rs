//! What a stranger may register (RFC 7591 section 2), and the content-addressed id of a
//! registration without a secret.
//!
//! Unknown members are neither stored nor hashed; nothing a registration says is shown unescaped.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use keys::Algorithm;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use shared::scope::Scope;

use super::{
    client::{About, ApplicationType, ClientAuth, ClientKeys, SecretMethod},
    client_keys::client_keys,
    metadata_members::{contacts, name, public_web_page, strings, web_page},
    outbound_url::OutboundPolicy,
    redirect_uri::{RedirectKind, check_registration, registered_kind, without_loopback_port},
    software_statement,
    violation::RegistrationViolation,
};

/// A registration request that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    pub(crate) about: About,
    pub(crate) auth: AuthMethod,
    /// The public keys of a client that authenticates with one.
    pub(crate) keys: Option<ClientKeys>,
    pub(crate) name: String,
    pub(crate) redirects: Vec<String>,
    pub(crate) refresh: bool,
}

/// The methods a stranger may choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthMethod {
    ClientSecretBasic,
    ClientSecretPost,
    None,
    PrivateKeyJwt,
}

impl AuthMethod {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::None => "none",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

/// The registered name of a client's method.
pub(crate) fn method_name(auth: &ClientAuth) -> &'static str {
    match auth {
        ClientAuth::None => "none",
        ClientAuth::PrivateKeyJwt { .. } => "private_key_jwt",
        ClientAuth::Secret { method: SecretMethod::Basic, .. } => "client_secret_basic",
        ClientAuth::Secret { method: SecretMethod::Post, .. } => "client_secret_post",
    }
}

/// Members that name pages of the client; none is ever fetched, and none may lead inside.
const PAGES_ELSEWHERE: [&str; 2] = ["backchannel_logout_uri", "sector_identifier_uri"];

/// Checks a registration request's JSON object.
pub(crate) fn check(
    body: &Map<String, Value>,
    policy: &OutboundPolicy,
    algorithms: &[Algorithm],
) -> Result<Registration, RegistrationViolation> {
    software_statement::refuse(body)?;
    let auth = auth_method(body)?;
    let grants = strings(body, "grant_types", RegistrationViolation::GrantTypes)?;
    let grants = grants.unwrap_or_else(|| vec!["authorization_code".to_owned()]);
    // Grants that nobody may give to himself are dropped, and the answer says so.
    if !grants.iter().any(|grant| grant == "authorization_code") {
        return Err(RegistrationViolation::GrantTypes);
    }
    let responses = strings(body, "response_types", RegistrationViolation::ResponseTypes)?;
    if responses.is_some_and(|all| all.iter().any(|one| one != "code") || all.is_empty()) {
        return Err(RegistrationViolation::ResponseTypes);
    }
    for member in PAGES_ELSEWHERE {
        public_web_page(body, member)?;
    }
    let application_type = application_type(body)?;
    let keys = client_keys(body, policy)?.filter(|_| auth == AuthMethod::PrivateKeyJwt);
    if auth == AuthMethod::PrivateKeyJwt && keys.is_none() {
        return Err(RegistrationViolation::JwksMissing);
    }
    Ok(Registration {
        about: About {
            application_type,
            client_uri: web_page(body, "client_uri")?,
            contacts: contacts(body)?,
            id_token_signed_response_alg: id_token_algorithm(body, algorithms),
            logo_uri: public_web_page(body, "logo_uri")?,
            policy_uri: public_web_page(body, "policy_uri")?,
            scope: scope(body)?,
            tos_uri: public_web_page(body, "tos_uri")?,
        },
        auth,
        keys,
        name: name(body)?,
        redirects: redirects(body, application_type)?,
        refresh: grants.iter().any(|grant| grant == "refresh_token"),
    })
}

impl Registration {
    /// The id of a registration without a secret: the hash of everything stored, shown or
    /// enforced, loopback ports removed, so that identical registrations share one client.
    pub(crate) fn content_address(&self) -> String {
        self.address_with(&self.shared_redirects())
    }

    /// The same, where its shared redirect URIs are known.
    pub(crate) fn address_with(&self, redirects: &[String]) -> String {
        let parts = (1, self.auth.as_str(), &self.name, redirects, self.refresh, &self.about);
        // Strings and lists of strings always serialise.
        let canonical = serde_json::to_vec(&parts).unwrap_or_default();
        let digest = Sha256::digest(canonical);
        // Letters and digits only, so that raw and form-encoded credentials agree.
        let text: String = URL_SAFE_NO_PAD
            .encode(digest)
            .chars()
            .map(|c| match c {
                '-' => 'x',
                '_' => 'y',
                other => other,
            })
            .collect();
        format!("c{text}")
    }

    /// The redirect URIs as a shared client has them: without loopback ports, in order.
    pub(crate) fn shared_redirects(&self) -> Vec<String> {
        let mut redirects: Vec<String> =
            self.redirects.iter().map(|uri| without_loopback_port(uri)).collect();
        redirects.sort();
        redirects.dedup();
        redirects
    }
}

fn auth_method(body: &Map<String, Value>) -> Result<AuthMethod, RegistrationViolation> {
    match body.get("token_endpoint_auth_method") {
        // RFC 7591 section 2: absent means client_secret_basic.
        None | Some(Value::Null) => Ok(AuthMethod::ClientSecretBasic),
        Some(method) => match method.as_str() {
            Some("client_secret_basic") => Ok(AuthMethod::ClientSecretBasic),
            Some("client_secret_post") => Ok(AuthMethod::ClientSecretPost),
            Some("none") => Ok(AuthMethod::None),
            Some("private_key_jwt") => Ok(AuthMethod::PrivateKeyJwt),
            _ => Err(RegistrationViolation::AuthMethod),
        },
    }
}

fn scope(body: &Map<String, Value>) -> Result<Option<Scope>, RegistrationViolation> {
    match body.get("scope") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            Scope::parse(text).map(Some).map_err(|_| RegistrationViolation::Scope)
        }
        Some(_) => Err(RegistrationViolation::Scope),
    }
}

/// The algorithm of ID tokens, if there are keys of it. Another one is left out, and the answer
/// says so (RFC 7591 section 3.2.1).
pub(super) fn id_token_algorithm(
    body: &Map<String, Value>,
    algorithms: &[Algorithm],
) -> Option<String> {
    let name = body.get("id_token_signed_response_alg").and_then(Value::as_str)?;
    let known = Algorithm::parse(name).filter(|known| algorithms.contains(known))?;
    Some(known.as_str().to_owned())
}

fn application_type(
    body: &Map<String, Value>,
) -> Result<Option<ApplicationType>, RegistrationViolation> {
    match body.get("application_type") {
        None | Some(Value::Null) => Ok(None),
        Some(kind) => match kind.as_str() {
            Some("native") => Ok(Some(ApplicationType::Native)),
            Some("web") => Ok(Some(ApplicationType::Web)),
            _ => Err(RegistrationViolation::ApplicationType),
        },
    }
}

pub(super) fn redirects(
    body: &Map<String, Value>,
    application: Option<ApplicationType>,
) -> Result<Vec<String>, RegistrationViolation> {
    let uris = strings(body, "redirect_uris", RegistrationViolation::Redirects)?;
    let uris = uris.ok_or(RegistrationViolation::Redirects)?;
    if uris.is_empty() || uris.len() > 32 {
        return Err(RegistrationViolation::Redirects);
    }
    for uri in &uris {
        check_registration(uri)?;
        let is_web = application == Some(ApplicationType::Web);
        if is_web && registered_kind(uri) != Some(RedirectKind::Https) {
            return Err(RegistrationViolation::RedirectOfWeb(uri.clone()));
        }
    }
    Ok(uris)
}

#[cfg(test)]
#[path = "client_metadata_tests.rs"]
mod tests;
