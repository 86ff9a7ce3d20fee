//! What the account page lists, in words.

use std::collections::BTreeSet;

use shared::{
    deployment::{Resource, ScopeKind},
    ids::WorkspaceId,
    scope::Scope,
};

use super::visitor::Visitor;
use crate::{
    App,
    error::Fault,
    grants::LiveGrant,
    pages::{
        account::{AccountPage, ConnectedApp, KeyRow, SessionRow},
        consent::coverage,
        words::{ago, day},
    },
    rules::{api_key::ApiKey, client::Origin},
};

/// How many connected apps the page shows; all of them are disconnected together.
const MOST_APPS: usize = 200;

/// The page of a visitor.
pub(super) async fn page(
    app: &App,
    visitor: &Visitor,
    done: Option<String>,
) -> Result<AccountPage, Fault> {
    let user = &visitor.person.user;
    let mut apps = Vec::new();
    let grants = app.grants_of(&user.id).await?;
    for grant in grants.iter().take(MOST_APPS) {
        apps.push(connected(app, grant).await?);
    }
    let mut keys = Vec::new();
    for key in app.api_keys_of(user).await? {
        keys.push(key_row(app, &key).await?);
    }
    let takers = app.config.deployment.resources.iter().filter(|one| one.api_keys.is_some());
    let path = app.config.path("/account/keys/new");
    let makes_keys = takers.map(|resource| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("resource", resource.indicator.as_str())
            .finish();
        (resource.name.clone(), format!("{path}?{query}"))
    });
    let stored = app.store.account(&user.id).await?;
    let has_password = stored.is_some_and(|account| account.password.is_some());
    Ok(AccountPage {
        apps,
        apps_more: grants.len().saturating_sub(MOST_APPS),
        change_password: has_password.then(|| app.config.path("/account/password")),
        brand: app.config.deployment.name.clone(),
        confirm: app.config.path("/account/confirm"),
        done,
        hidden: vec![visitor.ticket(app)?],
        keys,
        makes_keys: makes_keys.collect(),
        sessions: sessions(app, visitor).await?,
        sign_out: app.config.path("/logout"),
        user_name: user.name.clone(),
        username: user.username.clone(),
    })
}

/// The names of scopes' meanings, in the order of the resource, with what wildcards cover.
fn in_words(app: &App, resource: &str, scope: &Scope) -> Vec<String> {
    let resource = app.config.deployment.resource(resource);
    let known = resource.iter().flat_map(|resource| &resource.scopes);
    let held = known.filter(|(name, _)| scope.contains(name));
    let words = held.map(|(name, words)| match coverage(name) {
        covers if covers.is_empty() => words.clone(),
        covers => format!("{words}. {covers}"),
    });
    words.collect()
}

/// What a key does at its worst, in words: by what its scopes are now, whatever they were when it
/// was made.
fn range(resource: Option<&Resource>, scope: &Scope) -> &'static str {
    let kinds = resource.into_iter().flat_map(|resource| {
        let left = scope.intersect(&resource.all_scopes());
        left.iter().map(|name| resource.kind_of(name)).collect::<Vec<_>>()
    });
    match kinds.max() {
        None => "Nothing any more",
        Some(ScopeKind::Read) => "Read only",
        Some(ScopeKind::Write) => "Read and write",
        Some(ScopeKind::Delete) => "Read, write and delete",
    }
}

async fn connected(app: &App, grant: &LiveGrant) -> Result<ConnectedApp, Fault> {
    let now = app.clock.now();
    let client = app.client(&grant.client).await?;
    let names = grant.scopes.keys().map(|resource| name_of(app, resource.as_str()));
    let scopes = grant.scopes.iter();
    let scopes = scopes.flat_map(|(resource, scope)| in_words(app, resource.as_str(), scope));
    let person = &app.config.deployment.account.scopes;
    let person = person.iter().filter(|(name, _)| grant.identity.contains(name));
    let scopes = scopes.chain(person.map(|(_, words)| words.clone()));
    let origin = client.as_ref().map(|client| client.origin);
    let host = client.filter(|client| client.origin == Origin::Document);
    let host = host.and_then(|client| url::Url::parse(client.id.as_str()).ok());
    Ok(ConnectedApp {
        connected: day(grant.created),
        contested: grant.contested.is_some(),
        host: host.and_then(|url| url.host_str().map(str::to_owned)),
        id: grant.family.to_string(),
        is_unverified: matches!(origin, Some(Origin::Open) | None),
        last_used: ago(now.since(grant.used)),
        name: grant.client_name.clone(),
        resources: names.collect::<Vec<_>>().join(", "),
        scopes: scopes.collect(),
        workspaces: workspaces(app, &grant.workspaces).await?,
    })
}

async fn key_row(app: &App, key: &ApiKey) -> Result<KeyRow, Fault> {
    let now = app.clock.now();
    let used = app.store.api_key_use(&key.id).await?;
    let resource = app.config.deployment.resource(key.resource.as_str());
    Ok(KeyRow {
        created: day(key.created),
        expires: key.expires.map(day),
        hint: key.hint.clone(),
        id: key.id.to_string(),
        last_used: used.map(|used| ago(now.since(used))),
        name: key.name.clone(),
        range: range(resource, &key.scope).to_owned(),
        resource: name_of(app, key.resource.as_str()),
        scopes: in_words(app, key.resource.as_str(), &key.scope),
        workspaces: workspaces(app, &key.workspaces).await?,
    })
}

async fn sessions(app: &App, visitor: &Visitor) -> Result<Vec<SessionRow>, Fault> {
    let (now, user) = (app.clock.now(), &visitor.person.user);
    let mut sessions = app.store.sessions(&user.id, now).await?;
    sessions.retain(|(_, session)| user.accepts_session(session.signed_in));
    let is_this = |secret: &shared::secret::SecretHash| *secret == visitor.person.session;
    sessions.sort_by_key(|(secret, one)| (!is_this(secret), std::cmp::Reverse(one.last_seen)));
    let row = |(secret, session): (shared::secret::SecretHash, crate::store::Session)| SessionRow {
        agent: session.agent,
        id: session.id,
        is_this: is_this(&secret),
        last_seen: ago(now.since(session.last_seen)),
        network: session.network,
        signed_in: ago(now.since(session.signed_in)),
    };
    Ok(sessions.into_iter().map(row).collect())
}

fn name_of(app: &App, resource: &str) -> String {
    let known = app.config.deployment.resource(resource);
    known.map_or_else(|| resource.to_owned(), |known| known.name.clone())
}

async fn workspaces(app: &App, ids: &BTreeSet<WorkspaceId>) -> Result<String, Fault> {
    let mut names = Vec::new();
    for id in ids {
        let known = app.workspaces.workspace(id).await?;
        names.push(known.map_or_else(|| id.to_string(), |workspace| workspace.name.clone()));
    }
    Ok(names.join(", "))
}
