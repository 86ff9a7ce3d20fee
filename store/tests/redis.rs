//! What the Redis engine promises, seen from outside, on a real server.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use store::{Redis, RedisConfig, Role, Script, ServerIdentity, StoreError, Topology};
use tokio::task::JoinSet;

use store::test_server::RedisServer;

static ADD: Script = Script::new("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])");
static CLOCK: Script = Script::new("clock", "return redis.call('TIME')[1]");
static ONCE: Script =
    Script::new("once", "return redis.call('SET', KEYS[1], ARGV[1], 'NX') and 1 or 0");
static READ: Script = Script::new("read", "return redis.call('GET', KEYS[1])");
static BROKEN: Script = Script::new("broken", "return redis.call('HGET', KEYS[1], 'a', 'b')");

fn config(server: &RedisServer) -> RedisConfig {
    RedisConfig {
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(5),
        ..server.config("test:")
    }
}

fn impatient(server: &RedisServer) -> RedisConfig {
    let (connect_timeout, response_timeout) = (Duration::from_secs(1), Duration::from_millis(400));
    RedisConfig { connect_timeout, response_timeout, ..config(server) }
}

async fn connected(server: &RedisServer) -> Redis {
    Redis::connect(config(server)).await.unwrap()
}

async fn add(redis: &Redis, key: &str) -> Result<i64, StoreError> {
    redis.run(&ADD, &[key], &[b"1"]).await?.as_int()
}

async fn add_durably(redis: &Redis, key: &str) -> Result<i64, StoreError> {
    redis.run_durable(&ADD, &[key], &[b"1"]).await?.as_int()
}

/// Repeats until it works, as a caller would.
async fn healed(redis: &Redis) -> ServerIdentity {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        match redis.identities().await {
            Ok(mut identities) => return identities.remove(0),
            Err(error) => assert!(Instant::now() < limit, "it did not heal: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn only(redis: &Redis) -> ServerIdentity {
    redis.identities().await.unwrap().remove(0)
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < limit, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server and a replica that follows it.
fn pair() -> (RedisServer, RedisServer) {
    let primary = RedisServer::with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--repl-diskless-sync-delay",
        "0",
    ]);
    let port = primary.port();
    let replica = RedisServer::with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--replicaof",
        "127.0.0.1",
        &port,
    ]);
    wait_until("the replica follows", || {
        replica.ask(&["INFO", "replication"]).contains("master_link_status:up")
    });
    wait_until("the primary knows it", || {
        primary.ask(&["INFO", "replication"]).contains("state=online")
    });
    (primary, replica)
}

#[tokio::test]
async fn every_key_has_the_prefix() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    assert_eq!(add(&redis, "fam:{abc}").await, Ok(1));
    assert_eq!(add_durably(&redis, "fam:{abc}").await, Ok(2));
    assert_eq!(server.ask(&["GET", "test:fam:{abc}"]), "2");
    assert!(redis.run(&READ, &["none"], &[]).await.unwrap().is_nil());
}

#[tokio::test]
async fn arguments_and_answers_are_bytes() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    let bytes = [0, 255, b'\r', b'\n', b'$'];
    assert_eq!(redis.run(&ONCE, &["key"], &[&bytes]).await.unwrap().as_int(), Ok(1));
    assert_eq!(redis.run(&READ, &["key"], &[]).await.unwrap().as_bytes(), Ok(bytes.as_slice()));
}

#[tokio::test]
async fn scripts_run_one_after_another() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    let mut calls = JoinSet::new();
    for number in 0..200 {
        let redis = redis.clone();
        calls.spawn(async move {
            let durable = number % 4 == 0;
            if durable { add_durably(&redis, "n").await } else { add(&redis, "n").await }
        });
    }
    let mut counts: Vec<_> = calls.join_all().await.into_iter().map(Result::unwrap).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_script_the_server_forgot_is_sent_again() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    for expected in [1, 3, 5] {
        server.ask(&["SCRIPT", "FLUSH"]);
        assert_eq!(add(&redis, "n").await, Ok(expected));
        server.ask(&["SCRIPT", "FLUSH"]);
        assert_eq!(add_durably(&redis, "n").await, Ok(expected + 1));
    }
}

#[tokio::test]
async fn a_script_with_a_mistake_is_invalid_and_spoils_nothing() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    let error = redis.run(&BROKEN, &["key"], &[]).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)) && !error.is_transient(), "{error}");
    let error = redis.run_durable(&BROKEN, &["key"], &[]).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    assert_eq!(add(&redis, "n").await, Ok(1));
    assert_eq!(add_durably(&redis, "n").await, Ok(2));
}

#[tokio::test]
async fn a_server_that_may_lose_writes_is_refused_with_the_remedy() {
    let server = RedisServer::with(&["--appendonly", "no"]);
    let error = Redis::connect(config(&server)).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    assert!(error.to_string().contains("appendonly yes"), "{error}");

    let server = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let connected = Redis::connect(config(&server)).await;
    if knows_waitaof(&server) {
        assert_eq!(add_durably(&connected.unwrap(), "n").await, Ok(1));
    } else {
        let error = connected.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{error}");
        assert!(error.to_string().contains("appendfsync always"), "{error}");
    }
}

fn knows_waitaof(server: &RedisServer) -> bool {
    !server.ask(&["WAITAOF", "0", "0", "1"]).contains("unknown command")
}

#[tokio::test]
async fn a_durable_answer_needs_the_replicas() {
    let server = RedisServer::start();
    let settings = RedisConfig { replicas: 1, ..impatient(&server) };
    let redis = Redis::connect(settings).await.unwrap();
    let error = add_durably(&redis, "n").await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)) && error.is_transient(), "{error}");
    assert!(error.to_string().contains("not acknowledged"), "{error}");

    let (primary, replica) = pair();
    let redis = Redis::connect(RedisConfig { replicas: 1, ..config(&primary) }).await.unwrap();
    assert_eq!(add_durably(&redis, "n").await, Ok(1));
    assert_eq!(replica.ask(&["GET", "test:n"]), "1");
}

#[tokio::test]
async fn a_repeated_call_waits_for_the_writes_of_the_first() {
    let (primary, replica) = pair();
    let settings = RedisConfig { replicas: 1, ..impatient(&primary) };
    let redis = Redis::connect(settings).await.unwrap();
    replica.signal("STOP");
    let first = redis.run_durable(&ONCE, &["key"], &[b"1"]).await;
    assert!(matches!(first, Err(StoreError::Unavailable(_))), "{first:?}");
    assert_eq!(primary.ask(&["GET", "test:key"]), "1");
    // Nothing is left to write, and the replica still has nothing.
    let second = redis.run_durable(&ONCE, &["key"], &[b"1"]).await;
    assert!(matches!(second, Err(StoreError::Unavailable(_))), "{second:?}");
    replica.signal("CONT");
    wait_until("the replica has it", || replica.ask(&["GET", "test:key"]) == "1");
    let third = redis.run_durable(&ONCE, &["key"], &[b"1"]).await.unwrap();
    assert_eq!(third.as_int(), Ok(0));
}

#[tokio::test]
async fn a_replica_takes_no_writes() {
    let (_primary, replica) = pair();
    let Ok(redis) = Redis::connect(config(&replica)).await else {
        // Where the server knows WAITAOF a replica is noticed at once.
        return assert!(knows_waitaof(&replica));
    };
    assert_eq!(only(&redis).await.role, Role::Replica);
    let error = add(&redis, "n").await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let error = add_durably(&redis, "n").await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn a_server_that_changes_its_role_is_noticed() {
    let (primary, replica) = pair();
    let redis = connected(&primary).await;
    let before = only(&redis).await;
    assert_eq!(before.role, Role::Primary);
    primary.ask(&["REPLICAOF", "127.0.0.1", &replica.port()]);
    assert!(matches!(add(&redis, "n").await, Err(StoreError::Unavailable(_))));
    let after = healed(&redis).await;
    assert_eq!((after.role, after.run_id), (Role::Replica, before.run_id));
}

#[tokio::test]
async fn an_outage_is_unavailable_and_ends_by_itself() {
    let mut server = RedisServer::start();
    let redis = Redis::connect(impatient(&server)).await.unwrap();
    assert_eq!(add_durably(&redis, "n").await, Ok(1));
    assert_eq!(add(&redis, "n").await, Ok(2));
    let before = only(&redis).await;
    assert_eq!(only(&redis).await, before);
    server.stop();
    for _ in 0..3 {
        let asked = Instant::now();
        let error = add(&redis, "n").await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(asked.elapsed() < Duration::from_secs(3), "a call hung");
        let error = add_durably(&redis, "n").await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }
    server.restart();
    let after = healed(&redis).await;
    assert_ne!(after.run_id, before.run_id);
    assert_eq!(add_durably(&redis, "n").await, Ok(3));
    assert_eq!(add(&redis, "n").await, Ok(4));
}

#[tokio::test]
async fn a_reconnect_is_noticed() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    let before = only(&redis).await;
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    let after = healed(&redis).await;
    assert_ne!(after.connection, before.connection);
    assert_eq!((&after.run_id, after.role), (&before.run_id, before.role));
    assert_eq!(add_durably(&redis, "n").await, Ok(1));
}

#[tokio::test]
async fn a_silent_server_is_unavailable_in_time() {
    let server = RedisServer::start();
    let redis = Redis::connect(impatient(&server)).await.unwrap();
    server.signal("STOP");
    let asked = Instant::now();
    let error = add(&redis, "n").await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let error = add_durably(&redis, "n").await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(8), "a call hung");
    server.signal("CONT");
    healed(&redis).await;
    add_durably(&redis, "m").await.unwrap();
}

#[tokio::test]
async fn credentials_are_checked_and_not_shown() {
    let server = RedisServer::with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--requirepass",
        "hush",
    ]);
    let address = server.port();
    for url in [server.url(), format!("redis://:wrong-one@127.0.0.1:{address}/")] {
        let error =
            Redis::connect(RedisConfig { topology: Topology::Single { url }, ..config(&server) })
                .await
                .unwrap_err();
        assert!(matches!(error, StoreError::Denied(_)), "{error}");
        assert!(error.to_string().contains("user and password"), "{error}");
        assert!(!error.to_string().contains("wrong-one"));
    }
    let url = format!("redis://:hush@127.0.0.1:{address}/");
    let settings = RedisConfig { topology: Topology::Single { url }, ..config(&server) };
    assert!(!format!("{settings:?}").contains("hush"));
    let redis = Redis::connect(settings).await.unwrap();
    assert_eq!(add(&redis, "n").await, Ok(1));
    assert!(!format!("{redis:?}").contains("hush"));
}

#[tokio::test]
async fn a_refusal_while_reconnecting_does_not_last_for_ever() {
    let server = RedisServer::start();
    server.ask(&["ACL", "SETUSER", "app", "on", ">hush", "allkeys", "allcommands"]);
    let url = format!("redis://app:hush@127.0.0.1:{}/", server.port());
    let redis =
        Redis::connect(RedisConfig { topology: Topology::Single { url }, ..config(&server) })
            .await
            .unwrap();
    server.ask(&["ACL", "SETUSER", "app", "off"]);
    server.ask(&["CLIENT", "KILL", "USER", "app"]);
    let limit = Instant::now() + Duration::from_secs(10);
    while !matches!(add(&redis, "n").await, Err(StoreError::Denied(_))) {
        assert!(Instant::now() < limit, "it was not refused");
    }
    server.ask(&["ACL", "SETUSER", "app", "on"]);
    healed(&redis).await;
    assert_eq!(add_durably(&redis, "m").await, Ok(1));
}

#[tokio::test]
async fn the_time_is_the_servers() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    let before = redis.run(&CLOCK, &[], &[]).await.unwrap().as_int().unwrap();
    let time = i64::try_from(redis.server_time_ms().await.unwrap()).unwrap();
    let after = redis.run(&CLOCK, &[], &[]).await.unwrap().as_int().unwrap();
    assert!(before * 1000 <= time && time < (after + 1) * 1000);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let server = RedisServer::start();
    let single = |url: &str| Topology::Single { url: url.to_owned() };
    for settings in [
        RedisConfig { prefix: "a{b}c:".to_owned(), ..config(&server) },
        RedisConfig { topology: single("http://127.0.0.1/"), ..config(&server) },
        RedisConfig { topology: single("rediss://127.0.0.1/#insecure"), ..config(&server) },
        RedisConfig { topology: Topology::Cluster { seeds: Vec::new() }, ..config(&server) },
    ] {
        let error = Redis::connect(settings).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    }
}

#[tokio::test]
async fn keys_of_one_script_in_two_slots_are_refused_even_by_one_server() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    let error = redis.run(&ADD, &["fam:{a}", "fam:{b}"], &[b"1"]).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    let error = redis.run_durable(&ADD, &["fam:{a}", "fam:{b}"], &[b"1"]).await.unwrap_err();
    assert!(error.to_string().contains("several slots"), "{error}");
    assert_eq!(redis.run(&ADD, &["fam:{a}", "code:{a}:1"], &[b"1"]).await.unwrap().as_int(), Ok(1));
}
