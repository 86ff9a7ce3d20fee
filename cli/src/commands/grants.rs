//! `vestibule grants`: what people granted to clients.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::{
    EXIT_CODES, Failure, Place,
    connection::{Ask, ask},
    table::{self, field},
};

const EXAMPLES: &str = "\
Examples:
  vestibule grants list --user dana@example.com
  vestibule grants revoke --user dana@example.com --client partner
  vestibule grants revoke 3q2-7wAAAAAAAAAAAAAAAA

A revoked grant's tokens are refused at every gateway within a second.
";

#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub(crate) struct GrantsArguments {
    #[command(subcommand)]
    command: GrantsCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum GrantsCommand {
    /// List the grants of a person, of a client, or of a person to a client.
    List(Whose),
    /// Take back one grant, or all grants of a person, of a client, or of both.
    Revoke {
        /// The grant's id, as `grants list` shows it.
        #[arg(value_name = "GRANT", allow_hyphen_values = true, conflicts_with_all = ["client", "user"])]
        grant: Option<String>,
        #[command(flatten)]
        whose: Whose,
    },
}

#[derive(Args, Debug)]
struct Whose {
    /// The client's id.
    #[arg(long)]
    client: Option<String>,
    /// The person, by user name or id.
    #[arg(long)]
    user: Option<String>,
}

impl Whose {
    fn query(&self) -> Vec<(&str, &str)> {
        let client = self.client.iter().map(|client| ("client", client.as_str()));
        client.chain(self.user.iter().map(|user| ("user", user.as_str()))).collect()
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: &GrantsArguments) -> Result<(), Failure> {
    let place = &arguments.place;
    match &arguments.command {
        GrantsCommand::List(whose) => {
            let query = whose.query();
            let asked = Ask { query: &query, ..Ask::of(Method::GET, &["grants"]) };
            let answer = ask(place, asked).await?;
            list(place, answer.get("grants").and_then(Value::as_array).map_or(&[], Vec::as_slice));
        }
        GrantsCommand::Revoke { grant: Some(grant), .. } => {
            ask(place, Ask::of(Method::DELETE, &["grants", grant])).await?;
            table::done(place, &format!("{grant} is revoked"));
        }
        GrantsCommand::Revoke { grant: None, whose } => {
            let query = whose.query();
            let asked = Ask { query: &query, ..Ask::of(Method::DELETE, &["grants"]) };
            table::one(place, &ask(place, asked).await?);
        }
    }
    Ok(())
}

fn list(place: &Place, grants: &[Value]) {
    table::list(
        place,
        grants,
        [
            ("GRANT", |grant| field(grant, "id")),
            ("USER", |grant| field(grant, "user")),
            ("CLIENT", |grant| field(grant, "client")),
            ("WORKSPACES", |grant| field(grant, "workspaces")),
            ("SINCE", |grant| field(grant, "created")),
            ("SCOPE", |grant| field(grant, "scope")),
        ],
    );
}
