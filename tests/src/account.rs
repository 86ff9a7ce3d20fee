//! A person at the account page: connected apps, API keys and sessions.

use url::{Url, form_urlencoded};

use crate::{
    browser::{Browser, Page},
    html::Form,
    http::Parameters,
    mcp::Mcp,
    world::World,
};

/// A browser on the account page, signed in without any client's asking.
#[derive(Clone, Debug)]
pub struct Account {
    pub browser: Browser,
    base: String,
    resource: String,
}

/// What a new key is to be; as the form has it where nothing is said.
#[derive(Clone, Copy, Debug)]
pub struct NewKey<'a> {
    pub access: &'a str,
    pub days: &'a str,
    pub name: &'a str,
    pub scopes: &'a [&'a str],
    pub workspaces: &'a [&'a str],
}

impl Default for NewKey<'_> {
    fn default() -> Self {
        Self {
            access: "read",
            days: "90",
            name: "Nightly report",
            scopes: &[],
            workspaces: &["ws_acme", "ws_globex"],
        }
    }
}

impl Account {
    /// The demo person, signed in.
    pub async fn open(world: &World) -> Self {
        Self::of(world, Browser::new(world)).await
    }

    /// The person at a browser, signed in.
    pub async fn of(world: &World, mut browser: Browser) -> Self {
        let page = browser.visit(&world.page("/account")).await;
        let page = if page.asks_to_sign_in() { browser.sign_in(&page).await } else { page };
        assert!(page.reply.text.contains("Your account"), "{}", page.reply.text);
        Self { browser, base: world.page("/account"), resource: world.resource.clone() }
    }

    /// The page.
    pub async fn page(&mut self) -> Page {
        let url = self.base.clone();
        self.browser.visit(&url).await
    }

    /// The form that makes a key, filled in.
    pub async fn key_form(&mut self, key: NewKey<'_>) -> Form {
        let mut url = Url::parse(&format!("{}/keys/new", self.base)).unwrap();
        url.query_pairs_mut().append_pair("resource", &self.resource);
        let form = self.browser.visit(url.as_str()).await.form().with("name", key.name);
        let form = form.ticked("access", &[key.access]).ticked("days", &[key.days]);
        form.ticked("scope", key.scopes).ticked("workspace", key.workspaces)
    }

    /// Makes a key and reads its secret off the page.
    pub async fn make_key(&mut self, key: NewKey<'_>) -> String {
        let form = self.key_form(key).await;
        let page = self.browser.submit(&form, &form.fields()).await;
        secret_on(&page)
    }

    /// The acts that the page offers, each with what it is about.
    pub async fn acts(&mut self, act: &str) -> Vec<String> {
        let page = self.page().await;
        let start = format!("act={act}&amp;id=");
        let parts = page.reply.text.split(start.as_str()).skip(1);
        parts.map(|part| part.split('"').next().unwrap().to_owned()).collect()
    }

    /// The form that confirms an act.
    pub async fn confirmation(&mut self, act: &str, id: &str) -> Form {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("id", id).finish();
        let url = format!("{}/confirm?act={act}&{query}", self.base);
        self.browser.visit(&url).await.form()
    }

    /// Does and confirms an act.
    pub async fn act(&mut self, act: &str, id: &str) -> Page {
        let form = self.confirmation(act, id).await;
        self.browser.submit(&form, &form.fields()).await
    }

    /// Gives the key a new secret, and reads it off the page.
    pub async fn renew_key(&mut self, id: &str, overlaps: bool) -> String {
        let form = self.confirmation("renew_key", id).await;
        let ticks: &[&str] = if overlaps { &["yes"] } else { &[] };
        let form = form.ticked("overlap", ticks);
        let page = self.browser.submit(&form, &form.fields()).await;
        secret_on(&page)
    }

    /// Sends a form as it is.
    pub async fn send(&mut self, form: &Form, fields: &Parameters) -> Page {
        self.browser.submit(form, fields).await
    }
}

impl Mcp {
    /// A client of the world's gateway that shows an API key.
    pub fn with_key(world: &World, key: &str) -> Self {
        Self { token: Some(key.to_owned()), ..Self::new(world, None) }
    }
}

/// The secret that a page shows.
fn secret_on(page: &Page) -> String {
    let text = &page.reply.text;
    let shown = text.split(r#"<code id="secret" dir="ltr">"#).nth(1);
    let shown = shown.unwrap_or_else(|| panic!("{} {text}", page.reply.status));
    shown.split('<').next().unwrap().to_owned()
}
