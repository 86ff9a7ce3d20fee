//! Back-ups that are put back, and moves between the engines, with everything there is to lose.

use std::collections::BTreeMap;

use shared::{
    ids::{ClientId, UserId, WorkspaceId},
    internal::Event,
};
use store::test_server::RedisServer;

use super::*;
use crate::{
    rules::{client::Client, rotation::Step},
    store::{
        Account, Kind, Owner, Standing, Store,
        contract::{NOW, SECOND, code, create, id, present, token},
    },
    testing,
};

const DAY: Duration = Duration::from_hours(24);

fn person() -> UserId {
    UserId::parse("usr_pat").unwrap()
}

fn account() -> Account {
    Account {
        active: true,
        created: NOW,
        cutoff: Some(NOW),
        email: None,
        email_verified: false,
        id: person(),
        memberships: BTreeMap::from([
            (WorkspaceId::parse("red").unwrap(), "owner".to_owned()),
            (WorkspaceId::parse("blue").unwrap(), "member".to_owned()),
            (WorkspaceId::parse("green").unwrap(), "member".to_owned()),
        ]),
        name: "Pat".to_owned(),
        password: None,
        sessions_cutoff: None,
        username: "pat@example.com".to_owned(),
    }
}

/// Something of every form: three families of which one is revoked, a code that was tried once,
/// records of kinds that are listed, counted, sealed and neither, and events.
async fn fill(store: &dyn Store) {
    for family in [id(1), id(2), id(3)] {
        create(store, family).await;
    }
    assert_eq!(present(store, id(2), token(0), 1).await, Step::Rotated);
    assert!(store.revoke_family(id(3), NOW).await.unwrap());
    let hash = shared::secret::SecretHash::of(b"unused");
    store
        .put_code(id(4), &hash, &crate::store::CodeRecord { expires: NOW.plus(DAY), ..code() })
        .await
        .unwrap();
    store.miss_code(id(4), &hash).await.unwrap();
    assert!(store.create_account(&account()).await.unwrap());
    for name in ["one", "two"] {
        let client = Client { id: ClientId::parse(name).unwrap(), ..testing::client() };
        assert!(store.create_client(&client).await.unwrap());
    }
    assert!(store.replace_key_set("issuer", None, &[0, 159, 146, 150]).await.unwrap());
    assert!(store.take_ticket("taken", NOW.plus(DAY)).await.unwrap());
    let event = Event::Person { user: person(), not_after: NOW };
    store.append_event(&event, NOW).await.unwrap();
}

fn file(folder: &tempfile::TempDir, name: &str) -> Engine {
    let engine = store::Embedded::open(&folder.path().join(name)).unwrap();
    Engine::Embedded(engine, Some(folder.path().join("log")))
}

async fn redis(server: &RedisServer, folder: &tempfile::TempDir) -> Engine {
    let redis = store::Redis::connect(server.config("auth:")).await.unwrap();
    Engine::Redis(redis, folder.path().join("log"))
}

/// What [`fill`] wrote is there and works.
async fn works(store: &dyn Store) {
    assert_eq!(present(store, id(1), token(0), 5).await, Step::Rotated);
    assert_eq!(present(store, id(2), token(1), 5).await, Step::Rotated);
    assert_eq!(present(store, id(3), token(0), 5).await, Step::Revoked);
    assert_eq!(store.account_named("PAT@example.com").await.unwrap(), Some(account()));
    assert_eq!(store.count(Kind::Client).await.unwrap(), 2);
    assert_eq!(store.key_set("issuer").await.unwrap().unwrap(), [0, 159, 146, 150]);
    assert!(store.is_taken("taken").await.unwrap());
    let client = ClientId::parse("app").unwrap();
    assert_eq!(store.families_of(Owner::Client(&client), 9).await.unwrap().len(), 3);
    let hash = shared::secret::SecretHash::of(b"unused");
    assert!(store.code(id(4), &hash, NOW).await.unwrap().is_some());
    for _ in 0..2 {
        store.miss_code(id(4), &hash).await.unwrap();
    }
    assert_eq!(store.code(id(4), &hash, NOW).await.unwrap(), None, "the first try was forgotten");
    let feed = store.feed(None).await.unwrap().events;
    let revoked = Event::Family { family: id(3) };
    let ended = Event::Person { user: person(), not_after: NOW };
    // Redis may announce a revocation once more when the spent token comes.
    assert_eq!(feed[..2], [revoked.clone(), ended]);
    assert!(feed[2..].iter().all(|event| *event == revoked), "{feed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_from_the_file_to_redis_and_back() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(NOW));
    let server = tokio::task::spawn_blocking(RedisServer::start).await.unwrap();
    let (old, middle, new) =
        (file(&folder, "old"), redis(&server, &folder).await, file(&folder, "new"));
    fill(&*old.clone().open(&clock).await.unwrap()).await;
    let there = migrate(&old, &middle, &clock).await.unwrap();
    assert_eq!(there.counts["family"], 3);
    assert_eq!(there.counts["client"], 2);
    let sealed = old.clone().open(&clock).await.unwrap_err().to_string();
    assert!(sealed.contains("moved"), "{sealed}");
    let again = migrate(&old, &file(&folder, "other"), &clock).await.unwrap_err();
    assert!(matches!(again, MaintenanceError::Store(StoreError::Sealed(_))), "{again}");
    let full = migrate(&new, &middle, &clock).await.unwrap_err();
    assert!(matches!(full, MaintenanceError::NotEmpty), "{full}");
    // Redis may be in use by others, which its mark tells.
    let in_use = migrate(&middle, &new, &clock).await.unwrap_err();
    assert!(matches!(in_use, MaintenanceError::InUse(_)), "{in_use}");
    clock.advance(QUIET);
    let back = migrate(&middle, &new, &clock).await.unwrap();
    assert_eq!((there.counts, there.digest), (back.counts, back.digest));
    works(&*new.clone().open(&clock).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migrated_redis_serves_what_the_file_held() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(NOW));
    let server = tokio::task::spawn_blocking(RedisServer::start).await.unwrap();
    let (old, new) = (file(&folder, "old"), redis(&server, &folder).await);
    fill(&*old.clone().open(&clock).await.unwrap()).await;
    migrate(&old, &new, &clock).await.unwrap();
    works(&*new.clone().open(&clock).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_revoked_after_a_back_up_stays_revoked_when_it_is_put_back() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(NOW));
    let (engine, backup) = (file(&folder, "auth"), folder.path().join("back-up"));
    {
        let store = engine.clone().open(&clock).await.unwrap();
        fill(&*store).await;
        let whole = engine.whole(&clock).unwrap();
        crate::store::write_backup(&*whole, &backup, clock.now()).await.unwrap();
        let again = crate::store::write_backup(&*whole, &backup, clock.now()).await;
        assert!(matches!(again, Err(StoreError::Backup(_))), "it is never overwritten");
        clock.advance(DAY);
        end_everything(&*store, clock.now()).await;
    }
    let log = folder.path().join("log");
    // Without the log nobody knows what was revoked.
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["one", "again"] {
        let engine = file(&elsewhere, name);
        let refused = restore(&engine, &backup, &Restoring::default(), &clock).await;
        assert!(matches!(refused, Err(MaintenanceError::LogTooShort)), "{refused:?}");
    }
    let accepting = Restoring { accept_lost_revocations: true, ..Restoring::default() };
    let accepted = file(&elsewhere, "two");
    restore(&accepted, &backup, &accepting, &clock).await.unwrap();
    let store = accepted.open(&clock).await.unwrap();
    assert_eq!(present(&*store, id(1), token(0), 86_400).await, Step::Rotated);
    // With it, beside the store or from elsewhere, nothing that was ended lives.
    let third = tempfile::tempdir().unwrap();
    let given = Restoring { logs: vec![log], ..Restoring::default() };
    for (engine, how) in
        [(file(&folder, "again"), Restoring::default()), (file(&third, "x"), given)]
    {
        restore(&engine, &backup, &how, &clock).await.unwrap();
        let full = restore(&engine, &backup, &how, &clock).await.unwrap_err();
        assert!(matches!(full, MaintenanceError::NotEmpty), "{full}");
        has_ended(&*engine.open(&clock).await.unwrap()).await;
    }
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
    store.put_as_of(clock.now()).await.unwrap();
    end_everything(&*store, clock.now()).await;
    drop(store);
    server.stop();
    let live = server.folder().join("appendonlydir");
    std::fs::remove_dir_all(&live).unwrap();
    copy(&older.path().join("appendonlydir"), &live);
    server.restart();
    let new_folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let refused = redis(&server, &new_folder).await.open(&clock).await.unwrap_err();
        assert!(matches!(refused, StoreError::RevocationsLost { .. }), "{refused}");
    }
    has_ended(&*redis(&server, &folder).await.open(&clock).await.unwrap()).await;
}

#[tokio::test]
async fn a_back_up_that_was_changed_or_cut_off_is_refused_and_never_started_on() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(NOW));
    let (engine, backup) = (file(&folder, "auth"), folder.path().join("back-up"));
    fill(&*engine.clone().open(&clock).await.unwrap()).await;
    let whole = engine.whole(&clock).unwrap();
    crate::store::write_backup(&*whole, &backup, clock.now()).await.unwrap();
    let text = std::fs::read_to_string(&backup).unwrap();
    let short: String = text.split_inclusive('\n').take(4).collect();
    for (number, wrong) in
        [short, text.replace("usr_pat", "usr_eve"), "nonsense\n".to_owned()].iter().enumerate()
    {
        std::fs::write(&backup, wrong).unwrap();
        let engine = file(&folder, &number.to_string());
        let refused = restore(&engine, &backup, &Restoring::default(), &clock).await.unwrap_err();
        let is_named = matches!(refused, MaintenanceError::Store(StoreError::Backup(_)));
        assert!(is_named, "{refused}");
        assert!(matches!(engine.open(&clock).await, Err(StoreError::Sealed(_))));
    }
}

/// Ends a grant, a person's grants and account, a membership and a client.
async fn end_everything(store: &dyn Store, now: Timestamp) {
    assert!(store.revoke_family(id(1), now).await.unwrap());
    let end = |account: &mut Account| (account.active, account.cutoff) = (false, Some(now));
    store.change_account(&person(), end).await.unwrap();
    let standing = Standing::Account { user: person(), active: false };
    store.note_standing(standing, now).await.unwrap();
    let event = Event::Person { user: person(), not_after: now };
    store.append_event(&event, now).await.unwrap();
    for name in ["red", "blue", "green"] {
        let (user, workspace) = (person(), WorkspaceId::parse(name).unwrap());
        let told = Event::Membership { user, workspace: workspace.clone(), not_after: now };
        store.append_event(&told, now).await.unwrap();
        // The plan of the third changed, which ends tokens and no membership.
        if name != "green" {
            let left = Standing::Left { user: person(), workspace: workspace.clone() };
            store.note_standing(left, now).await.unwrap();
        }
        if name == "blue" {
            let again = Standing::Member { user: person(), workspace };
            store.note_standing(again, now).await.unwrap();
        }
    }
    let client = ClientId::parse("one").unwrap();
    let event = Event::Client { client: client.clone(), not_after: now };
    store.append_event(&event, now).await.unwrap();
    store.note_standing(Standing::ClientGone { client: client.clone() }, now).await.unwrap();
    store.delete(Kind::Client, client.as_str()).await.unwrap();
}

async fn has_ended(store: &dyn Store) {
    assert_eq!(present(store, id(1), token(0), 86_500).await, Step::Revoked);
    let account = store.account(&person()).await.unwrap().unwrap();
    assert!(!account.active);
    assert_eq!(account.cutoff, Some(NOW.plus(DAY)));
    let workspaces: Vec<&str> = account.memberships.keys().map(WorkspaceId::as_str).collect();
    assert_eq!(workspaces, ["blue", "green"], "what was given again or never ended stays");
    assert_eq!(store.client(&ClientId::parse("one").unwrap()).await.unwrap(), None);
    assert!(store.client(&ClientId::parse("two").unwrap()).await.unwrap().is_some());
    let feed = store.feed(None).await.unwrap().events;
    assert!(feed.contains(&Event::Family { family: id(1) }), "{feed:?}");
    assert!(feed.iter().any(|event| matches!(event, Event::Client { .. })), "{feed:?}");
    // Nobody else is logged out.
    assert_eq!(present(store, id(2), token(1), 86_500).await, Step::Rotated);
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

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
