//! What is bounded: revocation, silence, budgets, streams.

use super::*;

#[tokio::test]
async fn what_is_revoked_is_refused_within_a_second_and_a_silent_feed_is_503() {
    let world = world("while_feed_is_silent = \"nothing\"\nfeed_silence_seconds = 1").await;
    let token = world.token(&json!({}));
    assert_eq!(world.legacy(&token, "ping", json!({})).await.status, 200);
    let user = UserId::parse("usr_1").unwrap();
    world.office.events.lock().unwrap().push(Event::Person { user, not_after: NOW });
    let refused = async {
        while world.legacy(&token, "ping", json!({})).await.status != 401 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(1), refused).await.unwrap();
    world.office.is_away.store(true, Ordering::SeqCst);
    world.until(|answer| answer.status == 503, "/readyz").await;
    let answer = world.legacy(&token, "ping", json!({})).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn newer_keys_are_fetched_as_soon_as_they_are_announced_and_not_without_end() {
    let world = world("").await;
    let fetches = || world.office.fetches.load(Ordering::SeqCst);
    let before = fetches();
    world.office.key_set_version.store(99, Ordering::SeqCst);
    let asked = async {
        while fetches() == before {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(1), asked).await.unwrap();
    // What is published stays behind what was announced: it is asked for once a second.
    let many = tokio::time::timeout(std::time::Duration::from_millis(800), async {
        while fetches() < before + 3 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(many.await.is_err(), "{}", fetches());
}

#[tokio::test]
async fn the_first_use_of_a_generation_is_reported() {
    let world = world("").await;
    let token = world.token(&json!({}));
    world.legacy(&token, "ping", json!({})).await;
    let expected = Receipt { family: FamilyId::from_bytes([7; 16]), generation: 3 };
    let reported = async {
        let is_there =
            || world.office.usage.lock().unwrap().iter().any(|u| u.receipts.contains(&expected));
        while !is_there() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), reported).await.unwrap();
}

#[tokio::test]
async fn a_spent_workspace_budget_is_429_and_lists_go_on() {
    let world = world("workspace_calls_per_minute = 1\nworkspace_burst = 1").await;
    let token = world.token(&json!({}));
    let call = json!({"name": "list_contacts", "arguments": {"workspace_id": "acme"}});
    assert_eq!(world.legacy(&token, "tools/call", call.clone()).await.status, 200);
    let answer = world.legacy(&token, "tools/call", call).await;
    assert_eq!((answer.status, &answer.body["id"]), (429, &json!("a-1")));
    assert!(answer.headers.contains_key("retry-after"));
    let other = json!({"name": "list_contacts", "arguments": {"workspace_id": "beta"}});
    assert_eq!(world.legacy(&token, "tools/call", other).await.status, 200);
    assert_eq!(world.legacy(&token, "tools/list", json!({})).await.status, 200);
}

#[tokio::test]
async fn an_address_that_guesses_too_often_is_still_told_how_to_get_in() {
    let world = world("failed_authentications_per_minute = 2").await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let mut request = World::post("no.such.token").body(Body::empty()).unwrap();
        let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        let response = router(world.gateway.clone()).oneshot(request).await.unwrap();
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap().to_owned();
        assert!(challenge.contains("resource_metadata="), "{challenge}");
        statuses.push((response.status().as_u16(), response.headers().contains_key("retry-after")));
    }
    assert_eq!(statuses, [(401, false), (401, false), (429, true)]);
}

#[tokio::test]
async fn an_address_that_forged_too_often_is_told_to_wait_and_shuts_out_no_neighbour() {
    let world = world("failed_authentications_per_minute = 2").await;
    let ask = async |token: &str| {
        let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        let mut request = World::post(token).body(Body::from(ping.to_string())).unwrap();
        let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        let response = router(world.gateway.clone()).oneshot(request).await.unwrap();
        let has = |name| response.headers().contains_key(name);
        (response.status().as_u16(), has(WWW_AUTHENTICATE), has(http::header::RETRY_AFTER))
    };
    let seen = world.token(&json!({}));
    assert_eq!(ask(&seen).await, (200, false, false));
    let forged = |n: u32| {
        let token = world.token(&json!({ "jti": format!("f{n}") }));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        format!("{signed}.{other}{}", &signature[1..])
    };
    let mut answers = Vec::new();
    for n in 0..4 {
        answers.push(ask(&forged(n)).await);
    }
    let refused = (401, true, false);
    let told = (429, true, true);
    assert_eq!(answers, [refused, refused, told, told]);
    // Many may share an address: neither who was let in before nor who is new waits for it.
    assert_eq!(ask(&seen).await, (200, false, false));
    assert_eq!(ask(&world.token(&json!({ "jti": "new" }))).await, (200, false, false));
}

#[tokio::test]
async fn one_client_leaves_room_for_the_others_of_its_principal() {
    let world = world("").await;
    let held = |client: &str, digest: u8| {
        let mut caller = crate::rules::caller::tests::caller("a", &[]);
        caller.client = shared::ids::ClientId::parse(client).unwrap();
        world.app.claims.keep(caller, [digest; 32], 0)
    };
    let (one, other) = (held("one", 1), held("two", 2));
    let all = |caller: &Arc<Admitted>| -> Vec<_> {
        std::iter::from_fn(|| world.app.limits.begin_call(caller).ok()).collect()
    };
    let (of_one, of_other) = (all(&one), all(&other));
    assert_eq!((of_one.len(), of_other.len()), (410, 102), "512 together");
    drop(of_one);
    assert_eq!(all(&other).len(), 410 - 102);
    drop(of_other);
}

#[tokio::test]
async fn a_stream_ends_when_it_may_not_go_on_unheard() {
    use futures_util::{StreamExt, stream};
    // With "nothing" it ends long before the bound, otherwise at the bound.
    for more in [
        "feed_silence_seconds = 1",
        "while_feed_is_silent = \"nothing\"\nfeed_silence_seconds = 3000",
    ] {
        let world = world(more).await;
        let caller = crate::rules::caller::tests::caller("a", &[]);
        let caller = world.app.claims.keep(caller, [1; 32], 0);
        let upstream = backends::Upstream {
            body: UpstreamBody::Stream(stream::pending().boxed()),
            headers: HeaderMap::new(),
            session: None,
            status: StatusCode::OK,
        };
        let app = world.app.clone();
        let silence = app.config.routes[0].silence;
        let listener = Listener { app, caller, room: None, silence, stream: None, underway: None };
        let response = answer::respond(upstream, None, Asked::default(), listener);
        world.office.is_away.store(true, Ordering::SeqCst);
        let body = to_bytes(response.into_body(), 1 << 20);
        let body =
            tokio::time::timeout(std::time::Duration::from_secs(5), body).await.unwrap().unwrap();
        assert!(body.is_empty());
    }
}

#[tokio::test]
async fn a_session_is_not_ended_unheard_and_its_stream_still_opens() {
    let world = world_of("feed_silence_seconds = 3000", "session = \"relay\"").await;
    let token = world.token(&json!({}));
    let opened = world.legacy(&token, "initialize", json!({"protocolVersion": "2025-11-25"})).await;
    let session = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let ask = |method: &str| {
        Request::builder()
            .method(method)
            .uri("/mcp")
            .header("host", HOST)
            .header("authorization", format!("Bearer {token}"))
            .header("mcp-session-id", &session)
    };
    world.office.is_away.store(true, Ordering::SeqCst);
    let silent = async {
        while world.app.feed.standing() != crate::rules::silence::Standing::Silent {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), silent).await.unwrap();
    assert_eq!(world.send(ask("DELETE"), &Value::Null).await.status, 503);
    assert_eq!(world.send(ask("GET"), &Value::Null).await.status, 200);
    world.office.is_away.store(false, Ordering::SeqCst);
    let heard = async {
        while world.send(ask("DELETE"), &Value::Null).await.status == 503 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), heard).await.unwrap();
}

#[tokio::test]
async fn a_principal_has_only_so_many_calls_under_way() {
    let world = world("").await;
    let token = world.token(&json!({}));
    let call = json!({"name": "list_contacts"});
    assert_eq!(world.legacy(&token, "tools/call", call.clone()).await.status, 200);
    let caller =
        world.app.claims.find(&crate::claims::digest(&token), std::time::Instant::now()).unwrap();
    let rooms: Vec<_> = std::iter::from_fn(|| world.app.limits.begin_call(&caller).ok()).collect();
    let answer = world.legacy(&token, "tools/call", call.clone()).await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (429, &"1".parse().unwrap()));
    drop(rooms);
    assert_eq!(world.legacy(&token, "tools/call", call).await.status, 200);
}
