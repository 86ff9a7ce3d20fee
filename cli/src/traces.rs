//! From the `[telemetry]` table to what the services trace with, and the end of it.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING},
};
use serde::Deserialize;
use shared::{problem::Problem, time::Clock};
use tokio_util::task::TaskTracker;
use url::{Host, Url};
use web::traces::{Parents, Settings, Tracer};

use crate::{
    deployment_file::{File, RawTelemetry},
    secret_file,
};

/// How long the end waits for the receiver.
const PATIENCE: Duration = Duration::from_secs(3);
/// Where a receiver takes traces, below its address.
const PATH: &str = "v1/traces";
/// Headers that are ours to write.
const OWN: [HeaderName; 6] =
    [CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING];

/// Whose traces are gone on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawParents {
    Anybody,
    #[default]
    Nobody,
    TrustedProxies,
}

/// What the services of this process trace with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces {
    settings: Option<Settings>,
    /// Apart from what the services run, for it ends after them.
    tasks: TaskTracker,
    tracers: Arc<Mutex<Vec<Tracer>>>,
}

impl Traces {
    /// As the file says.
    pub(crate) fn of(file: &File) -> Result<Self, String> {
        let settings = settings(&file.telemetry).map_err(|problems| file.report(&problems))?;
        Ok(Self { settings, ..Self::default() })
    }

    /// What a service of this name traces with, if anything is traced.
    pub(crate) fn tracer(&self, service: &'static str) -> Result<Option<Tracer>, String> {
        let Some(settings) = &self.settings else { return Ok(None) };
        let tracer = Tracer::new(service, settings, Clock::System);
        let tracer = tracer.map_err(|error| format!("telemetry.trace_ca_file: {error}"))?;
        self.tasks.spawn(tracer.clone().run());
        self.tracers.lock().unwrap_or_else(PoisonError::into_inner).push(tracer.clone());
        Ok(Some(tracer))
    }

    /// Sends what is left, when nothing runs any longer.
    pub(crate) async fn close(&self) {
        let tracers =
            std::mem::take(&mut *self.tracers.lock().unwrap_or_else(PoisonError::into_inner));
        let closing = TaskTracker::new();
        for tracer in tracers {
            closing.spawn(async move { tracer.close(PATIENCE).await });
        }
        closing.close();
        closing.wait().await;
    }
}

/// What the table says about traces; every problem at once.
pub(crate) fn settings(raw: &RawTelemetry) -> Result<Option<Settings>, Vec<Problem>> {
    let mut problems = Vec::new();
    let Some(traces) = &raw.traces else {
        for (name, is_given) in [
            ("trace_ca_file", raw.trace_ca_file.is_some()),
            ("trace_headers_file", raw.trace_headers_file.is_some()),
            ("trace_parents", raw.trace_parents.is_some()),
            ("trace_ratio", raw.trace_ratio.is_some()),
        ] {
            if is_given {
                let what = "says something about traces, and there are none";
                let remedy = "set telemetry.traces to the receiver's URL, or remove it";
                problems.push(Problem::new(format!("telemetry.{name}"), what, remedy));
            }
        }
        return if problems.is_empty() { Ok(None) } else { Err(problems) };
    };
    let endpoint = endpoint(traces);
    if endpoint.is_none() {
        let what = "is no http or https URL, or has a user, a query or a fragment";
        let remedy = "write the address where the receiver takes OTLP over HTTP, such as \
                      \"http://127.0.0.1:4318\"";
        problems.push(Problem::new("telemetry.traces", what, remedy));
    }
    let headers = raw.trace_headers_file.as_deref().map_or(Ok(HeaderMap::new()), |path| {
        let is_open = endpoint.as_ref().is_some_and(|(_, is_open)| *is_open);
        if is_open {
            return Err("would go over plain http to another machine".to_owned());
        }
        secret_file::read(path).and_then(|text| headers(&text))
    });
    let headers = headers.unwrap_or_else(|what| {
        let remedy = "write one header a line, as in `authorization: Bearer ...`, into a file \
                      that only this user can read, and name an https receiver or one on this \
                      machine";
        problems.push(Problem::new("telemetry.trace_headers_file", what, remedy));
        HeaderMap::new()
    });
    let authorities = raw.trace_ca_file.as_deref().map(certificates).transpose();
    let authorities = authorities.unwrap_or_else(|what| {
        let remedy = "name a file with the authorities' certificates in PEM";
        problems.push(Problem::new("telemetry.trace_ca_file", what, remedy));
        None
    });
    let ratio = raw.trace_ratio.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&ratio) {
        let remedy = "write the part of traces to keep, such as 0.1";
        problems.push(Problem::new("telemetry.trace_ratio", "is not between 0 and 1", remedy));
    }
    let parents = match raw.trace_parents.unwrap_or_default() {
        RawParents::Anybody => Parents::Anybody,
        RawParents::Nobody => Parents::Nobody,
        RawParents::TrustedProxies => Parents::TrustedProxies,
    };
    match endpoint {
        Some((endpoint, _)) if problems.is_empty() => {
            Ok(Some(Settings { authorities, endpoint, headers, parents, ratio }))
        }
        _ => Err(problems),
    }
}

/// Where traces are taken, and whether everybody on the way can read what is sent.
fn endpoint(text: &str) -> Option<(Uri, bool)> {
    let mut url = Url::parse(text).ok()?;
    let is_plain = match url.scheme() {
        "http" => true,
        "https" => false,
        _ => return None,
    };
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let is_here = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => IpAddr::from(address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(address).is_loopback(),
    };
    let base = url.path().trim_end_matches('/');
    if !base.ends_with(PATH) {
        let path = format!("{base}/{PATH}");
        url.set_path(&path);
    }
    let uri = url.as_str().parse().ok().filter(|_| is_bare)?;
    Some((uri, is_plain && !is_here))
}

/// Headers, one a line.
fn headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        // What a line holds is a secret, so it is not repeated.
        let wrong = || format!("has no header in line {number} that can be sent");
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        let mut value: HeaderValue = value.trim().parse().map_err(|_| wrong())?;
        if OWN.contains(&name) || value.is_empty() {
            return Err(wrong());
        }
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn certificates(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let has_one = text.contains("-----BEGIN CERTIFICATE-----");
    if has_one { Ok(text) } else { Err(format!("{} holds no certificate", path.display())) }
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
