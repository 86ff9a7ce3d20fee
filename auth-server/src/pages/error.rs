//! The error page: what is wrong, what to do about it, and what to tell whoever can help.

use askama::Template;
use http::StatusCode;
use web::page::{FormTarget, Html, Page};

/// What the error page shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct ErrorPage {
    pub(crate) brand: String,
    /// The wire code, such as `invalid_request`.
    pub(crate) code: String,
    /// What an integrator wants to know, each with its name.
    pub(crate) details: Vec<(String, String)>,
    /// What to do now; possibly empty.
    pub(crate) hint: String,
    /// The way on: an address and what is written on it.
    pub(crate) link: Option<(String, String)>,
    /// What happened, as a sentence.
    pub(crate) message: String,
    pub(crate) title: String,
}

#[derive(Template)]
#[template(path = "error.html")]
struct Body<'a> {
    page: &'a ErrorPage,
}

impl ErrorPage {
    /// The page as it is sent.
    pub(crate) fn page(&self, status: StatusCode) -> Page {
        let body = Html::template(&Body { page: self });
        let (brand, title) = (self.brand.clone(), self.title.clone());
        Page { body, brand, form_target: FormTarget::None, status, title }
    }
}

#[cfg(test)]
mod tests {
    use crate::pages::samples;

    #[test]
    fn an_error_shows_its_code_its_details_and_what_to_do() {
        let html = samples::error();
        assert!(html.contains("<code>invalid_redirect_uri</code>"), "{html}");
        assert!(html.contains("https://evil.example/&#60;b&#62;"));
        assert!(html.contains("the app's maker") || html.contains("the app&#39;s maker"));
    }
}
