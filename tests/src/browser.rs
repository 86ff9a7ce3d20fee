//! A person at a browser: cookies, pages, forms, and the way through sign-in and consent.

use std::collections::BTreeMap;

use reqwest::{
    Method,
    header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, ORIGIN, SET_COOKIE},
};
use url::Url;

use crate::{
    client::Callback,
    html::Form,
    http::{Http, Parameters, Reply, header_map},
    world::World,
};

/// Everybody's password here.
pub const PASSWORD: &str = "correct horse battery staple";

/// Who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub password: String,
    pub username: String,
}

/// What the person ticks and presses on the consent page. `None` leaves the ticks as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    pub deny: bool,
    pub scopes: Option<&'a [&'a str]>,
    pub workspaces: Option<&'a [&'a str]>,
}

/// A page as it was answered.
#[derive(Clone, Debug)]
pub struct Page {
    pub reply: Reply,
}

/// A browser with its cookies. It follows redirects only when told to.
#[derive(Clone, Debug)]
pub struct Browser {
    /// Where the requests come from, if they pass a proxy.
    pub address: Option<String>,
    /// Cookies of the one host there is, by name.
    pub cookies: BTreeMap<String, String>,
    pub person: Person,
    http: Http,
    origin: String,
}

impl Person {
    /// A member of `ws_acme` and `ws_globex`.
    pub fn demo() -> Self {
        Self::named("demo@example.com")
    }

    /// A member of `ws_initech`.
    pub fn second() -> Self {
        Self::named("second@example.com")
    }

    /// Somebody with everybody's password.
    pub fn named(username: &str) -> Self {
        Self { password: PASSWORD.to_owned(), username: username.to_owned() }
    }
}

impl Page {
    /// The one form on the page.
    pub fn form(&self) -> Form {
        let mut forms = Form::all(&self.reply.url, &self.reply.text);
        assert_eq!(forms.len(), 1, "forms on {}: {}", self.reply.url, self.reply.text);
        forms.remove(0)
    }

    /// Whether it asks to sign in.
    pub fn asks_to_sign_in(&self) -> bool {
        self.has_control("password")
    }

    /// Whether it asks for consent.
    pub fn asks_for_consent(&self) -> bool {
        self.has_control("decision")
    }

    fn has_control(&self, name: &str) -> bool {
        Form::all(&self.reply.url, &self.reply.text).iter().any(|form| form.has(name))
    }
}

impl Browser {
    /// The demo person's browser, with no cookies.
    pub fn new(world: &World) -> Self {
        Self::of(world, Person::demo())
    }

    /// A person's browser, with no cookies.
    pub fn of(world: &World, person: Person) -> Self {
        let (http, origin) = (world.http.clone(), world.origin());
        Self { address: None, cookies: BTreeMap::new(), person, http, origin }
    }

    /// Opens an address, without following where it leads.
    pub async fn open(&mut self, url: &str) -> Page {
        let headers = self.headers();
        let reply = self.http.send(Method::GET, url, headers, String::new()).await;
        self.keep_cookies(&reply);
        Page { reply }
    }

    /// Opens an address and follows redirects within the site.
    pub async fn visit(&mut self, url: &str) -> Page {
        let mut page = self.open(url).await;
        while let Some(next) = page.reply.location().filter(|next| self.is_own(next)) {
            page = self.open(next.as_str()).await;
        }
        page
    }

    /// Sends a form, without following where the answer leads.
    pub async fn submit(&mut self, form: &Form, fields: &Parameters) -> Page {
        let origin = self.origin.clone();
        self.submit_from(&origin, form, fields).await
    }

    /// Sends a form from a page of another origin.
    pub async fn submit_from(&mut self, origin: &str, form: &Form, fields: &Parameters) -> Page {
        let mut headers = self.headers();
        headers.extend(header_map([
            (CONTENT_TYPE, "application/x-www-form-urlencoded"),
            (ORIGIN, origin),
        ]));
        let url = form.action.as_str();
        let reply = self.http.send(Method::POST, url, headers, fields.encode()).await;
        self.keep_cookies(&reply);
        Page { reply }
    }

    /// Signs in on the sign-in page and follows to the consent page.
    pub async fn sign_in(&mut self, page: &Page) -> Page {
        let person = self.person.clone();
        let form = page.form().with("username", &person.username);
        let form = form.with("password", &person.password);
        let answer = self.submit(&form, &form.fields()).await;
        match answer.reply.location() {
            Some(next) => self.visit(next.as_str()).await,
            None => answer,
        }
    }

    /// Opens an authorization request and signs in where that is asked: the consent page.
    pub async fn reach_consent(&mut self, url: &str) -> Page {
        let mut page = self.visit(url).await;
        if page.asks_to_sign_in() {
            page = self.sign_in(&page).await;
        }
        assert!(page.asks_for_consent(), "{} {}", page.reply.status, page.reply.text);
        page
    }

    /// Answers the consent page.
    pub async fn decide(&mut self, page: &Page, choice: Choice<'_>) -> Page {
        let mut form = page.form();
        if let Some(scopes) = choice.scopes {
            form = form.ticked("scope", scopes);
        }
        if let Some(workspaces) = choice.workspaces {
            form = form.ticked("workspace", workspaces);
        }
        let decision = if choice.deny { "deny" } else { "approve" };
        self.submit(&form, &form.pressed("decision", decision)).await
    }

    /// The whole way through an authorization request, to what the client is told.
    pub async fn answer(&mut self, url: &str, choice: Choice<'_>) -> Callback {
        let mut page = self.visit(url).await;
        if page.asks_to_sign_in() {
            page = self.sign_in(&page).await;
        }
        // Consent that is remembered needs no answer.
        if page.asks_for_consent() {
            page = self.decide(&page, choice).await;
        }
        Callback::of(&page.reply)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(address) = &self.address {
            headers.insert("x-forwarded-for", HeaderValue::from_str(address).unwrap());
        }
        if !self.cookies.is_empty() {
            let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
            let cookies = pairs.collect::<Vec<_>>().join("; ");
            headers.insert(COOKIE, HeaderValue::from_str(&cookies).unwrap());
        }
        headers
    }

    fn keep_cookies(&mut self, reply: &Reply) {
        for cookie in reply.headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    fn is_own(&self, url: &Url) -> bool {
        url.origin().ascii_serialization() == self.origin
    }
}
