//! What every engine must do with families, compared with the rule; and how much of Redis they take.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config as RunnerConfig, RngAlgorithm, TestRng, TestRunner},
};
use shared::{
    deployment::IdleBy,
    ids::{ClientId, FamilyId, UserId, WorkspaceId},
    internal::Receipt,
    resource::ResourceIndicator,
    scope::Scope,
    secret::SecretHash,
};

use super::{
    Redemption, RedisStore, Store,
    contract::{
        NOW, SECOND, client, code, create, create_as, family, grant, id, policy, real_now, token,
    },
};
use crate::rules::{
    client::ProofMethod,
    consent::Grant,
    remembered::Answer,
    rotation::{Attempt, Context, Family, Step, step},
};

/// The part of the contract that is about families.
pub(super) async fn holds(store: &dyn Store) {
    a_receipt_confirms_the_current_generation_only(store).await;
    terms_are_found_by_what_a_refresh_token_names(store).await;
    consent_is_kept_by_person_and_client(store).await;
    it_agrees_with_the_rule_on_random_histories(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typical_family_takes_little_of_redis() {
    let server = store::test_server::RedisServer::start();
    let redis = store::Redis::connect(server.config("auth:")).await.unwrap();
    let store: &dyn Store = &RedisStore::new(redis, "epoch".to_owned(), true);
    let resource = ResourceIndicator::parse("https://mcp.northwind.example/mcp").unwrap();
    let scopes = ["contacts", "companies", "deals", "tasks", "notes"]
        .map(|module| format!("{module}:read {module}:write"));
    let mut family = Family {
        grant: Grant {
            client: ClientId::parse(&"c".repeat(43)).unwrap(),
            identity: Scope::parse("offline_access").unwrap(),
            scopes: BTreeMap::from([(resource, Scope::parse(&scopes.join(" ")).unwrap())]),
            signed_in: Some(NOW),
            user: UserId::parse("usr_9f2b7c4e1a5d4c0e8b3a").unwrap(),
            workspaces: ["ws_acme", "ws_globex"].map(|id| WorkspaceId::parse(id).unwrap()).into(),
        },
        ..family()
    };
    let used = |key: &str| {
        let answer = server.ask(&["MEMORY", "USAGE", key, "SAMPLES", "0"]);
        answer.trim_start_matches(':').parse::<u64>().unwrap()
    };
    create_as(store, id(1), &family).await;
    let attempt = |generation: u32| Attempt {
        client: &family.grant.client,
        context: Context(0x1122),
        now: NOW.plus(SECOND * generation),
        policy: policy(),
        proof: ProofMethod::None,
    };
    for generation in 0..9 {
        let rotated = store.rotate_refresh(id(1), &token(generation), &attempt(generation)).await;
        assert_eq!(rotated.unwrap().unwrap().step, Step::Rotated);
    }
    let record = used(&format!("auth:f{{{}}}", id(1)));
    assert!(record <= 350, "a family takes {record} bytes");
    // One more person each, so that an index has its whole cost; the client's is shared.
    let mut keys = vec![format!("auth:grants:{}", family.grant.user)];
    for person in 2..200_u8 {
        family.grant.user = UserId::parse(&format!("usr_9f2b7c4e1a5d4c0e{person:04}")).unwrap();
        create_as(store, id(person), &family).await;
        keys.push(format!("auth:grants:{}", family.grant.user));
    }
    let of_people = keys.iter().map(|key| used(key)).max().unwrap();
    let client = SecretHash::of(family.grant.client.as_str().as_bytes());
    let of_client = used(&format!("auth:client-grants:{}", client.as_str())) / 199;
    let whole = record + of_people + of_client;
    assert!(whole <= 600, "{record} and {of_people} and {of_client} bytes");
}

async fn a_receipt_confirms_the_current_generation_only(store: &dyn Store) {
    let family_id = id(8);
    create(store, family_id).await;
    let noted = async |generation, after: u32| {
        let receipts = [Receipt { family: family_id, generation }];
        store.confirm_all(&receipts, NOW.plus(SECOND * after)).await.unwrap();
        let family = store.family(family_id).await.unwrap().unwrap();
        (family.confirmed, family.used)
    };
    assert_eq!(noted(1, 0).await, (false, NOW));
    assert_eq!(noted(0, 1).await, (true, NOW), "the last use is known to the minute");
    let later = NOW.plus(SECOND * 61);
    assert_eq!(noted(0, 61).await, (true, later));
    assert_eq!(noted(7, 200).await, (true, later), "nobody can use what was not issued");
    let unknown =
        [Receipt { family: id(99), generation: 0 }, Receipt { family: id(98), generation: 0 }];
    store.confirm_all(&unknown, NOW).await.unwrap();
    assert_eq!(store.family(id(99)).await.unwrap(), None, "a receipt never creates");
}

async fn terms_are_found_by_what_a_refresh_token_names(store: &dyn Store) {
    create(store, id(9)).await;
    let terms = grant().terms();
    assert_eq!(store.terms(terms.id()).await.unwrap().as_deref(), Some(&terms));
    let mut others = terms;
    others.identity = Scope::parse("offline_access").unwrap();
    assert_eq!(store.terms(others.id()).await.unwrap(), None);
}

async fn consent_is_kept_by_person_and_client(store: &dyn Store) {
    let (person, other) = (UserId::parse("usr_1").unwrap(), UserId::parse("usr_10").unwrap());
    let later = real_now().plus(SECOND * 600);
    let answer = |scope: &str| {
        let mut terms = grant().terms();
        terms.identity = Scope::parse(scope).unwrap();
        let (asked, granted) = (terms.clone(), terms);
        let (redirect, workspaces) = ("https://app.example/cb".to_owned(), BTreeSet::new());
        Answer { asked, at: NOW, expires: later, granted, redirect, workspaces }
    };
    for scope in ["", "openid", ""] {
        store.remember_consent(&person, &client(), &answer(scope), NOW).await.unwrap();
    }
    store.remember_consent(&other, &client(), &answer(""), NOW).await.unwrap();
    let kept = store.consent(&person, &client()).await.unwrap().unwrap();
    assert_eq!(kept.answers, [answer(""), answer("openid")]);
    assert!(store.forget_consent(&person, &client()).await.unwrap());
    assert_eq!(store.consent(&person, &client()).await.unwrap(), None);
    assert!(store.consent(&other, &client()).await.unwrap().is_some());
}

/// A server whose answers are not believed has run the script all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_whose_family_may_be_lost_gives_the_same_one_to_the_next_try() {
    let server = store::test_server::RedisServer::start();
    let store = async |replicas| {
        let config =
            store::RedisConfig { replicas, response_timeout: SECOND / 2, ..server.config("auth:") };
        RedisStore::new(store::Redis::connect(config).await.unwrap(), "e".to_owned(), true)
    };
    let (safe, unsafe_): (&dyn Store, &dyn Store) = (&store(0).await, &store(1).await);
    let hash = SecretHash::of(b"code");
    safe.put_code(id(1), &hash, &code()).await.unwrap();
    // The terms are written first, and durably as well.
    create(safe, id(2)).await;
    assert!(unsafe_.redeem_code(id(1), &hash, NOW, &family()).await.is_err());
    let later = NOW.plus(SECOND * 70);
    assert_eq!(safe.code(id(1), &hash, later).await.unwrap(), Some((code(), None)));
    let second = Family { nonce: [9; 16], ..family() };
    let retried = safe.redeem_code(id(1), &hash, later, &second).await.unwrap();
    assert_eq!(retried, Redemption::First(Box::new(family())));
    let again = safe.redeem_code(id(1), &hash, later, &second).await.unwrap();
    assert_eq!(again, Redemption::Again(later));
    assert_eq!(safe.family(id(1)).await.unwrap(), Some(family()));
}

/// The rule and the engine get the same presentations and must agree on every answer.
async fn it_agrees_with_the_rule_on_random_histories(store: &dyn Store) {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    let mut runner = TestRunner::new_with_rng(RunnerConfig::default(), seed);
    // How far behind the current generation, seconds since the last, context, a call first and
    // how far behind, the proof.
    let moves = prop::collection::vec(
        (
            -3_i64..11,
            prop_oneof![0_u32..5, 100_u32..140, 3000_u32..4000, 0_u32..900_000],
            0_u16..4,
            prop::option::of(-1_i64..3),
            prop_oneof![9 => Just(ProofMethod::None), 1 => Just(ProofMethod::Secret)],
        ),
        1..40,
    );
    let kinds = (any::<bool>(), prop::bool::weighted(0.9), prop_oneof![Just(30_u32), Just(2)]);
    for history in 0..60_u8 {
        let mut bytes = [200; 16];
        bytes[0] = history;
        let family_id = FamilyId::from_bytes(bytes);
        let (by_call, rotates, idle) = kinds.new_tree(&mut runner).unwrap().current();
        let idle = SECOND * idle * 86_400;
        let mut model = Family {
            idle,
            idle_by: if by_call { IdleBy::Call } else { IdleBy::Refresh },
            idle_expiry: NOW.plus(idle),
            rotates,
            ..family()
        };
        create_as(store, family_id, &model).await;
        let mut now = NOW;
        for (behind, pause, context, call, proof) in moves.new_tree(&mut runner).unwrap().current()
        {
            now = now.plus(SECOND * pause);
            let back = |behind| u32::try_from(i64::from(model.generation) - behind).unwrap_or(0);
            let generation = back(behind);
            if let Some(generation) = call.map(back) {
                let receipts = [Receipt { family: family_id, generation }];
                store.confirm_all(&receipts, now).await.unwrap();
                let _ = model.note_call(generation, now);
            }
            let client = client();
            // Contexts that share a byte, and ones that share none.
            let context = Context((context & 1) * 0x0100 + (context >> 1));
            let attempt = Attempt { client: &client, context, now, policy: policy(), proof };
            let expected = step(&mut model, &token(generation), &attempt);
            let rotation =
                store.rotate_refresh(family_id, &token(generation), &attempt).await.unwrap();
            let rotation = rotation.unwrap();
            assert_eq!(rotation.step, expected, "history {history}");
            assert_eq!(rotation.family, model, "history {history} after {expected:?}");
        }
    }
}
