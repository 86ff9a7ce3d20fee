//! Scopes: what was asked, what exists, what was granted; at a refresh they only narrow
//! (RFC 6749 sections 3.3 and 6).

use shared::{deployment::Resource, scope::Scope};

use super::violation::{AuthorizeViolation, TokenViolation};

/// Scopes a client may ask for that give nothing by themselves.
const WITHOUT_EFFECT: [&str; 1] = ["offline_access"];

/// What an authorization request may be granted at most: unknown scopes are dropped, and where
/// none is asked for the resources' defaults apply.
pub(crate) fn at_authorize(
    asked: Option<&str>,
    resources: &[&Resource],
) -> Result<Scope, AuthorizeViolation> {
    let asked = Scope::parse(asked.unwrap_or_default())
        .map_err(|_| AuthorizeViolation::ScopeMalformed)?
        .without(&without_effect());
    if asked.is_empty() {
        let defaults = resources.iter().map(|resource| &resource.default_scopes);
        return Ok(defaults.fold(Scope::default(), |all, scope| all.union(scope)));
    }
    let known = resources
        .iter()
        .map(|resource| resource.all_scopes())
        .fold(Scope::default(), |all, scope| all.union(&scope));
    let granted = asked.intersect(&known);
    if granted.is_empty() { Err(AuthorizeViolation::ScopeUnknown) } else { Ok(granted) }
}

/// The scope of one token: the grant's part of the resource, narrowed to what is asked.
pub(crate) fn at_token(
    asked: Option<&str>,
    granted: &Scope,
    resource: &Resource,
) -> Result<Scope, TokenViolation> {
    let held = granted.intersect(&resource.all_scopes());
    if held.is_empty() {
        return Err(TokenViolation::ResourceRefused);
    }
    let Some(asked) = asked else { return Ok(held) };
    let asked = Scope::parse(asked).map_err(|_| TokenViolation::ScopeWider)?;
    let asked = asked.without(&without_effect());
    if asked.is_empty() {
        return Ok(held);
    }
    if !granted.includes(&asked) {
        return Err(TokenViolation::ScopeWider);
    }
    Ok(asked.intersect(&held))
}

fn without_effect() -> Scope {
    Scope::from_tokens(WITHOUT_EFFECT).unwrap_or_default()
}
