//! What the engine does on a disk that fails: a disk of our own tells what was synced, and
//! refuses on demand.

use std::{
    io::{self, ErrorKind},
    sync::{Arc, Mutex, mpsc},
    task::{Context, Waker},
};

use redb::StorageBackend;

use super::{Embedded, file::Place};
use crate::StoreError;

/// A disk in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    full: bool,
    synced: Vec<u8>,
    syncs: usize,
}

impl Disk {
    /// What a power failure leaves: only what was synced.
    fn after_power_failure(&self) -> Self {
        let synced = self.0.lock().unwrap().synced.clone();
        let state = State { bytes: synced.clone(), synced, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn fill(&self, full: bool) {
        self.0.lock().unwrap().full = full;
    }

    fn syncs(&self) -> usize {
        self.0.lock().unwrap().syncs
    }

    fn store(&self) -> Embedded {
        Embedded::at(Place::Disk(self.clone())).unwrap()
    }
}

fn room(state: &State) -> io::Result<()> {
    if state.full { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
}

fn range(offset: u64, length: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(offset).unwrap();
    start..start + length
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let bytes = state.bytes.get(range(offset, out.len()));
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        room(&state)?;
        state.bytes.resize(usize::try_from(length).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        room(&state)?;
        state.synced = state.bytes.clone();
        state.syncs += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        room(&state)?;
        let into = state.bytes.get_mut(range(offset, data.len()));
        into.ok_or(ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        Ok(())
    }
}

async fn put(store: &Embedded, key: u32) -> Result<(), StoreError> {
    let key = key.to_be_bytes();
    store.write(move |writer| writer.put(&key, b"value", None)).await
}

fn count(store: &Embedded) -> Result<usize, StoreError> {
    Ok(store.read(|reader| reader.scan(b"", 10_000))?.len())
}

#[tokio::test]
async fn what_was_answered_survives_a_power_failure() {
    let disk = Disk::default();
    let store = disk.store();
    for number in 0..20 {
        put(&store, number).await.unwrap();
        assert_eq!(count(&disk.after_power_failure().store()), Ok(number as usize + 1));
    }
}

#[tokio::test]
async fn everything_queued_shares_one_commit_and_a_read_needs_none() {
    let disk = Disk::default();
    let store = disk.store();
    let (go, wait) = mpsc::channel::<()>();
    let (holding, held) = mpsc::channel::<()>();
    let before = disk.syncs();
    let mut holds =
        Box::pin(store.write(move |_| Ok(holding.send(()).is_ok() && wait.recv().is_ok())));
    let mut writes: Vec<_> = (0..500).map(|number| Box::pin(put(&store, number))).collect();
    let mut context = Context::from_waker(Waker::noop());
    assert!(holds.as_mut().poll(&mut context).is_pending());
    held.recv().unwrap();
    for write in &mut writes {
        assert!(write.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(disk.syncs(), before);
    go.send(()).unwrap();
    assert_eq!(holds.await, Ok(true));
    for write in writes {
        write.await.unwrap();
    }
    let all = disk.syncs() - before;
    let before = disk.syncs();
    put(&store, 1000).await.unwrap();
    assert_eq!(all, disk.syncs() - before);
    let before = disk.syncs();
    assert_eq!(store.write(|writer| writer.get(&[0; 4])).await, Ok(Some(b"value".to_vec())));
    assert_eq!(disk.syncs(), before, "get");
    assert_eq!(store.sweep(u64::MAX, 100).await, Ok(0));
    assert_eq!(disk.syncs(), before, "sweep");
}

#[tokio::test]
async fn a_full_disk_is_reported_and_the_store_works_again_when_there_is_room() {
    let disk = Disk::default();
    let store = disk.store();
    put(&store, 1).await.unwrap();
    disk.fill(true);
    for number in 2..5 {
        let error = put(&store, number).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
    disk.fill(false);
    put(&store, 5).await.unwrap();
    let kept = store.read(|reader| {
        Ok(reader.get(&1_u32.to_be_bytes())?.is_some()
            && reader.get(&5_u32.to_be_bytes())?.is_some())
    });
    assert_eq!(kept, Ok(true));
    assert!(count(&disk.after_power_failure().store()).unwrap() >= 2);
}

#[test]
fn another_layout_is_refused() {
    let disk = Disk::default();
    let newer = redb::TableDefinition::<&str, u64>::new("layout");
    let database = redb::Database::builder().create_with_backend(disk.clone()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(newer).unwrap().insert("version", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Embedded::at(Place::Disk(disk)).unwrap_err();
    assert!(matches!(&error, StoreError::Invalid(said) if said.contains("layout 2")), "{error}");
}
