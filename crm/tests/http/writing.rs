//! Creating, changing and deleting records.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ACME, GLOBEX, World};

#[tokio::test]
async fn a_record_is_created_read_changed_and_deleted() {
    let world = World::start().await;
    let arguments = json!({
        "name": "Ζωή Μακρή", "email": "zoe@example.com", "tags": ["pilot", "pilot"],
        "phone": "+44 20 7946 0123", "last_contacted_on": "2026-11-02",
    });
    let made = world.call(&[ACME], "create_contact", arguments).await.value().clone();
    let id = &made["id"];
    assert!(id.as_str().unwrap().starts_with("con_"));
    assert_eq!(made["workspace_id"], ACME);
    assert_eq!(made["status"], "lead");
    assert_eq!(made["tags"], json!(["pilot"]));
    assert_eq!(made["created_at"], "2026-11-18T11:06:40Z");
    assert_eq!(world.call(&[ACME], "get_contact", json!({ "id": id })).await.value(), &made);

    world.clock.advance(Duration::from_secs(20));
    let change = json!({ "id": id, "status": "customer", "clear_fields": ["phone", "tags"] });
    let changed = world.call(&[ACME], "update_contact", change.clone()).await.value().clone();
    assert_eq!(changed["status"], "customer");
    assert_eq!(changed["email"], "zoe@example.com");
    assert_eq!((changed.get("phone"), changed.get("tags")), (None, None));
    assert_eq!(changed["created_at"], made["created_at"]);
    assert_eq!(changed["updated_at"], "2026-11-18T11:07:00Z");
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.call(&[ACME], "update_contact", change).await.value(), &changed);

    let deleted = world.call(&[ACME], "delete_contact", json!({ "id": id })).await;
    assert_eq!(deleted.value(), &json!({ "deleted": true, "id": id, "workspace_id": ACME }));
    let gone = world.call(&[ACME], "get_contact", json!({ "id": id })).await;
    assert!(gone.refusal().starts_with("There is no contact"));
}

#[tokio::test]
async fn a_write_that_could_go_to_several_workspaces_asks_which() {
    let world = World::start().await;
    let both = [ACME, GLOBEX];
    let task = json!({ "title": "Where to?" });
    let asked = world.call(&both, "create_task", task).await;
    assert_eq!(
        asked.refusal(),
        "Validation error: workspace_id: expected one of ws_acme (Acme), ws_globex (Globex), got \
         nothing"
    );
    let task = json!({ "title": "Here", "workspace_id": GLOBEX });
    let made = world.call(&both, "create_task", task).await;
    assert_eq!(made.value()["workspace_id"], GLOBEX);
    let id = &made.value()["id"];
    for tool in ["update_task", "delete_task"] {
        let answer = world.call(&both, tool, json!({ "id": id })).await;
        assert!(answer.refusal().contains("ws_acme (Acme), ws_globex (Globex)"));
    }
    let nobody = world.call(&[], "create_task", json!({ "title": "Nowhere" })).await;
    assert!(nobody.refusal().starts_with("No workspace is open"));
}

#[tokio::test]
async fn references_lead_to_records_of_the_same_workspace_only() {
    let world = World::start().await;
    let foreign = world.call(&[GLOBEX], "list_companies", json!({ "limit": 1 })).await;
    for id in [foreign.column("id")[0].clone(), json!("cmp_nowhere")] {
        let deal = json!({ "title": "Far away", "company_id": id, "workspace_id": ACME });
        let answer = world.call(&[ACME, GLOBEX], "create_deal", deal).await;
        assert_eq!(
            answer.refusal(),
            format!(
                "Validation error: company_id: expected the id of a company in the same \
                 workspace, got {id}"
            )
        );
    }
}

#[tokio::test]
async fn a_record_that_others_refer_to_is_not_deleted() {
    let world = World::start().await;
    let company = world.call(&[ACME], "create_company", json!({ "name": "Linked" })).await;
    let id = &company.value()["id"];
    let contact = json!({ "name": "Linked too", "company_id": id });
    let contact = world.call(&[ACME], "create_contact", contact).await.value()["id"].clone();
    let refused = world.call(&[ACME], "delete_company", json!({ "id": id })).await;
    assert!(refused.refusal().contains("1 contact refer to it"), "{}", refused.refusal());
    let clear = json!({ "id": contact, "clear_fields": ["company_id"] });
    world.call(&[ACME], "update_contact", clear).await.value();
    world.call(&[ACME], "delete_company", json!({ "id": id })).await.value();
}

#[tokio::test]
async fn every_wrong_field_of_a_write_is_named_at_once() {
    let world = World::start().await;
    let deal = json!({
        "stage": "maybe", "probability": 101, "amount": "much", "expected_close_on": "soon",
    });
    let answer = world.call(&[ACME], "create_deal", deal).await;
    assert_eq!(
        answer.refusal(),
        "Validation error: stage: expected one of qualification, proposal, negotiation, won, lost, \
         got \"maybe\"; amount: expected an amount from 0 with at most two decimals, got \"much\"; \
         probability: expected an integer from 0 to 100, got 101; expected_close_on: expected a \
         date such as 2026-03-31, got \"soon\"; title: expected a string of 1 to 200 characters, \
         got nothing"
    );
    let clear = json!({ "id": "dea_x", "clear_fields": ["title"] });
    let answer = world.call(&[ACME], "update_deal", clear).await;
    assert!(answer.refusal().starts_with("Validation error: clear_fields: expected a list"));
}

#[tokio::test]
async fn writes_at_the_same_time_all_last() {
    let world = World::start().await;
    let make = |number: usize| {
        let world = &world;
        async move {
            let note = json!({ "title": format!("Parallel {number}") });
            world.call(&[ACME], "create_note", note).await.value()["id"].clone()
        }
    };
    let (one, two, three) = tokio::join!(make(1), make(2), make(3));
    let found: Vec<Value> =
        world.call(&[ACME], "search_notes", json!({ "query": "parallel" })).await.column("id");
    assert!([one, two, three].iter().all(|id| found.contains(id)));
}
