//! What a resource's table decides: who gets refresh tokens, what keeps a grant alive, how its
//! tokens begin.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use shared::internal::{Receipt, Usage};
use tests::{
    Browser, Choice, Client, ENGINES, Mcp, Options, RESOURCE_STRICT, Store, Tokens, World,
};

use crate::cases::is_problem;

const DAY: Duration = Duration::from_hours(24);

/// A line more for the default resource.
fn with(text: &str, line: &str) -> String {
    text.replacen("default = true\n", &format!("default = true\n{line}\n"), 1)
}

async fn world(store: Store, edit: fn(String) -> String) -> (World, Client, Browser) {
    let world = World::with(Options { edit, store, ..Options::default() }).await;
    let client = Client::public(&world).await;
    let browser = Browser::new(&world);
    (world, client, browser)
}

/// Tells auth-server of a call with this access token.
async fn call(world: &World, tokens: &Tokens) {
    let claims: Value = jsonwebtoken::dangerous::insecure_decode(&tokens.access).unwrap().claims;
    let receipt = Receipt {
        family: serde_json::from_value(claims["fam"].clone()).unwrap(),
        generation: serde_json::from_value(claims["gen"].clone()).unwrap(),
    };
    world.app.report(&Usage { receipts: vec![receipt], ..Usage::default() }).await.unwrap();
}

#[tokio::test]
async fn a_resource_may_give_no_refresh_tokens() {
    let edit = |text: String| with(&text, "refresh = \"never\"");
    let (_world, client, mut browser) = world(Store::Embedded, edit).await;
    let request = client.authorization().with("scope", "contacts:read offline_access");
    let code = client.code_of(&mut browser, request, Choice::default()).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    assert_eq!(tokens.refresh, "");
    // A grant for another resource too is refreshed for that one alone.
    let mut request = client.authorization().with("scope", "contacts:read ledger:read");
    request.parameters.add("resource", RESOURCE_STRICT);
    let code = client.code_of(&mut browser, request, Choice::default()).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    let refused = client.refresh(&tokens.refresh).send().await;
    is_problem(&refused, 400, "invalid_target", "RFC 8707 section 2.2");
    let mut post = client.refresh(&tokens.refresh);
    post.set("resource", RESOURCE_STRICT);
    assert_eq!(Tokens::of(&post.send().await).scope, "ledger:read");
}

#[tokio::test]
async fn a_resource_may_want_offline_access_for_refresh_tokens() {
    let edit = |text: String| with(&text, "refresh = \"offline_access\"");
    let (_world, client, mut browser) = world(Store::Embedded, edit).await;
    for (scope, refreshes) in [("contacts:read", false), ("contacts:read offline_access", true)] {
        // As clients ask that want to stay connected.
        let request = client.authorization().with("scope", scope).with("prompt", "consent");
        let code = client.code_of(&mut browser, request, Choice::default()).await;
        let tokens = Tokens::of(&client.exchange(&code).send().await);
        assert_eq!(tokens.refresh.is_empty(), !refreshes, "{scope}");
        assert_eq!(tokens.scope, "contacts:read", "{scope}");
        if refreshes {
            client.refreshed(&tokens.refresh).await;
        }
    }
}

#[tokio::test]
async fn offline_access_changes_nothing_where_everybody_gets_refresh_tokens() {
    let (_world, client, mut browser) = world(Store::Embedded, |text| text).await;
    for scope in ["contacts:read", "contacts:read offline_access"] {
        let request = client.authorization().with("scope", scope);
        let code = client.code_of(&mut browser, request, Choice::default()).await;
        let tokens = Tokens::of(&client.exchange(&code).send().await);
        client.refreshed(&tokens.refresh).await;
    }
}

#[tokio::test]
async fn a_grant_may_live_by_calls_alone() {
    for store in ENGINES {
        let edit = |text: String| with(&text, "refresh_idle_by = \"call\"");
        let (world, client, mut browser) = world(store, edit).await;
        let mut tokens = client.tokens(&mut browser).await;
        world.pass(20 * DAY);
        tokens = client.refreshed(&tokens.refresh).await;
        call(&world, &tokens).await;
        world.pass(20 * DAY);
        // Forty days after the sign-in, and twenty after the call.
        tokens = client.refreshed(&tokens.refresh).await;
        world.pass(10 * DAY);
        let reply = client.refresh(&tokens.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 5.2");
    }
}

/// Half an hour without a call, and twelve hours whatever is done.
async fn half_an_hour(store: Store) -> (World, Client) {
    let edit = |text: String| {
        let idle = "refresh_idle_by = \"call\"\nrefresh_idle_seconds = 1800";
        with(&text, &format!("{idle}\nrefresh_absolute_seconds = 43200"))
    };
    let world = World::with(Options { edit, gateway: true, store, ..Options::default() }).await;
    let client = Client::public(&world).await;
    (world, client)
}

/// What a call of a tool is answered.
async fn list(world: &World, tokens: &Tokens) -> u16 {
    Mcp::new(world, Some(tokens)).call("list_contacts", json!({})).await.status
}

/// The access token opens nothing any more, and the refresh token gets no other.
async fn is_over(world: &World, client: &Client, tokens: &Tokens) {
    assert_eq!(list(world, tokens).await, 401);
    let reply = client.refresh(&tokens.refresh).send().await;
    is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 5.2");
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn half_an_hour_without_a_call_ends_everything_however_often_is_refreshed() {
    for store in ENGINES {
        let (world, client) = half_an_hour(store).await;
        let mut tokens = client.tokens(&mut Browser::new(&world)).await;
        assert_eq!(tokens.expires_in, 300);
        for (minutes, left) in [(10, 300), (10, 300), (9, 60)] {
            world.pass(MINUTE * minutes);
            tokens = client.refreshed(&tokens.refresh).await;
            assert_eq!(tokens.expires_in, left, "no token is good for longer than the grant");
        }
        world.pass(MINUTE);
        is_over(&world, &client, &tokens).await;
    }
}

#[tokio::test]
async fn calls_keep_a_grant_alive_for_twelve_hours_and_no_longer() {
    for store in ENGINES {
        let (world, client) = half_an_hour(store).await;
        let began = world.clock.now();
        let mut tokens = client.tokens(&mut Browser::new(&world)).await;
        let ends = async || {
            let path = "/admin/v1/grants?user=demo%40example.com";
            let all = world.admin(Method::GET, path, Value::Null).await.expect_status(200).json();
            all["grants"][0]["expires"].as_str().unwrap().to_owned()
        };
        // Longer than half an hour, by what the gateway reports.
        for _ in 0..2 {
            world.pass(25 * MINUTE);
            let before = ends().await;
            tokens = client.refreshed(&tokens.refresh).await;
            assert_eq!(ends().await, before, "a refresh is no call");
            assert_eq!(list(&world, &tokens).await, 200);
            world.until("the report", async || ends().await > before).await;
        }
        let end = began.plus(Duration::from_hours(12));
        while world.clock.now().plus(25 * MINUTE) < end {
            world.pass(25 * MINUTE);
            tokens = client.refreshed(&tokens.refresh).await;
            call(&world, &tokens).await;
        }
        world.pass(end.minus(MINUTE).since(world.clock.now()));
        tokens = client.refreshed(&tokens.refresh).await;
        assert_eq!(tokens.expires_in, 60);
        assert_eq!(list(&world, &tokens).await, 200);
        call(&world, &tokens).await;
        world.pass(MINUTE);
        is_over(&world, &client, &tokens).await;
    }
}

#[tokio::test]
async fn calls_do_not_keep_a_grant_that_lives_by_refreshes() {
    for store in ENGINES {
        let (world, client, mut browser) = world(store, |text| text).await;
        let tokens = client.tokens(&mut browser).await;
        world.pass(20 * DAY);
        call(&world, &tokens).await;
        world.pass(10 * DAY);
        let reply = client.refresh(&tokens.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 5.2");
    }
}

#[tokio::test]
async fn where_no_calls_are_reported_a_lost_answer_is_forgiven_for_a_day() {
    for store in ENGINES {
        let edit = |text: String| with(&text, "reports_calls = false");
        let (world, client, mut browser) = world(store, edit).await;
        let tokens = client.tokens(&mut browser).await;
        let lost = client.refreshed(&tokens.refresh).await;
        world.pass(DAY);
        assert_eq!(client.refreshed(&tokens.refresh).await.refresh, lost.refresh);
        world.pass(Duration::from_secs(1));
        let reply = client.refresh(&tokens.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 9700 section 4.14.2");
    }
}

#[tokio::test]
async fn tokens_begin_as_their_resource_wants_it_and_are_taken_no_other_way() {
    let edit = |text: String| with(&text, "access_token_prefix = \"sd_oauth_\"");
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let bare = tokens.access.strip_prefix("sd_oauth_").unwrap().to_owned();
    let status = async |token: String| {
        let mcp = Mcp { token: Some(token), ..Mcp::new(&world, None) };
        mcp.legacy("tools/list", json!({})).await.status
    };
    assert_eq!(status(tokens.access.clone()).await, 200);
    assert_eq!(status(bare.clone()).await, 401);
    assert_eq!(status(format!("sd_oauth_sd_oauth_{bare}")).await, 401);
    assert_eq!(status(format!("SD_OAUTH_{bare}")).await, 401);
    client.revoke(&tokens.access).await;
    let is_refused = async || status(tokens.access.clone()).await == 401;
    world.until("the revocation", is_refused).await;
}
