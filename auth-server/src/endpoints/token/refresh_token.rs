//! The refresh (RFC 6749 section 6): MAC, resource and scope first, then one atomic rotation, then
//! account and workspaces, then the tokens of the family's current generation.
//!
//! The token names its grant's terms, so that nothing of the family is read before the rotation:
//! usually it is the one question a refresh asks of the store.

use std::{net::IpAddr, time::Duration};

use axum::response::Response;
use http::{HeaderMap, header::USER_AGENT};
use sha2::{Digest, Sha256};
use shared::{deployment::Resource, scope::Scope};

use crate::{
    App,
    audit::Event,
    error::{Fault, TokenError},
    issue::{self, Prepared, Purpose},
    rules::{
        client::Client,
        openid::SignIn,
        params::Params,
        refresh_token::{RefreshToken, successor},
        resource,
        rotation::{Attempt, Context, Family, Policy, Presented, Step, step},
        scope,
        terms::Terms,
        violation::TokenViolation,
    },
    store::{Rotation, StoreError},
};

/// How far a token may be ahead of its family: more generations than any lost write.
const MOST_AHEAD: u32 = 4096;

/// How often one request catches up: others may be catching up with the same family.
const MOST_CATCH_UPS: usize = 8;

/// Refreshes: the token is spent for its successor, or answered again if it already was.
pub(crate) async fn exchange(
    app: &App,
    client: &Client,
    params: &Params,
    context: Context,
) -> Result<Response, TokenError> {
    let text = params.one("refresh_token").ok_or(TokenViolation::RefreshMissing)?;
    let decoded = super::decoded_refresh_token(app, text).await?;
    let (token, key) = decoded.ok_or(TokenViolation::RefreshInvalid)?;
    let Some(terms) = app.store.terms(token.terms).await? else {
        // A grant without its terms is a fault of the store; without both there is none.
        return Err(match app.store.family(token.family).await? {
            Some(_) => Fault::from(StoreError::Corrupt("the terms of a grant".to_owned())).into(),
            None => TokenViolation::RefreshInvalid.into(),
        });
    };
    let (resource, scope) = narrow(app, &terms, params)?;
    let policy = policy(app, &terms);
    let keys = app.keys.held().clone();
    let key = keys.refresh.find(key).ok_or(Fault::RingBehind)?;
    let presented = Presented {
        generation: token.generation,
        issued: token.issued,
        next: successor(key, token.family, token.generation.saturating_add(1), &token.nonce),
        nonce: token.nonce,
    };
    let (now, proof) = (app.clock.now(), client.auth.method());
    let attempt = Attempt { client: &client.id, context, now, policy, proof };
    let asked = Asked { client, params, resource, scope };
    // A strict resource forgives nothing: what can fail, fails before the token is spent.
    let prepared = if policy.strict {
        foreseen(app, &token, &presented, &attempt, &asked).await?
    } else {
        None
    };
    let mut rotation = rotate(app, &token, &presented, &attempt).await?;
    for _ in 0..MOST_CATCH_UPS {
        if rotation.step != Step::Ahead || !catch_up(app, &token, &rotation.family, context).await?
        {
            break;
        }
        rotation = rotate(app, &token, &presented, &attempt).await?;
        if rotation.step == Step::Ahead {
            // Another holder of a lost generation was faster; its step is taken into account next.
            tokio::task::yield_now().await;
        }
    }
    app.metrics.refresh(rotation.step);
    conclude(app, client, &token, &rotation).await?;
    let family = &rotation.family;
    if let Some((generation, prepared)) = prepared
        && generation == family.generation
    {
        return Ok(prepared.answer(family)?);
    }
    // Whom this refuses is gone for good, so it does not matter that the token is spent; and after
    // a fault the same token is answered again.
    let purpose = asked.purpose(app, family).await?;
    Ok(issue::tokens(app, (token.family, token.terms), family, client, &purpose)?)
}

/// What a request asks for, as far as that can be judged without its family.
struct Asked<'a> {
    client: &'a Client,
    params: &'a Params,
    resource: &'a Resource,
    scope: Scope,
}

impl<'a> Asked<'a> {
    /// What the tokens are for, if account, client and workspaces still allow it.
    async fn purpose(&self, app: &App, family: &Family) -> Result<Purpose<'a>, TokenError> {
        let (grant, began, resource) = (&family.grant, family.created, self.resource);
        let workspaces = super::workspaces(app, self.client, grant, resource, began).await?;
        // A refreshed ID token has no nonce (OpenID Connect Core 12.2).
        let sign_in = SignIn::of(grant, self.params.one("scope"), None, began);
        Ok(Purpose { resource, scope: self.scope.clone(), sign_in, workspaces })
    }
}

/// The tokens of the generation that the rotation will lead to, judged and signed before it: none
/// where it will lead to none. After this nothing is left that can fail but the rotation itself.
async fn foreseen(
    app: &App,
    token: &RefreshToken,
    presented: &Presented,
    attempt: &Attempt<'_>,
    asked: &Asked<'_>,
) -> Result<Option<(u32, Prepared)>, TokenError> {
    let Some(mut family) = app.store.family(token.family).await? else { return Ok(None) };
    if presented.generation > family.generation {
        // The store lost rotations; the family is moved to this token first.
        (family.generation, family.nonce) = (presented.generation, presented.nonce);
    }
    if !matches!(step(&mut family, presented, attempt), Step::Kept | Step::Rotated) {
        return Ok(None);
    }
    let purpose = asked.purpose(app, &family).await?;
    let prepared =
        issue::prepare(app, (token.family, token.terms), &family, asked.client, &purpose)?;
    Ok(Some((family.generation, prepared)))
}

/// Where a request comes from: 8 bits of the program's name, 8 of the network.
pub(crate) fn context(headers: &HeaderMap, address: IpAddr) -> Context {
    let agent = headers.get(USER_AGENT).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let product = agent.split(|byte| *byte == b'/' || *byte == b' ').next().unwrap_or_default();
    let network: Vec<u8> = match address.to_canonical() {
        IpAddr::V4(address) => address.octets().into_iter().take(3).collect(),
        IpAddr::V6(address) => address.octets().into_iter().take(6).collect(),
    };
    let byte = |bytes: &[u8]| Sha256::digest(bytes).first().copied().unwrap_or_default();
    Context(u16::from_be_bytes([byte(product), byte(&network)]))
}

/// What the access token is for: everything that can be refused without asking for the family.
fn narrow<'a>(
    app: &'a App,
    terms: &Terms,
    params: &Params,
) -> Result<(&'a Resource, Scope), TokenError> {
    let resource = resource::at_token(&app.config.deployment, terms, params.resources())?;
    if !resource::refreshes(resource, &terms.identity) {
        return Err(TokenViolation::ResourceRefused.into());
    }
    let scope = scope::at_token(params.one("scope"), terms, resource)?;
    Ok((resource, scope))
}

/// The strictest policy of the grant's resources, whichever of them the request names.
fn policy(app: &App, terms: &Terms) -> Policy {
    const MINUTE: Duration = Duration::from_mins(1);
    const DAY: Duration = Duration::from_hours(24);
    let resources = || {
        let granted = terms.resources();
        granted.filter_map(|name| app.config.deployment.resource(name.as_str()))
    };
    if resources().any(|resource| resource.strict) {
        let zero = Duration::ZERO;
        return Policy { grace: zero, lost: zero, most_replays: 0, soft: zero, strict: true };
    }
    let is_reported = resources().all(|resource| resource.reports_calls);
    let longest = resources().map(|one| one.access_token_life).max().unwrap_or_default();
    Policy {
        grace: 2 * MINUTE,
        // Without receipts nobody is ever seen using a successor.
        lost: if is_reported { 7 * DAY } else { DAY },
        most_replays: 512,
        soft: longest.max(60 * MINUTE),
        strict: false,
    }
}

async fn rotate(
    app: &App,
    token: &RefreshToken,
    presented: &Presented,
    attempt: &Attempt<'_>,
) -> Result<Rotation, TokenError> {
    let rotation = app.store.rotate_refresh(token.family, presented, attempt).await?;
    rotation.ok_or_else(|| TokenViolation::RefreshInvalid.into())
}

/// The store lost rotations that this token proves: walks the chain from what the store has, and
/// takes the token's generation up only if it arrives at exactly this token.
async fn catch_up(
    app: &App,
    token: &RefreshToken,
    family: &Family,
    context: Context,
) -> Result<bool, TokenError> {
    let keys = app.keys.held().clone();
    let key = keys.refresh.find(family.mac_key).ok_or(Fault::RingBehind)?;
    let behind = token.generation.saturating_sub(family.generation);
    if behind > MOST_AHEAD {
        return Ok(false);
    }
    let mut nonce = family.nonce;
    for generation in family.generation..token.generation {
        nonce = successor(key, token.family, generation.saturating_add(1), &nonce);
    }
    if nonce != token.nonce {
        return Ok(false);
    }
    let from = (family.generation, family.nonce);
    let to = (token.generation, token.nonce);
    if app.store.roll_forward(token.family, from, to, (token.issued, context)).await? {
        app.audit(&Event::RefreshRolledForward { family: token.family, to: token.generation });
    }
    Ok(true)
}

/// Whether the outcome gives tokens; what does not is recorded and named.
async fn conclude(
    app: &App,
    client: &Client,
    token: &RefreshToken,
    rotation: &Rotation,
) -> Result<(), TokenError> {
    let family = token.family;
    match rotation.step {
        Step::Kept | Step::Replayed | Step::Rotated => Ok(()),
        Step::Ahead | Step::Forged => {
            app.audit(&Event::RefreshForked { family });
            Err(TokenViolation::RefreshInvalid.into())
        }
        Step::Busy => Err(TokenError::Replays),
        Step::Expired => Err(TokenViolation::RefreshExpired.into()),
        Step::Reuse => {
            app.audit(&Event::RefreshReused { client: &client.id, family });
            Err(TokenViolation::RefreshReuse.into())
        }
        Step::Revoked => Err(TokenViolation::RefreshRevoked.into()),
        Step::Stale => {
            // Before the answer, so that no client goes on while its person is not told.
            let (user, now) = (&rotation.family.grant.user, app.clock.now());
            app.store.note_doubt((user, &client.id), family, now).await?;
            app.audit(&Event::RefreshStale { client: &client.id, family });
            Err(TokenViolation::RefreshStale.into())
        }
        Step::WrongClient => Err(TokenViolation::RefreshClient.into()),
        Step::WrongProof => Err(TokenViolation::RefreshProof.into()),
    }
}

#[cfg(test)]
#[path = "strict_tests.rs"]
mod tests;
