//! Tests of signing in: unknown, wrong, disabled and right take the same way.

use std::sync::atomic::Ordering;

use argon2::password_hash::phc::PasswordHash;

use super::*;
use crate::{config::ConfiguredUser, store::EmbeddedStore};

const PASSWORD: &str = "correct horse battery staple";

fn account(name: &str, password: Option<String>) -> Account {
    Account {
        active: true,
        created: Timestamp::from_secs(1),
        cutoff: None,
        email: None,
        email_verified: false,
        grants_cutoff: None,
        id: UserId::parse(&format!("usr_{name}")).unwrap(),
        memberships: BTreeMap::new(),
        name: name.to_owned(),
        password,
        password_set: None,
        sessions_cutoff: None,
        username: name.to_owned(),
    }
}

#[tokio::test]
async fn every_sign_in_costs_one_hash_whoever_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let engine = ::store::Embedded::open(&folder.path().join("auth.redb")).unwrap();
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::new(engine, "epoch".to_owned()));
    let of_file = ConfiguredUser {
        email: None,
        id: UserId::parse("usr_file").unwrap(),
        memberships: BTreeMap::new(),
        name: "File".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        username: "file".to_owned(),
    };
    let accounts = Accounts::open(&[of_file], Arc::clone(&store)).unwrap();
    let hash = accounts.hash(Secret::new(PASSWORD.to_owned())).await.unwrap();
    for known in [
        account("active", Some(hash.clone())),
        Account { active: false, ..account("disabled", Some(hash)) },
        account("passwordless", None),
    ] {
        assert!(store.create_account(&known).await.unwrap());
    }
    for (name, password, expected) in [
        ("active", PASSWORD, Ok(())),
        ("file", PASSWORD, Ok(())),
        ("active", "wrong", Err(SignInError::Wrong)),
        ("file", "wrong", Err(SignInError::Wrong)),
        ("disabled", PASSWORD, Err(SignInError::Wrong)),
        ("passwordless", "", Err(SignInError::Wrong)),
        ("nobody", PASSWORD, Err(SignInError::Wrong)),
        ("nobody", "nobody", Err(SignInError::Wrong)),
        ("", "", Err(SignInError::Wrong)),
    ] {
        let before = accounts.passwords.checks.load(Ordering::SeqCst);
        let password = Secret::new(password.to_owned());
        let signed_in = accounts.sign_in(name, password, Lane::Unknown).await.unwrap();
        assert_eq!(signed_in.map(drop), expected, "{name}");
        let hashed = accounts.passwords.checks.load(Ordering::SeqCst) - before;
        assert_eq!(hashed, 1, "{name}");
    }
}

#[test]
fn nobodys_hash_costs_what_everybodys_does() {
    let passwords = Passwords::new();
    let own = Passwords::of_file(&Secret::new(PASSWORD.to_owned())).unwrap();
    let cost = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
    assert_eq!(cost(&passwords.nobody), cost(&own));
    let length = |hash: &str| hash.len();
    assert_eq!(length(&passwords.nobody), length(&own));
    assert!(PasswordHash::new(&passwords.nobody).is_ok(), "it is computed with, not refused");
    assert!(cost(&own).starts_with("$argon2id$v=19$m="), "{own}");
}
