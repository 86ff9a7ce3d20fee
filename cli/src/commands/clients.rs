//! `vestibule clients`: applications that ask for access.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{
    EXIT_CODES, Failure, Place,
    connection::{Ask, ask, ask_all},
    table::{self, field},
};

const SECONDS_AN_HOUR: u64 = 3600;

const EXAMPLES: &str = "\
Examples:
  vestibule clients list
  vestibule clients show partner
  vestibule clients list --json | jq -r '.[] | select(.origin == \"open\") | .id'
  vestibule clients add --id partner2 --name Partner --redirect-uri https://partner.example/callback
  vestibule clients add --name 'Nightly export' --scope crm:read --workspace sales
  vestibule clients approve CLIENT --scope crm:read --workspace sales
  vestibule clients rotate-secret partner2 --overlap-hours 24
  vestibule clients remove partner2

A client with --scope has a service account: it gets tokens of its own (client_credentials) for one
resource, with those scopes and in those workspaces, and nobody signs in. With --introspects it may
ask about the tokens of a resource. Clients of the deployment file are changed there.
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
    /// Add a client. Its secret is shown once.
    Add(Add),
    /// Say what a client may do on its own account, instead of what it was allowed before.
    Approve(Approve),
    /// List every client.
    List,
    /// Remove a client and end its grants, at every gateway.
    Remove {
        /// The client's id.
        #[arg(value_name = "CLIENT")]
        client: String,
    },
    /// Give a client a new secret, shown once. Those it has go on for a while.
    RotateSecret {
        /// The client's id.
        #[arg(value_name = "CLIENT")]
        client: String,
        /// For how many hours the old secrets go on; 0 ends them at once.
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(0..=8760))]
        overlap_hours: u64,
    },
    /// Show one client.
    Show {
        /// The client's id.
        #[arg(value_name = "CLIENT")]
        client: String,
    },
}

#[derive(Args, Debug)]
struct Add {
    /// The client's id. Without it one is drawn.
    #[arg(long)]
    id: Option<String>,
    /// The name that pages show.
    #[arg(long)]
    name: String,
    /// Where people are sent back to; may be given more than once.
    #[arg(long, value_name = "URL")]
    redirect_uri: Vec<String>,
    /// Give it no secret: it runs where none can be kept.
    #[arg(long)]
    public: bool,
    /// Give it no refresh tokens.
    #[arg(long)]
    no_refresh: bool,
    #[command(flatten)]
    service: Service,
}

#[derive(Args, Debug)]
struct Approve {
    /// The client's id.
    #[arg(value_name = "CLIENT")]
    client: String,
    #[command(flatten)]
    service: Service,
}

/// What a client may do on its own account.
#[derive(Args, Debug)]
struct Service {
    /// A scope of its own tokens; may be given more than once.
    #[arg(long)]
    scope: Vec<String>,
    /// A workspace of its own tokens; may be given more than once.
    #[arg(long)]
    workspace: Vec<String>,
    /// The resource of its own tokens. Without it the default one.
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// A resource whose tokens it may ask about; may be given more than once.
    #[arg(long, value_name = "URL")]
    introspects: Vec<String>,
}

impl Service {
    fn is_given(&self) -> bool {
        let lists = [&self.scope, &self.workspace, &self.introspects];
        self.resource.is_some() || lists.iter().any(|list| !list.is_empty())
    }

    fn body(&self) -> Value {
        json!({
            "introspects": self.introspects,
            "resource": self.resource,
            "scopes": self.scope,
            "workspaces": self.workspace,
        })
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: &ClientsArguments) -> Result<(), Failure> {
    let place = &arguments.place;
    match &arguments.command {
        ClientsCommand::Add(new) => {
            let body = json!({
                "id": new.id,
                "name": new.name,
                "public": new.public,
                "redirect_uris": new.redirect_uri,
                "refreshes": !new.no_refresh && !new.redirect_uri.is_empty(),
                "service": new.service.is_given().then(|| new.service.body()),
            });
            let made = ask(place, Ask { body, ..Ask::of(Method::POST, &["clients"]) }).await?;
            with_secret(place, &made);
        }
        ClientsCommand::Approve(Approve { client, service }) => {
            let path = ["clients", client.as_str(), "service"];
            let asked = Ask { body: service.body(), ..Ask::of(Method::PUT, &path) };
            table::one(place, &ask(place, asked).await?);
        }
        ClientsCommand::Remove { client } => {
            ask(place, Ask::of(Method::DELETE, &["clients", client])).await?;
            table::done(place, &format!("{client} is removed, and its grants are over"));
        }
        ClientsCommand::RotateSecret { client, overlap_hours } => {
            let body = json!({ "overlap_seconds": overlap_hours * SECONDS_AN_HOUR });
            let path = ["clients", client.as_str(), "secret"];
            let rotated = ask(place, Ask { body, ..Ask::of(Method::POST, &path) }).await?;
            with_secret(place, &rotated);
        }
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

fn with_secret(place: &Place, client: &Value) {
    table::one(place, client);
    if client.get("client_secret").is_some() {
        table::done(place, "The secret is not shown again.");
    }
}
