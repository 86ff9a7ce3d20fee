//! What is hidden leaves the traces of what does not exist: in the numbers that are exported, and
//! in the line that is kept of a call.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};
use tests::{Choice, Options, World};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::mcp_cases::signed_in_with;

const READER: Choice<'static> =
    Choice { deny: false, scopes: Some(&["contacts:read"]), workspaces: None };

fn hide(text: &str) -> String {
    text.replace("backends = [\"crm\"]", "backends = [\"crm\"]\non_missing_scope = \"hide\"")
}

/// Hidden things, each with something of the same length that does not exist.
fn pairs() -> [(&'static str, Value, Value); 3] {
    let call = |name: &str| json!({ "name": name, "arguments": { "workspace_id": "ws_acme" } });
    let read = |uri: &str| json!({ "uri": uri });
    [
        ("tools/call", call("delete_contact"), call("delete_nothing")),
        ("prompts/get", call("summarise_account"), call("summarise_nothing")),
        ("resources/read", read("crm://deals/d1"), read("crm://noone/d1")),
    ]
}

/// How often what happened, by series; how long it took and how large it was is told in buckets,
/// which are left out.
fn counts(world: &World) -> BTreeMap<String, f64> {
    let mut text = String::new();
    world.gateway.as_ref().unwrap().encode_metrics(&mut text);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let series = lines.filter_map(|line| line.rsplit_once(' '));
    let counted = |name: &str| {
        let name = name.split('{').next().unwrap_or_default();
        let of_calls = ["vestibule_gateway_call", "vestibule_gateway_refusals"];
        of_calls.iter().any(|start| name.starts_with(start)) && !name.ends_with("_bucket")
    };
    let counted = series.filter(|(name, _)| counted(name) && !name.contains("seconds_sum"));
    counted.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

fn growth(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> Vec<(String, String)> {
    let grown = after.iter().map(|(name, value)| {
        (name.clone(), format!("{}", value - before.get(name).copied().unwrap_or_default()))
    });
    grown.filter(|(_, by)| by != "0").collect()
}

#[tokio::test]
async fn the_numbers_do_not_tell_hidden_from_unknown() {
    let edit: fn(String) -> String = |text| hide(&text);
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    let mcp = signed_in_with(&world, READER).await;
    for (method, hidden, unknown) in pairs() {
        let mut grown = Vec::new();
        for params in [&hidden, &unknown] {
            for modern in [false, true] {
                let before = counts(&world);
                let reply = if modern {
                    mcp.modern(method, params.clone()).await
                } else {
                    mcp.legacy(method, params.clone()).await
                };
                assert!(!reply.json()["error"].is_null(), "{method}: {}", reply.text);
                grown.push(growth(&before, &counts(&world)));
            }
        }
        assert!(!grown[0].is_empty(), "{method}: nothing was counted");
        // The ids of requests have two lengths; only what is counted in bytes may know of them.
        let plain = |all: &[(String, String)]| -> Vec<(String, String)> {
            all.iter().filter(|(name, _)| !name.contains("bytes_sum")).cloned().collect()
        };
        assert_eq!(plain(&grown[0]), plain(&grown[2]), "legacy {method}");
        assert_eq!(plain(&grown[1]), plain(&grown[3]), "modern {method}");
    }
    let told = format!("{:?}", counts(&world).keys());
    for name in ["delete_contact", "summarise_account", "deals", "nothing", "noone"] {
        assert!(!told.contains(name), "{name} is a label: {told}");
    }
}

/// Keeps the lines of calls, each as its fields.
#[derive(Debug, Default)]
struct Lines;

static KEPT: Mutex<Vec<BTreeMap<String, String>>> = Mutex::new(Vec::new());

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().contains("audit") || metadata.target() == "vestibule::request"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(fields.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

/// The lines of calls of this world's resource, without what differs from moment to moment.
fn lines(world: &World, method: &str) -> Vec<BTreeMap<String, String>> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let is_own = |line: &BTreeMap<String, String>| {
        line.get("resource").is_some_and(|one| one.contains(&world.resource))
            && line.get("method").is_some_and(|one| one.contains(method))
    };
    let mut own: Vec<_> = kept.into_iter().filter(is_own).collect();
    for line in &mut own {
        line.retain(|name, _| {
            !["micros", "ended", "asked_bytes", "answered_bytes"].contains(&&**name)
        });
    }
    own
}

#[tokio::test]
async fn the_line_of_a_call_does_not_tell_hidden_from_unknown() {
    tracing::subscriber::set_global_default(Lines).unwrap();
    let edit: fn(String) -> String = |text| hide(&text);
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    let mcp = signed_in_with(&world, READER).await;
    for (method, hidden, unknown) in pairs() {
        mcp.legacy(method, hidden.clone()).await;
        mcp.legacy(method, unknown.clone()).await;
        world.until("both lines", async || lines(&world, method).len() == 2).await;
        let told = lines(&world, method);
        assert_eq!(told[0], told[1], "{method}");
        let text = format!("{told:?}");
        for name in ["delete_contact", "summarise_account", "deals", "nothing", "noone"] {
            assert!(!text.contains(name), "{name} is written down: {text}");
        }
    }
    // What may be used is named.
    mcp.call("list_contacts", json!({ "workspace_id": "ws_acme" })).await;
    world.until("its line", async || lines(&world, "tools/call").len() == 3).await;
    assert!(format!("{:?}", lines(&world, "tools/call")[2]).contains("list_contacts"));
}
