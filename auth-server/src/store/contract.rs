//! What every store must do, as one list that each engine passes.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use shared::{
    deployment::IdleBy,
    ids::{ClientId, FamilyId, UserId},
    internal::Event,
    resource::ResourceIndicator,
    scope::Scope,
    secret::SecretHash,
    time::{Clock, Timestamp},
};

use super::{
    CodeRecord, EmbeddedStore, Owner, Redemption, RedisStore, Session, Store, client_contract,
    family_contract, guarded_contract, record_contract,
};
use crate::rules::{
    client::ProofMethod,
    consent::Grant,
    openid::Method,
    pkce::CodeChallenge,
    redirect_uri::RedirectTarget,
    refresh_token::Nonce,
    rotation::{Attempt, Context, Family, Policy, Presented, Step},
};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Runs the whole list against one engine.
async fn holds(store: Arc<dyn Store>) {
    a_ticket_is_taken_once(&*store).await;
    client_contract::holds(&store).await;
    record_contract::holds(&store).await;
    a_session_is_found_by_its_secret_alone(&*store).await;
    a_code_is_redeemed_once(Arc::clone(&store)).await;
    wrong_verifiers_burn_a_code_and_never_a_family(&*store).await;
    an_expired_code_is_unknown(&*store).await;
    one_token_has_one_successor(Arc::clone(&store)).await;
    a_family_that_lost_writes_is_rolled_forward_by_its_own_chain(&*store).await;
    a_revoked_family_stays_revoked_and_is_on_the_feed(&*store).await;
    a_key_set_changes_by_compare_and_set(&*store).await;
    the_feed_continues_where_the_reader_stands(&*store).await;
    family_contract::holds(&*store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_holds_the_contract() {
    let engine = store::Embedded::memory().unwrap();
    holds(Arc::new(EmbeddedStore::new(engine, "epoch".to_owned()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_holds_the_contract() {
    let server = store::test_server::RedisServer::start();
    let redis = store::Redis::connect(server.config("auth:")).await.unwrap();
    holds(Arc::new(RedisStore::new(redis, "epoch".to_owned(), true))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_holds_the_contract_in_a_cluster() {
    let cluster = tokio::task::spawn_blocking(store::test_server::Cluster::start).await.unwrap();
    let redis = store::Redis::connect(cluster.config("auth:")).await.unwrap();
    holds(Arc::new(RedisStore::new(redis, "epoch".to_owned(), true))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guarded_store_holds_the_contract() {
    let server = store::test_server::RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let store = guarded_contract::guarded(server.config("auth:"), &path, Clock::System).await;
    holds(Arc::new(store)).await;
}

pub(super) fn hash(text: &str) -> SecretHash {
    SecretHash::of(text.as_bytes())
}

pub(crate) fn id(byte: u8) -> FamilyId {
    FamilyId::from_bytes([byte; 16])
}

pub(super) fn client() -> ClientId {
    ClientId::parse("app").unwrap()
}

pub(super) fn grant() -> Grant {
    Grant {
        client: client(),
        identity: Scope::default(),
        scopes: BTreeMap::from([(
            ResourceIndicator::parse("https://mcp.example/mcp").unwrap(),
            Scope::parse("a b").unwrap(),
        )]),
        signed_in: Some(NOW),
        user: UserId::parse("usr_1").unwrap(),
        workspaces: BTreeSet::new(),
    }
}

fn nonce(generation: u32) -> Nonce {
    u128::from(generation).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()
}

pub(crate) fn token(generation: u32) -> Presented {
    let (nonce, next) = (nonce(generation), nonce(generation + 1));
    Presented { generation, issued: NOW, next, nonce }
}

pub(crate) fn family() -> Family {
    Family {
        absolute_expiry: NOW.plus(SECOND * 90 * 86_400),
        confirmed: false,
        contested: None,
        created: NOW,
        generation: 0,
        grant: grant(),
        idle: SECOND * 30 * 86_400,
        idle_by: IdleBy::Refresh,
        idle_expiry: NOW.plus(SECOND * 30 * 86_400),
        mac_key: [1, 2, 3, 4],
        nonce: nonce(0),
        proof: ProofMethod::None,
        replays: 0,
        revoked: false,
        rotates: true,
        rotations: VecDeque::new(),
        used: NOW,
    }
}

pub(crate) fn code() -> CodeRecord {
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let redirects = ["https://app.example/cb".to_owned()];
    CodeRecord {
        challenge: CodeChallenge::parse(Some(challenge), Some("S256")).unwrap(),
        expires: NOW.plus(SECOND * 60),
        grant: grant(),
        issued: NOW,
        method: Some(Method::Password),
        nonce: Some("nonce".to_owned()),
        redirect: RedirectTarget::find(&redirects, None).unwrap(),
    }
}

pub(super) fn policy() -> Policy {
    Policy {
        grace: SECOND * 120,
        lost: SECOND * 7 * 86_400,
        most_replays: 512,
        soft: SECOND * 3600,
        strict: false,
    }
}

pub(crate) async fn create(store: &dyn Store, family_id: FamilyId) {
    create_as(store, family_id, &family()).await;
}

pub(crate) async fn create_as(store: &dyn Store, family_id: FamilyId, family: &Family) {
    store.put_code(family_id, &hash("code"), &code()).await.unwrap();
    let made = store.redeem_code(family_id, &hash("code"), NOW, family).await.unwrap();
    assert_eq!(made, Redemption::First(Box::new(family.clone())));
}

pub(crate) async fn present(
    store: &dyn Store,
    family_id: FamilyId,
    token: Presented,
    after: u32,
) -> Step {
    let client = client();
    let now = NOW.plus(SECOND * after);
    let attempt = Attempt {
        client: &client,
        context: Context(0),
        now,
        policy: policy(),
        proof: ProofMethod::None,
    };
    store.rotate_refresh(family_id, &token, &attempt).await.unwrap().unwrap().step
}

async fn a_ticket_is_taken_once(store: &dyn Store) {
    let expires = real_now().plus(SECOND * 60);
    assert!(store.take_ticket("digest", expires).await.unwrap());
    assert!(!store.take_ticket("digest", expires).await.unwrap());
}

/// Redis forgets by its own clock, so what must stay has to expire after the real present.
pub(super) fn real_now() -> Timestamp {
    Clock::System.now().max(NOW)
}

async fn a_session_is_found_by_its_secret_alone(store: &dyn Store) {
    let session = Session {
        agent: "Firefox".to_owned(),
        expires: real_now().plus(SECOND * 60),
        id: "one".to_owned(),
        last_seen: NOW,
        method: Some(Method::Password),
        network: String::new(),
        signed_in: NOW,
        user: UserId::parse("usr_1").unwrap(),
    };
    store.put_session(&hash("session"), &session).await.unwrap();
    let (found, another) = (hash("session"), hash("another"));
    assert_eq!(store.session(&found).await.unwrap().as_ref(), Some(&session));
    assert_eq!(store.session(&another).await.unwrap(), None);
    store.touch_session(&found, NOW.plus(SECOND)).await.unwrap();
    store.touch_session(&another, NOW).await.unwrap();
    let touched = Session { last_seen: NOW.plus(SECOND), ..session.clone() };
    let listed = store.sessions(&session.user, real_now()).await.unwrap();
    assert_eq!(listed, [(found.clone(), touched)]);
    store.end_session(&found, &session, NOW).await.unwrap();
    // A use that comes late brings nothing back.
    store.touch_session(&found, NOW).await.unwrap();
    assert_eq!(store.session(&found).await.unwrap(), None);
    assert!(store.sessions(&session.user, real_now()).await.unwrap().is_empty());
}

async fn a_code_is_redeemed_once(store: Arc<dyn Store>) {
    let family_id = id(1);
    store.put_code(family_id, &hash("code"), &code()).await.unwrap();
    let racers: Vec<_> = (0..32)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::task::spawn_blocking(move || {
                let (code, created) = (hash("code"), family());
                let redeem = store.redeem_code(family_id, &code, NOW, &created);
                tokio::runtime::Handle::current().block_on(redeem).unwrap()
            })
        })
        .collect();
    let mut first = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Redemption::First(created) => {
                assert_eq!(*created, family());
                first += 1;
            }
            Redemption::Again(at) => assert_eq!(at, NOW),
            Redemption::Gone => panic!("a redeemed code is remembered"),
        }
    }
    assert_eq!(first, 1);
    assert_eq!(store.family(family_id).await.unwrap(), Some(family()));
    let (_, used) = store.code(family_id, &hash("code"), NOW).await.unwrap().unwrap();
    assert_eq!(used, Some(NOW));
    let person = UserId::parse("usr_1").unwrap();
    assert!(
        store.families_of(Owner::Person(&person), None, 10).await.unwrap().contains(&family_id)
    );
    let stranger = UserId::parse("usr_2").unwrap();
    assert!(store.families_of(Owner::Person(&stranger), None, 10).await.unwrap().is_empty());
    // Page by page, each once.
    let owner = || Owner::Person(&person);
    let all = store.families_of(owner(), None, 100).await.unwrap();
    let (mut paged, mut after) = (Vec::new(), None);
    while let Some(next) = store.families_of(owner(), after, 1).await.unwrap().first() {
        paged.push(*next);
        after = Some(*next);
    }
    assert_eq!(paged, all);
}

async fn wrong_verifiers_burn_a_code_and_never_a_family(store: &dyn Store) {
    let family_id = id(2);
    store.put_code(family_id, &hash("code"), &code()).await.unwrap();
    for _ in 0..2 {
        store.miss_code(family_id, &hash("code")).await.unwrap();
        assert!(store.code(family_id, &hash("code"), NOW).await.unwrap().is_some());
    }
    store.miss_code(family_id, &hash("code")).await.unwrap();
    assert!(store.code(family_id, &hash("code"), NOW).await.unwrap().is_none());
    create(store, id(3)).await;
    for _ in 0..5 {
        store.miss_code(id(3), &hash("code")).await.unwrap();
    }
    assert!(store.family(id(3)).await.unwrap().is_some_and(|family| !family.revoked));
}

async fn an_expired_code_is_unknown(store: &dyn Store) {
    let (family_id, late) = (id(4), NOW.plus(SECOND * 61));
    store.put_code(family_id, &hash("code"), &code()).await.unwrap();
    assert!(store.code(family_id, &hash("code"), late).await.unwrap().is_none());
    let made = store.redeem_code(family_id, &hash("code"), late, &family()).await.unwrap();
    assert_eq!(made, Redemption::Gone);
    assert_eq!(store.family(family_id).await.unwrap(), None);
}

async fn one_token_has_one_successor(store: Arc<dyn Store>) {
    let family_id = id(5);
    create(&*store, family_id).await;
    let racers: Vec<_> = (0..32)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::task::spawn_blocking(move || {
                let run = present(&*store, family_id, token(0), 1);
                tokio::runtime::Handle::current().block_on(run)
            })
        })
        .collect();
    let mut steps = Vec::new();
    for racer in racers {
        steps.push(racer.await.unwrap());
    }
    assert_eq!(steps.iter().filter(|step| **step == Step::Rotated).count(), 1);
    assert_eq!(steps.iter().filter(|step| **step == Step::Replayed).count(), 31);
    let family = store.family(family_id).await.unwrap().unwrap();
    assert_eq!((family.generation, family.nonce), (1, nonce(1)));
}

async fn a_family_that_lost_writes_is_rolled_forward_by_its_own_chain(store: &dyn Store) {
    let family_id = id(6);
    create(store, family_id).await;
    assert_eq!(present(store, family_id, token(4), 1).await, Step::Ahead);
    let wrong = (0, nonce(9));
    let from_here = (NOW, Context(0));
    assert!(!store.roll_forward(family_id, wrong, (4, nonce(4)), from_here).await.unwrap());
    let right = (0, nonce(0));
    assert!(store.roll_forward(family_id, right, (4, nonce(4)), from_here).await.unwrap());
    assert!(!store.roll_forward(family_id, right, (4, nonce(4)), from_here).await.unwrap());
    let mut model = family();
    model.roll_forward((4, nonce(4)), NOW, Context(0));
    assert_eq!(store.family(family_id).await.unwrap(), Some(model));
    // A sibling that still holds a lost generation is inside the grace, before and after.
    assert_eq!(present(store, family_id, token(3), 1).await, Step::Replayed);
    assert_eq!(present(store, family_id, token(4), 1).await, Step::Rotated);
    assert_eq!(present(store, family_id, token(3), 2).await, Step::Replayed);
}

async fn a_revoked_family_stays_revoked_and_is_on_the_feed(store: &dyn Store) {
    let family_id = id(7);
    create(store, family_id).await;
    assert!(store.revoke_family(family_id, NOW).await.unwrap());
    assert!(!store.revoke_family(family_id, NOW).await.unwrap());
    assert_eq!(present(store, family_id, token(0), 1).await, Step::Revoked);
    let feed = store.feed(None).await.unwrap();
    assert!(feed.events.contains(&Event::Family { family: family_id }));
}

async fn a_key_set_changes_by_compare_and_set(store: &dyn Store) {
    assert_eq!(store.key_set("x").await.unwrap(), None);
    assert!(store.replace_key_set("x", None, b"one").await.unwrap());
    assert!(!store.replace_key_set("x", None, b"two").await.unwrap());
    assert!(!store.replace_key_set("x", Some(b"zero"), b"two").await.unwrap());
    assert!(store.replace_key_set("x", Some(b"one"), b"two").await.unwrap());
    assert_eq!(store.key_set("x").await.unwrap(), Some(b"two".to_vec()));
}

async fn the_feed_continues_where_the_reader_stands(store: &dyn Store) {
    let before = store.feed(None).await.unwrap();
    let event = Event::Person { user: UserId::parse("usr_9").unwrap(), not_after: NOW };
    store.append_event(&event, NOW).await.unwrap();
    let after = store.feed(Some(before.last)).await.unwrap();
    assert_eq!((after.epoch, after.events), (before.epoch, vec![event]));
    assert!(store.feed(Some(after.last)).await.unwrap().events.is_empty());
}
