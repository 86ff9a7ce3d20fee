//! Scopes: what was asked, what exists, what was granted; at a refresh they only narrow
//! (RFC 6749 sections 3.3 and 6).

use std::collections::BTreeMap;

use shared::{deployment::Resource, resource::ResourceIndicator, scope::Scope};

use super::{
    terms::Terms,
    violation::{AuthorizeViolation, TokenViolation},
};

/// Scopes of OpenID Connect: `openid` makes a sign-in of a request, and the others mean nothing
/// without it (OpenID Connect Core 5.4).
const OPENID: [&str; 3] = ["email", "openid", "profile"];
/// Asked for by clients that want refresh tokens.
const OFFLINE: &str = "offline_access";

/// What an authorization request may be granted at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The scopes that belong to no resource.
    pub(crate) identity: Scope,
    /// By resource; none is empty.
    pub(crate) scopes: BTreeMap<ResourceIndicator, Scope>,
}

/// What an authorization request may be granted at most: unknown scopes are dropped, and where
/// none is asked for the resources' defaults apply.
pub(crate) fn at_authorize(
    asked: Option<&str>,
    resources: &[&Resource],
) -> Result<Asked, AuthorizeViolation> {
    let asked =
        Scope::parse(asked.unwrap_or_default()).map_err(|_| AuthorizeViolation::ScopeMalformed)?;
    let identity = identity(&asked);
    let asked = asked.without(&all_identity());
    let of = |resource: &Resource| {
        if asked.is_empty() {
            resource.default_scopes.clone()
        } else {
            asked.intersect(&resource.all_scopes())
        }
    };
    let scopes = resources.iter().map(|resource| (resource.indicator.clone(), of(resource)));
    let scopes: BTreeMap<_, _> = scopes.filter(|(_, scope)| !scope.is_empty()).collect();
    if scopes.is_empty() && !asked.is_empty() && !identity.contains("openid") {
        return Err(AuthorizeViolation::ScopeUnknown);
    }
    Ok(Asked { identity, scopes })
}

/// The scope of one token: what the grant holds for the resource, narrowed to what is asked.
pub(crate) fn at_token(
    asked: Option<&str>,
    terms: &Terms,
    resource: &Resource,
) -> Result<Scope, TokenViolation> {
    let held = match terms.scopes.get(&resource.indicator) {
        Some(held) => held,
        // A grant without resources only signs in, and its tokens are for the issuer.
        None if terms.scopes.is_empty() => &terms.identity,
        None => return Err(TokenViolation::ResourceRefused),
    };
    // What the deployment no longer has is no longer given.
    let held = held.intersect(&resource.all_scopes());
    if held.is_empty() {
        return Err(TokenViolation::ResourceRefused);
    }
    let Some(asked) = asked else { return Ok(held) };
    let asked = Scope::parse(asked).map_err(|_| TokenViolation::ScopeWider)?.without(&offline());
    if !terms.all_scopes().includes(&asked) {
        return Err(TokenViolation::ScopeWider);
    }
    // Whoever names scopes of OpenID Connect alone narrows nothing at a resource.
    let narrowed = asked.intersect(&held);
    Ok(if asked.without(&openid()).is_empty() && narrowed.is_empty() { held } else { narrowed })
}

/// The scopes of a request that belong to no resource.
pub(crate) fn identity(asked: &Scope) -> Scope {
    let identity = asked.intersect(&all_identity());
    if identity.contains("openid") { identity } else { identity.intersect(&offline()) }
}

/// The scopes of OpenID Connect.
pub(crate) fn openid() -> Scope {
    Scope::from_tokens(OPENID).unwrap_or_default()
}

fn offline() -> Scope {
    Scope::from_tokens([OFFLINE]).unwrap_or_default()
}

fn all_identity() -> Scope {
    openid().union(&offline())
}
