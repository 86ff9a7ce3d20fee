//! What the embedded engine promises, seen from outside.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    pin::Pin,
    sync::mpsc,
    task::{Context, Poll, Waker},
};

use store::{Embedded, StoreError, Writer};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// A folder for one test's file.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("test.redb")
    }
}

fn get(store: &Embedded, key: &str) -> Option<String> {
    let value = store.read(|reader| reader.get(key.as_bytes())).unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

async fn put(store: &Embedded, key: &'static str, value: &'static str, expires: Option<u64>) {
    store.write(move |writer| writer.put(key.as_bytes(), value.as_bytes(), expires)).await.unwrap();
}

fn keys(entries: Vec<store::Entry>) -> Vec<String> {
    entries.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

fn add_one(writer: &mut Writer<'_>) -> Result<u64, StoreError> {
    let count = match writer.get(b"count")? {
        Some(bytes) => u64::from_be_bytes(bytes.try_into().unwrap()),
        None => 0,
    };
    writer.put(b"count", &(count + 1).to_be_bytes(), None)?;
    Ok(count + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_write_is_there_after_reopening() {
    let place = Place::new();
    let store = Embedded::open(&place.file()).unwrap();
    let mut writes = JoinSet::new();
    for number in 0..2000_u32 {
        let store = store.clone();
        writes.spawn(async move {
            let key = number.to_be_bytes();
            store.write(move |writer| writer.put(&key, &key, None)).await
        });
    }
    while let Some(written) = writes.join_next().await {
        written.unwrap().unwrap();
    }
    drop(store);
    let store = Embedded::open(&place.file()).unwrap();
    let entries = store.read(|reader| reader.scan(b"", 5000)).unwrap();
    assert_eq!(entries.len(), 2000);
    assert!(entries.iter().all(|(key, value)| key == value));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closures_run_one_after_another() {
    let store = Embedded::memory().unwrap();
    let mut writes = JoinSet::new();
    for _ in 0..500 {
        let store = store.clone();
        writes.spawn(async move { store.write(add_one).await.unwrap() });
    }
    let mut counts = writes.join_all().await;
    counts.sort_unstable();
    assert_eq!(counts, (1..=500).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failed_closure_leaves_no_trace_among_those_that_share_its_commit() {
    let store = Embedded::memory().unwrap();
    put(&store, "kept", "before", None).await;
    let (go, wait) = mpsc::channel::<()>();
    // Holds the writer thread, so that the three after it are committed together.
    let holds = store.write(move |_| Ok(wait.recv().is_ok()));
    let good = store.write(|writer| writer.put(b"first", b"1", None));
    let bad = store.write(|writer| -> Result<(), StoreError> {
        writer.put(b"kept", b"changed", Some(1))?;
        writer.put(b"bad", b"1", Some(1))?;
        writer.delete(b"first")?;
        Err(StoreError::Invalid("no".to_owned()))
    });
    let last = store.write(|writer| writer.get(b"first"));
    let release = async { go.send(()).unwrap() };
    let (held, good, bad, last, ()) = tokio::join!(holds, good, bad, last, release);
    assert_eq!((held, good), (Ok(true), Ok(())));
    assert_eq!(bad, Err(StoreError::Invalid("no".to_owned())));
    assert_eq!(last, Ok(Some(b"1".to_vec())));
    assert_eq!(get(&store, "kept").as_deref(), Some("before"));
    assert_eq!(get(&store, "bad"), None);
    assert_eq!(store.sweep(u64::MAX - 1, 10).await, Ok(0));
}

#[tokio::test]
async fn a_closure_that_panics_leaves_no_trace_and_panics_in_its_caller() {
    let store = Embedded::memory().unwrap();
    let other = store.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let work = |writer: &mut Writer<'_>| -> Result<(), StoreError> {
            writer.put(b"half", b"done", None)?;
            panic!("on purpose")
        };
        other.write(work).await
    });
    let failed = tasks.join_next().await.unwrap();
    assert!(failed.unwrap_err().is_panic());
    assert_eq!(get(&store, "half"), None);
    put(&store, "next", "1", None).await;
    assert_eq!(get(&store, "next").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_queued_write_happens_even_if_its_caller_goes_away() {
    let store = Embedded::memory().unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let mut holds = Box::pin(store.write(move |_| Ok(wait.recv().is_ok())));
    let mut gone = Box::pin(store.write(|writer| writer.put(b"gone", b"1", None)));
    assert!(begin(&mut holds).is_pending());
    assert!(begin(&mut gone).is_pending());
    drop(gone);
    go.send(()).unwrap();
    assert_eq!(holds.await, Ok(true));
    put(&store, "next", "1", None).await;
    assert_eq!(get(&store, "gone").as_deref(), Some("1"));
}

/// Polls a future once, so that it has begun.
fn begin<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn more_than_the_queue_holds_is_told_that_the_store_is_busy() {
    let store = Embedded::memory().unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let mut holds = Box::pin(store.write(move |_| Ok(wait.recv().is_ok())));
    assert!(begin(&mut holds).is_pending());
    let mut queued = Vec::new();
    let refused = loop {
        let mut write = Box::pin(store.write(|writer| writer.put(b"a", b"1", None)));
        match begin(&mut write) {
            Poll::Ready(refused) => break refused,
            Poll::Pending => queued.push(write),
        }
        assert!(queued.len() < 100_000, "the queue has no end");
    };
    assert_eq!(refused, Err(StoreError::Busy));
    go.send(()).unwrap();
    assert_eq!(holds.await, Ok(true));
    for write in queued {
        assert_eq!(write.await, Ok(()));
    }
}

#[tokio::test]
async fn a_transaction_reads_its_own_writes() {
    let store = Embedded::memory().unwrap();
    for key in ["a/1", "a/3", "a/5", "b/1"] {
        put(&store, key, "old", None).await;
    }
    let seen = store
        .write(|writer| {
            assert_eq!(writer.delete(b"a/3"), Ok(true));
            assert_eq!(writer.delete(b"a/3"), Ok(false));
            assert_eq!(writer.delete(b"none"), Ok(false));
            writer.put(b"a/5", b"new", None)?;
            writer.put(b"a/2", b"new", None)?;
            writer.put(b"a/9", b"new", None)?;
            writer.put(b"a", b"new", None)?;
            assert_eq!(writer.get(b"a/3"), Ok(None));
            assert_eq!(writer.get(b"a/5"), Ok(Some(b"new".to_vec())));
            Ok([
                writer.scan(b"a/", 10)?,
                writer.scan(b"a/", 2)?,
                writer.scan_after(b"a/", b"a/2", 10)?,
                writer.scan_after(b"a/", b"a/2", 1)?,
                writer.scan_after(b"a/", b"a/9", 10)?,
                writer.scan(b"a/", 0)?,
                writer.scan(b"", 3)?,
            ])
        })
        .await
        .unwrap()
        .map(keys);
    assert_eq!(seen[0], ["a/1", "a/2", "a/5", "a/9"]);
    assert_eq!(seen[1], ["a/1", "a/2"]);
    assert_eq!(seen[2], ["a/5", "a/9"]);
    assert_eq!(seen[3], ["a/5"]);
    assert!(seen[4].is_empty() && seen[5].is_empty());
    assert_eq!(seen[6], ["a", "a/1", "a/2"]);
}

#[tokio::test]
async fn a_reader_scans_in_the_order_of_keys() {
    let store = Embedded::memory().unwrap();
    for key in ["b/2", "a/1", "b/1", "c/1", "b"] {
        put(&store, key, "x", None).await;
    }
    let scan = |after: &'static str, limit| {
        keys(store.read(|reader| reader.scan_after(b"b/", after.as_bytes(), limit)).unwrap())
    };
    assert_eq!(scan("", 10), ["b/1", "b/2"]);
    assert_eq!(scan("b/1", 10), ["b/2"]);
    assert_eq!(scan("a", 1), ["b/1"]);
    assert!(scan("b/2", 10).is_empty() && scan("d", 10).is_empty() && scan("", 0).is_empty());
}

#[tokio::test]
async fn a_read_sees_one_state_whatever_is_written_meanwhile() {
    let store = Embedded::memory().unwrap();
    put(&store, "key", "old", None).await;
    let (reading, begun) = tokio::sync::oneshot::channel();
    let (go, wait) = mpsc::channel::<()>();
    let reads = {
        let store = store.clone();
        std::thread::spawn(move || {
            store.read(|reader| {
                reading.send(()).unwrap();
                wait.recv().unwrap();
                reader.get(b"key")
            })
        })
    };
    begun.await.unwrap();
    put(&store, "key", "new", None).await;
    go.send(()).unwrap();
    assert_eq!(reads.join().unwrap(), Ok(Some(b"old".to_vec())));
    assert_eq!(get(&store, "key").as_deref(), Some("new"));
}

#[tokio::test]
async fn the_sweep_drops_what_has_expired_and_nothing_else() {
    let store = Embedded::memory().unwrap();
    for (key, expires) in
        [("never", None), ("at/10", Some(10)), ("at/20", Some(20)), ("at/30", Some(30))]
    {
        put(&store, key, "x", expires).await;
    }
    assert_eq!(store.sweep(9, 100).await, Ok(0));
    assert_eq!(store.sweep(25, 1).await, Ok(1));
    assert_eq!(get(&store, "at/10"), None);
    assert_eq!(store.sweep(25, 100).await, Ok(1));
    assert_eq!(store.sweep(25, 100).await, Ok(0));
    assert_eq!(get(&store, "at/20"), None);
    assert_eq!(get(&store, "at/30").as_deref(), Some("x"));
    assert_eq!(store.sweep(u64::MAX, 100).await, Ok(1));
    assert_eq!(get(&store, "never").as_deref(), Some("x"));
}

#[tokio::test]
async fn only_the_last_expiry_of_a_key_counts() {
    let store = Embedded::memory().unwrap();
    put(&store, "later", "x", Some(10)).await;
    put(&store, "later", "x", Some(50)).await;
    put(&store, "never", "x", Some(10)).await;
    put(&store, "never", "x", None).await;
    put(&store, "again", "x", Some(10)).await;
    store.write(|writer| writer.delete(b"again")).await.unwrap();
    put(&store, "again", "x", None).await;
    put(&store, "same", "x", Some(10)).await;
    put(&store, "same", "y", Some(10)).await;
    assert_eq!(store.sweep(49, 100).await, Ok(1));
    assert_eq!(get(&store, "same"), None);
    for key in ["later", "never", "again"] {
        assert_eq!(get(&store, key).as_deref(), Some("x"), "{key}");
    }
    assert_eq!(store.sweep(50, 100).await, Ok(1));
    assert_eq!(get(&store, "later"), None);
}

#[tokio::test]
async fn a_file_in_use_is_denied_until_it_is_closed() {
    let place = Place::new();
    let store = Embedded::open(&place.file()).unwrap();
    let other = store.clone();
    drop(store);
    let denied = Embedded::open(&place.file()).unwrap_err();
    assert!(matches!(denied, StoreError::Denied(_)));
    let said = denied.to_string();
    assert!(said.contains("test.redb") && said.contains("in use by another process"), "{said}");
    put(&other, "key", "value", None).await;
    drop(other);
    let store = Embedded::open(&place.file()).unwrap();
    assert_eq!(get(&store, "key").as_deref(), Some("value"));
}

#[test]
fn a_new_file_is_for_its_user_alone() {
    let place = Place::new();
    let _store = Embedded::open(&place.file()).unwrap();
    let mode = fs::metadata(place.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_cannot_be_opened_says_which_file_and_why() {
    let place = Place::new();
    let lost = Embedded::open(&place.0.path().join("none").join("test.redb")).unwrap_err();
    assert!(
        matches!(&lost, StoreError::Invalid(said) if said.contains("none/test.redb")),
        "{lost}"
    );
    fs::write(place.file(), "this is a letter, not a store".repeat(1000)).unwrap();
    let letter = Embedded::open(&place.file()).unwrap_err();
    assert!(matches!(&letter, StoreError::Corrupt(said) if said.contains("test.redb")), "{letter}");
}

/// The bytes of a store that has this.
async fn bytes_of_a_store(place: &Place) -> Vec<u8> {
    let store = Embedded::open(&place.file()).unwrap();
    put(&store, "key", "value", None).await;
    drop(store);
    fs::read(place.file()).unwrap()
}

#[tokio::test]
async fn a_file_whose_making_was_cut_off_is_made_anew() {
    let whole = bytes_of_a_store(&Place::new()).await;
    // As the database leaves it before it writes its mark: a length, and perhaps a header.
    let mut unmarked = whole.clone();
    unmarked[..9].fill(0);
    unmarked[4096..].fill(0);
    let cut_off = [
        vec![],
        vec![0; 5],
        vec![0; 4096],
        vec![0; whole.len()],
        unmarked[..4096].to_vec(),
        unmarked,
    ];
    for bytes in cut_off {
        let place = Place::new();
        fs::write(place.file(), &bytes).unwrap();
        let store = Embedded::open(&place.file()).unwrap();
        assert_eq!(get(&store, "key"), None);
        put(&store, "key", "value", None).await;
        drop(store);
        let store = Embedded::open(&place.file()).unwrap();
        assert_eq!(get(&store, "key").as_deref(), Some("value"), "{} bytes", bytes.len());
    }
}

#[tokio::test]
async fn a_damaged_file_that_may_have_held_data_is_left_as_it_is() {
    let whole = bytes_of_a_store(&Place::new()).await;
    let damaged = |damage: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        bytes
    };
    for bytes in [
        damaged(&|bytes| bytes[..9].fill(0)),
        damaged(&|bytes| bytes[..4096].fill(0)),
        damaged(&|bytes| bytes[0] ^= 1),
        damaged(&|bytes| {
            bytes[1..9].fill(0);
            bytes[4096..].fill(0);
        }),
        vec![0; 5 << 20],
    ] {
        let place = Place::new();
        fs::write(place.file(), &bytes).unwrap();
        let refused = Embedded::open(&place.file()).unwrap_err();
        assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
        assert!(fs::read(place.file()).unwrap() == bytes, "nothing was written to it");
    }
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let store = Embedded::memory().unwrap();
    let long_key = store.write(|writer| writer.put(&[0; 5000], b"", None)).await;
    assert!(matches!(long_key, Err(StoreError::Invalid(_))));
    let long_value = store.write(|writer| writer.put(b"key", &vec![0; 17 << 20], None)).await;
    assert!(matches!(long_value, Err(StoreError::Invalid(_))));
}
