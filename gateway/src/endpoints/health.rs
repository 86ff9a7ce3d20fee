//! GET /healthz and /readyz: whether the process runs, and whether it can serve.
//!
//! A gateway whose feed is silent is `degraded` and still ready, because what only reads goes on;
//! were it not, a fault of auth-server's store would take every gateway out of service at once.

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{backends::Health, gateway::Gateway, rules::silence::Standing, state::App};

/// The process runs.
pub(crate) async fn healthz() -> Response {
    web::problem::json(StatusCode::OK, r#"{"status":"ok"}"#)
}

/// Each dependency, in what state it is and why.
pub(crate) async fn readyz(State(gateway): State<Gateway>) -> Response {
    let app = gateway.current();
    let mut all = vec![keys(&app), feed(&app)];
    all.extend(app.config.backends.iter().map(|one| backend(&app, &one.name)));
    all.extend(shared_limits(&app));
    all.extend(app.issuers.known().map(|(issuer, known)| {
        let reason = (!known).then(|| "its keys are not known".to_owned());
        let state = if known { Condition::Ok } else { Condition::Degraded };
        Dependency { name: format!("issuer {issuer}"), reason, state }
    }));
    let worst = all.iter().map(|one| one.state).max().unwrap_or(Condition::Ok);
    let (status, word) = match worst {
        Condition::Ok => (StatusCode::OK, "ready"),
        Condition::Degraded => (StatusCode::OK, "degraded"),
        Condition::Missing => (StatusCode::SERVICE_UNAVAILABLE, "waiting"),
    };
    web::problem::json(
        status,
        json!({ "status": word, "dependencies": all, "configuration": configuration(&gateway) })
            .to_string(),
    )
}

/// Which configuration is in use, and how the last change went; what was wrong is in the log.
fn configuration(gateway: &Gateway) -> Value {
    let generation = gateway.generation();
    let last = gateway.last_reload().map(|last| {
        let result = if last.is_applied { "applied" } else { "refused" };
        json!({ "at": last.at.secs(), "result": result })
    });
    json!({ "digest": generation.digest, "last_reload": last, "version": generation.version })
}

/// What the gateway needs, and how that is.
#[derive(Debug, Serialize)]
struct Dependency {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    state: Condition,
}

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Condition {
    Ok,
    Degraded,
    Missing,
}

fn keys(app: &App) -> Dependency {
    let loaded = app.keys.is_loaded();
    let reason = (!loaded).then(|| match app.keys.age() {
        Some(age) => format!("they were last fetched {} s ago", age.as_secs()),
        None => "they were not fetched yet".to_owned(),
    });
    let state = if loaded { Condition::Ok } else { Condition::Missing };
    Dependency { name: "issuer keys".to_owned(), reason, state }
}

fn backend(app: &App, name: &str) -> Dependency {
    let held = app.backends.find(name);
    let known = held.is_some_and(|held| held.catalogue().is_some());
    let health = held.map_or(Health::Asked { failures: 0 }, |held| held.health());
    let (state, reason) = match health {
        _ if !known => (Condition::Missing, Some("its catalogue was not read yet".to_owned())),
        Health::Asked { .. } => (Condition::Ok, None),
        Health::Spared { left, why } => {
            let seconds = left.as_secs() + 1;
            (Condition::Degraded, Some(format!("{why}; it is asked again within {seconds} s")))
        }
        Health::Probed { why } => {
            (Condition::Degraded, Some(format!("{why}; the next request finds out")))
        }
    };
    Dependency { name: format!("backend {name}"), reason, state }
}

fn shared_limits(app: &App) -> Option<Dependency> {
    let bank = app.limits.bank()?;
    let gateways = bank.gateways();
    let reason = bank
        .is_away()
        .then(|| format!("Redis does not answer, so this gateway goes by its part of {gateways}"));
    let state = if bank.is_away() { Condition::Degraded } else { Condition::Ok };
    Some(Dependency { name: "shared limits".to_owned(), reason, state })
}

fn feed(app: &App) -> Dependency {
    let state = match app.feed.standing() {
        Standing::Current => Condition::Ok,
        Standing::Silent => Condition::Degraded,
        Standing::Unknown => Condition::Missing,
    };
    let reason = app.feed.trouble().map(|trouble| match app.feed.silence() {
        Some(silence) => format!("{trouble}; last heard {} s ago", silence.as_secs()),
        None => format!("{trouble}; it was never heard"),
    });
    Dependency { name: "feed of revocations".to_owned(), reason, state }
}
