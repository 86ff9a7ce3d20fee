//! The page whose form takes an answer to the client (OAuth 2.0 Form Post Response Mode section 2):
//! it sends itself where scripts run, and has a button where they do not.

use askama::Template;
use http::StatusCode;
use web::page::{FormTarget, Html, Page, ScriptedPage};

/// What the page holds.
#[derive(Clone, Debug)]
pub(crate) struct PostPage {
    pub(crate) action: String,
    pub(crate) brand: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) form_target: FormTarget,
    /// Whom the button names.
    pub(crate) host: String,
    pub(crate) message: String,
    pub(crate) title: String,
}

#[derive(Template)]
#[template(path = "post.html")]
struct Body<'a> {
    page: &'a PostPage,
}

/// A form without a name of its own for `submit` is sent as it stands.
const SEND: &str = "HTMLFormElement.prototype.submit.call(document.forms[0]);";

impl PostPage {
    /// The page that waits for its person.
    pub(crate) fn page(&self) -> Page {
        let body = Html::template(&Body { page: self });
        let (brand, title) = (self.brand.clone(), self.title.clone());
        let form_target = self.form_target.clone();
        Page { body, brand, form_target, status: StatusCode::OK, title }
    }

    /// The page that sends its form by itself.
    pub(crate) fn sent(&self) -> ScriptedPage {
        ScriptedPage { page: self.page(), script: SEND }
    }
}
