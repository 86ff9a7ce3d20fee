//! What a client may ask for on its own account (RFC 6749 section 4.4): what an operator gave it
//! and nothing else.

use shared::{
    deployment::{Deployment, Resource},
    resource::ResourceIndicator,
    scope::Scope,
};

use super::{
    client::{Client, ClientAuth},
    violation::TokenViolation,
};

/// The one resource and the scope of a token for the client itself. Scopes beyond what the
/// operator gave are left out, because clients ask for all that the resource metadata lists.
pub(crate) fn at_token<'a>(
    deployment: &'a Deployment,
    client: &Client,
    resources: &[String],
    scope: Option<&str>,
) -> Result<(&'a Resource, Scope), TokenViolation> {
    let service = client.service.as_ref().filter(|service| !service.scopes.is_empty());
    let service = service.ok_or(TokenViolation::ClientNotApproved)?;
    if client.auth == ClientAuth::None {
        return Err(TokenViolation::ClientNotApproved);
    }
    let given: Vec<&ResourceIndicator> = service.scopes.keys().collect();
    let indicator = match (resources, given.as_slice()) {
        ([], [only]) => *only,
        ([], several) => deployment
            .default_resource()
            .and_then(|default| several.iter().find(|given| ***given == default.indicator))
            .ok_or(TokenViolation::ResourceSeveral)?,
        ([first, rest @ ..], given) => {
            let found = given.iter().find(|given| given.names(first));
            let found = found.ok_or(TokenViolation::ResourceNotGiven)?;
            if !rest.iter().all(|other| found.names(other)) {
                return Err(TokenViolation::ResourceSeveral);
            }
            found
        }
    };
    let resource =
        deployment.resource(indicator.as_str()).ok_or(TokenViolation::ResourceNotGiven)?;
    let held = service.scopes.get(indicator).cloned().unwrap_or_default();
    // What the deployment no longer has is no longer given.
    let held = held.intersect(&resource.all_scopes());
    let asked =
        Scope::parse(scope.unwrap_or_default()).map_err(|_| TokenViolation::ScopeMalformed)?;
    let granted = if asked.is_empty() { held } else { held.intersect(&asked) };
    if granted.is_empty() {
        return Err(TokenViolation::ScopeNotGiven);
    }
    Ok((resource, granted))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shared::secret::SecretHash;

    use super::*;
    use crate::{
        rules::client::{SecretMethod, ServiceAccount},
        testing,
    };

    const URL: &str = "http://localhost:7400/mcp";

    fn client(scope: &str) -> Client {
        let url = ResourceIndicator::parse(URL).unwrap();
        let scopes = BTreeMap::from([(url, Scope::parse(scope).unwrap())]);
        Client {
            auth: ClientAuth::secret(SecretMethod::Basic, SecretHash::of(b"s")),
            service: Some(ServiceAccount { scopes, ..ServiceAccount::default() }),
            ..testing::client()
        }
    }

    fn ask(
        client: &Client,
        resource: &[&str],
        scope: Option<&str>,
    ) -> Result<String, TokenViolation> {
        let resources: Vec<String> = resource.iter().map(|url| (*url).to_owned()).collect();
        at_token(&testing::deployment(), client, &resources, scope)
            .map(|(_, scope)| scope.to_string())
    }

    #[test]
    fn a_service_gets_what_the_operator_gave_and_at_most_what_it_asks_for() {
        let client = client("contacts:read contacts:write gone:scope");
        let both = Ok("contacts:read contacts:write".to_owned());
        assert_eq!(ask(&client, &[], None), both);
        assert_eq!(ask(&client, &[URL], None), both);
        let read = Ok("contacts:read".to_owned());
        assert_eq!(ask(&client, &[], Some("contacts:read contacts:delete")), read);
        let none = Err(TokenViolation::ScopeNotGiven);
        assert_eq!(ask(&client, &[], Some("contacts:delete")), none);
        assert_eq!(ask(&client, &[], Some("gone:scope")), none);
        assert_eq!(ask(&client, &[], Some("\"")), Err(TokenViolation::ScopeMalformed));
        let elsewhere = "http://localhost:7400/other";
        assert_eq!(ask(&client, &[elsewhere], None), Err(TokenViolation::ResourceNotGiven));
        assert_eq!(ask(&client, &[URL, elsewhere], None), Err(TokenViolation::ResourceSeveral));
    }

    #[test]
    fn only_a_client_that_proves_itself_and_was_approved_is_a_service() {
        let refused = Err(TokenViolation::ClientNotApproved);
        let public = Client { auth: ClientAuth::None, ..client("contacts:read") };
        assert_eq!(ask(&public, &[], None), refused);
        let unapproved = Client { service: None, ..client("contacts:read") };
        assert_eq!(ask(&unapproved, &[], None), refused);
        let reader_only =
            Client { service: Some(ServiceAccount::default()), ..client("contacts:read") };
        assert_eq!(ask(&reader_only, &[], None), refused);
    }
}
