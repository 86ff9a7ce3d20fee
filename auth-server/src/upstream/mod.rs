//! Providers that people may sign in with instead of a password (OpenID Connect Core section 3.1):
//! the relying party, with PKCE, state and nonce. What a provider's token may do elsewhere is
//! never used: it says who somebody is, and nothing more.

mod http;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use openidconnect::{
    AdditionalClaims, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl,
    Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    StandardErrorResponse, StandardTokenResponse, TokenResponse, UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
        CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
        CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::{
    problem::chain,
    secret::Secret,
    time::{Clock, Timestamp},
};

use self::http::Http;
pub use self::http::HttpError;
use crate::rules::upstream::{Identity, WorkspaceClaim, identity};

/// What the deployment file says about a provider.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamConfig {
    /// PEM of a certificate authority to trust besides the public ones.
    pub(crate) authority: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<Secret>,
    /// Whether somebody nobody knows gets an account.
    pub(crate) creates_accounts: bool,
    /// In paths: letters, digits, `-` and `_`.
    pub(crate) id: String,
    pub(crate) issuer: String,
    /// On the button.
    pub(crate) name: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) workspaces: Vec<WorkspaceClaim>,
}

/// The configured providers.
#[derive(Debug)]
pub(crate) struct Upstreams(Vec<Upstream>);

/// One provider.
#[derive(Debug)]
pub(crate) struct Upstream {
    clock: Clock,
    pub(crate) config: UpstreamConfig,
    http: Http,
    metadata: Mutex<Option<(Timestamp, Arc<CoreProviderMetadata>)>>,
    redirect: RedirectUrl,
}

/// What stays here while somebody signs in there.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    pub(crate) nonce: String,
    pub(crate) state: String,
    /// Where the browser goes.
    pub(crate) url: String,
    pub(crate) verifier: String,
}

/// Why a provider signed nobody in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Its answer proves nothing.
    #[error("the answer of the provider is not to be trusted: {0}")]
    Untrusted(String),
    #[error("the provider does not answer as it should: {0}")]
    Unavailable(String),
}

/// Every claim of a token, whatever the provider calls it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims(Map<String, Value>);

impl AdditionalClaims for Claims {}

type Tokens = StandardTokenResponse<
    IdTokenFields<
        Claims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

/// How long a provider's document and keys are kept before they are fetched again.
const FRESH: Duration = Duration::from_mins(10);
/// The shortest time between two fetches because of a token that no known key verifies.
const SHORTEST: Duration = Duration::from_secs(30);

/// Signatures that a public key verifies; never one that a shared secret makes.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
];

/// The relying party for one exchange, with the provider's addresses.
type Party = openidconnect::Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

impl Upstreams {
    /// The providers, which send people back to `{login}/{id}/callback`.
    pub(crate) fn open(
        configs: Vec<UpstreamConfig>,
        login: &str,
        clock: &Clock,
    ) -> Result<Self, HttpError> {
        let open = |config: UpstreamConfig| {
            let redirect = format!("{login}/{}/callback", config.id);
            Ok(Upstream {
                clock: clock.clone(),
                http: Http::new(config.authority.as_deref())?,
                metadata: Mutex::default(),
                redirect: RedirectUrl::new(redirect).map_err(|_| HttpError::Address)?,
                config,
            })
        };
        configs.into_iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// A provider by its id.
    pub(crate) fn find(&self, id: &str) -> Option<&Upstream> {
        self.0.iter().find(|upstream| upstream.config.id == id)
    }

    /// Every provider, in the file's order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Upstream> {
        self.0.iter()
    }
}

impl Upstream {
    /// Where the browser goes to sign in, and what must come back.
    pub(crate) async fn begin(&self, secrets: [String; 3]) -> Result<Begun, UpstreamError> {
        let metadata = self.metadata(FRESH).await?;
        let [state, nonce, verifier] = secrets;
        let challenge =
            PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.clone()));
        let party = self.party(&metadata);
        let (csrf, bound) = (CsrfToken::new(state.clone()), Nonce::new(nonce.clone()));
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let scopes = self.config.scopes.iter().filter(|scope| *scope != "openid");
        let (url, _, _) = party
            .authorize_url(flow, move || csrf, move || bound)
            .add_scopes(scopes.cloned().map(Scope::new))
            .set_pkce_challenge(challenge)
            .url();
        Ok(Begun { nonce, state, url: url.to_string(), verifier })
    }

    /// Exchanges a code and verifies who has signed in (OpenID Connect Core section 3.1.3.7).
    pub(crate) async fn finish(
        &self,
        code: String,
        nonce: String,
        verifier: String,
    ) -> Result<Identity, UpstreamError> {
        let metadata = self.metadata(FRESH).await?;
        let party = self.party(&metadata);
        let tokens = party
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| UpstreamError::Unavailable(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier))
            .request_async(&self.http)
            .await
            .map_err(|error| UpstreamError::Unavailable(chain(&error)))?;
        let token = tokens
            .id_token()
            .ok_or_else(|| UpstreamError::Untrusted("it holds no ID token".to_owned()))?;
        let nonce = Nonce::new(nonce);
        let now = self.clock.now().secs();
        let check = |metadata: &CoreProviderMetadata| {
            let party = self.party(metadata);
            let verifier = party
                .id_token_verifier()
                .set_allowed_algs(ALGORITHMS)
                .set_time_fn(move || moment(now));
            let claims = token.claims(&verifier, &nonce).map_err(|error| chain(&error))?;
            // The library leaves this one to its caller.
            let party = claims.authorized_party().map(|party| party.as_str());
            if party.is_some_and(|party| party != self.config.client_id) {
                return Err("the token was issued to another party".to_owned());
            }
            Ok((claims.subject().clone(), members(claims)))
        };
        let (subject, mut known) = if let Ok(checked) = check(&metadata) {
            checked
        } else {
            // The provider may have changed its keys since they were fetched.
            let metadata = self.metadata(SHORTEST).await?;
            check(&metadata).map_err(UpstreamError::Untrusted)?
        };
        let more = party.user_info(tokens.access_token().clone(), Some(subject.clone()));
        if let (false, Ok(question)) = (known.contains_key("email"), more) {
            let answer: UserInfoClaims<Claims, CoreGenderClaim> = question
                .request_async(&self.http)
                .await
                .map_err(|error| UpstreamError::Unavailable(chain(&error)))?;
            for (name, value) in members(&answer) {
                known.entry(name).or_insert(value);
            }
        }
        Ok(identity(subject.as_str(), &known, &self.config.workspaces))
    }

    fn party(&self, metadata: &CoreProviderMetadata) -> Party {
        let secret = self.config.client_secret.as_ref();
        let secret = secret.map(|held| ClientSecret::new(held.expose().to_owned()));
        let client = ClientId::new(self.config.client_id.clone());
        Party::from_provider_metadata(metadata.clone(), client, secret)
            .set_redirect_uri(self.redirect.clone())
    }

    /// The provider's document with its keys, not older than this.
    async fn metadata(&self, age: Duration) -> Result<Arc<CoreProviderMetadata>, UpstreamError> {
        let now = self.clock.now();
        let held = self.metadata.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((fetched, metadata)) = held
            && now.since(fetched) < age
        {
            return Ok(metadata);
        }
        let unavailable = |error: &dyn std::error::Error| UpstreamError::Unavailable(chain(error));
        let issuer = IssuerUrl::new(self.config.issuer.clone()).map_err(|e| unavailable(&e))?;
        let fetched = CoreProviderMetadata::discover_async(issuer, &self.http).await;
        let metadata = Arc::new(fetched.map_err(|error| unavailable(&error))?);
        *self.metadata.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((now, Arc::clone(&metadata)));
        Ok(metadata)
    }
}

/// Claims as they were written.
fn members(claims: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(claims) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The moment as the library counts it.
fn moment(now: u64) -> DateTime<Utc> {
    DateTime::from_timestamp(i64::try_from(now).unwrap_or(i64::MAX), 0).unwrap_or_default()
}
