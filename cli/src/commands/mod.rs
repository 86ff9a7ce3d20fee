//! What operators ask: one file per noun. Every command acts on a running server through its
//! socket, and on the store itself when none runs.

pub(crate) mod audit;
pub(crate) mod clients;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod grants;
pub(crate) mod initial_access;
pub(crate) mod keys;
pub(crate) mod store;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod workspaces;

mod connection;
mod password;
mod renew;
mod table;

use std::path::PathBuf;

use clap::Args;

/// Shown below the help of every command that asks a server.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 refused, with the reason on stderr; 2 a flag, file or folder is wrong; \
3 the server or its store does not answer, and the same may be asked again.";

/// Spans are told to the server in seconds.
const SECONDS_A_DAY: u64 = 86_400;

/// Where the server is, and how its answer is shown.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// The admin listener of a running server, instead of its data folder's socket.
    #[arg(
        long,
        value_name = "URL",
        env = "VESTIBULE_ADMIN",
        global = true,
        requires = "admin_token_file"
    )]
    pub(crate) admin: Option<String>,
    /// The file with the token of that listener.
    #[arg(long, value_name = "FILE", env = "VESTIBULE_ADMIN_TOKEN_FILE", global = true)]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// The deployment file. Needed only when no server runs on the data folder.
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// The data folder of the server: its socket is there, or the store when no server runs.
    #[arg(
        long,
        value_name = "FOLDER",
        env = "VESTIBULE_DATA_DIR",
        default_value = "./.vestibule",
        global = true
    )]
    pub(crate) data_dir: PathBuf,
    /// Answer in JSON, for scripts.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The name that the audit shows beside your user id.
    #[arg(long, value_name = "NAME", env = "USER", global = true, hide_env_values = true)]
    pub(crate) operator: Option<String>,
}

/// Why the program ends without having done what it was told.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A flag, file or folder is wrong.
    Misuse(String),
    /// The server said no.
    Refused(String),
    /// The server or its store does not answer.
    Unavailable(String),
}

impl Failure {
    /// What a person reads.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Misuse(text) | Self::Refused(text) | Self::Unavailable(text) => text,
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Misuse(_) => crate::MISUSE,
            Self::Refused(_) => 1,
            Self::Unavailable(_) => 3,
        }
    }
}
