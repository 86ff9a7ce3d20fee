//! `[[client]]` tables: clients that the operator registered in the deployment file.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    deployment::Deployment,
    ids::{ClientId, WorkspaceId},
    problem::Problem,
    scope::Scope,
    secret::Secret,
    time::Timestamp,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::raw::{RawClient, RawService};
use crate::rules::{
    client::{About, Client, ClientAuth, ClientSecret, Life, Origin, SecretMethod, ServiceAccount},
    redirect_uri::check_registration,
};

const GRANTS: [&str; 3] = ["authorization_code", "refresh_token", "client_credentials"];

/// Checks a table; `read` gives the content of a file that a key names.
pub(super) fn resolve(
    raw: &RawClient,
    at: usize,
    deployment: &Deployment,
    read: &dyn Fn(&str) -> Result<String, String>,
    keyed: Result<Option<ClientAuth>, Problem>,
    problems: &mut Vec<Problem>,
) -> Option<Client> {
    let before = problems.len();
    let place = |key: &str| format!("client[{at}].{key}");
    let id = ClientId::parse(&raw.id).map_err(|error| {
        problems.push(Problem::new(place("id"), error.to_string(), "write another"));
    });
    for uri in &raw.redirect_uris {
        if let Err(error) = check_registration(uri) {
            problems.push(Problem::new(place("redirect_uris"), error.to_string(), "correct it"));
        }
    }
    // A service that only asks about tokens sends nobody anywhere.
    let asks_only = raw.service.is_some() && raw.redirect_uris.is_empty();
    let usual = if asks_only { 0 } else { 2 };
    let default = || GRANTS.iter().take(usual).map(|grant| (*grant).to_owned()).collect();
    let grants: Vec<String> = raw.grant_types.clone().unwrap_or_else(default);
    let has = |grant: &str| grants.iter().any(|one| one == grant);
    if let Some(unknown) = grants.iter().find(|grant| !GRANTS.contains(&grant.as_str())) {
        let what = format!("holds {unknown:?}");
        let remedy = format!("choose from {}", GRANTS.join(", "));
        problems.push(Problem::new(place("grant_types"), what, remedy));
    }
    if has("authorization_code") && raw.redirect_uris.is_empty() {
        let what = "is empty, and grant_types has authorization_code";
        problems.push(Problem::new(place("redirect_uris"), what, "write where people return to"));
    }
    let secrets = secrets(raw, at, read, problems);
    let keyed = keyed.map_err(|problem| problems.push(problem)).unwrap_or_default();
    let service = raw.service.as_ref().and_then(|raw| {
        service(raw, deployment)
            .map_err(|(key, what, remedy)| {
                problems.push(Problem::new(place(&format!("service.{key}")), what, remedy));
            })
            .ok()
    });
    let acts = service.as_ref().is_some_and(|service| !service.scopes.is_empty());
    if has("client_credentials") != acts {
        let what = "goes with client_credentials in grant_types, and one of them is missing";
        problems.push(Problem::new(place("service.scopes"), what, "write both or neither"));
    }
    if raw.service.is_some() && secrets.is_empty() && keyed.is_none() {
        let what = "is missing: a client that acts on its own account proves who it is";
        problems.push(Problem::new(place("secret_file"), what, "name a file with a secret"));
    }
    if problems.len() > before {
        return None;
    }
    let auth = match keyed {
        Some(keyed) => keyed,
        None if secrets.is_empty() => ClientAuth::None,
        None => ClientAuth::Secret { method: SecretMethod::Basic, secrets },
    };
    Some(Client {
        about: About::default(),
        auth,
        cutoff: None,
        id: id.ok()?,
        life: Life::default(),
        management: None,
        name: raw.name.clone(),
        origin: Origin::File,
        redirects: raw.redirect_uris.clone(),
        refreshes: has("refresh_token"),
        registered: Timestamp::default(),
        service,
    })
}

fn secrets(
    raw: &RawClient,
    at: usize,
    read: &dyn Fn(&str) -> Result<String, String>,
    problems: &mut Vec<Problem>,
) -> Vec<ClientSecret> {
    let first = raw.secret_file.iter().map(|file| ("secret_file".to_owned(), file, None));
    let further = raw.secret.iter().enumerate();
    let further =
        further.map(|(n, secret)| (format!("secret[{n}]"), &secret.file, secret.until.as_deref()));
    let mut secrets = Vec::new();
    for (key, file, until) in first.chain(further) {
        let place = format!("client[{at}].{key}");
        let expires = until.map(moment);
        if expires == Some(None) {
            let what = "has an until that is no date with time and offset";
            problems.push(Problem::new(&place, what, "write it like 2026-12-31T00:00:00Z"));
        }
        match read(file) {
            Ok(secret) if secret.trim().is_empty() => {
                let remedy = "write the secret into the file";
                problems.push(Problem::new(place, "names an empty file", remedy));
            }
            Ok(secret) => {
                let secret = Secret::new(secret.trim_end_matches(['\r', '\n']).to_owned());
                secrets.push(ClientSecret { expires: expires.flatten(), hash: secret.hash() });
            }
            Err(error) => problems.push(Problem::new(place, error, "write the secret there")),
        }
    }
    secrets
}

/// A key with what is wrong with it and what to write.
pub(crate) type Mistake = (&'static str, String, &'static str);

/// What a client may do on its own account, checked against the deployment.
pub(crate) fn service(
    raw: &RawService,
    deployment: &Deployment,
) -> Result<ServiceAccount, Mistake> {
    let unknown = |url: &str| format!("names {url:?}, which is no [[resource]] of this deployment");
    let mut introspects = BTreeSet::new();
    for url in &raw.introspects {
        let resource = deployment.resource(url);
        let resource = resource.ok_or_else(|| ("introspects", unknown(url), "correct it"))?;
        introspects.insert(resource.indicator.clone());
    }
    let mut workspaces = BTreeSet::new();
    for id in &raw.workspaces {
        let id = WorkspaceId::parse(id);
        workspaces.insert(id.map_err(|error| ("workspaces", error.to_string(), "correct it"))?);
    }
    let mut scopes = BTreeMap::new();
    if !raw.scopes.is_empty() {
        let resource = match &raw.resource {
            Some(url) => deployment.resource(url).ok_or_else(|| unknown(url)),
            None => deployment.default_resource().ok_or_else(|| "is missing".to_owned()),
        };
        let resource = resource.map_err(|what| ("resource", what, "name a resource"))?;
        let scope = Scope::from_tokens(raw.scopes.iter().map(String::as_str)).unwrap_or_default();
        if scope.is_empty() || !resource.all_scopes().includes(&scope) {
            let what = "names a scope the resource does not have".to_owned();
            return Err(("scopes", what, "list names from [[resource.scope]]"));
        }
        scopes.insert(resource.indicator.clone(), scope);
    }
    Ok(ServiceAccount { introspects, scopes, workspaces })
}

/// The moment that a text names (RFC 3339 section 5.6).
fn moment(text: &str) -> Option<Timestamp> {
    let seconds = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp();
    u64::try_from(seconds).ok().map(Timestamp::from_secs)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
