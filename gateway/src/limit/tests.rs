//! Budgets that several gateways share, on a real Redis.

use std::time::{Duration, Instant};

use store::{Redis, test_server::RedisServer};
use tokio_util::task::TaskTracker;

use super::*;

async fn server() -> RedisServer {
    tokio::task::spawn_blocking(RedisServer::start).await.unwrap()
}

async fn bank(server: &RedisServer, name: &str) -> Arc<Bank> {
    let redis = Redis::connect(server.config("gateway:")).await.unwrap();
    let bank = Bank::new(redis, name.to_owned(), TaskTracker::new());
    bank.beat().await;
    Arc::new(bank)
}

fn meter(budget: Budget, bank: &Arc<Bank>, exact: bool) -> Meter<WorkspaceId> {
    Meter::new(budget, "", (Some(bank), exact))
}

fn workspace(id: &str) -> WorkspaceId {
    WorkspaceId::parse(id).unwrap()
}

async fn passes(meter: &Meter<WorkspaceId>, id: &str) -> Result<u32, u64> {
    let mut seen = Seen::default();
    let outcome = meter.charge(&workspace(id), &mut seen).await;
    outcome.map(|()| seen.standing().unwrap().remaining).map_err(|limited| limited.retry_after)
}

#[tokio::test]
async fn two_gateways_have_one_budget_for_each_key_and_say_what_is_left() {
    let server = server().await;
    let (one, two) = (bank(&server, "one").await, bank(&server, "two").await);
    let budget = Budget { burst: 4, name: "workspace", per_minute: 2 };
    for exact in [true, false] {
        let (one, two) = (meter(budget, &one, exact), meter(budget, &two, exact));
        let id = if exact { "exact" } else { "leased" };
        assert_eq!(passes(&one, id).await, Ok(3));
        assert_eq!(passes(&two, id).await, Ok(2));
        assert_eq!(passes(&two, id).await, Ok(1));
        assert_eq!(passes(&one, id).await, Ok(0));
        for meter in [&one, &two] {
            let wait = passes(meter, id).await.unwrap_err();
            assert!((28..=30).contains(&wait), "half a minute for the next one, not {wait} s");
        }
        assert_eq!(passes(&one, &format!("{id}-other")).await, Ok(3));
    }
}

#[tokio::test]
async fn waiting_as_long_as_was_said_is_enough() {
    let server = server().await;
    let bank = bank(&server, "one").await;
    let meter = meter(Budget { burst: 1, name: "workspace", per_minute: 60 }, &bank, false);
    assert_eq!(passes(&meter, "a").await, Ok(0));
    let wait = passes(&meter, "a").await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(passes(&meter, "a").await, Ok(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_together_admit_what_the_budget_allows_and_ask_redis_seldom() {
    let server = server().await;
    let budget = Budget { burst: 6400, name: "workspace", per_minute: 60_000 };
    let (one, two) = (bank(&server, "one").await, bank(&server, "two").await);
    let began = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for bank in [&one, &two] {
        let meter = Arc::new(meter(budget, bank, false));
        for _ in 0..8 {
            let meter = Arc::clone(&meter);
            running.spawn(async move {
                let mut admitted = 0_u32;
                for _ in 0..1000 {
                    admitted += u32::from(passes(&meter, "a").await.is_ok());
                }
                admitted
            });
        }
    }
    let admitted: u32 = running.join_all().await.into_iter().sum();
    let refilled = began.elapsed().as_secs_f64() * 1000.0;
    let most = f64::from(budget.burst) + refilled + 1.0;
    assert!(f64::from(admitted) <= most, "{admitted} of {most}");
    // Each of the two may sit on a batch, and one may have been on its way.
    assert!(f64::from(admitted) >= f64::from(budget.burst) - 4.0 * 50.0, "{admitted}");
    let asked = one.charges() + two.charges();
    assert!(asked < u64::from(admitted) / 8, "{asked} round trips for {admitted} calls");
}

#[tokio::test]
async fn a_gateway_without_redis_goes_by_its_part_and_shares_again_afterwards() {
    let mut server = server().await;
    let (one, two) = (bank(&server, "one").await, bank(&server, "two").await);
    one.beat().await;
    assert_eq!((one.gateways(), two.gateways()), (2, 2));
    let budget = Budget { burst: 6, name: "workspace", per_minute: 1 };
    let (first, second) = (meter(budget, &one, false), meter(budget, &two, false));
    assert_eq!(passes(&first, "a").await, Ok(5));
    server.stop();
    for meter in [&first, &second] {
        for left in [2, 1, 0] {
            assert_eq!(passes(meter, "a").await, Ok(left), "half of six");
        }
        assert!(passes(meter, "a").await.is_err());
    }
    assert!(one.is_away() && two.is_away());
    server.restart();
    let limit = Instant::now() + Duration::from_secs(20);
    while one.is_away() || two.is_away() {
        assert!(Instant::now() < limit, "it does not come back");
        one.beat().await;
        two.beat().await;
    }
    for (meter, left) in [(&first, 5), (&second, 4)] {
        assert_eq!(passes(meter, "b").await, Ok(left));
    }
}

#[tokio::test]
async fn nobodys_name_is_written_to_redis() {
    let server = server().await;
    let bank = bank(&server, "one").await;
    let meter =
        meter(Budget { burst: 6, name: "share of the workspace", per_minute: 1 }, &bank, false);
    passes(&meter, "ws_acme").await.unwrap();
    let keys = server.ask(&["EVAL", "return table.concat(redis.call('KEYS', '*'), ' ')", "0"]);
    assert!(keys.contains("gateway:limits/share-of-the-workspace/"), "{keys}");
    assert!(!keys.contains("acme"), "{keys}");
}
