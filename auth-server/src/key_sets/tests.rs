//! Several servers on one store: they follow each other, one of them leads, and whoever ends
//! where leaves a set that holds its rules.

use keys::KeyEncryptionKey;
use shared::deployment::Deployment;

use super::*;
use crate::{
    App,
    config::{Config, Parts, RawKeys},
    store::EmbeddedStore,
    testing,
};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

struct Fixture {
    clock: Clock,
    kek: KeyEncryptionKeys,
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = store::Embedded::open(&folder.path().join("auth.redb")).unwrap();
        let (kek, _) = KeyEncryptionKey::generate();
        Self {
            clock: Clock::manual(START),
            kek: (&kek).into(),
            store: Arc::new(EmbeddedStore::new(engine, "epoch".to_owned())),
            _folder: folder,
        }
    }

    async fn server(&self, name: &str) -> KeySets {
        self.server_with(name, self.kek.clone()).await.unwrap()
    }

    async fn server_with(
        &self,
        name: &str,
        kek: KeyEncryptionKeys,
    ) -> Result<KeySets, KeyChangeError> {
        let store = Arc::clone(&self.store);
        KeySets::open(store, kek, config().keys, self.clock.clone(), name.to_owned()).await
    }

    /// A whole server on the same store.
    async fn app(&self, name: &str) -> App {
        self.app_with(name, "24h").await
    }

    async fn app_with(&self, name: &str, every: &str) -> App {
        let folder = tempfile::tempdir().unwrap();
        let engine = store::Embedded::open(&folder.path().join("own.redb")).unwrap();
        let engine = crate::Engine::Embedded(engine, None);
        let config = config_with(every);
        let policy = config.keys.clone();
        let app = App::open(config, engine, self.clock.clone(), self.kek.clone()).await.unwrap();
        let (store, kek) = (Arc::clone(&self.store), self.kek.clone());
        let keys = KeySets::open(store, kek, policy, self.clock.clone(), name.to_owned()).await;
        let keys = Arc::new(keys.unwrap());
        app.with_keys(keys, Arc::clone(&self.store))
    }
}

fn config() -> Config {
    config_with("24h")
}

fn config_with(every: &str) -> Config {
    let deployment: Deployment = testing::deployment();
    let parts = Parts {
        auth: toml::from_str("").unwrap(),
        clients: Vec::new(),
        deployment,
        internal_credential: None,
        keys: RawKeys { rotate_every: Some(every.to_owned()), ..RawKeys::default() },
        trusted_proxies: web::client_address::TrustedProxies::default(),
    };
    Config::resolve(parts, &|_| Ok(String::new())).unwrap()
}

fn issuer(keys: &KeySets) -> KeySet {
    keys.sets().into_iter().find(|set| set.purpose() == Purpose::Issuer).unwrap()
}

fn signing(keys: &KeySets) -> KeyId {
    issuer(keys).active().unwrap().id.clone()
}

const ES256: Algorithm = Algorithm::Es256;

fn announce(set: &KeySet, now: Timestamp) -> Result<KeySet, KeyError> {
    set.announce(set.algorithms()[0], now)
}

async fn rotate(keys: &KeySets) -> KeySet {
    let dwell = keys.policy.dwell(Purpose::Issuer);
    let act = |set: &KeySet, now| {
        let standby = set.standby().unwrap().id.clone();
        set.activate(&standby, now, &dwell, keys::Urgency::Orderly)
    };
    keys.change(Purpose::Issuer, act).await.unwrap()
}

#[tokio::test]
async fn the_server_that_changes_keys_follows_at_once_and_the_other_when_it_looks() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.server("one").await, fixture.server("other").await);
    assert_eq!(signing(&one), signing(&other));
    fixture.clock.advance(Duration::from_hours(1));
    other.keep_fresh().await;
    let before = signing(&other);
    let rotated = rotate(&one).await;
    assert_eq!(signing(&one), rotated.active().unwrap().id);
    assert_eq!(signing(&other), before);
    fixture.clock.advance(Duration::from_secs(16));
    other.keep_fresh().await;
    assert_eq!(signing(&other), signing(&one));
    assert_eq!(one.held().jwks, other.held().jwks);
}

#[tokio::test]
async fn a_view_that_is_young_enough_is_not_confirmed_again() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.server("one").await, fixture.server("other").await);
    fixture.clock.advance(Duration::from_hours(1));
    other.keep_fresh().await;
    let (rotated, second) = (rotate(&one).await, Duration::from_secs(1));
    let new = rotated.active().unwrap().id.clone();
    assert!(other.is_seen_within(second));
    other.seen_within(second).await.unwrap();
    assert_ne!(signing(&other), new);
    fixture.clock.advance(second);
    assert!(!other.is_seen_within(second));
    other.seen_within(second).await.unwrap();
    assert_eq!(signing(&other), new);
    assert_eq!(one.held().jwks_tag, other.held().jwks_tag);
}

#[tokio::test]
async fn nobody_signs_with_a_view_of_the_keys_older_than_thirty_seconds() {
    let fixture = Fixture::new();
    let server = fixture.server("one").await;
    fixture.clock.advance(Duration::from_secs(30));
    assert!(server.sign(ES256, "at+jwt", &serde_json::json!({})).is_ok());
    fixture.clock.advance(Duration::from_millis(1));
    let refused = server.sign(ES256, "at+jwt", &serde_json::json!({})).unwrap_err();
    assert!(matches!(refused, Fault::KeysBehind));
    server.keep_fresh().await;
    assert!(server.sign(ES256, "at+jwt", &serde_json::json!({})).is_ok());
}

#[tokio::test]
async fn keys_are_not_made_anew_when_the_store_has_lost_them() {
    let fixture = Fixture::new();
    let server = fixture.server("one").await;
    let store = &*fixture.store;
    assert!(store.delete(crate::store::Kind::KeySet, "issuer").await.unwrap());
    fixture.clock.advance(Duration::from_secs(31));
    let lost = server.seen_since(fixture.clock.now()).await.unwrap_err();
    assert!(matches!(lost, KeyChangeError::Missing(Purpose::Issuer)));
    assert!(server.sign(ES256, "at+jwt", &serde_json::json!({})).is_err());
}

#[tokio::test]
async fn a_refresh_key_of_another_server_is_found_by_looking_again() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.server("one").await, fixture.server("other").await);
    let announced = one.change(Purpose::RefreshMac, announce).await.unwrap();
    let newest = announced.secrets();
    fixture.clock.advance(Duration::from_secs(2));
    let before = other.sets().into_iter().find(|set| set.purpose() == Purpose::RefreshMac);
    assert_eq!(before.unwrap().records().len(), 2);
    other.look_again().await;
    let after = other.sets().into_iter().find(|set| set.purpose() == Purpose::RefreshMac).unwrap();
    assert_eq!(after.records().len(), 3);
    assert_eq!(after.secrets().current().id(), newest.current().id());
}

#[tokio::test]
async fn one_server_leads_and_another_takes_over_when_it_ends_at_any_step() {
    let fixture = Fixture::new();
    let (mut one, mut other) = (fixture.app("one").await, fixture.app("other").await);
    let (mut held, mut taken) = (None, None);
    one.lead(&mut held).await.unwrap();
    other.lead(&mut taken).await.unwrap();
    assert_eq!((held, taken), (Some(1), None), "one server leads");
    // Each step is taken by the leader of the moment, which then ends; the next one goes on.
    let mut states = Vec::new();
    for _ in 0..12 {
        fixture.clock.advance(Duration::from_hours(6));
        other.keys.seen_since(fixture.clock.now()).await.unwrap();
        other.lead(&mut taken).await.unwrap();
        let set = issuer(&other.keys);
        let active = set.records().iter().filter(|key| key.state == keys::KeyState::Active);
        assert_eq!(active.count(), 1, "exactly one key signs");
        assert!(set.standby().is_some());
        states.push(signing(&other.keys));
        std::mem::swap(&mut one, &mut other);
        std::mem::swap(&mut held, &mut taken);
    }
    states.dedup();
    assert!((3..=4).contains(&states.len()), "a key signs for a day: {states:?}");
    // Who led before and comes back late changes nothing.
    let stale = issuer(&one.keys).led_by(1);
    assert!(matches!(stale, Err(KeyError::OtherLeader { .. })), "{stale:?}");
}

#[tokio::test]
async fn keys_are_sealed_anew_only_when_every_running_server_can_open_them() {
    let fixture = Fixture::new();
    let old = fixture.server("old").await;
    old.report().await.unwrap();
    let (new, _) = KeyEncryptionKey::generate();
    let both = KeyEncryptionKeys::new(new.clone(), vec![fixture.kek.current().clone()]);
    let server = fixture.server_with("new", both).await.unwrap();
    server.report().await.unwrap();
    // A server with the new key changes sets that the old one still reads.
    server.change(Purpose::Issuer, announce).await.unwrap();
    old.seen_since(fixture.clock.now()).await.unwrap();
    let refused = server.reseal().await.unwrap_err();
    assert!(refused.to_string().contains("the server old cannot open"), "{refused}");
    old.withdraw_report().await.unwrap();
    assert_eq!(server.reseal().await.unwrap(), 3);
    assert_eq!(server.reseal().await.unwrap(), 0);
    let alone = fixture.server_with("next", (&new).into()).await.unwrap();
    assert_eq!(signing(&alone), signing(&server));
    let wrong = fixture.server_with("wrong", fixture.kek.clone()).await.unwrap_err();
    let text = wrong.to_string();
    assert!(text.contains(new.id()) && text.contains(fixture.kek.current().id()), "{text}");
}

#[tokio::test]
async fn a_start_with_a_clock_ten_minutes_behind_is_refused() {
    let fixture = Fixture::new();
    fixture.server("one").await;
    let behind = Fixture { clock: Clock::manual(START.minus(Duration::from_mins(10))), ..fixture };
    let refused = behind.server_with("behind", behind.kek.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("600 s behind"), "{refused}");
}

#[tokio::test]
async fn a_revoked_key_is_told_and_told_again_by_the_next_leader() {
    let fixture = Fixture::new();
    let app = fixture.app("one").await;
    let stolen = signing(&app.keys);
    fixture.clock.advance(Duration::from_hours(1));
    let actor = crate::audit::Actor::Server { name: "test".to_owned(), term: 0 };
    let urgency = keys::Urgency::Orderly;
    app.revoke_key(Purpose::Issuer, &stolen, urgency, &actor).await.unwrap();
    app.revoke_key(Purpose::Issuer, &stolen, urgency, &actor).await.unwrap();
    assert_ne!(signing(&app.keys), stolen);
    let told = |events: shared::internal::Events| {
        events.events.contains(&shared::internal::Event::Key { key: stolen.clone() })
    };
    assert!(told(app.events(None).await.unwrap()));
    let cursor = app.events(None).await.unwrap().cursor;
    app.lead(&mut None).await.unwrap();
    assert!(told(app.events(Some(&cursor)).await.unwrap()), "a new leader says it again");
}

#[tokio::test]
async fn a_lost_lease_begins_a_new_term_and_keys_go_on_changing() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.app("one").await, fixture.app("other").await);
    let mut held = None;
    for term in 1..=3 {
        fixture.clock.advance(Duration::from_hours(25));
        let before = signing(&one.keys);
        one.keys.seen_since(fixture.clock.now()).await.unwrap();
        // What retires goes before what follows it.
        one.lead(&mut held).await.unwrap();
        one.lead(&mut held).await.unwrap();
        assert_eq!(held, Some(term));
        assert_ne!(signing(&one.keys), before, "the keys change in term {term}");
        assert!(fixture.store.delete(crate::store::Kind::KeyLease, "rotation").await.unwrap());
    }
    let mut taken = None;
    other.keys.seen_since(fixture.clock.now()).await.unwrap();
    other.lead(&mut taken).await.unwrap();
    assert_eq!(taken, Some(4), "another server goes on from there too");
}

#[tokio::test]
async fn keys_that_are_never_replaced_are_still_wiped_when_they_are_over() {
    let fixture = Fixture::new();
    let app = fixture.app_with("one", "never").await;
    fixture.clock.advance(Duration::from_hours(1));
    app.lead(&mut None).await.unwrap();
    let before = signing(&app.keys);
    rotate(&app.keys).await;
    fixture.clock.advance(Duration::from_hours(1));
    app.keys.seen_since(fixture.clock.now()).await.unwrap();
    app.lead(&mut None).await.unwrap();
    let set = issuer(&app.keys);
    let old = set.records().iter().find(|key| key.id == before).unwrap();
    assert_eq!(old.state, keys::KeyState::Retired);
}

#[tokio::test]
async fn a_failover_that_lost_a_rotation_gets_it_back_from_a_server_that_holds_it() {
    let fixture = Fixture::new();
    let server = fixture.server("one").await;
    let older = fixture.store.key_set("issuer").await.unwrap().unwrap();
    fixture.clock.advance(Duration::from_hours(1));
    let rotated = rotate(&server).await;
    let newer = fixture.store.key_set("issuer").await.unwrap().unwrap();
    assert!(fixture.store.replace_key_set("issuer", Some(&newer), &older).await.unwrap());
    fixture.clock.advance(Duration::from_secs(1));
    server.seen_since(fixture.clock.now()).await.unwrap();
    assert_eq!(fixture.store.key_set("issuer").await.unwrap().unwrap(), newer);
    assert_eq!(signing(&server), rotated.active().unwrap().id);
}

#[tokio::test]
async fn keys_revoked_since_a_back_up_stay_revoked_and_versions_go_on_when_it_is_put_back() {
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().unwrap();
    let log = crate::store::Journal::open(&folder.path().join("log"), START).unwrap();
    let engine = store::Embedded::open(&folder.path().join("logged.redb")).unwrap();
    let store = EmbeddedStore::open(engine, "epoch".to_owned(), log, START).await.unwrap();
    let fixture = Fixture { store: Arc::new(store), ..fixture };
    let app = fixture.app("one").await;
    let names = PURPOSES.map(RecordName::record_name);
    let mut backup = Vec::new();
    for name in names {
        backup.push(fixture.store.key_set(name).await.unwrap().unwrap());
    }
    fixture.clock.advance(Duration::from_hours(1));
    let actor = crate::audit::Actor::Server { name: "test".to_owned(), term: 0 };
    let mut gone = Vec::new();
    for set in app.keys.sets() {
        let (key, urgency) = (set.active().unwrap().id.clone(), keys::Urgency::Emergency);
        app.revoke_key(set.purpose(), &key, urgency, &actor).await.unwrap();
        gone.push(key);
    }
    let versions = app.keys.sets().into_iter().map(|set| set.version).collect::<Vec<_>>();
    for (name, record) in names.into_iter().zip(&backup) {
        let now = fixture.store.key_set(name).await.unwrap().unwrap();
        assert!(fixture.store.replace_key_set(name, Some(&now), record).await.unwrap());
    }
    let restored = fixture.server("restored").await;
    for ((set, key), version) in restored.sets().iter().zip(&gone).zip(versions) {
        assert!(set.revoked().any(|revoked| revoked == key), "{key} lives again");
        assert_ne!(&set.active().unwrap().id, key);
        assert!(set.version > version, "versions never go back");
    }
}

#[tokio::test]
async fn an_algorithm_that_is_new_is_published_before_it_signs() {
    let fixture = Fixture::new();
    let old = fixture.server("old").await;
    let mut policy = config().keys;
    policy.algorithms.push(Algorithm::EdDsa);
    let (store, kek) = (Arc::clone(&fixture.store), fixture.kek.clone());
    let open = KeySets::open(store, kek, policy, fixture.clock.clone(), "new".to_owned());
    let new = open.await.unwrap();
    assert_eq!(issuer(&new).algorithms(), [ES256, Algorithm::EdDsa]);
    assert_eq!(new.signs(Algorithm::EdDsa), ES256);
    let early = new.sign(Algorithm::EdDsa, "at+jwt", &serde_json::json!({})).unwrap_err();
    assert!(matches!(early, Fault::KeysBehind));
    assert_eq!(signing(&new), signing(&old));
    let app = fixture.app("app").await.with_keys(Arc::new(new), Arc::clone(&fixture.store));
    fixture.clock.advance(Duration::from_mins(12));
    app.keys.seen_since(fixture.clock.now()).await.unwrap();
    app.lead(&mut None).await.unwrap();
    assert_eq!(app.keys.signs(Algorithm::EdDsa), Algorithm::EdDsa);
    assert!(app.keys.sign(Algorithm::EdDsa, "at+jwt", &serde_json::json!({})).is_ok());
}
