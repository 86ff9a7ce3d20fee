//! What a backend is shown of a caller, which credential of its own it asks for, and which headers
//! of clients it gets.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use serde::Deserialize;
use shared::{problem::Problem, secret::Secret};
use tokio_rustls::rustls::ClientConfig;
use url::Url;

use super::{RawBackend, backends::base, tls};

/// A `[backend.identity]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawIdentity {
    /// `reused` for a while, made anew `per_call`, or `none`.
    pub mode: RawIdentityMode,
    /// Where it goes. Default: `Authorization`, with `Bearer`; elsewhere it stands alone.
    pub header: Option<String>,
    /// Where the identity is exchanged for a token of the backend's own (RFC 8693).
    pub exchange: Option<RawExchange>,
}

/// What an identity says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawIdentityMode {
    /// Nothing is sent.
    None,
    /// Which call it is for, too.
    PerCall,
    /// Who calls.
    #[default]
    Reused,
}

/// A `[backend.identity.exchange]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawExchange {
    pub token_endpoint: String,
    /// The gateway's id there.
    pub client_id: String,
    /// Its secret, where it is not in a file: the program's to fill in, and no key of the table.
    #[serde(skip)]
    pub client_secret: Option<Secret>,
    /// The file with its secret. Default: the id alone is sent.
    pub client_secret_file: Option<String>,
    /// What the token is asked for.
    pub audience: Option<String>,
    pub resource: Option<String>,
    pub scope: Option<String>,
    /// The `aud` of the identity that is exchanged. Default: the token endpoint.
    pub subject_audience: Option<String>,
    /// The authorities whose certificates an https endpoint may show. Default: the system's.
    pub ca_file: Option<String>,
}

/// A `[backend.credential]` table: what the backend asks of everybody.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCredential {
    /// The file with its value, which is read again when it changes.
    pub file: String,
    /// The header it goes into.
    pub header: String,
    /// What stands before it, such as `Bearer `.
    #[serde(default)]
    pub prefix: String,
    /// Its value, where it is not in a file: the program's to fill in, and no key of the table.
    #[serde(skip)]
    pub value: Option<Secret>,
}

/// What a backend is shown of a caller.
#[derive(Clone, Debug)]
pub(crate) struct IdentitySettings {
    pub(crate) header: HeaderName,
    pub(crate) mode: IdentityMode,
}

/// What a backend is shown, and for how long it is good.
#[derive(Clone, Debug)]
pub(crate) enum IdentityMode {
    Exchanged(Box<Exchange>),
    None,
    PerCall,
    Reused,
}

/// Where an identity is exchanged.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) client_id: String,
    pub(crate) secret: Option<Secret>,
    pub(crate) subject_audience: String,
    /// What the token is asked for, as parameters.
    pub(crate) target: Vec<(&'static str, String)>,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) token_endpoint: Url,
}

/// What a backend asks of everybody, as its file has it at the moment.
#[derive(Clone, Debug)]
pub(crate) struct StaticCredential {
    pub(crate) header: HeaderName,
    /// Whether the file could not be used when it was last read.
    is_broken: Arc<AtomicBool>,
    /// The file, if it is in one.
    path: Option<PathBuf>,
    prefix: String,
    value: Arc<ArcSwap<HeaderValue>>,
}

impl StaticCredential {
    /// The header's value.
    pub(crate) fn value(&self) -> HeaderValue {
        HeaderValue::clone(&self.value.load())
    }

    /// Reads the file again. If it cannot be used, what was read before stays, and that is said
    /// once.
    pub(crate) fn refresh(&self, backend: &str) {
        let Some(path) = &self.path else { return };
        let read = secret(path).and_then(|secret| header_value(&secret, &self.prefix));
        let was_broken = self.is_broken.swap(read.is_err(), Ordering::AcqRel);
        match read {
            Ok(value) if **self.value.load() != value => {
                self.value.store(Arc::new(value));
                tracing::info!(backend, "the backend's credential was read again");
            }
            Err(why) if !was_broken => {
                tracing::error!(backend, why, "the credential's file is not used; the last one is");
            }
            _ => {}
        }
    }
}

/// Headers that a client may never choose: they say who calls, where to, what is wanted, or how a
/// message ends.
const RESERVED: [&str; 33] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "last-event-id",
    "max-forwards",
    "origin",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "via",
    "x-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];
/// How the names of others begin.
const RESERVED_STARTS: [&str; 7] =
    ["access-control-", "if-", "mcp-", "proxy-", "sec-", "x-forwarded-", "x-vestibule-"];

/// The settings of the backend at this place; what is wrong with them is added to `problems`.
pub(super) fn identity(
    raw: &RawBackend,
    at: usize,
    problems: &mut Vec<Problem>,
) -> IdentitySettings {
    let place = format!("backend[{at}].identity");
    let header = match &raw.identity.header {
        Some(name) => own_header(name, &format!("{place}.header"), problems),
        None => None,
    };
    let exchange = raw.identity.exchange.as_ref();
    if exchange.is_some() && raw.identity.mode != RawIdentityMode::Reused {
        let what = "is given beside exchange, which says what the backend gets";
        problems.push(Problem::new(format!("{place}.mode"), what, "remove one of the two"));
    }
    let exchanged = exchange.and_then(|one| resolve(one, &format!("{place}.exchange"), problems));
    let mode = match (exchanged, raw.identity.mode) {
        (Some(exchange), _) => IdentityMode::Exchanged(Box::new(exchange)),
        (None, RawIdentityMode::None) => IdentityMode::None,
        (None, RawIdentityMode::PerCall) => IdentityMode::PerCall,
        (None, RawIdentityMode::Reused) => IdentityMode::Reused,
    };
    IdentitySettings { header: header.unwrap_or(AUTHORIZATION), mode }
}

/// The credential of the backend at this place.
pub(super) fn credential(
    raw: &RawBackend,
    at: usize,
    identity: &IdentitySettings,
    problems: &mut Vec<Problem>,
) -> Option<StaticCredential> {
    let given = raw.credential.as_ref()?;
    let place = format!("backend[{at}].credential");
    let header = own_header(&given.header, &format!("{place}.header"), problems)?;
    if header == identity.header && !matches!(identity.mode, IdentityMode::None) {
        let what = "is where the identity goes";
        let remedy = "set identity.header to another header, or identity.mode to \"none\"";
        problems.push(Problem::new(format!("{place}.header"), what, remedy));
    }
    let path = given.value.is_none().then(|| PathBuf::from(&given.file));
    let value = match (&path, &given.value) {
        (Some(path), _) => secret(path),
        (None, value) => Ok(value.as_ref().map(Secret::expose).unwrap_or_default().to_owned()),
    };
    match value.and_then(|value| header_value(&value, &given.prefix)) {
        Ok(value) => Some(StaticCredential {
            header,
            is_broken: Arc::default(),
            path,
            prefix: given.prefix.clone(),
            value: Arc::new(ArcSwap::from_pointee(value)),
        }),
        Err(what) => {
            let remedy = "write the value alone into a file that only this user can read";
            problems.push(Problem::new(format!("{place}.file"), what, remedy));
            None
        }
    }
}

/// The headers of clients that the backend at this place gets, which are none that the gateway
/// writes itself and none that an API key comes in.
pub(super) fn forwarded(
    raw: &RawBackend,
    at: usize,
    ((identity, credential), keys): ((&HeaderName, Option<&HeaderName>), &[HeaderName]),
    problems: &mut Vec<Problem>,
) -> Vec<HeaderName> {
    let is_written = |name: &HeaderName| name == identity || Some(name) == credential;
    let parameters = raw.header_parameters.iter().filter_map(|name| name.parse().ok());
    let parameters: Vec<HeaderName> = parameters.collect();
    if let Some(name) = parameters.iter().find(|name| is_written(name)) {
        let what = format!("lists {name}, which the gateway writes");
        let place = format!("backend[{at}].header_parameters");
        problems.push(Problem::new(place, what, "remove it"));
    }
    let mut all = Vec::new();
    for text in &raw.forward_headers {
        let name = text.parse::<HeaderName>().ok().filter(|name| {
            is_free(name)
                && !is_written(name)
                && !keys.contains(name)
                // An argument of a described operation is checked; a client's header is not.
                && !parameters.contains(name)
        });
        match name {
            Some(name) if all.contains(&name) => {}
            Some(name) => all.push(name),
            None => {
                let what = format!("lists {text}, which is no header that a client may choose");
                let remedy = "list headers that neither identify nor steer, such as x-request-id";
                problems.push(Problem::new(format!("backend[{at}].forward_headers"), what, remedy));
            }
        }
    }
    all
}

/// Whether no other meaning hangs on a header.
fn is_free(name: &HeaderName) -> bool {
    let text = name.as_str();
    !RESERVED.contains(&text) && !RESERVED_STARTS.iter().any(|start| text.starts_with(start))
}

fn resolve(raw: &RawExchange, place: &str, problems: &mut Vec<Problem>) -> Option<Exchange> {
    // RFC 6749 section 3.2: what is sent there must not be read on the way.
    let Some(token_endpoint) = base(&raw.token_endpoint, true).filter(tls::is_safe) else {
        let what = "is no https URL, or has a query or a user";
        let remedy = "write the URL of the token endpoint; http is for this machine alone";
        problems.push(Problem::new(format!("{place}.token_endpoint"), what, remedy));
        return None;
    };
    let file = raw.client_secret_file.as_ref().filter(|_| raw.client_secret.is_none());
    let secret = match file.map(|path| secret(Path::new(path))) {
        Some(Ok(secret)) => Some(Secret::new(secret)),
        Some(Err(what)) => {
            let remedy = "name a file that only this user can read";
            problems.push(Problem::new(format!("{place}.client_secret_file"), what, remedy));
            return None;
        }
        None => raw.client_secret.clone(),
    };
    let target = [("audience", &raw.audience), ("resource", &raw.resource), ("scope", &raw.scope)];
    let tls = tls::of(&raw.token_endpoint, raw.ca_file.as_deref(), place, problems);
    Some(Exchange {
        client_id: raw.client_id.clone(),
        secret,
        subject_audience: raw.subject_audience.as_ref().unwrap_or(&raw.token_endpoint).clone(),
        target: target
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect(),
        tls,
        token_endpoint,
    })
}

/// A header that carries who calls or a secret: no other meaning may hang on it.
fn own_header(name: &str, place: &str, problems: &mut Vec<Problem>) -> Option<HeaderName> {
    let parsed = name.parse::<HeaderName>().ok();
    let is_own = |text: &str| text.starts_with("x-vestibule-");
    let parsed =
        parsed.filter(|name| *name == AUTHORIZATION || is_free(name) || is_own(name.as_str()));
    if parsed.is_none() {
        let what = format!("{name} is no header, or one with another meaning");
        let remedy = "write Authorization, or a name such as X-Api-Key";
        problems.push(Problem::new(place, what, remedy));
    }
    parsed
}

fn header_value(secret: &str, prefix: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::try_from(format!("{prefix}{secret}"));
    let mut value = value.map_err(|_| "holds what no header may".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// A secret's file, which nobody else may be able to read.
fn secret(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let text = fs::read_to_string(path).map_err(unreadable)?;
    if fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o077 != 0 {
        return Err("can be read by other users".to_owned());
    }
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
