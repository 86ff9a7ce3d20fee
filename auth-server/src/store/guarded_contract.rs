//! What the journal keeps when Redis does not: a failover to a replica that lost writes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use shared::{ids::UserId, internal::Event, time::Clock};
use store::test_server::{RedisServer, Sentinels};

use super::{
    EventFeed, Expected, Families, GuardedStore, Journal, Kind, Owner, Records, RedisStore,
    contract::{NOW, SECOND, code, create, id, present, token},
};
use crate::rules::rotation::Step;

fn clock() -> Clock {
    Clock::manual(NOW)
}

/// A store with its journal.
pub(super) async fn guarded(
    config: store::RedisConfig,
    journal: &Path,
    clock: Clock,
) -> GuardedStore {
    let redis = store::Redis::connect(config).await.unwrap();
    let inner = RedisStore::new(redis, "epoch".to_owned(), true);
    let journal = Journal::open(journal, clock.now()).unwrap();
    GuardedStore::open(inner, journal, clock).await.unwrap()
}

/// The replica gets nothing from the moment it is cut off, and is promoted when the primary dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_lost_revocations_revokes_nothing_less() {
    let start = Sentinels::start;
    let mut servers = tokio::task::spawn_blocking(start).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = || store::RedisConfig { response_timeout: SECOND * 2, ..servers.config("auth:") };
    let own = guarded(config(), &folder.path().join("own"), clock()).await;
    let other = guarded(config(), &folder.path().join("other"), clock()).await;
    let (mine, theirs, alive, lost) = (id(20), id(21), id(22), id(23));
    for family in [mine, theirs, alive] {
        create(&own, family).await;
    }
    servers.primary.ask(&["WAIT", "1", "5000"]);
    servers.replica.ask(&["CONFIG", "SET", "masterauth", "wrong"]);
    servers.primary.ask(&["CLIENT", "KILL", "TYPE", "replica"]);
    assert!(own.revoke_family(mine, NOW).await.unwrap());
    assert!(other.revoke_family(theirs, NOW).await.unwrap());
    let event = Event::Person { user: UserId::parse("usr_7").unwrap(), not_after: NOW };
    own.append_event(&event, NOW).await.unwrap();
    assert_eq!(present(&own, alive, token(0), 1).await, Step::Rotated);
    create(&own, lost).await;
    assert!(own.family(lost).await.unwrap().is_some());
    servers.primary.stop();
    // Each waits for the failover, and neither serves before what it knows is in force again.
    assert_eq!(present(&own, mine, token(0), 2).await, Step::Revoked);
    assert_eq!(present(&other, theirs, token(0), 2).await, Step::Revoked);
    let known = own.family(alive).await.unwrap().unwrap();
    assert_eq!(known.generation, 0, "the replica lost nothing, so this proves nothing");
    assert_eq!(present(&own, alive, token(1), 2).await, Step::Ahead);
    assert_eq!(own.family(lost).await.unwrap(), None);
    let feed = own.feed(None).await.unwrap();
    for event in [Event::Family { family: mine }, Event::Family { family: theirs }, event] {
        assert!(feed.events.contains(&event), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_of_one_process_has_what_another_revoked() {
    let server = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("listener");
    let own = guarded(server.config("auth:"), &folder.path().join("own"), clock()).await;
    let listener = guarded(server.config("auth:"), &path, clock()).await;
    create(&own, id(30)).await;
    own.revoke_family(id(30), NOW).await.unwrap();
    let limit = Instant::now() + SECOND * 10;
    let text = id(30).to_string();
    while !std::fs::read_to_string(&path).unwrap().contains(&text) {
        assert!(Instant::now() < limit, "the listener heard nothing");
        listener.feed(None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // All was lost: the listener alone brings it back.
    server.ask(&["FLUSHALL"]);
    create(&own, id(30)).await;
    drop((own, listener));
    let again = guarded(server.config("auth:"), &path, clock()).await;
    assert_eq!(present(&again, id(30), token(0), 1).await, Step::Revoked);
}

/// The first request after Redis came back finds a connection that broke meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_safe_to_repeat_does_not_fail_after_redis_came_back() {
    let mut server = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let store = guarded(server.config("auth:"), &path, Clock::System).await;
    create(&store, id(40)).await;
    let hash = shared::secret::SecretHash::of(b"again");
    for round in 0..3 {
        for verb in 0..9 {
            server.stop();
            server.restart();
            let done = match verb {
                0 => store.record(Kind::Session, "none").await.map(drop),
                1 => store.records(Kind::Client, "", None, 5).await.map(drop),
                2 => store.count(Kind::Client).await.map(drop),
                3 => store.code(id(40), &hash, NOW).await.map(drop),
                4 => store.families_of(owner(), None, 5).await.map(drop),
                5 => store.feed(None).await.map(drop),
                6 => store.put_code(id(41), &hash, &code()).await,
                7 => store.family(id(40)).await.map(drop),
                _ => {
                    let anything = Expected::Anything;
                    let replaced =
                        store.replace_record(Kind::Client, "it", anything, Some(b"1"), None);
                    replaced.await.map(drop)
                }
            };
            assert!(done.is_ok(), "verb {verb} in round {round}: {done:?}");
        }
    }
}

fn owner() -> Owner<'static> {
    static PERSON: std::sync::LazyLock<UserId> =
        std::sync::LazyLock::new(|| UserId::parse("usr_1").unwrap());
    Owner::Person(&PERSON)
}
