//! Which resources a request means (RFC 8707 section 2); a token names exactly one.

use shared::{
    deployment::{Deployment, RefreshPolicy, Resource},
    resource::ResourceIndicator,
    scope::Scope,
};

use super::{
    scope,
    terms::Terms,
    violation::{AuthorizeViolation, TokenViolation},
};

/// The resources of an authorization request; the default one where none is named, and none for
/// a request that only signs in.
pub(crate) fn at_authorize<'a>(
    deployment: &'a Deployment,
    asked: &[String],
    scope: Option<&str>,
) -> Result<Vec<&'a Resource>, AuthorizeViolation> {
    if asked.is_empty() {
        let scope = Scope::parse(scope.unwrap_or_default()).unwrap_or_default();
        let identity = scope::identity(&scope);
        if identity.contains("openid") {
            let default = deployment.default_resource();
            let others = !scope.without(&identity).is_empty();
            return Ok(default.into_iter().filter(|_| others).collect());
        }
        let default = deployment.default_resource().ok_or(AuthorizeViolation::ResourceMissing)?;
        return Ok(vec![default]);
    }
    let mut found: Vec<&Resource> = Vec::new();
    for name in asked {
        let resource = deployment.resource(name).filter(|resource| resource.oauth);
        let resource = resource.ok_or(AuthorizeViolation::ResourceUnknown)?;
        if !found.iter().any(|other| other.indicator == resource.indicator) {
            found.push(resource);
        }
    }
    Ok(found)
}

/// Whether a grant with these scopes of no resource is refreshed for the resource.
pub(crate) fn refreshes(resource: &Resource, identity: &Scope) -> bool {
    match resource.refresh {
        RefreshPolicy::Always => true,
        RefreshPolicy::Never => false,
        RefreshPolicy::OfflineAccess => identity.contains("offline_access"),
    }
}

/// The one resource of a token request, which must be part of the grant (RFC 8707 section 2.2).
pub(crate) fn at_token<'a>(
    deployment: &'a Deployment,
    terms: &Terms,
    asked: &[String],
) -> Result<&'a Resource, TokenViolation> {
    let granted: Vec<&ResourceIndicator> = terms.resources().collect();
    if granted.is_empty() {
        let account = &deployment.account;
        let fits = asked.iter().all(|asked| account.indicator.names(asked));
        return if fits { Ok(account) } else { Err(TokenViolation::ResourceRefused) };
    }
    let indicator = match (asked, granted.as_slice()) {
        ([], [only]) => *only,
        ([], several) => deployment
            .default_resource()
            .and_then(|default| several.iter().find(|granted| ***granted == default.indicator))
            .ok_or(TokenViolation::ResourceSeveral)?,
        ([first, rest @ ..], _) => {
            let found = granted.iter().find(|granted| granted.names(first));
            let found = found.ok_or(TokenViolation::ResourceRefused)?;
            if !rest.iter().all(|other| found.names(other)) {
                return Err(TokenViolation::ResourceSeveral);
            }
            found
        }
    };
    deployment.resource(indicator.as_str()).ok_or(TokenViolation::ResourceRefused)
}
