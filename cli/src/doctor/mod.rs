//! `vestibule doctor`: walks a deployment as a client does, from the MCP URL alone (RFC 9728
//! section 5), and says what to fix. It changes nothing and needs no credential.

mod client;
mod finding;
mod issuer;
mod resource;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

use shared::{resource::is_loopback, time::Clock};
use url::Url;

use self::client::Http;
pub(crate) use self::finding::{Finding, Findings, Verdict};

/// Walks the deployment behind an MCP URL or an issuer.
pub(crate) async fn walk(
    typed: &str,
    authorities: Option<&str>,
    clock: &Clock,
) -> Result<Vec<Finding>, String> {
    let url = Url::parse(typed).map_err(|error| format!("{typed} is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("{typed} is no http or https URL"));
    }
    let http = Http::new(authorities)?;
    let mut found = Findings::default();
    transport("URL", &url, &mut found);
    if let Some(issuers) = resource::walk(typed, &url, &http, &mut found).await {
        for named in issuers {
            issuer::walk(&named, Some(&url), (&http, clock), &mut found).await;
        }
    } else if resource::is_issuer(&url, &http).await {
        found = Findings::default();
        transport("URL", &url, &mut found);
        issuer::walk(typed, None, (&http, clock), &mut found).await;
    }
    Ok(found.0)
}

/// Anything but this machine is asked over TLS.
fn transport(check: &'static str, url: &Url, found: &mut Findings) {
    if url.scheme() == "https" {
        found.ok(check, format!("{url} is https"));
    } else if is_loopback(url) {
        found.ok(check, format!("{url} is on this machine, where http will do"));
    } else {
        let what = format!("{url} is plain http: tokens can be read on the way");
        found.bad(check, what, "end TLS at a proxy and write https in the deployment file");
    }
}

/// A text member of a document.
fn text<'v>(document: &'v serde_json::Value, name: &str) -> &'v str {
    document.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
}

/// The texts of a list in a document.
fn texts<'v>(document: &'v serde_json::Value, name: &str) -> Vec<&'v str> {
    let list = document.get(name).and_then(serde_json::Value::as_array);
    list.into_iter().flatten().filter_map(serde_json::Value::as_str).collect()
}

/// A well-known address of a URL: between host and path (RFC 8414 section 3.1).
fn well_known(url: &Url, name: &str, path: &str) -> Url {
    let mut found = url.clone();
    found.set_path(&shared::metadata::well_known_path(name, path));
    found.set_query(None);
    found.set_fragment(None);
    found
}
