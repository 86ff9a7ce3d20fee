//! The backends as they are used, from their tables.

use std::{collections::HashSet, sync::Arc, time::Duration};

use http::HeaderName;
use shared::{deployment::Deployment, problem::Problem};
use url::Url;

use super::{
    Backend, RawBackend, RawUpstreamSession, UpstreamSession, connection, identity, naming,
    openapi, reload, rules, tls,
};

/// The backends of the tables; what is wrong with them is added to `problems`.
pub(super) fn resolve(
    raw: Vec<RawBackend>,
    deployment: &Deployment,
    problems: &mut Vec<Problem>,
) -> Vec<Backend> {
    let keys = key_headers(deployment);
    let mut names = HashSet::new();
    let mut audiences = HashSet::new();
    let mut backends = Vec::new();
    for (at, raw) in raw.into_iter().enumerate() {
        let place = |key: &str| format!("backend[{at}].{key}");
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if raw.name.is_empty() || !raw.name.bytes().all(plain) {
            let what = "is not made of letters, digits, - and _";
            problems.push(Problem::new(place("name"), what, "write a plain name such as crm"));
        }
        if !names.insert(raw.name.clone()) {
            problems.push(Problem::new(place("name"), "is given twice", "rename one"));
        }
        let audience = raw.audience.clone().unwrap_or_else(|| raw.url.clone());
        if !audiences.insert(audience.clone()) {
            let what = "is another backend's audience too, so one could use the other's identities";
            problems.push(Problem::new(place("audience"), what, "give each its own"));
        }
        // Before the files are read, so that a change in between is seen at the next reload.
        let fingerprint = reload::fingerprint(&raw);
        let mut policies = rules::policies(&raw, at, problems);
        let naming = naming::naming(&raw, at, problems);
        let api = openapi::api(&raw, at, &mut policies, problems);
        let tls = tls::client(&raw, at, problems);
        let connect = Duration::from_millis(raw.connect_timeout_ms.max(1));
        let identity = identity::identity(&raw, at, problems);
        let credential = identity::credential(&raw, at, &identity, problems);
        let written = (&identity.header, credential.as_ref().map(|one| &one.header));
        let forwarded = identity::forwarded(&raw, at, (written, &keys), problems);
        let connection = connection::connection(&raw.connection, connect, at, problems);
        let Some(url) = base(&raw.url, raw.openapi.is_some()) else {
            let what = "is no http or https URL, or has a query or a user";
            let remedy = "write the backend's URL, like http://127.0.0.1:7420/mcp";
            problems.push(Problem::new(place("url"), what, remedy));
            continue;
        };
        backends.push(Backend {
            api: api.map(Arc::new),
            audience,
            catalogue_life: Duration::from_secs(raw.catalogue_seconds.max(1)),
            connection,
            credential,
            fingerprint,
            forwarded,
            identity,
            largest_answer: raw.max_answer_bytes,
            naming: naming.into(),
            name: raw.name.into(),
            policies: Arc::new(policies),
            response_timeout: Duration::from_millis(raw.timeout_ms.max(1)),
            session: match raw.session {
                RawUpstreamSession::None => UpstreamSession::None,
                RawUpstreamSession::Pooled => UpstreamSession::Pooled,
            },
            tls,
            url,
        });
    }
    backends
}

/// The headers in which clients show API keys.
fn key_headers(deployment: &Deployment) -> Vec<HeaderName> {
    let keys = deployment.resources.iter().filter_map(|resource| resource.api_keys.as_ref());
    keys.flat_map(|keys| &keys.headers).filter_map(|name| HeaderName::try_from(name).ok()).collect()
}

/// The URL of a backend; a REST backend's has no query, because its operations have their own.
pub(super) fn base(text: &str, is_rest: bool) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    let is_base = url.query().is_none() && url.fragment().is_none();
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain;
    (fits && (is_base || !is_rest)).then_some(url)
}
