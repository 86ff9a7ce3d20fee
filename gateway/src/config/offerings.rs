//! What the gateway itself offers at a resource, as it is configured: the tool that tells who
//! calls, static resources, toolsets, and the size of pages.

use std::collections::{BTreeMap, HashSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use shared::{deployment::Resource, problem::Problem, scope::Scope};
use url::Url;

use super::{RawRoute, RawSession};
use crate::rules::{
    narrowing::Toolsets,
    offerings::{Content, Offerings, StaticResource},
    openapi::is_tool_name,
    policy::{Need, Pattern},
};

/// The largest static resource.
const MOST_BYTES: u64 = 1024 * 1024;
/// The largest page; a client may be given less than it would take.
const MOST_PAGE: usize = 1000;

/// The `whoami` table of a route: a tool that tells callers who they are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawWhoami {
    /// The tool's name.
    #[serde(default = "whoami")]
    pub name: String,
    /// The scopes needed, all of them. Default: any valid credential will do.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// A `[[gateway.route.static]]` table: a resource that the gateway itself has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawStatic {
    /// Its URI, such as `blocks://schema`.
    pub uri: String,
    pub name: String,
    pub title: Option<String>,
    pub description: Option<String>,
    #[serde(default = "plain_text")]
    pub mime_type: String,
    /// The file it is read from, at the start and at each reload.
    pub file: Option<String>,
    /// Its text, instead of a file.
    pub text: Option<String>,
    /// The scopes needed, all of them. Default: any valid credential will do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// One of these, too.
    #[serde(default)]
    pub any_of: Vec<String>,
}

fn whoami() -> String {
    "whoami".to_owned()
}

/// Whether a text can be a tool's name, of whatever backend.
fn is_word(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

fn plain_text() -> String {
    "text/plain".to_owned()
}

/// What a route says of it, checked; what is wrong is added to `problems`.
#[derive(Clone, Debug, Default)]
pub(super) struct Offered {
    pub(super) offerings: Offerings,
    pub(super) page_size: Option<usize>,
    pub(super) toolsets: Toolsets,
}

/// Checks a route's part.
pub(super) fn offered(
    raw: &RawRoute,
    resource: &Resource,
    at: usize,
    problems: &mut Vec<Problem>,
) -> Offered {
    let place = |key: &str| format!("gateway.route[{at}].{key}");
    let relays = raw.session == RawSession::Relay;
    for (key, is_there) in [
        ("whoami", raw.whoami.is_some()),
        ("static", !raw.fixed.is_empty()),
        ("page_size", raw.page_size.is_some()),
    ] {
        if relays && is_there {
            let what = "is given, and relayed sessions show what the backend itself answers";
            let remedy = "leave it out, or write session = \"stateless\"";
            problems.push(Problem::new(place(key), what, remedy));
        }
    }
    if raw.page_size.is_some_and(|size| !(1..=MOST_PAGE).contains(&size)) {
        let remedy = "write a number from 1 to 1000, or leave it out for one page";
        problems.push(Problem::new(place("page_size"), "is no size of a page", remedy));
    }
    if raw.workspace_list_tool.as_ref().is_some_and(|name| !is_word(name)) {
        let remedy = "write the tool's name as lists show it";
        problems.push(Problem::new(place("workspace_list_tool"), "is no tool's name", remedy));
    }
    let whoami = raw.whoami.as_ref().map(|raw| {
        if !is_tool_name(&raw.name) {
            let remedy = "write at most 64 letters, digits, _ and -";
            problems.push(Problem::new(place("whoami.name"), "is no tool's name", remedy));
        }
        let need = need(&raw.scopes, &[], resource, &place("whoami.scopes"), problems);
        (raw.name.clone(), need)
    });
    let mut uris = HashSet::new();
    let mut resources = Vec::new();
    for (number, raw) in raw.fixed.iter().enumerate() {
        let place = place(&format!("static[{number}]"));
        if !uris.insert(raw.uri.as_str()) {
            let what = format!("{} is another static resource's too", raw.uri);
            problems.push(Problem::new(format!("{place}.uri"), what, "give each its own"));
        }
        let need = need(&raw.scopes, &raw.any_of, resource, &format!("{place}.scopes"), problems);
        match fixed(raw, need, &place) {
            Ok(resource) => resources.push(resource),
            Err(problem) => problems.push(problem),
        }
    }
    Offered {
        offerings: Offerings::new(whoami, resources),
        page_size: raw.page_size,
        toolsets: toolsets(&raw.toolsets, &place("toolsets"), problems),
    }
}

fn need(
    all: &[String],
    any: &[String],
    resource: &Resource,
    place: &str,
    problems: &mut Vec<Problem>,
) -> Need {
    if all.is_empty() && any.is_empty() {
        return Need::Nothing;
    }
    let known = resource.all_scopes();
    let named = Scope::from_tokens(all.iter().chain(any).map(String::as_str));
    if !named.is_ok_and(|named| known.includes(&named)) {
        let what = "name what is no scope of the resource";
        problems.push(Problem::new(place, what, "list names from [[resource.scope]]"));
    }
    Need::Scopes { all: all.to_vec(), any: any.to_vec() }
}

fn fixed(raw: &RawStatic, need: Need, place: &str) -> Result<StaticResource, Problem> {
    let problem =
        |key: &str, what: &str, remedy: &str| Problem::new(format!("{place}.{key}"), what, remedy);
    let is_plain = raw.uri.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || raw.uri.contains(['{', '}', '*']) || Url::parse(&raw.uri).is_err() {
        return Err(problem("uri", "is no URI", "write one such as docs://guide"));
    }
    if !raw.mime_type.contains('/') || !raw.mime_type.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Err(problem("mime_type", "is no media type", "write one such as text/markdown"));
    }
    let content = match (&raw.file, &raw.text) {
        (None, Some(text)) if text.len() as u64 <= MOST_BYTES => Content::Text(text.clone()),
        (None, Some(_)) => return Err(problem("text", "is larger than 1 MiB", "write less")),
        (Some(path), None) => read(path).map_err(|what| {
            problem("file", &what, "name a file of at most 1 MiB that this process may read")
        })?,
        _ => {
            let what = "is given together with text, or neither is given";
            return Err(problem("file", what, "write one of the two"));
        }
    };
    Ok(StaticResource {
        content,
        description: raw.description.clone(),
        mime_type: raw.mime_type.clone(),
        name: raw.name.clone(),
        need,
        title: raw.title.clone(),
        uri: raw.uri.clone(),
    })
}

fn read(path: &str) -> Result<Content, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{path} cannot be read: {error}");
    let found = std::fs::metadata(path).map_err(|error| failed(&error))?;
    if !found.is_file() || found.len() > MOST_BYTES {
        return Err(failed(&"it is too large, or no file"));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
    Ok(String::from_utf8(bytes)
        .map_or_else(|error| Content::Blob(STANDARD.encode(error.as_bytes())), Content::Text))
}

fn toolsets(
    raw: &BTreeMap<String, Vec<String>>,
    place: &str,
    problems: &mut Vec<Problem>,
) -> Toolsets {
    let mut toolsets = Toolsets::new();
    for (name, texts) in raw {
        if !is_tool_name(name) {
            let remedy = "write letters, digits, _ and -";
            problems.push(Problem::new(place, format!("{name} is no toolset's name"), remedy));
        }
        let mut patterns = Vec::new();
        for text in texts {
            match Pattern::parse(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => {
                    let place = format!("{place}.{name}");
                    let remedy = "write a tool's name with at most one *";
                    problems.push(Problem::new(place, format!("{text} {error}"), remedy));
                }
            }
        }
        toolsets.insert(name.clone(), patterns);
    }
    toolsets
}

#[cfg(test)]
#[path = "offerings_tests.rs"]
mod tests;
