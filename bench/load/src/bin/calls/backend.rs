//! The MCP server behind a gateway, in both eras, whose own work is next to none.

use std::{error::Error, fmt::Write as _, io::Write, rc::Rc};

use clap::Args;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::{Wire, find};

/// What the server offers.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[arg(long)]
    port: u16,
    /// How many tools it lists.
    #[arg(long, default_value_t = 4)]
    tools: usize,
    /// Rows in the answer of the tool that reports.
    #[arg(long, default_value_t = 50)]
    rows: usize,
    /// The workspace of every row.
    #[arg(long, default_value = "ws_bench")]
    workspace: String,
}

/// The results, made once.
#[derive(Debug)]
struct Results {
    call: String,
    discover: String,
    initialize: String,
    report: String,
    tools: String,
}

/// Serves until the process ends.
pub(crate) async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let results = Rc::new(Results::of(options));
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let results = Rc::clone(&results);
        tokio::task::spawn_local(async move {
            // A connection ends with an error when its other end goes.
            let _ended = serve(stream, &results).await;
        });
    }
}

async fn serve(stream: TcpStream, results: &Results) -> std::io::Result<()> {
    let mut wire = Wire::of(stream)?;
    let mut answer = Vec::new();
    loop {
        let message = wire.read().await?;
        results.answer(message.body, &mut answer)?;
        wire.write(&answer).await?;
        answer.clear();
    }
}

impl Results {
    fn of(options: &Options) -> Self {
        let row = |number| {
            json!({
                "amount": { "currency": "EUR", "value": 128_000 + number },
                "id": format!("deal_{number}"),
                "name": "Acme renewal",
                "owner": "jane@acme.example",
                "stage": "negotiation",
                "workspace_id": options.workspace,
            })
        };
        let rows = |count| (0..count).map(row).collect::<Vec<_>>();
        let text = |rows: &[Value]| json!([{ "type": "text", "text": json!(rows).to_string() }]);
        let call = json!({ "content": text(&rows(5)), "isError": false, "resultType": "complete" });
        let report = rows(options.rows);
        let report = json!({
            "content": [{ "type": "text", "text": json!({ "deals": report }).to_string() }],
            "isError": false,
            "resultType": "complete",
            "structuredContent": { "deals": report },
        });
        let capabilities = json!({ "tools": {} });
        let server_info = json!({ "name": "bench", "version": "1" });
        let discover = json!({
            "_meta": { "io.modelcontextprotocol/serverInfo": server_info },
            "cacheScope": "private",
            "capabilities": capabilities,
            "resultType": "complete",
            "supportedVersions": ["2026-07-28", "2025-11-25"],
            "ttlMs": 60_000,
        });
        let initialize = json!({
            "capabilities": capabilities,
            "protocolVersion": "2025-11-25",
            "serverInfo": server_info,
        });
        let named = ["search_deals", "report_deals"].map(str::to_owned);
        let others = (named.len()..options.tools).map(|number| match number % 8 {
            0 => format!("delete_item_{number}"),
            _ => format!("search_item_{number}"),
        });
        let tools: Vec<Value> = named.into_iter().chain(others).map(|name| tool(&name)).collect();
        let tools = json!({
            "cacheScope": "private", "resultType": "complete", "tools": tools, "ttlMs": 60_000,
        });
        Self {
            call: call.to_string(),
            discover: discover.to_string(),
            initialize: initialize.to_string(),
            report: report.to_string(),
            tools: tools.to_string(),
        }
    }

    fn answer(&self, body: &[u8], to: &mut Vec<u8>) -> std::io::Result<()> {
        let has = |text: &[u8]| find(body, text).is_some();
        let result = if has(b"\"tools/call\"") {
            if has(b"\"report_deals\"") { &self.report } else { &self.call }
        } else if has(b"\"tools/list\"") {
            &self.tools
        } else if has(b"\"server/discover\"") {
            &self.discover
        } else if has(b"\"initialize\"") {
            &self.initialize
        } else {
            return to.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
        };
        let id = id(body);
        let length = result.len() + id.len() + "{\"jsonrpc\":\"2.0\",\"id\":,\"result\":}".len();
        write!(
            to,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n\
             {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}"
        )
    }
}

/// A tool with a schema and a description of common length.
fn tool(name: &str) -> Value {
    let mut description = format!("Searches what {name} is about.");
    for field in ["owner", "stage", "amount"] {
        // Writing to a string does not fail.
        let _written = write!(description, " Narrow the search by {field} where you know it.");
    }
    json!({
        "annotations": { "readOnlyHint": !name.starts_with("delete") },
        "description": description,
        "inputSchema": {
            "additionalProperties": false,
            "properties": {
                "limit": { "maximum": 100, "minimum": 1, "type": "integer" },
                "query": { "description": "What to look for", "maxLength": 200, "type": "string" },
                "stage": { "enum": ["open", "negotiation", "won", "lost"], "type": "string" },
                "workspace_id": { "description": "Where to look", "type": "string" },
            },
            "required": ["query", "workspace_id"],
            "type": "object",
        },
        "name": name,
    })
}

/// The `id` as it is written.
fn id(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let after = body.split_once("\"id\":").map(|(_, after)| after.trim_start());
    let Some(after) = after else { return "null".to_owned() };
    let end = match after.strip_prefix('"') {
        Some(text) => text.find('"').map_or(after.len(), |end| end + 2),
        None => after.find([',', '}']).unwrap_or(after.len()),
    };
    after.get(..end).unwrap_or("null").to_owned()
}
