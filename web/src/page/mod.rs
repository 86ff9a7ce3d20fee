//! Pages: the frame and stylesheet all of them share, and the headers they are sent with.
//!
//! Nothing on a page is fetched from anywhere. A page has no script, but for the rare one that is
//! better for it and works without it.

mod html;
mod security_policy;

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
        X_FRAME_OPTIONS,
    },
};

pub use self::{
    html::{Html, plain_text},
    security_policy::FormTarget,
};
use crate::problem::NOSNIFF;

const STYLE: &str = include_str!("../../templates/style.css");

/// A page, ready to be sent.
#[derive(Clone, Debug)]
pub struct Page {
    /// What is between masthead and footer.
    pub body: Html,
    /// The deployment's name.
    pub brand: String,
    /// Where a form on the page may lead.
    pub form_target: FormTarget,
    pub status: StatusCode,
    /// What the window is called, without the brand.
    pub title: String,
}

/// A page with a script of ours, known by its digest.
#[derive(Clone, Debug)]
pub struct ScriptedPage {
    pub page: Page,
    pub script: &'static str,
}

#[derive(Template)]
#[template(path = "frame.html")]
struct Frame<'a> {
    body: &'a Html,
    brand: &'a str,
    script: Option<Html>,
    style: Html,
    title: &'a str,
}

impl Page {
    /// The whole document.
    pub fn document(&self) -> Html {
        self.with(None)
    }

    fn with(&self, script: Option<&'static str>) -> Html {
        let Self { body, brand, title, .. } = self;
        let (script, style) = (script.map(Html::markup), Html::markup(STYLE));
        Html::template(&Frame { body, brand, script, style, title })
    }

    fn send(&self, script: Option<&'static str>) -> Response {
        let mut response = Response::new(self.with(script).into_string().into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let policy = security_policy::header(&self.form_target, STYLE, script);
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        for (name, value) in FIXED_HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RELOAD_SECONDS));
        }
        response
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        self.send(None)
    }
}

impl IntoResponse for ScriptedPage {
    fn into_response(self) -> Response {
        self.page.send(Some(self.script))
    }
}

/// When a page that cannot be shown now is worth another look.
const RELOAD_SECONDS: &str = "2";

const FIXED_HEADERS: [(HeaderName, &str); 6] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // The frame relaxes it to `same-origin`: browsers send `Origin: null` with a form from a page
    // that hides itself from its own server, too.
    (REFERRER_POLICY, "no-referrer"),
    (NOSNIFF, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn page(form_target: FormTarget) -> Page {
        Page {
            body: Html::text("<b>body</b>"),
            brand: "A & B".to_owned(),
            form_target,
            status: StatusCode::OK,
            title: "</title><script>".to_owned(),
        }
    }

    #[test]
    fn every_word_from_outside_is_escaped() {
        let document = page(FormTarget::None).document().into_string();
        assert!(document.contains("&#60;b&#62;body"), "{document}");
        assert!(document.contains("A &#38; B"));
        assert!(!document.contains("<script"));
    }

    #[test]
    fn a_page_is_neither_kept_nor_framed_nor_guessed_at() {
        let response = page(FormTarget::OwnOrigin).into_response();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
    }

    #[test]
    fn a_page_that_cannot_be_shown_now_says_when_to_come_back() {
        let unavailable =
            Page { status: StatusCode::SERVICE_UNAVAILABLE, ..page(FormTarget::None) };
        assert_eq!(unavailable.into_response().headers()["retry-after"], "2");
        assert!(!page(FormTarget::None).into_response().headers().contains_key("retry-after"));
    }

    #[test]
    fn a_script_runs_by_its_digest_only() {
        let script = "document.title = 'done';";
        let page = page(FormTarget::None);
        assert!(
            !page.clone().into_response().headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("script-src")
        );
        let response = ScriptedPage { page: page.clone(), script }.into_response();
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("; script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let document = page.with(Some(script)).into_string();
        assert!(document.contains(&format!("<script>{script}</script>")), "{document}");
    }

    #[test]
    fn the_stylesheet_is_sent_as_it_was_hashed_and_fetches_nothing() {
        let document = page(FormTarget::None).document().into_string();
        assert!(document.contains(&format!("<style>{STYLE}</style>")));
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !STYLE.contains('<'));
    }
}
