//! Lists, pages, orders, filters and searches.

use serde_json::{Value, json};

use crate::harness::{ACME, GLOBEX, World};

#[tokio::test]
async fn pages_add_up_to_the_whole_without_repeats_in_every_order() {
    let world = World::start().await;
    for sort in ["-created_at", "name", "-last_contacted_on", "updated_at"] {
        let mut seen: Vec<Value> = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let mut arguments = json!({ "limit": 40, "sort": sort });
            if !cursor.is_null() {
                arguments["cursor"] = cursor;
            }
            let page = world.call(&[ACME, GLOBEX], "list_contacts", arguments).await;
            seen.extend(page.column("id"));
            cursor = page.value()["next_cursor"].clone();
            if cursor.is_null() {
                assert_eq!(page.value()["total"], json!(seen.len()));
                break;
            }
        }
        let mut distinct: Vec<_> = seen.iter().map(|id| id.as_str().unwrap()).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), seen.len());
    }
}

#[tokio::test]
async fn a_page_is_not_disturbed_by_records_that_come_in_between() {
    let world = World::start().await;
    let first = world.call(&[ACME], "list_tasks", json!({ "limit": 5 })).await;
    world.call(&[ACME], "create_task", json!({ "title": "Newest" })).await.value();
    let cursor = &first.value()["next_cursor"];
    let second = world.call(&[ACME], "list_tasks", json!({ "limit": 5, "cursor": cursor })).await;
    let first = first.column("id");
    assert!(second.column("id").iter().all(|id| !first.contains(id)));
}

#[tokio::test]
async fn lists_are_ordered_and_narrowed_as_asked() {
    let world = World::start().await;
    let newest = world.call(&[ACME], "list_deals", json!({ "limit": 100 })).await;
    let moments = newest.column("created_at");
    assert!(moments.windows(2).all(|pair| pair[0].as_str() >= pair[1].as_str()));
    let by_amount =
        world.call(&[ACME], "list_deals", json!({ "sort": "amount", "limit": 100 })).await;
    let amounts: Vec<_> = by_amount.column("amount").iter().map(Value::as_f64).collect();
    let known: Vec<_> = amounts.iter().flatten().collect();
    assert!(known.windows(2).all(|pair| pair[0] <= pair[1]));
    // Those without an amount come last.
    assert!(amounts.iter().skip(known.len()).all(Option::is_none));

    let won = world.call(&[ACME], "list_deals", json!({ "stage": "won", "limit": 100 })).await;
    assert!(!won.column("id").is_empty());
    assert!(won.column("stage").iter().all(|stage| stage == "won"));
    let company = world
        .call(&[ACME], "list_contacts", json!({ "limit": 100 }))
        .await
        .column("company_id")
        .into_iter()
        .find(|id| !id.is_null())
        .unwrap();
    let people = world.call(&[ACME], "list_contacts", json!({ "company_id": company })).await;
    assert!(!people.column("id").is_empty());
    assert!(people.column("company_id").iter().all(|id| *id == company));
}

#[tokio::test]
async fn a_search_finds_names_in_any_script_whatever_the_case_and_accents() {
    let world = World::start().await;
    for (name, query) in [
        ("渡辺 さくら", "さくら"),
        ("ليلى الهاشمي", "الهاشمي ليلى"),
        ("Олена Шевчук", "ШЕВЧУК"),
        ("Νίκος Παπαδόπουλος", "παπαδοπουλοσ"),
        ("王建国", "建国"),
        ("अनन्या शर्मा", "शर्मा"),
        ("Élodie Lefèvre", "elodie LEFEVRE"),
    ] {
        let made = world.call(&[ACME], "create_contact", json!({ "name": name })).await;
        let found =
            world.call(&[ACME], "search_contacts", json!({ "query": query, "limit": 100 })).await;
        assert!(found.column("id").contains(&made.value()["id"]), "{query}");
        let elsewhere = world.call(&[GLOBEX], "search_contacts", json!({ "query": query })).await;
        assert!(!elsewhere.column("id").contains(&made.value()["id"]));
    }
    let nothing = world.call(&[ACME], "search_contacts", json!({ "query": "さくら zzzz" })).await;
    assert_eq!(nothing.value()["total"], 0);
}

#[tokio::test]
async fn wrong_arguments_are_named_with_what_was_expected_and_what_came() {
    let world = World::start().await;
    for (tool, arguments, text) in [
        (
            "list_contacts",
            json!({ "limit": 0 }),
            "Validation error: limit: expected an integer from 1 to 100, got 0",
        ),
        (
            "list_contacts",
            json!({ "status": "vip", "colour": 1 }),
            "Validation error: colour: expected no argument but cursor, limit, sort, workspace_id, \
             company_id, status, language, got 1; status: expected one of lead, customer, partner, \
             former, got \"vip\"",
        ),
        (
            "list_contacts",
            json!({ "cursor": "WyJuYW1lIiwiQSIsImlkIl0" }),
            "Validation error: cursor: expected the next_cursor of a page in the same order, got \
             \"WyJuYW1lIiwiQSIsImlkIl0\"",
        ),
        ("get_deal", json!({}), "Validation error: id: expected a string, got nothing"),
        (
            "search_notes",
            json!({ "query": "  " }),
            "Validation error: query: expected a string of 1 to 200 characters, got \"  \"",
        ),
    ] {
        let answer = world.call(&[ACME], tool, arguments).await;
        assert_eq!(answer.refusal(), text);
    }
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error() {
    let world = World::start().await;
    let answer = world.rpc(&[ACME], "tools/call", json!({ "name": "list_planets" })).await;
    assert_eq!(answer["error"]["code"], -32602);
    assert_eq!(answer["error"]["message"], "unknown tool: list_planets");
}
