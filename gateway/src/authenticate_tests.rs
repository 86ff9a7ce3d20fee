//! With the cache of accepted tokens the answers are those of a gateway that has none.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use keys::{KeySet, Purpose};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    ids::{FamilyId, KeyId, TokenId},
    internal::{Cursor, Event, Events, Principal, PrincipalQuery, Usage},
    time::Timestamp,
};

use super::*;
use crate::{
    Authority, AuthorityError, Config, RawBackend, RawGateway, authority::Answer,
    config::tests::deployment, state::tests::parts,
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const TOKENS: usize = 4;

/// The head of a request that says nothing.
fn head() -> Parts {
    http::Request::new(()).into_parts().0
}

/// What may happen between two calls.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Publish(bool, bool),
    RevokeFamily(usize),
    RevokeKey(usize),
    RevokeToken(usize),
    Show(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..TOKENS, 0..2_usize).prop_map(|(token, route)| Step::Show(token, route)),
        2 => (1..40_u64).prop_map(Step::Pass),
        2 => any::<(bool, bool)>().prop_map(|(one, other)| Step::Publish(one, other)),
        1 => (0..TOKENS).prop_map(Step::RevokeFamily),
        1 => (0..2_usize).prop_map(Step::RevokeKey),
        1 => (0..TOKENS).prop_map(Step::RevokeToken),
    ]
}

/// Publishes what it is told to.
#[derive(Debug, Default)]
struct Office(Mutex<Vec<u8>>);

impl Authority for Office {
    fn events(&self, _: Option<Cursor>) -> Answer<'_, Events> {
        Box::pin(async { Err(AuthorityError::Unavailable(String::new())) })
    }
    fn jwks(&self) -> Answer<'_, Vec<u8>> {
        let set = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async { Ok(set) })
    }
    fn metadata(&self) -> Answer<'_, Vec<u8>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn principal(&self, _: PrincipalQuery) -> Answer<'_, Option<Principal>> {
        Box::pin(async { Ok(None) })
    }
    fn report(&self, _: Usage) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

struct World {
    app: App,
    keys: [KeySet; 2],
    office: Arc<Office>,
    tokens: Vec<String>,
    version: u64,
}

/// What is true, whatever is cached.
struct Truth {
    families: BTreeSet<usize>,
    /// Whether the last set that was published is none: then no key is known to be unknown.
    is_ignored: bool,
    passed: u64,
    published: [bool; 2],
    revoked_keys: BTreeSet<usize>,
    tokens: BTreeSet<usize>,
}

fn life(token: usize) -> u64 {
    if token < 2 { 60 } else { 300 }
}

impl Truth {
    fn admits(&self, token: usize, route: usize) -> bool {
        let key = token % 2;
        route == 0
            && self.passed < life(token)
            && self.published[key]
            && !self.revoked_keys.contains(&key)
            && !self.families.contains(&token)
            && !self.tokens.contains(&token)
    }
}

fn family(token: usize) -> FamilyId {
    FamilyId::from_bytes([u8::try_from(token).unwrap(); 16])
}

fn jti(token: usize) -> String {
    format!("token-{token}")
}

impl World {
    fn new() -> Self {
        let gateway: RawGateway = toml::from_str(
            "route = [{ resource = \"http://localhost:7400/mcp\", backends = [\"crm\"] },
                      { resource = \"http://127.0.0.1:7400/mcp\", backends = [\"crm\"] }]",
        )
        .unwrap();
        let backend: RawBackend =
            toml::from_str("name = \"crm\"\nurl = \"http://127.0.0.1:9/mcp\"").unwrap();
        let keys = [0, 1].map(|_| KeySet::first(Purpose::Issuer, NOW).unwrap());
        let office = Arc::new(Office::default());
        let app = App::new(parts(
            Arc::clone(&office) as Arc<dyn Authority>,
            Config::resolve(gateway, vec![backend], &deployment()).unwrap(),
            NOW,
        ));
        let tokens = (0..TOKENS).map(|token| {
            let claims = json!({
                "iss": "http://localhost:7410", "aud": "http://localhost:7400/mcp",
                "sub": "usr_1", "client_id": "app", "scope": "contacts:read",
                "exp": NOW.secs() + life(token), "iat": NOW.secs(), "jti": jti(token),
                "auth_time": NOW.secs(), "workspaces": [], "fam": family(token), "gen": 1,
            });
            let claims: shared::claims::AccessTokenClaims = serde_json::from_value(claims).unwrap();
            keys::sign(&keys[token % 2].signing().unwrap(), "at+jwt", &claims).unwrap()
        });
        let tokens = tokens.collect();
        Self { app, keys, office, tokens, version: 0 }
    }

    async fn publish(&mut self, which: [bool; 2]) {
        self.version += 1;
        let keys = self.keys.iter().zip(which).filter(|(_, is_there)| *is_there);
        let keys: Vec<Value> = keys
            .map(|(set, _)| {
                serde_json::from_slice::<Value>(&set.jwks()).unwrap()["keys"][0].clone()
            })
            .collect();
        let set = json!({ "keys": keys, "version": self.version }).to_string();
        *self.office.0.lock().unwrap_or_else(PoisonError::into_inner) = set.into_bytes();
        self.app.keys.refresh(&*self.app.authority).await;
    }

    fn kid(&self, key: usize) -> KeyId {
        self.keys[key].signing().unwrap().id().clone()
    }

    fn hear(&self, events: Vec<Event>) {
        self.app.feed.apply(false, events, self.app.clock.now(), Instant::now());
    }

    async fn run(mut self, steps: Vec<Step>) {
        let mut truth = Truth {
            families: BTreeSet::new(),
            is_ignored: false,
            passed: 0,
            published: [true, true],
            revoked_keys: BTreeSet::new(),
            tokens: BTreeSet::new(),
        };
        self.publish(truth.published).await;
        for step in steps {
            self.hear(Vec::new());
            match step {
                Step::Pass(seconds) => {
                    truth.passed += seconds;
                    self.app.clock.advance(Duration::from_secs(seconds));
                }
                Step::Publish(one, other) => {
                    truth.is_ignored = !one && !other;
                    if !truth.is_ignored {
                        truth.published = [one, other];
                    }
                    self.publish([one, other]).await;
                }
                Step::RevokeFamily(token) => {
                    truth.families.insert(token);
                    self.hear(vec![Event::Family { family: family(token) }]);
                }
                Step::RevokeKey(key) => {
                    truth.revoked_keys.insert(key);
                    self.app.keys.revoke(&self.kid(key));
                    self.hear(vec![Event::Key { key: self.kid(key) }]);
                }
                Step::RevokeToken(token) => {
                    truth.tokens.insert(token);
                    let token = TokenId::parse(&jti(token)).unwrap();
                    self.hear(vec![Event::Token { token }]);
                }
                Step::Show(token, route) => self.show(&truth, token, route).await,
            }
        }
    }

    async fn show(&self, truth: &Truth, token: usize, route: usize) {
        let resource = &self.app.config.routes[route];
        // The second time what was accepted comes from the cache.
        for _ in 0..2 {
            let credential = Credential::Token(&self.tokens[token]);
            let admitted = admit(&self.app, resource, credential, &head()).await;
            match admitted {
                Ok(held) => {
                    assert!(truth.admits(token, route), "{token} at {route}");
                    assert_eq!(held.caller.family, Some(family(token)));
                }
                Err(Refusal::Bearer(_)) => assert!(!truth.admits(token, route), "{token}"),
                Err(Refusal::Unavailable(_)) if truth.is_ignored => {
                    assert!(!truth.admits(token, route), "{token}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_token_that_was_accepted_outlives_neither_itself_nor_its_key_nor_its_revocation(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(World::new().run(steps));
    }
}

#[tokio::test]
async fn a_token_that_differs_in_its_last_letter_is_another() {
    let mut world = World::new();
    world.publish([true, true]).await;
    world.hear(Vec::new());
    let (route, token) = (&world.app.config.routes[0], world.tokens[2].clone());
    assert!(admit(&world.app, route, Credential::Token(&token), &head()).await.is_ok());
    let last = if token.ends_with('A') { 'B' } else { 'A' };
    let other = format!("{}{last}", &token[..token.len() - 1]);
    assert!(admit(&world.app, route, Credential::Token(&other), &head()).await.is_err());
}
