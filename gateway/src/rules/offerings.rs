//! What the gateway itself offers at a resource: a tool that tells who calls, and resources that
//! never change. They stand in the surface as a source of their own, so that every rule holds for
//! them as for a backend's (MCP server, tools and resources).

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::{Map, Value, json, value::RawValue};
use shared::ids::WorkspaceId;

use crate::rules::{
    arguments::ArgumentSchema,
    caller::{Caller, Kind},
    catalogue::{Catalogue, Entry, Eras, Fingerprint, Naming, Tool},
    listing::Hints,
    members::Members,
    own::keep_private,
    policy::{Need, Pattern, Policies, Policy, Rule},
    protocol::{Era, Method, Version},
    rpc::Call,
    violation::RpcViolation,
    visible::Source,
};

/// What the gateway is called among the sources; no backend can have this name.
pub(crate) const OWN: &str = "(gateway)";

/// How long a client may keep a resource that never changes.
const KEEP: Duration = Duration::from_mins(1);

/// What the gateway itself offers at one resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offerings {
    contents: HashMap<String, Contents>,
    source: Option<Source>,
    whoami: Option<String>,
}

/// A resource that never changes while this configuration is in use.
#[derive(Clone, Debug)]
pub(crate) struct StaticResource {
    pub(crate) content: Content,
    pub(crate) description: Option<String>,
    pub(crate) mime_type: String,
    pub(crate) name: String,
    pub(crate) need: Need,
    pub(crate) title: Option<String>,
    pub(crate) uri: String,
}

/// What is read: text, or bytes in base64 (RFC 4648 section 4).
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Blob(String),
    Text(String),
}

#[derive(Clone, Debug)]
struct Contents {
    content: Content,
    mime_type: String,
}

impl Offerings {
    /// The tool, under its name and with what it needs, and the resources.
    pub(crate) fn new(whoami: Option<(String, Need)>, resources: Vec<StaticResource>) -> Self {
        let mut offerings = Self::default();
        let mut policies = Policies::default();
        let mut capabilities = Map::new();
        let mut tools = Vec::new();
        if let Some((name, need)) = whoami {
            policies.tools = Policy(vec![rule(&name, need)]);
            capabilities.insert("tools".to_owned(), json!({}));
            tools.extend(tool(&name));
            offerings.whoami = Some(name);
        }
        let mut entries = Vec::new();
        if !resources.is_empty() {
            capabilities.insert("resources".to_owned(), json!({}));
        }
        for resource in resources {
            policies.resources.0.push(rule(&resource.uri, resource.need.clone()));
            entries.extend(entry(&resource));
            let StaticResource { content, mime_type, uri, .. } = resource;
            offerings.contents.insert(uri, Contents { content, mime_type });
        }
        if tools.is_empty() && entries.is_empty() {
            return offerings;
        }
        let catalogue = Catalogue {
            capabilities: capabilities.into(),
            eras: Eras { legacy: Some(Version::November2025), modern: true, sessions: false },
            fingerprint: Fingerprint::default(),
            instructions: None,
            prompts: Vec::new(),
            resources: entries,
            server_info: None,
            templates: Vec::new(),
            tools,
        };
        offerings.source = Some(Source {
            backend: OWN.into(),
            catalogue: Arc::new(catalogue),
            naming: Arc::new(Naming::default()),
            policies: Arc::new(policies),
        });
        offerings
    }

    /// Its share of what the resource offers, if it has one.
    pub(crate) fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The name of the tool that tells who calls.
    pub(crate) fn whoami(&self) -> Option<&str> {
        self.whoami.as_deref()
    }

    /// The result of a call that is permitted and is for the gateway itself. `left` is what
    /// remains of the credential's life.
    pub(crate) fn answer(
        &self,
        caller: &Caller,
        call: &Call,
        left: Duration,
    ) -> Result<Vec<u8>, RpcViolation> {
        let target = call.target.as_deref().unwrap_or_default();
        let mut result = Members::default();
        match call.method {
            Method::CallTool if self.whoami() == Some(target) => {
                let who = who(caller);
                let text = json!({ "type": "text", "text": who.to_string() });
                result.set("content", [text]);
                result.set("structuredContent", who);
            }
            Method::CallTool => return Err(RpcViolation::UnknownTool),
            Method::ReadResource => {
                let unknown = || RpcViolation::unknown_resource(call.era, target);
                let contents = self.contents.get(target).ok_or_else(unknown)?;
                result.set("contents", [contents.told(target)]);
                if call.era == Era::Modern {
                    result.set("ttlMs", u64::try_from(KEEP.as_millis()).unwrap_or_default());
                    keep_private(&mut result, left);
                }
            }
            other => return Err(RpcViolation::NotServed(call.era, other.name())),
        }
        if call.era == Era::Modern {
            result.set("resultType", "complete");
        }
        Ok(result.to_vec())
    }
}

impl Contents {
    fn told(&self, uri: &str) -> Value {
        let (member, content) = match &self.content {
            Content::Blob(content) => ("blob", content),
            Content::Text(content) => ("text", content),
        };
        json!({ "uri": uri, "mimeType": self.mime_type, member: content })
    }
}

/// What is known of a caller. Scopes are told as they were granted, wildcards unexpanded.
fn who(caller: &Caller) -> Value {
    let kind = match caller.kind {
        Kind::Client => "client",
        Kind::Key => "key",
        Kind::Person => "person",
    };
    let workspaces: Vec<&str> = caller.workspaces.iter().map(WorkspaceId::as_str).collect();
    json!({
        "subject": caller.subject,
        "issuer": caller.issuer,
        "kind": kind,
        "client_id": caller.client.as_str(),
        "scopes": caller.scope.iter().collect::<Vec<_>>(),
        "workspaces": workspaces,
    })
}

fn tool(name: &str) -> Option<Tool> {
    let schema = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    let text = |description: &str| json!({ "type": "string", "description": description });
    let texts = |description: &str| json!({ "type": "array", "items": { "type": "string" }, "description": description });
    let raw = raw(&json!({
        "name": name,
        "title": "Who am I",
        "description": "Tells whose connection this is and what it may do: the person, client or \
                        API key, the granted scopes and the granted workspaces.",
        "inputSchema": schema,
        "outputSchema": {
            "type": "object",
            "properties": {
                "subject": text("The person, or the client that acts on its own account"),
                "issuer": text("Who vouches for the subject"),
                "kind": { "type": "string", "enum": ["client", "key", "person"] },
                "client_id": text("The client, or the API key"),
                "scopes": texts("The granted scopes"),
                "workspaces": texts("The granted workspaces"),
            },
            "required": ["subject", "issuer", "kind", "client_id", "scopes", "workspaces"],
        },
        "annotations": {
            "readOnlyHint": true,
            "destructiveHint": false,
            "idempotentHint": true,
            "openWorldHint": false,
        },
    }))?;
    let schema = ArgumentSchema::compile(&self::raw(&schema)?).ok()?;
    Some(Tool { name: name.to_owned(), raw, read_only: true, schema })
}

fn entry(resource: &StaticResource) -> Option<Entry> {
    let mut listed = Members::default();
    listed.set("uri", &resource.uri);
    listed.set("name", &resource.name);
    if let Some(title) = &resource.title {
        listed.set("title", title);
    }
    if let Some(description) = &resource.description {
        listed.set("description", description);
    }
    listed.set("mimeType", &resource.mime_type);
    let raw = serde_json::value::to_raw_value(&listed).ok()?;
    Some(Entry { name: resource.uri.clone(), raw })
}

fn rule(name: &str, need: Need) -> Rule {
    Rule { hints: Hints::default(), need, patterns: vec![Pattern::literal(name)] }
}

fn raw(value: &Value) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(value).ok()
}

#[cfg(test)]
#[path = "offerings_tests.rs"]
mod tests;
