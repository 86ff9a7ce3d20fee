//! A message of a backend that may not pass as it came: lists are filtered, results that depend
//! on the caller are kept private, and the other era's words are translated.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use memchr::memmem::{self, Finder};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use shared::{ids::WorkspaceId, scope::Scope};

use crate::rules::{
    eras,
    handle::Handles,
    listing::Choices,
    logging::Level,
    members::Members,
    own, own_rows,
    protocol::{Era, Method},
    rows::Rows,
    task::TaskIds,
    visible::{List, Surface},
};

/// What decides about the messages of one answer.
#[derive(Clone, Debug)]
pub(crate) struct Examination {
    /// Whether its values are workspaces, of which the caller's own may pass.
    pub(crate) completes_workspace: bool,
    /// The backend's era.
    pub(crate) from: Era,
    /// Seals the handles in it.
    pub(crate) handles: Option<Handles>,
    /// Whether only a handle or a task's id is reason to look into a message.
    pub(crate) handles_only: bool,
    /// What remains of the token's life.
    pub(crate) left: Duration,
    /// From which level on the caller wants to hear the log of a backend of the other era.
    pub(crate) log: Option<Level>,
    pub(crate) method: Method,
    /// Which rows of its results may pass.
    pub(crate) rows: Option<Rows>,
    pub(crate) scope: Scope,
    pub(crate) surface: Arc<Surface>,
    /// Seals the ids of tasks in it.
    pub(crate) tasks: Option<TaskIds>,
    /// The caller's era.
    pub(crate) to: Era,
    pub(crate) workspaces: Vec<WorkspaceId>,
    /// Whether the caller was told that what the tool answers stands in an object.
    pub(crate) wraps_output: bool,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Changed(Vec<u8>),
    Unchanged,
    /// The caller's revision has no such message.
    Withheld,
}

/// Examines a message; `None` if it cannot be read.
pub(crate) fn examine(examination: &Examination, message: &[u8]) -> Option<Message> {
    let may_hold = MayHold {
        handles: examination.handles.is_some(),
        life: may_say_its_life(examination.method, examination.to),
        tasks: examination.tasks.is_some(),
    };
    if examination.handles_only && !may_hold.in_message(message) {
        return Some(Message::Unchanged);
    }
    if !may_hold.in_message(message) && has_own_rows_only(examination, message) {
        return Some(Message::Unchanged);
    }
    let mut envelope = Members::read(message)?;
    if drop_strays(&mut envelope) {
        let message = envelope.to_vec();
        return Some(match examine(examination, &message)? {
            Message::Unchanged => Message::Changed(message),
            told => told,
        });
    }
    if envelope.find("method").is_some() {
        let is_request = envelope.find("id").is_some();
        if examination.from != examination.to
            && (is_request || !eras::may_cross(examination.to, &envelope, examination.log))
        {
            return Some(Message::Withheld);
        }
        let params = envelope.find("params");
        let is_foreign = |rows: &Rows| params.is_some_and(|params| !rows.passes(params));
        if examination.rows.as_ref().is_some_and(is_foreign) {
            return Some(Message::Withheld);
        }
        let tasks = examination.tasks.as_ref();
        let sealed = tasks.zip(params).and_then(|(ids, raw)| ids.seal_in(raw));
        let Some(sealed) = sealed else { return Some(Message::Unchanged) };
        envelope.set("params", sealed);
        return Some(Message::Changed(envelope.to_vec()));
    }
    if let Some(error) = envelope.find("error") {
        if examination.rows.as_ref().is_some_and(|rows| !rows.passes(error)) {
            envelope.set("error", json!({ "code": -32603, "message": LEFT_OUT }));
            return Some(Message::Changed(envelope.to_vec()));
        }
        if examination.handles_only
            || examination.from == examination.to
            || examination.to == Era::Legacy
        {
            return Some(Message::Unchanged);
        }
        let error = error.get().to_owned();
        let mut error = Members::read(error.as_bytes())?;
        eras::error_to_modern(&mut error);
        envelope.set("error", &error);
        return Some(Message::Changed(envelope.to_vec()));
    }
    let result = envelope.find("result")?;
    let sealed = examination.tasks.as_ref().and_then(|ids| ids.seal_in(result));
    let is_changed = sealed.is_some();
    let result = sealed.unwrap_or_else(|| result.to_owned());
    let mut result = Members::read(result.get().as_bytes())?;
    let is_kept = may_hold.life && says_its_life(&result);
    if examination.handles_only && !is_changed && !is_kept && result.find("requestState").is_none()
    {
        return Some(Message::Unchanged);
    }
    if let Err(untranslatable) = result_in_words_of(examination, &mut result)? {
        envelope.remove("result");
        envelope.set("error", json!({ "code": -32603, "message": untranslatable.to_string() }));
        return Some(Message::Changed(envelope.to_vec()));
    }
    envelope.set("result", &result);
    Some(Message::Changed(envelope.to_vec()))
}

/// Drops what a message of its kind does not have (JSON-RPC 2.0 sections 4 and 5), for nobody would
/// look into it: a result beside an error, or members that nobody knows.
fn drop_strays(envelope: &mut Members<'_>) -> bool {
    let own = if envelope.find("method").is_some() {
        ["method", "params"].as_slice()
    } else if envelope.find("error").is_some() {
        &["error"]
    } else {
        &["result"]
    };
    let is_own = |name: &str| matches!(name, "id" | "jsonrpc") || own.contains(&name);
    let strays: Vec<String> =
        envelope.names().filter(|name| !is_own(name)).map(str::to_owned).collect();
    for stray in &strays {
        envelope.remove(stray);
    }
    !strays.is_empty()
}

/// Whether rows of other workspaces are all that is looked for, and there surely are none.
fn has_own_rows_only(examination: &Examination, message: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(message) else { return false };
    let is_alone = examination.method == Method::CallTool
        && examination.from == examination.to
        && !(examination.handles.is_some() && text.contains("nextCursor"));
    let rows = examination.rows.as_ref().filter(|_| is_alone);
    rows.is_some_and(|rows| own_rows::all_own(rows, text))
}

/// What the answer to a call may hold that is not the backend's alone to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MayHold {
    pub(crate) handles: bool,
    /// How long it may be kept, and by whom.
    pub(crate) life: bool,
    pub(crate) tasks: bool,
}

impl MayHold {
    /// Whether it is in a message, which is UTF-8, however its name is written.
    pub(crate) fn in_message(self, message: &[u8]) -> bool {
        let holds = |name: &Finder<'_>| name.find(message).is_some();
        self != Self::default()
            && ((self.handles && holds(&STATE))
                || (self.life
                    && LIFE.iter().any(|name| memmem::find(message, name.as_bytes()).is_some()))
                || (self.tasks && holds(&TASK))
                || has_escaped_letter(message))
    }
}

static STATE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("requestState"));
static TASK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("taskId"));
/// What every escape of an ASCII character begins with.
static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u00"));

/// Whether the answer to such a call may say how long it is kept: a resource's may, and what it
/// holds depends on who read it (MCP 2026-07-28, caching).
pub(crate) fn may_say_its_life(method: Method, to: Era) -> bool {
    method == Method::ReadResource && to == Era::Modern
}

const LIFE: [&str; 2] = ["cacheScope", "ttlMs"];

fn says_its_life(result: &Members<'_>) -> bool {
    LIFE.iter().any(|name| result.find(name).is_some())
}

fn has_escaped_letter(message: &[u8]) -> bool {
    let next = |at: usize| message.get(at + ESCAPE.needle().len());
    ESCAPE.find_iter(message).any(|at| next(at).is_some_and(|next| matches!(next, b'4'..=b'7')))
}

/// An event with other data: its `id`, `event` and `retry` lines stay.
pub(crate) fn replace_data(raw: &[u8], data: &[u8]) -> Vec<u8> {
    let mut event = Vec::with_capacity(data.len() + 64);
    // A mark at the start would keep the first line from being read as data.
    let raw = raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(raw);
    for line in raw.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let is_data =
            line.strip_prefix(b"data").is_some_and(|rest| matches!(rest, [] | [b':', ..]));
        if !line.is_empty() && !is_data {
            event.extend_from_slice(line);
            event.push(b'\n');
        }
    }
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(data);
    event.extend_from_slice(b"\n\n");
    event
}

fn result_in_words_of(
    examination: &Examination,
    result: &mut Members<'_>,
) -> Option<Result<(), eras::Untranslatable>> {
    let method = examination.method;
    if let Some(member) = method.list_member() {
        let shown = shown(examination, result.find(member)?)?;
        result.set(member, shown);
    }
    if let Some(rows) = &examination.rows {
        rows.filter(result).ok()?;
    }
    if examination.completes_workspace {
        own_workspaces(&examination.workspaces, result)?;
    }
    if method == Method::Discover {
        result.set("supportedVersions", own::versions());
    }
    if let Some(handles) = &examination.handles {
        for name in ["nextCursor", "requestState"] {
            let Some(raw) = result.find(name).filter(|raw| raw.get() != "null") else { continue };
            let handle: String = serde_json::from_str(raw.get()).ok()?;
            result.set(name, handles.seal(&handle)?);
        }
    }
    match (examination.from, examination.to) {
        (Era::Modern, Era::Legacy) => {
            let wraps = examination.wraps_output;
            return Some(eras::result_to_legacy((method, wraps), result));
        }
        (Era::Legacy, Era::Modern) => eras::result_to_modern(method, result),
        (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern) => {}
    }
    let depends_on_caller = method.list_member().is_some() || method == Method::Discover;
    if examination.to == Era::Modern
        && (depends_on_caller || method == Method::ReadResource && says_its_life(result))
    {
        own::keep_private(result, examination.left);
    }
    Some(Ok(()))
}

const LEFT_OUT: &str = "the backend's error names another workspace, so it is left out";

/// Leaves the caller's own workspaces among the values of a completion.
fn own_workspaces(workspaces: &[WorkspaceId], result: &mut Members<'_>) -> Option<()> {
    let mut completion: Map<String, Value> =
        serde_json::from_str(result.find("completion")?.get()).ok()?;
    let values = completion.get_mut("values")?.as_array_mut()?;
    values.retain(|value| workspaces.iter().any(|own| value.as_str() == Some(own.as_str())));
    completion.remove("hasMore");
    completion.remove("total");
    result.set("completion", completion);
    Some(())
}

/// The entries of a list that the caller may see, with their bytes.
fn shown(examination: &Examination, list: &RawValue) -> Option<Vec<Box<RawValue>>> {
    let (kind, key): (List, fn(&Entry) -> Option<&String>) = match examination.method {
        Method::ListPrompts => (List::Prompts, |entry| entry.name.as_ref()),
        Method::ListResources => (List::Resources, |entry| entry.uri.as_ref()),
        Method::ListTemplates => (List::Templates, |entry| entry.uri_template.as_ref()),
        Method::ListTools => (List::Tools, |entry| entry.name.as_ref()),
        _ => return None,
    };
    let entries: Vec<Box<RawValue>> = serde_json::from_str(list.get()).ok()?;
    let choices = Choices::of(&examination.workspaces);
    let shown = |raw: Box<RawValue>| {
        let entry: Entry = serde_json::from_str(raw.get()).ok()?;
        let (surface, name) = (&examination.surface, key(&entry)?);
        if !surface.shows(kind, name, &examination.scope, &choices) {
            return None;
        }
        let retold = (kind == List::Tools).then(|| surface.retold(name, &raw, &choices)).flatten();
        Some(retold.unwrap_or(raw))
    };
    Some(entries.into_iter().filter_map(shown).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: Option<String>,
    uri: Option<String>,
    uri_template: Option<String>,
}

#[cfg(test)]
#[path = "examine_fuzz.rs"]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::visible::tests::{both_eras, source, terms};

    fn run(method: Method, from: Era, to: Era, message: &Value) -> Value {
        let examination = Examination {
            completes_workspace: method == Method::Complete,
            from,
            handles: None,
            handles_only: false,
            left: Duration::from_secs(2),
            log: None,
            method,
            scope: Scope::parse("contacts:read").unwrap(),
            rows: None,
            tasks: None,
            surface: Arc::new(Surface::build(vec![source("crm", both_eras())], terms(true))),
            to,
            workspaces: vec![WorkspaceId::parse("a").unwrap()],
            wraps_output: false,
        };
        match examine(&examination, message.to_string().as_bytes()) {
            Some(Message::Changed(bytes)) => serde_json::from_slice(&bytes).unwrap(),
            Some(Message::Unchanged) => message.clone(),
            Some(Message::Withheld) => Value::from("withheld"),
            None => Value::Null,
        }
    }

    #[test]
    fn what_a_message_of_its_kind_does_not_have_is_dropped() {
        let hidden = json!({"tools": [{"name": "delete_contact"}]});
        let error = json!({"code": -1, "message": "no"});
        for (message, shown) in [
            (json!({"error": error, "result": hidden}), json!({"error": error})),
            (json!({"result": {"tools": []}, "x": hidden}), json!({"result": {"tools": []}})),
            (json!({"method": "n", "result": hidden}), json!({"method": "n"})),
        ] {
            let told = run(Method::ListTools, Era::Legacy, Era::Legacy, &message);
            assert_eq!(told, shown);
        }
    }

    #[test]
    fn a_relayed_list_is_filtered_and_private() {
        let message = json!({"jsonrpc": "2.0", "id": 1, "result": {
            "tools": [{"name": "delete_contact"}, {"name": "list_contacts", "x": 1}, {"name": "stray"}],
            "ttlMs": 9_000_000, "cacheScope": "public", "resultType": "complete"}});
        let answer = run(Method::ListTools, Era::Modern, Era::Modern, &message);
        assert_eq!(answer["result"]["tools"], json!([{"name": "list_contacts", "x": 1}]));
        assert_eq!(answer["result"]["ttlMs"], 2000);
        assert_eq!(answer["result"]["cacheScope"], "private");
    }

    #[test]
    fn a_completion_of_the_workspace_names_the_callers_own() {
        let answer = |completion: Value| {
            let message = json!({"jsonrpc": "2.0", "id": 1, "result": {"completion": completion}});
            run(Method::Complete, Era::Legacy, Era::Legacy, &message)
        };
        let told = answer(json!({"values": ["a", "b"], "total": 2, "hasMore": false}));
        assert_eq!(told["result"]["completion"], json!({"values": ["a"]}));
        assert_eq!(answer(json!(["a", "b"])), Value::Null);
    }

    #[test]
    fn a_list_that_cannot_be_read_is_not_passed_on() {
        let message = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": "all"}});
        assert_eq!(run(Method::ListTools, Era::Legacy, Era::Legacy, &message), Value::Null);
    }

    #[test]
    fn results_and_errors_cross_the_eras() {
        let result = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": []}});
        let modern = run(Method::CallTool, Era::Legacy, Era::Modern, &result);
        assert_eq!(modern["result"]["resultType"], "complete");
        assert_eq!(run(Method::CallTool, Era::Modern, Era::Legacy, &modern), result);
        let asks = json!({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "input_required"}});
        let refused = run(Method::CallTool, Era::Modern, Era::Legacy, &asks);
        assert_eq!(refused["error"]["code"], -32603);
        let error = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32002, "message": "m"}});
        let modern = run(Method::ReadResource, Era::Legacy, Era::Modern, &error);
        assert_eq!(modern["error"]["code"], -32602);
    }

    #[test]
    fn progress_crosses_the_eras_and_questions_do_not() {
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}});
        assert_eq!(run(Method::CallTool, Era::Legacy, Era::Modern, &progress), progress);
        let question = json!({"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage"});
        assert_eq!(run(Method::CallTool, Era::Legacy, Era::Modern, &question), "withheld");
    }

    #[test]
    fn a_state_is_sealed_and_other_results_are_not_looked_into() {
        let now = shared::time::Timestamp::from_secs(1);
        let ring = keys::KeySet::first(keys::Purpose::PageSeal, now).unwrap().secrets();
        let handles = Handles::new(&ring, &[b"call"], now);
        let examination = Examination {
            completes_workspace: false,
            from: Era::Modern,
            handles: Some(handles.clone()),
            handles_only: true,
            left: Duration::from_secs(2),
            log: None,
            method: Method::CallTool,
            scope: Scope::default(),
            rows: None,
            tasks: None,
            surface: Arc::new(Surface::build(Vec::new(), terms(true))),
            to: Era::Modern,
            workspaces: Vec::new(),
            wraps_output: false,
        };
        let plain = br#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
        assert_eq!(examine(&examination, plain), Some(Message::Unchanged));
        let state = br#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"s"}}"#;
        let Some(Message::Changed(bytes)) = examine(&examination, state) else { panic!() };
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let sealed = value["result"]["requestState"].as_str().unwrap();
        assert_eq!(handles.open(sealed).as_deref(), Some("s"));
    }

    #[test]
    fn an_event_keeps_its_other_lines() {
        let raw = b"id: 7\r\nevent: message\r\ndata: {\"a\":1}\r\ndata: more\r\n\r\n";
        let text = String::from_utf8(replace_data(raw, b"{}")).unwrap();
        assert_eq!(text, "id: 7\nevent: message\ndata: {}\n\n");
    }
}
