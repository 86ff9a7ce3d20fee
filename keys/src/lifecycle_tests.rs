//! The life of keys, step by step and at random.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    jwks::{MAX_KEYS, VerifyingKeys},
    ring::Purpose,
};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

fn dwell() -> Dwell {
    crate::pace::Pace::default().dwell(Duration::from_mins(5))
}

fn set() -> KeySet {
    KeySet::first(Purpose::Issuer, START).unwrap()
}

fn id(set: &KeySet, at: usize) -> KeyId {
    set.records()[at].id.clone()
}

fn state(set: &KeySet, id: &KeyId) -> KeyState {
    set.records().iter().find(|key| key.id == *id).unwrap().state
}

fn has_private_half(set: &KeySet, id: &KeyId) -> bool {
    let key = set.records().iter().find(|key| key.id == *id).unwrap();
    matches!(key.material, Some(Material::Signing(_) | Material::Secret(_)))
}

#[test]
fn a_key_waits_retires_and_leaves_in_an_orderly_rotation() {
    let first = set();
    let (old, new) = (id(&first, 0), id(&first, 1));
    let ready = START.plus(dwell().pending);

    let early =
        first.activate(&new, ready.minus(Duration::from_millis(1)), &dwell(), Urgency::Orderly);
    assert_eq!(
        early.unwrap_err().to_string(),
        format!("key {new} cannot be activated yet; it is allowed in 1 s")
    );
    let rotated = first.activate(&new, ready, &dwell(), Urgency::Orderly).unwrap();
    assert_eq!((rotated.version, rotated.signing().unwrap().id()), (2, &new));
    assert_eq!(state(&rotated, &old), KeyState::Retiring);
    assert!(!has_private_half(&rotated, &old));
    assert_eq!(rotated.records().len(), 3, "a new standby is announced");
    assert!(VerifyingKeys::parse(&rotated.jwks()).unwrap().find(&old).is_some());

    let done = ready.plus(dwell().retiring);
    let early = rotated
        .retire(&old, done.minus(Duration::from_secs(90)), &dwell(), Urgency::Orderly)
        .unwrap_err();
    let expected =
        KeyError::TooSoon { allowed_at: done, id: old.clone(), verb: "retired", wait_seconds: 90 };
    assert_eq!(early, expected);
    let retired = rotated.retire(&old, done, &dwell(), Urgency::Orderly).unwrap();
    assert_eq!((retired.version, state(&retired, &old)), (3, KeyState::Retired));
    assert!(VerifyingKeys::parse(&retired.jwks()).unwrap().find(&old).is_none());
}

#[test]
fn an_emergency_activates_at_once() {
    let first = set();
    let new = id(&first, 1);
    assert!(first.activate(&new, START, &dwell(), Urgency::Orderly).is_err());
    let rotated = first.activate(&new, START, &dwell(), Urgency::Emergency).unwrap();
    assert_eq!(rotated.signing().unwrap().id(), &new);
}

#[test]
fn revoking_the_signing_key_lets_the_oldest_standby_sign() {
    let later = START.plus(Duration::from_mins(1));
    let first = set().announce(Algorithm::Es256, later).unwrap();
    let (active, oldest) = (id(&first, 0), id(&first, 1));
    let early = first.revoke(&active, later, &dwell(), Urgency::Orderly).unwrap_err();
    assert!(matches!(early, KeyError::TooSoon { id, .. } if id == oldest));
    for (now, urgency) in
        [(later, Urgency::Emergency), (START.plus(dwell().pending), Urgency::Orderly)]
    {
        let revoked = first.revoke(&active, now, &dwell(), urgency).unwrap();
        assert_eq!(revoked.signing().unwrap().id(), &oldest);
        assert_eq!(state(&revoked, &active), KeyState::Revoked);
        assert!(!has_private_half(&revoked, &active));
        assert_eq!(revoked.revoked().collect::<Vec<_>>(), [&active]);
        assert!(VerifyingKeys::parse(&revoked.jwks()).unwrap().find(&active).is_none());
    }
}

#[test]
fn no_set_publishes_more_keys_than_verifiers_read() {
    let (mut set, mut now) = (set(), START);
    let next = |set: &KeySet, now: &mut Timestamp| {
        *now = now.plus(dwell().pending);
        set.activate(&set.standby().unwrap().id.clone(), *now, &dwell(), Urgency::Orderly)
    };
    let oldest = id(&set, 0);
    for _ in 2..MAX_KEYS {
        set = next(&set, &mut now).unwrap();
    }
    assert_eq!(VerifyingKeys::parse(&set.jwks()).unwrap().ids().count(), MAX_KEYS);
    let refused = next(&set, &mut now.clone()).unwrap_err();
    assert_eq!(refused, KeyError::Full);
    assert_eq!(set.announce(Algorithm::Es256, now).unwrap_err(), KeyError::Full);
    assert_eq!(set.probe(now).unwrap_err(), KeyError::Full);
    assert_eq!(set.with_algorithms(&[Algorithm::EdDsa], now).unwrap_err(), KeyError::Full);

    let active = set.active().unwrap().id.clone();
    let revoked = set.revoke(&active, now, &dwell(), Urgency::Emergency).unwrap();
    assert_ne!(revoked.active().unwrap().id, active, "a stolen key is pulled out all the same");
    let retired = set.retire(&oldest, now, &dwell(), Urgency::Orderly).unwrap();
    assert!(next(&retired, &mut now).is_ok());
}

#[test]
fn revoking_the_only_standby_announces_another() {
    let first = set();
    let standby = id(&first, 1);
    let revoked = first.revoke(&standby, START, &dwell(), Urgency::Orderly).unwrap();
    assert_eq!(state(&revoked, &standby), KeyState::Revoked);
    assert_eq!(revoked.signing().unwrap().id(), first.signing().unwrap().id());
    assert_ne!(revoked.standby().unwrap().id, standby);
}

#[test]
fn no_verb_moves_a_key_backwards() {
    let first = set();
    let (active, pending) = (id(&first, 0), id(&first, 1));
    let late = START.plus(Duration::from_secs(1_000_000));
    assert!(first.activate(&active, late, &dwell(), Urgency::Emergency).is_err());
    assert!(first.retire(&active, late, &dwell(), Urgency::Orderly).is_err());
    assert!(first.retire(&pending, late, &dwell(), Urgency::Orderly).is_err());

    let revoked = first.revoke(&active, late, &dwell(), Urgency::Orderly).unwrap();
    let again = revoked.activate(&active, late, &dwell(), Urgency::Emergency).unwrap_err();
    assert_eq!(again.to_string(), format!("key {active} is revoked and cannot be activated"));
    assert!(revoked.revoke(&active, late, &dwell(), Urgency::Emergency).is_err());
    assert!(revoked.retire(&active, late, &dwell(), Urgency::Orderly).is_err());

    let nobody = KeyId::parse("nobody").unwrap();
    let unknown = first.revoke(&nobody, late, &dwell(), Urgency::Emergency).unwrap_err();
    assert_eq!(unknown, KeyError::Unknown("nobody".to_owned()));
}

#[test]
fn a_retired_key_can_still_be_revoked() {
    let first = set();
    let (old, new) = (id(&first, 0), id(&first, 1));
    let late = START.plus(Duration::from_secs(1_000_000));
    let rotated = first.activate(&new, START, &dwell(), Urgency::Emergency).unwrap();
    let retired = rotated.retire(&old, late, &dwell(), Urgency::Orderly).unwrap();
    let revoked = retired.revoke(&old, late, &dwell(), Urgency::Orderly).unwrap();
    assert_eq!(state(&revoked, &old), KeyState::Revoked);
    assert_eq!(revoked.signing().unwrap().id(), &new);
}

#[test]
fn a_secret_is_read_with_until_it_retires() {
    let first = KeySet::first(Purpose::PageSeal, START).unwrap();
    let old = id(&first, 0);
    let sealed = first.secrets().current().seal(b"c", b"page").unwrap();
    let late = START.plus(Duration::from_secs(1_000_000));
    let rotated = first.activate(&id(&first, 1), late, &dwell(), Urgency::Orderly).unwrap();
    assert_ne!(rotated.secrets().current().id(), first.secrets().current().id());
    assert_eq!(rotated.secrets().open(b"c", &sealed).unwrap(), b"page");

    let retired =
        rotated.retire(&old, late.plus(dwell().retiring), &dwell(), Urgency::Orderly).unwrap();
    assert!(retired.secrets().open(b"c", &sealed).is_err());
    let revoked = rotated.revoke(&old, late, &dwell(), Urgency::Orderly).unwrap();
    assert!(revoked.secrets().open(b"c", &sealed).is_err());
    assert!(!has_private_half(&revoked, &old));
}

#[derive(Clone, Debug)]
enum Step {
    Activate { at: usize, urgency: Urgency },
    Announce,
    Retire { at: usize },
    Revoke { at: usize, urgency: Urgency },
}

#[test]
fn an_older_set_goes_on_from_the_highest_version_without_the_keys_revoked_since() {
    let old = set();
    let (active, standby) = (id(&old, 0), id(&old, 1));
    let now = START.plus(Duration::from_hours(1));
    assert!(old.reinstated(&[], 1, now).unwrap().is_none(), "it is of that moment");
    let newer = old.reinstated(&[], 7, now).unwrap().unwrap();
    assert_eq!((newer.version, newer.active().unwrap().id.clone()), (8, active.clone()));
    let one = old.reinstated(std::slice::from_ref(&active), 7, now).unwrap().unwrap();
    assert_eq!(
        (state(&one, &active), state(&one, &standby)),
        (KeyState::Revoked, KeyState::Active)
    );
    assert!(!has_private_half(&one, &active) && one.standby().is_some());
    assert!(one.reinstated(std::slice::from_ref(&active), 7, now).unwrap().is_none());
    let both = old.reinstated(&[active.clone(), standby.clone()], 1, now).unwrap().unwrap();
    assert_eq!((both.version, state(&both, &standby)), (2, KeyState::Revoked));
    assert!(![active, standby].contains(&both.active().unwrap().id));
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let urgency = || prop_oneof![Just(Urgency::Emergency), Just(Urgency::Orderly)];
    let step = prop_oneof![
        1 => Just(Step::Announce),
        4 => (0..8_usize, urgency()).prop_map(|(at, urgency)| Step::Activate { at, urgency }),
        4 => (0..8_usize).prop_map(|at| Step::Retire { at }),
        3 => (0..8_usize, urgency()).prop_map(|(at, urgency)| Step::Revoke { at, urgency }),
    ];
    (0..1000_u64, step)
}

fn apply(set: &KeySet, now: Timestamp, step: &Step) -> Result<KeySet, KeyError> {
    let pick = |at: &usize| id(set, at % set.records().len());
    match step {
        Step::Activate { at, urgency } => set.activate(&pick(at), now, &dwell(), *urgency),
        Step::Announce => set.announce(set.algorithms()[0], now),
        Step::Retire { at } => set.retire(&pick(at), now, &dwell(), Urgency::Orderly),
        Step::Revoke { at, urgency } => set.revoke(&pick(at), now, &dwell(), *urgency),
    }
}

/// What must hold between a set and the next one.
fn follows(before: &KeySet, after: &KeySet) {
    assert_eq!(after.version, before.version + 1);
    let active = after.records().iter().filter(|key| key.state == KeyState::Active).count();
    assert_eq!(active, 1, "exactly one key signs");
    let published = VerifyingKeys::parse(&after.jwks()).unwrap();
    if after.purpose() == Purpose::Issuer {
        assert!(published.find(after.signing().unwrap().id()).is_some());
    }
    assert!(after.standby().is_some());
    for key in after.records() {
        let signs = matches!(key.state, KeyState::Active | KeyState::Pending);
        let reads = key.state == KeyState::Retiring && key.algorithm == Algorithm::Secret;
        assert_eq!(has_private_half(after, &key.id), signs || reads, "{:?}", key.state);
        let gone = matches!(key.state, KeyState::Retired | KeyState::Revoked);
        assert!(!gone || published.find(&key.id).is_none());
    }
    for revoked in before.revoked() {
        assert_eq!(state(after, revoked), KeyState::Revoked, "a revoked key never returns");
    }
    let ids: BTreeSet<&KeyId> = after.records().iter().map(|key| &key.id).collect();
    assert!(before.records().iter().all(|key| ids.contains(&key.id)), "no id is forgotten");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_life_has_none_or_two_signing_keys(
        steps in prop::collection::vec(step(), 1..24),
        purpose in prop_oneof![Just(Purpose::Issuer), Just(Purpose::RefreshMac)],
    ) {
        let mut set = KeySet::first(purpose, START).unwrap();
        let mut now = START;
        for (wait, step) in &steps {
            now = now.plus(Duration::from_secs(*wait));
            if let Ok(next) = apply(&set, now, step) {
                follows(&set, &next);
                set = next;
            }
        }
        let (kek, _) = crate::KeyEncryptionKey::generate();
        let read = KeySet::open(&set.seal(&kek).unwrap(), purpose, &kek).unwrap();
        prop_assert_eq!(read.jwks(), set.jwks());
    }
}
