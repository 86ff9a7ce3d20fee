//! `vestibule audit`: who did what.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::{
    EXIT_CODES, Failure, Place,
    connection::{Ask, ask},
    table::{self, field},
};
use crate::log;

const EXAMPLES: &str = "\
Examples:
  vestibule audit list --since 24h
  vestibule audit list --user dana@example.com --event signed_in
  vestibule audit list --since 2026-01-31T08:00:00Z --until 2026-01-31T09:00:00Z --json

The newest event comes first. docs/operate/audit.md says what each event means.
";

#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub(crate) struct AuditArguments {
    #[command(subcommand)]
    command: AuditCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// List security events.
    List(Wanted),
}

#[derive(Args, Debug)]
struct Wanted {
    /// Go on where the list before ended.
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    /// Events of this client.
    #[arg(long)]
    client: Option<String>,
    /// Events of this name, such as `sign_in_failed`.
    #[arg(long)]
    event: Option<String>,
    /// How many events, 1 to 1000.
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Events from this moment on: 2026-01-31T08:00:00Z, or so long ago: 90m, 24h, 7d.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Events before this moment.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Events of this person, by user name or id.
    #[arg(long)]
    user: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(arguments: &AuditArguments) -> Result<(), Failure> {
    let (place, AuditCommand::List(wanted)) = (&arguments.place, &arguments.command);
    let limit = wanted.limit.to_string();
    let query: Vec<(&str, &str)> = [
        ("after", wanted.after.as_deref()),
        ("client", wanted.client.as_deref()),
        ("event", wanted.event.as_deref()),
        ("limit", Some(limit.as_str())),
        ("since", wanted.since.as_deref()),
        ("until", wanted.until.as_deref()),
        ("user", wanted.user.as_deref()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    let page = ask(place, Ask { query: &query, ..Ask::of(Method::GET, &["audit"]) }).await?;
    if place.json {
        table::one(place, &page);
        return Ok(());
    }
    let events = page.get("events").and_then(Value::as_array);
    table::list(
        place,
        events.map_or(&[], Vec::as_slice),
        [
            ("AT", |event| field(event, "at")),
            ("EVENT", |event| field(event, "event")),
            ("WHAT", details),
        ],
    );
    if let Some(next) = page.get("next").and_then(Value::as_str) {
        log::say(&format!("there may be more: --after {next}"));
    }
    Ok(())
}

/// Everything but time and name.
fn details(event: &Value) -> String {
    let fields = event.as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| !matches!(name.as_str(), "at" | "event"));
    fields.map(|(name, value)| format!("{name}={}", detail(value))).collect::<Vec<_>>().join(" ")
}

/// An actor is shown by name and user id, or by the address it came from.
fn detail(value: &Value) -> String {
    match value.get("kind") {
        None => table::text(value),
        Some(kind) => {
            let name = value.get("name").map_or_else(|| table::text(kind), table::text);
            match value.get("uid").or_else(|| value.get("address")) {
                Some(from) => format!("{name}({})", table::text(from)),
                None => name,
            }
        }
    }
}
