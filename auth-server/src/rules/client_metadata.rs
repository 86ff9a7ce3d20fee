//! What a stranger may register (RFC 7591 section 2), and the content-addressed id of a
//! registration without a secret.
//!
//! Unknown members are neither stored nor hashed; nothing a registration says is shown unescaped.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use shared::scope::Scope;

use super::{
    redirect_uri::{check_registration, without_loopback_port},
    violation::RegistrationViolation,
};

/// A registration request that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    pub(crate) auth: AuthMethod,
    pub(crate) client_uri: Option<String>,
    pub(crate) name: String,
    pub(crate) redirects: Vec<String>,
    pub(crate) refresh: bool,
    pub(crate) scope: Option<Scope>,
}

/// The methods a stranger may choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthMethod {
    ClientSecretBasic,
    ClientSecretPost,
    None,
}

impl AuthMethod {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::None => "none",
        }
    }
}

/// Checks a registration request's JSON object.
pub(crate) fn check(body: &Map<String, Value>) -> Result<Registration, RegistrationViolation> {
    let auth = match body.get("token_endpoint_auth_method").and_then(Value::as_str) {
        // RFC 7591 section 2: absent means client_secret_basic.
        None if body.get("token_endpoint_auth_method").is_none_or(Value::is_null) => {
            AuthMethod::ClientSecretBasic
        }
        Some("client_secret_basic") => AuthMethod::ClientSecretBasic,
        Some("client_secret_post") => AuthMethod::ClientSecretPost,
        Some("none") => AuthMethod::None,
        _ => return Err(RegistrationViolation::AuthMethod),
    };
    let grants = strings(body, "grant_types", RegistrationViolation::GrantTypes)?;
    let grants = grants.unwrap_or_else(|| vec!["authorization_code".to_owned()]);
    if !grants.iter().any(|grant| grant == "authorization_code") {
        return Err(RegistrationViolation::GrantTypes);
    }
    let responses = strings(body, "response_types", RegistrationViolation::ResponseTypes)?;
    if responses.is_some_and(|all| all.iter().any(|one| one != "code") || all.is_empty()) {
        return Err(RegistrationViolation::ResponseTypes);
    }
    let scope = match body.get("scope") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => {
            Some(Scope::parse(text).map_err(|_| RegistrationViolation::Scope)?)
        }
        Some(_) => return Err(RegistrationViolation::Scope),
    };
    Ok(Registration {
        auth,
        client_uri: web_page(body, "client_uri")?,
        name: name(body)?,
        redirects: redirects(body)?,
        refresh: grants.iter().any(|grant| grant == "refresh_token"),
        scope,
    })
}

impl Registration {
    /// The id of a registration without a secret: the hash of everything stored, shown or
    /// enforced, loopback ports removed, so that identical registrations share one client.
    pub(crate) fn content_address(&self) -> String {
        let mut redirects: Vec<String> =
            self.redirects.iter().map(|uri| without_loopback_port(uri)).collect();
        redirects.sort();
        redirects.dedup();
        let canonical =
            serde_json::json!([1, self.auth.as_str(), self.name, redirects, self.refresh]);
        let digest = Sha256::digest(canonical.to_string().as_bytes());
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

    /// The redirect URIs as they are stored: for a shared client without loopback ports.
    pub(crate) fn stored_redirects(&self) -> Vec<String> {
        if self.auth != AuthMethod::None {
            return self.redirects.clone();
        }
        let mut redirects: Vec<String> =
            self.redirects.iter().map(|uri| without_loopback_port(uri)).collect();
        redirects.sort();
        redirects.dedup();
        redirects
    }
}

fn redirects(body: &Map<String, Value>) -> Result<Vec<String>, RegistrationViolation> {
    let uris = strings(body, "redirect_uris", RegistrationViolation::Redirects)?;
    let uris = uris.ok_or(RegistrationViolation::Redirects)?;
    if uris.is_empty() || uris.len() > 32 {
        return Err(RegistrationViolation::Redirects);
    }
    for uri in &uris {
        check_registration(uri)?;
    }
    Ok(uris)
}

fn name(body: &Map<String, Value>) -> Result<String, RegistrationViolation> {
    let name = match body.get("client_name") {
        None | Some(Value::Null) => "",
        Some(Value::String(name)) => name.trim(),
        Some(_) => return Err(RegistrationViolation::ClientName),
    };
    // Controls and direction overrides could make a name read as another's.
    let shown: String = name.chars().filter(|c| !c.is_control() && !is_format(*c)).collect();
    if shown.chars().count() > 128 {
        return Err(RegistrationViolation::ClientName);
    }
    Ok(if shown.is_empty() { "An application without a name".to_owned() } else { shown })
}

fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn web_page(
    body: &Map<String, Value>,
    member: &'static str,
) -> Result<Option<String>, RegistrationViolation> {
    match body.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => {
            let url = url::Url::parse(text).map_err(|_| RegistrationViolation::Uri(member))?;
            let fits = matches!(url.scheme(), "https" | "http") && text.len() <= 2048;
            if fits { Ok(Some(text.clone())) } else { Err(RegistrationViolation::Uri(member)) }
        }
        Some(_) => Err(RegistrationViolation::Uri(member)),
    }
}

fn strings(
    body: &Map<String, Value>,
    member: &str,
    violation: RegistrationViolation,
) -> Result<Option<Vec<String>>, RegistrationViolation> {
    match body.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>().map(Some).ok_or(violation)
        }
        Some(_) => Err(violation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(body: &Value) -> Result<Registration, RegistrationViolation> {
        check(body.as_object().unwrap())
    }

    #[test]
    fn the_smallest_registration_gets_the_defaults() {
        let registration =
            run(&serde_json::json!({"redirect_uris": ["https://a.example/cb"]})).unwrap();
        assert_eq!(registration.auth, AuthMethod::ClientSecretBasic);
        assert!(!registration.refresh);
    }

    #[test]
    fn each_deviation_has_its_answer() {
        use RegistrationViolation as V;
        let good = "https://a.example/cb";
        let cases = [
            (serde_json::json!({}), V::Redirects),
            (serde_json::json!({"redirect_uris": []}), V::Redirects),
            (serde_json::json!({"redirect_uris": [1]}), V::Redirects),
            (serde_json::json!({"redirect_uris": vec![good; 33]}), V::Redirects),
            (
                serde_json::json!({"redirect_uris": [good], "token_endpoint_auth_method": "x"}),
                V::AuthMethod,
            ),
            (
                serde_json::json!({"redirect_uris": [good], "grant_types": ["implicit"]}),
                V::GrantTypes,
            ),
            (
                serde_json::json!({"redirect_uris": [good], "response_types": ["token"]}),
                V::ResponseTypes,
            ),
            (serde_json::json!({"redirect_uris": [good], "client_name": 5}), V::ClientName),
            (
                serde_json::json!({"redirect_uris": [good], "client_uri": "javascript:1"}),
                V::Uri("client_uri"),
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(run(&body).unwrap_err(), expected, "{body}");
        }
    }

    #[test]
    fn identical_registrations_share_an_id_whatever_their_loopback_port() {
        let id = |port: u16, name: &str| {
            run(&serde_json::json!({
                "redirect_uris": [format!("http://localhost:{port}/cb")],
                "client_name": name, "token_endpoint_auth_method": "none", "software_id": port,
            }))
            .unwrap()
            .content_address()
        };
        assert_eq!(id(1, "a"), id(2, "a"));
        assert_ne!(id(1, "a"), id(1, "b"));
        assert!(id(1, "a").bytes().all(|b| b.is_ascii_alphanumeric()));
    }

    #[test]
    fn a_name_cannot_hide_its_letters() {
        let body = serde_json::json!({
            "redirect_uris": ["https://a.example/cb"], "client_name": "Cl\u{202e}au\u{200b}de\u{0}",
        });
        assert_eq!(run(&body).unwrap().name, "Claude");
    }
}
