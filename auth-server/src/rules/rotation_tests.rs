//! The refresh rule's table: what each presented token leads to.

use std::collections::{BTreeMap, BTreeSet};

use shared::{ids::UserId, scope::Scope};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const START: Timestamp = Timestamp::from_secs(1_000_000);

/// A chain where generation g has the nonce of g's bytes.
fn nonce(generation: u32) -> Nonce {
    u128::from(generation).to_be_bytes()
}

fn token(generation: u32) -> Presented {
    Presented { generation, issued: START, next: nonce(generation + 1), nonce: nonce(generation) }
}

fn client() -> ClientId {
    ClientId::parse("app").unwrap()
}

fn family() -> Family {
    Family {
        absolute_expiry: START.plus(SECOND * 90 * 86_400),
        confirmed: false,
        contested: None,
        created: START,
        generation: 0,
        grant: Grant {
            client: client(),
            identity: Scope::default(),
            scopes: BTreeMap::new(),
            signed_in: None,
            user: UserId::parse("usr_1").unwrap(),
            workspaces: BTreeSet::new(),
        },
        idle: SECOND * 30 * 86_400,
        idle_by: IdleBy::Refresh,
        idle_expiry: START.plus(SECOND * 30 * 86_400),
        mac_key: [0; 4],
        nonce: nonce(0),
        proof: ProofMethod::None,
        replays: 0,
        revoked: false,
        rotates: true,
        rotations: VecDeque::new(),
        used: START,
    }
}

fn policy() -> Policy {
    Policy {
        grace: SECOND * 120,
        lost: SECOND * 7 * 86_400,
        most_replays: 256,
        soft: SECOND * 3600,
        strict: false,
    }
}

fn present(family: &mut Family, generation: u32, after: u64, context: u16) -> Step {
    let client = client();
    let attempt = Attempt {
        client: &client,
        context: Context(context),
        now: START.plus(SECOND * u32::try_from(after).unwrap()),
        policy: policy(),
        proof: ProofMethod::None,
    };
    step(family, &token(generation), &attempt)
}

#[test]
fn a_token_rotates_once_and_its_replay_gets_the_same_successor() {
    let mut family = family();
    assert_eq!(present(&mut family, 0, 1, 0), Step::Rotated);
    let after = family.nonce;
    for at in 1..20 {
        assert_eq!(present(&mut family, 0, at, 0), Step::Replayed);
        assert_eq!((family.generation, family.nonce), (1, after));
    }
}

#[test]
fn an_unconfirmed_successor_is_given_again_for_days_and_a_confirmed_one_is_not() {
    let mut lost = family();
    assert_eq!(present(&mut lost, 0, 1, 0), Step::Rotated);
    assert_eq!(present(&mut lost, 0, 6 * 86_400, 0), Step::Replayed);
    let mut received = family();
    assert_eq!(present(&mut received, 0, 1, 0), Step::Rotated);
    received.confirmed = true;
    assert_eq!(present(&mut received, 0, 600, 0), Step::Stale);
    assert!(received.contested.is_some() && !received.revoked);
}

#[test]
fn a_spent_token_outside_the_grace_is_stale_first_and_reuse_later() {
    let mut family = family();
    for generation in 0..3 {
        assert_eq!(present(&mut family, generation, 1, 0), Step::Rotated);
    }
    assert_eq!(present(&mut family, 0, 1800, 0), Step::Stale);
    assert_eq!(present(&mut family, 2, 1800, 0), Step::Stale, "contested: no lost window");
    assert_eq!(present(&mut family, 3, 1801, 0), Step::Rotated, "the winner goes on");
    assert_eq!(present(&mut family, 0, 8000, 0), Step::Reuse);
    assert_eq!(present(&mut family, 4, 8001, 0), Step::Revoked);
}

#[test]
fn a_copy_from_another_place_and_program_is_reuse_at_once() {
    let mut family = family();
    assert_eq!(present(&mut family, 0, 1, 0x1122), Step::Rotated);
    family.confirmed = true;
    assert_eq!(present(&mut family, 0, 600, 0x1133), Step::Stale, "same program elsewhere");
    assert_eq!(present(&mut family, 0, 601, 0x4422), Step::Stale, "other program, same place");
    assert_eq!(present(&mut family, 0, 602, 0x4433), Step::Reuse);
}

#[test]
fn beyond_what_is_remembered_a_token_is_refused_without_harm_while_it_may_be_young() {
    let mut family = family();
    for generation in 0..12 {
        assert_eq!(present(&mut family, generation, 1, 0), Step::Rotated);
    }
    assert_eq!(present(&mut family, 0, 2, 0), Step::Stale);
    assert_eq!(present(&mut family, 12, 3, 0), Step::Rotated);
    assert_eq!(present(&mut family, 0, 4000, 0), Step::Reuse);
}

#[test]
fn nothing_changes_for_another_client_a_forged_nonce_or_a_generation_not_reached() {
    let mut family = family();
    let before = family.clone();
    let other = ClientId::parse("other").unwrap();
    let attempt = Attempt {
        client: &other,
        context: Context(0),
        now: START,
        policy: policy(),
        proof: ProofMethod::None,
    };
    assert_eq!(step(&mut family, &token(0), &attempt), Step::WrongClient);
    let mine = client();
    let attempt = Attempt {
        client: &mine,
        context: Context(0),
        now: START,
        policy: policy(),
        proof: ProofMethod::None,
    };
    let forged = Presented { nonce: [7; 16], ..token(0) };
    assert_eq!(step(&mut family, &forged, &attempt), Step::Forged);
    assert_eq!(step(&mut family, &token(5), &attempt), Step::Ahead);
    assert_eq!(family, before);
    assert_eq!(present(&mut family, 0, 1, 0), Step::Rotated);
    let fork = Presented { next: [7; 16], ..token(0) };
    assert_eq!(step(&mut family, &fork, &attempt), Step::Forged);
}

#[test]
fn lifetimes_end_and_a_token_ahead_counts_from_its_own_issue() {
    let mut idle = family();
    assert_eq!(present(&mut idle, 0, 31 * 86_400, 0), Step::Expired);
    let mut absolute = family();
    for (generation, day) in [25, 50, 75].into_iter().enumerate() {
        let generation = u32::try_from(generation).unwrap();
        assert_eq!(present(&mut absolute, generation, day * 86_400, 0), Step::Rotated);
    }
    assert_eq!(present(&mut absolute, 3, 91 * 86_400, 0), Step::Expired);
    let mut lost = family();
    let client = client();
    let issued = START.plus(SECOND * 29 * 86_400);
    let attempt = Attempt {
        client: &client,
        context: Context(0),
        now: START.plus(SECOND * 40 * 86_400),
        policy: policy(),
        proof: ProofMethod::None,
    };
    let ahead = Presented { issued, ..token(3) };
    assert_eq!(step(&mut lost, &ahead, &attempt), Step::Ahead);
}

#[test]
fn strict_revokes_at_the_first_spent_token_and_excess_replays_wait() {
    let mut family = family();
    let client = client();
    let strict = Policy {
        grace: Duration::ZERO,
        lost: Duration::ZERO,
        soft: Duration::ZERO,
        strict: true,
        ..policy()
    };
    let attempt = |seconds: u32, policy| Attempt {
        client: &client,
        context: Context(0),
        now: START.plus(SECOND * seconds),
        policy,
        proof: ProofMethod::None,
    };
    assert_eq!(step(&mut family, &token(0), &attempt(1, strict)), Step::Rotated);
    assert_eq!(step(&mut family, &token(0), &attempt(2, strict)), Step::Reuse);
    let mut family = self::family();
    let few = Policy { most_replays: 2, ..policy() };
    assert_eq!(step(&mut family, &token(0), &attempt(1, few)), Step::Rotated);
    assert_eq!(step(&mut family, &token(0), &attempt(2, few)), Step::Replayed);
    assert_eq!(step(&mut family, &token(0), &attempt(2, few)), Step::Replayed);
    assert_eq!(step(&mut family, &token(0), &attempt(2, few)), Step::Busy);
}

#[test]
fn a_weaker_proof_than_at_the_beginning_changes_nothing() {
    let mut family = Family { proof: ProofMethod::Assertion, ..family() };
    let before = family.clone();
    assert_eq!(present(&mut family, 0, 1, 0), Step::WrongProof);
    assert_eq!(family, before);
}

#[test]
fn a_grant_that_lives_by_calls_is_kept_by_them_alone() {
    const DAY: u64 = 86_400;
    let at = |seconds: u64| START.plus(Duration::from_secs(seconds));
    let mut by_call = Family { idle_by: IdleBy::Call, ..family() };
    assert_eq!(present(&mut by_call, 0, 20 * DAY, 0), Step::Rotated);
    assert!(by_call.note_call(1, at(20 * DAY)));
    assert!(!by_call.note_call(1, at(20 * DAY + 59)), "the same minute says nothing new");
    assert_eq!(present(&mut by_call, 1, 49 * DAY, 0), Step::Rotated);
    assert_eq!(present(&mut by_call, 2, 50 * DAY, 0), Step::Expired);
    assert!(!by_call.note_call(2, at(50 * DAY)), "what is over is not revived");
    let mut by_refresh = family();
    assert!(by_refresh.note_call(0, at(20 * DAY)));
    assert_eq!(present(&mut by_refresh, 0, 30 * DAY, 0), Step::Expired);
}

#[test]
fn a_lost_answer_is_forgiven_no_longer_than_the_grant_may_be_idle() {
    let mut family = Family { idle: SECOND * 3600, ..family() };
    assert_eq!(present(&mut family, 0, 1, 0), Step::Rotated);
    family.idle_expiry = family.absolute_expiry;
    assert_eq!(present(&mut family, 0, 3601, 0), Step::Replayed);
    assert_eq!(present(&mut family, 0, 3602, 0), Step::Reuse);
}
