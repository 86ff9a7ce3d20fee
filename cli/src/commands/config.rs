//! `vestibule config`: whether the deployment file is right, without starting anything, and
//! letting a running server read it again.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;
use shared::deployment::{Deployment, Resource};
use url::Url;

use super::{Failure, connection};
use crate::{
    admin_socket,
    deployment_file::{File, RawEngine},
    key_encryption_key, log, redis, reload, secret_file,
    tls::{self, Shown},
    traces::Traces,
};

#[derive(Args, Debug)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the file and everything it names. Every problem is reported at once, with its place
    /// and remedy; exit code 2 says there is one.
    #[command(after_help = "Example:\n  vestibule config check --config deployment.toml")]
    Check {
        /// The deployment file.
        #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG")]
        config: PathBuf,
    },
    /// Let the running server read its deployment file again, as SIGHUP does. What is wrong is
    /// told with line and remedy, and then nothing changes; exit code 1.
    #[command(after_help = "Example:\n  vestibule config reload --data-dir /var/lib/vestibule")]
    Reload {
        /// The data folder of the server.
        #[arg(
            long,
            value_name = "FOLDER",
            env = "VESTIBULE_DATA_DIR",
            default_value = "./.vestibule"
        )]
        data_dir: PathBuf,
        /// The name that the audit shows beside your user id.
        #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
        operator: Option<String>,
    },
}

/// Runs the command.
pub(crate) async fn run(arguments: &ConfigArguments) -> Result<(), Failure> {
    match &arguments.command {
        ConfigCommand::Check { config } => check(config).map_err(Failure::Misuse),
        ConfigCommand::Reload { data_dir, operator } => reload(data_dir, operator.as_deref()).await,
    }
}

/// Asks every server of the folder: the two services may be two processes.
async fn reload(data_dir: &Path, operator: Option<&str>) -> Result<(), Failure> {
    let mut is_anybody_there = false;
    for name in [admin_socket::AUTH_SERVER, admin_socket::GATEWAY] {
        let path = data_dir.join(name);
        let Some(answer) = connection::post(&path, reload::PATH, operator).await? else { continue };
        is_anybody_there = true;
        let digest = answer.get("digest").and_then(Value::as_str).unwrap_or_default();
        log::say(&format!("{name}: the configuration {digest} is in use"));
        let unread = answer.get("unread_backends").and_then(Value::as_array);
        for backend in unread.into_iter().flatten().filter_map(Value::as_str) {
            log::say(&format!("  backend {backend} does not answer yet"));
        }
    }
    if is_anybody_there {
        return Ok(());
    }
    let text = format!("no server runs on {}; name the server's --data-dir", data_dir.display());
    Err(Failure::Unavailable(text))
}

fn check(config: &Path) -> Result<(), String> {
    let file = File::read(config)?;
    let deployment = file.deployment()?;
    let gateway = parts(&file)?;
    log::say(&format!("{} is right", config.display()));
    log::say(&format!("  issuer      {}", deployment.issuer.as_str()));
    tell_endpoints(&deployment);
    for resource in &deployment.resources {
        log::say(&format!("  resource    {}", resource.indicator.as_str()));
        if is_of_issuer(resource, &deployment) {
            log::say(
                "              at the issuer's own origin: no backend's answer is a page there",
            );
        }
    }
    for (name, count) in [
        ("people", file.auth.user.len()),
        ("workspaces", file.auth.workspace.len()),
        ("clients", file.client.len()),
    ] {
        log::say(&format!("  {name:<12}{count} in the file"));
    }
    for (name, tools, skipped) in gateway.iter().flat_map(gateway::Config::described) {
        log::say(&format!("  backend     {name}: {tools} tools from its description"));
        for line in skipped {
            log::say(&format!("              {line}"));
        }
    }
    Ok(())
}

/// Checks everything else that the file names, and tells all that is wrong; answers the gateway's
/// configuration.
fn parts(file: &File) -> Result<Option<gateway::Config>, String> {
    let mut wrong: Vec<String> = Vec::new();
    let mut keep = |outcome: Result<(), String>| {
        wrong.extend(outcome.err().filter(|problem| !wrong.contains(problem)));
    };
    keep(file.auth().map(drop));
    keep(file.admin_token(&file.listen.admin).map(drop));
    keep(file.admin_token(&file.listen.gateway_admin).map(drop));
    // A file for auth-server alone says nothing of a gateway.
    let has_gateway = !file.listen.gateway.is_empty() || !file.backend.is_empty();
    let gateway = if has_gateway { file.gateway().map(Some) } else { Ok(None) };
    keep(gateway.as_ref().map(|_| ()).map_err(String::clone));
    let credential = file.gateway.internal_credential_file.as_ref().map_or(Ok(()), |path| {
        let named = |error| format!("gateway.internal_credential_file: {error}");
        secret_file::read(Path::new(path)).map(drop).map_err(named)
    });
    keep(credential);
    if let Some(key) = key_encryption_key::of_environment(&file.keys) {
        keep(key.map(drop));
    }
    if file.store.engine == RawEngine::Redis {
        keep(redis::check(&file.store, !file.listen.auth.is_empty(), false));
        keep(redis::check(&file.store, false, !file.listen.gateway.is_empty()));
    }
    keep(Traces::of(file).map(drop));
    keep(Shown::public(file).map(drop));
    keep(Shown::internal(file).map(drop));
    keep(tls::internal_client(&file.gateway.internal_tls).map(drop));
    if wrong.is_empty() { gateway } else { Err(wrong.join("\n")) }
}

/// Endpoints that the file has elsewhere than below the issuer, and where that leaves the pages.
fn tell_endpoints(deployment: &Deployment) {
    let Deployment { endpoints, issuer, .. } = deployment;
    for (name, endpoint) in endpoints.all() {
        if endpoint.url().path() != format!("{}/{name}", issuer.path())
            || endpoint.url().origin() != issuer.url().origin()
        {
            log::say(&format!("  endpoint    {name} at {}", endpoint.as_str()));
        }
    }
    let origin = endpoints.authorize.url().origin();
    if origin != issuer.url().origin() || endpoints.base() != issuer.path() {
        let (origin, base) = (origin.ascii_serialization(), endpoints.base());
        log::say(&format!("  pages       beside it: {origin}{base}/account, and sign-in"));
    }
}

/// Whether a browser takes a resource and the issuer, or its pages, for one origin.
fn is_of_issuer(resource: &Resource, deployment: &Deployment) -> bool {
    let (issuer, pages) = (deployment.issuer.url(), deployment.endpoints.authorize.url());
    let url = Url::parse(resource.indicator.as_str());
    url.is_ok_and(|url| url.origin() == issuer.origin() || url.origin() == pages.origin())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_profile_is_right() {
        let folder = tempfile::tempdir().unwrap();
        for person in ["ada", "grace"] {
            let path = folder.path().join(format!("{person}-password"));
            secret_file::write_private(&path, "a password").unwrap();
        }
        let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles");
        let mut checked = 0;
        for profile in fs::read_dir(profiles).unwrap().map(|entry| entry.unwrap()) {
            // The demo's is filled in at its start.
            if !profile.path().is_dir() || profile.file_name() == "demo" {
                continue;
            }
            let text = fs::read_to_string(profile.path().join("deployment.toml")).unwrap();
            let text = text.replace("/etc/vestibule", folder.path().to_str().unwrap());
            let path = folder.path().join("deployment.toml");
            fs::write(&path, text).unwrap();
            assert_eq!(check(&path), Ok(()), "{}", profile.path().display());
            checked += 1;
        }
        assert_eq!(checked, 5);
    }
}
