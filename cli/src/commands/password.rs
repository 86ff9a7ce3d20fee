//! Passwords: typed twice without being shown, or read from a file or a pipe; never an argument,
//! because arguments are seen by everybody on the machine.

use std::{
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::Failure;
use crate::{log, secret_file};

/// Where a password comes from.
#[derive(Args, Debug)]
pub(super) struct PasswordSource {
    /// Read the password from this file, which only you may read. Without it the password is
    /// asked for, or read from the pipe.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordSource {
    /// Reads the password.
    pub(super) fn read(&self) -> Result<String, Failure> {
        match &self.password_file {
            Some(path) => from_file(path),
            None if io::stdin().is_terminal() => typed(),
            None => piped(),
        }
        .map_err(Failure::Misuse)
    }
}

fn from_file(path: &Path) -> Result<String, String> {
    secret_file::read(path)
}

fn piped() -> Result<String, String> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|error| format!("stdin: {error}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn typed() -> Result<String, String> {
    let first = hidden("Password: ")?;
    if hidden("Again: ")? != first {
        return Err("the two passwords are not the same".to_owned());
    }
    Ok(first)
}

/// Reads one line while the terminal shows nothing.
fn hidden(prompt: &str) -> Result<String, String> {
    let problem = |error: io::Error| format!("the terminal cannot be used: {error}");
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).map_err(|error| problem(error.into()))?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &quiet).map_err(|error| problem(error.into()))?;
    log::prompt(prompt);
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    let restored = tcsetattr(&stdin, OptionalActions::Flush, &before);
    log::prompt("\n");
    read.map_err(problem)?;
    restored.map_err(|error| problem(error.into()))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
