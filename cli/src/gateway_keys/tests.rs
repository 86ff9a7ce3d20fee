//! The ring of several gateways on one store, and what operators ask of it.

use std::{net::SocketAddr, time::Duration};

use auth_server::{AdminPeer, config::Speed, over_tcp};
use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{
        Request, StatusCode,
        header::{AUTHORIZATION, HOST, ORIGIN},
    },
};
use http_body_util::BodyExt as _;
use keys::{KeyEncryptionKey, KeyEncryptionKeys, KeyState, Pace, VerifyingKeys};
use serde_json::{Value, json};
use shared::{
    ids::KeyId,
    secret::Secret,
    time::{Clock, Timestamp},
};
use store::{Embedded, Redis, test_server::RedisServer};
use tower::ServiceExt as _;

use super::{GatewayStore, IDENTITY, PATH, Ring, open, read, replace, ring::RingError, router};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
/// Longer than every backend may keep an old set.
const AGED: Duration = Duration::from_mins(12);

struct Fixture {
    clock: Clock,
    every: Option<Duration>,
    folder: tempfile::TempDir,
    kek: KeyEncryptionKeys,
    store: GatewayStore,
    _redis: Option<RedisServer>,
}

impl Fixture {
    fn embedded() -> Self {
        Self::on(GatewayStore::Embedded(Embedded::memory().unwrap()), None)
    }

    async fn on_both_engines() -> [Self; 2] {
        let server = RedisServer::start();
        let redis = Redis::connect(server.config("gateway:")).await.unwrap();
        [Self::embedded(), Self::on(GatewayStore::Redis(redis), Some(server))]
    }

    fn on(store: GatewayStore, redis: Option<RedisServer>) -> Self {
        let (kek, _) = KeyEncryptionKey::generate();
        let clock = Clock::manual(START);
        let folder = tempfile::tempdir().unwrap();
        Self { clock, every: None, folder, kek: (&kek).into(), store, _redis: redis }
    }

    async fn gateway(&self) -> Ring {
        let speed = Speed { every: self.every, pace: Pace::default() };
        let place = (self.store.clone(), self.folder.path());
        open(place, &self.kek, speed, self.clock.clone()).await.unwrap().0
    }
}

fn signing(ring: &Ring) -> KeyId {
    ring.keys().load().signing.id().clone()
}

fn published(ring: &Ring) -> VerifyingKeys {
    VerifyingKeys::parse(&ring.keys().load().jwks).unwrap()
}

async fn ask(ring: &Ring, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(format!("{PATH}{path}"));
    let extensions = request.extensions_mut().unwrap();
    extensions.insert(AdminPeer { pid: None, uid: 0 });
    let body = if body.is_null() { String::new() } else { body.to_string() };
    answer(ring, request.body(Body::from(body)).unwrap()).await
}

async fn answer(ring: &Ring, request: Request<Body>) -> (StatusCode, Value) {
    let Ok(response) = router(ring.clone(), None).oneshot(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_read_one_gateways_keys_accepts_anothers_through_a_rotation() {
    for fixture in Fixture::on_both_engines().await {
        let (one, other) = (fixture.gateway().await, fixture.gateway().await);
        assert_eq!(signing(&one), signing(&other));
        let (status, refused) = ask(&one, "POST", "/rotate", json!({})).await;
        assert_eq!(status, StatusCode::CONFLICT);
        let text = refused["error_description"].as_str().unwrap();
        assert!(text.contains("2027-01-15T08:11:00Z") && text.contains("--emergency"), "{text}");
        fixture.clock.advance(AGED);
        let before = published(&other);
        let (status, done) = ask(&one, "POST", "/rotate", json!({})).await;
        assert_eq!((status, &done["cost"]), (StatusCode::OK, &Value::Null), "{done}");
        assert_eq!(done["signing"], signing(&one).as_str());
        assert!(before.find(&signing(&one)).is_some(), "what was fetched before has the new key");
        assert_ne!(signing(&one), signing(&other), "the other has not looked yet");
        assert!(published(&one).find(&signing(&other)).is_some());
        other.follow().await.unwrap();
        assert_eq!(signing(&one), signing(&other));
        assert_eq!(*one.keys().load().jwks, *other.keys().load().jwks);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_happens_once_whichever_gateway_looks() {
    for mut fixture in Fixture::on_both_engines().await {
        fixture.every = Some(Duration::from_hours(1));
        let gateways = [fixture.gateway().await, fixture.gateway().await, fixture.gateway().await];
        let first = signing(&gateways[0]);
        fixture.clock.advance(Duration::from_hours(1));
        let all = || gateways.each_ref().map(Ring::follow);
        for outcome in futures(all()).await {
            outcome.unwrap();
        }
        let set = gateways[0].look().await.unwrap();
        assert_eq!(set.version, 2);
        assert!(gateways.iter().all(|ring| signing(ring) != first));
        fixture.clock.advance(Duration::from_mins(3));
        for outcome in futures(all()).await {
            outcome.unwrap();
        }
        let set = gateways[1].look().await.unwrap();
        let old = set.records().iter().find(|key| key.id == first).unwrap();
        assert_eq!((set.version, old.state), (3, KeyState::Retired));
        assert!(published(&gateways[2]).find(&first).is_none());
    }
}

async fn futures<F: Future, const N: usize>(all: [F; N]) -> Vec<F::Output> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done = Vec::new();
    // Begun together: each is polled once before any is waited for.
    std::future::poll_fn(|context| {
        all.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(outcome) => {
                done.push(outcome);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test]
async fn a_stolen_key_leaves_the_published_keys_and_the_standby_signs() {
    let fixture = Fixture::embedded();
    let (one, other) = (fixture.gateway().await, fixture.gateway().await);
    fixture.clock.advance(AGED);
    let stolen = signing(&one);
    let path = format!("/{stolen}/revoke");
    let (status, done) = ask(&one, "POST", &path, json!({})).await;
    assert_eq!(status, StatusCode::OK, "{done}");
    assert!(done["cost"].as_str().unwrap().contains("identities on their way"), "{done}");
    assert!(published(&one).find(&stolen).is_none());
    other.follow().await.unwrap();
    assert_eq!((signing(&one), published(&other).find(&stolen)), (signing(&other), None));
    let (again, _) = ask(&other, "POST", &path, json!({})).await;
    assert_eq!(again, StatusCode::OK, "what is repeated changes nothing");
    let (_, list) = ask(&other, "GET", "", Value::Null).await;
    let held: Vec<_> = list["keys"].as_array().unwrap().iter().map(|key| &key["state"]).collect();
    assert_eq!(held, ["revoked", "active", "pending"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_ring_or_none_changes_nothing_in_a_running_gateway() {
    for fixture in Fixture::on_both_engines().await {
        let ring = fixture.gateway().await;
        let old = read(&fixture.store, IDENTITY).await.unwrap().unwrap();
        fixture.clock.advance(AGED);
        ask(&ring, "POST", "/rotate", json!({})).await;
        let signs = signing(&ring);
        let new = read(&fixture.store, IDENTITY).await.unwrap().unwrap();
        assert!(!replace(&fixture.store, IDENTITY, Some(&old), new.clone()).await.unwrap());
        assert!(!replace(&fixture.store, IDENTITY, None, old.clone()).await.unwrap());
        assert!(replace(&fixture.store, IDENTITY, Some(&new), old).await.unwrap());
        assert!(matches!(ring.follow().await, Err(RingError::Key(_))));
        let (status, _) = ask(&ring, "POST", "/announce", json!({})).await;
        assert_eq!((status, signing(&ring)), (StatusCode::CONFLICT, signs));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_does_not_come_back_with_an_older_copy_of_the_store() {
    for fixture in Fixture::on_both_engines().await {
        let ring = fixture.gateway().await;
        fixture.clock.advance(AGED);
        let old = read(&fixture.store, IDENTITY).await.unwrap().unwrap();
        let stolen = signing(&ring);
        let (status, _) = ask(&ring, "POST", &format!("/{stolen}/revoke"), json!({})).await;
        assert_eq!(status, StatusCode::OK);
        let highest = ring.look().await.unwrap().version;
        let signs = signing(&ring);
        // An ordinary restart changes nothing.
        let again = fixture.gateway().await;
        assert_eq!((signing(&again), again.look().await.unwrap().version), (signs, highest));
        let new = read(&fixture.store, IDENTITY).await.unwrap().unwrap();
        assert!(replace(&fixture.store, IDENTITY, Some(&new), old.clone()).await.unwrap());
        let restored = fixture.gateway().await;
        assert!(published(&restored).find(&stolen).is_none());
        assert_ne!(signing(&restored), stolen);
        assert!(restored.look().await.unwrap().version > highest);
        // Gateways that went on running follow.
        ring.follow().await.unwrap();
        assert_eq!(signing(&ring), signing(&restored));
        // One that knows nothing of it would have taken the copy as it is.
        let now = read(&fixture.store, IDENTITY).await.unwrap().unwrap();
        assert!(replace(&fixture.store, IDENTITY, Some(&now), old).await.unwrap());
        let elsewhere = Fixture { folder: tempfile::tempdir().unwrap(), ..fixture };
        assert_eq!(signing(&elsewhere.gateway().await), stolen);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_refused_with_its_line() {
    let fixture = Fixture::embedded();
    fixture.gateway().await;
    let path = fixture.folder.path().join("gateway-keys.log");
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{written}revoked")).unwrap();
    let speed = Speed { every: None, pace: Pace::default() };
    let place = (fixture.store.clone(), fixture.folder.path());
    let refused = open(place, &fixture.kek, speed, fixture.clock.clone()).await.unwrap_err();
    assert!(refused.contains("line 2") && refused.contains("gateway-keys.log"), "{refused}");
}

#[tokio::test]
async fn both_sets_are_sealed_anew_under_the_current_key_encryption_key() {
    let fixture = Fixture::embedded();
    let signs = signing(&fixture.gateway().await);
    let (next, _) = KeyEncryptionKey::generate();
    let both = KeyEncryptionKeys::new(next.clone(), vec![fixture.kek.current().clone()]);
    let ring = Fixture { kek: both, ..fixture };
    let (_, done) = ask(&ring.gateway().await, "POST", "/reseal", Value::Null).await;
    assert_eq!(done["resealed"], 2);
    let fixture = Fixture { kek: (&next).into(), ..ring };
    let (_, again) = ask(&fixture.gateway().await, "POST", "/reseal", Value::Null).await;
    assert_eq!(again["resealed"], 0);
    assert_eq!(signing(&fixture.gateway().await), signs);
}

#[tokio::test]
async fn who_may_not_ask_and_what_cannot_be_is_refused_with_its_reason() {
    let fixture = Fixture::embedded();
    let ring = fixture.gateway().await;
    let stranger = Request::get(PATH).body(Body::empty()).unwrap();
    assert_eq!(answer(&ring, stranger).await.0, StatusCode::FORBIDDEN);
    let mut page =
        Request::get(PATH).header(ORIGIN, "http://localhost").body(Body::empty()).unwrap();
    page.extensions_mut().insert(AdminPeer { pid: None, uid: 0 });
    assert_eq!(answer(&ring, page).await.0, StatusCode::FORBIDDEN);
    for (path, body, status, said) in [
        ("/rotate", json!({ "algorithm": "RS256" }), StatusCode::BAD_REQUEST, "ES256"),
        ("/rotate", json!({ "urgent": true }), StatusCode::BAD_REQUEST, "urgent"),
        ("/unheard-of/revoke", json!({}), StatusCode::NOT_FOUND, "keys list --gateway"),
    ] {
        let (given, answer) = ask(&ring, "POST", path, body).await;
        let text = answer["error_description"].as_str().unwrap();
        assert!(given == status && text.contains(said), "{path}: {given} {text}");
    }
    let active = format!("/{}/retire", signing(&ring));
    assert_eq!(ask(&ring, "POST", &active, json!({})).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn operators_over_tcp_are_answered_for_the_token_alone() {
    const TOKEN: &str = "a token of the admin listener, long enough";
    let fixture = Fixture::embedded();
    let ring = fixture.gateway().await;
    let over = over_tcp(router(ring.clone(), None), &Secret::new(TOKEN.to_owned()));
    let ask = async |method: &str, path: &str, shown: &str| {
        let request = Request::builder()
            .method(method)
            .uri(format!("{PATH}{path}"))
            .header(HOST, "127.0.0.1:7429")
            .header(AUTHORIZATION, format!("Bearer {shown}"));
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000))));
        let Ok(response) = over.clone().oneshot(request).await;
        response.status()
    };
    let before = ring.look().await.unwrap().version;
    for (method, path) in [("GET", ""), ("POST", "/announce"), ("POST", "/reseal")] {
        assert_eq!(ask(method, path, "another").await, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(ring.look().await.unwrap().version, before);
    assert_eq!(ask("GET", "", TOKEN).await, StatusCode::OK);
    assert_eq!(ask("POST", "/announce", TOKEN).await, StatusCode::OK);
    assert_eq!(ring.look().await.unwrap().version, before + 1);
}
