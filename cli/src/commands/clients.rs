//! `vestibule clients`: applications that ask for access.

use clap::{Args, Subcommand};
use http::Method;

use super::{
    EXIT_CODES, Failure, Place,
    connection::{Ask, ask, ask_all},
    table::{self, field},
};

const EXAMPLES: &str = "\
Examples:
  vestibule clients list
  vestibule clients show partner
  vestibule clients list --json | jq -r '.[] | select(.origin == \"open\") | .id'
";

#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub(crate) struct ClientsArguments {
    #[command(subcommand)]
    command: ClientsCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum ClientsCommand {
    /// List every client.
    List,
    /// Show one client.
    Show {
        /// The client's id.
        #[arg(value_name = "CLIENT")]
        client: String,
    },
}

/// Runs the command.
pub(crate) async fn run(arguments: &ClientsArguments) -> Result<(), Failure> {
    let place = &arguments.place;
    match &arguments.command {
        ClientsCommand::List => {
            let clients = ask_all(place, &["clients"], "clients").await?;
            table::list(
                place,
                &clients,
                [
                    ("ID", |client| field(client, "id")),
                    ("NAME", |client| field(client, "name")),
                    ("FROM", |client| field(client, "origin")),
                    ("PROVES ITSELF BY", |client| field(client, "authentication")),
                    ("REGISTERED", |client| field(client, "registered")),
                ],
            );
        }
        ClientsCommand::Show { client } => {
            let shown = ask(place, Ask::of(Method::GET, &["clients", client])).await?;
            table::one(place, &shown);
        }
    }
    Ok(())
}
