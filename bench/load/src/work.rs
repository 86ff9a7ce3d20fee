//! The operations that are measured.

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::{
    Arguments,
    flow::{self, Jar},
    http::{Answer, Connection},
};

/// What is done again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// A client's own token.
    ClientCredentials,
    /// A code flow of a person who signs in for it.
    Code,
    /// A code flow of a person who is signed in.
    CodeSignedIn,
    /// The metadata document.
    Discovery,
    /// The published keys.
    Jwks,
    /// A refresh with the token that the last one gave.
    Refresh,
    /// A dynamic registration.
    Register,
}

/// The server and what it is asked for.
#[derive(Debug)]
pub(crate) struct Target {
    authorize: Url,
    discovery: Url,
    host: String,
    jwks: Url,
    registration: Url,
    token: Url,
    asked: Arguments,
}

/// One connection's work.
#[derive(Debug)]
pub(crate) struct Worker {
    connection: Connection,
    done: u32,
    jar: Jar,
    number: u32,
    refresh_token: String,
    target: Rc<Target>,
}

/// How many addresses the load comes from: budgets per address are not what is measured.
const ADDRESSES: u32 = 4096;

/// Reads the discovery document.
pub(crate) async fn discover(arguments: &Arguments) -> Result<Target, String> {
    let bad = |error: url::ParseError| error.to_string();
    let issuer = Url::parse(&arguments.issuer).map_err(bad)?;
    let host = issuer[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    let discovery = issuer.join(&arguments.discovery).map_err(bad)?;
    let get = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n\r\n", discovery.path());
    let answer = Connection::new(&host).send(get.as_bytes()).await?;
    let document = document(&answer)?;
    let endpoint = |name: &str| {
        let url = document.get(name).and_then(Value::as_str);
        let url = url.ok_or_else(|| format!("no {name} is published"))?;
        Url::parse(url).map_err(bad)
    };
    Ok(Target {
        authorize: endpoint("authorization_endpoint")?,
        jwks: endpoint("jwks_uri")?,
        registration: endpoint("registration_endpoint")?,
        token: endpoint("token_endpoint")?,
        asked: arguments.clone(),
        discovery,
        host,
    })
}

impl Worker {
    pub(crate) fn new(target: Rc<Target>, number: u32) -> Self {
        let connection = Connection::new(&target.host);
        Self {
            connection,
            done: 0,
            jar: Jar::default(),
            number,
            refresh_token: String::new(),
            target,
        }
    }

    /// What must be there before the first operation.
    pub(crate) async fn prepare(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Refresh | Operation::CodeSignedIn => self.code().await,
            _ => Ok(()),
        }
    }

    /// One operation; anything but success is a failure.
    pub(crate) async fn perform(&mut self, operation: Operation) -> Result<(), String> {
        self.done = self.done.wrapping_add(1);
        match operation {
            Operation::ClientCredentials => self.client_credentials().await,
            Operation::Code => {
                self.jar = Jar::default();
                self.code().await
            }
            Operation::CodeSignedIn => self.code().await,
            Operation::Discovery => self.get(self.target.discovery.clone()).await,
            Operation::Jwks => self.get(self.target.jwks.clone()).await,
            Operation::Refresh => self.refresh().await,
            Operation::Register => self.register().await,
        }
    }

    async fn get(&mut self, url: Url) -> Result<(), String> {
        let common = self.common();
        let text = format!("GET {} HTTP/1.1\r\n{common}\r\n", url.path());
        expect(200, &self.connection.send(text.as_bytes()).await?)
    }

    async fn client_credentials(&mut self) -> Result<(), String> {
        let target = Rc::clone(&self.target);
        let authorization =
            format!("Authorization: Basic {}\r\n", STANDARD.encode(&target.asked.service));
        let fields = [
            ("grant_type", "client_credentials"),
            ("resource", &target.asked.resource),
            ("scope", &target.asked.scope),
        ];
        self.token(&fields, &authorization).await.map(|_| ())
    }

    async fn code(&mut self) -> Result<(), String> {
        let target = Rc::clone(&self.target);
        let asked = &target.asked;
        let person = (self.number.wrapping_mul(7919).wrapping_add(self.done)) % asked.people.max(1);
        let name = format!("bench-{person}");
        let fields = [("login", &*name), ("username", &*name), ("password", "bench")];
        let forwarded = self.address();
        let request = flow::Request {
            authorize: &target.authorize,
            client: &asked.client,
            fields: &fields,
            forwarded: &forwarded,
            redirect: &asked.redirect,
            resource: &asked.resource,
            scope: &asked.scope,
        };
        let (code, verifier) =
            flow::authorize(&mut self.connection, &mut self.jar, &request).await?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", &asked.client),
            ("code", &code),
            ("code_verifier", &verifier),
            ("redirect_uri", &asked.redirect),
        ];
        let tokens = self.token(&fields, "").await?;
        self.keep(&tokens)
    }

    async fn refresh(&mut self) -> Result<(), String> {
        let target = Rc::clone(&self.target);
        let held = std::mem::take(&mut self.refresh_token);
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", &target.asked.client),
            ("refresh_token", &held),
            ("resource", &target.asked.resource),
        ];
        let tokens = self.token(&fields, "").await?;
        self.keep(&tokens)?;
        if self.refresh_token == held {
            return Err("the refresh token was not rotated".to_owned());
        }
        Ok(())
    }

    async fn register(&mut self) -> Result<(), String> {
        let body = json!({
            "client_name": format!("Bench {} {}", self.number, self.done),
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": [self.target.asked.redirect],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let path = self.target.registration.path().to_owned();
        expect(201, &self.post(&path, "application/json", "", &body.to_string()).await?)
    }

    async fn token(
        &mut self,
        fields: &[(&str, &str)],
        authorization: &str,
    ) -> Result<Value, String> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let path = self.target.token.path().to_owned();
        let media = "application/x-www-form-urlencoded";
        document(&self.post(&path, media, authorization, &body).await?)
    }

    async fn post(
        &mut self,
        path: &str,
        media: &str,
        authorization: &str,
        body: &str,
    ) -> Result<Answer, String> {
        let common = self.common();
        let text = format!(
            "POST {path} HTTP/1.1\r\n{common}{authorization}Content-Type: {media}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.connection.send(text.as_bytes()).await
    }

    fn keep(&mut self, tokens: &Value) -> Result<(), String> {
        let token = tokens.get("refresh_token").and_then(Value::as_str);
        let token = token.ok_or("no refresh token was given")?;
        token.clone_into(&mut self.refresh_token);
        Ok(())
    }

    fn common(&self) -> String {
        format!("Host: {}\r\nX-Forwarded-For: {}\r\n", self.target.host, self.address())
    }

    /// A made-up address behind the trusted proxy that the load pretends to be.
    fn address(&self) -> String {
        let number = self.number.wrapping_mul(509).wrapping_add(self.done) % ADDRESSES;
        format!("198.18.{}.{}", number / 256, number % 256)
    }
}

fn expect(status: u16, answer: &Answer) -> Result<(), String> {
    if answer.status == status { Ok(()) } else { Err(answer.refusal()) }
}

fn document(answer: &Answer) -> Result<Value, String> {
    expect(200, answer)?;
    serde_json::from_slice(&answer.body).map_err(|error| error.to_string())
}
