//! Back-ups that are put back, and moves between the engines, with everything there is to lose.

use std::collections::BTreeMap;

use shared::{
    ids::{ClientId, UserId, WorkspaceId},
    internal::Event,
    secret::{Secret, SecretHash},
};
use store::test_server::RedisServer;

use super::*;
use crate::{
    App,
    accounts::NewAccount,
    audit::Actor,
    clients::NewInitialAccessToken,
    rules::{
        client::{Client, ClientAuth, Origin, SecretMethod},
        rotation::{Family, Step},
    },
    store::{
        Account, Kind, Owner, Session, Standing, Store,
        contract::{NOW, SECOND, code, create, create_as, id, present, token},
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
        grants_cutoff: None,
        id: person(),
        memberships: BTreeMap::from([
            (WorkspaceId::parse("red").unwrap(), "owner".to_owned()),
            (WorkspaceId::parse("blue").unwrap(), "member".to_owned()),
            (WorkspaceId::parse("green").unwrap(), "member".to_owned()),
        ]),
        name: "Pat".to_owned(),
        password: Some("$argon2id$".to_owned()),
        password_set: None,
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
    let hash = SecretHash::of(b"unused");
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
    assert_eq!(store.families_of(Owner::Client(&client), None, 9).await.unwrap().len(), 3);
    let hash = SecretHash::of(b"unused");
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

/// Sessions, passwords, secrets and initial access tokens, through what people and operators do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_ended_or_replaced_after_a_back_up_does_not_work_when_it_is_put_back() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(NOW));
    let (engine, backup) = (file(&folder, "auth"), folder.path().join("back-up"));
    let (kek, _) = keys::KeyEncryptionKey::generate();
    let app = App::open(testing::config(), engine.clone(), clock.clone(), &kek).await.unwrap();
    let new = NewAccount {
        email: None,
        email_verified: false,
        memberships: BTreeMap::new(),
        name: "Pat".to_owned(),
        password: Some(Secret::new("a first pass phrase".to_owned())),
        username: "pat".to_owned(),
    };
    let user = app.create_account(new, &Actor::Person).await.unwrap().id;
    let secret = |text: &str| SecretHash::of(text.as_bytes());
    let (ended, kept) = (session(&user, "ended"), session(&user, "kept"));
    for session in [&ended, &kept] {
        app.store.put_session(&secret(&session.id), session).await.unwrap();
    }
    let auth = ClientAuth::secret(SecretMethod::Basic, secret("old"));
    let client = Client { auth, origin: Origin::Operator, ..testing::client() };
    assert!(app.store.create_client(&client).await.unwrap());
    let good_for = |times| NewInitialAccessToken { uses: Some(times), ..Default::default() };
    let (_, spent) = app.create_initial_access_token(good_for(2)).await.unwrap();
    let (revoked, unused) = app.create_initial_access_token(good_for(9)).await.unwrap();
    let whole = engine.whole(&clock).unwrap();
    crate::store::write_backup(&*whole, &backup, clock.now()).await.unwrap();
    clock.advance(DAY);
    let now = clock.now();
    app.store.end_session(&secret("ended"), &ended, now).await.unwrap();
    let second = Secret::new("a second pass phrase".to_owned());
    app.set_password(&user, second, &Actor::Person).await.unwrap();
    app.rotate_client_secret("app", Duration::from_hours(1)).await.unwrap();
    assert!(app.store.spend_initial_access(&spent.hash(), now).await.unwrap());
    assert!(app.revoke_initial_access_token(&revoked.id).await.unwrap());
    drop(app);
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    for hidden in ["phrase", "argon2", spent.expose(), unused.expose()] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
    let server = tokio::task::spawn_blocking(RedisServer::start).await.unwrap();
    for engine in [file(&folder, "again"), redis(&server, &folder).await] {
        restore(&engine, &backup, &Restoring::default(), &clock).await.unwrap();
        let store = engine.open(&clock).await.unwrap();
        assert_eq!(store.session(&secret("ended")).await.unwrap(), None);
        assert_eq!(store.session(&secret("kept")).await.unwrap(), Some(kept.clone()));
        assert_eq!(store.account(&user).await.unwrap().unwrap().password, None);
        let client = store.client(&client.id).await.unwrap().unwrap();
        assert_eq!(client.auth.secrets()[0].expires, Some(now.plus(Duration::from_hours(1))));
        let left = store.initial_access(&spent.hash()).await.unwrap().unwrap();
        assert_eq!(left.remaining, Some(1));
        assert!(!store.initial_access(&unused.hash()).await.unwrap().unwrap().is_good(now));
    }
}

fn session(user: &UserId, id: &str) -> Session {
    Session {
        agent: String::new(),
        expires: NOW.plus(DAY * 9),
        id: id.to_owned(),
        last_seen: NOW,
        method: None,
        network: String::new(),
        signed_in: NOW,
        user: user.clone(),
    }
}

/// Redis has no moment that could be copied whole: what is written meanwhile is in the back-up or
/// not, but nothing in it lacks what it needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_up_of_redis_under_writes_keeps_what_was_there_and_breaks_nothing() {
    const FAMILIES: u8 = 60;
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(NOW));
    let server = tokio::task::spawn_blocking(RedisServer::start).await.unwrap();
    let engine = redis(&server, &folder).await;
    let store = engine.clone().open(&clock).await.unwrap();
    for number in 0..FAMILIES {
        create_as(&*store, id(number), &family_of(number)).await;
    }
    let whole = engine.whole(&clock).unwrap();
    for round in 0..5_u8 {
        let backup = folder.path().join(format!("back-up {round}"));
        let first = FAMILIES + round * 20;
        let writing = async {
            for number in first..first + 20 {
                create_as(&*store, id(number), &family_of(number)).await;
            }
            let gone = id(round);
            assert!(store.revoke_family(gone, clock.now()).await.unwrap());
        };
        let copying = crate::store::write_backup(&*whole, &backup, clock.now());
        let (census, ()) = tokio::join!(copying, writing);
        let found = usize::try_from(census.unwrap().counts["family"]).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let engine = file(&elsewhere, "auth");
        let given = Restoring { logs: vec![folder.path().join("log")], ..Restoring::default() };
        restore(&engine, &backup, &given, &clock).await.unwrap();
        let restored = engine.open(&clock).await.unwrap();
        let mut there = 0;
        for number in 0..first + 20 {
            let Some(family) = restored.family(id(number)).await.unwrap() else {
                assert!(number >= first, "grant {number} was there before the back-up");
                continue;
            };
            there += 1;
            let terms = family.grant.terms();
            assert!(restored.terms(terms.id()).await.unwrap().is_some(), "grant {number}");
            assert_eq!(family.revoked, number <= round, "grant {number}");
        }
        assert_eq!(there, found);
    }
}

/// A family whose terms no other has.
fn family_of(number: u8) -> Family {
    let mut family = crate::store::contract::family();
    let scope = shared::scope::Scope::parse(&format!("number:{number}")).unwrap();
    family.grant.identity = scope;
    family
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

#[path = "maintenance_logs_tests.rs"]
mod logs;
