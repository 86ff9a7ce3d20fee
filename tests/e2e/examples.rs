//! Every deployment file in the repository is valid.

use std::{
    fs,
    path::{Path, PathBuf},
};

use auth_server::config::{Parts, RawAuth, RawClient, RawKeys};
use gateway::{RawBackend, RawGateway};
use serde::Deserialize;
use shared::{
    deployment::{Deployment, RawDeployment, RawResource},
    problem::Problem,
};
use web::client_address::TrustedProxies;

#[derive(Deserialize)]
struct File {
    deployment: RawDeployment,
    #[serde(default)]
    auth: RawAuth,
    #[serde(default)]
    keys: RawKeys,
    #[serde(default)]
    client: Vec<RawClient>,
    resource: Vec<RawResource>,
    #[serde(default)]
    gateway: RawGateway,
    backend: Vec<RawBackend>,
}

/// Both services' configuration of a file, or what is wrong with it.
fn resolve(text: &str) -> Result<(), Vec<Problem>> {
    let file: File = toml::from_str(text).unwrap();
    let deployment = Deployment::resolve(file.deployment, file.resource)?;
    gateway::Config::resolve(file.gateway, file.backend, &deployment)?;
    let parts = Parts {
        auth: file.auth,
        clients: file.client,
        deployment,
        internal_credential: None,
        keys: file.keys,
        trusted_proxies: TrustedProxies::default(),
    };
    auth_server::Config::resolve(parts, &|_| Ok("a password".to_owned()))?;
    Ok(())
}

fn examples() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let examples = fs::read_dir(root.join("docs/examples")).unwrap().map(Result::unwrap);
    let deploy = fs::read_dir(root.join("deploy")).unwrap().map(Result::unwrap);
    let is_deployment = |path: &PathBuf| path.extension().is_some_and(|e| e == "toml");
    // The demo's is filled in at its start.
    let profiles = fs::read_dir(root.join("profiles")).unwrap().map(Result::unwrap);
    let profiles = profiles.filter(|one| one.path().is_dir() && one.file_name() != "demo");
    examples
        .chain(deploy)
        .map(|entry| entry.path())
        .filter(is_deployment)
        .chain(profiles.map(|folder| folder.path().join("deployment.toml")))
        .map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn every_example_is_a_working_deployment() {
    let examples = examples();
    assert!(examples.len() >= 8);
    for (name, text) in examples {
        assert_eq!(resolve(&text), Ok(()), "{name}");
    }
}

#[test]
fn every_problem_is_reported_at_once_with_its_place_and_remedy() {
    let (_, text) = examples().remove(0);
    let broken = text
        .replace("usr_ada", "ada")
        .replace("workspace = \"sales\", role", "workspace = \"nowhere\", role");
    let problems = resolve(&broken).unwrap_err();
    let places: Vec<&str> = problems.iter().map(|problem| problem.place.as_str()).collect();
    assert_eq!(places, ["auth.user[0].id", "auth.user[0].membership"]);
    assert!(problems.iter().all(|problem| !problem.remedy.is_empty()));
}
