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
        let response = router(world.app.clone()).oneshot(request).await.unwrap();
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap().to_owned();
        assert!(challenge.contains("resource_metadata="), "{challenge}");
        statuses.push((response.status().as_u16(), response.headers().contains_key("retry-after")));
    }
    assert_eq!(statuses, [(401, false), (401, false), (429, true)]);
}

#[tokio::test]
async fn a_stream_ends_when_it_cannot_be_known_who_was_shut_out() {
    use futures_util::{StreamExt, stream};
    let world = world("feed_silence_seconds = 1").await;
    let caller = world.app.claims.keep(crate::rules::caller::tests::caller("a", &[]), [1; 32], 0);
    world.office.is_away.store(true, Ordering::SeqCst);
    world.until(|answer| answer.status == 503, "/readyz").await;
    let upstream = backends::Upstream {
        body: backends::UpstreamBody::Stream(stream::pending().boxed()),
        headers: HeaderMap::new(),
        session: None,
        status: StatusCode::OK,
    };
    let app = world.app.clone();
    let listener = Listener { app, caller, room: None, stream: None, underway: None };
    let response = answer::respond(upstream, None, None, listener);
    let body = to_bytes(response.into_body(), 1 << 20);
    let body =
        tokio::time::timeout(std::time::Duration::from_secs(10), body).await.unwrap().unwrap();
    assert!(body.is_empty());
}

#[tokio::test]
async fn a_principal_has_only_so_many_calls_under_way() {
    let world = world("").await;
    let token = world.token(&json!({}));
    let call = json!({"name": "list_contacts"});
    assert_eq!(world.legacy(&token, "tools/call", call.clone()).await.status, 200);
    let caller = world.app.claims.find(&crate::claims::digest(&token)).unwrap();
    let rooms: Vec<_> = std::iter::from_fn(|| world.app.limits.begin_call(&caller).ok()).collect();
    let answer = world.legacy(&token, "tools/call", call.clone()).await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (429, &"1".parse().unwrap()));
    drop(rooms);
    assert_eq!(world.legacy(&token, "tools/call", call).await.status, 200);
}
