//! An OAuth client of our own: discovers, registers, asks, redeems, refreshes, revokes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use url::Url;

use crate::{
    browser::{Browser, Choice},
    http::{Http, Parameters, Post, Reply, query_of},
    pkce::{challenge_of, new_verifier},
    world::World,
};

/// The redirect URI of a command-line client.
pub const LOOPBACK: &str = "http://127.0.0.1:33418/callback";

/// What the client `partner` proves itself with.
pub(crate) const PARTNER_SECRET: &str = "a secret that only the partner and the operator know";

/// What the client `resource-server` proves itself with.
pub(crate) const RESOURCE_SERVER_SECRET: &str = "a secret of the service behind the resource";
/// What a client with a second secret proves itself with.
pub const NEXT_SECRET: &str = "another secret that replaces the first one after a while";

/// How a client proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    Basic(String),
    None,
    Post(String),
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    pub credential: Credential,
    pub id: String,
    /// The authorization server's metadata document.
    pub metadata: Value,
    pub redirect_uri: String,
    /// What the server answered to the registration.
    pub registration: Value,
    pub resource: Option<String>,
    /// Headers of its own: a program's name and, behind a proxy, an address.
    pub headers: Vec<(&'static str, String)>,
    pub http: Http,
}

/// An authorization request that can be bent before it is opened.
#[derive(Clone, Debug)]
pub struct Authorization {
    pub parameters: Parameters,
    pub verifier: String,
    endpoint: String,
}

/// What came back to the redirect URI.
#[derive(Clone, Debug)]
pub struct Callback {
    pub parameters: BTreeMap<String, String>,
    pub url: Url,
}

/// A code with what is needed to redeem it.
#[derive(Clone, Debug)]
pub struct Code {
    pub code: String,
    pub verifier: String,
}

/// The tokens of a token response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    pub access: String,
    pub expires_in: u64,
    /// Empty without OpenID Connect.
    pub id_token: String,
    pub refresh: String,
    pub scope: String,
}

impl Client {
    /// Finds the server's endpoints, where RFC 8414 section 3.1 puts the document.
    pub async fn discover(world: &World) -> Self {
        let issuer = Url::parse(&world.issuer).unwrap();
        let origin = issuer.origin().ascii_serialization();
        let path = issuer.path().trim_end_matches('/');
        let url = format!("{origin}/.well-known/oauth-authorization-server{path}");
        let metadata = world.http.get(&url).await.expect_status(200).json();
        assert_eq!(metadata["issuer"], *world.issuer, "RFC 8414 section 3.3");
        Self {
            credential: Credential::None,
            id: String::new(),
            metadata,
            redirect_uri: LOOPBACK.to_owned(),
            registration: Value::Null,
            resource: Some(world.resource.clone()),
            headers: Vec::new(),
            http: world.http.clone(),
        }
    }

    /// A command-line client that registered itself.
    pub async fn public(world: &World) -> Self {
        Self::registered(world, Self::public_metadata()).await
    }

    /// What a command-line client registers.
    pub fn public_metadata() -> Value {
        json!({
            "client_name": "End to end",
            "redirect_uris": [LOOPBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        })
    }

    /// A client that registered itself with this metadata.
    pub async fn registered(world: &World, metadata: Value) -> Self {
        let mut client = Self::discover(world).await;
        let answer = client.register(&metadata).await.expect_status(201).json();
        client.id = answer["client_id"].as_str().unwrap().to_owned();
        client.redirect_uri = answer["redirect_uris"][0].as_str().unwrap().to_owned();
        let secret = answer["client_secret"].as_str().map(str::to_owned);
        client.credential = match (answer["token_endpoint_auth_method"].as_str(), secret) {
            (Some("client_secret_basic"), Some(secret)) => Credential::Basic(secret),
            (Some("client_secret_post"), Some(secret)) => Credential::Post(secret),
            (Some("none"), None) => Credential::None,
            other => panic!("an answer with {other:?}"),
        };
        client.registration = answer;
        client
    }

    /// The client with a secret that the operator registered.
    pub async fn partner(world: &World) -> Self {
        let credential = Credential::Basic(PARTNER_SECRET.to_owned());
        let (id, redirect_uri) = ("partner".to_owned(), "https://partner.example/callback");
        let redirect_uri = redirect_uri.to_owned();
        Self { credential, id, redirect_uri, ..Self::discover(world).await }
    }

    /// The client without a secret that the operator registered, with two redirect URIs.
    pub async fn kiosk(world: &World) -> Self {
        let (id, redirect_uri) = ("kiosk".to_owned(), "https://kiosk.example/callback".to_owned());
        Self { id, redirect_uri, ..Self::discover(world).await }
    }

    /// The resource server with a secret that may introspect tokens of the default resource.
    pub async fn resource_server(world: &World) -> Self {
        let credential = Credential::Basic(RESOURCE_SERVER_SECRET.to_owned());
        Self { credential, id: "resource-server".to_owned(), ..Self::discover(world).await }
    }

    /// The same client for no resource: it only signs people in.
    #[must_use]
    pub fn signing_in(&self) -> Self {
        Self { resource: None, ..self.clone() }
    }

    /// A client of this id and secret.
    pub async fn with_secret(world: &World, id: &str, secret: &str) -> Self {
        let credential = Credential::Basic(secret.to_owned());
        Self { credential, id: id.to_owned(), ..Self::discover(world).await }
    }

    /// A request for a token of its own (RFC 6749 section 4.4.2).
    pub fn credentials(&self) -> Post {
        self.authenticated("token_endpoint", Parameters::of([("grant_type", "client_credentials")]))
    }

    /// The same client with another proof.
    #[must_use]
    pub fn proving(&self, credential: Credential) -> Self {
        Self { credential, ..self.clone() }
    }

    /// The same client at another redirect URI.
    #[must_use]
    pub fn returning_to(&self, uri: &str) -> Self {
        Self { redirect_uri: uri.to_owned(), ..self.clone() }
    }

    /// The same client as another program at another address.
    #[must_use]
    pub fn from_elsewhere(&self) -> Self {
        let headers = vec![
            ("user-agent", "other-program/1.0".to_owned()),
            ("x-forwarded-for", "203.0.113.9".to_owned()),
        ];
        Self { headers, ..self.clone() }
    }

    /// The URL of an endpoint, by its name in the metadata.
    pub fn endpoint(&self, name: &str) -> &str {
        self.metadata[name].as_str().unwrap_or_else(|| panic!("{name} is not in the metadata"))
    }

    /// Registers.
    pub async fn register(&self, metadata: &Value) -> Reply {
        self.http.post_json(self.endpoint("registration_endpoint"), metadata).await
    }

    /// A good authorization request.
    pub fn authorization(&self) -> Authorization {
        let verifier = new_verifier();
        let mut parameters = Parameters::of([
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", &self.redirect_uri),
            ("state", "a state of the client"),
            ("code_challenge", &challenge_of(&verifier)),
            ("code_challenge_method", "S256"),
        ]);
        if let Some(resource) = &self.resource {
            parameters.add("resource", resource);
        }
        let endpoint = self.endpoint("authorization_endpoint").to_owned();
        Authorization { parameters, verifier, endpoint }
    }

    /// A code, approved by the browser's person.
    pub async fn code(&self, browser: &mut Browser) -> Code {
        self.code_of(browser, self.authorization(), Choice::default()).await
    }

    /// The code of a request and a choice.
    pub async fn code_of(
        &self,
        browser: &mut Browser,
        request: Authorization,
        choice: Choice<'_>,
    ) -> Code {
        let answer = browser.answer(&request.url(), choice).await;
        Code { code: answer.value("code").to_owned(), verifier: request.verifier }
    }

    /// A good exchange of a code.
    pub fn exchange(&self, code: &Code) -> Post {
        let mut parameters = Parameters::of([
            ("grant_type", "authorization_code"),
            ("code", &code.code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &code.verifier),
        ]);
        if let Some(resource) = &self.resource {
            parameters.add("resource", resource);
        }
        self.authenticated("token_endpoint", parameters)
    }

    /// A good refresh.
    pub fn refresh(&self, token: &str) -> Post {
        let parameters =
            Parameters::of([("grant_type", "refresh_token"), ("refresh_token", token)]);
        self.authenticated("token_endpoint", parameters)
    }

    /// Refreshes, which must succeed.
    pub async fn refreshed(&self, token: &str) -> Tokens {
        Tokens::of(&self.refresh(token).send().await)
    }

    /// A good revocation.
    pub fn revocation(&self, token: &str) -> Post {
        self.authenticated("revocation_endpoint", Parameters::of([("token", token)]))
    }

    /// A good question about a token (RFC 7662 section 2.1).
    pub fn introspection(&self, token: &str) -> Post {
        self.authenticated("introspection_endpoint", Parameters::of([("token", token)]))
    }

    /// Revokes, which must succeed.
    pub async fn revoke(&self, token: &str) {
        let reply = self.revocation(token).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }

    /// The whole way to tokens.
    pub async fn tokens(&self, browser: &mut Browser) -> Tokens {
        let code = self.code(browser).await;
        Tokens::of(&self.exchange(&code).send().await)
    }

    fn authenticated(&self, endpoint: &str, parameters: Parameters) -> Post {
        let mut post = self.http.post(self.endpoint(endpoint), parameters);
        match &self.credential {
            Credential::Basic(secret) => post.basic(&self.id, secret),
            Credential::None => post.set("client_id", &self.id),
            Credential::Post(secret) => {
                post.set("client_id", &self.id);
                post.set("client_secret", secret);
            }
        }
        for (name, value) in &self.headers {
            post.header(name, value);
        }
        post
    }
}

impl Authorization {
    /// The address to open.
    pub fn url(&self) -> String {
        format!("{}?{}", self.endpoint, self.parameters.encode())
    }

    /// The same with one parameter of this value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.set(name, value);
        self
    }
}

impl Callback {
    /// What a redirect tells the client.
    pub fn of(reply: &Reply) -> Self {
        assert_eq!(reply.status, 303, "{}: {}", reply.url, reply.text);
        let url = reply.location().expect("a location");
        Self { parameters: query_of(&url), url }
    }

    /// A parameter; empty if there is none.
    pub fn value(&self, name: &str) -> &str {
        self.parameters.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl Tokens {
    /// Reads a token response (RFC 6749 section 5.1).
    pub fn of(reply: &Reply) -> Self {
        assert_eq!(reply.status, 200, "{}: {}", reply.url, reply.text);
        let body = reply.json();
        assert_eq!(body["token_type"], "Bearer");
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Self {
            access: text("access_token"),
            expires_in: body["expires_in"].as_u64().expect("expires_in"),
            id_token: text("id_token"),
            refresh: text("refresh_token"),
            scope: text("scope"),
        }
    }
}
