//! Scopes that stand for others: wildcards, one of several, and those that others bring.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{
    Account, Backend, Browser, Choice, Client, Mcp, NewKey, Options, Reply, Tokens, World,
};

use crate::mcp_cases::{before, challenge, tool_error};

const CONTACTS: [&str; 6] = [
    "create_contact",
    "delete_contact",
    "get_contact",
    "list_contacts",
    "search_contacts",
    "update_contact",
];

/// The demo with `*` and `contacts:*` beside its scopes.
#[expect(clippy::needless_pass_by_value, reason = "as editors of a deployment are")]
fn with_wildcards(text: String) -> String {
    let first = "    { name = \"contacts:read\"";
    let wildcards = "    { name = \"*\", description = \"Do everything\" },\n    \
                     { name = \"contacts:*\", description = \"Do all with contacts\" },\n";
    text.replacen(first, &format!("{wildcards}{first}"), 1)
}

fn hidden(text: String) -> String {
    with_wildcards(text)
        .replace("backends = [\"crm\"]", "backends = [\"crm\"]\non_missing_scope = \"hide\"")
}

async fn demo(edit: fn(String) -> String) -> World {
    World::with(Options { edit, gateway: true, ..Options::default() }).await
}

/// The demo person's tokens with these scopes, asked for by name.
async fn asked(world: &World, scope: &str) -> Tokens {
    let client = Client::public(world).await;
    let request = client.authorization().with("scope", scope);
    let code = client.code_of(&mut Browser::new(world), request, Choice::default()).await;
    Tokens::of(&client.exchange(&code).send().await)
}

async fn tools(mcp: &Mcp) -> BTreeSet<String> {
    let list = mcp.legacy("tools/list", json!({})).await.message()["result"]["tools"].clone();
    let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
    list.as_array().unwrap_or_else(|| panic!("{list}")).iter().map(name).collect()
}

fn done(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let result = reply.message()["result"].clone();
    assert!(result.is_object() && result["isError"] != true, "{}", reply.text);
    result
}

fn is_forbidden(reply: &Reply, about: &str) {
    assert_eq!(reply.status, 403, "{about}: {}", reply.text);
    assert_eq!(challenge(reply, about)["error"], "insufficient_scope");
}

/// Makes a contact and deletes it again.
async fn makes_and_deletes(mcp: &Mcp) {
    let contact = json!({ "workspace_id": "ws_acme", "name": "Grace Hopper" });
    let made = done(&mcp.call("create_contact", contact).await);
    let id = made["structuredContent"]["id"].clone();
    let gone = json!({ "workspace_id": "ws_acme", "id": id });
    done(&mcp.call("delete_contact", gone).await);
}

#[tokio::test]
async fn a_token_and_a_key_with_a_wildcard_reach_what_it_covers() {
    let world = demo(hidden).await;
    let token = asked(&world, "contacts:*").await;
    assert_eq!(token.scope, "contacts:*");
    let mut account = Account::open(&world).await;
    let wish = NewKey { access: "chosen", scopes: &["contacts:*"], ..NewKey::default() };
    let key = account.make_key(wish).await;
    for mcp in [Mcp::new(&world, Some(&token)), Mcp::with_key(&world, &key)] {
        assert_eq!(tools(&mcp).await, CONTACTS.map(str::to_owned).into());
        makes_and_deletes(&mcp).await;
        let reply = mcp.call("list_deals", json!({})).await;
        assert_eq!(reply.message()["error"]["code"], -32602, "{}", reply.text);
    }
    let token = asked(&world, "*").await;
    let wish = NewKey { access: "chosen", scopes: &["*"], ..NewKey::default() };
    let key = account.make_key(wish).await;
    for mcp in [Mcp::new(&world, Some(&token)), Mcp::with_key(&world, &key)] {
        let all = tools(&mcp).await;
        assert_eq!(all.len(), 30, "{all:?}");
        makes_and_deletes(&mcp).await;
        done(&mcp.call("list_deals", json!({})).await);
    }
}

#[tokio::test]
async fn a_key_for_everything_but_deleting_has_no_scope_that_covers_deleting() {
    let world = demo(with_wildcards).await;
    let mut account = Account::open(&world).await;
    for (access, writes) in [("read", false), ("read_write", true)] {
        let wish = NewKey { access, workspaces: &["ws_acme"], ..NewKey::default() };
        let mcp = Mcp::with_key(&world, &account.make_key(wish).await);
        done(&mcp.call("list_contacts", json!({})).await);
        let reply = mcp.call("create_contact", json!({ "name": "Grace Hopper" })).await;
        if writes {
            done(&reply);
        } else {
            is_forbidden(&reply, access);
        }
        for tool in ["delete_contact", "delete_deal", "delete_note"] {
            is_forbidden(&mcp.call(tool, json!({ "id": "x" })).await, tool);
        }
    }
}

#[tokio::test]
async fn a_key_from_when_a_wildcard_was_mild_does_what_is_on_its_list_and_the_page_says_so() {
    // Nothing is said to delete, so that a key for reading and writing is given the wildcard.
    let mild = |text: String| {
        let text = with_wildcards(text);
        let deletes = text.lines().filter(|line| line.contains(":delete\", description"));
        let wildcards = text.lines().filter(|line| line.contains("*\", description"));
        let lines: Vec<String> = deletes.chain(wildcards).map(str::to_owned).collect();
        lines.iter().fold(text, |text, line| {
            text.replace(line.as_str(), &line.replace("\" },", "\", kind = \"write\" },"))
        })
    };
    let mut world = demo(mild).await;
    let wish = NewKey { access: "read_write", workspaces: &["ws_acme"], ..NewKey::default() };
    let key = Account::open(&world).await.make_key(wish).await;
    let says = async |world: &World, range: &str, covers_all: bool| {
        let page = Account::open(world).await.page().await;
        assert!(page.reply.text.contains(&format!(">{range}</span>")), "{range}");
        let listed = page.reply.text.contains("<li>Do everything. Every scope there is, and those");
        assert_eq!(listed, covers_all, "{}", page.reply.text);
    };
    says(&world, "Read and write", true).await;
    world.restart(|text| text.replace(", kind = \"write\"", "")).await;
    says(&world, "Read, write and delete", true).await;
    makes_and_deletes(&Mcp::with_key(&world, &key)).await;
    // What the resource no longer has is nobody's.
    let without = |text: String| {
        let kept = text.lines().filter(|line| !line.contains("*\", description"));
        kept.collect::<Vec<_>>().join("\n")
    };
    world.restart(without).await;
    says(&world, "Read, write and delete", false).await;
    makes_and_deletes(&Mcp::with_key(&world, &key)).await;
}

#[tokio::test]
async fn no_document_names_a_wildcard_and_the_pages_say_what_it_covers() {
    let world = demo(with_wildcards).await;
    for url in [
        world.url("/.well-known/oauth-authorization-server"),
        world.url("/.well-known/openid-configuration"),
        world.gateway_url("/.well-known/oauth-protected-resource/mcp"),
    ] {
        let document = world.http.get(&url).await.expect_status(200).json();
        let scopes = document["scopes_supported"].as_array().unwrap().clone();
        assert!(scopes.contains(&json!("contacts:read")), "{url}");
        assert!(!scopes.iter().any(|scope| scope.as_str().unwrap().contains('*')), "{url}");
    }
    let none = Mcp::new(&world, None).call("list_contacts", json!({})).await;
    assert!(!challenge(&none, "no token")["scope"].as_str().unwrap().contains('*'));
    let mut account = Account::open(&world).await;
    let mut form = url::Url::parse(&world.url("/account/keys/new")).unwrap();
    form.query_pairs_mut().append_pair("resource", &world.resource);
    let client = Client::public(&world).await;
    let asking = client.authorization().with("scope", "* contacts:* deals:read").url();
    for page in [form.as_str(), &asking] {
        let page = account.browser.visit(page).await;
        for part in [
            "Do everything<small>Every scope there is, and those that are added later.",
            "Do all with contacts<small>Every scope that begins with contacts:, and those that",
            "See your deals</span>",
        ] {
            assert!(page.reply.text.contains(part), "{part}: {}", page.reply.text);
        }
    }
}

#[tokio::test]
async fn one_of_several_scopes_is_enough() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| {
        let all = "match = \"delete_contact\"\nscopes = [\"contacts:delete\"]";
        let any = "match = \"delete_contact\"\nscopes = [\"contacts:read\"]\n\
                   any_of = [\"contacts:delete\", \"deals:delete\"]";
        assert!(text.contains(all));
        text.replace(all, any)
    })
    .await;
    for (scope, missing) in [
        ("contacts:delete contacts:read", None),
        ("contacts:read deals:delete", None),
        ("contacts:read deals:write", Some("contacts:delete contacts:read deals:write")),
        ("deals:delete", Some("contacts:read deals:delete")),
    ] {
        let mcp = Mcp::new(&world, Some(&asked(&world, scope).await));
        let reply = mcp.call("delete_contact", json!({ "workspace_id": "ws_acme" })).await;
        match missing {
            None => assert_eq!(done(&reply)["content"][0]["text"], "done"),
            Some(missing) => {
                is_forbidden(&reply, scope);
                assert_eq!(challenge(&reply, scope)["scope"], missing, "{scope}");
            }
        }
    }
    assert_eq!(backend.calls().len(), 2);
}

#[tokio::test]
async fn a_scope_brings_those_that_it_implies() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| {
        let route = "backends = [\"crm\"]\non_missing_scope = \"hide\"\n\
                     implies = { \"contacts:delete\" = [\"contacts:write\"], \
                     \"contacts:write\" = [\"contacts:read\"] }";
        text.replace("backends = [\"crm\"]", route)
    })
    .await;
    let all = ["list_contacts", "create_contact", "delete_contact"];
    for (scope, reached) in
        [("contacts:read", 1), ("contacts:write", 2), ("contacts:delete", 3), ("deals:write", 0)]
    {
        let mcp = Mcp::new(&world, Some(&asked(&world, scope).await));
        let reached = all[..reached].iter().map(|&name| name.to_owned()).collect();
        assert_eq!(tools(&mcp).await, reached, "{scope}");
        for tool in all {
            let reply = mcp.call(tool, json!({ "workspace_id": "ws_acme" })).await;
            if reached.contains(tool) {
                done(&reply);
            } else {
                assert_eq!(reply.message()["error"]["code"], -32602, "{scope} {}", reply.text);
            }
        }
    }
    // A key for everything but deleting has nothing that brings it.
    let wish = NewKey { access: "read_write", ..NewKey::default() };
    let key = Mcp::with_key(&world, &Account::open(&world).await.make_key(wish).await);
    assert_eq!(tools(&key).await, all[..2].iter().map(|&name| name.to_owned()).collect());
    let arguments = json!({ "workspace_id": "ws_initech" });
    tool_error(&key.call("list_contacts", arguments).await, "another workspace");
}
