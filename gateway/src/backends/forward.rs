//! Forwarding: a permitted call, or a message of a session that is relayed.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::TryFutureExt;
use http::{HeaderMap, HeaderValue, Method as HttpMethod, Response};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    backends::{
        Backend, BackendError, Upstream,
        aside::Aside,
        ask::{self, Terms},
        authorization::{About, authorize},
        mcp::{Outgoing, Repeated},
        pool::PooledBody,
        relay::{self, Expected},
        rest,
        session::Lease,
    },
    claims::Admitted,
    config::UpstreamSession,
    human::Clearance,
    limit::Ticket,
    rules::{
        permit::Permit,
        protocol::{Era, Method, Version},
        rpc::Call,
    },
    state::App,
};

/// Forwards a call; the answer is passed on as it comes.
pub(crate) async fn forward(
    app: &App,
    caller: &Arc<Admitted>,
    call: &Call,
    permit: &Permit,
    _ticket: Ticket,
    _clearance: Clearance,
) -> Result<Upstream, BackendError> {
    let backend = app.backends.find(&permit.backend).ok_or(BackendError::Unknown)?;
    // A stream that waits for news ends with its listener.
    let whole = backend.config().connection.whole.filter(|_| call.method != Method::Listen);
    let deadline = whole.map(|whole| Instant::now() + whole);
    if let Some(api) = &backend.config().api {
        let calling = rest::call((app, &**caller), backend, api, (call, permit), deadline);
        return Box::pin(calling).await;
    }
    let about = Some(About { permit, request: None });
    let workspace = permit.workspace.as_ref();
    let authorization = authorize(app, caller, backend, workspace, about).await?;
    let pooled = !permit.relay
        && permit.era == Era::Legacy
        && backend.config().session == UpstreamSession::Pooled;
    // A proof of the call is none of what is said beside it.
    let beside = if pooled {
        authorize(app, caller, backend, workspace, None).await?
    } else {
        authorization.clone()
    };
    let way = Way { app, authorization, backend, beside, call, caller, deadline, permit };
    // Boxed, so that calls without sessions have no room for one.
    let mut upstream =
        if pooled { Box::pin(way.send_pooled()).await? } else { way.send(None).await? };
    upstream.session = upstream.session.filter(|_| permit.relay);
    Ok(upstream)
}

/// A call on its way to its backend.
struct Way<'a> {
    app: &'a App,
    authorization: HeaderValue,
    backend: &'a Arc<Backend>,
    /// What goes out with messages beside the call.
    beside: HeaderValue,
    call: &'a Call,
    caller: &'a Arc<Admitted>,
    /// When the whole answer must have come.
    deadline: Option<Instant>,
    permit: &'a Permit,
}

impl Way<'_> {
    async fn send_pooled(&self) -> Result<Upstream, BackendError> {
        match self.send(Some(self.lend().await?)).await {
            // The backend did not look at the call, so it may be sent again.
            Err(BackendError::SessionGone) => self.send(Some(self.open().await?)).await,
            outcome => outcome,
        }
    }

    async fn send(&self, mut lease: Option<Lease>) -> Result<Upstream, BackendError> {
        let permit = self.permit;
        let pooled = lease.as_ref().and_then(Lease::session);
        let session = match (pooled, &permit.session) {
            (Some(session), _) => session.id.clone(),
            (None, Some(relayed)) => HeaderValue::try_from(relayed).ok(),
            (None, None) => None,
        };
        let repeated = Repeated {
            method: permit.method.name(),
            name: permit.name.as_deref(),
            params: Some(&permit.headers),
        };
        let mut aside = pooled.map(|session| {
            let terms = Terms {
                authorization: self.beside.clone(),
                session: session.id.clone(),
                version: session.version,
            };
            Aside::new(self.backend, &self.call.id, terms)
        });
        let sent = session.as_ref().and_then(|id| id.to_str().ok()).map(str::to_owned);
        let outgoing = Outgoing {
            authorization: &self.authorization,
            body: permit.body.clone(),
            last_event_id: None,
            method: HttpMethod::POST,
            passed: Some(&permit.passed),
            repeated: (permit.era == Era::Modern).then_some(repeated),
            session: session.as_ref(),
            version: pooled.map(|session| session.version).or(permit.version),
        };
        // A session could take the second one for a call of its own.
        let may_repeat = permit.may_repeat && outgoing.session.is_none();
        let response = match self.backend.exchange_again(&outgoing, may_repeat).await {
            Ok(response) => response,
            Err(error) => {
                // Nothing of the call was sent.
                if error.is_unsent() {
                    aside.iter_mut().for_each(Aside::settle);
                    lease.iter_mut().for_each(Lease::settle);
                }
                return Err(error);
            }
        };
        let expected = Expected {
            aside,
            deadline: self.deadline,
            era: permit.era,
            id: Some(Arc::clone(&self.call.id)),
            lease,
            relayed: permit.relay,
            session: sent,
        };
        self.read(response, expected).await
    }

    /// Reads the answer; one that is none, to a call outside of a session, says that the backend
    /// wants sessions, where it gives any.
    fn read(
        &self,
        response: Response<PooledBody>,
        expected: Expected,
    ) -> impl Future<Output = Result<Upstream, BackendError>> {
        let is_outside = expected.session.is_none() && !self.permit.relay;
        let is_refused = response.status().is_client_error();
        let gives_sessions = || {
            let eras = self.backend.catalogue().map(|catalogue| catalogue.eras);
            self.permit.era == Era::Legacy && eras.is_some_and(|eras| eras.sessions)
        };
        let reading = relay::read(self.backend, response, expected);
        reading.map_err(move |error| match error {
            BackendError::Answer(_) if is_outside && is_refused && gives_sessions() => {
                BackendError::SessionWanted
            }
            error => error,
        })
    }

    /// A session that waits for its owner, or a new one.
    async fn lend(&self) -> Result<Lease, BackendError> {
        let lease = self.backend.sessions.lend(&self.caller.caller, self.version());
        if lease.session().is_some() { Ok(lease) } else { self.fill(lease).await }
    }

    /// A new session, whatever waits.
    async fn open(&self) -> Result<Lease, BackendError> {
        let mut lease = self.backend.sessions.lend(&self.caller.caller, self.version());
        lease.forget();
        self.fill(lease).await
    }

    async fn fill(&self, mut lease: Lease) -> Result<Lease, BackendError> {
        // A session outlives the call, so it is not bound to the call's workspace.
        let authorization = authorize(self.app, self.caller, self.backend, None, None).await?;
        let terms = Terms { authorization, session: None, version: self.version() };
        let opened = ask::initialize(self.backend, &terms).await?;
        let opened = opened.ok_or(BackendError::Answer("it opens no session"))?;
        lease.put(opened.session);
        Ok(lease)
    }

    fn version(&self) -> Version {
        self.permit.version.unwrap_or(Version::November2025)
    }
}

/// A message of a relayed session that is no call.
#[derive(Clone, Debug)]
pub(crate) struct Relayed {
    pub(crate) backend: Arc<str>,
    /// Empty for GET and DELETE.
    pub(crate) body: Bytes,
    pub(crate) last_event_id: Option<HeaderValue>,
    pub(crate) method: HttpMethod,
    /// Headers that go with it.
    pub(crate) passed: HeaderMap,
    /// The backend's own session id.
    pub(crate) session: Option<String>,
    pub(crate) version: Option<Version>,
}

/// Relays a notification, a response, or the opening or end of a session's stream.
pub(crate) async fn relay(
    app: &App,
    caller: &Arc<Admitted>,
    relayed: Relayed,
) -> Result<Upstream, BackendError> {
    let backend = app.backends.find(&relayed.backend).ok_or(BackendError::Unknown)?;
    let session = relayed.session.as_deref().unwrap_or_default();
    if let Some(id) = answered(&relayed.body)
        && !backend.asked.take(session, &id)
    {
        return Err(BackendError::NotAsked);
    }
    let authorization = authorize(app, caller, backend, None, None).await?;
    let own_session = relayed.session.as_ref().and_then(|id| HeaderValue::try_from(id).ok());
    let outgoing = Outgoing {
        authorization: &authorization,
        body: relayed.body,
        last_event_id: relayed.last_event_id.as_ref(),
        method: relayed.method,
        passed: Some(&relayed.passed),
        repeated: None,
        session: own_session.as_ref(),
        version: relayed.version,
    };
    let response = backend.exchange(&outgoing).await?;
    let expected = Expected {
        aside: None,
        deadline: None,
        era: Era::Legacy,
        id: None,
        lease: None,
        relayed: true,
        session: relayed.session,
    };
    relay::read(backend, response, expected).await
}

/// The id of the question that a message answers, if it is a response.
fn answered(body: &[u8]) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Head {
        id: Option<Box<RawValue>>,
        method: Option<String>,
    }
    let head: Head = serde_json::from_slice(body).ok()?;
    head.id.filter(|_| head.method.is_none())
}
