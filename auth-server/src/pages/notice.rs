//! The notice page: something is done, and perhaps a way on.

use askama::Template;
use http::StatusCode;
use web::page::{FormTarget, Html, Page};

/// What the notice page shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoticePage {
    pub(crate) brand: String,
    /// The way on: an address and what is written on it.
    pub(crate) link: Option<(String, String)>,
    pub(crate) message: String,
    pub(crate) title: String,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Body<'a> {
    page: &'a NoticePage,
}

impl NoticePage {
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
    fn a_notice_leads_on_without_telling_where_it_came_from() {
        let html = samples::denied();
        assert!(html.contains(r#"rel="noreferrer""#) && html.contains("error=access_denied"));
        assert!(!samples::signed_out().contains("<a "));
    }
}
