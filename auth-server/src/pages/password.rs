//! The page on which a person gives their account a new password.

use askama::Template;
use http::StatusCode;
use web::page::{FormTarget, Html, Page};

/// What the form shows. It posts `current`, `new` and `again`; nothing typed is given back.
#[derive(Clone, Debug, Default)]
pub(crate) struct PasswordPage {
    /// Where the form is posted, as a path of this origin.
    pub(crate) action: String,
    pub(crate) brand: String,
    /// Where the way back leads.
    pub(crate) cancel: String,
    pub(crate) error: Option<String>,
    pub(crate) hidden: Vec<(String, String)>,
    /// For password stores, which keep it beside the password.
    pub(crate) username: String,
}

#[derive(Template)]
#[template(path = "password.html")]
struct Body<'a> {
    page: &'a PasswordPage,
}

impl PasswordPage {
    /// The page as it is sent.
    pub(crate) fn page(&self, status: StatusCode) -> Page {
        Page {
            body: Html::template(&Body { page: self }),
            brand: self.brand.clone(),
            form_target: FormTarget::OwnOrigin,
            status,
            title: "Change password".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::pages::samples;

    #[test]
    fn password_stores_know_the_old_one_from_the_new_one() {
        let html = samples::password();
        assert!(html.contains(r#"name="current" type="password" autocomplete="current-password""#));
        for name in ["new", "again"] {
            let field = format!(r#"name="{name}" type="password" autocomplete="new-password""#);
            assert!(html.contains(&field), "{html}");
        }
    }
}
