//! Durable rotations of a bare redb, committed in groups with the settings of the embedded store:
//! what that store is compared with. Each reads and checks two records, writes two and drops one.

use std::{
    collections::HashMap,
    error::Error,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use redb::{Database, ReadableTable, TableDefinition};
use tokio::{sync::oneshot, task::JoinSet};

type Failure = Box<dyn Error + Send + Sync>;

const TOKENS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("tokens");
const FAMILIES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("families");
const PRELOADED: u64 = 20_000;
const PER_CALLER: u64 = 64;
const MOST_PER_COMMIT: usize = 1024;
const CACHE: usize = 64 * 1024 * 1024;
const SECONDS: Duration = Duration::from_secs(3);

/// A rotation of a family from a generation to the next.
#[derive(Clone, Copy, Debug)]
struct Rotation {
    family: u64,
    generation: u64,
}

type Asked = (Rotation, oneshot::Sender<()>);

fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    for callers in [8, 64] {
        let per_second = measure(&folder.path().join(format!("{callers}.redb")), callers)?;
        writeln!(std::io::stdout(), r#"{{"callers":{callers},"per_second":{per_second}}}"#)?;
    }
    Ok(())
}

fn measure(path: &Path, callers: u64) -> Result<u64, Failure> {
    let database = Database::builder().set_cache_size(CACHE).create(path)?;
    let preloaded: Vec<Rotation> = (0..PRELOADED)
        .map(|number| Rotation { family: u64::MAX - number, generation: 0 })
        .collect();
    for some in preloaded.chunks(MOST_PER_COMMIT) {
        commit(&database, some)?;
    }
    let (asks, asked) = mpsc::channel::<Asked>();
    let writer = std::thread::spawn(move || write(&database, &asked));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let done = runtime.block_on(rotate(asks, callers));
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(done / SECONDS.as_secs())
}

async fn rotate(asks: mpsc::Sender<Asked>, callers: u64) -> u64 {
    let done = Arc::new(AtomicU64::new(0));
    let mut working = JoinSet::new();
    let end = Instant::now() + SECONDS;
    for caller in 0..callers {
        let (asks, done) = (asks.clone(), Arc::clone(&done));
        working.spawn(async move {
            let mut generations: HashMap<u64, u64> = HashMap::new();
            let mut turn = 0;
            while Instant::now() < end {
                let family = caller * PER_CALLER + turn % PER_CALLER;
                let generation = generations.entry(family).or_default();
                let (answer, answered) = oneshot::channel();
                let ask = (Rotation { family, generation: *generation }, answer);
                if asks.send(ask).is_err() || answered.await.is_err() {
                    return;
                }
                *generation += 1;
                done.fetch_add(1, Ordering::Relaxed);
                turn += 1;
            }
        });
    }
    drop(asks);
    while working.join_next().await.is_some() {}
    done.load(Ordering::Relaxed)
}

/// Everything that waits shares one commit, and is answered after it.
fn write(database: &Database, asked: &mpsc::Receiver<Asked>) -> Result<(), Failure> {
    while let Ok(first) = asked.recv() {
        let waiting = asked.try_iter().take(MOST_PER_COMMIT - 1);
        let (rotations, answers): (Vec<_>, Vec<_>) = std::iter::once(first).chain(waiting).unzip();
        commit(database, &rotations)?;
        for answer in answers {
            // A caller that has gone away needs no answer.
            let _gone = answer.send(());
        }
    }
    Ok(())
}

fn commit(database: &Database, rotations: &[Rotation]) -> Result<(), Failure> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    {
        let mut tokens = transaction.open_table(TOKENS)?;
        let mut families = transaction.open_table(FAMILIES)?;
        for Rotation { family, generation } in rotations {
            let held = key(*family, *generation);
            if *generation > 0 {
                let token = tokens.get(held.as_slice())?.is_some();
                let current = families.get(family)?;
                let fits = current.is_some_and(|found| found.value() == record(*generation));
                if !token || !fits {
                    return Err("a record is not as it was left".into());
                }
            }
            let next = record(generation + 1);
            tokens.insert(key(*family, generation + 1).as_slice(), next.as_slice())?;
            families.insert(family, next.as_slice())?;
            if let Some(before) = generation.checked_sub(1) {
                tokens.remove(key(*family, before).as_slice())?;
            }
        }
    }
    Ok(transaction.commit()?)
}

/// A token's key: scattered, as a digest is.
fn key(family: u64, generation: u64) -> Vec<u8> {
    let scattered =
        family.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ generation.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    [scattered, family, generation, 0].iter().flat_map(|part| part.to_be_bytes()).collect()
}

fn record(generation: u64) -> Vec<u8> {
    let mut record = generation.to_be_bytes().to_vec();
    record.resize(256, 7);
    record
}
