//! `vestibule tokens`: the API keys of people.

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::{
    EXIT_CODES, Failure, Place, SECONDS_A_DAY,
    connection::{Ask, ask},
    table::{self, field},
};

const EXAMPLES: &str = "\
Examples:
  vestibule tokens list dana@example.com
  vestibule tokens create dana@example.com --name 'Nightly report' --workspace sales
  vestibule tokens create dana@example.com --name Import --access read-write --workspace sales --days 30
  vestibule tokens create dana@example.com --name Export --scope crm:read --workspace sales --json | jq -r .key
  vestibule tokens rotate dana@example.com key_3q2-7wAAAAAAAAAAAAAAAA --overlap
  vestibule tokens revoke dana@example.com key_3q2-7wAAAAAAAAAAAAAAAA

An API key acts for one person at one resource, in the workspaces it names. It is shown once, and
only its SHA-256 is kept. What it may do is fixed when it is made: it reads only unless more is
asked for, and never does more than the person still may. A revoked key is refused by the very next
request, and streams that are open under it end.
";

#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub(crate) struct TokensArguments {
    #[command(subcommand)]
    command: TokensCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// Make an API key for a person. The key is shown once.
    Create(Create),
    /// List a person's API keys that are in force.
    List {
        /// The person, by user name or id.
        #[arg(value_name = "USER")]
        user: String,
    },
    /// Give an API key a new secret, shown once. The one it had ends at once.
    Rotate {
        /// The person, by user name or id.
        #[arg(value_name = "USER")]
        user: String,
        /// The key's id, as `tokens list` shows it.
        #[arg(value_name = "KEY")]
        key: String,
        /// Let the secret it had go on for 24 hours.
        #[arg(long)]
        overlap: bool,
    },
    /// Take an API key back, at once and everywhere.
    Revoke {
        /// The person, by user name or id.
        #[arg(value_name = "USER")]
        user: String,
        /// The key's id, as `tokens list` shows it.
        #[arg(value_name = "KEY")]
        key: String,
    },
}

#[derive(Args, Debug)]
struct Create {
    /// The person, by user name or id.
    #[arg(value_name = "USER")]
    user: String,
    /// What the key is for.
    #[arg(long)]
    name: String,
    /// The resource it opens. Without it the only one that takes API keys.
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// What it may do: only read, or everything but delete.
    #[arg(long, value_enum, default_value_t = Access::Read, conflicts_with = "scope")]
    access: Access,
    /// A scope it may use, instead of --access; may be given more than once.
    #[arg(long)]
    scope: Vec<String>,
    /// A workspace it works in; may be given more than once.
    #[arg(long)]
    workspace: Vec<String>,
    /// For how many days it is good.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
    /// Let it be good until it is revoked.
    #[arg(long, conflicts_with = "days")]
    forever: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Access {
    Read,
    ReadWrite,
}

impl Create {
    fn body(&self) -> Value {
        let access = match self.access {
            _ if !self.scope.is_empty() => "chosen",
            Access::Read => "read",
            Access::ReadWrite => "read_write",
        };
        json!({
            "access": access,
            "life_seconds": (!self.forever).then(|| self.days * SECONDS_A_DAY),
            "name": self.name,
            "resource": self.resource,
            "scopes": self.scope,
            "workspaces": self.workspace,
        })
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: &TokensArguments) -> Result<(), Failure> {
    let place = &arguments.place;
    match &arguments.command {
        TokensCommand::Create(new) => {
            let path = ["users", new.user.as_str(), "api-keys"];
            let asked = Ask { body: new.body(), ..Ask::of(Method::POST, &path) };
            table::one(place, &ask(place, asked).await?);
            table::done(place, "The key is not shown again.");
        }
        TokensCommand::List { user } => {
            let answer = ask(place, Ask::of(Method::GET, &["users", user, "api-keys"])).await?;
            list(place, answer.get("keys").and_then(Value::as_array).map_or(&[], Vec::as_slice));
        }
        TokensCommand::Rotate { user, key, overlap } => {
            let path = ["users", user.as_str(), "api-keys", key.as_str(), "rotate"];
            let body = json!({ "overlap": overlap });
            let asked = Ask { body, ..Ask::of(Method::POST, &path) };
            table::one(place, &ask(place, asked).await?);
            table::done(place, "The key is not shown again.");
        }
        TokensCommand::Revoke { user, key } => {
            ask(place, Ask::of(Method::DELETE, &["users", user, "api-keys", key])).await?;
            table::done(place, &format!("{key} is revoked"));
        }
    }
    Ok(())
}

fn list(place: &Place, keys: &[Value]) {
    table::list(
        place,
        keys,
        [
            ("KEY", |key| field(key, "id")),
            ("BEGINS", |key| field(key, "hint")),
            ("NAME", |key| field(key, "name")),
            ("WORKSPACES", |key| field(key, "workspaces")),
            ("LAST USED", |key| field(key, "last_used")),
            ("EXPIRES", |key| field(key, "expires")),
            ("SCOPE", |key| field(key, "scope")),
        ],
    );
}
