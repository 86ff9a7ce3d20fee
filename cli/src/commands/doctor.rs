//! `vestibule doctor`: what is wrong with a deployment, as its clients see it.

use std::{fs, path::PathBuf};

use clap::Args;
use serde_json::json;
use shared::time::Clock;

use super::Failure;
use crate::{
    doctor::{self, Finding, Verdict},
    log,
};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  vestibule doctor https://mcp.example/mcp
  vestibule doctor --json https://auth.example | jq '.findings[] | select(.verdict == \"bad\")'

Nothing is changed and no credential is needed.
Exit codes: 0 nothing is bad; 1 something is; 2 a flag or file is wrong.")]
pub(crate) struct DoctorArguments {
    /// The MCP URL as people type it, or the issuer.
    #[arg(value_name = "URL")]
    url: String,
    /// Certificates of authorities to trust beside the system's, as PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Answer in JSON, for scripts.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(arguments: &DoctorArguments) -> Result<(), Failure> {
    let read = |path: &PathBuf| {
        fs::read_to_string(path)
            .map_err(|error| Failure::Misuse(format!("cannot read {}: {error}", path.display())))
    };
    let authorities = arguments.ca.as_ref().map(read).transpose()?;
    let found = doctor::walk(&arguments.url, authorities.as_deref(), &Clock::System)
        .await
        .map_err(Failure::Misuse)?;
    let count = |verdict| found.iter().filter(|one| one.verdict == verdict).count();
    let bad = count(Verdict::Bad);
    if arguments.json {
        let answer = json!({ "url": arguments.url, "findings": found, "good": bad == 0 });
        log::say(&serde_json::to_string_pretty(&answer).unwrap_or_default());
    } else {
        found.iter().for_each(show);
        let warnings = count(Verdict::Warning);
        log::say(&format!("{} checks, {warnings} warnings, {bad} bad", found.len()));
    }
    if bad == 0 {
        return Ok(());
    }
    Err(Failure::Refused(format!("{bad} of {} checks are bad", found.len())))
}

fn show(finding: &Finding) {
    let Finding { check, fix, verdict, what } = finding;
    log::say(&format!("{:<8} {check:<18} {what}", verdict.word()));
    if let Some(fix) = fix {
        log::say(&format!("{:<27} to fix it: {fix}", ""));
    }
}
