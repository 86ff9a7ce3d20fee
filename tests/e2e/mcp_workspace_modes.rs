//! How a call names its workspace, in the modes of a resource that the demo does not have.

use jsonwebtoken::dangerous::insecure_decode;
use serde_json::{Value, json};
use tests::{
    Account, Backend, Browser, Choice, Client, Mcp, NewKey, Person, Reply, Speaks, Tokens, World,
};

use crate::mcp_cases::{before, signed_in, signed_in_with, tool_error};

const ONE: Choice<'static> = Choice { deny: false, scopes: None, workspaces: Some(&["ws_acme"]) };

fn is_done(reply: &Reply) {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let message = reply.message();
    assert_eq!(message["result"]["content"][0]["text"], "done", "{message}");
}

/// The workspaces that the backend was told the newest call is for, and the arguments it got.
fn newest(backend: &Backend) -> (Value, Value) {
    let call = backend.calls().pop().expect("a call");
    let identity = call.header("authorization").strip_prefix("Bearer ").unwrap();
    let claims: Value = insecure_decode(identity).unwrap().claims;
    (claims["workspaces"].clone(), call.message["params"]["arguments"].clone())
}

#[expect(clippy::needless_pass_by_value, reason = "as editors of a deployment are")]
fn credential(text: String) -> String {
    text.replace("workspace = \"optional_argument\"", "workspace = \"credential\"")
}

#[tokio::test]
async fn where_the_credential_says_it_a_call_acts_in_all_of_its_workspaces() {
    let backend = Backend::start().await;
    let world = before(&backend, credential).await;
    let several = signed_in(&world).await;
    for tool in ["list_contacts", "create_contact"] {
        is_done(&several.call(tool, json!({})).await);
        assert_eq!(newest(&backend), (json!(["ws_acme", "ws_globex"]), json!({})), "{tool}");
        let own = json!({ "workspace_id": "ws_globex" });
        is_done(&several.call(tool, own.clone()).await);
        assert_eq!(newest(&backend), (json!(["ws_globex"]), own), "{tool}");
    }
    let one = signed_in_with(&world, ONE).await;
    is_done(&one.call("create_contact", json!({})).await);
    assert_eq!(newest(&backend).0, json!(["ws_acme"]));
    let sent = backend.calls().len();
    for (mcp, foreign) in [(&several, "ws_initech"), (&one, "ws_globex")] {
        for arguments in
            [json!({ "workspace_id": foreign }), json!({ "filter": { "workspace_id": foreign } })]
        {
            tool_error(&mcp.call("list_contacts", arguments).await, foreign);
        }
    }
    assert_eq!(backend.calls().len(), sent, "nothing foreign went on");
}

#[tokio::test]
async fn where_the_argument_says_it_a_call_without_it_is_told_what_to_say() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| {
        let text = text.replace("workspace = \"optional_argument\"", "workspace = \"argument\"");
        let route = "backends = [\"crm\"]\nworkspace_list_tool = \"list_workspaces\"";
        text.replace("backends = [\"crm\"]", route)
    })
    .await;
    let several = signed_in(&world).await;
    let one = signed_in_with(&world, ONE).await;
    let telling = "; list_workspaces tells which is which";
    for (mcp, known) in [(&several, "is one of ws_acme, ws_globex"), (&one, "is ws_acme")] {
        for tool in ["list_contacts", "create_contact"] {
            for arguments in [json!({}), json!({ "workspace_id": "ws_initech" })] {
                let words = tool_error(&mcp.call(tool, arguments.clone()).await, tool);
                assert!(words.contains(&format!("it {known}{telling}")), "{arguments} {words}");
                assert!(!words.contains("it is one of ws_initech"), "{words}");
            }
            assert!(backend.calls().is_empty(), "{tool} went on");
        }
    }
    let mut sent = 0;
    for (mcp, workspace) in [(&several, "ws_acme"), (&several, "ws_globex"), (&one, "ws_acme")] {
        let arguments = json!({ "workspace_id": workspace });
        is_done(&mcp.call("create_contact", arguments.clone()).await);
        sent += 1;
        assert_eq!(backend.calls().len(), sent);
        assert_eq!(newest(&backend), (json!([workspace]), arguments));
    }
}

#[tokio::test]
async fn ids_that_are_numbers_stay_numbers() {
    let schema = json!({
        "type": "object",
        "properties": { "name": { "type": "string" }, "workspace_id": { "type": "integer" } },
    });
    let tools = json!([
        { "name": "create_contact", "inputSchema": schema },
        { "name": "list_contacts", "inputSchema": schema, "annotations": { "readOnlyHint": true } },
    ]);
    let backend = Backend::offering(Speaks::Both, tools).await;
    let world = before(&backend, |text| {
        let text = text.replace("ws_acme", "7").replace("ws_globex", "8");
        text.replace("ws_initech", "9")
    })
    .await;
    let several = signed_in(&world).await;
    let list = several.legacy("tools/list", json!({})).await.message();
    let shown = &list["result"]["tools"][0]["inputSchema"]["properties"]["workspace_id"];
    assert_eq!((&shown["type"], &shown["enum"]), (&json!("integer"), &json!([7, 8])), "{list}");
    is_done(&several.call("list_contacts", json!({ "workspace_id": 8 })).await);
    assert_eq!(newest(&backend), (json!(["8"]), json!({ "workspace_id": 8 })));
    let sent = backend.calls().len();
    for bad in [json!("8"), json!(9), json!(8.5), json!(-8), json!([8]), json!(null)] {
        let arguments = json!({ "workspace_id": bad });
        let words = tool_error(&several.call("list_contacts", arguments).await, "a bad id");
        assert!(words.contains("expected an integer") && words.contains("7, 8"), "{words}");
    }
    tool_error(&several.call("create_contact", json!({})).await, "several to write to");
    assert_eq!(backend.calls().len(), sent);
    let one = signed_in_with(&world, Choice { workspaces: Some(&["7"]), ..ONE }).await;
    is_done(&one.call("create_contact", json!({ "name": "Ada" })).await);
    let expected = (json!(["7"]), json!({ "name": "Ada", "workspace_id": 7 }));
    assert_eq!(newest(&backend), expected);
}

/// Somebody who is in no workspace: a token and a key.
async fn without_workspaces(world: &World) -> [Mcp; 2] {
    let mut browser = Browser::of(world, Person::second());
    let client = Client::public(world).await;
    let code = client.code_of(&mut browser, client.authorization(), Choice::default()).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    let mut account = Account::of(world, browser).await;
    let wish = NewKey { access: "read_write", workspaces: &[], ..NewKey::default() };
    let key = account.make_key(wish).await;
    [Mcp::new(world, Some(&tokens)), Mcp::with_key(world, &key)]
}

#[tokio::test]
async fn an_exempt_tool_is_open_to_a_credential_of_no_workspace_and_others_are_not() {
    for mode in ["argument", "credential", "implicit", "optional_argument"] {
        let backend = Backend::start().await;
        let mut world = before(&backend, |text| {
            let text = text
                .replace("membership = [{ workspace = \"ws_initech\", role = \"owner\" }]\n", "");
            text.replace(
                "backends = [\"crm\"]",
                "backends = [\"crm\"]\nexempt_tools = [\"list_*\"]",
            )
        })
        .await;
        let change: fn(String) -> String = match mode {
            "argument" => |text| text.replace("\"optional_argument\"", "\"argument\""),
            "credential" => credential,
            "implicit" => |text| text.replace("\"optional_argument\"", "\"implicit\""),
            _ => |text| text,
        };
        world.restart(change).await;
        for mcp in without_workspaces(&world).await {
            let sent = backend.calls().len();
            is_done(&mcp.call("list_contacts", json!({})).await);
            assert_eq!(newest(&backend).0, json!([]), "{mode}: the backend hears of none");
            for (tool, arguments) in [
                ("create_contact", json!({})),
                ("create_contact", json!({ "workspace_id": "ws_acme" })),
                ("list_contacts", json!({ "workspace_id": "ws_acme" })),
                ("list_contacts", json!({ "filter": { "workspace_id": "ws_acme" } })),
            ] {
                let reply = mcp.call(tool, arguments.clone()).await;
                tool_error(&reply, &format!("{mode} {tool} {arguments}"));
            }
            assert_eq!(backend.calls().len(), sent + 1, "{mode}");
        }
    }
}
