//! The pages on which an API key is made, and on which its secret is shown once.

use askama::Template;
use http::StatusCode;
use web::page::{FormTarget, Html, Page, ScriptedPage, plain_text};

use super::{
    NAME_LIMIT,
    consent::{ScopeChoice, ScopeGroup, WorkspaceChoice, grouped},
};

/// What the form shows. It posts `name`, `access=read|read_write|chosen`, `scope`, `workspace` and
/// `days`.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyForm {
    /// The value of `access` that is chosen.
    pub(crate) access: String,
    /// Where the form is posted, as a path of this origin.
    pub(crate) action: String,
    pub(crate) brand: String,
    /// Where the way back leads.
    pub(crate) cancel: String,
    /// The value of `days` that is chosen.
    pub(crate) days: String,
    pub(crate) error: Option<String>,
    pub(crate) hidden: Vec<(String, String)>,
    pub(crate) name: String,
    pub(crate) resource_name: String,
    pub(crate) scopes: Vec<ScopeChoice>,
    /// Exactly one workspace can be chosen.
    pub(crate) single_workspace: bool,
    pub(crate) workspaces: Vec<WorkspaceChoice>,
}

/// What is shown of a new secret, once.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewSecret {
    pub(crate) brand: String,
    /// Where the way back leads.
    pub(crate) done: String,
    pub(crate) name: String,
    /// Until when the old secret goes on, in words, if there is one.
    pub(crate) overlap: Option<String>,
    pub(crate) secret: String,
    /// Where the key is used.
    pub(crate) url: String,
}

#[derive(Template)]
#[template(path = "key_form.html")]
struct FormBody<'a> {
    groups: Vec<ScopeGroup<'a>>,
    page: &'a KeyForm,
    two_columns: bool,
}

#[derive(Template)]
#[template(path = "key_secret.html")]
struct SecretBody<'a> {
    name: String,
    page: &'a NewSecret,
}

/// Shows the button where the browser lets a page write to the clipboard.
const COPY: &str = "\
const button = document.querySelector('[data-copy]');
if (navigator.clipboard) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(document.getElementById('secret').textContent);
    document.getElementById('copied').textContent = 'Copied';
  });
}
";

impl KeyForm {
    fn is_access(&self, value: &str) -> bool {
        self.access == value
    }

    fn is_days(&self, value: &str) -> bool {
        self.days == value
    }

    /// The page as it is sent.
    pub(crate) fn page(&self) -> Page {
        let body = Html::template(&FormBody {
            groups: grouped(self.scopes.iter()),
            page: self,
            two_columns: !self.scopes.iter().any(ScopeChoice::deletes),
        });
        let status = if self.error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        Page {
            body,
            brand: self.brand.clone(),
            form_target: FormTarget::OwnOrigin,
            status,
            title: "New API key".to_owned(),
        }
    }
}

impl NewSecret {
    /// The page as it is sent. It works without its script, which only adds a button.
    pub(crate) fn page(&self) -> ScriptedPage {
        let name = plain_text(&self.name, NAME_LIMIT);
        let page = Page {
            body: Html::template(&SecretBody { name, page: self }),
            brand: self.brand.clone(),
            form_target: FormTarget::None,
            status: StatusCode::OK,
            title: "Your API key".to_owned(),
        };
        ScriptedPage { page, script: COPY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::samples;

    #[test]
    fn a_key_reads_only_unless_the_person_says_otherwise() {
        let html = samples::key_form();
        assert!(html.contains(r#"name="access" value="read" checked"#), "{html}");
        assert!(!html.contains(r#"value="read_write" checked"#));
    }

    #[test]
    fn the_secret_can_be_copied_without_a_script() {
        let html = samples::new_secret();
        assert!(html.contains(r#"<code id="secret" dir="ltr">nw_key_"#), "{html}");
        assert!(html.contains(r#"<button class="button small" type="button" data-copy hidden>"#));
        assert!(!COPY.contains("</"));
    }
}
