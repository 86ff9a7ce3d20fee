//! Keys and words of several issuers, never mixed up.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use keys::{KeySet, Purpose, SigningKey};
use serde_json::{Value, json};
use shared::{
    internal::{Cursor, Events, Principal, PrincipalQuery, Usage},
    time::Timestamp,
};
use tempfile::TempDir;

use super::*;
use crate::{
    authenticate::admit_token,
    authority::{Answer, Authority, AuthorityError},
    config::{Config, RawBackend, RawGateway, tests::deployment},
    state::{App, tests::parts},
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

#[derive(Debug)]
struct Office(Vec<u8>);

impl Authority for Office {
    fn events(&self, _: Option<Cursor>) -> Answer<'_, Events> {
        Box::pin(async { Err(AuthorityError::Unavailable(String::new())) })
    }
    fn jwks(&self) -> Answer<'_, Vec<u8>> {
        Box::pin(async { Ok(self.0.clone()) })
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
    config: Box<dyn Fn(&str) -> Config>,
    folder: TempDir,
    keys: BTreeMap<&'static str, SigningKey>,
}

/// The issuer of ours, and two others whose keys are in files.
fn world() -> World {
    let set = || KeySet::first(Purpose::Issuer, NOW).unwrap();
    let (own, one, two) = (set(), set(), set());
    let folder = tempfile::tempdir().unwrap();
    let kid = one.signing().unwrap().id().as_str().to_owned();
    // The second one publishes its key under the first one's id.
    let mut renamed: Value = serde_json::from_slice(&two.jwks()).unwrap();
    renamed["keys"][0]["kid"] = kid.into();
    std::fs::write(folder.path().join("one"), one.jwks()).unwrap();
    std::fs::write(folder.path().join("two"), renamed.to_string()).unwrap();
    let base = folder.path().to_owned();
    let config = move |more: &str| {
        let issuer = |name: &str| {
            let file = base.join(name);
            format!(
                "{{ issuer = \"https://{name}.example\", jwks_file = {file:?}, scopes = \"*\", \
                 workspaces = \"*\", workspaces_claim = \"workspaces\"{more} }}"
            )
        };
        let gateway: RawGateway = toml::from_str(&format!(
            "route = [{{ resource = \"http://localhost:7400/mcp\", backends = [\"crm\"], \
             while_feed_is_silent = \"all\", issuer = [{}, {}] }}, \
             {{ resource = \"http://127.0.0.1:7400/mcp\", backends = [\"crm\"] }}]",
            issuer("one"),
            issuer("two")
        ))
        .unwrap();
        let backend: RawBackend =
            toml::from_str("name = \"crm\"\nurl = \"http://127.0.0.1:9/mcp\"").unwrap();
        Config::resolve(gateway, vec![backend], &deployment()).unwrap()
    };
    let app = App::new(parts(Arc::new(Office(own.jwks())), config(""), NOW));
    let keys = [("own", own), ("one", one), ("two", two)];
    let keys = keys.map(|(name, set)| (name, set.signing().unwrap())).into();
    World { app, config: Box::new(config), folder, keys }
}

impl World {
    fn token(&self, key: &str, iss: &str, change: &Value) -> String {
        let mut claims = json!({
            "iss": iss, "aud": "http://localhost:7400/mcp", "sub": "usr_1", "client_id": "app",
            "scope": "contacts:read", "exp": NOW.secs() + 300, "iat": NOW.secs(), "jti": "t1",
            "auth_time": NOW.secs(), "workspaces": ["acme"],
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        keys::sign(&self.keys[key], "at+jwt", &claims).unwrap()
    }

    /// Who the token's caller is, or why it is none.
    async fn admits(&self, token: &str) -> Result<String, BearerViolation> {
        self.admits_at(0, token).await
    }

    async fn admits_at(&self, route: usize, token: &str) -> Result<String, BearerViolation> {
        let route = Arc::clone(&self.app.config.routes[route]);
        match admit_token(&self.app, &route, token, Instant::now()).await {
            Ok(admitted) => Ok(admitted.principal.to_string()),
            Err(Refusal::Bearer(violation)) => Err(violation),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_key_is_good_for_its_own_issuer_only_whatever_its_id() {
    let world = world();
    let (one, two, own) = ("https://one.example", "https://two.example", "http://localhost:7410");
    let nothing = json!({});
    let first = world.admits(&world.token("one", one, &nothing)).await.unwrap();
    assert_eq!(first, "https://one.example usr_1 app");
    for (key, iss, violation) in [
        // Under the id that the second issuer also uses.
        ("one", two, BearerViolation::Signature),
        ("two", one, BearerViolation::UnknownKey),
        ("one", own, BearerViolation::UnknownKey),
        ("own", one, BearerViolation::UnknownKey),
        ("one", "https://three.example", BearerViolation::Issuer),
        ("one", "https://one.example/", BearerViolation::Issuer),
    ] {
        let token = world.token(key, iss, &nothing);
        assert_eq!(world.admits(&token).await, Err(violation), "{key} {iss}");
    }
}

#[tokio::test]
async fn times_audience_and_type_are_judged_for_every_issuer() {
    let world = world();
    let one = "https://one.example";
    for (change, violation) in [
        (json!({ "exp": NOW.secs() }), BearerViolation::Expired),
        (json!({ "iat": NOW.secs() + 600 }), BearerViolation::NotYetValid),
        (json!({ "nbf": NOW.secs() + 600 }), BearerViolation::NotYetValid),
        (json!({ "exp": "never" }), BearerViolation::Malformed),
        (json!({ "aud": "http://127.0.0.1:7400/mcp" }), BearerViolation::Audience),
        (json!({ "cnf": { "jkt": "thumbprint" } }), BearerViolation::Bound),
    ] {
        let token = world.token("one", one, &change);
        assert_eq!(world.admits(&token).await, Err(violation), "{change}");
    }
    let claims = json!({ "iss": one, "aud": "http://localhost:7400/mcp", "sub": "u", "client_id": "a",
        "exp": NOW.secs() + 9 });
    let other = keys::sign(&world.keys["one"], "JWT", &claims).unwrap();
    assert_eq!(world.admits(&other).await, Err(BearerViolation::Type));
}

#[tokio::test]
async fn a_token_is_no_good_when_its_key_is_gone_even_if_it_was_seen_before() {
    let world = world();
    let token = world.token("one", "https://one.example", &json!({}));
    world.admits(&token).await.unwrap();
    let next = KeySet::first(Purpose::Issuer, NOW).unwrap();
    std::fs::write(world.folder.path().join("one"), next.jwks()).unwrap();
    world.app.issuers.refresh().await;
    assert_eq!(world.admits(&token).await, Err(BearerViolation::UnknownKey));
}

#[tokio::test]
async fn what_cannot_be_fetched_makes_no_key_unknown() {
    let world = world();
    let token = world.token("one", "https://one.example", &json!({}));
    world.admits(&token).await.unwrap();
    std::fs::write(world.folder.path().join("one"), "nonsense").unwrap();
    world.app.issuers.refresh().await;
    assert!(world.admits(&token).await.is_ok(), "the keys of before are used for a while");
    let stranger = KeySet::first(Purpose::Issuer, NOW).unwrap().signing().unwrap();
    let claims = json!({ "iss": "https://one.example", "aud": "http://localhost:7400/mcp",
        "sub": "u", "client_id": "a", "exp": NOW.secs() + 9 });
    let unknown = keys::sign(&stranger, "at+jwt", &claims).unwrap();
    let route = Arc::clone(&world.app.config.routes[0]);
    let refused = admit_token(&world.app, &route, &unknown, Instant::now()).await.unwrap_err();
    assert!(matches!(refused, Refusal::Unavailable(_)), "{refused}");
    let two = world.token("own", "http://localhost:7410", &json!({}));
    assert!(world.admits(&two).await.is_ok(), "nobody else suffers from it");
}

#[tokio::test]
async fn a_token_opens_only_the_resource_that_trusts_its_issuer() {
    let world = world();
    let other = json!({ "aud": "http://127.0.0.1:7400/mcp" });
    let token = world.token("one", "https://one.example", &other);
    assert_eq!(world.admits_at(1, &token).await, Err(BearerViolation::Issuer));
    let token = world.token("one", "https://one.example", &json!({}));
    world.admits(&token).await.unwrap();
    assert_eq!(world.admits_at(1, &token).await, Err(BearerViolation::Issuer), "seen elsewhere");
}

#[tokio::test]
async fn what_a_token_says_is_believed_for_an_hour_and_no_longer() {
    let world = world();
    let far = json!({ "exp": NOW.secs() + 1_000_000 });
    let token = world.token("one", "https://one.example", &far);
    let route = Arc::clone(&world.app.config.routes[0]);
    let admitted = admit_token(&world.app, &route, &token, Instant::now()).await.unwrap();
    assert_eq!(admitted.caller.expires, NOW.plus(Duration::from_hours(1)));
}

#[tokio::test]
async fn keys_outlive_another_configuration_unless_they_are_got_otherwise() {
    let mut world = world();
    let token = world.token("one", "https://one.example", &json!({}));
    world.admits(&token).await.unwrap();
    let known = |app: &App| app.issuers.known().filter(|(_, known)| *known).count();
    assert_eq!(known(&world.app), 1);
    let narrower = world.app.renewed((world.config)(", audience = \"api://crm\""));
    assert_eq!(known(&narrower), 1);
    let other = world.app.renewed((world.config)(", algorithms = [\"RS256\"]"));
    assert_eq!(known(&other), 0);
    world.app = narrower;
    assert_eq!(world.admits(&token).await, Err(BearerViolation::Audience), "it is judged anew");
}

#[tokio::test]
async fn our_own_feed_says_nothing_about_people_of_others() {
    let world = world();
    let token = world.token("one", "https://one.example", &json!({}));
    let route = Arc::clone(&world.app.config.routes[0]);
    let admitted = admit_token(&world.app, &route, &token, Instant::now()).await.unwrap();
    assert!(admitted.caller.is_foreign && admitted.caller.family.is_none());
    assert!(!world.app.feed.has_revoked(&admitted.caller));
}
