//! A strict resource forgives no spent token, so a fault of ours must not spend one.

use std::collections::BTreeMap;

use shared::{scope::Scope, time::Clock};

use super::*;
use crate::{
    Engine,
    error::TokenError,
    rules::refresh_token::RefreshToken,
    store::contract::{NOW, create_as, family, id},
    testing,
};

async fn app() -> App {
    let mut deployment = testing::deployment();
    deployment.resources[0].strict = true;
    let (kek, _) = keys::KeyEncryptionKey::generate();
    let engine = Engine::Embedded(store::Embedded::memory().unwrap(), None);
    let config = testing::config_of(deployment);
    let app = App::open(config, engine, Clock::manual(NOW), &kek).await.unwrap();
    let person = family().grant.user;
    assert!(app.store.create_account(&testing::account(&person, NOW)).await.unwrap());
    app
}

/// A grant on the strict resource, and the refresh token of its first generation.
async fn grant(app: &App) -> String {
    let held = app.keys.held().clone();
    let key = held.refresh.current();
    let mut family = family();
    family.mac_key = key.id();
    let resource = app.config.deployment.resources[0].indicator.clone();
    let scope = Scope::parse("contacts:read").unwrap();
    family.grant.scopes = BTreeMap::from([(resource, scope)]);
    create_as(&*app.store, id(1), &family).await;
    let token = RefreshToken {
        family: id(1),
        generation: 0,
        issued: NOW,
        nonce: family.nonce,
        terms: family.grant.terms().id(),
    };
    token.encode(key).expose().to_owned()
}

async fn refresh(app: &App, token: &str) -> Result<Response, TokenError> {
    let params = Params::parse(format!("refresh_token={token}").as_bytes()).unwrap();
    exchange(app, &testing::client(), &params, Context(0)).await
}

#[tokio::test]
async fn a_server_that_cannot_sign_spends_no_token_of_a_strict_resource() {
    let app = app().await;
    let token = grant(&app).await;
    app.clock.advance(Duration::from_secs(31));
    let refused = refresh(&app, &token).await.unwrap_err();
    assert!(matches!(refused, TokenError::Fault(Fault::KeysBehind)), "{refused:?}");
    assert_eq!(app.store.family(id(1)).await.unwrap().unwrap().generation, 0);
    app.keys.keep_fresh().await;
    assert!(refresh(&app, &token).await.is_ok());
    assert_eq!(app.store.family(id(1)).await.unwrap().unwrap().generation, 1);
    // And it is strict: the spent one ends the grant.
    app.clock.advance(Duration::from_secs(1));
    assert!(refresh(&app, &token).await.is_err());
    assert!(app.store.family(id(1)).await.unwrap().unwrap().revoked);
}
