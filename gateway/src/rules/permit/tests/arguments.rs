//! Whatever a caller writes as arguments, no reader of what is forwarded finds another workspace.

use shared::deployment::WorkspaceMode;
use unicode_normalization::UnicodeNormalization;

use super::*;
use crate::rules::{
    policy::Policies,
    scan::{self, scan},
    visible::tests::{policy, tool},
};

const GRANTED: [&str; 2] = ["a", "7"];
/// Names as they are written in JSON: the argument, what some readers take for it, and others.
const NAMES: [&str; 9] = [
    "workspace_id",
    "WORKSPACE_ID",
    "workspace\\u005fid",
    "\\uff57orkspace_id",
    "workspace_\\u00adid",
    "Workspace_Id",
    "body_workspace_id",
    "workspaceId",
    "q",
];
const LEAVES: [&str; 16] = [
    "\"a\"",
    "\"c\"",
    "\"\\u0063\"",
    "\"A\"",
    "\"7\"",
    "\"07\"",
    "7",
    "7.0",
    "7e0",
    "8",
    "-7",
    "9007199254740993",
    "null",
    "true",
    "[]",
    "\"\u{ff41}\"",
];

fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(LEAVES.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|items| format!("[{}]", items.join(","))),
            object(inner),
        ]
    })
}

fn object(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (prop::sample::select(NAMES.to_vec()), inner);
    prop::collection::vec(member, 0..4).prop_map(|members| {
        let members = members.iter().map(|(name, value)| format!("\"{name}\":{value}"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    })
}

fn schema() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({"type": "object"}),
        json!({"properties": {"workspace_id": {"type": "string"}, "q": {}}}),
        json!({"properties": {"workspace_id": {"type": "integer"}, "q": {}}}),
        json!({"properties": {"workspace_id": {"type": "string"}}, "required": ["workspace_id"]}),
        json!({"properties": {"q": {"type": "object"}}, "additionalProperties": false}),
    ])
}

fn offering(schema: &Value, mode: WorkspaceMode, prefix: &str, read_only: bool) -> Surface {
    let mut source = source("crm", both_eras());
    let mut catalogue = Arc::into_inner(source.catalogue).unwrap();
    catalogue.tools = vec![tool(&json!({"name": "act", "inputSchema": schema,
        "annotations": {"readOnlyHint": read_only}}))];
    source.catalogue = catalogue.into();
    source.policies = Policies { tools: policy(&[("act", &[])]), ..Policies::default() }.into();
    source.naming = Naming { prefix: prefix.to_owned(), ..Naming::default() }.into();
    let mut terms = terms(false);
    terms.mode = mode;
    Surface::build(vec![source], terms)
}

/// Every value that some reader may take for the workspace: names compared as most loosely.
fn workspaces(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| workspaces(item, found)),
        Value::Object(members) => {
            for (name, member) in members {
                let folded: String = name.nfkc().filter(|c| *c != '\u{ad}').collect();
                if folded.to_lowercase() == "workspace_id" {
                    found.push(member.clone());
                }
                workspaces(member, found);
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn no_arguments_reach_another_workspace_for_any_reader(
        schema in schema(),
        arguments in object(value()),
        mode in prop::sample::select(vec![
            WorkspaceMode::Argument, WorkspaceMode::Credential, WorkspaceMode::Implicit,
            WorkspaceMode::OptionalArgument,
        ]),
        prefix in prop::sample::select(vec!["", "crm_"]),
        granted in prop::sample::subsequence(GRANTED.to_vec(), 0..=2),
        read_only: bool,
    ) {
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":\
             {{\"name\":\"{prefix}act\",\"arguments\":{arguments}}}}}"
        );
        let body = Bytes::from(body);
        let limits = scan::Limits { arguments: &["workspace_id"], depth: scan::DEPTH };
        if scan(&body, limits).is_err() {
            return Ok(());
        }
        let Ok(Message::Request(call)) = read(&body, &HeaderMap::new()) else { return Ok(()) };
        let surface = offering(&schema, mode, prefix, read_only);
        let own = caller("", &granted);
        let Ok(permit) = permit(&surface, &own, &call, &HeaderMap::new()) else { return Ok(()) };
        let allowed = permit.workspace.map_or_else(|| own.workspaces.clone(), |one| vec![one]);
        prop_assert!(allowed.iter().all(|one| own.workspaces.contains(one)));
        // The text has no name twice, so one reading is every reading.
        let sent: Value = serde_json::from_slice(&permit.body).unwrap();
        let mut found = Vec::new();
        workspaces(&sent["params"]["arguments"], &mut found);
        for value in found {
            prop_assert!(workspace::names(&value, &allowed), "{} of {:?}", value, allowed);
        }
    }
}
