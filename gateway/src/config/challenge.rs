//! How a resource refuses credentials, as it is configured.

use serde::Deserialize;
use serde_json::json;
use shared::{
    challenge::is_quotable, deployment::Resource, metadata::well_known_path, problem::Problem,
    scope::Scope,
};

use crate::error::Terms;

/// The `challenge` table of a route: what 401 and 403 say.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawChallenge {
    /// What every 401 says, whatever its cause, which is then told to nobody: a JSON-RPC error
    /// without an id. Default: the cause, as JSON.
    pub body: Option<RawErrorBody>,
    /// Which address of the resource's metadata is named.
    pub metadata: RawMetadataAddress,
    /// The name of the protected space. Default: none.
    pub realm: Option<String>,
    /// Whether 401 says which scope to ask for; 403 always does.
    pub scope: bool,
}

/// A JSON-RPC error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawErrorBody {
    pub code: i64,
    pub message: String,
}

/// Where a resource's metadata is found (RFC 9728 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawMetadataAddress {
    /// At the address with the resource's path.
    #[default]
    Path,
    /// At the root of its host.
    Root,
}

impl Default for RawChallenge {
    fn default() -> Self {
        Self { body: None, metadata: RawMetadataAddress::default(), realm: None, scope: true }
    }
}

impl RawChallenge {
    /// The terms for a resource at an origin, whose metadata has the given address.
    pub(super) fn terms(&self, resource: &Resource, origin: &str, metadata: &str) -> Terms {
        let metadata = match self.metadata {
            RawMetadataAddress::Path => metadata.to_owned(),
            RawMetadataAddress::Root => {
                format!("{origin}{}", well_known_path("oauth-protected-resource", "/"))
            }
        };
        let body = self.body.as_ref().map(|RawErrorBody { code, message }| {
            let message = json!(message);
            format!("{{\"jsonrpc\":\"2.0\",\"error\":{{\"code\":{code},\"message\":{message}}}}}")
        });
        Terms {
            body: body.map(Into::into),
            metadata: resource.oauth.then_some(metadata),
            realm: self.realm.clone(),
            scope: if self.scope { resource.default_scopes.clone() } else { Scope::default() },
        }
    }

    /// Refuses what no challenge can say.
    pub(super) fn check(&self, is_root: bool, place: &str, problems: &mut Vec<Problem>) {
        let fits = |realm: &String| {
            (1..=MOST_REALM).contains(&realm.len()) && realm.chars().all(is_quotable)
        };
        if !self.realm.as_ref().is_none_or(fits) {
            let what = "is empty, long, or has characters that a quoted value cannot have";
            let remedy = "write a short name in ASCII without quotes and backslashes";
            problems.push(Problem::new(format!("{place}.realm"), what, remedy));
        }
        if self.metadata == RawMetadataAddress::Root && !is_root {
            let what = "names the root of the host, where another resource's metadata is";
            let remedy = "leave it out, or make this resource the default one";
            problems.push(Problem::new(format!("{place}.metadata"), what, remedy));
        }
    }
}

/// The longest realm.
const MOST_REALM: usize = 100;
