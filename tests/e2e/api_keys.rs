//! API keys at the gateway: looked up at each call, so that nothing a key could do outlives it.

use std::time::Duration;

use jsonwebtoken::dangerous::insecure_decode;
use reqwest::{
    Method,
    header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};
use shared::{internal::PrincipalQuery, resource::ResourceIndicator};
use tests::{
    Account, Answer, Backend, Browser, Client, ENGINES, INTERNAL, Mcp, NewKey, Options, RESOURCE,
    Reply, World, headers, request,
};

use crate::mcp_cases::{before, challenge, signed_in, tool_error};

const LIST: &str = "list_contacts";

async fn lists(mcp: &Mcp) -> Reply {
    mcp.call(LIST, json!({})).await
}

/// A refusal with one challenge and nothing to discover that was not there before.
fn is_refused(reply: &Reply, about: &str) {
    assert_eq!(reply.status, 401, "{about}: {}", reply.text);
    assert_eq!(challenge(reply, about)["error"], "invalid_token", "{about}");
}

/// A world without keys in the way, of both services in one process or in two.
fn options(is_split: bool) -> Options {
    Options { gateway: true, is_split, ..Options::default() }
}

#[tokio::test]
async fn a_key_calls_a_tool_until_the_very_moment_it_is_revoked() {
    for (store, is_split) in ENGINES.into_iter().flat_map(|store| [(store, false), (store, true)]) {
        let world = World::with(Options { store, ..options(is_split) }).await;
        let mut account = Account::open(&world).await;
        let key = account.make_key(NewKey::default()).await;
        assert!(key.starts_with("nw_key_"), "{key}");
        let mcp = Mcp::with_key(&world, &key);
        for _ in 0..2 {
            let reply = lists(&mcp).await;
            assert_eq!(reply.status, 200, "{store:?} {is_split}: {}", reply.text);
            assert_ne!(reply.message()["result"]["isError"], true, "{}", reply.text);
        }
        let [id] = &account.acts("revoke_key").await[..] else { panic!("one key is listed") };
        account.act("revoke_key", id).await;
        for _ in 0..2 {
            is_refused(&lists(&mcp).await, "RFC 6750 section 3.1: a revoked key");
        }
        assert!(account.acts("revoke_key").await.is_empty());
    }
}

#[tokio::test]
async fn a_key_travels_in_either_header_and_only_once() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let key = Account::open(&world).await.make_key(NewKey::default()).await;
    let token = signed_in(&world).await.token.unwrap();
    let none = Mcp::new(&world, None);
    let message = || request("tools/call", json!({ "name": LIST, "arguments": {} }));
    let bearer = |text: &str| headers([("authorization", &format!("Bearer {text}"))]);
    let own = |text: &str| headers([("x-api-key", text)]);
    let both = |one: reqwest::header::HeaderMap, two: reqwest::header::HeaderMap| {
        let mut all = one;
        all.extend(two);
        all
    };
    let mut twice = own(&key);
    twice.append("x-api-key", key.parse().unwrap());
    for (about, sent, status) in [
        ("bearer", bearer(&key), 200),
        ("header of its own", own(&key), 200),
        ("both", both(bearer(&key), own(&key)), 400),
        ("a token and a key", both(bearer(&token), own(&key)), 400),
        ("twice", twice, 400),
        ("a token in the key's header", own(&token), 401),
        ("cut off", bearer(&key[..key.len() - 1]), 401),
        ("empty", own(""), 401),
    ] {
        let reply = none.send(&message(), sent).await;
        assert_eq!(reply.status, status, "{about}: {}", reply.text);
    }
    let in_address = Mcp { url: format!("{}?api_key={key}", world.resource), ..none };
    let reply = in_address.send(&message(), headers([])).await;
    assert_eq!(reply.status, 400, "RFC 6750 section 2.3");
    for call in backend.calls() {
        assert_eq!(call.header("x-api-key"), "", "a key went on to the backend");
        assert!(!call.headers.values().any(|value| value.to_str().unwrap().contains(&key)));
    }
    assert_eq!(backend.calls().len(), 2);
}

#[tokio::test]
async fn the_backend_hears_who_stands_behind_the_key_and_where() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mut account = Account::open(&world).await;
    let wish = NewKey { workspaces: &["ws_acme"], ..NewKey::default() };
    let key = account.make_key(wish).await;
    let [id] = &account.acts("revoke_key").await[..] else { panic!("one key is listed") };
    assert_eq!(lists(&Mcp::with_key(&world, &key)).await.status, 200);
    let call = backend.calls().remove(0);
    let identity = call.header("authorization").strip_prefix("Bearer ").unwrap();
    let claims: Value = insecure_decode(identity).unwrap().claims;
    assert_eq!(claims["kind"], "key");
    assert_eq!(claims["sub"], "usr_demo");
    assert_eq!(claims["client_id"], *id);
    assert_eq!(claims["workspaces"], json!(["ws_acme"]));
    let scope = claims["scope"].as_str().unwrap();
    assert!(scope.split(' ').all(|scope| scope.ends_with(":read")), "{scope}");
}

#[tokio::test]
async fn a_key_does_no_more_than_it_was_made_for() {
    let world = World::demo().await;
    let mut account = Account::open(&world).await;
    let contact = json!({ "workspace_id": "ws_acme", "name": "Grace Hopper" });
    let reading = account.make_key(NewKey::default()).await;
    let reply = Mcp::with_key(&world, &reading).call("create_contact", contact.clone()).await;
    assert_eq!(reply.status, 403, "{}", reply.text);
    assert_eq!(challenge(&reply, "writing")["error"], "insufficient_scope");
    let wish = NewKey { access: "read_write", workspaces: &["ws_acme"], ..NewKey::default() };
    let writing = Mcp::with_key(&world, &account.make_key(wish).await);
    let reply = writing.call("create_contact", contact).await;
    assert_ne!(reply.message()["result"]["isError"], true, "{}", reply.text);
    let reply = writing.call("delete_contact", json!({ "id": "x" })).await;
    assert_eq!(reply.status, 403, "{}", reply.text);
    let elsewhere = json!({ "workspace_id": "ws_globex" });
    tool_error(&writing.call(LIST, elsewhere).await, "another workspace");
    let wish = NewKey { access: "chosen", scopes: &["deals:read"], ..NewKey::default() };
    let chosen = Mcp::with_key(&world, &account.make_key(wish).await);
    assert_eq!(lists(&chosen).await.status, 403);
    assert_eq!(chosen.call("list_deals", json!({})).await.status, 200);
}

#[tokio::test]
async fn a_reading_key_does_not_call_what_may_write_and_needs_no_scope() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| {
        let rule = "[[backend.tool]]\nmatch = \"create_contact\"\nalways_allowed = true\n\n\
                    [[backend.tool]]\nmatch = [\"list_contacts\"";
        text.replacen("[[backend.tool]]\nmatch = [\"list_contacts\"", rule, 1)
    })
    .await;
    let mut account = Account::open(&world).await;
    let reading = Mcp::with_key(&world, &account.make_key(NewKey::default()).await);
    let arguments = || json!({ "workspace_id": "ws_acme" });
    let text = tool_error(&reading.call("create_contact", arguments()).await, "reading only");
    assert!(text.contains("reading only"), "{text}");
    let wish = NewKey { access: "read_write", ..NewKey::default() };
    let writing = Mcp::with_key(&world, &account.make_key(wish).await);
    assert_eq!(
        writing.call("create_contact", arguments()).await.message()["result"]["content"][0]["text"],
        "done"
    );
}

#[tokio::test]
async fn a_rotated_key_ends_at_once_or_after_its_overlap() {
    for store in ENGINES {
        let world = World::with(Options { store, ..options(false) }).await;
        let mut account = Account::open(&world).await;
        let first = account.make_key(NewKey { days: "0", ..NewKey::default() }).await;
        let [id] = &account.acts("renew_key").await[..] else { panic!("one key is listed") };
        let second = account.renew_key(id, false).await;
        is_refused(&lists(&Mcp::with_key(&world, &first)).await, "the first secret");
        assert_eq!(lists(&Mcp::with_key(&world, &second)).await.status, 200);
        let third = account.renew_key(id, true).await;
        for key in [&second, &third] {
            assert_eq!(lists(&Mcp::with_key(&world, key)).await.status, 200, "{store:?}");
        }
        world.pass(Duration::from_hours(24));
        is_refused(&lists(&Mcp::with_key(&world, &second)).await, "after the overlap");
        assert_eq!(lists(&Mcp::with_key(&world, &third)).await.status, 200);
    }
}

#[tokio::test]
async fn a_key_ends_with_its_term() {
    let world = World::demo().await;
    let wish = NewKey { days: "30", ..NewKey::default() };
    let mcp = Mcp::with_key(&world, &Account::open(&world).await.make_key(wish).await);
    world.pass(Duration::from_hours(30 * 24 - 1));
    assert_eq!(lists(&mcp).await.status, 200);
    world.pass(Duration::from_hours(1));
    is_refused(&lists(&mcp).await, "expired");
}

#[tokio::test]
async fn a_key_ends_where_the_person_has_left() {
    let mut world = World::demo().await;
    let key = Account::open(&world).await.make_key(NewKey::default()).await;
    let mcp = Mcp::with_key(&world, &key);
    let globex = json!({ "workspace_id": "ws_globex" });
    assert_ne!(mcp.call(LIST, globex.clone()).await.message()["result"]["isError"], true);
    world
        .restart(|text| text.replace("    { workspace = \"ws_globex\", role = \"member\" },\n", ""))
        .await;
    tool_error(&mcp.call(LIST, globex).await, "a workspace that was left");
    assert_eq!(mcp.call(LIST, json!({ "workspace_id": "ws_acme" })).await.status, 200);
    world.restart(|text| text.replace("usr_demo", "usr_somebody")).await;
    is_refused(&lists(&mcp).await, "nobody's key");
}

#[tokio::test]
async fn an_open_stream_ends_with_its_key() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mut account = Account::open(&world).await;
    let key = account.make_key(NewKey::default()).await;
    world.pass(Duration::from_secs(1));
    let other = account.make_key(NewKey::default()).await;
    backend.answer(Answer::Stream);
    let message = || request("tools/call", json!({ "name": LIST, "arguments": {} }));
    let mut stream = Mcp::with_key(&world, &key).open(&message(), headers([])).await;
    let pen = backend.stream().await;
    let mut untouched = Mcp::with_key(&world, &other).open(&message(), headers([])).await;
    let other_pen = backend.stream().await;
    let event = || ": still there\n\n".to_owned();
    pen.send(event()).await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    // Keys are listed with the newest first.
    let [_, id] = &account.acts("revoke_key").await[..] else { panic!("two keys are listed") };
    account.act("revoke_key", id).await;
    let ended = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the stream ends");
    other_pen.send(event()).await.unwrap();
    assert!(untouched.chunk().await.unwrap().is_some(), "another key's stream goes on");
}

#[tokio::test]
async fn without_auth_server_keys_wait_and_nobody_is_told_they_are_bad() {
    let world = World::demo().await;
    let key = Account::open(&world).await.make_key(NewKey::default()).await;
    let mcp = Mcp::with_key(&world, &key);
    assert_eq!(lists(&mcp).await.status, 200);
    world.cut_authority(true);
    let reply = lists(&mcp).await;
    assert_eq!(reply.status, 503, "{}", reply.text);
    assert!(reply.headers.contains_key(RETRY_AFTER));
    world.cut_authority(false);
    world.until("the key", async || lists(&mcp).await.status == 200).await;
}

#[tokio::test]
async fn guessed_keys_are_paid_for_by_address_and_good_ones_are_not() {
    let world = World::with(Options {
        edit: |text| text.replace("[gateway]\n", "[gateway]\nkey_lookups_per_minute = 3\n"),
        ..options(false)
    })
    .await;
    let mut account = Account::open(&world).await;
    let good = Mcp::with_key(&world, &account.make_key(NewKey::default()).await);
    for _ in 0..6 {
        assert_eq!(lists(&good).await.status, 200);
    }
    let mut refused = Vec::new();
    for _ in 0..3 {
        world.pass(Duration::from_secs(1));
        let key = account.make_key(NewKey::default()).await;
        // Keys are listed with the newest first.
        let [id, ..] = &account.acts("revoke_key").await[..] else { panic!("a key is listed") };
        account.act("revoke_key", id).await;
        refused.push(lists(&Mcp::with_key(&world, &key)).await.status);
    }
    assert_eq!(refused, [401, 401, 429]);
    assert_eq!(lists(&good).await.status, 200, "a key in use is no guess");
}

#[tokio::test]
async fn the_account_page_says_when_a_key_was_last_used() {
    for is_split in [false, true] {
        let world = World::with(options(is_split)).await;
        let mut account = Account::open(&world).await;
        let key = account.make_key(NewKey::default()).await;
        assert!(account.page().await.reply.text.contains("never used"));
        assert_eq!(lists(&Mcp::with_key(&world, &key)).await.status, 200);
        let base = account.clone();
        let told = async || {
            let mut account = base.clone();
            account.page().await.reply.text.contains("last used a moment ago")
        };
        world.until("the last use", told).await;
    }
}

#[tokio::test]
async fn what_stands_behind_a_grant_is_told_as_it_is_at_the_moment() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let tokens = client.tokens(&mut Browser::new(&world)).await;
        let claims: Value = insecure_decode(&tokens.access).unwrap().claims;
        let query = PrincipalQuery::Family {
            family: serde_json::from_value(claims["fam"].clone()).unwrap(),
            resource: ResourceIndicator::parse(RESOURCE).unwrap(),
        };
        let principal = world.app.principal(&query).await.unwrap().expect("somebody");
        assert_eq!(principal.user.as_str(), "usr_demo");
        assert_eq!(json!(principal.scope), claims["scope"]);
        assert_eq!(json!(principal.workspaces), claims["workspaces"]);
        let PrincipalQuery::Family { family, .. } = query.clone() else { panic!("a family") };
        let resource = ResourceIndicator::parse(tests::RESOURCE_STRICT).unwrap();
        let elsewhere = PrincipalQuery::Family { family, resource };
        assert_eq!(world.app.principal(&elsewhere).await.unwrap(), None, "another resource");
        client.revoke(&tokens.refresh).await;
        assert_eq!(world.app.principal(&query).await.unwrap(), None, "{store:?}");
    }
}

#[tokio::test]
async fn keys_are_looked_up_by_gateways_only() {
    let world = World::demo().await;
    let base = world.internal().await;
    let key = Account::open(&world).await.make_key(NewKey::default()).await;
    let hash = shared::secret::SecretHash::of(key.as_bytes());
    let query = json!({ "by": "api_key", "hash": hash }).to_string();
    let bearer = format!("Bearer {INTERNAL}");
    let other = json!({ "by": "api_key", "hash": "made-up" }).to_string();
    for (shown, body, status) in [
        ("", &query, 401),
        ("Bearer guessed", &query, 401),
        (bearer.as_str(), &query, 200),
        (bearer.as_str(), &other, 200),
        (bearer.as_str(), &"{}".to_owned(), 400),
    ] {
        let sent = headers([("authorization", shown), ("content-type", "application/json")]);
        let url = format!("{base}/internal/principals");
        let reply = world.http.send(Method::POST, &url, sent, body.clone()).await;
        assert_eq!(reply.status, status, "{shown} {body}: {}", reply.text);
        if status == 200 {
            assert_eq!(reply.header("cache-control"), "no-store");
            assert_eq!(reply.json().is_null(), *body == other, "{}", reply.text);
        }
    }
    let outside = world.http.get(&world.url("/internal/principals")).await;
    assert_eq!(outside.status, 404, "the public listener knows nothing of it");
}

#[tokio::test]
async fn a_resource_for_keys_alone_has_nothing_to_discover() {
    let world = World::with(Options {
        edit: |text| {
            let text = text.replacen("default = true\n", "default = false\noauth = false\n", 1);
            text.replacen("default = false\naccess", "default = true\naccess", 1)
        },
        ..options(false)
    })
    .await;
    let path = "/.well-known/oauth-protected-resource";
    for path in [path.to_owned(), format!("{path}/mcp")] {
        assert_eq!(world.http.get(&world.gateway_url(&path)).await.status, 404, "{path}");
    }
    let none = Mcp::new(&world, None);
    let reply = lists(&none).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header(WWW_AUTHENTICATE.as_str()), "Bearer");
    let reply = lists(&Mcp { token: Some("a.b.c".to_owned()), ..none }).await;
    let parts = challenge(&reply, "a token");
    assert_eq!(parts.get("resource_metadata"), None, "{parts}");
    let client = Client::public(&world).await;
    let asked = client.authorization();
    let reply = world.http.get(&asked.url()).await;
    let answer = reply.location().map(|url| url.to_string()).unwrap_or(reply.text);
    assert!(answer.contains("invalid_target"), "RFC 8707 section 2: {answer}");
    let key = Account::open(&world).await.make_key(NewKey::default()).await;
    assert_eq!(lists(&Mcp::with_key(&world, &key)).await.status, 200);
    let mut sent = headers([]);
    sent.insert(AUTHORIZATION, format!("bearer {key}").parse().unwrap());
    let message = request("tools/call", json!({ "name": LIST, "arguments": {} }));
    assert_eq!(Mcp::new(&world, None).send(&message, sent).await.status, 200);
}
