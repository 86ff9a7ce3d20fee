//! `vestibule workspaces`: what people are members of.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{
    EXIT_CODES, Failure, Place,
    connection::{Ask, ask, ask_all},
    table::{self, field},
};

const EXAMPLES: &str = "\
Examples:
  vestibule workspaces add sales --name 'Sales'
  vestibule workspaces member add sales dana@example.com --role owner
  vestibule workspaces plan sales --resource https://mcp.example/mcp
  vestibule workspaces plan sales --all

The plan says which resources a workspace may use. Who leaves a workspace, and a workspace that
loses a resource, is out of every token at once: gateways are told before the command ends.
";

#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub(crate) struct WorkspacesArguments {
    #[command(subcommand)]
    command: WorkspacesCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum WorkspacesCommand {
    /// Add a workspace. It may use every resource unless some are named.
    Add(Add),
    /// List every workspace.
    List,
    /// Make people members, or take them out.
    #[command(subcommand)]
    Member(MemberCommand),
    /// Say which resources a workspace may use.
    Plan(Plan),
    /// Remove a workspace and every membership of it.
    Remove(One),
    /// Show a workspace with its members.
    Show(One),
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// Make a person a member, or give a member another role.
    Add(AddMember),
    /// Take a person out of a workspace.
    Remove(RemoveMember),
}

#[derive(Args, Debug)]
struct Add {
    /// The workspace's id in tokens: 1 to 64 of A-Z a-z 0-9 _ . : -
    #[arg(value_name = "ID")]
    id: String,
    /// The name that pages show.
    #[arg(long)]
    name: String,
    /// A resource that the workspace may use; may be given more than once.
    #[arg(long, value_name = "URL")]
    resource: Vec<String>,
}

#[derive(Args, Debug)]
struct Plan {
    /// The workspace.
    #[arg(value_name = "ID")]
    id: String,
    /// Let it use every resource.
    #[arg(long, conflicts_with_all = ["none", "resource"], required_unless_present_any = ["none", "resource"])]
    all: bool,
    /// Let it use no resource.
    #[arg(long, conflicts_with = "resource")]
    none: bool,
    /// A resource that the workspace may use; may be given more than once.
    #[arg(long, value_name = "URL")]
    resource: Vec<String>,
}

#[derive(Args, Debug)]
struct One {
    /// The workspace.
    #[arg(value_name = "ID")]
    id: String,
}

#[derive(Args, Debug)]
struct AddMember {
    /// The workspace.
    #[arg(value_name = "ID")]
    id: String,
    /// The person, by user name or id.
    #[arg(value_name = "USER")]
    user: String,
    /// The role as pages show it.
    #[arg(long, default_value = "member")]
    role: String,
}

#[derive(Args, Debug)]
struct RemoveMember {
    /// The workspace.
    #[arg(value_name = "ID")]
    id: String,
    /// The person, by user name or id.
    #[arg(value_name = "USER")]
    user: String,
}

/// Runs the command.
pub(crate) async fn run(arguments: &WorkspacesArguments) -> Result<(), Failure> {
    let place = &arguments.place;
    match &arguments.command {
        WorkspacesCommand::Add(Add { id, name, resource }) => {
            let plan = (!resource.is_empty()).then_some(resource);
            let body = json!({ "id": id, "name": name, "resources": plan });
            let made = ask(place, Ask { body, ..Ask::of(Method::POST, &["workspaces"]) }).await?;
            show(place, made);
        }
        WorkspacesCommand::List => {
            let all = ask_all(place, &["workspaces"], "workspaces").await?;
            list(place, &all);
        }
        WorkspacesCommand::Member(MemberCommand::Add(AddMember { id, user, role })) => {
            let path = ["workspaces", id, "members", user];
            let body = json!({ "role": role });
            ask(place, Ask { body, ..Ask::of(Method::PUT, &path) }).await?;
            table::done(place, &format!("{user} is a member of {id} as {role}"));
        }
        WorkspacesCommand::Member(MemberCommand::Remove(RemoveMember { id, user })) => {
            let path = ["workspaces", id, "members", user];
            ask(place, Ask::of(Method::DELETE, &path)).await?;
            table::done(place, &format!("{user} is not a member of {id}"));
        }
        WorkspacesCommand::Plan(Plan { id, all, none: _, resource }) => {
            let plan = (!all).then_some(resource);
            let path = ["workspaces", id, "plan"];
            let body = json!({ "resources": plan });
            let changed = ask(place, Ask { body, ..Ask::of(Method::PUT, &path) }).await?;
            show(place, changed);
        }
        WorkspacesCommand::Remove(One { id }) => {
            ask(place, Ask::of(Method::DELETE, &["workspaces", id])).await?;
            table::done(place, &format!("{id} is removed"));
        }
        WorkspacesCommand::Show(One { id }) => {
            show(place, ask(place, Ask::of(Method::GET, &["workspaces", id])).await?);
        }
    }
    Ok(())
}

fn list(place: &Place, all: &[Value]) {
    table::list(
        place,
        all,
        [
            ("ID", |one| field(one, "id")),
            ("NAME", |one| field(one, "name")),
            ("FROM", |one| field(one, "origin")),
            ("RESOURCES", plan),
        ],
    );
}

/// Shows one workspace. Without a plan everything is allowed, which a person wants to read.
fn show(place: &Place, mut workspace: Value) {
    if !place.json {
        let plan = plan(&workspace).into();
        if let Some(shown) = workspace.get_mut("resources") {
            *shown = plan;
        }
    }
    table::one(place, &workspace);
}

fn plan(workspace: &Value) -> String {
    match workspace.get("resources") {
        None | Some(Value::Null) => "all".to_owned(),
        Some(Value::Array(none)) if none.is_empty() => "none".to_owned(),
        Some(some) => table::text(some),
    }
}
