//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    audit::AuditArguments, clients::ClientsArguments, config::ConfigArguments,
    doctor::DoctorArguments, grants::GrantsArguments, initial_access::InitialAccessArguments,
    keys::KeysArguments, store::StoreArguments, tokens::TokensArguments, users::UsersArguments,
    workspaces::WorkspacesArguments,
};

/// An OAuth 2.1 authorization server and MCP resource gateway.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, about, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at security events.
    Audit(AuditArguments),
    /// Run the authorization server alone.
    AuthServer(ServeOptions),
    /// Add clients, approve service accounts, give new secrets.
    Clients(ClientsArguments),
    /// Check the deployment file.
    Config(ConfigArguments),
    /// Run the reference CRM alone, as a backend of a deployment file.
    Crm(CrmOptions),
    /// Run both services and a reference CRM on this machine, ready to connect to.
    Demo(DemoOptions),
    /// Walk a deployment as a client does and say what to fix.
    Doctor(DoctorArguments),
    /// Run the gateway alone.
    Gateway(ServeOptions),
    /// See what people granted to clients, and take it back.
    Grants(GrantsArguments),
    /// Let others register clients.
    InitialAccess(InitialAccessArguments),
    /// See the keys, change them before their time, and rehearse it.
    Keys(KeysArguments),
    /// Run both services in one process.
    Serve(ServeOptions),
    /// Back up auth-server's store, put a back-up back, or move it to another engine.
    Store(StoreArguments),
    /// Make API keys for people, and take them back.
    Tokens(TokensArguments),
    /// Add people, disable them, sign them out.
    Users(UsersArguments),
    /// Add workspaces, their members and their plans.
    Workspaces(WorkspacesArguments),
}

#[derive(Args, Debug)]
pub(crate) struct ServeOptions {
    /// The deployment file.
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG")]
    pub(crate) config: PathBuf,
    /// Where keys and the embedded store are kept.
    #[arg(long, value_name = "FOLDER", env = "VESTIBULE_DATA_DIR", default_value = "./.vestibule")]
    pub(crate) data_dir: PathBuf,
    /// Write the log as JSON lines.
    #[arg(long)]
    pub(crate) json_log: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CrmOptions {
    /// The name of the backend that the CRM is.
    #[arg(long, value_name = "NAME", default_value = "crm")]
    pub(crate) backend: String,
    /// The deployment file.
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG")]
    pub(crate) config: PathBuf,
    /// Where the records are kept.
    #[arg(long, value_name = "FOLDER", env = "VESTIBULE_DATA_DIR", default_value = "./.vestibule")]
    pub(crate) data_dir: PathBuf,
    /// Where the gateway publishes the keys of its identities.
    #[arg(long, value_name = "URL", env = "VESTIBULE_GATEWAY_KEYS")]
    pub(crate) gateway_keys: String,
    /// Write the log as JSON lines.
    #[arg(long)]
    pub(crate) json_log: bool,
    /// Where the CRM listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7420")]
    pub(crate) listen: SocketAddr,
}

#[derive(Args, Debug)]
pub(crate) struct DemoOptions {
    /// Where the auth-server listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7410")]
    pub(crate) auth_listen: SocketAddr,
    /// A deployment file to use instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything the demo keeps is kept.
    #[arg(long, value_name = "FOLDER", default_value = "./.vestibule")]
    pub(crate) data_dir: PathBuf,
    /// Where the gateway listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7400")]
    pub(crate) gateway_listen: SocketAddr,
    /// The people's password; without it one is made and kept in DATA/demo-password.
    #[arg(long, env = "VESTIBULE_DEMO_PASSWORD", hide_env_values = true, hide = true)]
    pub(crate) password: Option<String>,
}
