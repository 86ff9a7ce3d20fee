//! Whether a token of ours that comes back is still in force: what gateways learn from the feed
//! is read from the store here, each time.

use std::{collections::BTreeSet, sync::Arc};

use keys::{Presented, Verified};
use serde::de::DeserializeOwned;
use shared::{
    claims::{ACCESS_TOKEN_TYPE, AccessTokenClaims},
    ids::{ClientId, TokenId, UserId},
    internal::Receipt,
    time::Timestamp,
};

use crate::{
    App,
    accounts::User,
    error::BearerError,
    rules::{
        consent::Grant,
        openid::{ID_TOKEN_TYPE, IdTokenClaims},
        violation::BearerViolation,
    },
};

/// An access token that is in force.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) claims: AccessTokenClaims,
    /// What a person granted; none for a client's own token.
    pub(crate) granted: Option<(Grant, Arc<User>)>,
}

/// The access token, if nothing has ended it. Whoever shows one proves that it has arrived.
pub(crate) async fn access_token(app: &App, token: &str) -> Result<Live, BearerError> {
    let claims = own_claims(app, token).ok_or(BearerViolation::Foreign)?;
    if app.clock.now() >= Timestamp::from_secs(claims.exp) {
        return Err(BearerViolation::Expired.into());
    }
    let revoked = BearerViolation::Revoked;
    let client = app.client(&claims.client_id).await?.ok_or(revoked.clone())?;
    let (granted, began, open): (_, _, BTreeSet<_>) = if let Some(id) = claims.fam {
        let family = app.store.family(id).await?.filter(|family| !family.revoked);
        let family = family.ok_or(revoked.clone())?;
        let user = app.accounts.user(&family.grant.user).await?;
        let user = user.filter(|user| user.accepts_grant(family.created)).ok_or(revoked.clone())?;
        let open = user.memberships.keys().cloned().collect();
        (Some((family.grant, user)), family.created, open)
    } else {
        let service = client.service.ok_or(revoked.clone())?;
        (None, Timestamp::from_secs(claims.iat), service.workspaces)
    };
    let cut_off = client.cutoff.is_some_and(|cutoff| began <= cutoff);
    let left = !claims.workspaces.iter().cloned().collect::<BTreeSet<_>>().is_subset(&open);
    if cut_off || left || app.store.is_taken(&revocation_note(&claims.jti)).await? {
        return Err(revoked.into());
    }
    if let (Some(family), Some(generation)) = (claims.fam, claims.generation) {
        app.store.confirm_all(&[Receipt { family, generation }], app.clock.now()).await?;
    }
    Ok(Live { claims, granted })
}

/// The claims of an access token of ours, in force or not.
pub(crate) fn own_claims(app: &App, token: &str) -> Option<AccessTokenClaims> {
    let token = app.config.deployment.bare_token(token);
    let claims: AccessTokenClaims = own(app, token, ACCESS_TOKEN_TYPE)?.into_claims();
    (claims.iss == app.config.deployment.issuer.as_str()).then_some(claims)
}

/// The claims of an ID token of ours, however old.
pub(crate) fn id_token(app: &App, token: &str) -> Option<IdTokenClaims> {
    let claims: IdTokenClaims = own(app, token, ID_TOKEN_TYPE)?.into_claims();
    (claims.iss == app.config.deployment.issuer.as_str()).then_some(claims)
}

/// Whom a client's `id_token_hint` means.
pub(crate) fn subject_of(app: &App, client: &ClientId, hint: &str) -> Option<UserId> {
    id_token(app, hint).filter(|claims| claims.aud == *client).map(|claims| claims.sub)
}

/// The ticket that says an access token was revoked alone.
pub(crate) fn revocation_note(token: &TokenId) -> String {
    format!("revoked {token}")
}

fn own<T: DeserializeOwned>(app: &App, token: &str, typ: &str) -> Option<Verified<T>> {
    let presented = Presented::<T>::parse_as(token, typ).ok()?;
    let held = app.keys.held();
    let key = held.verifying.find(presented.kid())?;
    presented.verify(key).ok()
}
