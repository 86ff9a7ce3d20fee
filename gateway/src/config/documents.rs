//! A resource's public documents, as they are configured.

use std::collections::BTreeMap;

use serde::Deserialize;
use shared::{
    deployment::{Deployment, Resource},
    issuer::authority_of,
    problem::Problem,
    resource::is_loopback,
};
use url::Url;

use super::{RawMissingScope, RawRoute};
use crate::rules::{
    documents::{Address, Documents, OpenApiVersion},
    origin::normal_host,
    policy::Pattern,
};

/// The `documents` table of a route: what everybody may read of the resource, and what a caller
/// with a credential reads of it. Without the table all three are there, naming no tool, unless
/// tools are hidden (`on_missing_scope = "hide"`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawDocuments {
    /// Links by which people are reached, by their kind.
    pub contact: BTreeMap<String, String>,
    /// What the resource is for. Default: its name.
    pub description: Option<String>,
    /// The URL of a picture.
    pub logo: Option<String>,
    /// Whether `/.well-known/mcp.json` is there, at the root of the host.
    pub manifest: bool,
    /// Where it is instead, such as at the bare name of the company's site.
    pub manifest_url: Option<String>,
    /// Its `manifest_version`.
    pub manifest_version: String,
    /// Whether `/openapi.json` is there, at the root of the host.
    pub openapi: bool,
    /// Where it is instead.
    pub openapi_url: Option<String>,
    /// `3.1`, or `3.0` for programs that read nothing newer.
    pub openapi_version: RawOpenApiVersion,
    /// Links to policies, by their kind.
    pub policies: BTreeMap<String, String>,
    /// The tools that everybody may know of, by their names here or with one `*`.
    pub public_tools: Vec<String>,
    /// Whether the server card is there, at the resource's path with `/server-card` after it.
    pub server_card: bool,
    /// The name in reverse-DNS form. Default: from the resource's host.
    pub server_name: Option<String>,
    /// The version of what the resource offers. Default: that of the gateway.
    pub version: Option<String>,
    /// Where people read about it.
    pub website: Option<String>,
}

/// The version of `OpenAPI` that a description is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum RawOpenApiVersion {
    #[serde(rename = "3.0")]
    V3_0,
    #[default]
    #[serde(rename = "3.1")]
    V3_1,
}

impl Default for RawDocuments {
    fn default() -> Self {
        Self {
            contact: BTreeMap::new(),
            description: None,
            logo: None,
            manifest: true,
            manifest_url: None,
            manifest_version: "0.4".to_owned(),
            openapi: true,
            openapi_url: None,
            openapi_version: RawOpenApiVersion::default(),
            policies: BTreeMap::new(),
            public_tools: Vec::new(),
            server_card: true,
            server_name: None,
            version: None,
            website: None,
        }
    }
}

/// The documents of a route; what is wrong with them is added to `problems`.
pub(super) fn documents(
    raw: &RawRoute,
    (deployment, resource): (&Deployment, &Resource),
    at: usize,
    problems: &mut Vec<Problem>,
) -> Option<Documents> {
    let place = |key: &str| format!("gateway.route[{at}].documents.{key}");
    let raw = match &raw.documents {
        Some(raw) => raw.clone(),
        // What is hidden is not told unless somebody says so.
        None if raw.on_missing_scope == RawMissingScope::Hide => return None,
        None => RawDocuments::default(),
    };
    let mut public_tools = Vec::new();
    for text in &raw.public_tools {
        match Pattern::parse(text) {
            Ok(pattern) => public_tools.push(pattern),
            Err(error) => {
                let remedy = "write a tool's name with at most one *";
                problems.push(Problem::new(
                    place("public_tools"),
                    format!("{text} {error}"),
                    remedy,
                ));
            }
        }
    }
    let links = raw.contact.values().chain(raw.policies.values());
    for link in links.chain(&raw.logo).chain(&raw.website) {
        let is_link =
            Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "mailto"));
        if !is_link {
            let what = format!("{link} is no http, https or mailto URL");
            let place = format!("gateway.route[{at}].documents");
            problems.push(Problem::new(place, what, "write a whole URL"));
        }
    }
    let mut address = |key: &str, url: &Option<String>| {
        let found = address(url.as_ref()?, deployment);
        let told = |what: &str| {
            let remedy = "write a URL such as https://crm.example/openapi.json";
            problems.push(Problem::new(place(key), what, remedy));
        };
        found.map_err(told).ok()
    };
    let manifest_at = address("manifest_url", &raw.manifest_url);
    let openapi_at = address("openapi_url", &raw.openapi_url);
    let server_name = raw.server_name.unwrap_or_else(|| reversed(resource.indicator.as_str()));
    let is_name = server_name.len() <= 200
        && server_name.split_once('/').is_some_and(|(space, name)| {
            let fits = |text: &str, more: &str| {
                let plain = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
                !text.is_empty() && text.chars().all(plain)
            };
            fits(space, ".-") && fits(name, "._-")
        });
    if !is_name {
        let remedy = "write the host in reverse, / and a name, such as com.example/crm";
        problems.push(Problem::new(place("server_name"), "is no server's name", remedy));
    }
    Some(Documents {
        contact: raw.contact,
        description: raw.description.unwrap_or_else(|| resource.name.clone()),
        has_manifest: raw.manifest,
        has_openapi: raw.openapi,
        has_server_card: raw.server_card,
        logo: raw.logo,
        manifest_at,
        manifest_version: raw.manifest_version,
        openapi_at,
        openapi_version: match raw.openapi_version {
            RawOpenApiVersion::V3_0 => OpenApiVersion::V3_0,
            RawOpenApiVersion::V3_1 => OpenApiVersion::V3_1,
        },
        policies: raw.policies,
        public_tools,
        server_name,
        version: raw.version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
        website: raw.website,
    })
}

/// Where a document may be: at no address that something else has.
fn address(text: &str, deployment: &Deployment) -> Result<Address, &'static str> {
    let url = Url::parse(text).map_err(|_| "is no URL")?;
    if url.as_str() != text || url.query().is_some() || url.fragment().is_some() {
        return Err("is not written as URL readers write it, or has a query or a fragment");
    }
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        return Err("is neither https nor loopback http");
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let path = url.path();
    if text.contains('@') || !path.split('/').skip(1).all(|one| one.bytes().all(is_plain)) {
        return Err("has a user name, or a path that is not words of A-Z a-z 0-9 - _ .");
    }
    let is_kept = ["/healthz", "/readyz", "/.well-known/jwks.json"].contains(&path)
        || ["/.well-known/oauth-", "/.well-known/openid-"].iter().any(|one| path.contains(one));
    if is_kept || path == "/" || deployment.endpoints.has(&authority_of(&url), path) {
        return Err("is the address of something else");
    }
    Ok(Address { host: normal_host(&authority_of(&url)), path: path.to_owned() })
}

/// The name that follows from a resource's URL.
fn reversed(url: &str) -> String {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or("localhost");
    let plain: String = host.chars().filter(|c| !matches!(c, '[' | ']')).collect();
    let is_name = plain.parse::<std::net::IpAddr>().is_err();
    let space = if is_name {
        plain.split('.').rev().collect::<Vec<_>>().join(".")
    } else {
        plain.replace(':', "-")
    };
    let path = url.as_ref().map(Url::path).unwrap_or_default();
    let last = path.split('/').rfind(|part| !part.is_empty()).unwrap_or("mcp");
    format!("{space}/{}", last.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
}
