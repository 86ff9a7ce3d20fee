//! A small deployment for the tests of this crate.

use shared::{
    deployment::{Deployment, RawDeployment, RawResource},
    ids::ClientId,
    time::Timestamp,
};

use crate::rules::client::{About, Client, ClientAuth, Life, Origin};

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
    let raw = RawDeployment { name: "Test".to_owned(), issuer: "http://localhost:7410".to_owned() };
    Deployment::resolve(raw, vec![resource]).unwrap()
}
