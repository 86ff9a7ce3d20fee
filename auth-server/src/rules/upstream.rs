//! Signing in through somebody else (OpenID Connect Core section 5): what a provider's claims say
//! about a person, and which account they open.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use shared::ids::{UserId, WorkspaceId};

use super::account::{check_email, check_name};

/// Who a provider says has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The address, and whether the provider vouches for it.
    pub(crate) email: Option<(String, bool)>,
    pub(crate) name: Option<String>,
    pub(crate) subject: String,
    /// Workspace and role, by the provider's claims.
    pub(crate) workspaces: BTreeMap<WorkspaceId, String>,
}

/// A claim that makes a person a member of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkspaceClaim {
    pub(crate) claim: String,
    pub(crate) role: String,
    pub(crate) value: String,
    pub(crate) workspace: WorkspaceId,
}

/// What opens for an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A new account.
    Create,
    /// An account that has the same address, from now on linked.
    Link(UserId),
    /// The account that is linked already.
    SignIn(UserId),
}

/// Why nothing opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAccount {
    #[error("nobody here has this account, and new accounts are made by an operator")]
    Closed,
    #[error("the provider does not vouch for the e-mail address, so no account is opened by it")]
    Unverified,
}

/// What is known here about an identity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The account with the same address.
    pub(crate) by_address: Option<UserId>,
    /// The account that this subject of this provider is linked with.
    pub(crate) linked: Option<UserId>,
}

/// Chooses the account. An address opens one only where the provider vouches for it: otherwise
/// anybody could take an account over by claiming its address elsewhere.
pub(crate) fn entry(identity: &Identity, known: Known, creates: bool) -> Result<Entry, NoAccount> {
    if let Some(linked) = known.linked {
        return Ok(Entry::SignIn(linked));
    }
    let vouched = identity.email.as_ref().is_some_and(|(_, verified)| *verified);
    match known.by_address {
        Some(account) if vouched => Ok(Entry::Link(account)),
        Some(_) => Err(NoAccount::Unverified),
        None if creates => Ok(Entry::Create),
        None => Err(NoAccount::Closed),
    }
}

/// Reads the claims of a verified ID token, with those of userinfo under them.
pub(crate) fn identity(
    subject: &str,
    claims: &Map<String, Value>,
    mapping: &[WorkspaceClaim],
) -> Identity {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::trim);
    let email = text("email").filter(|email| check_email(email).is_ok());
    // Some providers write booleans as strings; anything else is no promise.
    let verified = match claims.get("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(text)) => text == "true",
        _ => false,
    };
    let name = text("name").or_else(|| text("preferred_username"));
    let granted = mapping.iter().filter(|one| holds(claims.get(&one.claim), &one.value));
    Identity {
        email: email.map(|email| (email.to_owned(), verified)),
        name: name.filter(|name| check_name(name).is_ok()).map(str::to_owned),
        subject: subject.to_owned(),
        workspaces: granted.map(|one| (one.workspace.clone(), one.role.clone())).collect(),
    }
}

/// Whether a claim is the value, or a list with it.
fn holds(claim: Option<&Value>, value: &str) -> bool {
    match claim {
        Some(Value::String(text)) => text == value,
        Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(claims: &Value) -> Identity {
        let mapping = [WorkspaceClaim {
            claim: "groups".to_owned(),
            role: "member".to_owned(),
            value: "sales".to_owned(),
            workspace: WorkspaceId::parse("ws_acme").unwrap(),
        }];
        identity("s1", claims.as_object().unwrap(), &mapping)
    }

    fn id(text: &str) -> UserId {
        UserId::parse(text).unwrap()
    }

    #[test]
    fn an_address_counts_only_as_far_as_the_provider_vouches_for_it() {
        for (claims, verified) in [
            (serde_json::json!({"email": "a@b.example", "email_verified": true}), true),
            (serde_json::json!({"email": "a@b.example", "email_verified": "true"}), true),
            (serde_json::json!({"email": "a@b.example", "email_verified": false}), false),
            (serde_json::json!({"email": "a@b.example", "email_verified": 1}), false),
            (serde_json::json!({"email": "a@b.example"}), false),
        ] {
            let identity = read(&claims);
            assert_eq!(identity.email, Some(("a@b.example".to_owned(), verified)), "{claims}");
        }
        assert_eq!(
            read(&serde_json::json!({"email": "a@b@c", "email_verified": true})).email,
            None
        );
    }

    #[test]
    fn groups_become_workspaces_by_the_mapping_alone() {
        let acme = BTreeMap::from([(WorkspaceId::parse("ws_acme").unwrap(), "member".to_owned())]);
        assert_eq!(read(&serde_json::json!({"groups": ["x", "sales"]})).workspaces, acme);
        assert_eq!(read(&serde_json::json!({"groups": "sales"})).workspaces, acme);
        for claims in [serde_json::json!({"groups": "sales,x"}), serde_json::json!({"groups": 1})] {
            assert!(read(&claims).workspaces.is_empty(), "{claims}");
        }
    }

    #[test]
    fn an_unverified_address_never_opens_somebody_elses_account() {
        let identity = |verified| Identity {
            email: Some(("a@b.example".to_owned(), verified)),
            name: None,
            subject: "s".to_owned(),
            workspaces: BTreeMap::new(),
        };
        let known = |linked: Option<&str>, by_address: Option<&str>| Known {
            by_address: by_address.map(id),
            linked: linked.map(id),
        };
        let (one, two) = (Some("usr_1"), Some("usr_2"));
        let cases = [
            (false, known(one, two), false, Ok(Entry::SignIn(id("usr_1")))),
            (true, known(None, two), false, Ok(Entry::Link(id("usr_2")))),
            (false, known(None, two), true, Err(NoAccount::Unverified)),
            (true, known(None, None), true, Ok(Entry::Create)),
            (false, known(None, None), true, Ok(Entry::Create)),
            (true, known(None, None), false, Err(NoAccount::Closed)),
        ];
        for (verified, known, creates, expected) in cases {
            assert_eq!(entry(&identity(verified), known.clone(), creates), expected, "{known:?}");
        }
    }
}
