//! What a backend offers: read at the start, again after a while, and whenever it says that
//! something changed; the last good one is kept while the backend is away.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use http::HeaderValue;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use sha2::{Digest, Sha256};
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::{
    backends::{
        Backend,
        ask::{self, Terms},
        authorization,
        error::BackendError,
    },
    gateway::Gateway,
    rules::{
        arguments::ArgumentSchema,
        catalogue::{Catalogue, Entry, Eras, Fingerprint, Tool},
        protocol::{Method, Version},
    },
    state::App,
};

/// Keeps a backend's catalogue until the shutdown, or until the backend has retired.
pub(crate) async fn watch(backend: Arc<Backend>, gateway: Gateway) {
    let name = &*backend.config().name;
    if let Some(api) = &backend.config().api {
        let tools = api.catalogue.tools.len();
        tracing::info!(backend = name, tools, "a backend's description was read");
        for skipped in &api.skipped {
            tracing::warn!(backend = name, "{skipped}");
        }
        return keep(&backend).await;
    }
    let mut retry = FIRST_RETRY;
    loop {
        let pause = match refresh(&gateway.current(), &backend).await {
            Ok(read) => {
                if let Some(catalogue) = read {
                    let (tools, eras) = (catalogue.tools.len(), catalogue.eras);
                    tracing::info!(backend = name, tools, ?eras, "a backend's catalogue was read");
                    backend.catalogue.store(Some(Arc::new(catalogue)));
                }
                retry = FIRST_RETRY;
                backend.config().catalogue_life
            }
            Err(error) => {
                tracing::warn!(backend = name, %error, "a backend's catalogue could not be read");
                let pause = retry;
                retry = (retry * 2).min(LAST_RETRY);
                pause
            }
        };
        backend.pool.sweep();
        tokio::select! {
            () = backend.stop.cancelled() => return backend.pool.close(),
            () = sleep(pause) => {}
            // Changes often come several at once.
            () = backend.changed.notified() => sleep(FIRST_RETRY).await,
        }
    }
}

/// What a description says does not change while the gateway runs; connections grow old.
async fn keep(backend: &Backend) {
    let pause = || sleep(backend.config().connection.pool.idle);
    while backend.stop.run_until_cancelled(pause()).await.is_some() {
        backend.pool.sweep();
    }
    backend.pool.close();
}

const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// Less than an identity's life, which is signed once for the whole reading.
const LONGEST: Duration = Duration::from_secs(45);
const MOST_ENTRIES: usize = 10_000;
const MOST_PAGES: usize = 200;

async fn refresh(app: &App, backend: &Arc<Backend>) -> Result<Option<Catalogue>, BackendError> {
    let header = authorization::own(app, backend).await?;
    let known = backend.catalogue();
    let reading = read(backend, header, known.as_ref().map(|known| known.fingerprint));
    timeout(LONGEST, reading).await.map_err(|_| BackendError::Timeout)?
}

/// Reads everything a backend offers, in the newest era it speaks; `None` if it is what was known.
pub(crate) async fn read(
    backend: &Arc<Backend>,
    authorization: HeaderValue,
    known: Option<Fingerprint>,
) -> Result<Option<Catalogue>, BackendError> {
    let modern = Terms { authorization, session: None, version: Version::July2026 };
    let legacy = Terms { version: Version::November2025, ..modern.clone() };
    let reply =
        ask::unless_unknown(ask::ask(backend, &modern, Method::Discover, Map::new()).await)?;
    let discovered = reply.and_then(|reply| reply.result.ok()).and_then(|raw| Offer::parse(&raw));
    let discovered = discovered.filter(Offer::is_modern);
    let opened = ask::initialize(backend, &legacy).await?;
    let legacy = opened.as_ref().map(|opened| Terms {
        session: opened.session.id.clone(),
        version: opened.session.version,
        ..legacy
    });
    let eras = Eras {
        legacy: legacy.as_ref().map(|terms| terms.version),
        modern: discovered.is_some(),
        sessions: legacy.as_ref().is_some_and(|terms| terms.session.is_some()),
    };
    let initialized = opened.and_then(|opened| Offer::parse(&opened.result));
    let (terms, offer) = match (discovered, &legacy, initialized) {
        (Some(offer), _, _) => (&modern, offer),
        (None, Some(terms), Some(offer)) => (terms, offer),
        _ => return Err(BackendError::Answer("it speaks no revision of MCP served here")),
    };
    let lists = offer.lists(backend, terms).await;
    if let Some(terms) = &legacy {
        ask::end(backend, terms).await;
    }
    let lists = lists?;
    let fingerprint = offer.fingerprint(&lists, eras);
    if known == Some(fingerprint) {
        return Ok(None);
    }
    // To read hundreds of schemas takes a while, in which calls go on.
    let name = Arc::clone(&backend.config().name);
    let reading = spawn_blocking(move || offer.catalogue(&name, lists, eras, fingerprint));
    reading.await.map(Some).map_err(|_| BackendError::Answer("its catalogue cannot be read"))
}

/// The result of `server/discover` or `initialize`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Offer {
    #[serde(default)]
    capabilities: Value,
    instructions: Option<String>,
    #[serde(default, rename = "_meta")]
    meta: BTreeMap<String, Box<RawValue>>,
    server_info: Option<Box<RawValue>>,
    #[serde(default)]
    supported_versions: Vec<String>,
}

impl Offer {
    fn parse(raw: &RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    fn is_modern(&self) -> bool {
        self.supported_versions.iter().any(|version| version == Version::July2026.as_str())
    }

    async fn lists(&self, backend: &Arc<Backend>, terms: &Terms) -> Result<Lists, BackendError> {
        let mut lists = Lists::default();
        for (read, (capability, method)) in lists.iter_mut().zip([
            ("tools", Method::ListTools),
            ("prompts", Method::ListPrompts),
            ("resources", Method::ListResources),
            ("resources", Method::ListTemplates),
        ]) {
            if self.capabilities.get(capability).is_some() {
                *read = list(backend, terms, method).await?;
            }
        }
        Ok(lists)
    }

    /// The same for two readings of the same catalogue.
    fn fingerprint(&self, lists: &Lists, eras: Eras) -> Fingerprint {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        };
        add(&format!("{eras:?} {} {:?}", self.capabilities, self.instructions));
        for raw in self.server_info.iter().chain(self.meta.values()) {
            add(raw.get());
        }
        for list in lists {
            add(&list.len().to_string());
            for raw in list {
                add(raw.get());
            }
        }
        hash.finalize().into()
    }

    fn catalogue(
        mut self,
        backend: &str,
        [tools_read, prompts, resources, templates]: Lists,
        eras: Eras,
        fingerprint: Fingerprint,
    ) -> Catalogue {
        Catalogue {
            tools: tools(backend, tools_read),
            prompts: entries(prompts, "name"),
            resources: entries(resources, "uri"),
            templates: entries(templates, "uriTemplate"),
            capabilities: self.capabilities,
            eras,
            fingerprint,
            instructions: self.instructions,
            server_info: self
                .server_info
                .or_else(|| self.meta.remove("io.modelcontextprotocol/serverInfo")),
        }
    }
}

/// Tools, prompts, resources and templates as they came.
type Lists = [Vec<Box<RawValue>>; 4];

/// All pages of a list. A backend that declares a list and does not serve it has an empty one.
async fn list(
    backend: &Arc<Backend>,
    terms: &Terms,
    method: Method,
) -> Result<Vec<Box<RawValue>>, BackendError> {
    let member = method.list_member().unwrap_or_default();
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let mut params = Map::new();
        if let Some(cursor) = &cursor {
            params.insert("cursor".to_owned(), cursor.as_str().into());
        }
        let Ok(result) = ask::ask(backend, terms, method, params).await?.result else {
            return Ok(found);
        };
        let (mut entries, next) =
            page(&result, member).ok_or(BackendError::Answer("its list is not a list"))?;
        tracing::debug!(
            member,
            entries = entries.len(),
            bytes = result.get().len(),
            "a page was read"
        );
        found.append(&mut entries);
        if found.len() > MOST_ENTRIES {
            return Err(BackendError::TooLarge);
        }
        if next.is_none() || next == cursor {
            return Ok(found);
        }
        cursor = next;
    }
    Err(BackendError::TooLarge)
}

fn page(result: &RawValue, member: &str) -> Option<(Vec<Box<RawValue>>, Option<String>)> {
    let page: BTreeMap<String, Box<RawValue>> = serde_json::from_str(result.get()).ok()?;
    let entries = serde_json::from_str(page.get(member)?.get()).ok()?;
    let cursor = page.get("nextCursor").map(|raw| serde_json::from_str(raw.get()));
    Some((entries, cursor.transpose().ok()?.flatten()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolHead {
    #[serde(default)]
    annotations: Option<Annotations>,
    input_schema: Box<RawValue>,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Annotations {
    read_only_hint: Option<bool>,
}

/// Every tool that can be offered; of two with one name, the first.
fn tools(backend: &str, raw: Vec<Box<RawValue>>) -> Vec<Tool> {
    let mut names = HashSet::new();
    let mut tools = Vec::new();
    for raw in raw {
        let head: Result<ToolHead, _> = serde_json::from_str(raw.get());
        let Ok(head) = head else {
            tracing::warn!(backend, "a tool without name or schema is not offered");
            continue;
        };
        let name = head.name;
        let schema = match ArgumentSchema::compile(&head.input_schema) {
            Ok(schema) if is_name(&name) && names.insert(name.clone()) => schema,
            Ok(_) => {
                tracing::warn!(backend, ?name, "a tool's name is unfit or taken: not offered");
                continue;
            }
            Err(error) => {
                tracing::warn!(backend, ?name, %error, "a tool is not offered");
                continue;
            }
        };
        let read_only = head.annotations.and_then(|hints| hints.read_only_hint).unwrap_or(false);
        tools.push(Tool { name, raw, read_only, schema });
    }
    tools
}

/// Entries by the member that names them; of two with one name, the first.
fn entries(raw: Vec<Box<RawValue>>, member: &str) -> Vec<Entry> {
    let mut names = HashSet::new();
    let found = raw.into_iter().filter_map(|raw| {
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(raw.get()).ok()?;
        let name: String = serde_json::from_str(members.get(member)?.get()).ok()?;
        (is_name(&name) && names.insert(name.clone())).then_some(Entry { name, raw })
    });
    found.collect()
}

fn is_name(name: &str) -> bool {
    (1..=2048).contains(&name.len()) && !name.chars().any(char::is_control)
}
