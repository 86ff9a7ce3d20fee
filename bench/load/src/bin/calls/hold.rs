//! Connections that made one call each and rest since.

use std::{
    error::Error,
    io::{Read, Write},
};

use clap::Args;

use crate::{measure::Call, wire::Wire};

/// What is called once on each connection.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    call: Call,
}

/// Opens the connections, says so with a line, and holds them until the input ends.
pub(crate) async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let requests = options.call.requests()?;
    let request = requests.first().ok_or("there is no token")?;
    let mut held = Vec::new();
    for _ in 0..options.call.connections {
        let mut wire = Wire::open(&options.call.address).await?;
        wire.write(request).await?;
        let status = wire.read().await?.status();
        if status != 200 {
            return Err(format!("an answer had the status {status}").into());
        }
        held.push(wire);
    }
    writeln!(std::io::stdout(), "held")?;
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
