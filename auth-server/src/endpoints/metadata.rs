//! `GET /.well-known/oauth-authorization-server` and its twins: discovery (RFC 8414, OpenID
//! Connect Discovery 4).

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use keys::CLIENT_ALGORITHMS;
use shared::{
    metadata::{AuthorizationServerMetadata, well_known_path},
    scope::is_wildcard,
};

use crate::{App, Config, config::Registration};

/// Answers the document.
pub(crate) async fn show(State(app): State<App>) -> Response {
    answer(&app)
}

/// The document as it is answered.
pub(crate) fn answer(app: &App) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=300")];
    (headers, app.metadata.clone()).into_response()
}

/// Every path a client may look for the document at: between host and path (RFC 8414 section
/// 3.1), where `OpenID` Connect Discovery would have its own, and at the root.
pub(crate) fn paths(config: &Config) -> Vec<String> {
    let path = config.deployment.issuer.path();
    let mut paths = vec![
        well_known_path("oauth-authorization-server", path),
        "/.well-known/oauth-authorization-server".to_owned(),
        well_known_path("openid-configuration", path),
        format!("{path}/.well-known/openid-configuration"),
    ];
    paths.sort();
    paths.dedup();
    paths
}

/// What the ID token and userinfo tell.
const CLAIMS: [&str; 14] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "amr",
    "auth_time",
    "nonce",
    "at_hash",
    "name",
    "preferred_username",
    "email",
    "email_verified",
    "workspaces",
];

/// The document's bytes.
pub(crate) fn document(config: &Config) -> Bytes {
    // A client asks for what it finds here; a wildcard is asked for by who was told of it.
    let mut scopes: Vec<String> = config
        .deployment
        .resources
        .iter()
        .filter(|resource| resource.oauth)
        .flat_map(|resource| resource.scopes.iter().map(|(name, _)| name.clone()))
        .filter(|name| !is_wildcard(name))
        .collect();
    scopes.extend(["openid", "profile", "email", "offline_access"].map(str::to_owned));
    let mut seen = std::collections::BTreeSet::new();
    scopes.retain(|scope| seen.insert(scope.clone()));
    let methods = vec!["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];
    let algorithms = config.keys.algorithms.iter().map(|one| one.as_str()).collect();
    let endpoints = &config.deployment.endpoints;
    let document = AuthorizationServerMetadata {
        issuer: config.deployment.issuer.as_str().to_owned(),
        authorization_endpoint: endpoints.authorize.as_str().to_owned(),
        token_endpoint: endpoints.token.as_str().to_owned(),
        registration_endpoint: (config.registration != Registration::Closed)
            .then(|| endpoints.register.as_str().to_owned()),
        revocation_endpoint: endpoints.revoke.as_str().to_owned(),
        introspection_endpoint: endpoints.introspect.as_str().to_owned(),
        userinfo_endpoint: endpoints.userinfo.as_str().to_owned(),
        jwks_uri: endpoints.jwks.as_str().to_owned(),
        response_types_supported: vec!["code"],
        response_modes_supported: vec!["query", "form_post"],
        grant_types_supported: vec!["authorization_code", "refresh_token", "client_credentials"],
        code_challenge_methods_supported: vec!["S256"],
        token_endpoint_auth_methods_supported: methods.clone(),
        token_endpoint_auth_signing_alg_values_supported: CLIENT_ALGORITHMS.into(),
        introspection_endpoint_auth_methods_supported: methods
            .iter()
            .copied()
            .filter(|method| *method != "none")
            .collect(),
        introspection_endpoint_auth_signing_alg_values_supported: CLIENT_ALGORITHMS.into(),
        revocation_endpoint_auth_methods_supported: methods,
        revocation_endpoint_auth_signing_alg_values_supported: CLIENT_ALGORITHMS.into(),
        introspection_signing_alg_values_supported: vec![config.keys.usual().as_str()],
        scopes_supported: scopes,
        claims_supported: CLAIMS.into(),
        subject_types_supported: vec!["public"],
        id_token_signing_alg_values_supported: algorithms,
        prompt_values_supported: vec!["none", "login", "consent", "select_account"],
        request_uri_parameter_supported: false,
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: config.outbound.documents,
        service_documentation: None,
    };
    serde_json::to_vec(&document).unwrap_or_default().into()
}
