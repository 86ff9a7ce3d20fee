//! An OpenID provider that people sign in with, and that can be told to misbehave.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use keys::{KeySet, Purpose, SigningKey};
use serde_json::{Value, json};
use shared::time::Clock;
use tokio::net::TcpListener;

use crate::{pkce::challenge_of, services::Running};

/// How the provider misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trick {
    /// It does not.
    #[default]
    None,
    /// The token is for another client.
    Audience,
    /// The token is over.
    Expired,
    /// The token names another issuer.
    Issuer,
    /// The token belongs to another sign-in.
    Nonce,
    /// The token was issued to another party.
    Party,
    /// Signed with a key that is not published.
    Signature,
    /// Not signed at all.
    Unsigned,
}

/// A running provider, in which one person is always signed in.
#[derive(Debug)]
pub struct Provider {
    pub url: String,
    shared: Arc<Shared>,
    _running: Running,
}

#[derive(Debug)]
struct Shared {
    issuer: String,
    key: SigningKey,
    jwks: Value,
    other: SigningKey,
    state: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    claims: Value,
    /// Challenge and nonce by code.
    codes: HashMap<String, (String, String)>,
    trick: Trick,
}

type Fields = HashMap<String, String>;

impl Provider {
    /// Starts a provider that says this about its person.
    pub async fn start(claims: Value) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let now = Clock::System.now();
        let key_set = || KeySet::first(Purpose::Issuer, now).unwrap();
        let keys = key_set();
        let shared = Arc::new(Shared {
            issuer: url.clone(),
            jwks: serde_json::from_slice(&keys.jwks()).unwrap(),
            key: keys.signing().unwrap(),
            other: key_set().signing().unwrap(),
            state: Mutex::new(Present { claims, ..Present::default() }),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/authorize", get(authorize))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        let running = Running::default();
        running.serve(listener, router);
        Self { url, shared, _running: running }
    }

    /// The table that a deployment file has for it.
    pub fn table(&self, id: &str, more: &str) -> String {
        let issuer = &self.url;
        format!(
            "\n[[auth.upstream]]\nid = \"{id}\"\nname = \"{id}\"\nissuer = \"{issuer}\"\n\
             client_id = \"vestibule\"\nclient_secret_file = \"partner-secret\"\n{more}\n"
        )
    }

    /// Says something else about the person from now on.
    pub fn says(&self, claims: Value) {
        self.shared.state.lock().unwrap().claims = claims;
    }

    /// Misbehaves from now on.
    pub fn misbehaves(&self, trick: Trick) {
        self.shared.state.lock().unwrap().trick = trick;
    }
}

async fn configuration(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let issuer = &shared.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn jwks(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(shared.jwks.clone())
}

async fn authorize(State(shared): State<Arc<Shared>>, Query(asked): Query<Fields>) -> Response {
    assert_eq!(asked["code_challenge_method"], "S256");
    assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
    let code = format!("code-{}", shared.state.lock().unwrap().codes.len());
    let kept = (asked["code_challenge"].clone(), asked["nonce"].clone());
    shared.state.lock().unwrap().codes.insert(code.clone(), kept);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("code", &code)
        .append_pair("state", &asked["state"])
        .finish();
    Redirect::to(&format!("{}?{query}", asked["redirect_uri"])).into_response()
}

async fn token(State(shared): State<Arc<Shared>>, body: String) -> Response {
    let asked: Fields = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let mut state = shared.state.lock().unwrap();
    let Some((challenge, nonce)) = state.codes.remove(&asked["code"]) else {
        let refused = Json(json!({ "error": "invalid_grant" }));
        return (StatusCode::BAD_REQUEST, refused).into_response();
    };
    assert_eq!(challenge_of(&asked["code_verifier"]), challenge);
    let trick = state.trick;
    let is = |one: Trick, wrong: &str, right: &str| {
        Value::from(if trick == one { wrong } else { right })
    };
    let now = Clock::System.now().secs();
    let mut claims = json!({
        "iss": is(Trick::Issuer, "https://elsewhere.example", &shared.issuer),
        "aud": is(Trick::Audience, "somebody-else", "vestibule"),
        "azp": is(Trick::Party, "somebody-else", "vestibule"),
        "exp": if trick == Trick::Expired { now - 3600 } else { now + 300 },
        "iat": now,
        "nonce": is(Trick::Nonce, "another", &nonce),
        "sub": "subject-1",
    });
    let more = state.claims.as_object().cloned().unwrap_or_default();
    claims.as_object_mut().unwrap().extend(more);
    let token = match trick {
        Trick::Signature => keys::sign(&shared.other, "JWT", &claims).unwrap(),
        Trick::Unsigned => {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", part(&json!({ "alg": "none" })), part(&claims))
        }
        _ => keys::sign(&shared.key, "JWT", &claims).unwrap(),
    };
    let answer = json!({ "access_token": "at", "id_token": token, "token_type": "Bearer" });
    Json(answer).into_response()
}
