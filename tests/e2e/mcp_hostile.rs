//! A backend that misbehaves harms only the call it answers: every trick, in each way of tying
//! requests together, and behind REST.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::json;
use tests::{CRM_AUDIENCE, Hostile, LEGACY, Mcp, Options, Reply, Script, World, headers, request};

use crate::mcp_cases::{signed_in, tool_error};

/// No call may take longer, whatever the backend does and however busy the machine is: it has a
/// second and a half to begin and as long again.
/// What is done to a text.
type Edit = fn(String) -> String;

const LIMIT: Duration = Duration::from_secs(20);

struct Trick {
    about: &'static str,
    /// What a call of an MCP backend is told, one of these.
    mcp: &'static [&'static str],
    /// Those of a REST backend's; none where it is no trick there.
    rest: &'static [&'static str],
    script: Script,
}

fn says(head: &str, body: &str) -> Script {
    let length = body.len();
    Script::Says(format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}"))
}

fn repeats(first: &str, piece: &str, millis: u64) -> Script {
    let pause = Duration::from_millis(millis);
    Script::Repeats { first: first.to_owned(), piece: piece.to_owned(), pause }
}

const JSON: &str = "200 OK\r\ncontent-type: application/json";
const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// What a call is told of a backend that answered wrongly, and of one that did not in time.
const WRONG: [&str; 3] = ["cannot be passed on", "broke the connection", "too large"];
const LATE: [&str; 1] = ["did not answer in time"];
const EITHER: [&str; 4] = [WRONG[0], WRONG[1], WRONG[2], LATE[0]];

fn says_one(text: &str, words: &[&str]) -> bool {
    words.iter().any(|words| text.contains(words))
}

fn tricks() -> Vec<Trick> {
    let trick = |about, mcp, rest, script| Trick { about, mcp, rest, script };
    let chunk = format!("2000\r\n{}\r\n", "[".repeat(0x2000));
    let other = r#"{"jsonrpc":"2.0","id":"other","result":{"content":[]}}"#;
    let packed = format!("{JSON}\r\ncontent-encoding: gzip");
    vec![
        trick("nothing at all", &WRONG, &WRONG, Script::Says(String::new())),
        trick("no HTTP", &WRONG, &WRONG, Script::Says("SSH-2.0-hostile\r\n\r\n".to_owned())),
        trick("broken JSON", &WRONG, &WRONG, says(JSON, "{\"jsonrpc\":")),
        trick("JSON that is no response", &WRONG, &[], says(JSON, "[1]")),
        trick("another id", &WRONG, &[], says(JSON, other)),
        trick("a page", &WRONG, &[], says("200 OK\r\ncontent-type: text/html", "<h1>no</h1>")),
        trick("bytes", &WRONG, &WRONG, says("200 OK\r\ncontent-type: image/png", "png")),
        trick("compressed", &WRONG, &WRONG, says(&packed, "{}")),
        trick(
            "a redirect",
            &WRONG,
            &WRONG,
            says("302 Found\r\nlocation: http://127.0.0.1:1/elsewhere", ""),
        ),
        trick(
            "less than was promised",
            &WRONG,
            &WRONG,
            Script::Says(format!("HTTP/1.1 {JSON}\r\ncontent-length: 100\r\n\r\n{{")),
        ),
        trick(
            "ten gigabytes",
            &WRONG,
            &WRONG,
            repeats(
                &format!("HTTP/1.1 {JSON}\r\ncontent-length: 10737418240\r\n\r\n"),
                &"[".repeat(65536),
                0,
            ),
        ),
        trick(
            "no end",
            &WRONG,
            &WRONG,
            repeats(&format!("HTTP/1.1 {JSON}\r\ntransfer-encoding: chunked\r\n\r\n"), &chunk, 0),
        ),
        trick(
            "byte by byte",
            &LATE,
            &LATE,
            repeats(&format!("HTTP/1.1 {JSON}\r\ncontent-length: 9000\r\n\r\n"), " ", 20),
        ),
        trick(
            "a head without end",
            &WRONG,
            &WRONG,
            repeats("HTTP/1.1 200 OK\r\n", &"x-a: b\r\n".repeat(1000), 0),
        ),
        trick("a head byte by byte", &LATE, &LATE, repeats("HTTP/1.1 200 OK\r\nx-a: ", "b", 20)),
        trick(
            "early hints without end",
            &EITHER,
            &EITHER,
            repeats("", "HTTP/1.1 103 Early Hints\r\n\r\n", 1),
        ),
        trick("silence", &LATE, &LATE, repeats("", "", 50)),
        trick("an event without end", &WRONG, &WRONG, repeats(EVENTS, &"data: a".repeat(999), 0)),
        trick(
            "an event for another id",
            &WRONG,
            &[],
            Script::Says(format!("{EVENTS}data: {other}\n\n")),
        ),
        trick("a stream that ends", &WRONG, &[], Script::Says(format!("{EVENTS}: bye\n\n"))),
    ]
}

fn tight(text: &str, more: &str) -> String {
    let audience = format!("audience = \"{CRM_AUDIENCE}\"");
    let bounds = "timeout_ms = 1500\nmax_answer_bytes = 20000";
    text.replace(&audience, &format!("{audience}\n{bounds}\n{more}"))
}

async fn behind(hostile: &Hostile, edit: fn(String) -> String) -> (World, Mcp) {
    let address = Some(hostile.address);
    let world =
        World::with(Options { backend: address, edit, gateway: true, ..Options::default() }).await;
    let mcp = signed_in(&world).await;
    (world, mcp)
}

async fn call(mcp: &Mcp, tool: &str, sent: &HeaderMap) -> Reply {
    let arguments = json!({ "name": "Ada", "workspace_id": "ws_acme" });
    let params = json!({ "name": tool, "arguments": arguments });
    mcp.send(&request("tools/call", params), sent.clone()).await
}

/// The call that is answered with a trick, and beside and after it one that is not.
async fn plays(trick: &Trick, words: &[&str], (mcp, sent): (&Mcp, &HeaderMap), mode: &str) {
    let about = format!("{} {mode}", trick.about);
    let start = Instant::now();
    let (hit, beside) =
        tokio::join!(call(mcp, "list_contacts", sent), call(mcp, "create_contact", sent));
    assert!(start.elapsed() < LIMIT, "{about}: {:?}", start.elapsed());
    let message = hit.message();
    assert!(message["id"].is_u64() && message["error"].is_null(), "{about}: {message}");
    let text = tool_error(&hit, &about);
    assert!(text.contains("the backend") && says_one(&text, words), "{about}: {text}");
    for header in ["location", "content-encoding", "set-cookie"] {
        assert_eq!(hit.header(header), "", "{about}");
    }
    for good in [beside, call(mcp, "create_contact", sent).await] {
        assert_eq!(good.status, 200, "{about}: {}", good.text);
        let text = good.message()["result"]["content"][0]["text"].to_string();
        assert!(text.contains("done"), "{about}: {text}");
    }
}

#[tokio::test]
async fn a_hostile_mcp_backend_harms_only_the_call_it_answers() {
    let hostile = Hostile::start().await;
    let edits: [(&str, Edit); 2] = [
        ("without sessions", |text| tight(&text, "")),
        ("with pooled sessions", |text| tight(&text, "session = \"pooled\"")),
    ];
    for (mode, edit) in edits {
        let (_world, mcp) = behind(&hostile, edit).await;
        let sent = headers([("mcp-protocol-version", LEGACY)]);
        for trick in tricks() {
            hostile.answer(trick.script.clone());
            plays(&trick, trick.mcp, (&mcp, &sent), mode).await;
        }
    }
}

#[tokio::test]
async fn a_hostile_backend_harms_only_the_call_it_answers_in_a_relayed_session() {
    let hostile = Hostile::start().await;
    let (_world, mcp) = behind(&hostile, |text| {
        tight(&text, "")
            .replace("backends = [\"crm\"]", "backends = [\"crm\"]\nsession = \"relay\"")
    })
    .await;
    let client = json!({ "name": "end to end", "version": "1" });
    let hello = json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client });
    let opened = mcp.send(&request("initialize", hello), headers([])).await.expect_status(200);
    let session = opened.header("mcp-session-id").to_owned();
    let sent = headers([("mcp-protocol-version", LEGACY), ("mcp-session-id", &session)]);
    for trick in tricks() {
        hostile.answer(trick.script.clone());
        plays(&trick, trick.mcp, (&mcp, &sent), "in a relayed session").await;
    }
}

#[tokio::test]
async fn a_hostile_rest_backend_harms_only_the_call_it_answers() {
    let hostile = Hostile::start().await;
    let (_world, mcp) = behind(&hostile, |text| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/rest.yaml");
        tight(&text, &format!("openapi = \"{file}\""))
    })
    .await;
    let sent = headers([("mcp-protocol-version", LEGACY)]);
    for trick in tricks().iter().filter(|trick| !trick.rest.is_empty()) {
        hostile.answer(trick.script.clone());
        let about = format!("{} {}", trick.about, "behind REST");
        let start = Instant::now();
        let params = json!({ "name": "list_contacts", "arguments": { "workspace_id": "ws_acme" } });
        let hit = mcp.send(&request("tools/call", params), sent.clone()).await;
        assert!(start.elapsed() < LIMIT, "{about}: {:?}", start.elapsed());
        let text = tool_error(&hit, &about);
        assert!(says_one(&text, trick.rest), "{about}: {text}");
        assert_eq!(hit.header("location"), "", "{about}");
        let good = call(&mcp, "create_contact", &sent).await;
        assert_eq!(good.status, 200, "{about}: {}", good.text);
        assert!(good.text.contains("done"), "{about}: {}", good.text);
    }
}
