//! The only code that dials out for strangers' URLs: clients' documents and keys, guarded,
//! budgeted, cached and revalidated (RFC 9111 section 4).

mod fetch;
mod restraint;

pub(crate) use self::fetch::are_certificates;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use keys::{Algorithm, ClientKeySet};
use shared::{
    ids::{ClientId, UserId},
    time::{Clock, Timestamp},
};

use self::{
    fetch::{Answer, Fetcher},
    restraint::{Outcome, Restraint},
};
use crate::{
    config::OutboundConfig,
    rules::{
        client::{About, Client, Life, Origin},
        client_document::{self, ClientDocument, document_url},
        outbound_url::{OutboundPolicy, OutboundUrl},
        violation::UntrustedRedirect,
    },
    store::{Source, Store, StoreError},
};

const MOST_DOCUMENT: usize = 5 * 1024;
const MOST_KEYS: usize = 64 * 1024;
/// How soon after a fetch that failed the same document is fetched again.
const DOCUMENT_PAUSE: Duration = Duration::from_mins(1);
/// How soon after any fetch the same keys are fetched again.
const KEYS_PAUSE: Duration = Duration::from_secs(30);
/// How many sources wait to be refreshed in the background, and how many are at a time.
const MOST_DUE: usize = 1000;
const AT_ONCE: usize = 8;

/// Dials out, and remembers what it found.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// What ID tokens can be signed with.
    algorithms: Vec<Algorithm>,
    clock: Clock,
    due: Mutex<BTreeSet<Due>>,
    enabled: bool,
    fetcher: Fetcher,
    /// A fetch that fails takes as long as the longest, so that time tells nothing about a
    /// network that strangers cannot see.
    floor: Duration,
    policy: OutboundPolicy,
    restraint: Restraint,
    store: Arc<dyn Store>,
}

/// A source in use that should be asked again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Document(ClientId),
    Keys(String),
}

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("{0}")]
    Refused(UntrustedRedirect),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is asked of a source.
struct Demand<'a> {
    /// Whether a body can be used.
    check: &'a (dyn Fn(&[u8]) -> Result<(), UntrustedRedirect> + Sync),
    most: usize,
    pause: Duration,
    /// Who is charged.
    person: Option<&'a UserId>,
    /// Ask even if what is held is fresh, because it does not do.
    unless_fresh: bool,
}

impl Outbound {
    pub(crate) fn new(
        config: &OutboundConfig,
        algorithms: &[Algorithm],
        clock: Clock,
        store: Arc<dyn Store>,
    ) -> Self {
        Self {
            algorithms: algorithms.to_vec(),
            clock,
            due: Mutex::default(),
            enabled: config.enabled,
            fetcher: Fetcher::new(config),
            floor: config.timeout,
            policy: config.policy.clone(),
            restraint: Restraint::new(),
            store,
        }
    }

    /// The client of a document that was read before and still counts, and whether it is fresh.
    pub(crate) async fn held(&self, id: &ClientId) -> Result<Option<(Client, bool)>, StoreError> {
        let now = self.clock.now();
        // A host that was blocked since has no clients any more.
        if document_url(id, &self.policy).is_err() {
            return Ok(None);
        }
        let source = self.store.source(id.as_str()).await?;
        let Some(source) = source.filter(|source| source.is_usable(now)) else { return Ok(None) };
        let client =
            self.store.client(id).await?.filter(|client| client.origin == Origin::Document);
        Ok(client.map(|client| (client, source.is_fresh(now))))
    }

    /// The client of a document, read anew unless what is held is fresh. The person is charged.
    pub(crate) async fn document(
        &self,
        url: &OutboundUrl,
        person: Option<&UserId>,
    ) -> Result<Client, SourceError> {
        let read = |body: &[u8]| client_document::check(url, body, &self.policy, &self.algorithms);
        let demand = Demand {
            check: &|body| read(body).map(|_| ()),
            most: MOST_DOCUMENT,
            pause: DOCUMENT_PAUSE,
            person,
            unless_fresh: true,
        };
        let source = self.renew(url, &demand).await?;
        let document = read(source.body.as_bytes()).map_err(SourceError::Refused)?;
        Ok(self.put_document(url, document).await?)
    }

    /// The keys at a `jwks_uri` as they were last read, if they still count.
    pub(crate) async fn held_keys(&self, uri: &str) -> Result<Option<Source>, StoreError> {
        let now = self.clock.now();
        Ok(self.store.source(uri).await?.filter(|source| source.is_usable(now)))
    }

    /// The keys at a `jwks_uri`, read anew unless they just were.
    pub(crate) async fn keys(&self, uri: &str) -> Result<Source, SourceError> {
        let url = OutboundUrl::parse(uri, &self.policy)
            .map_err(|fault| invalid(&fault.to_string()))
            .map_err(SourceError::Refused)?;
        let demand = Demand {
            check: &|body| {
                let text = std::str::from_utf8(body).map_err(|_| invalid("it is not UTF-8"))?;
                ClientKeySet::parse(text).map(|_| ()).map_err(|error| invalid(&error.to_string()))
            },
            most: MOST_KEYS,
            pause: KEYS_PAUSE,
            person: None,
            unless_fresh: false,
        };
        self.renew(&url, &demand).await
    }

    /// Has a source in use asked again soon.
    pub(crate) fn note_due(&self, source: Due) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() < MOST_DUE {
            due.insert(source);
        }
    }

    /// Asks the sources in use whose freshness has ended. Call it every minute.
    pub(crate) async fn refresh_due(&self) {
        self.restraint.sweep(self.clock.now());
        let due = std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner));
        let refresh = |source: Due| async move {
            let result = match &source {
                Due::Document(id) => match document_url(id, &self.policy) {
                    Ok(url) => self.document(&url, None).await.map(|_| ()),
                    Err(fault) => Err(SourceError::Refused(fault)),
                },
                Due::Keys(uri) => self.keys(uri).await.map(|_| ()),
            };
            if let Err(error) = result {
                tracing::info!(?source, %error, "a client's source cannot be refreshed");
            }
        };
        stream::iter(due).for_each_concurrent(AT_ONCE, refresh).await;
    }

    /// What a source says now, or said last if that still counts.
    async fn renew(&self, url: &OutboundUrl, demand: &Demand<'_>) -> Result<Source, SourceError> {
        let _alone = self.restraint.alone(url.as_str()).await;
        let now = self.clock.now();
        let held = self.store.source(url.as_str()).await?;
        let usable = held.clone().filter(|source| source.is_usable(now));
        if let Some(source) = usable.clone()
            && demand.unless_fresh
            && source.is_fresh(now)
        {
            return Ok(source);
        }
        if let Some(last) = self.restraint.last(url.as_str(), now) {
            let fault = last.fault.unwrap_or(UntrustedRedirect::DocumentUnread);
            return usable.ok_or(SourceError::Refused(fault));
        }
        if !self.enabled || self.restraint.charge(demand.person, url.host()).is_err() {
            tracing::info!(url = url.as_str(), "not fetched: switched off, or over budget");
            return usable.ok_or(SourceError::Refused(UntrustedRedirect::DocumentUnread));
        }
        let began = tokio::time::Instant::now();
        let etag = usable.as_ref().and_then(|source| source.etag.as_deref());
        let answer = self.fetcher.get(url, demand.most, etag).await;
        let (source, fault) = conclude(answer, held, demand, now);
        if let Some(source) = &source {
            self.store.put_source(url.as_str(), source).await?;
        }
        let until = now.plus(demand.pause);
        if let Some(fault) = &fault {
            tracing::info!(url = url.as_str(), %fault, "a client's source cannot be used");
            tokio::time::sleep_until(began + self.floor).await;
        }
        self.restraint.remember(url.as_str(), Outcome { fault: fault.clone(), until }, now);
        let fault = fault.unwrap_or(UntrustedRedirect::DocumentUnread);
        source.filter(|source| source.is_usable(now)).ok_or(SourceError::Refused(fault))
    }

    /// Keeps a document's client; what an operator said about it stays.
    async fn put_document(
        &self,
        url: &OutboundUrl,
        document: ClientDocument,
    ) -> Result<Client, StoreError> {
        let id = ClientId::parse(url.as_str())
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let now = self.clock.now();
        let about =
            About { id_token_signed_response_alg: document.id_token_algorithm, ..About::default() };
        let client = Client {
            about,
            auth: document.auth,
            cutoff: None,
            id,
            life: Life { touched: now, used: true },
            management: None,
            name: document.name,
            origin: Origin::Document,
            redirects: document.redirects,
            refreshes: document.refreshes,
            registered: now,
            service: None,
        };
        // Created or changed by somebody else at the same moment: then it is there to be changed.
        if self.store.client(&client.id).await?.is_none()
            && self.store.create_client(&client).await?
        {
            return Ok(client);
        }
        let said = |held: &Client| Client {
            about: About {
                id_token_signed_response_alg: client.about.id_token_signed_response_alg.clone(),
                ..held.about.clone()
            },
            auth: client.auth.clone(),
            name: client.name.clone(),
            origin: Origin::Document,
            redirects: client.redirects.clone(),
            refreshes: client.refreshes,
            ..held.clone()
        };
        match self.store.client(&client.id).await? {
            // Durable writes are few: nothing is written when nothing changed.
            Some(held) if said(&held) == held => Ok(held),
            _ => Ok(self.store.change_client(&client.id, said).await?.unwrap_or(client)),
        }
    }
}

/// What is known of a source after an answer, and what was wrong with the answer.
fn conclude(
    answer: Answer,
    held: Option<Source>,
    demand: &Demand<'_>,
    now: Timestamp,
) -> (Option<Source>, Option<UntrustedRedirect>) {
    let failed =
        |held: Option<Source>, fault| (held.map(|one| one.having_failed(now)), Some(fault));
    match answer {
        Answer::Body { bytes, etag, fresh_for } => match (demand.check)(&bytes) {
            Ok(()) => {
                let source = Source {
                    body: String::from_utf8_lossy(&bytes).into_owned(),
                    confirmed: now,
                    etag,
                    fresh_until: now.plus(fresh_for),
                    invalid_since: None,
                    removed: false,
                };
                (Some(source), None)
            }
            Err(fault) => failed(held, fault),
        },
        Answer::Invalid(why) => {
            tracing::info!(why, "a client's source answers with something else");
            failed(held, UntrustedRedirect::DocumentUnread)
        }
        Answer::NotModified { fresh_for } => {
            let source = held.map(|held| Source {
                confirmed: now,
                fresh_until: now.plus(fresh_for),
                invalid_since: None,
                ..held
            });
            (source, None)
        }
        Answer::Unreachable(why) => {
            tracing::info!(why, "a client's source cannot be reached");
            (held, Some(UntrustedRedirect::DocumentUnread))
        }
    }
}

fn invalid(what: &str) -> UntrustedRedirect {
    UntrustedRedirect::DocumentInvalid(what.to_owned())
}
