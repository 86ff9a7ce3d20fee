//! A credential becomes a caller, or is refused: an access token (RFC 9068 section 4), or an API
//! key, whose rights are asked for at each call.
//!
//! Claims that cannot be ours are refused before a signature is paid for; revocation is judged at
//! each request; what cannot be known is 503, never 401.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use axum::extract::ConnectInfo;
use http::request::Parts;
use keys::Presented;

use crate::{
    api_keys,
    claims::{self, Admitted},
    config::Route,
    error::Refusal,
    issuers,
    jwks::NoKey,
    rules::{
        caller::{self, Expectation},
        credential::Credential,
        silence::Access,
        violation::BearerViolation,
    },
    silence,
    state::App,
};

/// Verifies a credential for a resource.
pub(crate) async fn admit(
    app: &App,
    route: &Route,
    credential: Credential<'_>,
    parts: &Parts,
) -> Result<Arc<Admitted>, Refusal> {
    let now = Instant::now();
    silence::check(app, route, Access::Read, now)?;
    match credential {
        Credential::ApiKey(key) => {
            api_keys::admit(app, route, key, client_address(app, parts)).await
        }
        Credential::Token(token) => admit_token(app, route, token, now).await,
    }
}

/// Who asks, as far as those say who speak for others.
pub(crate) fn client_address(app: &App, parts: &Parts) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(app.proxies.client_address(peer.ip(), &parts.headers))
}

/// Verifies an access token for a resource, whoever issued it.
pub(crate) async fn admit_token(
    app: &App,
    route: &Route,
    token: &str,
    now: Instant,
) -> Result<Arc<Admitted>, Refusal> {
    let digest = claims::digest(token);
    let held = app.claims.find(&digest, now).filter(|held| is_good(app, route, held, now));
    let admitted = match held {
        Some(held) => held,
        // Boxed, so that tokens that are known have no room for it.
        None => Box::pin(verify_any(app, route, token, digest)).await?,
    };
    let violation = if admitted.caller.resource != route.resource.indicator {
        BearerViolation::Audience
    } else if admitted.caller.expires <= app.clock.now() {
        BearerViolation::Expired
    } else if app.feed.has_revoked(&admitted.caller) {
        BearerViolation::Revoked
    } else {
        return Ok(admitted);
    };
    if violation != BearerViolation::Audience {
        app.claims.forget(&digest);
    }
    Err(violation.into())
}

/// Whether what was accepted before would be accepted now, as far as keys and trust go.
fn is_good(app: &App, route: &Route, held: &Admitted, now: Instant) -> bool {
    match &held.foreign {
        Some(issuer) => {
            // Each route says for itself whom it trusts and how far.
            route.issuers.iter().any(|one| Arc::ptr_eq(one, issuer))
                && app.issuers.is_good(issuer, held.generation)
        }
        None => held.caller.key.is_some() && app.keys.is_good(held.generation, now),
    }
}

/// Verifies a token that is not known, by the word of its issuer.
async fn verify_any(
    app: &App,
    route: &Route,
    token: &str,
    digest: claims::Digest32,
) -> Result<Arc<Admitted>, Refusal> {
    if let Some(issuer) = issuers::of(route, token) {
        return issuers::verify(app, route, issuer, token, digest).await;
    }
    // A token of ours that does not begin as the resource's do was not issued for it.
    let bare = route.resource.bare_token(token).ok_or(BearerViolation::Malformed)?;
    verify(app, route, bare, digest).await
}

async fn verify(
    app: &App,
    route: &Route,
    token: &str,
    digest: claims::Digest32,
) -> Result<Arc<Admitted>, Refusal> {
    let expected = Expectation {
        issuer: app.config.deployment.issuer.as_str(),
        now: app.clock.now(),
        resource: &route.resource.indicator,
    };
    let presented = Presented::parse(token).map_err(caller::violation)?;
    caller::refuse(presented.unverified_claims(), &expected)?;
    presented.check_times(expected.now).map_err(caller::violation)?;
    let kid = presented.kid().clone();
    let found = app.keys.find(&*app.authority, &kid).await.map_err(|none| match none {
        NoKey::Unavailable => Refusal::Unavailable("the issuer's keys are not known at the moment"),
        NoKey::Unknown => BearerViolation::UnknownKey.into(),
    })?;
    let verified = presented.verify(&found.key).map_err(caller::violation)?;
    let caller = caller::admit(verified, kid, &expected)?;
    app.feed.saw(&caller);
    Ok(app.claims.keep(caller, digest, found.generation))
}

#[cfg(test)]
#[path = "authenticate_tests.rs"]
mod tests;
