//! The account page: what a person has connected, made and signed in to, and how to undo it.

use askama::Template;
use http::StatusCode;
use web::page::{FormTarget, Html, Page, plain_text};

use super::NAME_LIMIT;

/// What the account page shows. Whatever undoes something asks first, on a page of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccountPage {
    pub(crate) apps: Vec<ConnectedApp>,
    /// How many more there are than are shown.
    pub(crate) apps_more: usize,
    /// Where the password is changed, if it is this server's to change.
    pub(crate) change_password: Option<String>,
    /// Where an act is confirmed; takes `act` and `id`.
    pub(crate) confirm: String,
    pub(crate) brand: String,
    /// What was just done, as a sentence.
    pub(crate) done: Option<String>,
    pub(crate) hidden: Vec<(String, String)>,
    pub(crate) keys: Vec<KeyRow>,
    /// Where a key is made, for each resource that takes keys: its name and the address.
    pub(crate) makes_keys: Vec<(String, String)>,
    pub(crate) sessions: Vec<SessionRow>,
    /// Where the sign-out is posted.
    pub(crate) sign_out: String,
    pub(crate) user_name: String,
    pub(crate) username: String,
}

/// A client that may act for the person.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectedApp {
    pub(crate) connected: String,
    /// An old token of it came back: perhaps a copy is in use.
    pub(crate) contested: bool,
    /// The host that published the client's metadata, if it was fetched from there.
    pub(crate) host: Option<String>,
    pub(crate) id: String,
    pub(crate) last_used: String,
    /// The name it gave itself.
    pub(crate) name: String,
    /// Nobody has checked the name.
    pub(crate) is_unverified: bool,
    pub(crate) resources: String,
    /// What it may do, in words.
    pub(crate) scopes: Vec<String>,
    pub(crate) workspaces: String,
}

/// An API key.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyRow {
    pub(crate) created: String,
    pub(crate) expires: Option<String>,
    /// How it begins.
    pub(crate) hint: String,
    pub(crate) id: String,
    pub(crate) last_used: Option<String>,
    pub(crate) name: String,
    /// What it does at its worst, such as `Read and write`.
    pub(crate) range: String,
    pub(crate) resource: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) workspaces: String,
}

/// A signed-in browser.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionRow {
    pub(crate) agent: String,
    pub(crate) id: String,
    /// The browser that looks at the page.
    pub(crate) is_this: bool,
    pub(crate) last_seen: String,
    pub(crate) network: String,
    pub(crate) signed_in: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct Body<'a> {
    page: &'a AccountPage,
}

impl AccountPage {
    /// The page as it is sent.
    pub(crate) fn page(mut self) -> Page {
        for app in &mut self.apps {
            app.name = plain_text(&app.name, NAME_LIMIT);
        }
        for key in &mut self.keys {
            key.name = plain_text(&key.name, NAME_LIMIT);
        }
        let body = Html::template(&Body { page: &self });
        Page {
            body,
            brand: self.brand,
            form_target: FormTarget::OwnOrigin,
            status: StatusCode::OK,
            title: "Your account".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::pages::samples;

    #[test]
    fn everything_that_can_be_undone_has_its_own_way() {
        let html = samples::account();
        assert!(html.contains("act=disconnect&amp;id=fam1"), "{html}");
        assert!(html.contains("act=revoke_key&amp;id=key1"));
        assert!(html.contains("act=end_session&amp;id=ses2"));
        assert!(html.contains("This browser") && !html.contains("act=end_session&amp;id=ses1"));
    }

    #[test]
    fn a_contested_connection_is_told_with_what_to_do() {
        assert!(samples::account().contains("came back"));
        assert!(!samples::account_empty().contains("came back"));
    }

    #[test]
    fn an_empty_account_says_what_would_stand_there() {
        let html = samples::account_empty();
        assert!(html.contains("No app is connected") && html.contains("No API key"), "{html}");
    }
}
