//! API keys as verbs: made, renewed, taken back, and looked up at each use.

use std::{collections::BTreeSet, time::Duration};

use shared::{
    deployment::Resource,
    ids::{ApiKeyId, UserId, WorkspaceId},
    internal::{ApiKeyUse, Event as FeedEvent, Principal, PrincipalCredential, PrincipalQuery},
    secret::{Secret, SecretHash},
    time::Timestamp,
};

use crate::{
    App,
    accounts::User,
    audit::Event,
    error::Fault,
    mint,
    rules::{
        api_key::{ApiKey, InvalidWish, KeySecret, MOST_KEYS, OVERLAP, Wish, terms},
        consent::Grant,
    },
    store::{EVENT_LIFE, StoreError},
};

/// How long the last use of a key is remembered.
const KEPT_USE: Duration = Duration::from_hours(400 * 24);
/// How precise the last use is: it is written no more often.
const USE_STEP: Duration = Duration::from_secs(5);

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoKey {
    #[error("a fault of this server")]
    Fault(#[from] Fault),
    #[error(transparent)]
    Wish(#[from] InvalidWish),
}

impl From<StoreError> for NoKey {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl App {
    /// A person's keys that are in force, the newest first.
    pub(crate) async fn api_keys_of(&self, user: &User) -> Result<Vec<ApiKey>, StoreError> {
        let now = self.clock.now();
        let mut keys = self.store.api_keys(&user.id).await?;
        keys.retain(|key| key.is_live(now) && user.accepts(key.created));
        keys.sort_by_key(|key| std::cmp::Reverse(key.created));
        Ok(keys)
    }

    /// Makes a key. The secret is given once and kept nowhere.
    pub(crate) async fn make_api_key(
        &self,
        user: &User,
        resource: &Resource,
        wish: &Wish,
        life: Option<Duration>,
    ) -> Result<(ApiKey, Secret), NoKey> {
        let granted = terms(wish, resource, &self.key_workspaces(user, resource).await?)?;
        if self.api_keys_of(user).await?.len() >= MOST_KEYS {
            return Err(InvalidWish::TooMany.into());
        }
        let (secret, hint) = new_secret(resource)?;
        let now = self.clock.now();
        let key = ApiKey {
            created: user.begins(now),
            expires: life.map(|life| now.plus(life)),
            hint,
            id: ApiKeyId::from_bytes(mint::bytes().map_err(Fault::from)?),
            name: granted.name,
            resource: resource.indicator.clone(),
            revision: 1,
            revoked: None,
            scope: granted.scope,
            secrets: vec![KeySecret { expires: None, hash: secret.hash() }],
            user: user.id.clone(),
            workspaces: granted.workspaces,
        };
        self.store.put_api_key(&key).await?;
        self.audit(&Event::ApiKeyMade {
            key: &key.id,
            scope: key.scope.to_string(),
            user: &user.id,
        });
        Ok((key, secret))
    }

    /// Gives a key a new secret; the one it had ends at once, or after the overlap.
    pub(crate) async fn renew_api_key(
        &self,
        user: &User,
        key: &ApiKeyId,
        overlaps: bool,
    ) -> Result<Option<(ApiKey, Secret)>, Fault> {
        let now = self.clock.now();
        let Some(held) = self.store.api_key(&user.id, key).await? else { return Ok(None) };
        let resource = self.config.deployment.resource(held.resource.as_str());
        let Some(resource) = resource.filter(|_| held.is_live(now)) else { return Ok(None) };
        if resource.api_keys.is_none() {
            return Ok(None);
        }
        let (secret, hint) = new_secret(resource)?;
        self.store.lead_to_api_key(&secret.hash(), &held).await?;
        let overlap = overlaps.then(|| now.plus(OVERLAP));
        let changed = |key: &ApiKey| {
            let renewed = key.rotated((secret.hash(), hint.clone()), overlap);
            key.is_live(now).then_some(renewed)
        };
        let Some(renewed) = self.store.change_api_key(&user.id, key, changed).await? else {
            return Ok(None);
        };
        if !renewed.opens(&secret.hash(), now) {
            return Ok(None);
        }
        if !overlaps {
            // What the old secret opened ends with it.
            self.end_streams(key, renewed.revision.saturating_sub(1)).await?;
        }
        self.audit(&Event::ApiKeyRenewed { key, overlaps, user: &user.id });
        Ok(Some((renewed, secret)))
    }

    /// Takes a key back: when this returns it is refused everywhere, and gateways are told to end
    /// what is open under it.
    pub(crate) async fn revoke_api_key(
        &self,
        user: &UserId,
        key: &ApiKeyId,
    ) -> Result<bool, Fault> {
        let now = self.clock.now();
        let changed = |key: &ApiKey| key.revoked.is_none().then(|| key.taken_back(now));
        let Some(revoked) = self.store.change_api_key(user, key, changed).await? else {
            return Ok(false);
        };
        self.end_streams(key, revoked.revision).await?;
        for secret in &revoked.secrets {
            self.store.forget_api_key_secret(&secret.hash).await?;
        }
        self.audit(&Event::ApiKeyRevoked { key, user });
        Ok(true)
    }

    /// What stands behind a key or a grant at this moment, for gateways. Never kept by anybody.
    pub async fn principal(&self, query: &PrincipalQuery) -> Result<Option<Principal>, StoreError> {
        match query {
            PrincipalQuery::ApiKey { hash } => self.principal_of_key(hash).await,
            PrincipalQuery::Family { family, resource } => {
                let now = self.clock.now();
                let Some(found) = self.store.family(*family).await? else { return Ok(None) };
                if found.revoked || found.idle_expiry <= now || found.absolute_expiry <= now {
                    return Ok(None);
                }
                let Grant { client, scopes, user, workspaces, .. } = &found.grant;
                let client = self.client(client).await?;
                let Some(client) = client
                    .filter(|client| client.cutoff.is_none_or(|cutoff| cutoff < found.created))
                else {
                    return Ok(None);
                };
                let Some(user) = self.current(user, found.created).await? else {
                    return Ok(None);
                };
                let terms = self.config.deployment.resource(resource.as_str());
                let Some((terms, scope)) = terms.zip(scopes.get(resource)) else {
                    return Ok(None);
                };
                let memberships = self.key_workspaces(&user, terms).await?;
                Ok(Some(Principal {
                    began: found.created,
                    credential: PrincipalCredential::Family { client: client.id, family: *family },
                    expires: Some(found.absolute_expiry.min(found.idle_expiry)),
                    resource: resource.clone(),
                    scope: scope.intersect(&terms.all_scopes()),
                    user: user.id.clone(),
                    workspaces: workspaces.intersection(&memberships).cloned().collect(),
                }))
            }
        }
    }

    /// Keeps when keys were last used.
    pub(crate) async fn note_key_uses(&self, uses: &[ApiKeyUse]) -> Result<(), StoreError> {
        for ApiKeyUse { key, at } in uses {
            let at = (*at).min(self.clock.now());
            let known = self.store.api_key_use(key).await?;
            if known.is_none_or(|known| known.plus(USE_STEP) <= at) {
                self.store.note_api_key_use(key, at, at.plus(KEPT_USE)).await?;
            }
        }
        Ok(())
    }

    async fn principal_of_key(&self, hash: &SecretHash) -> Result<Option<Principal>, StoreError> {
        let now = self.clock.now();
        let key = self.store.api_key_of(hash).await?;
        let Some(key) = key.filter(|key| key.opens(hash, now)) else { return Ok(None) };
        let Some(user) = self.current(&key.user, key.created).await? else { return Ok(None) };
        let resource = self.config.deployment.resource(key.resource.as_str());
        let Some(resource) = resource.filter(|resource| resource.api_keys.is_some()) else {
            return Ok(None);
        };
        let (scope, workspaces) =
            key.rights(resource, &self.key_workspaces(&user, resource).await?);
        let expires = key.ends(hash);
        Ok(Some(Principal {
            began: key.created,
            credential: PrincipalCredential::ApiKey { key: key.id, revision: key.revision },
            expires,
            resource: key.resource,
            scope,
            user: key.user,
            workspaces,
        }))
    }

    /// The workspaces of which the person is a member and that may use the resource.
    pub(crate) async fn key_workspaces(
        &self,
        user: &User,
        resource: &Resource,
    ) -> Result<BTreeSet<WorkspaceId>, StoreError> {
        self.workspaces.permitted(user.memberships.keys(), &resource.indicator).await
    }

    /// The person, if the account is active and has not been signed out since.
    async fn current(
        &self,
        user: &UserId,
        began: Timestamp,
    ) -> Result<Option<std::sync::Arc<User>>, StoreError> {
        Ok(self.accounts.user(user).await?.filter(|user| user.accepts(began)))
    }

    /// Tells gateways, once for each cause: repeating a request must not fill the feed. The note
    /// is written last, so that a crash in between repeats the event rather than losing it.
    async fn end_streams(&self, key: &ApiKeyId, revision: u32) -> Result<(), Fault> {
        let (now, note) = (self.clock.now(), format!("api key {key} {revision}"));
        if !self.store.is_taken(&note).await? {
            let event = FeedEvent::ApiKey { key: key.clone(), revision };
            self.store.append_event(&event, now).await?;
            self.store.take_ticket(&note, now.plus(EVENT_LIFE)).await?;
        }
        Ok(())
    }
}

/// A new secret of the resource's form, with what may be shown of it later.
fn new_secret(resource: &Resource) -> Result<(Secret, String), Fault> {
    let random = mint::bytes()?;
    Ok(match &resource.api_keys {
        Some(keys) => {
            let secret = keys.format.write(&random);
            let hint = keys.format.hint(&secret);
            (secret, hint)
        }
        None => (mint::secret()?, String::new()),
    })
}
