//! What a backend is shown in place of the caller's token: an identity of ours, for a while or for
//! one call; what a token endpoint gives for it; or nothing (RFC 8693 section 2).

use http::{HeaderMap, HeaderValue, Request, header::AUTHORIZATION};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use shared::{ids::WorkspaceId, scope::Scope};

use super::{
    Backend, BackendError,
    credential::{self, CallClaims, Identities, Identity, Kind},
};
use crate::{
    claims::Admitted,
    config::IdentityMode,
    error::Refusal,
    rules::{
        caller::{self, Caller},
        openapi::RestRequest,
        permit::Permit,
    },
    state::App,
};

/// What a call is about, for identities that are made per call.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) permit: &'a Permit,
    /// The request that goes out, where it is not the call's own message.
    pub(super) request: Option<&'a RestRequest>,
}

/// What goes out for a caller: bound to a workspace, or for all that it has; and to a call, where
/// it is one and the backend asks for that.
pub(super) async fn authorize(
    app: &App,
    admitted: &Admitted,
    backend: &Backend,
    workspace: Option<&WorkspaceId>,
    about: Option<About<'_>>,
) -> Result<HeaderValue, BackendError> {
    let identity = identity(app, &admitted.caller, backend, workspace);
    present(app, backend, &admitted.identities, &identity, about).await
}

/// The same for a principal of whose credential nothing is kept any longer.
pub(super) async fn afresh(
    app: &App,
    caller: &Caller,
    backend: &Backend,
) -> Result<HeaderValue, BackendError> {
    let identity = identity(app, caller, backend, None);
    present(app, backend, &Identities::default(), &identity, None).await
}

/// What goes out when the gateway speaks for itself.
pub(super) async fn own(app: &App, backend: &Backend) -> Result<HeaderValue, BackendError> {
    let issuer = app.config.identity_issuer.as_str();
    let identity = Identity {
        audience: audience(backend),
        client_id: issuer,
        expires: app.clock.now().plus(credential::LIFE * 2),
        issuer,
        kind: Kind::Gateway,
        scope: &Scope::default(),
        sub: issuer,
        sub_iss: issuer,
        workspaces: &[],
    };
    present(app, backend, &backend.identities, &identity, None).await
}

/// What the backend is to know beside the message: the client's headers that it gets, and the
/// call's id.
pub(crate) fn describe(app: &App, permit: &mut Permit, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(backend) = app.backends.find(&permit.backend) else { return Ok(()) };
    let config = backend.config();
    for name in &config.forwarded {
        for value in headers.get_all(name) {
            permit.passed.append(name.clone(), value.clone());
        }
    }
    if matches!(config.identity.mode, IdentityMode::PerCall) {
        let id = credential::token_id().map_err(|_| Refusal::Unavailable("no id could be made"))?;
        permit.request_id = Some(id);
    }
    Ok(())
}

fn identity<'a>(
    app: &'a App,
    caller: &'a Caller,
    backend: &'a Backend,
    workspace: Option<&'a WorkspaceId>,
) -> Identity<'a> {
    Identity {
        audience: audience(backend),
        client_id: caller.client.as_str(),
        expires: caller.expires,
        issuer: &app.config.identity_issuer,
        kind: match caller.kind {
            caller::Kind::Client => Kind::Client,
            caller::Kind::Key => Kind::Key,
            caller::Kind::Person => Kind::Person,
        },
        scope: &caller.scope,
        sub: &caller.subject,
        sub_iss: &caller.issuer,
        workspaces: workspace.map_or(&caller.workspaces, std::slice::from_ref),
    }
}

/// Who reads the identity: the backend, or where it is exchanged.
fn audience(backend: &Backend) -> &str {
    match &backend.config().identity.mode {
        IdentityMode::Exchanged(exchange) => &exchange.subject_audience,
        _ => &backend.config().audience,
    }
}

async fn present(
    app: &App,
    backend: &Backend,
    identities: &Identities,
    identity: &Identity<'_>,
    about: Option<About<'_>>,
) -> Result<HeaderValue, BackendError> {
    let now = app.clock.now();
    let made = {
        let signing = &app.identity.load().signing;
        match (&backend.config().identity.mode, about) {
            (IdentityMode::None, _) => return Ok(HeaderValue::from_static("")),
            (IdentityMode::PerCall, Some(about)) => {
                let claims = CallClaims {
                    args_sha256: &about.digest(),
                    request_id: about.permit.request_id.as_deref(),
                    tool: about.permit.name.as_deref(),
                    workspace: about.permit.workspace.as_ref(),
                };
                credential::for_call(identity, claims, signing, now)
            }
            _ => identities.header(identity, signing, now),
        }
    };
    let made = made.map_err(BackendError::Identity)?;
    match &backend.exchange {
        // Boxed, so that calls which need no exchange have no room for one.
        Some(exchange) => Box::pin(exchange.token(identities, identity, &made, now)).await,
        None => Ok(made),
    }
}

impl About<'_> {
    /// SHA-256, in base64url, of the arguments as they stand in the message that is sent, or of
    /// nothing where it has none: a backend can tell that none were added.
    fn digest(&self) -> String {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            params: Option<Params<'a>>,
        }
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(borrow)]
            arguments: Option<&'a RawValue>,
        }
        let mut digest = Sha256::new();
        if let Some(request) = self.request {
            digest.update(format!("{} {}\n", request.method, request.target));
            digest.update(request.body.as_deref().unwrap_or_default());
        } else {
            let message = serde_json::from_slice::<Message<'_>>(&self.permit.body).ok();
            let arguments = message.and_then(|message| message.params?.arguments);
            digest.update(arguments.map_or("", RawValue::get));
        }
        credential::base64url(&digest.finalize())
    }
}

impl Backend {
    /// Puts the identity where the backend looks for it, and the credential that it asks for.
    pub(super) fn dress<B>(&self, request: &mut Request<B>) {
        let headers = request.headers_mut();
        let place = &self.config.identity.header;
        if matches!(self.config.identity.mode, IdentityMode::None) {
            headers.remove(AUTHORIZATION);
        } else if *place != AUTHORIZATION
            && let Some(value) = headers.remove(AUTHORIZATION)
        {
            // Elsewhere a scheme would be read as a part of it.
            let bare = value.as_bytes().strip_prefix(b"Bearer ").unwrap_or(value.as_bytes());
            if let Ok(mut bare) = HeaderValue::from_bytes(bare) {
                bare.set_sensitive(true);
                headers.insert(place.clone(), bare);
            }
        }
        if let Some(credential) = &self.config.credential {
            headers.insert(credential.header.clone(), credential.value());
        }
    }
}
