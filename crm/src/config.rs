//! What the reference CRM is told at start.

use std::path::PathBuf;

use shared::time::Clock;

/// The settings of one CRM.
#[derive(Clone, Debug)]
pub struct Config {
    /// The values of `Host` that are answered; empty means loopback names only.
    pub allowed_hosts: Vec<String>,
    /// The `aud` an identity must carry.
    pub audience: String,
    /// Where the time comes from.
    pub clock: Clock,
    /// The file that holds the records; without one they live in memory.
    pub data_file: Option<PathBuf>,
    /// The `iss` an identity must carry.
    pub issuer: String,
    /// Where the issuer publishes its keys.
    pub jwks_url: String,
    /// The path of the MCP endpoint, such as `/mcp`.
    pub path: String,
    /// The workspaces to seed and to name in answers.
    pub workspaces: Vec<Workspace>,
}

/// A workspace that begins with records of its own.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The identifier that identities carry.
    pub id: String,
    /// The name that people know it by.
    pub name: String,
}
