//! What a caller may not see answers as what does not exist: the same status, headers and bytes,
//! for the same price, without a word to the backend.

use std::sync::atomic::{AtomicU16, Ordering};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tests::{
    Backend, CRM_AUDIENCE, Choice, LEGACY, MODERN, Mcp, Options, Reply, RestBackend, World,
    headers, modern_meta,
};

use crate::mcp_cases::{before, signed_in_with};

/// What is done to a text.
type Edit = fn(String) -> String;

const READER: Choice<'static> =
    Choice { deny: false, scopes: Some(&["contacts:read"]), workspaces: None };

/// A request for something that is hidden, and for something that does not exist.
type Pair = (&'static str, Value, Value);

/// What differs from moment to moment.
const OF_THE_MOMENT: [&str; 3] = ["date", "ratelimit-remaining", "ratelimit-reset"];

/// Everything of an answer that a client sees, but for the time, what is left of a budget, and the
/// URI that it asked for.
fn seen(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let told = reply.headers.iter().filter(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str()));
    let told = told.map(|(name, value)| (name.to_string(), format!("{value:?}")));
    let mut told: Vec<_> = told.collect();
    told.sort();
    (reply.status, told, reply.text.replace("crm://noone/", "crm://deals/"))
}

fn target(params: &Value) -> Option<&str> {
    params["name"].as_str().or_else(|| params["uri"].as_str())
}

async fn legacy(mcp: &Mcp, method: &str, params: &Value, session: &str) -> Reply {
    let mut sent = headers([("mcp-protocol-version", LEGACY)]);
    if !session.is_empty() {
        sent.extend(headers([("mcp-session-id", session)]));
    }
    let message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    mcp.send(&message, sent).await
}

async fn modern(mcp: &Mcp, method: &str, params: &Value) -> Reply {
    let mut sent: HeaderMap = headers([("mcp-protocol-version", MODERN), ("mcp-method", method)]);
    if let Some(target) = target(params) {
        sent.extend(headers([("mcp-name", target)]));
    }
    let mut params = params.clone();
    params["_meta"] = modern_meta();
    let message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    mcp.send(&message, sent).await
}

/// Both of a pair, in both eras; they answer alike, and not with success.
async fn are_alike(mcp: &Mcp, session: &str, (method, hidden, unknown): &Pair, about: &str) {
    let about = format!("{about}: {method} {hidden}");
    let one = legacy(mcp, method, hidden, session).await;
    let other = legacy(mcp, method, unknown, session).await;
    assert_eq!(seen(&one), seen(&other), "legacy {about}");
    assert!(!one.json()["error"].is_null(), "legacy {about}: {}", one.text);
    let one = modern(mcp, method, hidden).await;
    let other = modern(mcp, method, unknown).await;
    assert_eq!(seen(&one), seen(&other), "modern {about}");
    assert!(!one.json()["error"].is_null(), "modern {about}: {}", one.text);
}

fn calls(hidden: &str) -> Vec<Pair> {
    let arguments = [
        Value::Null,
        json!({}),
        json!({ "id": "c1", "workspace_id": "ws_acme" }),
        json!({ "workspace_id": "ws_initech" }),
        json!({ "wrong": [1, { "deep": true }] }),
        json!([1]),
    ];
    let call = |name: &str, arguments: &Value| match arguments {
        Value::Null => json!({ "name": name }),
        some => json!({ "name": name, "arguments": some }),
    };
    let pairs = arguments
        .iter()
        .map(|given| ("tools/call", call(hidden, given), call("no_such_tool", given)));
    pairs.collect()
}

fn everything() -> Vec<Pair> {
    let of_prompt = |name: &str| {
        json!({ "ref": { "type": "ref/prompt", "name": name },
            "argument": { "name": "company_id", "value": "c" },
            "context": { "arguments": { "workspace_id": "ws_initech" } } })
    };
    let of_resource = |uri: &str| {
        json!({ "ref": { "type": "ref/resource", "uri": uri },
            "argument": { "name": "id", "value": "c" } })
    };
    let listening = |uri: &str| json!({ "notifications": { "resourceSubscriptions": [uri] } });
    let mut pairs = calls("delete_contact");
    let prompt = |name: &str| json!({ "name": name, "arguments": { "company_id": "c1" } });
    pairs.push(("prompts/get", prompt("summarise_account"), prompt("no_such_prompt")));
    for hidden in ["crm://deals/d1", "crm://deals/%64", "crm://deals/d1?workspace_id=ws_initech"] {
        let unknown = &*hidden.replace("deals", "noone");
        pairs.push(("resources/read", json!({ "uri": hidden }), json!({ "uri": unknown })));
        pairs.push(("resources/subscribe", json!({ "uri": hidden }), json!({ "uri": unknown })));
        pairs.push(("completion/complete", of_resource(hidden), of_resource(unknown)));
        pairs.push(("subscriptions/listen", listening(hidden), listening(unknown)));
    }
    pairs.push((
        "completion/complete",
        of_prompt("summarise_account"),
        of_prompt("no_such_prompt"),
    ));
    pairs
}

fn hide(text: &str, more: &str) -> String {
    let hiding = format!("backends = [\"crm\"]\non_missing_scope = \"hide\"\n{more}");
    text.replace("backends = [\"crm\"]", &hiding)
}

#[tokio::test]
async fn what_is_hidden_answers_as_what_does_not_exist_in_every_mode() {
    let edits: [(&str, Edit); 3] = [
        ("stateless", |text| hide(&text, "")),
        ("pooled", |text| {
            let audience = format!("audience = \"{CRM_AUDIENCE}\"");
            hide(&text, "").replace(&audience, &format!("{audience}\nsession = \"pooled\""))
        }),
        ("relay", |text| hide(&text, "session = \"relay\"")),
    ];
    for (mode, edit) in edits {
        let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
        let mcp = signed_in_with(&world, READER).await;
        let client = json!({ "name": "end to end", "version": "1" });
        let hello = json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client });
        let opened = legacy(&mcp, "initialize", &hello, "").await.expect_status(200);
        let session = opened.header("mcp-session-id").to_owned();
        for pair in everything() {
            are_alike(&mcp, &session, &pair, mode).await;
        }
        // And nothing lists it.
        for (method, hidden) in [
            ("tools/list", "delete_contact"),
            ("prompts/list", "summarise_account"),
            ("resources/list", "crm://deals"),
        ] {
            let listed = legacy(&mcp, method, &json!({}), &session).await;
            assert!(!listed.text.contains(hidden), "{mode} {method}: {}", listed.text);
        }
    }
}

/// Where the REST backend listens; each test has a process of its own.
static REST: AtomicU16 = AtomicU16::new(0);

#[expect(clippy::needless_pass_by_value, reason = "it stands where a closure would")]
fn both(text: String) -> String {
    let audience = format!("audience = \"{CRM_AUDIENCE}\"");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/rest.yaml");
    let port = REST.load(Ordering::SeqCst);
    let rest = format!(
        "\n[[backend]]\nname = \"rest\"\nurl = \"http://127.0.0.1:{port}/v2\"\n\
         openapi = \"{file}\"\n\
         [[backend.operation]]\nmatch = \"contactRemoval\"\nscopes = [\"contacts:delete\"]\n\
         [[backend.operation]]\nmatch = \"*\"\nalways_allowed = true\n"
    );
    hide(&text, "")
        .replace(&audience, &format!("{audience}\nprefix = \"nw_\""))
        .replace("backends = [\"crm\"]", "backends = [\"crm\", \"rest\"]")
        + &rest
}

#[tokio::test]
async fn what_is_hidden_behind_rest_or_under_another_name_is_unknown_too() {
    let (backend, rest) = (Backend::start().await, RestBackend::start().await);
    REST.store(rest.address.port(), Ordering::SeqCst);
    let world = before(&backend, both).await;
    let mcp = signed_in_with(&world, READER).await;
    let met = backend.calls().len();
    for hidden in ["nw_delete_contact", "contactRemoval"] {
        for pair in calls(hidden) {
            are_alike(&mcp, "", &pair, "aggregated").await;
        }
    }
    assert_eq!((backend.calls().len(), rest.received().len()), (met, 0), "no backend is asked");
    let shown = legacy(&mcp, "tools/list", &json!({}), "").await.text;
    assert!(shown.contains("nw_list_contacts") && shown.contains("get_contact"), "{shown}");
    assert!(!shown.contains("nw_delete_contact") && !shown.contains("contactRemoval"), "{shown}");
}

#[tokio::test]
async fn what_is_hidden_costs_as_much_as_what_does_not_exist() {
    let edit: fn(String) -> String =
        |text| hide(&text, "").replace("[gateway]", "[gateway]\ncredential_calls_per_minute = 12");
    let mut passed = Vec::new();
    for name in ["delete_contact", "no_such_tool"] {
        let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
        let mcp = signed_in_with(&world, READER).await;
        let params = json!({ "name": name });
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(seen(&legacy(&mcp, "tools/call", &params, "").await).0);
        }
        passed.push(answers);
    }
    assert_eq!(passed[0], [200, 200, 429, 429]);
    assert_eq!(passed[0], passed[1]);
}
