//! A backend that misbehaves at the level of bytes: it answers as a test says, and everything else
//! as it should.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::task::TaskTracker;

use crate::services::{address, listen};

/// What is written in answer to a call of `list_contacts`; `{id}` in it is the call's id.
#[derive(Clone, Debug)]
pub enum Script {
    /// These bytes; then the connection is closed.
    Says(String),
    /// The first bytes, then the piece again and again for as long as somebody reads.
    Repeats { first: String, piece: String, pause: Duration },
}

/// The server: an MCP server of both eras to requests with a message, otherwise a REST server.
#[derive(Clone, Debug)]
pub struct Hostile {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Hostile {
    /// Closes every call's connection at first.
    pub async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::Says(String::new())));
        let listener = listen(0).await;
        let address = address(&listener);
        let shared = Arc::clone(&script);
        let tasks = TaskTracker::new();
        tasks.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = Arc::clone(&shared);
                tasks.spawn(async move { serve(stream, &script).await });
            }
        });
        Self { address, script }
    }

    /// Answers calls of `list_contacts` like this from now on.
    pub fn answer(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }
}

async fn serve(mut stream: TcpStream, script: &Mutex<Script>) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let (line, body) = request(&mut stream, &mut buffer).await?;
        let message: Value = serde_json::from_str(&body).unwrap_or_default();
        let is_hostile = if message["method"].is_null() {
            line.starts_with("GET ") && line.contains("/contacts")
        } else {
            message["params"]["name"] == "list_contacts"
        };
        if is_hostile {
            let script = script.lock().unwrap().clone();
            return follow(stream, script, &message["id"].to_string()).await;
        }
        stream.write_all(proper(&line, &message).as_bytes()).await.ok()?;
    }
}

/// Reads a request: its first line and its body.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            let length: usize = length.unwrap_or_default();
            if rest.len() >= length {
                let line = head.lines().next().unwrap_or_default().to_owned();
                let body = rest[..length].to_owned();
                buffer.drain(..head.len() + 4 + length);
                return Some((line, body));
            }
        }
        let mut more = [0; 4096];
        let count = stream.read(&mut more).await.ok().filter(|count| *count > 0)?;
        buffer.extend_from_slice(&more[..count]);
    }
}

async fn follow(mut stream: TcpStream, script: Script, id: &str) -> Option<()> {
    match script {
        Script::Says(text) => {
            stream.write_all(text.replace("{id}", id).as_bytes()).await.ok()?;
            stream.shutdown().await.ok()
        }
        Script::Repeats { first, piece, pause } => {
            stream.write_all(first.replace("{id}", id).as_bytes()).await.ok()?;
            loop {
                stream.write_all(piece.as_bytes()).await.ok()?;
                tokio::time::sleep(pause).await;
            }
        }
    }
}

fn proper(line: &str, message: &Value) -> String {
    let schema = json!({ "type": "object", "properties": {
        "name": { "type": "string" }, "workspace_id": { "type": "string" } } });
    let result = match message["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "hostile", "version": "1" },
        }),
        Some("server/discover") => json!({
            "supportedVersions": ["2026-07-28"],
            "resultType": "complete",
            "capabilities": { "tools": {} },
            "ttlMs": 1,
            "cacheScope": "public",
        }),
        Some("tools/list") => json!({
            "tools": [
                { "name": "create_contact", "inputSchema": schema },
                { "name": "list_contacts", "inputSchema": schema },
            ],
            "resultType": "complete",
            "ttlMs": 1,
            "cacheScope": "public",
        }),
        Some("tools/call") => {
            json!({ "content": [{ "type": "text", "text": "done" }], "resultType": "complete" })
        }
        _ if line.starts_with("POST ") && line.contains("/contacts") => json!("done"),
        _ => return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    let body = match &message["method"] {
        Value::Null => result.to_string(),
        _ => json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string(),
    };
    let session = if message["method"] == "initialize" { "mcp-session-id: h-1\r\n" } else { "" };
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{session}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
