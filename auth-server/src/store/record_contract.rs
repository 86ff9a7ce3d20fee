//! What every engine must do with records.

use std::sync::Arc;

use shared::time::Timestamp;

use super::{Expected, Kind, NewRecord, Store, encoded};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The part of the contract that is about records.
pub(super) async fn holds(store: &Arc<dyn Store>) {
    a_record_changes_only_from_what_is_expected(&**store).await;
    concurrent_updates_are_all_kept(Arc::clone(store)).await;
    records_are_listed_in_order_by_prefix(&**store).await;
    several_records_are_put_and_deleted_together(&**store).await;
}

async fn a_record_changes_only_from_what_is_expected(store: &dyn Store) {
    let put = async |expected, value: Option<&'static [u8]>| {
        store.replace_record(Kind::Client, "one", expected, value, None).await.unwrap()
    };
    assert!(!put(Expected::Same(b"1"), Some(b"2")).await);
    assert!(put(Expected::Absent, Some(b"1")).await);
    assert!(!put(Expected::Absent, Some(b"2")).await);
    assert!(!put(Expected::Same(b"2"), Some(b"3")).await);
    assert!(put(Expected::Same(b"1"), Some(b"3")).await);
    assert_eq!(store.record(Kind::Client, "one").await.unwrap().as_deref(), Some(&b"3"[..]));
    assert_eq!(store.record(Kind::Session, "one").await.unwrap(), None);
    assert!(!put(Expected::Same(b"1"), None).await);
    assert!(put(Expected::Same(b"3"), None).await);
    assert_eq!(store.record(Kind::Client, "one").await.unwrap(), None);
}

async fn concurrent_updates_are_all_kept(store: Arc<dyn Store>) {
    assert!(store.create(Kind::KeySet, "count", &0_u32, None).await.unwrap());
    assert!(!store.create(Kind::KeySet, "count", &7_u32, None).await.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let add = |count: &u32| Some((count + 1, None));
            store.update(Kind::KeySet, "count", add).await.unwrap()
        });
    }
    tasks.join_all().await;
    assert_eq!(store.read::<u32>(Kind::KeySet, "count").await.unwrap(), Some(8));
    assert!(store.delete(Kind::KeySet, "count").await.unwrap());
    assert!(!store.delete(Kind::KeySet, "count").await.unwrap());
    let gone = store.update(Kind::KeySet, "count", |count: &u32| Some((count + 1, None)));
    assert_eq!(gone.await.unwrap(), None);
}

async fn records_are_listed_in_order_by_prefix(store: &dyn Store) {
    let long_gone = Timestamp::from_secs(1);
    for key in ["b/2", "a/1", "b/1", "b/10", "c"] {
        store.write(Kind::Client, key, &key.to_owned(), None).await.unwrap();
    }
    let keys = async |prefix, after, limit| {
        let found = store.list::<String>(Kind::Client, prefix, after, limit).await.unwrap();
        assert!(found.iter().all(|(key, value)| key == value));
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(keys("b/", None, 9).await, ["b/1", "b/10", "b/2"]);
    assert_eq!(keys("b/", Some("b/1"), 9).await, ["b/10", "b/2"]);
    assert_eq!(keys("", None, 2).await, ["a/1", "b/1"]);
    // What has expired is forgotten, at the latest by a sweep.
    store.write(Kind::Client, "b/2", &"b/2".to_owned(), Some(long_gone)).await.unwrap();
    store.delete(Kind::Client, "b/10").await.unwrap();
    store.sweep(NOW).await.unwrap();
    assert_eq!(keys("b/", None, 9).await, ["b/1"]);
    for key in ["a/1", "b/1", "c"] {
        store.delete(Kind::Client, key).await.unwrap();
    }
    assert!(keys("", None, 9).await.is_empty());
}

async fn several_records_are_put_and_deleted_together(store: &dyn Store) {
    let new = |keys: &[&str]| -> Vec<NewRecord> {
        let record = |key: &&str| NewRecord {
            expires: None,
            key: (*key).to_owned(),
            value: encoded(&(*key).to_owned()).unwrap(),
        };
        keys.iter().map(record).collect()
    };
    let held = async || {
        let held = store.list::<String>(Kind::Audit, "", None, 9).await.unwrap();
        assert!(held.iter().all(|(key, value)| key == value));
        held.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    store.put_records(Kind::Audit, &new(&["1", "2", "3"]), &[]).await.unwrap();
    assert_eq!(held().await, ["1", "2", "3"]);
    let gone = ["1".to_owned(), "2".to_owned(), "never".to_owned()];
    store.put_records(Kind::Audit, &new(&["3", "4"]), &gone).await.unwrap();
    assert_eq!(held().await, ["3", "4"]);
    store.put_records(Kind::Audit, &[], &["3".to_owned(), "4".to_owned()]).await.unwrap();
    assert!(held().await.is_empty());
}
