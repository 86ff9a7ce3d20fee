//! The sign-in page: user name and password, and for whom.

use askama::Template;
use http::StatusCode;
use web::page::{FormTarget, Html, Page, plain_text};

use super::NAME_LIMIT;

/// What the sign-in page shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignInPage {
    /// Where the form is posted, as a path of this origin.
    pub(crate) action: String,
    pub(crate) brand: String,
    /// The client that asks; nobody where the person wants to see their account.
    pub(crate) asker: Option<Asker>,
    /// What went wrong the last time, as a sentence.
    pub(crate) error: Option<String>,
    pub(crate) hidden: Vec<(String, String)>,
    /// Other ways to sign in: name and path.
    pub(crate) upstreams: Vec<(String, String)>,
    /// What the person typed before.
    pub(crate) username: String,
}

/// The client for which a person signs in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker {
    /// The name it gave itself.
    pub(crate) name: String,
    /// The host the answer will go to.
    pub(crate) redirect_host: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Body<'a> {
    action: &'a str,
    asker: Option<Asker>,
    error: Option<&'a str>,
    hidden: &'a [(String, String)],
    upstreams: &'a [(String, String)],
    username: &'a str,
}

impl SignInPage {
    /// The page as it is sent. `form_target` covers the client's redirect URI where signing in
    /// may end there at once.
    pub(crate) fn page(&self, status: StatusCode, form_target: FormTarget) -> Page {
        let body = Html::template(&Body {
            action: &self.action,
            asker: self.asker.as_ref().map(|asker| Asker {
                name: plain_text(&asker.name, NAME_LIMIT),
                redirect_host: asker.redirect_host.clone(),
            }),
            error: self.error.as_deref(),
            hidden: &self.hidden,
            upstreams: &self.upstreams,
            username: &self.username,
        });
        Page { body, brand: self.brand.clone(), form_target, status, title: "Sign in".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use crate::pages::samples;

    #[test]
    fn the_form_names_who_asks_and_keeps_what_was_typed() {
        let html = samples::sign_in_refused();
        assert!(html.contains("<bdi>Claude</bdi>") && html.contains("claude.ai"), "{html}");
        assert!(html.contains(r#"name="username" type="text" value="demo@example.com""#));
        assert!(html.contains(r#"autocomplete="current-password""#));
        assert!(html.contains(r#"<input type="hidden" name="ticket" value="t&#34;1">"#));
    }

    #[test]
    fn an_error_is_announced_and_tied_to_both_fields() {
        let html = samples::sign_in_refused();
        assert!(html.contains(r#"id="error" role="alert""#));
        assert_eq!(html.matches(r#"aria-describedby="error""#).count(), 2);
        assert!(!samples::sign_in().contains(r#"aria-describedby="error""#));
    }
}
