//! An older copy of a Redis that several logs know more of.

use super::*;

/// A server that was away for a moment keeps the password that another set meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_newer_than_the_log_stays() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(NOW));
    let server = tokio::task::spawn_blocking(RedisServer::start).await.unwrap();
    let store = redis(&server, &folder).await.open(&clock).await.unwrap();
    let set = Some(NOW.plus(SECOND * 2));
    let changed = Account { password_set: set, ..account() };
    assert!(store.create_account(&changed).await.unwrap());
    let standing = |set| Standing::Password { user: person(), set, sessions: None };
    store.note_standing(standing(NOW.plus(SECOND)), NOW).await.unwrap();
    drop(store);
    let store = redis(&server, &folder).await.open(&clock).await.unwrap();
    assert_eq!(store.account(&person()).await.unwrap(), Some(changed));
    store.note_standing(standing(NOW.plus(SECOND * 3)), NOW).await.unwrap();
    drop(store);
    let store = redis(&server, &folder).await.open(&clock).await.unwrap();
    assert_eq!(store.account(&person()).await.unwrap().unwrap().password, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_redis_is_brought_up_to_the_log_by_whoever_starts_on_it() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(NOW));
    let mut server = tokio::task::spawn_blocking(RedisServer::start).await.unwrap();
    let store = redis(&server, &folder).await.open(&clock).await.unwrap();
    fill(&*store).await;
    // What Redis' own back-up of this moment would hold.
    server.ask(&["BGREWRITEAOF"]);
    let older = copy_of(&server);
    clock.advance(DAY);
    store.mark(clock.now()).await.unwrap();
    end_everything(&*store, clock.now()).await;
    drop(store);
    put_back(&mut server, &older);
    let new_folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let refused = redis(&server, &new_folder).await.open(&clock).await.unwrap_err();
        assert!(matches!(refused, StoreError::RevocationsLost { .. }), "{refused}");
    }
    has_ended(&*redis(&server, &folder).await.open(&clock).await.unwrap()).await;
}

/// Two servers, one of which was stopped before the revocations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_redis_is_served_only_when_every_log_was_compared_with_it() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Clock::manual(NOW);
    let mut server = tokio::task::spawn_blocking(RedisServer::start).await.unwrap();
    let stopped = redis(&server, &first).await.open(&clock).await.unwrap();
    let store = redis(&server, &second).await.open(&clock).await.unwrap();
    fill(&*store).await;
    server.ask(&["BGREWRITEAOF"]);
    let older = copy_of(&server);
    let backup = first.path().join("back-up");
    let whole = redis(&server, &first).await.whole(&clock).unwrap();
    crate::store::write_backup(&*whole, &backup, clock.now()).await.unwrap();
    clock.advance(Duration::from_hours(1));
    stopped.mark(clock.now()).await.unwrap();
    drop(stopped);
    clock.advance(Duration::from_hours(23));
    end_everything(&*store, clock.now()).await;
    drop(store);
    put_back(&mut server, &older);
    let engine = redis(&server, &first).await;
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn({
        let clock = clock.clone();
        async move { engine.open(&clock).await }
    });
    let early = tokio::time::timeout(SECOND * 2, waiting.join_next()).await;
    assert!(early.is_err(), "it served while another log held more");
    has_ended(&*redis(&server, &second).await.open(&clock).await.unwrap()).await;
    waiting.join_next().await.unwrap().unwrap().unwrap();
    // The same of a back-up: one log is not enough, and nobody else will bring the other.
    let engine = file(&first, "one");
    let refused = restore(&engine, &backup, &Restoring::default(), &clock).await;
    assert!(matches!(refused, Err(MaintenanceError::LogMissing(_))), "{refused:?}");
    let given = Restoring { logs: vec![second.path().join("log")], ..Restoring::default() };
    let engine = file(&first, "two");
    restore(&engine, &backup, &given, &clock).await.unwrap();
    has_ended(&*engine.open(&clock).await.unwrap()).await;
}

/// A log that was lost for good holds a deployment up until its loss is accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_log_of_another_server_can_be_given_up() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Clock::manual(NOW);
    let mut server = tokio::task::spawn_blocking(RedisServer::start).await.unwrap();
    let store = redis(&server, &first).await.open(&clock).await.unwrap();
    drop(redis(&server, &second).await.open(&clock).await.unwrap());
    fill(&*store).await;
    server.ask(&["BGREWRITEAOF"]);
    let older = copy_of(&server);
    clock.advance(DAY);
    end_everything(&*store, clock.now()).await;
    store.mark(clock.now()).await.unwrap();
    drop(store);
    put_back(&mut server, &older);
    let accepting = Restoring { accept_lost_revocations: true, ..Restoring::default() };
    let engine = redis(&server, &first).await;
    assert_eq!(take_as_it_is(&engine, &accepting, &clock).await.unwrap(), Some(NOW));
    has_ended(&*engine.open(&clock).await.unwrap()).await;
}

/// A copy of what the server has on its disk, once it has finished writing it anew.
fn copy_of(server: &RedisServer) -> tempfile::TempDir {
    let limit = std::time::Instant::now() + SECOND * 10;
    while !server.ask(&["INFO", "persistence"]).contains("aof_rewrite_in_progress:0") {
        assert!(std::time::Instant::now() < limit, "Redis goes on writing");
        std::thread::sleep(Duration::from_millis(10));
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&server.folder().join("appendonlydir"), &folder.path().join("appendonlydir"));
    folder
}

/// Starts the server on a copy of what it once had.
fn put_back(server: &mut RedisServer, older: &tempfile::TempDir) {
    server.stop();
    let live = server.folder().join("appendonlydir");
    std::fs::remove_dir_all(&live).unwrap();
    copy(&older.path().join("appendonlydir"), &live);
    server.restart();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
