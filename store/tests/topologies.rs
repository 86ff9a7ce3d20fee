//! What the Redis engine promises behind Sentinel, in a Cluster and over TLS, on real servers.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use store::{
    Redis, RedisConfig, Role, Script, ServerIdentity, StoreError, Tls, Topology,
    test_server::{Cluster, Sentinels, TlsServer},
};

static ADD: Script = Script::new("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])");
static BOTH: Script =
    Script::new("both", "redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[2])");

/// How long service may be away after a primary was killed.
const FAILOVER: Duration = Duration::from_secs(20);

async fn add(redis: &Redis, key: &str) -> Result<i64, StoreError> {
    redis.run(&ADD, &[key], &[b"1"]).await?.as_int()
}

async fn add_durably(redis: &Redis, key: &str) -> Result<i64, StoreError> {
    redis.run_durable(&ADD, &[key], &[b"1"]).await?.as_int()
}

fn impatient(config: RedisConfig) -> RedisConfig {
    RedisConfig { response_timeout: Duration::from_secs(1), ..config }
}

/// Repeats a call, as its caller would, until it works; every failure must be a passing one.
async fn in_time<T>(call: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let limit = Instant::now() + FAILOVER;
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => {
                assert!(error.is_transient(), "{error}");
                assert!(Instant::now() < limit, "it did not heal: {error}");
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn identities(redis: &Redis) -> Vec<ServerIdentity> {
    in_time(async || redis.identities().await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinel_leads_to_the_primary_and_to_its_successor() {
    let mut servers = tokio::task::spawn_blocking(Sentinels::start).await.unwrap();
    let config = RedisConfig { replicas: 1, ..impatient(servers.config("test:")) };
    let redis = Redis::connect(config).await.unwrap();
    assert_eq!(add_durably(&redis, "n").await, Ok(1));
    let before = identities(&redis).await;
    assert_eq!(before[0].role, Role::Primary);
    servers.primary.stop();
    let asked = Instant::now();
    assert!(matches!(add(&redis, "n").await, Err(StoreError::Unavailable(_))));
    assert!(asked.elapsed() < Duration::from_secs(6), "a call hung");
    assert_eq!(in_time(async || add(&redis, "n").await).await, 2);
    let after = identities(&redis).await;
    assert_eq!(after[0].role, Role::Primary);
    assert_ne!(after[0].run_id, before[0].run_id);
    assert_ne!(after[0].replication_id, before[0].replication_id);
    // Nobody is left to hold a copy, so nothing durable is promised until somebody is.
    let alone = add_durably(&redis, "m").await.unwrap_err();
    assert!(alone.is_transient(), "{alone}");
    servers.primary.restart();
    in_time(async || add_durably(&redis, "m").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_about_sentinel_are_named_with_the_remedy() {
    let servers = tokio::task::spawn_blocking(Sentinels::start).await.unwrap();
    let Topology::Sentinel { primary, sentinels } = servers.config("test:").topology else {
        panic!("another topology");
    };
    let attempt = async |primary: &str, sentinels: &[String]| {
        let (primary, sentinels) = (primary.to_owned(), sentinels.to_vec());
        let topology = Topology::Sentinel { primary, sentinels };
        let config = RedisConfig { topology, ..impatient(servers.config("test:")) };
        Redis::connect(config).await.map(|_| ()).unwrap_err()
    };
    let error = attempt(&primary.replace("vestibule", "another"), &sentinels).await;
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    assert!(error.to_string().contains("sentinel monitor"), "{error}");
    let error = attempt(&primary.replace("serve", "wrong"), &sentinels).await;
    assert!(matches!(error, StoreError::Denied(_)), "{error}");
    assert!(error.to_string().contains("user and password"), "{error}");
    assert!(!error.to_string().contains("wrong@"), "{error}");
    let strangers: Vec<_> = sentinels.iter().map(|url| url.replace("watch", "wrong")).collect();
    let error = attempt(&primary, &strangers).await;
    assert!(matches!(error, StoreError::Denied(_)), "{error}");
    assert!(error.to_string().contains("a sentinel says"), "{error}");
    let error = attempt(&primary, &[]).await;
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    // One that is gone does not matter.
    let some = ["redis://127.0.0.1:1/".to_owned(), sentinels[0].clone()];
    let topology = Topology::Sentinel { primary, sentinels: some.to_vec() };
    let config = RedisConfig { topology, ..servers.config("test:") };
    assert_eq!(add(&Redis::connect(config).await.unwrap(), "n").await, Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_serves_every_slot_and_outlives_a_primary() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let redis = Redis::connect(impatient(cluster.config("test:"))).await.unwrap();
    let before = identities(&redis).await;
    let slots: Vec<_> = before.iter().map(|node| node.slots.clone()).collect();
    assert_eq!(slots, [[(0, 5460)], [(5461, 10922)], [(10923, 16383)]]);
    for number in 0..60 {
        let (one, two) = (format!("fam:{{{number}}}"), format!("code:{{{number}}}:x"));
        assert_eq!(add(&redis, &one).await, Ok(1));
        assert_eq!(add_durably(&redis, &one).await, Ok(2));
        let both = redis.run(&BOTH, &[&one, &two], &[]).await.unwrap();
        assert_eq!(both.as_int(), Ok(1));
    }
    for node in &cluster.nodes {
        assert_ne!(node.ask(&["DBSIZE"]), ":0", "a node got nothing");
    }
    let error = redis.run(&BOTH, &["fam:{1}", "fam:{2}"], &[]).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");

    // A replica's copy of what was not waited for may be behind; this is.
    let first = (0..100_000_u32)
        .map(|number| format!("{{{number}}}"))
        .find(|key| owner(&cluster, key) == 0);
    let first = first.unwrap();
    assert_eq!(add(&redis, &first).await, Ok(1));
    let seen = cluster.replica.port();
    cluster.nodes[0].ask(&["WAIT", "1", "5000"]);
    cluster.nodes[0].stop();
    let value = in_time(async || add(&redis, &first).await).await;
    assert!(value >= 2, "the replica {seen} did not have it");
    in_time(async || add_durably(&redis, &first).await).await;
    let after = identities(&redis).await;
    assert_eq!(after.len(), 3);
    assert_ne!(after[0].run_id, before[0].run_id, "a change of owner is noticed");
    assert_eq!(after[1].run_id, before[1].run_id);
    for number in 0..60 {
        in_time(async || add(&redis, &format!("after:{number}")).await).await;
        in_time(async || add_durably(&redis, &format!("after:{number}")).await).await;
    }
}

/// Which of the first nodes owns a key.
fn owner(cluster: &Cluster, key: &str) -> usize {
    let slot = cluster.nodes[0].ask(&["CLUSTER", "KEYSLOT", &format!("test:{key}")]);
    let slot: u16 = slot.trim_start_matches(':').parse().unwrap();
    usize::from(slot > 5460) + usize::from(slot > 10922)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_is_followed() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let redis = Redis::connect(cluster.config("test:")).await.unwrap();
    let key =
        (0..100_000_u32).map(|number| format!("k{number}")).find(|key| owner(&cluster, key) == 0);
    let key = key.unwrap();
    let before = identities(&redis).await;
    assert_eq!(add_durably(&redis, &key).await, Ok(1));
    // The slot is emptied first, so that nothing has to be carried over.
    let (old, new) = (&cluster.nodes[0], &cluster.nodes[1]);
    old.ask(&["FLUSHALL"]);
    let slot = old.ask(&["CLUSTER", "KEYSLOT", &format!("test:{key}")]);
    let slot = slot.trim_start_matches(':');
    let id = new.ask(&["CLUSTER", "MYID"]);
    for node in [new, old, &cluster.nodes[2]] {
        assert_eq!(node.ask(&["CLUSTER", "SETSLOT", slot, "NODE", &id]), "+OK");
    }
    assert_eq!(in_time(async || add_durably(&redis, &key).await).await, 1);
    assert_eq!(in_time(async || add(&redis, &key).await).await, 2);
    assert_eq!(new.ask(&["GET", &format!("test:{key}")]), "2");
    assert_ne!(identities(&redis).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_trusts_the_named_authority_only_and_never_falls_back() {
    let server = tokio::task::spawn_blocking(TlsServer::start).await.unwrap();
    let redis = Redis::connect(server.config("test:")).await.unwrap();
    assert_eq!(add(&redis, "n").await, Ok(1));
    assert_eq!(add_durably(&redis, "n").await, Ok(2));

    let refused = async |tls: Tls, url: String| {
        let config = RedisConfig {
            tls,
            topology: Topology::Single { url },
            ..impatient(server.config("test:"))
        };
        Redis::connect(config).await.map(|_| ()).unwrap_err()
    };
    let (client, authority) = (Some(server.client.clone()), Some(server.authority.clone()));
    let other = Some(server.other_authority.clone());
    let error = refused(Tls { authorities: other, client: client.clone() }, server.url()).await;
    assert!(error.to_string().contains("certificate"), "{error}");
    let error = refused(Tls { authorities: None, client: client.clone() }, server.url()).await;
    assert!(error.to_string().contains("certificate"), "{error}");
    let error = refused(Tls { authorities: authority.clone(), client: None }, server.url()).await;
    assert!(!error.to_string().is_empty());
    let right = Tls { authorities: authority.clone(), client };
    let plain = format!("rediss://127.0.0.1:{}/", server.server.port());
    refused(right.clone(), plain).await;
    let error = refused(right.clone(), server.server.url()).await;
    assert!(error.to_string().contains("rediss://"), "{error}");
    let unchecked = format!("{}#insecure", server.url());
    let error = refused(right, unchecked).await;
    assert!(error.to_string().contains("#insecure"), "{error}");
    let nothing = Tls { authorities: Some(b"nothing".to_vec()), client: None };
    let error = refused(nothing, server.url()).await;
    assert!(error.to_string().contains("no certificate in PEM"), "{error}");
}
