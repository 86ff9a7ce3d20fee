//! What the gateway answers itself where sessions are nobody's: the handshakes and the lists.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::rules::{
    caller::Caller,
    listing::{Choices, Shown},
    members::Members,
    pages::Pages,
    protocol::{Era, Method, Version},
    rpc::Call,
    task,
    violation::RpcViolation,
    visible::{List, Surface},
};

/// How long a client may keep what does not change often.
const KEEP: Duration = Duration::from_mins(1);
/// The capabilities a resource without sessions can honour.
const CAPABILITIES: [&str; 4] = ["completions", "prompts", "resources", "tools"];

/// The result of a call that the gateway answers, or `None` if a backend must. `left` is what
/// remains of the token's life, `pages` how long lists are cut.
pub(crate) fn answer(
    surface: &Surface,
    caller: &Caller,
    call: &Call,
    (left, pages): (&dyn Fn() -> Duration, Option<&Pages>),
) -> Option<Result<Vec<u8>, RpcViolation>> {
    if surface.relays(call.era) {
        return None;
    }
    match call.method {
        Method::Discover => Some(Ok(discover(surface, left()))),
        Method::Initialize => Some(initialize(surface, call)),
        Method::ListPrompts => Some(list(surface, caller, call, List::Prompts, (left(), pages))),
        Method::ListResources => {
            Some(list(surface, caller, call, List::Resources, (left(), pages)))
        }
        Method::ListTemplates => {
            Some(list(surface, caller, call, List::Templates, (left(), pages)))
        }
        Method::ListTools => Some(list(surface, caller, call, List::Tools, (left(), pages))),
        Method::Ping => Some(Ok(b"{}".to_vec())),
        Method::CallTool
        | Method::CancelTask
        | Method::Complete
        | Method::GetPrompt
        | Method::GetTask
        | Method::ListTasks
        | Method::Listen
        | Method::ReadResource
        | Method::SetLevel
        | Method::Subscribe
        | Method::TaskResult
        | Method::Unsubscribe
        | Method::UpdateTask => None,
    }
}

/// What a result that depends on the caller says about keeping it: for this caller only, and
/// never longer than the token lives.
pub(crate) fn keep_private(result: &mut Members<'_>, left: Duration) {
    let asked = result.find("ttlMs").and_then(|raw| raw.get().parse::<u64>().ok());
    let most = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    result.set("ttlMs", asked.unwrap_or(0).min(most));
    result.set("cacheScope", "private");
}

/// What `server/discover` says of versions when a backend answered it.
pub(crate) fn versions() -> Vec<&'static str> {
    Version::ALL.map(Version::as_str).to_vec()
}

#[derive(Deserialize)]
struct Initialize {
    #[serde(rename = "protocolVersion")]
    version: String,
}

fn initialize(surface: &Surface, call: &Call) -> Result<Vec<u8>, RpcViolation> {
    let params = call.params().unwrap_or_default();
    let Initialize { version } = serde_json::from_slice(params)
        .map_err(|_| RpcViolation::MissingParam("protocolVersion"))?;
    let mut result = Members::default();
    result.set("protocolVersion", Version::negotiate(&version).as_str());
    result.set("capabilities", capabilities(surface));
    result.set("serverInfo", server_info(surface));
    if let Some(text) = instructions(surface) {
        result.set("instructions", text);
    }
    Ok(result.to_vec())
}

fn discover(surface: &Surface, left: Duration) -> Vec<u8> {
    // Everything modern passes to a backend that is alone and modern, its news included.
    let whole = surface.only().filter(|source| source.catalogue.eras.modern);
    let whole = whole.and_then(|source| source.catalogue.capabilities.as_object()).cloned();
    let has_tasks = surface.sources.iter().any(|source| source.has_tasks(Era::Modern));
    let several = || {
        let tasks = has_tasks.then(|| json!({ task::EXTENSION: {} }));
        tasks.map(|tasks| ("extensions".to_owned(), tasks)).into_iter().collect()
    };
    let mut known = whole.unwrap_or_else(several);
    for (name, capability) in capabilities(surface) {
        known.entry(name).or_insert(capability);
    }
    let mut result = Members::default();
    result.set("supportedVersions", versions());
    result.set("capabilities", known);
    if let Some(text) = instructions(surface) {
        result.set("instructions", text);
    }
    modern(&mut result, surface, left);
    result.to_vec()
}

fn list(
    surface: &Surface,
    caller: &Caller,
    call: &Call,
    list: List,
    (left, pages): (Duration, Option<&Pages>),
) -> Result<Vec<u8>, RpcViolation> {
    let choices = Choices::of(&caller.workspaces).told_in(call.era);
    let mut shown = surface.list(list, &caller.scope, &choices);
    let mut more = Members::default();
    match (pages, call.handle.as_deref()) {
        (Some(pages), cursor) => {
            let page = pages.page(cursor, surface.version(), shown.len())?;
            shown.truncate(page.to);
            shown.drain(..page.from);
            if let Some(next) = page.next {
                more.set("nextCursor", next);
            }
        }
        // There is one page, so no cursor was ever given out.
        (None, Some(_)) => return Err(RpcViolation::Cursor),
        (None, None) => {}
    }
    if call.era == Era::Modern {
        modern(&mut more, surface, left);
    }
    Ok(written(call.method.list_member().unwrap_or_default(), &shown, &more.to_vec()))
}

/// A result with a list and `more` members. Lists are long, so they are written once.
fn written(member: &str, shown: &[Shown<'_>], more: &[u8]) -> Vec<u8> {
    let length: usize = shown.iter().flat_map(Shown::pieces).map(|piece| piece.len() + 1).sum();
    let mut result = Vec::with_capacity(length + member.len() + more.len() + 8);
    result.extend_from_slice(b"{\"");
    result.extend_from_slice(member.as_bytes());
    result.extend_from_slice(b"\":[");
    for (at, entry) in shown.iter().enumerate() {
        if at > 0 {
            result.push(b',');
        }
        entry.pieces().into_iter().for_each(|piece| result.extend_from_slice(piece.as_bytes()));
    }
    result.push(b']');
    // The other members without the brace that opens them.
    let rest = more.get(1..).unwrap_or_default();
    if rest.len() > 1 {
        result.push(b',');
    }
    result.extend_from_slice(rest);
    result
}

fn modern(result: &mut Members<'_>, surface: &Surface, left: Duration) {
    result.set("resultType", "complete");
    result.set("ttlMs", u64::try_from(KEEP.as_millis()).unwrap_or_default());
    keep_private(result, left);
    result.set("_meta", json!({ "io.modelcontextprotocol/serverInfo": server_info(surface) }));
}

/// What the backends can do, as far as it works without sessions.
fn capabilities(surface: &Surface) -> Map<String, Value> {
    let declared =
        |name: &str| surface.sources.iter().any(|s| s.catalogue.capabilities.get(name).is_some());
    CAPABILITIES
        .into_iter()
        .filter(|name| declared(name))
        .map(|name| (name.to_owned(), json!({})))
        .collect()
}

fn server_info(surface: &Surface) -> Value {
    let own = || json!({ "name": "vestibule", "version": env!("CARGO_PKG_VERSION") });
    let raw = surface.only().and_then(|source| source.catalogue.server_info.as_deref());
    raw.map(RawValue::get).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(own)
}

fn instructions(surface: &Surface) -> Option<String> {
    let texts: Vec<&str> = surface
        .sources
        .iter()
        .filter_map(|source| source.catalogue.instructions.as_deref())
        .collect();
    if texts.is_empty() { None } else { Some(texts.join("\n\n")) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::rules::{
        caller,
        rpc::{Message, read},
        visible::tests::{both_eras, source, terms},
    };

    fn ask(method: &str, params: &Value) -> Result<Value, RpcViolation> {
        let surface = Surface::build(vec![source("crm", both_eras())], terms(true));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut headers = HeaderMap::new();
        if params.get("_meta").is_some() {
            headers.insert("mcp-protocol-version", "2026-07-28".parse().unwrap());
            headers.insert("mcp-method", method.parse().unwrap());
        }
        let Ok(Message::Request(call)) =
            read(&Bytes::from(body.to_string()), &headers, "workspace_id")
        else {
            panic!("{body}")
        };
        let caller = caller::tests::caller("contacts:read", &["a"]);
        let result =
            answer(&surface, &caller, &call, (&|| Duration::from_secs(9), None)).unwrap()?;
        Ok(serde_json::from_slice(&result).unwrap())
    }

    fn meta() -> Value {
        json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}}})
    }

    #[test]
    fn initialize_negotiates_and_says_what_there_is() {
        let result = ask("initialize", &json!({"protocolVersion": "2026-07-28"})).unwrap();
        assert_eq!(result["protocolVersion"], "2025-11-25");
        assert_eq!(result["capabilities"], json!({"tools": {}}));
        assert_eq!(result["serverInfo"]["name"], "vestibule");
        assert!(ask("initialize", &json!({})).is_err());
    }

    #[test]
    fn discover_names_every_version_and_is_kept_no_longer_than_the_token() {
        let result = ask("server/discover", &meta()).unwrap();
        assert_eq!(result["supportedVersions"][0], "2026-07-28");
        assert_eq!(result["ttlMs"], 9000);
        assert_eq!(result["cacheScope"], "private");
        assert_eq!(result["resultType"], "complete");
    }

    #[test]
    fn a_list_shows_what_the_caller_may_see() {
        let legacy = ask("tools/list", &json!({})).unwrap();
        assert_eq!(legacy["tools"].as_array().unwrap().len(), 2);
        assert!(legacy.get("resultType").is_none());
        let modern = ask("tools/list", &meta()).unwrap();
        assert_eq!(modern["tools"], legacy["tools"]);
        assert_eq!(modern["cacheScope"], "private");
        assert_eq!(ask("tools/list", &json!({"cursor": "x"})), Err(RpcViolation::Cursor));
    }
}
