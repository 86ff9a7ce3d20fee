//! A small deployment for the tests of this crate.

use shared::deployment::{Deployment, RawDeployment, RawResource};

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
