//! Requests and answers without any comfort: no cookies, no redirects, no retries.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::front::Front;

/// Sends requests. `localhost` is this machine's IPv4 loopback, whatever the resolver says.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    /// What leads public hosts to this machine.
    front: Option<Arc<Front>>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    pub headers: HeaderMap,
    pub status: u16,
    pub text: String,
    pub url: Url,
}

/// Names and values in their order, as a query or a form body carries them.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

/// A form post that can be bent before it is sent.
#[derive(Clone, Debug)]
pub struct Post {
    pub headers: HeaderMap,
    pub parameters: Parameters,
    /// Sent instead of the parameters.
    pub raw_body: Option<String>,
    http: Http,
    url: String,
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Http {
    /// A client with nothing kept between two requests.
    pub fn new() -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .resolve("localhost", SocketAddr::from(([127, 0, 0, 1], 0)))
            // A connection kept from before a restart would lose a request.
            .pool_max_idle_per_host(0)
            .build();
        Self { client: client.expect("a client"), front: None }
    }

    /// The same, to whom the front's hosts lead to this machine.
    #[must_use]
    pub(crate) fn behind(&self, front: Front) -> Self {
        Self { client: self.client.clone(), front: Some(Arc::new(front)) }
    }

    /// Fetches a document.
    pub async fn get(&self, url: &str) -> Reply {
        self.send(Method::GET, url, HeaderMap::new(), String::new()).await
    }

    /// Posts a JSON value.
    pub async fn post_json(&self, url: &str, value: &Value) -> Reply {
        let headers = header_map([(CONTENT_TYPE, "application/json")]);
        self.send(Method::POST, url, headers, value.to_string()).await
    }

    /// Starts a form post.
    pub fn post(&self, url: &str, parameters: Parameters) -> Post {
        let headers = header_map([(CONTENT_TYPE, "application/x-www-form-urlencoded")]);
        let (http, url) = (self.clone(), url.to_owned());
        Post { headers, parameters, raw_body: None, http, url }
    }

    /// Sends any request.
    pub async fn send(&self, method: Method, url: &str, headers: HeaderMap, body: String) -> Reply {
        let answer = self.open(method, url, headers, body).await;
        let url = Url::parse(url).unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
        Reply { headers, status, text, url }
    }
}

impl Http {
    /// Sends any request and reads no more than the head of the answer.
    pub async fn open(
        &self,
        method: Method,
        url: &str,
        mut headers: HeaderMap,
        body: String,
    ) -> reqwest::Response {
        let mut url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        if let Some((inner, host)) = self.front.as_ref().and_then(|front| front.lead(&url)) {
            headers.entry(HOST).or_insert(HeaderValue::from_str(&host).unwrap());
            url = inner;
        }
        let request = self.client.request(method, url.clone()).headers(headers).body(body);
        request.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"))
    }
}

impl Reply {
    /// A header's value; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{} {}: {error}: {}", self.status, self.url, self.text))
    }

    /// The body's `error`; empty if there is none.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// The address a redirect leads to.
    pub fn location(&self) -> Option<Url> {
        let location = self.headers.get("location")?.to_str().unwrap();
        Some(self.url.join(location).unwrap())
    }

    /// The same answer if it has this status.
    #[must_use]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.url, self.text);
        self
    }
}

impl Parameters {
    /// These parameters.
    pub fn of<const N: usize>(parameters: [(&str, &str); N]) -> Self {
        Self(parameters.iter().map(|(name, value)| owned(name, value)).collect())
    }

    /// One more parameter, even if the name is there already.
    pub fn add(&mut self, name: &str, value: &str) {
        self.0.push(owned(name, value));
    }

    /// The parameter with this value alone.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.add(name, value);
    }

    /// Without the parameter.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    /// The first value of a name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Encoded for a query or a body.
    pub fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

impl FromIterator<(String, String)> for Parameters {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(parameters: T) -> Self {
        Self(parameters.into_iter().collect())
    }
}

impl Post {
    /// The parameter with this value alone.
    pub fn set(&mut self, name: &str, value: &str) {
        self.parameters.set(name, value);
    }

    /// Without the parameter.
    pub fn remove(&mut self, name: &str) {
        self.parameters.remove(name);
    }

    /// The header with this value alone.
    pub fn header(&mut self, name: &'static str, value: &str) {
        let value = HeaderValue::from_str(value).unwrap();
        self.headers.insert(HeaderName::from_static(name), value);
    }

    /// The client's id and secret in the `Authorization` header (RFC 6749 section 2.3.1).
    pub fn basic(&mut self, id: &str, secret: &str) {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let pair: [String; 2] = [encode(id), encode(secret)];
        self.header("authorization", &format!("Basic {}", STANDARD.encode(pair.join(":"))));
    }

    /// Sends it.
    pub async fn send(&self) -> Reply {
        let body = self.raw_body.clone().unwrap_or_else(|| self.parameters.encode());
        self.http.send(Method::POST, &self.url, self.headers.clone(), body).await
    }
}

/// The parameters of a URL's query, each of which may occur once.
pub(crate) fn query_of(url: &Url) -> BTreeMap<String, String> {
    let mut query = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        let before = query.insert(name.to_string(), value.into_owned());
        assert_eq!(before, None, "{name} occurs twice in {url}");
    }
    query
}

pub(crate) fn header_map<const N: usize>(headers: [(HeaderName, &str); N]) -> HeaderMap {
    let value = |text| HeaderValue::from_str(text).unwrap();
    headers.into_iter().map(|(name, text)| (name, value(text))).collect()
}

fn owned(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
