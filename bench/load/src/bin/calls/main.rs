//! Calls of MCP tools through a gateway or proxy, for bench/gateway: the load, the backend that
//! answers them, access tokens for them, and connections that rest.

mod backend;
mod hold;
mod measure;
mod mint;
#[path = "../../processes.rs"]
mod processes;
mod wire;

use std::error::Error;

use clap::{Parser, Subcommand};
use tokio::task::LocalSet;

/// Calls of MCP tools through a gateway or proxy.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    work: Work,
}

#[derive(Clone, Debug, Subcommand)]
enum Work {
    /// Answers calls, as the server behind a gateway.
    Backend(backend::Options),
    /// Opens connections, makes one call on each, and holds them until the input ends.
    Hold(hold::Options),
    /// Makes calls and prints what they cost, as one line of JSON.
    Measure(measure::Options),
    /// Prints access tokens, one a line.
    Mint(mint::Options),
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        match arguments.work {
            Work::Backend(options) => backend::run(&options).await,
            Work::Hold(options) => hold::run(&options).await,
            Work::Measure(options) => measure::run(&options).await,
            Work::Mint(options) => mint::run(&options).await,
        }
    })
}
