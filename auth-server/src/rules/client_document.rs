//! What a Client ID Metadata Document may say (OAuth Client ID Metadata Document section 4): the
//! metadata of RFC 7591 section 2 without secrets, under the URL that is the client's id.
//!
//! A document lists what its client can do; what this server cannot do is left out of it, and it
//! is refused only if nothing remains. What it links to, such as a logo, is never fetched.

use keys::Algorithm;
use serde_json::{Map, Value};
use shared::ids::ClientId;

use super::{
    client::{ClientAuth, ClientKeys},
    client_keys::client_keys,
    client_metadata::{self, redirects},
    metadata_members::{name, strings},
    outbound_url::{OutboundPolicy, OutboundUrl},
    violation::{RegistrationViolation, UntrustedRedirect},
};

/// A document that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientDocument {
    pub(crate) auth: ClientAuth,
    /// The algorithm of its ID tokens, if it chose one that there are keys of.
    pub(crate) id_token_algorithm: Option<String>,
    pub(crate) name: String,
    pub(crate) redirects: Vec<String>,
    pub(crate) refreshes: bool,
}

/// Whether an id is meant to be the URL of a document.
pub(crate) fn is_document(id: &ClientId) -> bool {
    id.as_str().contains("://")
}

/// The URL of a document client: as any outbound URL, and with a path.
pub(crate) fn document_url(
    id: &ClientId,
    policy: &OutboundPolicy,
) -> Result<OutboundUrl, UntrustedRedirect> {
    let url = OutboundUrl::parse(id.as_str(), policy)
        .map_err(|fault| UntrustedRedirect::DocumentUrl(fault.to_string()))?;
    if url.has_path() {
        Ok(url)
    } else {
        Err(UntrustedRedirect::DocumentUrl("it has no path".to_owned()))
    }
}

/// Checks the body of a document.
pub(crate) fn check(
    url: &OutboundUrl,
    body: &[u8],
    policy: &OutboundPolicy,
    algorithms: &[Algorithm],
) -> Result<ClientDocument, UntrustedRedirect> {
    let invalid = |what: &str| UntrustedRedirect::DocumentInvalid(what.to_owned());
    if !keys::is_strict_object(body) {
        return Err(invalid("it is not a JSON object whose names occur once"));
    }
    let members: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| invalid("it is not a JSON object"))?;
    if members.get("client_id").and_then(Value::as_str) != Some(url.as_str()) {
        return Err(invalid("its client_id is not its own URL"));
    }
    if members.keys().any(|name| name.starts_with("client_secret")) {
        return Err(invalid("it holds a secret, which everybody can read there"));
    }
    let metadata = |violation: RegistrationViolation| invalid(&violation.to_string());
    let grants = choices(&members, "grant_types", "grant_types_supported").map_err(metadata)?;
    if !grants.is_empty() && !grants.iter().any(|grant| grant == "authorization_code") {
        return Err(invalid("grant_types does not hold authorization_code"));
    }
    let responses =
        choices(&members, "response_types", "response_types_supported").map_err(metadata)?;
    if !responses.is_empty() && !responses.iter().any(|response| response == "code") {
        return Err(invalid("response_types does not hold code"));
    }
    let shown = name(&members).map_err(metadata)?;
    Ok(ClientDocument {
        auth: auth(&members, policy)?,
        id_token_algorithm: id_token_algorithm(&members, algorithms),
        name: if members.contains_key("client_name") { shown } else { url.host().to_owned() },
        redirects: redirects(&members, None).map_err(metadata)?,
        refreshes: grants.iter().any(|grant| grant == "refresh_token"),
    })
}

/// How the client proves itself: as it prefers, else the first of its other choices
/// (OpenID Connect Relying Party Metadata Choices section 2) that this server has.
fn auth(
    members: &Map<String, Value>,
    policy: &OutboundPolicy,
) -> Result<ClientAuth, UntrustedRedirect> {
    let invalid = |what: &str| UntrustedRedirect::DocumentInvalid(what.to_owned());
    let metadata = |violation: RegistrationViolation| invalid(&violation.to_string());
    let preferred = match members.get("token_endpoint_auth_method") {
        None | Some(Value::Null) => None,
        Some(Value::String(method)) => Some(method.as_str()),
        Some(_) => return Err(invalid("token_endpoint_auth_method is no text")),
    };
    if preferred.is_some_and(|method| method.starts_with("client_secret")) {
        return Err(invalid("its token_endpoint_auth_method needs a secret"));
    }
    let others = strings(
        members,
        "token_endpoint_auth_methods_supported",
        RegistrationViolation::AuthMethod,
    );
    let others = others.map_err(metadata)?.unwrap_or_default();
    // Checked whatever is chosen: a private key in public is one too many.
    let keys = client_keys(members, policy).map_err(metadata)?;
    let mut methods = preferred.into_iter().chain(others.iter().map(String::as_str)).peekable();
    if methods.peek().is_none() {
        return Ok(ClientAuth::None);
    }
    for method in methods {
        match (method, &keys) {
            ("none", _) => return Ok(ClientAuth::None),
            ("private_key_jwt", Some(keys)) => return Ok(private_key_jwt(keys.clone())),
            ("private_key_jwt", None) if preferred == Some("private_key_jwt") => {
                return Err(invalid("private_key_jwt needs jwks or jwks_uri"));
            }
            _ => {}
        }
    }
    Err(invalid("it can authenticate by neither none nor private_key_jwt"))
}

/// The algorithm of ID tokens: the one that is preferred, else the first of the other choices
/// (OpenID Connect Relying Party Metadata Choices section 2), if there are keys of it.
fn id_token_algorithm(members: &Map<String, Value>, algorithms: &[Algorithm]) -> Option<String> {
    client_metadata::id_token_algorithm(members, algorithms).or_else(|| {
        let others = members.get("id_token_signing_alg_values_supported")?.as_array()?;
        let mut known = others.iter().filter_map(Value::as_str).filter_map(Algorithm::parse);
        known.find(|one| algorithms.contains(one)).map(|one| one.as_str().to_owned())
    })
}

fn private_key_jwt(keys: ClientKeys) -> ClientAuth {
    ClientAuth::PrivateKeyJwt { keys }
}

/// What a member and its list of further choices name together.
fn choices(
    members: &Map<String, Value>,
    member: &str,
    more: &str,
) -> Result<Vec<String>, RegistrationViolation> {
    let mut all = strings(members, member, RegistrationViolation::GrantTypes)?.unwrap_or_default();
    all.extend(strings(members, more, RegistrationViolation::GrantTypes)?.unwrap_or_default());
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const URL: &str = "https://app.example/client.json";
    const OURS: [Algorithm; 2] = [Algorithm::Es256, Algorithm::Rs256];

    fn run(change: &Value) -> Result<ClientDocument, UntrustedRedirect> {
        let mut document = json!({
            "client_id": URL, "client_name": "App", "grant_types": ["authorization_code",
            "refresh_token"], "redirect_uris": ["http://localhost/callback"],
            "response_types": ["code"], "token_endpoint_auth_method": "none",
        });
        for (name, value) in change.as_object().unwrap() {
            document[name] = value.clone();
        }
        let policy = OutboundPolicy::default();
        let url = OutboundUrl::parse(URL, &policy).unwrap();
        check(&url, document.to_string().as_bytes(), &policy, &OURS)
    }

    fn jwks() -> Value {
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})
    }

    #[test]
    fn a_public_document_is_a_public_client() {
        let document = run(&json!({"logo_uri": "https://10.0.0.1/x.png", "x": 1})).unwrap();
        assert_eq!(document.auth, ClientAuth::None);
        assert_eq!(document.name, "App");
        assert_eq!(document.redirects, ["http://localhost/callback"]);
        assert!(document.refreshes);
        assert!(!run(&json!({"grant_types": ["authorization_code"]})).unwrap().refreshes);
    }

    #[test]
    fn methods_are_negotiated_down_to_ours() {
        let auth = |change: Value| run(&change).map(|document| document.auth);
        let remote = "https://app.example/keys";
        let keyed = ClientAuth::PrivateKeyJwt { keys: ClientKeys::Remote(remote.to_owned()) };
        let preferred = json!({
            "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": remote,
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        });
        assert_eq!(auth(preferred), Ok(keyed));
        let other = json!({
            "token_endpoint_auth_method": "tls_client_auth",
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
        });
        assert_eq!(auth(other), Ok(ClientAuth::None));
        let inline = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks()});
        assert!(matches!(
            auth(inline),
            Ok(ClientAuth::PrivateKeyJwt { keys: ClientKeys::Inline(_) })
        ));
        assert_eq!(auth(json!({"token_endpoint_auth_method": null})), Ok(ClientAuth::None));
    }

    #[test]
    fn the_algorithm_of_id_tokens_is_one_that_there_are_keys_of() {
        let preferred = "id_token_signed_response_alg";
        let others = "id_token_signing_alg_values_supported";
        for (change, chosen) in [
            (json!({}), None),
            (json!({ preferred: "RS256" }), Some("RS256")),
            (json!({ preferred: "EdDSA" }), None),
            (json!({ preferred: "none" }), None),
            (json!({ preferred: "HS256" }), None),
            (json!({ preferred: 1 }), None),
            (json!({ preferred: "EdDSA", others: ["PS512", "RS256", "ES256"] }), Some("RS256")),
            (json!({ preferred: "ES256", others: ["RS256"] }), Some("ES256")),
            (json!({ others: ["none", 7, "EdDSA"] }), None),
            (json!({ others: "RS256" }), None),
        ] {
            let document = run(&change).unwrap();
            assert_eq!(document.id_token_algorithm.as_deref(), chosen, "{change}");
        }
    }

    #[test]
    fn each_deviation_is_refused() {
        let mut private = jwks();
        private["keys"][0]["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        for change in [
            json!({"client_id": "https://app.example/other.json"}),
            json!({"client_id": "https://app.example/client.json?"}),
            json!({"client_id": null}),
            json!({"client_secret": "s"}),
            json!({"client_secret_expires_at": 0}),
            json!({"token_endpoint_auth_method": "client_secret_basic"}),
            json!({"token_endpoint_auth_method": "client_secret_jwt"}),
            json!({"token_endpoint_auth_method": "tls_client_auth"}),
            json!({"token_endpoint_auth_method": "private_key_jwt"}),
            json!({"token_endpoint_auth_method": 1}),
            json!({"jwks": private}),
            json!({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}),
            json!({"jwks": jwks(), "jwks_uri": "https://app.example/keys"}),
            json!({"jwks_uri": "https://169.254.169.254/keys"}),
            json!({"grant_types": ["implicit"]}),
            json!({"response_types": ["token"]}),
            json!({"redirect_uris": []}),
            json!({"redirect_uris": ["javascript:alert(1)"]}),
            json!({"redirect_uris": "https://app.example/cb"}),
            json!({"client_name": 1}),
        ] {
            let refused = run(&change);
            assert!(matches!(refused, Err(UntrustedRedirect::DocumentInvalid(_))), "{change}");
        }
    }

    #[test]
    fn only_one_strict_object_is_a_document() {
        let policy = OutboundPolicy::default();
        let url = OutboundUrl::parse(URL, &policy).unwrap();
        let twice = format!(r#"{{"client_id":"x","client_id":"{URL}"}}"#);
        for body in ["", "[]", "null", "{", twice.as_str(), "<html>"] {
            assert!(check(&url, body.as_bytes(), &policy, &OURS).is_err(), "{body}");
        }
    }

    #[test]
    fn a_document_url_has_a_path() {
        let policy = OutboundPolicy::default();
        let parse = |text: &str| document_url(&ClientId::parse(text).unwrap(), &policy);
        assert!(parse(URL).is_ok());
        for text in ["https://app.example/", "https://app.example", "http://app.example/c"] {
            let id = ClientId::parse(text).unwrap();
            assert!(is_document(&id) && parse(text).is_err(), "{text}");
        }
        assert!(!is_document(&ClientId::parse("s123").unwrap()));
    }
}
