//! Access tokens of a client's own, so that each call can have another one (RFC 6749 section 4.4).

use std::{cell::Cell, error::Error, io::Write, rc::Rc};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::Value;
use tokio::task::JoinSet;
use url::form_urlencoded;

use crate::wire::Wire;

/// Whose tokens, and for what.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Where to connect to, as `address:port`.
    #[arg(long)]
    address: String,
    /// The `Host` header.
    #[arg(long)]
    host: String,
    #[arg(long, default_value = "/token")]
    path: String,
    /// The client and its secret, as `id:secret`.
    #[arg(long)]
    client: String,
    #[arg(long)]
    resource: String,
    #[arg(long)]
    scope: String,
    #[arg(long, default_value_t = 1)]
    count: u32,
}

const CONNECTIONS: u32 = 8;
/// How many addresses the requests come from: budgets per address are not what is measured.
const ADDRESSES: u32 = 4096;

/// Prints the tokens.
pub(crate) async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let next = Rc::new(Cell::new(0));
    let mut working = JoinSet::new();
    for _ in 0..CONNECTIONS {
        working.spawn_local(work(options.clone(), Rc::clone(&next)));
    }
    let mut out = std::io::BufWriter::new(std::io::stdout());
    while let Some(tokens) = working.join_next().await {
        for token in tokens?? {
            writeln!(out, "{token}")?;
        }
    }
    Ok(out.flush()?)
}

async fn work(options: Options, next: Rc<Cell<u32>>) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut wire = Wire::open(&options.address).await.map_err(|error| error.to_string())?;
    while next.get() < options.count {
        let number = next.replace(next.get() + 1) % ADDRESSES;
        wire.write(&options.request(number)).await.map_err(|error| error.to_string())?;
        let answer = wire.read().await.map_err(|error| error.to_string())?;
        let body: Option<Value> = serde_json::from_slice(answer.body).ok();
        let token = body.as_ref().and_then(|body| body.get("access_token")?.as_str());
        let refusal = || String::from_utf8_lossy(answer.body).into_owned();
        tokens.push(token.ok_or_else(refusal)?.to_owned());
    }
    Ok(tokens)
}

impl Options {
    fn request(&self, number: u32) -> Vec<u8> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("resource", &self.resource)
            .append_pair("scope", &self.scope)
            .finish();
        let proof = STANDARD.encode(&self.client);
        let (high, low) = (number / 256, number % 256);
        let Self { host, path, .. } = self;
        let length = form.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 10.9.{high}.{low}\r\n\
             Authorization: Basic {proof}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\n\r\n{form}"
        )
        .into_bytes()
    }
}
