//! What is due by itself, what an emergency costs, and who may not change a set.

use super::*;
use crate::pace::Pace;
use crate::ring::Algorithm;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const EVERY: Duration = Duration::from_hours(24);

fn dwell() -> Dwell {
    Pace::default().dwell(Duration::from_mins(5))
}

fn set() -> KeySet {
    KeySet::first(Purpose::Issuer, START).unwrap()
}

fn id(set: &KeySet, at: usize) -> KeyId {
    set.records()[at].id.clone()
}

#[test]
fn a_key_signs_for_its_time_and_is_retired_when_its_last_token_has_ended() {
    let set = set();
    let (old, new) = (id(&set, 0), id(&set, 1));
    assert_eq!(
        set.due(START.plus(EVERY).minus(Duration::from_secs(1)), &dwell(), Some(EVERY)),
        None
    );
    let noon = START.plus(EVERY);
    let step = set.due(noon, &dwell(), Some(EVERY)).unwrap();
    assert_eq!(step, Step::Activate(new));
    let set = set.take(&step, noon, &dwell()).unwrap();
    assert_eq!(set.due(noon, &dwell(), Some(EVERY)), None);
    let late = noon.plus(dwell().retiring);
    let step = set.due(late, &dwell(), Some(EVERY)).unwrap();
    assert_eq!(step, Step::Retire(old));
    assert_eq!(set.take(&step, late, &dwell()).unwrap().due(late, &dwell(), Some(EVERY)), None);
}

#[test]
fn a_standby_that_is_not_known_everywhere_is_not_due_however_old_the_active_key_is() {
    let soon = START.plus(Duration::from_secs(10));
    assert_eq!(set().due(soon, &dwell(), Some(Duration::from_secs(1))), None);
}

#[test]
fn a_late_signature_keeps_a_retiring_key_published() {
    let noon = START.plus(EVERY);
    let set = set();
    let (old, new) = (id(&set, 0), id(&set, 1));
    let set = set.activate(&new, noon, &dwell(), Urgency::Orderly).unwrap();
    let late = noon.plus(Duration::from_mins(3));
    let set = set.noting(&[(old.clone(), late), (new, late)]);
    let usual = noon.plus(dwell().retiring);
    let refused = set.retire(&old, usual, &dwell(), Urgency::Orderly).unwrap_err();
    assert!(matches!(refused, KeyError::TooSoon { wait_seconds: 180, .. }), "{refused}");
    assert_eq!(set.due(usual, &dwell(), Some(EVERY)), None);
    assert!(set.retire(&old, late.plus(dwell().retiring), &dwell(), Urgency::Orderly).is_ok());
}

#[test]
fn a_probe_is_published_can_do_nothing_and_leaves_by_itself() {
    let (set, probe) = set().probe(START).unwrap();
    let published = String::from_utf8(set.jwks()).unwrap();
    assert!(published.contains(probe.as_str()));
    let ready = START.plus(EVERY);
    for urgency in [Urgency::Orderly, Urgency::Emergency] {
        let refused = set.activate(&probe, ready, &dwell(), urgency).unwrap_err();
        assert_eq!(refused.to_string(), format!("key {probe} is a probe and cannot be activated"));
    }
    assert_ne!(set.standby().unwrap().id, probe);
    let hour = START.plus(PROBE_LIFE);
    assert_eq!(set.due(hour, &dwell(), Some(EVERY)), Some(Step::Withdraw(probe.clone())));
    let gone = set.withdraw(&probe, START).unwrap();
    assert!(!String::from_utf8(gone.jwks()).unwrap().contains(probe.as_str()));
    assert!(gone.withdraw(&probe, START).is_err());
    let active = id(&set, 0);
    assert!(set.withdraw(&active, START).is_err(), "only probes are withdrawn");
    let secrets = KeySet::first(Purpose::RefreshMac, START).unwrap();
    assert!(secrets.probe(START).is_err(), "secrets are not published");
}

#[test]
fn an_emergency_says_what_it_costs() {
    let set = set();
    let (active, standby) = (id(&set, 0), id(&set, 1));
    let cost = |act, id, now| set.cost(act, id, now, &dwell());
    let aged = START.plus(dwell().pending);
    assert!(cost(Act::Activate, &standby, aged).is_nothing());
    assert_eq!(cost(Act::Activate, &standby, START).learning, dwell().pending);
    let revoked = cost(Act::Revoke, &active, aged);
    assert!(revoked.losing && revoked.learning.is_zero());
    assert_eq!(
        revoked.to_string(),
        "access tokens that the key signed are refused, and clients refresh them"
    );
    assert!(cost(Act::Revoke, &standby, START).is_nothing());
    let rotated = set.activate(&standby, aged, &dwell(), Urgency::Orderly).unwrap();
    let early = rotated.cost(Act::Retire, &active, aged, &dwell());
    assert!(early.losing);
    let done = aged.plus(dwell().retiring);
    assert!(rotated.cost(Act::Retire, &active, done, &dwell()).is_nothing());
    assert!(rotated.retire(&active, aged, &dwell(), Urgency::Emergency).is_ok());
}

#[test]
fn a_clock_behind_the_set_is_refused() {
    let set = set();
    let skew = Pace::default().skew;
    assert!(set.check_clock(START, skew).is_ok());
    assert!(set.check_clock(START.minus(skew), skew).is_ok());
    let refused = set.check_clock(START.minus(Duration::from_mins(10)), skew).unwrap_err();
    assert_eq!(refused, KeyError::ClockBehind { seconds: 600 });
}

#[test]
fn a_leader_that_was_followed_by_another_changes_nothing() {
    let set = set().led_by(4).unwrap();
    assert!(set.led_by(4).is_ok() && set.led_by(5).is_ok());
    assert_eq!(set.led_by(3).unwrap_err(), KeyError::OtherLeader { held: 4, offered: 3 });
    let changed = set.announce(Algorithm::Es256, START).unwrap();
    assert!(changed.led_by(3).is_err(), "the term stays with the set");
}

#[test]
fn keys_that_only_the_operator_replaces_still_leave_when_they_are_over() {
    let set = set();
    let late = START.plus(Duration::from_hours(24 * 400));
    assert_eq!(set.due(late, &dwell(), None), None);
    let standby = set.standby().unwrap().id.clone();
    let rotated = set.activate(&standby, late, &dwell(), Urgency::Orderly).unwrap();
    let later = late.plus(dwell().retiring);
    assert!(matches!(rotated.due(later, &dwell(), None), Some(Step::Retire(_))));
}

#[test]
fn each_algorithm_rotates_by_itself_and_a_new_one_signs_when_it_is_known() {
    let set = set();
    let both = set.with_algorithms(&[Algorithm::Es256, Algorithm::EdDsa], START).unwrap().unwrap();
    assert!(both.with_algorithms(&[Algorithm::EdDsa], START).unwrap().is_none());
    assert!(both.signing_with(Algorithm::EdDsa).is_none(), "it is not known yet");
    let soon = START.plus(dwell().pending);
    assert_eq!(both.due(soon.minus(Duration::from_secs(1)), &dwell(), None), None);
    let step = both.due(soon, &dwell(), None).unwrap();
    let signs = both.take(&step, soon, &dwell()).unwrap();
    assert!(signs.signing_with(Algorithm::EdDsa).is_some());
    assert_eq!(signs.signing().unwrap().id(), set.signing().unwrap().id());
    assert!(signs.standby_of(Algorithm::EdDsa).is_some());
    let late = soon.plus(EVERY);
    let first = signs.take(&signs.due(late, &dwell(), Some(EVERY)).unwrap(), late, &dwell());
    let first = first.unwrap();
    let second = first.take(&first.due(late, &dwell(), Some(EVERY)).unwrap(), late, &dwell());
    let second = second.unwrap();
    assert_eq!(second.due(late, &dwell(), Some(EVERY)), None);
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let (old, new) = (signs.signing_with(algorithm), second.signing_with(algorithm));
        assert_ne!(old.unwrap().id(), new.unwrap().id());
    }
}

#[test]
fn the_next_step_is_due_at_the_moment_that_is_told() {
    let mut set = set();
    assert_eq!(set.next_due(&dwell(), None), None);
    for _ in 0..6 {
        let at = set.next_due(&dwell(), Some(EVERY)).unwrap();
        let before = at.minus(Duration::from_secs(1));
        assert_eq!(set.due(before, &dwell(), Some(EVERY)), None);
        set = set.take(&set.due(at, &dwell(), Some(EVERY)).unwrap(), at, &dwell()).unwrap();
    }
}
