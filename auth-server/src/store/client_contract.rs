//! What every engine must do with clients.

use std::{sync::Arc, time::Duration};

use shared::{ids::ClientId, secret::SecretHash, time::Timestamp};

use super::{Kind, Store};
use crate::{
    rules::{
        client::{Client, Life},
        client_life::Touch,
        initial_access::InitialAccess,
    },
    testing,
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_hours(1);

/// The part of the contract that is about clients.
pub(super) async fn holds(store: &Arc<dyn Store>) {
    clients_are_counted_as_they_come_and_go(&**store).await;
    what_was_never_used_is_forgotten_unless_it_is_touched(&**store).await;
    an_initial_access_token_is_spent_as_often_as_it_says(Arc::clone(store)).await;
}

fn client(id: &str, at: Timestamp) -> Client {
    Client {
        id: ClientId::parse(id).unwrap(),
        life: Life { touched: at, used: false },
        registered: at,
        ..testing::client()
    }
}

async fn clients_are_counted_as_they_come_and_go(store: &dyn Store) {
    let before = store.count(Kind::Client).await.unwrap();
    let more = async || store.count(Kind::Client).await.unwrap() - before;
    let (one, two) = (client("count-1", NOW), client("count-2", NOW));
    assert!(store.create_client(&one).await.unwrap());
    assert!(!store.create_client(&one).await.unwrap());
    assert!(store.create_client(&two).await.unwrap());
    assert_eq!(more().await, 2);
    let changed =
        store.change_client(&one.id, |held| Client { name: "Other".to_owned(), ..held.clone() });
    assert_eq!(changed.await.unwrap().unwrap().name, "Other");
    assert_eq!(more().await, 2);
    for client in [&one, &two] {
        assert!(store.delete(Kind::Client, client.id.as_str()).await.unwrap());
    }
    assert_eq!(more().await, 0);
    store.remember_cutoff(&one.id, NOW, NOW.plus(HOUR * 24 * 3650)).await.unwrap();
    assert!(store.create_client(&one).await.unwrap());
    let held = store.client(&one.id).await.unwrap().unwrap();
    assert_eq!(held.cutoff, Some(NOW), "grants that were ended stay ended");
    assert!(store.delete(Kind::Client, one.id.as_str()).await.unwrap());
}

async fn what_was_never_used_is_forgotten_unless_it_is_touched(store: &dyn Store) {
    let ids = ["sweep-1", "sweep-2", "sweep-3"];
    for id in ids {
        assert!(store.create_client(&client(id, NOW)).await.unwrap());
    }
    let touch = async |id: &str, touch, at| {
        store.touch_client(&ClientId::parse(id).unwrap(), touch, at).await.unwrap()
    };
    assert!(touch("sweep-2", Touch::Used, NOW).await.unwrap().life.used);
    assert!(touch("sweep-3", Touch::Registered, NOW.plus(HOUR)).await.is_some());
    assert!(touch("sweep-4", Touch::Registered, NOW).await.is_none(), "a touch never creates");
    let later = NOW.plus(Duration::from_mins(90));
    let (next, gone) = store.forget_clients(Some("sweep-"), 2, later).await.unwrap();
    assert_eq!((next.as_deref(), gone), (Some("sweep-2"), 1));
    let (next, gone) = store.forget_clients(next.as_deref(), 2, later).await.unwrap();
    assert_eq!((next, gone), (None, 0));
    for (id, is_there) in ids.into_iter().zip([false, true, true]) {
        let held = store.client(&ClientId::parse(id).unwrap()).await.unwrap();
        assert_eq!(held.is_some(), is_there, "{id}");
        store.delete(Kind::Client, id).await.unwrap();
    }
}

async fn an_initial_access_token_is_spent_as_often_as_it_says(store: Arc<dyn Store>) {
    let token = SecretHash::of(b"initial");
    let access =
        InitialAccess { created: NOW, expires: None, note: String::new(), remaining: Some(3) };
    store.put_initial_access(&token, &access).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, token) = (Arc::clone(&store), token.clone());
        tasks.spawn(async move { store.spend_initial_access(&token, NOW).await.unwrap() });
    }
    let spent = tasks.join_all().await.into_iter().filter(|spent| *spent).count();
    assert_eq!(spent, 3);
    let held = store.initial_access(&token).await.unwrap().unwrap();
    assert_eq!(held.remaining, Some(0));
    let unknown = SecretHash::of(b"guess");
    assert!(!store.spend_initial_access(&unknown, NOW).await.unwrap());
    assert_eq!(
        store.list::<InitialAccess>(Kind::InitialAccess, "", None, 9).await.unwrap().len(),
        1
    );
    assert!(store.delete(Kind::InitialAccess, token.as_str()).await.unwrap());
}
