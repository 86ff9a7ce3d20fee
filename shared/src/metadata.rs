//! The two discovery documents (RFC 8414 section 2 with OpenID Connect Discovery 3, RFC 9728
//! section 2).

use serde::Serialize;

/// Authorization server metadata. Absent members are left out, never `null`.
#[derive(Clone, Debug, Serialize)]
pub struct AuthorizationServerMetadata {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    pub revocation_endpoint: String,
    pub introspection_endpoint: String,
    pub userinfo_endpoint: String,
    pub jwks_uri: String,
    pub response_types_supported: Vec<&'static str>,
    pub response_modes_supported: Vec<&'static str>,
    pub grant_types_supported: Vec<&'static str>,
    pub code_challenge_methods_supported: Vec<&'static str>,
    pub token_endpoint_auth_methods_supported: Vec<&'static str>,
    pub token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    pub revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    /// Without `none`: only a client with a credential may ask about tokens.
    pub introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    pub introspection_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    pub introspection_signing_alg_values_supported: Vec<&'static str>,
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    pub scopes_supported: Vec<String>,
    pub claims_supported: Vec<&'static str>,
    pub subject_types_supported: Vec<&'static str>,
    pub id_token_signing_alg_values_supported: Vec<&'static str>,
    pub prompt_values_supported: Vec<&'static str>,
    /// Said, because OpenID Connect Discovery 3 takes the absence for true.
    pub request_uri_parameter_supported: bool,
    pub authorization_response_iss_parameter_supported: bool,
    pub client_id_metadata_document_supported: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_documentation: Option<String>,
}

/// Protected resource metadata.
#[derive(Clone, Debug, Serialize)]
pub struct ProtectedResourceMetadata {
    pub resource: String,
    pub resource_name: String,
    pub authorization_servers: Vec<String>,
    pub scopes_supported: Vec<String>,
    pub bearer_methods_supported: Vec<&'static str>,
}

/// The well-known path of a document for a URL's path (RFC 8414 section 3.1, RFC 9728
/// section 3.1): the name goes between host and path.
pub fn well_known_path(name: &str, path: &str) -> String {
    format!("/.well-known/{name}{}", path.trim_end_matches('/'))
}
