//! Whatever a caller writes as arguments, no reader of what is forwarded finds another workspace.

use shared::deployment::WorkspaceMode;
use unicode_normalization::UnicodeNormalization;

use super::*;
use crate::rules::{
    arguments::quick_tests,
    catalogue::Tool,
    policy::Policies,
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
    let tool = tool(&json!({"name": "act", "inputSchema": schema,
        "annotations": {"readOnlyHint": read_only}}));
    offering_tool(tool, both_eras(), mode, prefix)
}

fn offering_tool(tool: Tool, eras: Eras, mode: WorkspaceMode, prefix: &str) -> Surface {
    let mut source = source("crm", eras);
    let mut catalogue = Arc::into_inner(source.catalogue).unwrap();
    catalogue.tools = vec![tool];
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
    #![proptest_config(ProptestConfig::with_cases(1_000))]
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
        let read = read(&body, &HeaderMap::new(), "workspace_id");
        let Ok(Message::Request(call)) = read else { return Ok(()) };
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

    #[test]
    fn a_call_is_decided_alike_whether_its_arguments_are_read_or_not(
        schema in quick_tests::schema(),
        given in prop::option::weighted(0.9, quick_tests::arguments()),
        mode in prop::sample::select(vec![
            WorkspaceMode::Argument, WorkspaceMode::Credential, WorkspaceMode::Implicit,
            WorkspaceMode::OptionalArgument,
        ]),
        prefix in prop::sample::select(vec!["", "crm_"]),
        granted in prop::sample::subsequence(GRANTED.to_vec(), 0..=2),
        (speaks_modern, calls_modern, read_only) in any::<(bool, bool, bool)>(),
        sent in prop::sample::subsequence(SENT.to_vec(), 0..=2),
    ) {
        let mut headers = HeaderMap::new();
        let mut meta = "";
        if calls_modern {
            headers.insert("mcp-protocol-version", HeaderValue::from_static("2026-07-28"));
            headers.insert("mcp-method", HeaderValue::from_static("tools/call"));
            headers.insert("mcp-name", HeaderValue::from_str(&format!("{prefix}act")).unwrap());
            meta = META;
        }
        for (name, value) in sent {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let given = given.map(|given| format!("\"arguments\":{given},")).unwrap_or_default();
        let body = Bytes::from(format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":\
             {{{meta}{given}\"name\":\"{prefix}act\"}}}}"
        ));
        let read = read(&body, &headers, "workspace_id");
        let Ok(Message::Request(call)) = read else { return Ok(()) };
        let eras = if speaks_modern {
            Eras { modern: true, ..Eras::default() }
        } else {
            Eras { legacy: Some(Version::June2025), ..Eras::default() }
        };
        let own = caller("", &granted);
        let decide = |is_quick: bool| {
            let mut tool = tool(&json!({"name": "act", "inputSchema": schema,
                "annotations": {"readOnlyHint": read_only, "idempotentHint": true}}));
            if !is_quick {
                tool.schema.forget_quick();
            }
            let surface = offering_tool(tool, eras, mode, prefix);
            format!("{:?}", permit(&surface, &own, &call, &headers))
        };
        prop_assert_eq!(decide(true), decide(false), "{} {:?}", schema, body);
    }
}

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"#;
const SENT: [(&str, &str); 4] = [
    ("mcp-param-other", "x"),
    ("mcp-param-region", "a"),
    ("mcp-param-region", "7"),
    ("mcp-param-workspace_id", "a"),
];
