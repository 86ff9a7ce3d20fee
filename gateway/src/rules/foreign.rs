//! What the claims of another issuer's token mean here: nothing but what the operator says that
//! this issuer may assert (RFC 9068 section 4).

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use shared::{
    ids::{ClientId, WorkspaceId},
    scope::Scope,
};

use crate::rules::violation::BearerViolation;

/// What an issuer may say, and in which words.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    /// One of these must be in `aud`.
    pub(crate) audience: String,
    pub(crate) client_claim: String,
    /// Its scopes by ours, where they have other names.
    pub(crate) scope_map: BTreeMap<String, String>,
    pub(crate) scope_claim: String,
    /// The scopes it may give.
    pub(crate) scopes: Scope,
    pub(crate) subject_claim: String,
    /// Its names of workspaces by ours, where they have other ones.
    pub(crate) workspace_map: BTreeMap<String, WorkspaceId>,
    /// Where the workspaces are; without it there are none.
    pub(crate) workspaces_claim: Option<String>,
    /// The workspaces it may give.
    pub(crate) workspaces: Assertable,
}

/// The workspaces an issuer may give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assertable {
    All,
    Listed(Vec<WorkspaceId>),
}

/// What a token says, in our words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) client: ClientId,
    /// Whether the client acts of its own accord.
    pub(crate) is_client: bool,
    pub(crate) scope: Scope,
    pub(crate) subject: String,
    pub(crate) workspaces: Vec<WorkspaceId>,
}

/// More workspaces than any token of ours names.
const MOST_WORKSPACES: usize = 256;

impl Mapping {
    /// Refuses claims that are for somebody else. Unverified claims may only refuse.
    pub(crate) fn refuse(&self, claims: &Map<String, Value>) -> Result<(), BearerViolation> {
        let is_ours = match claims.get("aud") {
            Some(Value::String(one)) => *one == self.audience,
            Some(Value::Array(all)) => {
                all.iter().any(|one| one.as_str() == Some(self.audience.as_str()))
            }
            _ => false,
        };
        if !is_ours {
            return Err(BearerViolation::Audience);
        }
        // As a bearer token it would open to a thief what its issuer tied to one client.
        if claims.contains_key("cnf") { Err(BearerViolation::Bound) } else { Ok(()) }
    }

    /// The claims in our words. What the issuer may not assert is left out, as if it did not say
    /// so.
    pub(crate) fn map(&self, claims: &Map<String, Value>) -> Result<Mapped, BearerViolation> {
        self.refuse(claims)?;
        let text = |name: &str| find(claims, name).and_then(Value::as_str);
        let subject = text(&self.subject_claim).filter(|text| is_name(text));
        let subject = subject.ok_or(BearerViolation::Malformed)?.to_owned();
        let client = text(&self.client_claim).and_then(|text| ClientId::parse(text).ok());
        let client = client.ok_or(BearerViolation::Malformed)?;
        let given = find(claims, &self.scope_claim).map(names).unwrap_or_default();
        let given = given.iter().flat_map(|text| text.split(' ')).filter(|name| !name.is_empty());
        let ours = given.map(|name| self.scope_map.get(name).map_or(name, String::as_str));
        let ours = ours.filter(|name| self.scopes.contains(name));
        let scope = Scope::from_tokens(ours).map_err(|_| BearerViolation::Malformed)?;
        let workspaces = self.workspaces_claim.as_ref().and_then(|name| find(claims, name));
        let mut workspaces: Vec<WorkspaceId> = workspaces
            .map(names)
            .unwrap_or_default()
            .iter()
            .filter_map(|name| match self.workspace_map.get(name) {
                Some(own) => Some(own.clone()),
                None => WorkspaceId::parse(name).ok(),
            })
            .filter(|workspace| match &self.workspaces {
                Assertable::All => true,
                Assertable::Listed(all) => all.contains(workspace),
            })
            .take(MOST_WORKSPACES)
            .collect();
        workspaces.sort();
        workspaces.dedup();
        let is_client = subject == client.as_str();
        Ok(Mapped { client, is_client, scope, subject, workspaces })
    }
}

/// A claim by its name, or by names with `/` between them for one inside another. A claim whose
/// name is a URL is found by that first.
fn find<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut parts = name.split('/');
    let mut value = claims.get(parts.next()?)?;
    for part in parts {
        value = value.as_object()?.get(part)?;
    }
    Some(value)
}

/// The texts of a claim: one, or a list; whole numbers are their decimal form.
fn names(value: &Value) -> Vec<String> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => number.as_u64().map(|number| number.to_string()),
        _ => None,
    };
    match value {
        Value::Array(all) => all.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mapping() -> Mapping {
        Mapping {
            audience: "api://crm".to_owned(),
            client_claim: "azp".to_owned(),
            scope_map: BTreeMap::from([("crm.read".to_owned(), "contacts:read".to_owned())]),
            scope_claim: "scp".to_owned(),
            scopes: Scope::parse("contacts:read contacts:write").unwrap(),
            subject_claim: "sub".to_owned(),
            workspace_map: BTreeMap::from([(
                "7".to_owned(),
                WorkspaceId::parse("ws_acme").unwrap(),
            )]),
            workspaces_claim: Some("org/ids".to_owned()),
            workspaces: Assertable::Listed(
                ["ws_acme", "ws_beta"].map(|id| WorkspaceId::parse(id).unwrap()).to_vec(),
            ),
        }
    }

    fn mapped(change: &Value) -> Result<Mapped, BearerViolation> {
        let mut claims = json!({ "aud": ["api://crm", "other"], "azp": "app", "sub": "u|1" });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        mapping().map(claims.as_object().unwrap())
    }

    #[test]
    fn an_issuer_gives_what_it_may_and_nothing_else() {
        for (scp, org, scope, workspaces) in [
            (
                json!("crm.read admin"),
                json!({ "ids": [7, "ws_beta", "ws_other"] }),
                "contacts:read",
                vec!["ws_acme", "ws_beta"],
            ),
            (
                json!(["contacts:write", "*"]),
                json!({ "ids": "ws_beta" }),
                "contacts:write",
                vec!["ws_beta"],
            ),
            (
                json!("contacts:delete"),
                json!({ "ids": ["ws_beta", "ws_beta", null, {}] }),
                "",
                vec!["ws_beta"],
            ),
            (json!(null), json!("ws_beta"), "", vec![]),
            (json!(7), json!({}), "", vec![]),
        ] {
            let found = mapped(&json!({ "scp": scp, "org": org })).unwrap();
            assert_eq!(found.scope, Scope::parse(scope).unwrap(), "{scp}");
            let ids: Vec<&str> = found.workspaces.iter().map(WorkspaceId::as_str).collect();
            assert_eq!(ids, workspaces, "{org}");
            assert!(!found.is_client);
        }
        assert!(mapped(&json!({ "azp": "u|1" })).unwrap().is_client);
    }

    #[test]
    fn claims_for_others_or_without_a_subject_are_refused() {
        for (change, violation) in [
            (json!({ "aud": "other" }), BearerViolation::Audience),
            (json!({ "aud": [] }), BearerViolation::Audience),
            (json!({ "aud": null }), BearerViolation::Audience),
            (json!({ "aud": "api://crm/" }), BearerViolation::Audience),
            (json!({ "cnf": { "jkt": "x" } }), BearerViolation::Bound),
            (json!({ "sub": "" }), BearerViolation::Malformed),
            (json!({ "sub": "two words" }), BearerViolation::Malformed),
            (json!({ "sub": 7 }), BearerViolation::Malformed),
            (json!({ "azp": null }), BearerViolation::Malformed),
        ] {
            assert_eq!(mapped(&change).unwrap_err(), violation, "{change}");
        }
    }
}
