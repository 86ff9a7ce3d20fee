//! Somebody with more grants than any page shows.

use shared::time::Clock;
use store::test_server::RedisServer;

use super::*;
use crate::{
    Engine,
    store::contract::{NOW, create, id},
    testing,
};

const MANY: usize = 1100;

async fn app(engine: Engine) -> (App, UserId) {
    let (kek, _) = keys::KeyEncryptionKey::generate();
    let clock = Clock::manual(NOW);
    let app = App::open(testing::config(), engine, clock, &kek).await.unwrap();
    assert!(app.store.create_client(&testing::client()).await.unwrap());
    let person = UserId::parse("usr_1").unwrap();
    assert!(app.store.create_account(&testing::account(&person, NOW)).await.unwrap());
    (app, person)
}

fn family(number: usize) -> FamilyId {
    let mut bytes = [9; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    FamilyId::from_bytes(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_listed_and_ended_however_much_it_is() {
    let engine = Engine::Embedded(store::Embedded::memory().unwrap(), None);
    let (app, person) = app(engine).await;
    for number in 0..MANY {
        create(&*app.store, family(number)).await;
    }
    assert_eq!(app.grants_of(&person).await.unwrap().len(), MANY);
    assert_eq!(app.revoke_grants(&person).await.unwrap(), MANY);
    assert!(app.grants_of(&person).await.unwrap().is_empty());
    for number in 0..MANY {
        assert!(app.store.family(family(number)).await.unwrap().unwrap().revoked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_no_index_knows_any_more_is_over_too() {
    let (folder, server) = (tempfile::tempdir().unwrap(), RedisServer::start());
    let redis = store::Redis::connect(server.config("auth:")).await.unwrap();
    let (app, person) = app(Engine::Redis(redis, folder.path().join("log"))).await;
    create(&*app.store, id(1)).await;
    let created = app.store.family(id(1)).await.unwrap().unwrap().created;
    let is_live = async || {
        app.accounts.forget(&person);
        app.accounts.user(&person).await.unwrap().unwrap().accepts_grant(created)
    };
    assert!(is_live().await);
    server.ask(&["DEL", "auth:grants:usr_1"]);
    assert_eq!(app.revoke_grants(&person).await.unwrap(), 0, "the index still knows it");
    assert!(!is_live().await);
    let user = app.accounts.user(&person).await.unwrap().unwrap();
    assert!(user.accepts(created), "sessions and API keys go on");
    assert!(user.accepts_grant(user.begins(app.clock.now())), "and new grants are made");
}
