//! The confirmation page: what is about to be undone, and a way back.

use askama::Template;
use http::StatusCode;
use web::page::{FormTarget, Html, Page};

/// What the confirmation page shows. The form posts what is hidden, and `overlap=yes` if ticked.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfirmPage {
    /// Where the form is posted, as a path of this origin.
    pub(crate) action: String,
    pub(crate) brand: String,
    /// What is written on the button.
    pub(crate) button: String,
    /// Where the way back leads.
    pub(crate) cancel: String,
    pub(crate) hidden: Vec<(String, String)>,
    /// Nothing brings back what the button takes away.
    pub(crate) is_final: bool,
    pub(crate) message: String,
    /// Whether the old secret may go on for a while.
    pub(crate) offers_overlap: bool,
    pub(crate) title: String,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Body<'a> {
    page: &'a ConfirmPage,
}

impl ConfirmPage {
    /// The page as it is sent.
    pub(crate) fn page(&self) -> Page {
        let body = Html::template(&Body { page: self });
        let (brand, title) = (self.brand.clone(), self.title.clone());
        Page { body, brand, form_target: FormTarget::OwnOrigin, status: StatusCode::OK, title }
    }
}

#[cfg(test)]
mod tests {
    use crate::pages::samples;

    #[test]
    fn the_way_back_comes_before_the_act() {
        let html = samples::confirm();
        let (cancel, act) = (html.find("Cancel"), html.find("Revoke the key"));
        assert!(cancel.unwrap() < act.unwrap(), "{html}");
    }
}
