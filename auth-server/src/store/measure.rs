//! How many durable rotations a second the embedded store answers, at the verb. It is left out of
//! the ordinary run of tests; `bench/run` asks for it by name and compares it with a bare database.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use shared::ids::FamilyId;
use tokio::task::JoinSet;

use super::{
    EmbeddedStore,
    contract::{create, present, token},
};
use crate::rules::rotation::Step;

/// Families beside those in use, so that no tree is trivially small.
const PRELOADED: u64 = 20_000;
/// How many families each caller refreshes in turn.
const PER_CALLER: u64 = 64;
const SECONDS: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn durable_rotations() {
    let folder = tempfile::tempdir().unwrap();
    let engine = store::Embedded::open(&folder.path().join("auth.redb")).unwrap();
    let store = Arc::new(EmbeddedStore::new(engine, "epoch".to_owned()));
    fill(&store, 0..PRELOADED).await;
    for callers in [8, 64] {
        let began = PRELOADED * (callers + 1);
        fill(&store, began..began + callers * PER_CALLER).await;
        let per_second = rotate(&store, began, callers).await;
        writeln!(std::io::stdout(), r#"{{"callers":{callers},"per_second":{per_second}}}"#)
            .unwrap();
    }
}

async fn fill(store: &Arc<EmbeddedStore>, numbers: std::ops::Range<u64>) {
    let mut creating = JoinSet::new();
    for number in numbers {
        let store = Arc::clone(store);
        creating.spawn(async move { create(&*store, id(number)).await });
        if creating.len() >= 512 {
            creating.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(created) = creating.join_next().await {
        created.unwrap();
    }
}

/// Every caller rotates one of its families after another; each answer was on the disk.
async fn rotate(store: &Arc<EmbeddedStore>, began: u64, callers: u64) -> u64 {
    let done = Arc::new(AtomicU64::new(0));
    let mut working = JoinSet::new();
    let end = Instant::now() + SECONDS;
    for caller in 0..callers {
        let (store, done) = (Arc::clone(store), Arc::clone(&done));
        working.spawn(async move {
            let mut turn = 0;
            while Instant::now() < end {
                let family = id(began + caller * PER_CALLER + turn % PER_CALLER);
                let generation = u32::try_from(turn / PER_CALLER).unwrap();
                let step = present(&*store, family, token(generation), generation + 1).await;
                assert_eq!(step, Step::Rotated);
                done.fetch_add(1, Ordering::Relaxed);
                turn += 1;
            }
        });
    }
    while let Some(worked) = working.join_next().await {
        worked.unwrap();
    }
    done.load(Ordering::Relaxed) / SECONDS.as_secs()
}

fn id(number: u64) -> FamilyId {
    let mut bytes = [0; 16];
    let (scattered, own) = bytes.split_at_mut(8);
    scattered.copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    own.copy_from_slice(&number.to_be_bytes());
    FamilyId::from_bytes(bytes)
}
