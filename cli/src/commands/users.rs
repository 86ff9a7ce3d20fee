//! `vestibule users`: people who sign in.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::{
    EXIT_CODES, Failure, Place,
    connection::{Ask, ask, ask_all},
    password::PasswordSource,
    table::{self, field},
};

const EXAMPLES: &str = "\
Examples:
  vestibule users add dana@example.com --name 'Dana Demo' --member sales=owner
  vestibule users list
  vestibule users disable dana@example.com
  pwgen -s 20 1 | vestibule users passwd dana@example.com --sign-out

A person is named by user name or by id (usr_…). People of the deployment file are shown too;
they are changed in the file, and can be signed out here.
";

#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub(crate) struct UsersArguments {
    #[command(subcommand)]
    command: UsersCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Add a person. The password is asked for.
    Add(Add),
    /// End everything a person began, and let nobody sign in to the account.
    Disable(One),
    /// Let a disabled person sign in again. What was ended stays ended.
    Enable(One),
    /// List everybody.
    List,
    /// Set a person's password. It is asked for.
    Passwd(Passwd),
    /// Remove a person's account for good.
    Remove(One),
    /// Show one person.
    Show(One),
    /// End every session and every grant of a person, at every gateway.
    SignOut(One),
}

#[derive(Args, Debug)]
struct Add {
    /// What the person types to sign in, usually an e-mail address.
    #[arg(value_name = "USERNAME")]
    username: String,
    /// The name that pages show.
    #[arg(long)]
    name: String,
    /// The e-mail address that services are told. Without it the user name, if it is one.
    #[arg(long)]
    email: Option<String>,
    /// Tell services that the address was verified.
    #[arg(long)]
    email_verified: bool,
    /// Make the person a member of a workspace; may be given more than once.
    #[arg(long, value_name = "WORKSPACE=ROLE")]
    member: Vec<String>,
    /// Add the person without a password.
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
    #[command(flatten)]
    password: PasswordSource,
}

#[derive(Args, Debug)]
struct Passwd {
    /// The person, by user name or id.
    #[arg(value_name = "USER")]
    user: String,
    #[command(flatten)]
    password: PasswordSource,
    /// Also end every session and grant.
    #[arg(long)]
    sign_out: bool,
}

#[derive(Args, Debug)]
struct One {
    /// The person, by user name or id.
    #[arg(value_name = "USER")]
    user: String,
}

/// Runs the command.
pub(crate) async fn run(arguments: &UsersArguments) -> Result<(), Failure> {
    let place = &arguments.place;
    match &arguments.command {
        UsersCommand::Add(new) => add(place, new).await,
        UsersCommand::Disable(One { user }) => {
            act(place, Method::POST, user, "disable").await?;
            table::done(place, &format!("{user} is disabled and signed out everywhere"));
            Ok(())
        }
        UsersCommand::Enable(One { user }) => {
            act(place, Method::POST, user, "enable").await?;
            table::done(place, &format!("{user} may sign in again"));
            Ok(())
        }
        UsersCommand::List => list(place).await,
        UsersCommand::Passwd(new) => passwd(place, new).await,
        UsersCommand::Remove(One { user }) => {
            ask(place, Ask::of(Method::DELETE, &["users", user])).await?;
            table::done(place, &format!("{user} is removed"));
            Ok(())
        }
        UsersCommand::Show(One { user }) => {
            let shown = ask(place, Ask::of(Method::GET, &["users", user])).await?;
            table::one(place, &shown);
            Ok(())
        }
        UsersCommand::SignOut(One { user }) => {
            act(place, Method::POST, user, "sign-out").await?;
            table::done(place, &format!("{user} is signed out everywhere"));
            Ok(())
        }
    }
}

async fn act(place: &Place, method: Method, user: &str, what: &str) -> Result<Value, Failure> {
    ask(place, Ask::of(method, &["users", user, what])).await
}

async fn add(place: &Place, new: &Add) -> Result<(), Failure> {
    let mut memberships = Map::new();
    for member in &new.member {
        let (workspace, role) = member.split_once('=').ok_or_else(|| {
            Failure::Misuse(format!("--member {member}: write WORKSPACE=ROLE, as in sales=owner"))
        })?;
        memberships.insert(workspace.to_owned(), role.into());
    }
    let email = new.email.as_ref().or(Some(&new.username)).filter(|text| text.contains('@'));
    let password = if new.no_password { None } else { Some(new.password.read()?) };
    let body = json!({
        "email": email,
        "email_verified": new.email_verified,
        "memberships": memberships,
        "name": new.name,
        "password": password,
        "username": new.username,
    });
    let made = ask(place, Ask { body, ..Ask::of(Method::POST, &["users"]) }).await?;
    table::one(place, &made);
    Ok(())
}

async fn passwd(place: &Place, new: &Passwd) -> Result<(), Failure> {
    let user = new.user.as_str();
    let body = json!({ "password": new.password.read()? });
    ask(place, Ask { body, ..Ask::of(Method::PUT, &["users", user, "password"]) }).await?;
    table::done(place, &format!("{user} has a new password"));
    if new.sign_out {
        act(place, Method::POST, user, "sign-out").await?;
        table::done(place, &format!("{user} is signed out everywhere"));
    }
    Ok(())
}

async fn list(place: &Place) -> Result<(), Failure> {
    let users = ask_all(place, &["users"], "users").await?;
    table::list(
        place,
        &users,
        [
            ("USER", |user| field(user, "username")),
            ("ID", |user| field(user, "id")),
            ("NAME", |user| field(user, "name")),
            ("ACTIVE", |user| field(user, "active")),
            ("FROM", |user| field(user, "origin")),
            ("WORKSPACES", |user| field(user, "memberships")),
        ],
    );
    Ok(())
}
