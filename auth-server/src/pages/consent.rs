//! The consent page: who asks for what, in which workspaces, and where the answer goes.

use askama::Template;
use http::StatusCode;
use shared::{deployment::ScopeKind, scope::is_wildcard};
use web::page::{FormTarget, Html, Page, plain_text};

use super::NAME_LIMIT;

/// What the consent page shows. The form posts `scope` and `workspace` for what is ticked,
/// `sign_out_older=yes`, and `decision=approve|deny`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConsentPage {
    /// Where the form is posted, as a path of this origin.
    pub(crate) action: String,
    pub(crate) brand: String,
    /// The host that published the client's metadata, if it was fetched from there.
    pub(crate) client_host: Option<String>,
    /// The name the client gave itself.
    pub(crate) client_name: String,
    /// What is wrong with the choice that was sent.
    pub(crate) error: Option<String>,
    pub(crate) hidden: Vec<(String, String)>,
    /// The redirect URI leads to this machine.
    pub(crate) loopback: bool,
    /// Where grants are listed and taken back, if there is such a page.
    pub(crate) manage_url: Option<String>,
    /// An older connection of the same client that may be ended, as a sentence.
    pub(crate) older_connection: Option<String>,
    /// The redirect URI has a scheme of its own, which any installed app may claim.
    pub(crate) private_scheme: bool,
    /// Host and port, or scheme, of the redirect URI.
    pub(crate) redirect_host: String,
    /// How long ago the client registered itself, such as `3 minutes ago`; `None` with no
    /// `client_host` means that an operator added it.
    pub(crate) registered_ago: Option<String>,
    pub(crate) resource_name: String,
    pub(crate) scopes: Vec<ScopeChoice>,
    /// Exactly one workspace can be chosen.
    pub(crate) single_workspace: bool,
    pub(crate) user_name: String,
    pub(crate) workspaces: Vec<WorkspaceChoice>,
}

/// A scope that can be given or kept.
#[derive(Clone, Debug)]
pub(crate) struct ScopeChoice {
    pub(crate) checked: bool,
    /// More about it, possibly empty.
    pub(crate) detail: String,
    pub(crate) kind: ScopeKind,
    /// What it allows, in words: `See your contacts`.
    pub(crate) label: String,
    /// The scope itself; choices with the same text before the last `:` or `.` stand together.
    pub(crate) name: String,
    /// The name of its resource, where there are several; otherwise empty.
    pub(crate) resource: String,
    /// What the form says for it.
    pub(crate) value: String,
}

/// A workspace that can be opened to the client.
#[derive(Clone, Debug)]
pub(crate) struct WorkspaceChoice {
    pub(crate) checked: bool,
    pub(crate) name: String,
    /// The person's role there, such as `admin`; possibly empty.
    pub(crate) role: String,
    pub(crate) value: String,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct Body<'a> {
    client_name: String,
    initial: String,
    page: &'a ConsentPage,
    resources: Vec<ResourceGroup<'a>>,
    /// No scope deletes, so there is no third column.
    two_columns: bool,
}

/// The scopes of one resource.
#[derive(Debug)]
struct ResourceGroup<'a> {
    groups: Vec<ScopeGroup<'a>>,
    /// Empty where there is only one resource.
    name: &'a str,
}

/// The scopes of one module.
#[derive(Debug)]
pub(super) struct ScopeGroup<'a> {
    pub(super) choices: Vec<&'a ScopeChoice>,
    pub(super) name: String,
}

impl ConsentPage {
    /// The page as it is sent; `form_target` covers the client's redirect URI.
    pub(crate) fn page(&self, form_target: FormTarget) -> Page {
        let client_name = plain_text(&self.client_name, NAME_LIMIT);
        let initial = client_name.chars().find(|c| c.is_alphanumeric()).unwrap_or('?');
        let body = Html::template(&Body {
            client_name,
            initial: initial.to_uppercase().to_string(),
            page: self,
            resources: by_resource(&self.scopes),
            two_columns: !self.scopes.iter().any(ScopeChoice::deletes),
        });
        let title = format!("Access to {}", self.resource_name);
        Page { body, brand: self.brand.clone(), form_target, status: StatusCode::OK, title }
    }
}

impl ScopeChoice {
    pub(super) fn deletes(&self) -> bool {
        self.kind == ScopeKind::Delete
    }

    /// The name of its column.
    pub(super) fn column(&self) -> &'static str {
        match self.kind {
            ScopeKind::Delete => "delete",
            ScopeKind::Read => "read",
            ScopeKind::Write => "write",
        }
    }
}

/// What a wildcard covers, in words; empty for any other scope.
pub(crate) fn coverage(scope: &str) -> String {
    match scope.strip_suffix('*').filter(|_| is_wildcard(scope)) {
        Some("") => "Every scope there is, and those that are added later.".to_owned(),
        Some(domain) => {
            format!("Every scope that begins with {domain}, and those that are added later.")
        }
        None => String::new(),
    }
}

/// Resources in the order in which their first scope comes.
fn by_resource(scopes: &[ScopeChoice]) -> Vec<ResourceGroup<'_>> {
    let mut names: Vec<&str> = Vec::new();
    for scope in scopes {
        if !names.contains(&scope.resource.as_str()) {
            names.push(&scope.resource);
        }
    }
    let of = |name: &str| grouped(scopes.iter().filter(|scope| scope.resource == name));
    names.into_iter().map(|name| ResourceGroup { groups: of(name), name }).collect()
}

/// Groups in the order in which their first scope comes.
pub(super) fn grouped<'a>(scopes: impl Iterator<Item = &'a ScopeChoice>) -> Vec<ScopeGroup<'a>> {
    let mut groups: Vec<ScopeGroup<'_>> = Vec::new();
    for scope in scopes {
        let name = module(&scope.name);
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.choices.push(scope),
            None => groups.push(ScopeGroup { choices: vec![scope], name }),
        }
    }
    groups
}

/// `deal_notes:read` belongs to `Deal notes`.
fn module(scope: &str) -> String {
    let Some((module, _)) = scope.rsplit_once([':', '.']) else { return "General".to_owned() };
    let words = module.replace(['_', '-', ':', '.'], " ");
    let mut letters = words.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    first.chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::samples;

    #[test]
    fn the_page_says_who_asks_and_where_the_answer_goes() {
        let html = samples::consent_loopback();
        assert!(html.contains("unverified, registered itself 3 minutes ago"), "{html}");
        assert!(html.contains("<bdi>127.0.0.1:33418</bdi>"));
        assert!(html.contains("a program on this computer"));
        assert!(!html.contains("verified</span>"));
    }

    #[test]
    fn a_verified_client_shows_its_host_and_no_warning() {
        let html = samples::consent_verified();
        assert!(html.contains("<bdi>claude.ai</bdi>, verified"));
        assert!(!html.contains("unverified") && !html.contains("on this computer"));
    }

    #[test]
    fn scopes_stand_together_by_module_with_those_ticked_that_were_asked() {
        let html = samples::consent_loopback();
        assert_eq!(html.matches("<h3>Contacts</h3>").count(), 1);
        assert!(html.contains(r#"name="scope" value="contacts:read" checked"#));
        assert!(html.contains(r#"name="scope" value="contacts:delete">"#));
        assert_eq!(module("deal_notes:read"), "Deal notes");
        assert_eq!(module("openid"), "General");
    }

    #[test]
    fn a_wildcard_says_that_it_covers_what_comes_later() {
        for (scope, words) in [
            ("*", "Every scope there is, and those that are added later."),
            ("deals:*", "Every scope that begins with deals:, and those that are added later."),
            ("deals:read", ""),
            ("deals*", ""),
        ] {
            assert_eq!(coverage(scope), words, "{scope}");
        }
        let choice = ScopeChoice {
            checked: true,
            detail: coverage("deals:*"),
            kind: ScopeKind::Delete,
            label: "Everything about deals".to_owned(),
            name: "deals:*".to_owned(),
            resource: String::new(),
            value: "deals:*".to_owned(),
        };
        let html = samples::consent_with(vec![choice]);
        let shown = "Everything about deals<small>Every scope that begins with deals:, and those";
        assert!(html.contains(shown), "{html}");
    }

    #[test]
    fn one_workspace_is_a_choice_and_several_are_ticks() {
        assert!(samples::consent_loopback().contains(r#"type="checkbox" name="workspace""#));
        assert!(samples::consent_verified().contains(r#"type="radio" name="workspace""#));
    }

    #[test]
    fn the_first_button_denies_so_that_a_stray_key_grants_nothing() {
        let html = samples::consent_loopback();
        let (deny, approve) = (html.find(r#"value="deny""#), html.find(r#"value="approve""#));
        assert!(deny.unwrap() < approve.unwrap());
    }

    #[test]
    fn names_cannot_bring_markup_or_turn_the_text_around() {
        let html = samples::consent_hostile();
        assert!(!html.contains("<img") && !html.contains('\u{202e}'), "{html}");
    }
}
