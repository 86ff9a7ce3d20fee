//! Another configuration while the services run: on SIGHUP, and when an operator asks.
//!
//! Invariant: everything is checked before anything changes; with one problem all stays as it is.

use std::{path::PathBuf, sync::Arc};

use auth_server::{AdminPeer, Reloaded};
use axum::{
    Router,
    extract::{Extension, State},
    http::{HeaderMap, StatusCode, header::ORIGIN},
    response::{IntoResponse, Response},
    routing::post,
};
use gateway::Gateway;
use serde_json::json;
use shared::problem::Problem;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Mutex,
};
use tokio_util::sync::CancellationToken;

use crate::{
    deployment_file::{Checked, File, Wanted},
    live::AuthServer,
};

/// The path where an operator asks for it.
pub(crate) const PATH: &str = "/admin/v1/configuration/reload";

/// Tables that are read at the start alone.
const AT_START: [&str; 4] = ["keys", "listen", "store", "telemetry"];
/// What of the table `[auth]` can be another.
const CHANGEABLE: [&str; 5] = [
    "blocked_redirect_hosts",
    "blocked_redirect_uris",
    "client_capacity",
    "registration",
    "session_hours",
];

/// Reads the deployment file again; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Reloader(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    auth: Option<AuthServer>,
    gateway: Option<Gateway>,
    path: PathBuf,
    /// The file in use; locked while another is looked at.
    tables: Mutex<toml::Table>,
}

/// A configuration that came into use.
#[derive(Debug)]
pub(crate) struct Applied {
    digest: String,
    /// Backends that did not answer yet.
    unread: Vec<String>,
}

/// Who asked: an operator's command, with the name that it gave, or a signal.
type Asker<'a> = Option<(AdminPeer, &'a HeaderMap)>;

impl Reloader {
    /// For the services of this process, which run by this file.
    pub(crate) fn new(
        path: PathBuf,
        file: &File,
        auth: Option<AuthServer>,
        gateway: Option<Gateway>,
    ) -> Self {
        Self(Arc::new(Parts { auth, gateway, path, tables: Mutex::new(file.tables()) }))
    }

    /// Reloads at every SIGHUP until the shutdown.
    pub(crate) fn on_hangup(
        self,
        shutdown: CancellationToken,
    ) -> Result<impl Future<Output = ()>, String> {
        let mut hangups = signal(SignalKind::hangup()).map_err(|error| error.to_string())?;
        Ok(async move {
            while let Some(Some(())) = shutdown.run_until_cancelled(hangups.recv()).await {
                // The outcome is in the log.
                let _told = self.reload(None).await;
            }
        })
    }

    /// What operators ask of it.
    pub(crate) fn router(&self) -> Router {
        Router::new().route(PATH, post(answer)).with_state(self.clone())
    }

    /// Reads the file and changes to what it says, or tells everything that is wrong with it.
    pub(crate) async fn reload(&self, by: Asker<'_>) -> Result<Applied, String> {
        let mut tables = self.0.tables.lock().await;
        let outcome = self.change(&mut tables).await;
        let (digest, why) = match &outcome {
            Ok(applied) => (applied.digest.as_str(), None),
            Err(why) => ("", Some(why)),
        };
        match why {
            None => tracing::info!(target: "audit", digest, "the configuration was reloaded"),
            Some(why) => {
                tracing::warn!(target: "audit", %why, "the configuration stays as it was");
                if let Some(gateway) = &self.0.gateway {
                    gateway.note_refused();
                }
            }
        }
        if let Some(auth) = &self.0.auth {
            let (peer, headers) = by.unzip();
            auth.current().note_reload(&Reloaded {
                digest,
                headers,
                is_applied: why.is_none(),
                peer,
            });
        }
        outcome
    }

    async fn change(&self, tables: &mut toml::Table) -> Result<Applied, String> {
        let Parts { auth, gateway, path, .. } = &*self.0;
        let file = File::read(path)?;
        let wanted = Wanted { auth: auth.is_some(), gateway: gateway.is_some() };
        let fixed = needs_restart(tables, &file.tables(), wanted);
        let told =
            |problems: Vec<Problem>| format!("{}: {}", path.display(), file.report(&problems));
        let (checked, mut problems) = match file.check(wanted) {
            Ok(checked) => (checked, fixed),
            Err(problems) => return Err(told([problems, fixed].concat())),
        };
        let Checked { auth: for_auth, gateway: for_gateway } = checked;
        if let (Some(gateway), Some(config)) = (gateway, &for_gateway) {
            for problem in gateway.needs_restart(config) {
                // The tables may have told it.
                if !problems.iter().any(|told| told.place == problem.place) {
                    problems.push(problem);
                }
            }
        }
        if !problems.is_empty() {
            return Err(told(problems));
        }
        // Tokens for a new resource may be asked for as soon as the gateway serves it.
        if let (Some(auth), Some(config)) = (auth, for_auth) {
            auth.replace(auth.current().reconfigured(config));
        }
        let mut unread = Vec::new();
        if let (Some(gateway), Some(config)) = (gateway, for_gateway) {
            unread = gateway.reload(config, file.digest()).await.map_err(told)?.unread;
        }
        *tables = file.tables();
        Ok(Applied { digest: file.digest(), unread })
    }
}

/// What cannot be another while the services run.
fn needs_restart(held: &toml::Table, next: &toml::Table, wanted: Wanted) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut fixed = |table: &str, keep: &dyn Fn(&str) -> bool| {
        let (empty, none) = (toml::Table::new(), toml::Table::new());
        let of = |tables: &toml::Table| tables.get(table).and_then(toml::Value::as_table).cloned();
        let (held, next) = (of(held).unwrap_or(empty), of(next).unwrap_or(none));
        let keys: std::collections::BTreeSet<_> = held.keys().chain(next.keys()).collect();
        for key in keys {
            if keep(key) && held.get(key) != next.get(key) {
                let place = format!("{table}.{key}");
                let what = "is not what the server began with";
                let remedy = "needs a restart: put the old value back, or restart the server";
                problems.push(Problem::new(place, what, remedy));
            }
        }
    };
    for table in AT_START {
        fixed(table, &|_| true);
    }
    fixed("deployment", &|key| key == "issuer" || key == "endpoints");
    fixed("gateway", &|key| key == "internal_tls");
    if wanted.auth {
        fixed("auth", &|key| !CHANGEABLE.contains(&key));
    }
    problems
}

/// POST on the admin socket.
async fn answer(
    State(reloader): State<Reloader>,
    peer: Option<Extension<AdminPeer>>,
    headers: HeaderMap,
) -> Response {
    let refused = |status, why: &str| {
        let body = json!({ "error": "invalid_request", "error_description": why });
        web::problem::json(status, body.to_string())
    };
    let Some(Extension(peer)) = peer else {
        return refused(StatusCode::FORBIDDEN, "the socket does not say who asks");
    };
    // No page of a browser acts for an operator.
    let from_page = |name: &str| name == ORIGIN.as_str() || name.starts_with("sec-fetch-");
    if headers.keys().any(|name| from_page(name.as_str())) {
        return refused(StatusCode::FORBIDDEN, "requests from pages are refused");
    }
    match reloader.reload(Some((peer, &headers))).await {
        Ok(Applied { digest, unread }) => {
            let body = json!({ "digest": digest, "unread_backends": unread });
            web::problem::json(StatusCode::OK, body.to_string())
        }
        Err(why) => refused(StatusCode::UNPROCESSABLE_ENTITY, &why),
    }
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_at_the_start_alone_is_named_when_it_changes() {
        let held = toml::from_str(
            "[deployment]\nname = \"a\"\nissuer = \"i\"\n[listen]\ngateway = [\"127.0.0.1:1\"]\n\
             [auth]\nregistration = \"open\"\naudit_days = 3\n",
        )
        .unwrap();
        let next = toml::from_str(
            "[deployment]\nname = \"b\"\nissuer = \"j\"\n[listen]\ngateway = [\"127.0.0.1:2\"]\n\
             [auth]\nregistration = \"closed\"\n[store]\nengine = \"redis\"\n",
        )
        .unwrap();
        let places = |auth| {
            let wanted = Wanted { auth, gateway: true };
            let problems = needs_restart(&held, &next, wanted);
            assert!(problems.iter().all(|one| one.remedy.starts_with("needs a restart")));
            problems.into_iter().map(|one| one.place).collect::<Vec<_>>()
        };
        let expected = ["listen.gateway", "store.engine", "deployment.issuer", "auth.audit_days"];
        assert_eq!(places(true), expected);
        assert_eq!(places(false), expected[..3]);
        assert!(needs_restart(&held, &held, Wanted { auth: true, gateway: true }).is_empty());
    }
}
