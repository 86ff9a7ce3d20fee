//! A client proves itself by a signed assertion (RFC 7523 section 3). Its keys are fetched only
//! after the code or token of the request was found good, so that nobody else makes this server
//! dial.

use keys::{ClientAssertion, ClientKeySet};
use serde::{Deserialize, Serialize};
use shared::{secret::SecretHash, time::Timestamp};

use super::authorization_code;
use crate::{
    App,
    error::TokenError,
    outbound::{Due, SourceError},
    rules::{
        client::{Client, ClientAuth, ClientKeys, Origin},
        client_assertion::{self, REPEAT},
        params::Params,
        violation::TokenViolation,
    },
    store::{Kind, StoreError},
};

/// What an assertion was used for, so that it is used once.
#[derive(Debug, Serialize, Deserialize)]
struct Use {
    at: Timestamp,
    request: SecretHash,
}

/// Checks the assertion of a request, and uses it up.
pub(super) async fn check(
    app: &App,
    client: &Client,
    text: &str,
    params: &Params,
) -> Result<(), TokenError> {
    let ClientAuth::PrivateKeyJwt { keys } = &client.auth else {
        return Err(TokenViolation::ClientAuthentication.into());
    };
    let assertion = client_assertion::read(text)?;
    let issuer = app.config.deployment.issuer.as_str();
    let (id, ends) = client_assertion::check(&assertion, &client.id, issuer, app.clock.now())?;
    let good = match keys {
        ClientKeys::Inline(set) => ClientKeySet::parse(set).is_ok_and(|set| set.verify(&assertion)),
        ClientKeys::Remote(uri) => remote(app, client, uri, &assertion, params).await?,
    };
    if !good {
        let what = "no key of the client signed it".to_owned();
        return Err(TokenViolation::Assertion(what).into());
    }
    if !take(app, client, id, ends, params).await? {
        let what = "its jti was used before".to_owned();
        return Err(TokenViolation::Assertion(what).into());
    }
    Ok(())
}

/// Whether a key at the client's `jwks_uri` signed the assertion; one that is not known yet may
/// be new there.
async fn remote(
    app: &App,
    client: &Client,
    uri: &str,
    assertion: &ClientAssertion<'_>,
    params: &Params,
) -> Result<bool, TokenError> {
    if let Some(held) = app.outbound.held_keys(uri).await?
        && let Ok(set) = ClientKeySet::parse(&held.body)
    {
        if set.verify(assertion) {
            if !held.is_fresh(app.clock.now()) {
                app.outbound.note_due(Due::Keys(uri.to_owned()));
            }
            return Ok(true);
        }
        // The key it names is known, and did not sign it: nothing new would change that.
        if assertion.names_key() && set.may_hold(assertion) {
            return Ok(false);
        }
    }
    // Whoever an operator let in may have keys fetched; others must hold something of ours.
    if matches!(client.origin, Origin::Document | Origin::Open) {
        held_grant(app, client, params).await?;
    }
    match app.outbound.keys(uri).await {
        Ok(source) => Ok(ClientKeySet::parse(&source.body).is_ok_and(|set| set.verify(assertion))),
        Err(SourceError::Refused(violation)) => {
            tracing::info!(client = client.id.as_str(), %violation, "no keys of a client");
            Err(TokenError::ClientKeys)
        }
        Err(SourceError::Store(error)) => Err(error.into()),
    }
}

/// Refuses a request whose code or token is not one of this client's that could be used.
async fn held_grant(app: &App, client: &Client, params: &Params) -> Result<(), TokenError> {
    let now = app.clock.now();
    if let Some(code) = params.one("code") {
        let family = authorization_code::family_of(code).ok_or(TokenViolation::CodeInvalid)?;
        let held = app.store.code(family, &SecretHash::of(code.as_bytes()), now).await?;
        let (record, used) = held.ok_or(TokenViolation::CodeInvalid)?;
        return if record.grant.client == client.id && used.is_none() {
            Ok(())
        } else {
            Err(TokenViolation::CodeInvalid.into())
        };
    }
    let token = params.one("refresh_token").or(params.one("token"));
    let text = token.ok_or(TokenViolation::RefreshInvalid)?;
    let (token, _) =
        super::decoded_refresh_token(app, text).await?.ok_or(TokenViolation::RefreshInvalid)?;
    let family = app.store.family(token.family).await?.ok_or(TokenViolation::RefreshInvalid)?;
    if family.grant.client == client.id && !family.revoked && now < family.absolute_expiry {
        Ok(())
    } else {
        Err(TokenViolation::RefreshInvalid.into())
    }
}

/// Uses an assertion up. A refresh whose answer was lost may come again unchanged for a while.
async fn take(
    app: &App,
    client: &Client,
    id: &str,
    ends: Timestamp,
    params: &Params,
) -> Result<bool, StoreError> {
    let now = app.clock.now();
    let name = SecretHash::of(format!("{} {id}", client.id).as_bytes());
    let key = format!("assertion {}", name.as_str());
    let this = Use { at: now, request: params.digest() };
    if app.store.create(Kind::Ticket, &key, &this, Some(ends.plus(REPEAT))).await? {
        return Ok(true);
    }
    let first: Option<Use> = app.store.read(Kind::Ticket, &key).await?;
    let repeats = params.one("grant_type") == Some("refresh_token");
    Ok(first.is_some_and(|first| {
        repeats && first.request == this.request && now.since(first.at) <= REPEAT
    }))
}
