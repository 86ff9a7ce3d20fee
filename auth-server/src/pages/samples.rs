//! Every page with made-up values, for the tests; each is also written to `target/pages` to be
//! looked at in a browser.

use http::StatusCode;
use shared::deployment::ScopeKind;
use web::page::{FormTarget, Page};

use super::{
    account::{AccountPage, ConnectedApp, KeyRow, SessionRow},
    api_key::{KeyForm, NewSecret},
    confirm::ConfirmPage,
    consent::{ConsentPage, ScopeChoice, WorkspaceChoice},
    error::ErrorPage,
    notice::NoticePage,
    password::PasswordPage,
    sign_in::{Asker, SignInPage},
};

const BRAND: &str = "Northwind CRM";

pub(crate) fn sign_in() -> String {
    document(&sign_in_page().page(StatusCode::OK, FormTarget::OwnOrigin))
}

pub(crate) fn sign_in_refused() -> String {
    let page = SignInPage {
        error: Some("That user name and password do not fit together. Try again.".to_owned()),
        username: "demo@example.com".to_owned(),
        ..sign_in_page()
    };
    document(&page.page(StatusCode::UNAUTHORIZED, FormTarget::OwnOrigin))
}

fn sign_in_page() -> SignInPage {
    SignInPage {
        action: "/sign-in".to_owned(),
        brand: BRAND.to_owned(),
        asker: Some(Asker { name: "Claude".to_owned(), redirect_host: "claude.ai".to_owned() }),
        error: None,
        hidden: vec![("ticket".to_owned(), "t\"1".to_owned())],
        upstreams: vec![("Northwind".to_owned(), "/login/northwind?request=r".to_owned())],
        username: String::new(),
    }
}

pub(crate) fn consent_loopback() -> String {
    document(&consent_page(&["contacts", "deals"]).page(FormTarget::OwnOrigin))
}

pub(crate) fn consent_verified() -> String {
    let page = ConsentPage {
        client_host: Some("claude.ai".to_owned()),
        loopback: false,
        manage_url: None,
        older_connection: None,
        redirect_host: "claude.ai".to_owned(),
        registered_ago: None,
        single_workspace: true,
        ..consent_page(&[])
    };
    document(&page.page(FormTarget::OwnOrigin))
}

pub(crate) fn consent_hostile() -> String {
    let long = "كلود المتصل 顧客管理コネクタ ".repeat(6);
    let page = ConsentPage {
        client_name: format!("<img src=x onerror=alert(1)> \u{202e}edualC {long}"),
        loopback: false,
        older_connection: None,
        private_scheme: true,
        redirect_host: "cursor://anysphere.cursor-mcp/oauth/".to_owned()
            + &"averyveryverylongpath".repeat(5),
        resource_name: "ارتباط با مشتریان".to_owned(),
        user_name: "سارا محمدی".to_owned(),
        workspaces: vec![
            workspace("1", "متجر الرياض الإلكتروني", "مالك"),
            workspace("2", "株式会社ノースウインド・トレーディング東日本営業本部", "admin"),
            workspace("3", &"Llanfairpwllgwyngyll".repeat(4), "member"),
        ],
        ..consent_page(&["contacts", "deals"])
    };
    document(&page.page(FormTarget::OwnOrigin))
}

pub(crate) fn consent_with(scopes: Vec<ScopeChoice>) -> String {
    document(&ConsentPage { scopes, ..consent_page(&[]) }.page(FormTarget::OwnOrigin))
}

fn consent_page(deletable: &[&str]) -> ConsentPage {
    let mut scopes = Vec::new();
    for module in ["contacts", "companies", "deals", "tasks", "notes"] {
        scopes.push(scope(module, "read", ScopeKind::Read, format!("See your {module}")));
        scopes.push(scope(module, "write", ScopeKind::Write, format!("Add and change {module}")));
        if deletable.contains(&module) {
            let label = format!("Delete {module}");
            let delete = scope(module, "delete", ScopeKind::Delete, label);
            scopes.push(ScopeChoice { checked: false, ..delete });
        }
    }
    ConsentPage {
        error: None,
        action: "/consent".to_owned(),
        brand: BRAND.to_owned(),
        client_host: None,
        client_name: "Claude Code".to_owned(),
        hidden: vec![("ticket".to_owned(), "sealed".to_owned())],
        loopback: true,
        manage_url: Some("/account".to_owned()),
        older_connection: Some("Claude Code, last used 2 days ago on this network.".to_owned()),
        private_scheme: false,
        redirect_host: "127.0.0.1:33418".to_owned(),
        registered_ago: Some("3 minutes ago".to_owned()),
        resource_name: "Northwind CRM data".to_owned(),
        scopes,
        single_workspace: false,
        user_name: "demo@example.com".to_owned(),
        workspaces: vec![
            workspace("1", "Northwind Sales", "owner"),
            workspace("2", "Northwind Support", "member"),
        ],
    }
}

fn scope(module: &str, verb: &str, kind: ScopeKind, label: String) -> ScopeChoice {
    ScopeChoice {
        checked: true,
        detail: String::new(),
        kind,
        label,
        name: format!("{module}:{verb}"),
        resource: String::new(),
        value: format!("{module}:{verb}"),
    }
}

fn workspace(value: &str, name: &str, role: &str) -> WorkspaceChoice {
    WorkspaceChoice {
        checked: true,
        name: name.to_owned(),
        role: role.to_owned(),
        value: value.to_owned(),
    }
}

pub(crate) fn error() -> String {
    let page = ErrorPage {
        brand: BRAND.to_owned(),
        code: "invalid_redirect_uri".to_owned(),
        details: vec![
            ("redirect_uri".to_owned(), "https://evil.example/<b>".to_owned()),
            ("client_id".to_owned(), "c_4fU7nVbXy2kQm8sLw0Z9aRtEoP3dGhJ".to_owned()),
            ("Request".to_owned(), "req_01J9Z4".to_owned()),
        ],
        hint: "Start again from the app. If it happens again, tell the app's maker that the \
               redirect URI must be one that the app registered."
            .to_owned(),
        link: None,
        message: "The app asked to send the answer to an address that it never registered, so \
                  nothing was sent there."
            .to_owned(),
        title: "This sign-in cannot go on".to_owned(),
    };
    document(&page.page(StatusCode::BAD_REQUEST))
}

pub(crate) fn denied() -> String {
    let link = "https://claude.ai/cb?error=access_denied&state=1".to_owned();
    let page = NoticePage {
        brand: BRAND.to_owned(),
        link: Some((link, "Go back to claude.ai".to_owned())),
        message: "Claude got no access. You can go back to it and tell it so.".to_owned(),
        title: "Nothing was allowed".to_owned(),
    };
    document(&page.page(StatusCode::OK))
}

pub(crate) fn signed_out() -> String {
    let page = NoticePage {
        brand: BRAND.to_owned(),
        link: None,
        message: "You are signed out on this browser. Connected apps stay connected.".to_owned(),
        title: "Signed out".to_owned(),
    };
    document(&page.page(StatusCode::OK))
}

pub(crate) fn account() -> String {
    let app = ConnectedApp {
        connected: "12 October 2026".to_owned(),
        host: Some("claude.ai".to_owned()),
        id: "fam1".to_owned(),
        last_used: "3 minutes ago".to_owned(),
        name: "Claude".to_owned(),
        resources: "Northwind CRM".to_owned(),
        scopes: vec!["See your contacts".to_owned(), "Add and change contacts".to_owned()],
        workspaces: "Acme GmbH, Globex Corporation".to_owned(),
        ..ConnectedApp::default()
    };
    let long = "كلود المتصل 顧客管理コネクタ ".repeat(6);
    let key = KeyRow {
        created: "1 November 2026".to_owned(),
        expires: Some("30 January 2027".to_owned()),
        hint: "nw_key_3fA9".to_owned(),
        id: "key1".to_owned(),
        last_used: Some("2 hours ago".to_owned()),
        name: "Nightly report".to_owned(),
        range: "Read only".to_owned(),
        resource: "Northwind CRM".to_owned(),
        scopes: vec!["See your contacts".to_owned()],
        workspaces: "Acme GmbH".to_owned(),
    };
    let session = SessionRow {
        agent: "Firefox on Linux".to_owned(),
        id: "ses1".to_owned(),
        is_this: true,
        last_seen: "a moment ago".to_owned(),
        network: "this computer".to_owned(),
        signed_in: "2 hours ago".to_owned(),
    };
    let page = AccountPage {
        apps: vec![
            app.clone(),
            ConnectedApp {
                contested: true,
                host: None,
                is_unverified: true,
                name: format!("<b>\u{202e}{long}"),
                ..app
            },
        ],
        change_password: Some("/account/password".to_owned()),
        confirm: "/account/confirm".to_owned(),
        done: Some("The API key is revoked.".to_owned()),
        keys: vec![key.clone(), KeyRow { expires: None, last_used: None, ..key }],
        sessions: vec![
            session.clone(),
            SessionRow {
                id: "ses2".to_owned(),
                is_this: false,
                network: "203.0.113.0/24".to_owned(),
                ..session
            },
        ],
        ..account_page()
    };
    document(&page.page())
}

pub(crate) fn account_empty() -> String {
    document(&account_page().page())
}

fn account_page() -> AccountPage {
    AccountPage {
        brand: BRAND.to_owned(),
        hidden: vec![("ticket".to_owned(), "sealed".to_owned())],
        makes_keys: vec![("Northwind CRM".to_owned(), "/account/keys/new".to_owned())],
        sign_out: "/logout".to_owned(),
        user_name: "Dana Demo".to_owned(),
        username: "demo@example.com".to_owned(),
        ..AccountPage::default()
    }
}

pub(crate) fn confirm() -> String {
    let page = ConfirmPage {
        action: "/account".to_owned(),
        brand: BRAND.to_owned(),
        button: "Revoke the key".to_owned(),
        cancel: "/account".to_owned(),
        hidden: vec![],
        is_final: true,
        message: "Whatever uses it is refused from that moment on.".to_owned(),
        offers_overlap: true,
        title: "Revoke “Nightly report”?".to_owned(),
    };
    document(&page.page())
}

pub(crate) fn password() -> String {
    let page = PasswordPage {
        action: "/account/password".to_owned(),
        brand: BRAND.to_owned(),
        cancel: "/account".to_owned(),
        error: Some("That is not your current password.".to_owned()),
        hidden: vec![],
        username: "demo@example.com".to_owned(),
    };
    document(&page.page(StatusCode::BAD_REQUEST))
}

pub(crate) fn key_form() -> String {
    let consent = consent_page(&["contacts", "deals"]);
    let page = KeyForm {
        access: "read".to_owned(),
        action: "/account/keys".to_owned(),
        brand: BRAND.to_owned(),
        cancel: "/account".to_owned(),
        days: "90".to_owned(),
        resource_name: "Northwind CRM".to_owned(),
        scopes: consent.scopes,
        workspaces: consent.workspaces,
        ..KeyForm::default()
    };
    document(&page.page())
}

pub(crate) fn new_secret() -> String {
    let page = NewSecret {
        brand: BRAND.to_owned(),
        done: "/account".to_owned(),
        name: "Nightly report".to_owned(),
        overlap: Some("until 22 November 2026".to_owned()),
        secret: "nw_key_".to_owned() + &"aB3dE5gH7".repeat(5) + "xY12",
        url: "http://localhost:7400/mcp".to_owned(),
    };
    document(&page.page().page)
}

fn document(page: &Page) -> String {
    page.document().into_string()
}

#[test]
fn the_pages_can_be_looked_at() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/pages");
    std::fs::create_dir_all(folder).unwrap();
    for (name, html) in [
        ("account", account()),
        ("account_empty", account_empty()),
        ("confirm", confirm()),
        ("consent_hostile", consent_hostile()),
        ("consent_loopback", consent_loopback()),
        ("consent_verified", consent_verified()),
        ("denied", denied()),
        ("error", error()),
        ("key_form", key_form()),
        ("new_secret", new_secret()),
        ("password", password()),
        ("sign_in", sign_in()),
        ("sign_in_refused", sign_in_refused()),
        ("signed_out", signed_out()),
    ] {
        std::fs::write(format!("{folder}/{name}.html"), html).unwrap();
    }
}
