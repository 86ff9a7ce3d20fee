//! A small deployment for the tests of this crate.

use std::collections::BTreeMap;

use shared::{
    deployment::{Deployment, RawDeployment, RawResource},
    ids::{ClientId, UserId},
    time::Timestamp,
};

use crate::{
    config::{Config, Parts, RawKeys},
    rules::client::{About, Client, ClientAuth, Life, Origin},
    store::Account,
};

/// A public client that anybody could have registered.
pub(crate) fn client() -> Client {
    Client {
        about: About::default(),
        auth: ClientAuth::None,
        cutoff: None,
        id: ClientId::parse("app").unwrap(),
        life: Life::default(),
        management: None,
        name: "App".to_owned(),
        origin: Origin::Open,
        redirects: vec![],
        refreshes: true,
        registered: Timestamp::default(),
        service: None,
    }
}

/// A stored account that nobody signs in to with a password.
pub(crate) fn account(person: &UserId, created: Timestamp) -> Account {
    Account {
        active: true,
        created,
        cutoff: None,
        email: None,
        email_verified: false,
        grants_cutoff: None,
        id: person.clone(),
        memberships: BTreeMap::new(),
        name: "Pat".to_owned(),
        password: None,
        password_set: None,
        sessions_cutoff: None,
        username: "pat".to_owned(),
    }
}

/// That deployment without clients and people.
pub(crate) fn config() -> Config {
    config_of(deployment())
}

/// A deployment without clients and people.
pub(crate) fn config_of(deployment: Deployment) -> Config {
    let parts = Parts {
        auth: toml::from_str("").unwrap(),
        clients: Vec::new(),
        deployment,
        internal_credential: None,
        keys: RawKeys::default(),
        trusted_proxies: web::client_address::TrustedProxies::default(),
    };
    Config::resolve(parts, &|_| Ok(String::new())).unwrap()
}

/// One resource with three scopes.
pub(crate) fn deployment() -> Deployment {
    let resource = r#"
        url = "http://localhost:7400/mcp"
        name = "CRM"
        default = true
        default_scopes = ["contacts:read"]
        prm_scopes = ["contacts:read"]
        [[scope]]
        name = "contacts:read"
        description = "See contacts"
        [[scope]]
        name = "contacts:write"
        description = "Change contacts"
        [[scope]]
        name = "contacts:delete"
        description = "Delete contacts"
    "#;
    let resource: RawResource = toml::from_str(resource).unwrap();
    let raw: RawDeployment =
        toml::from_str("name = \"Test\"\nissuer = \"http://localhost:7410\"").unwrap();
    Deployment::resolve(raw, vec![resource]).unwrap()
}
