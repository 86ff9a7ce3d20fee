//! What goes on at a gateway that does not hear of revocations, and how it hears of keys.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Backend, ENGINES, Mcp, Options, Reply, Speaks, Store, World};

use crate::mcp_cases::{before, signed_in};

async fn read(mcp: &Mcp) -> Reply {
    mcp.call("list_contacts", json!({ "workspace_id": "ws_acme" })).await
}

async fn write(mcp: &Mcp) -> Reply {
    let contact = json!({ "workspace_id": "ws_acme", "name": "Ada Byron" });
    mcp.call("create_contact", contact).await
}

async fn readiness(world: &World) -> (u16, Value) {
    let reply = world.http.get(&world.gateway_url("/readyz")).await;
    (reply.status, reply.json())
}

fn feed(readiness: &Value) -> &Value {
    let all = readiness["dependencies"].as_array().unwrap();
    all.iter().find(|one| one["name"] == "feed of revocations").unwrap()
}

fn is_done(reply: &Reply) {
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_ne!(reply.message()["result"]["isError"], true, "{}", reply.text);
}

fn is_to_come_back(reply: &Reply) {
    assert_eq!(reply.status, 503, "{}", reply.text);
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(reply.header("www-authenticate"), "", "nobody needs to sign in anew");
}

#[tokio::test]
async fn while_redis_is_away_reads_go_on_and_writes_wait() {
    for is_split in [false, true] {
        let options =
            Options { gateway: true, is_split, store: Store::Redis, ..Options::default() };
        let mut world = World::with(options).await;
        let mcp = signed_in(&world).await;
        assert_eq!(read(&mcp).await.status, 200);
        is_done(&write(&mcp).await);
        world.redis.as_mut().unwrap().stop();
        world.until("the silence", async || write(&mcp).await.status == 503).await;
        is_to_come_back(&write(&mcp).await);
        assert_eq!(read(&mcp).await.status, 200);
        assert_eq!(mcp.legacy("tools/list", json!({})).await.status, 200);
        let (status, body) = readiness(&world).await;
        assert_eq!((status, &body["status"]), (200, &json!("degraded")), "{body}");
        assert_eq!(feed(&body)["state"], "degraded", "{body}");
        assert!(feed(&body)["reason"].as_str().unwrap().contains("store"), "{body}");
        let own = world.http.get(&world.url("/readyz")).await;
        assert_eq!(own.status, 503);
        assert_eq!(own.json()["dependencies"][0]["name"], "store", "{}", own.text);
        world.redis.as_mut().unwrap().restart();
        world.until("writes", async || write(&mcp).await.status == 200).await;
        assert_eq!(readiness(&world).await.1["status"], "ready");
    }
}

#[tokio::test]
async fn silence_has_a_bound_and_after_it_nothing_goes_on() {
    let edit: fn(String) -> String =
        |text| text.replace("[gateway]\n", "[gateway]\nfeed_silence_seconds = 4\n");
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    let mcp = signed_in(&world).await;
    assert_eq!(read(&mcp).await.status, 200);
    world.cut_authority(true);
    world.until("the silence", async || write(&mcp).await.status == 503).await;
    assert_eq!(read(&mcp).await.status, 200);
    world.until("the bound", async || read(&mcp).await.status == 503).await;
    is_to_come_back(&read(&mcp).await);
    let (status, body) = readiness(&world).await;
    assert_eq!((status, &feed(&body)["state"]), (503, &json!("missing")), "{body}");
    world.cut_authority(false);
    world.until("the return", async || read(&mcp).await.status == 200).await;
}

#[tokio::test]
async fn the_demo_says_itself_which_tools_only_read() {
    let schema =
        json!({ "type": "object", "properties": { "workspace_id": { "type": "string" } } });
    let tool = |name| json!({ "name": name, "inputSchema": schema });
    let tools = json!([tool("create_contact"), tool("list_contacts")]);
    // A backend that says nothing about its tools.
    let backend = Backend::offering(Speaks::Both, tools).await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    world.cut_authority(true);
    let create = async || mcp.call("create_contact", json!({ "workspace_id": "ws_acme" })).await;
    world.until("the silence", async || create().await.status == 503).await;
    is_done(&read(&mcp).await);
}

#[tokio::test]
async fn a_resource_may_be_more_careful_than_the_gateway() {
    let edit: fn(String) -> String = |text| {
        text.replace("[gateway]\n", "[gateway]\nwhile_feed_is_silent = \"all\"\n").replacen(
            "backends = [\"crm\"]",
            "backends = [\"crm\"]\nwhile_feed_is_silent = \"nothing\"",
            1,
        )
    };
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    let mcp = signed_in(&world).await;
    assert_eq!(read(&mcp).await.status, 200);
    world.cut_authority(true);
    world.until("the silence", async || read(&mcp).await.status == 503).await;
}

#[tokio::test]
async fn where_everything_goes_on_writes_go_on_too() {
    let edit: fn(String) -> String =
        |text| text.replace("[gateway]\n", "[gateway]\nwhile_feed_is_silent = \"all\"\n");
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    let mcp = signed_in(&world).await;
    world.cut_authority(true);
    let is_silent = async || readiness(&world).await.1["status"] == "degraded";
    world.until("the silence", is_silent).await;
    is_done(&write(&mcp).await);
}

#[tokio::test]
async fn what_was_revoked_during_the_silence_is_refused_after_it() {
    let world = World::demo().await;
    let client = tests::Client::public(&world).await;
    let tokens = client.tokens(&mut tests::Browser::new(&world)).await;
    let mcp = Mcp::new(&world, Some(&tokens));
    assert_eq!(read(&mcp).await.status, 200);
    world.cut_authority(true);
    let is_silent = async || readiness(&world).await.1["status"] == "degraded";
    world.until("the silence", is_silent).await;
    client.revoke(&tokens.refresh).await;
    assert_eq!(read(&mcp).await.status, 200, "nobody has told the gateway");
    world.cut_authority(false);
    world.until("the end of the token", async || read(&mcp).await.status == 401).await;
}

#[tokio::test]
async fn auth_server_knows_which_gateways_there_are_and_which_keys_they_have() {
    for store in ENGINES {
        let world = World::with(Options { gateway: true, store, ..Options::default() }).await;
        let published = world.http.get(&world.url("/jwks")).await.json();
        world.until("the report", async || !world.app.verifiers().await.unwrap().is_empty()).await;
        let verifiers = world.app.verifiers().await.unwrap();
        let [verifier] = &verifiers[..] else { panic!("{verifiers:?}") };
        assert!(verifier.name.starts_with("gateway-"), "{}", verifier.name);
        assert_eq!(verifier.key_set_version, published["version"].as_u64().unwrap());
        let kids: Vec<&str> = verifier.keys.iter().map(|seen| seen.kid.as_str()).collect();
        let published = published["keys"].as_array().unwrap().iter();
        let mut published: Vec<&str> = published.map(|key| key["kid"].as_str().unwrap()).collect();
        published.sort_unstable();
        assert_eq!(kids, published);
        world.pass(Duration::from_mins(11));
        let is_there = async || world.app.verifiers().await.unwrap().len() == 1;
        world.until("the next report of a gateway that is still there", is_there).await;
    }
}
