//! Whose rows: those of the identity's workspaces, whatever is asked for.

use serde_json::{Value, json};

use crate::harness::{ACME, GLOBEX, World, sign};

const BOTH: [&str; 2] = [ACME, GLOBEX];
const MODULES: [&str; 5] = ["contacts", "companies", "deals", "tasks", "notes"];

#[tokio::test]
async fn lists_show_the_granted_workspaces_and_no_others() {
    let world = World::start().await;
    let mut acme = 0;
    for module in MODULES {
        let tool = format!("list_{module}");
        let one = world.call(&[ACME], &tool, json!({ "limit": 100 })).await;
        assert!(one.column("workspace_id").iter().all(|workspace| workspace == ACME));
        let all = world.call(&BOTH, &tool, json!({})).await;
        assert!(all.value()["total"].as_u64() > one.value()["total"].as_u64());
        let named = world.call(&BOTH, &tool, json!({ "workspace_id": ACME, "limit": 100 })).await;
        assert_eq!(named.value(), one.value());
        acme += one.value()["total"].as_u64().unwrap();
        let none = world.call(&[], &tool, json!({})).await;
        assert_eq!(none.value(), &json!({ "items": [], "next_cursor": null, "total": 0 }));
    }
    assert!(acme >= 300, "{acme} records");
}

#[tokio::test]
async fn a_record_of_another_workspace_is_not_found_in_the_words_of_an_unknown_id() {
    let world = World::start().await;
    let foreign = world.call(&[GLOBEX], "list_contacts", json!({ "limit": 1 })).await;
    let foreign = foreign.column("id")[0].as_str().unwrap().to_owned();
    for (tool, more) in [
        ("get_contact", json!({})),
        ("update_contact", json!({ "name": "Mine now" })),
        ("delete_contact", json!({})),
    ] {
        let mut answers = Vec::new();
        for id in [foreign.as_str(), "con_nowhere"] {
            let mut arguments = more.clone();
            arguments["id"] = json!(id);
            let answer = world.call(&[ACME], tool, arguments).await;
            answers.push(answer.refusal().replace(id, "ID"));
        }
        assert_eq!(answers[0], answers[1]);
        assert!(answers[0].starts_with("There is no contact with the id \"ID\"."), "{answers:?}");
    }
    // Also where both are granted but another was named.
    let arguments = json!({ "id": foreign, "workspace_id": ACME });
    let answer = world.call(&BOTH, "get_contact", arguments).await;
    assert!(answer.refusal().starts_with("There is no contact"));
    let unharmed = world.call(&[GLOBEX], "get_contact", json!({ "id": foreign })).await;
    assert_eq!(unharmed.value()["id"], json!(foreign));
}

#[tokio::test]
async fn a_workspace_that_is_not_granted_is_refused_like_one_that_does_not_exist() {
    let world = World::start().await;
    for workspace in [GLOBEX, "ws_nowhere"] {
        let arguments = json!({ "workspace_id": workspace });
        let answer = world.call(&[ACME], "list_deals", arguments).await;
        assert_eq!(
            answer.refusal(),
            format!(
                "Validation error: workspace_id: expected one of ws_acme (Acme), got \"{workspace}\""
            )
        );
    }
}

#[tokio::test]
async fn the_gateway_itself_lists_tools_and_sees_no_rows() {
    let world = World::start().await;
    // Even if it claimed a workspace.
    for workspaces in [&[][..], &[ACME]] {
        let token = sign(&world.claims("gateway", workspaces), |_| {});
        let (_, list) = world.knock(Some(&token)).await;
        assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 30);
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "list_contacts", "arguments": {} },
        });
        let answer: Value = world.post(Some(&token), &call).await.json().await.unwrap();
        assert_eq!(answer["result"]["structuredContent"]["total"], 0);
    }
}

#[tokio::test]
async fn a_record_is_also_a_resource_and_an_account_a_prompt_for_those_who_may_see_it() {
    let world = World::start().await;
    let company = world.call(&[ACME], "list_companies", json!({ "limit": 1 })).await;
    let id = company.column("id")[0].as_str().unwrap().to_owned();
    let uri = format!("crm://companies/{id}");
    let read = world.rpc(&[ACME], "resources/read", json!({ "uri": uri })).await;
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap()["id"], json!(id));
    let foreign = world.rpc(&[GLOBEX], "resources/read", json!({ "uri": uri })).await;
    assert_eq!(foreign["error"]["message"], "there is no such record");

    let prompt = json!({ "name": "summarise_account", "arguments": { "company_id": id } });
    let own = world.rpc(&[ACME], "prompts/get", prompt.clone()).await;
    assert!(own["result"]["messages"][0]["content"]["text"].as_str().unwrap().contains(&id));
    let foreign = world.rpc(&[GLOBEX], "prompts/get", prompt).await;
    assert_eq!(foreign["error"]["code"], -32602);
}
