//! The code exchange (RFC 6749 section 4.1.3): every check before anything is spent, then one
//! atomic verb that spends the code and creates its family.

use std::{collections::VecDeque, time::Duration};

use axum::response::Response;
use shared::{deployment::IdleBy, ids::FamilyId, secret::SecretHash};

use crate::{
    App,
    audit::Event,
    error::{Fault, TokenError},
    issue::{self, Purpose},
    mint,
    rules::{
        client::Client, openid::SignIn, params::Params, resource, rotation::Family, scope,
        violation::TokenViolation,
    },
    store::{CodeRecord, Redemption},
};

/// A code is `ac_`, its family's id, a dot and a secret, so that both share a slot.
pub(crate) const PREFIX: &str = "ac_";

/// A code that comes again so much later was copied, not retried.
const RETRY: Duration = Duration::from_secs(10);

/// Exchanges a code for the first tokens of a new family.
pub(crate) async fn exchange(
    app: &App,
    client: &Client,
    params: &Params,
) -> Result<Response, TokenError> {
    let code = params.one("code").ok_or(TokenViolation::CodeMissing)?;
    let family = family_of(code).ok_or(TokenViolation::CodeInvalid)?;
    let hash = SecretHash::of(code.as_bytes());
    let now = app.clock.now();
    let held = app.store.code(family, &hash, now).await?;
    let (record, used) = held.ok_or(TokenViolation::CodeInvalid)?;
    if record.grant.client != client.id {
        return Err(TokenViolation::CodeClient.into());
    }
    if params.one("redirect_uri").is_some_and(|uri| uri != record.redirect.as_str()) {
        return Err(TokenViolation::RedirectMismatch.into());
    }
    let _proof = match record.challenge.verify(params.one("code_verifier")) {
        Ok(proof) => proof,
        Err(violation) => {
            if used.is_none() && violation != TokenViolation::VerifierMissing {
                app.store.miss_code(family, &hash).await?;
            }
            return Err(violation.into());
        }
    };
    if let Some(used) = used {
        return Err(replayed(app, client, family, now.since(used)).await?);
    }
    let deployment = &app.config.deployment;
    let terms = record.grant.terms();
    let resource = resource::at_token(deployment, &terms, params.resources())?;
    // The exchange has no scope parameter (RFC 6749 section 4.1.3): what was granted is given.
    let scope = scope::at_token(None, &terms, resource)?;
    let workspaces = super::workspaces(app, client, &record.grant, resource, record.issued).await?;
    let sign_in = SignIn::of(&record.grant, None, record.nonce.clone(), record.issued)
        .map(|sign_in| SignIn { method: record.method, ..sign_in });
    let created = first(app, client, record)?;
    let created = match app.store.redeem_code(family, &hash, now, &created).await? {
        Redemption::First(created) => created,
        Redemption::Again(used) => {
            return Err(replayed(app, client, family, now.since(used)).await?);
        }
        Redemption::Gone => return Err(TokenViolation::CodeInvalid.into()),
    };
    let purpose = Purpose { resource, scope, sign_in, workspaces };
    Ok(issue::tokens(app, (family, terms.id()), &created, client, &purpose)?)
}

/// The family a code belongs to.
pub(crate) fn family_of(code: &str) -> Option<FamilyId> {
    let (family, secret) = code.strip_prefix(PREFIX)?.split_once('.')?;
    (secret.len() >= 43).then(|| FamilyId::parse(family).ok()).flatten()
}

/// A family at its first generation.
fn first(app: &App, client: &Client, record: CodeRecord) -> Result<Family, Fault> {
    let now = app.clock.now();
    // The shortest lives of the grant's resources, whichever the first token is for.
    let granted = || {
        let names = record.grant.resources();
        names.filter_map(|name| app.config.deployment.resource(name.as_str()))
    };
    let account = &app.config.deployment.account;
    let absolute = granted().map(|one| one.refresh_absolute).min();
    let absolute = absolute.unwrap_or(account.refresh_absolute);
    let idle = granted().map(|one| one.refresh_idle).min().unwrap_or(account.refresh_idle);
    let by_call = granted().any(|one| one.refresh_idle_by == IdleBy::Call);
    Ok(Family {
        absolute_expiry: now.plus(absolute),
        confirmed: false,
        contested: None,
        created: record.issued,
        generation: 0,
        grant: record.grant,
        idle,
        idle_by: if by_call { IdleBy::Call } else { IdleBy::Refresh },
        idle_expiry: now.plus(idle),
        mac_key: app.keys.held().refresh.current().id(),
        nonce: mint::bytes()?,
        proof: client.auth.method(),
        replays: 0,
        revoked: false,
        rotates: !client.proves_itself(),
        rotations: VecDeque::new(),
        used: now,
    })
}

/// A code that comes again: a retry is refused, a late one with every proof ends its family.
async fn replayed(
    app: &App,
    client: &Client,
    family: FamilyId,
    age: Duration,
) -> Result<TokenError, TokenError> {
    let late = age > RETRY;
    if late {
        app.store.revoke_family(family, app.clock.now()).await?;
    }
    app.audit(&Event::CodeReplayed { client: &client.id, family, revoked: late });
    Ok(TokenViolation::CodeInvalid.into())
}
