//! `vestibule config check`: whether the deployment file is right, without starting anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{
    deployment_file::{File, RawEngine, report},
    log, redis,
    tls::{self, Shown},
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
}

/// Runs the command.
pub(crate) fn run(arguments: &ConfigArguments) -> Result<(), String> {
    let ConfigCommand::Check { config } = &arguments.command;
    let file = File::read(config)?;
    let deployment = file.deployment()?;
    file.auth()?;
    file.admin_token()?;
    // A file for auth-server alone says nothing of a gateway.
    let gateway = if !file.listen.gateway.is_empty() || !file.backend.is_empty() {
        let checked =
            gateway::Config::resolve(file.gateway.clone(), file.backend.clone(), &deployment);
        Some(checked.map_err(|problems| report(&problems))?)
    } else {
        None
    };
    if file.store.engine == RawEngine::Redis {
        redis::check(&file.store, !file.listen.auth.is_empty(), !file.listen.gateway.is_empty())?;
    }
    Shown::public(&file)?;
    Shown::internal(&file)?;
    tls::internal_client(&file.gateway.internal_tls)?;
    log::say(&format!("{} is right", config.display()));
    log::say(&format!("  issuer      {}", deployment.issuer.as_str()));
    for resource in &deployment.resources {
        log::say(&format!("  resource    {}", resource.indicator.as_str()));
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
