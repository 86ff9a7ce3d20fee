//! Further issuers of a resource, and what each of them may assert.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use keys::FOREIGN_ALGORITHMS;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use shared::{
    deployment::Resource, ids::WorkspaceId, metadata::well_known_path, problem::Problem,
    scope::Scope,
};
use tokio_rustls::rustls::ClientConfig;
use url::Url;

use super::{OneOrMany, backends::base, tls};
use crate::rules::foreign::{Assertable, Mapping};

/// A `[[gateway.route.issuer]]` table: who else's tokens open the resource.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawIssuer {
    /// Its `iss`, as it is.
    pub issuer: String,
    /// Whether the resource's metadata names it beside ours.
    #[serde(default)]
    pub advertise: bool,
    /// What its keys may sign with. Default: `ES256` and `RS256`.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<String>,
    /// The `aud` that its tokens must have. Default: the resource.
    pub audience: Option<String>,
    /// The authorities whose certificates it may show. Default: the system's.
    pub ca_file: Option<String>,
    /// Where the client is.
    #[serde(default = "client_claim")]
    pub client_claim: String,
    /// A file with its keys, or where they are. Default: what its metadata says.
    pub jwks_file: Option<PathBuf>,
    pub jwks_uri: Option<String>,
    /// Where its scopes are: a text with spaces, or a list.
    #[serde(default = "scope_claim")]
    pub scope_claim: String,
    /// Its scopes by ours, where they have other names.
    #[serde(default)]
    pub scope_map: BTreeMap<String, String>,
    /// The scopes it may give; `"*"`: every one of the resource. Default: none.
    #[serde(default)]
    pub scopes: Option<OneOrMany>,
    /// Where the person is.
    #[serde(default = "subject_claim")]
    pub subject_claim: String,
    /// `at+jwt`, or `JWT` for issuers that do not follow RFC 9068.
    #[serde(default)]
    pub token_type: RawTokenType,
    /// Its names of workspaces by ours, where they have other ones.
    #[serde(default)]
    pub workspace_map: BTreeMap<String, String>,
    /// The workspaces it may give; `"*"`: every one. Default: none.
    #[serde(default)]
    pub workspaces: Option<OneOrMany>,
    /// Where they are: a text or a list. Default: nowhere.
    pub workspaces_claim: Option<String>,
}

/// The `typ` of an issuer's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum RawTokenType {
    #[default]
    #[serde(rename = "at+jwt")]
    AccessToken,
    #[serde(rename = "JWT")]
    Jwt,
}

/// Whose tokens are believed, and how far.
#[derive(Clone, Debug)]
pub(crate) struct TrustedIssuer {
    pub(crate) advertise: bool,
    pub(crate) algorithms: Vec<&'static str>,
    /// The same for two issuers whose servers may show the same certificates.
    authorities: [u8; 32],
    pub(crate) issuer: String,
    pub(crate) keys: KeySource,
    pub(crate) mapping: Mapping,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) token_type: &'static str,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// The places of its metadata.
    Discovered(Vec<Url>),
    File(PathBuf),
    Url(Url),
}

impl TrustedIssuer {
    /// Whether the other one's keys are the same ones, got in the same way.
    pub(crate) fn has_keys_of(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && self.keys == other.keys
            && self.algorithms == other.algorithms
            && self.authorities == other.authorities
    }
}

/// The further issuers of the route at this place, beside ours; what is wrong with them is added
/// to `problems`.
pub(super) fn issuers(
    raw: &[RawIssuer],
    at: usize,
    (own, resource): (&str, &Resource),
    problems: &mut Vec<Problem>,
) -> Vec<Arc<TrustedIssuer>> {
    let mut all: Vec<Arc<TrustedIssuer>> = Vec::new();
    for (number, one) in raw.iter().enumerate() {
        let place = Place { base: format!("gateway.route[{at}].issuer[{number}]"), problems };
        all.extend(place.issuer(one, (own, resource), &all).map(Arc::new));
    }
    all
}

/// Where an issuer is written, and where its problems go.
struct Place<'p> {
    base: String,
    problems: &'p mut Vec<Problem>,
}

impl Place<'_> {
    fn problem(&mut self, key: &str, what: impl Into<String>, remedy: &str) {
        self.problems.push(Problem::new(format!("{}.{key}", self.base), what, remedy));
    }

    fn issuer(
        mut self,
        raw: &RawIssuer,
        (own, resource): (&str, &Resource),
        others: &[Arc<TrustedIssuer>],
    ) -> Option<TrustedIssuer> {
        let before = self.problems.len();
        if raw.issuer == own || others.iter().any(|other| other.issuer == raw.issuer) {
            self.problem("issuer", "is trusted already", "remove it here");
        }
        if raw.issuer.is_empty() || !raw.issuer.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.problem("issuer", "is no issuer", "write what its tokens have as iss");
        }
        if !resource.oauth {
            self.problem("issuer", "is for a resource that keys alone open", "remove it");
        }
        let known = |name: &String| FOREIGN_ALGORITHMS.into_iter().find(|known| known == name);
        let algorithms: Vec<&'static str> = raw.algorithms.iter().filter_map(known).collect();
        if algorithms.is_empty() || algorithms.len() != raw.algorithms.len() {
            let what = format!("lists what is not one of {}", FOREIGN_ALGORITHMS.join(", "));
            self.problem("algorithms", what, "list those it signs with");
        }
        let keys = self.keys(raw);
        let url = match &keys {
            Some(KeySource::Url(url)) => url.as_str(),
            Some(KeySource::Discovered(_)) => raw.issuer.as_str(),
            Some(KeySource::File(_)) | None => "",
        };
        let authorities = raw.ca_file.as_ref().map(|path| std::fs::read(path).unwrap_or_default());
        let authorities = Sha256::digest(authorities.unwrap_or_default()).into();
        let tls = tls::of(url, raw.ca_file.as_deref(), &self.base, self.problems);
        let mapping = self.mapping(raw, resource);
        (self.problems.len() == before).then_some(TrustedIssuer {
            advertise: raw.advertise,
            algorithms,
            authorities,
            issuer: raw.issuer.clone(),
            keys: keys?,
            mapping,
            tls,
            token_type: match raw.token_type {
                RawTokenType::AccessToken => "at+jwt",
                RawTokenType::Jwt => "JWT",
            },
        })
    }

    /// Keys that somebody on the way could replace are worth nothing.
    fn keys(&mut self, raw: &RawIssuer) -> Option<KeySource> {
        match (&raw.jwks_file, &raw.jwks_uri) {
            (Some(_), Some(_)) => {
                self.problem("jwks_file", "is given beside jwks_uri", "remove one of the two");
                None
            }
            (Some(path), None) => match std::fs::read(path) {
                Ok(_) => Some(KeySource::File(path.clone())),
                Err(error) => {
                    let what = format!("cannot be read: {error}");
                    self.problem("jwks_file", what, "name a file with the issuer's JWK Set");
                    None
                }
            },
            (None, Some(text)) => {
                let url = Url::parse(text).ok().filter(tls::is_safe);
                if url.is_none() {
                    self.problem("jwks_uri", "is no https URL", "write one");
                }
                url.map(KeySource::Url)
            }
            (None, None) => {
                let url = base(&raw.issuer, true).filter(tls::is_safe);
                if url.is_none() {
                    let what = "is no https URL, so its keys cannot be found";
                    let remedy = "write its https URL, or name jwks_uri or jwks_file";
                    self.problem("issuer", what, remedy);
                }
                url.map(|url| KeySource::Discovered(metadata_of(&url)))
            }
        }
    }

    /// What an issuer may say, and in which words.
    fn mapping(&mut self, raw: &RawIssuer, resource: &Resource) -> Mapping {
        let all = resource.all_scopes();
        let named: Vec<&str> = raw.scopes.iter().flat_map(OneOrMany::iter).collect();
        let scopes = if named == ["*"] {
            all
        } else {
            if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
                let what = format!("names {unknown}, which is no scope of the resource");
                self.problem("scopes", what, "list names from [[resource.scope]], or write \"*\"");
            }
            Scope::from_tokens(named).unwrap_or_default()
        };
        if let Some(name) = raw.scope_map.values().find(|ours| !scopes.contains(ours)) {
            let what = format!("gives {name}, which scopes does not");
            self.problem("scope_map", what, "write theirs = \"ours\", and ours in scopes too");
        }
        let named: Vec<&str> = raw.workspaces.iter().flat_map(OneOrMany::iter).collect();
        let workspaces = if named == ["*"] {
            Assertable::All
        } else {
            Assertable::Listed(self.workspaces("workspaces", &named))
        };
        let ours: Vec<&str> = raw.workspace_map.values().map(String::as_str).collect();
        let ours = self.workspaces("workspace_map", &ours);
        if let (Assertable::Listed(listed), false) = (&workspaces, ours.is_empty())
            && let Some(other) = ours.iter().find(|one| !listed.contains(one))
        {
            let what = format!("gives {other}, which workspaces does not");
            self.problem("workspace_map", what, "list it in workspaces too");
        }
        let has_some = workspaces != Assertable::Listed(Vec::new());
        if has_some != raw.workspaces_claim.is_some() {
            let what = "is given without the other one of workspaces and workspaces_claim";
            let remedy = "say which workspaces it may give, and in which claim, or neither";
            self.problem(if has_some { "workspaces" } else { "workspaces_claim" }, what, remedy);
        }
        Mapping {
            audience: raw.audience.clone().unwrap_or_else(|| resource.indicator.to_string()),
            client_claim: raw.client_claim.clone(),
            scope_map: raw.scope_map.clone(),
            scope_claim: raw.scope_claim.clone(),
            scopes,
            subject_claim: raw.subject_claim.clone(),
            workspace_map: raw.workspace_map.keys().cloned().zip(ours).collect(),
            workspaces,
            workspaces_claim: raw.workspaces_claim.clone(),
        }
    }

    fn workspaces(&mut self, key: &str, named: &[&str]) -> Vec<WorkspaceId> {
        let parsed: Vec<WorkspaceId> =
            named.iter().filter_map(|text| WorkspaceId::parse(text).ok()).collect();
        if parsed.len() != named.len() {
            let remedy = "write ids of 1 to 64 letters, digits, _ . : and -";
            self.problem(key, "names what is no workspace", remedy);
        }
        parsed
    }
}

/// RFC 8414 section 3.1, and OpenID Connect Discovery section 4.
fn metadata_of(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let places = [
        well_known_path("oauth-authorization-server", path),
        format!("{path}/.well-known/openid-configuration"),
    ];
    places.iter().filter_map(|place| issuer.join(place).ok()).collect()
}

fn algorithms() -> Vec<String> {
    ["ES256", "RS256"].map(str::to_owned).to_vec()
}

fn client_claim() -> String {
    "client_id".to_owned()
}

fn scope_claim() -> String {
    "scope".to_owned()
}

fn subject_claim() -> String {
    "sub".to_owned()
}

#[cfg(test)]
#[path = "issuers_tests.rs"]
mod tests;
