//! `vestibule`: runs either service or both, and what operators ask.

mod admin_socket;
mod arguments;
mod commands;
mod demo;
mod deployment_file;
mod doctor;
mod environment;
#[cfg(test)]
mod fuzz;
mod gateway_keys;
mod in_process;
mod key_encryption_key;
mod lines;
mod listen;
mod live;
mod log;
mod metrics;
mod one_listener;
mod redis;
mod reference_crm;
mod reload;
mod secret_file;
mod serve;
mod stores;
mod tls;
mod traces;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    arguments::{Arguments, Command},
    commands::Failure,
};

/// Every request makes and drops many small things.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a wrong flag, file, folder or port leads to: one line and this code.
const MISUSE: u8 = 2;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            log::problem(&format!("{first}; --help shows what there is"));
            return ExitCode::from(MISUSE);
        }
        Err(help) => {
            let _unprintable = help.print();
            return ExitCode::SUCCESS;
        }
    };
    let _log = log::start(&arguments);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(Failure::Misuse(format!("cannot start: {error}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::problem(failure.text());
            ExitCode::from(failure.code())
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let done = match arguments.command {
        Command::Audit(audit) => return commands::audit::run(&audit).await,
        Command::Clients(clients) => return commands::clients::run(&clients).await,
        Command::Config(config) => return commands::config::run(&config).await,
        Command::Doctor(doctor) => return commands::doctor::run(&doctor).await,
        Command::Keys(keys) => return commands::keys::run(&keys).await,
        Command::Grants(grants) => return commands::grants::run(&grants).await,
        Command::InitialAccess(tokens) => return commands::initial_access::run(&tokens).await,
        Command::Tokens(tokens) => return commands::tokens::run(&tokens).await,
        Command::Store(store) => return commands::store::run(&store).await,
        Command::Users(users) => return commands::users::run(&users).await,
        Command::Workspaces(workspaces) => return commands::workspaces::run(&workspaces).await,
        Command::AuthServer(options) => {
            Box::pin(serve::run(&options, serve::Services::AUTH_SERVER)).await
        }
        Command::Crm(options) => reference_crm::run(&options).await,
        Command::Demo(options) => Box::pin(demo::run(&options)).await,
        Command::Gateway(options) => Box::pin(serve::run(&options, serve::Services::GATEWAY)).await,
        Command::Serve(options) => Box::pin(serve::run(&options, serve::Services::BOTH)).await,
    };
    done.map_err(Failure::Misuse)
}
