//! `vestibule initial-access`: tokens that let others register clients (RFC 7591 section 3).

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{
    EXIT_CODES, Failure, Place, SECONDS_A_DAY,
    connection::{Ask, ask},
    table::{self, field},
};

const EXAMPLES: &str = "\
Examples:
  vestibule initial-access issue --note 'Partner integration' --uses 1 --days 7
  vestibule initial-access list
  vestibule initial-access revoke 3q2-7wAAAAAA

Where the deployment file says registration = \"token\", only who holds such a token registers
clients; where it says \"open\", the token makes a client that may manage its registration. It is
sent as `Authorization: Bearer` to the registration endpoint. Clients it registered stay when it is
revoked.
";

#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub(crate) struct InitialAccessArguments {
    #[command(subcommand)]
    command: InitialAccessCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum InitialAccessCommand {
    /// Issue a token. It is shown once.
    Issue(Issue),
    /// List the tokens that are not over.
    List,
    /// Let a token register nobody any more.
    Revoke {
        /// The token's id, as `initial-access list` shows it.
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
    },
}

#[derive(Args, Debug)]
struct Issue {
    /// Who gets it, and what for.
    #[arg(long)]
    note: String,
    /// How many clients it registers. Without it as many as one likes.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,
    /// For how many days it is good.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
    /// Let it be good until it is revoked or used up.
    #[arg(long, conflicts_with = "days")]
    forever: bool,
}

/// Runs the command.
pub(crate) async fn run(arguments: &InitialAccessArguments) -> Result<(), Failure> {
    const PATH: &str = "initial-access-tokens";
    let place = &arguments.place;
    match &arguments.command {
        InitialAccessCommand::Issue(new) => {
            let life = (!new.forever).then(|| new.days * SECONDS_A_DAY);
            let body = json!({ "life_seconds": life, "note": new.note, "uses": new.uses });
            let asked = Ask { body, ..Ask::of(Method::POST, &[PATH]) };
            table::one(place, &ask(place, asked).await?);
            table::done(place, "The token is not shown again.");
        }
        InitialAccessCommand::List => {
            let answer = ask(place, Ask::of(Method::GET, &[PATH])).await?;
            let tokens = answer.get("tokens").and_then(Value::as_array);
            list(place, tokens.map_or(&[], Vec::as_slice));
        }
        InitialAccessCommand::Revoke { id } => {
            ask(place, Ask::of(Method::DELETE, &[PATH, id])).await?;
            table::done(place, &format!("{id} is revoked"));
        }
    }
    Ok(())
}

fn list(place: &Place, tokens: &[Value]) {
    table::list(
        place,
        tokens,
        [
            ("ID", |token| field(token, "id")),
            ("USES LEFT", |token| match field(token, "uses_left").as_str() {
                "-" => "any".to_owned(),
                left => left.to_owned(),
            }),
            ("CREATED", |token| field(token, "created")),
            ("EXPIRES", |token| field(token, "expires")),
            ("NOTE", |token| field(token, "note")),
        ],
    );
}
