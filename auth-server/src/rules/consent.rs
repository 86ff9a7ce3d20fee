//! Request plus the person's choice gives a grant: every part of it is an intersection, so that
//! a form can only narrow.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::{
    ids::{ClientId, UserId, WorkspaceId},
    resource::ResourceIndicator,
    scope::Scope,
    time::Timestamp,
};

use super::{authorization_request::AuthorizationRequest, scope, terms::Terms};

/// What a person granted to a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) client: ClientId,
    /// The scopes that belong to no resource: of OpenID Connect, and `offline_access`.
    pub(crate) identity: Scope,
    /// What may be done at each resource; none is empty. A grant without any only signs in.
    pub(crate) scopes: BTreeMap<ResourceIndicator, Scope>,
    /// When the person signed in, for clients that are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signed_in: Option<Timestamp>,
    pub(crate) user: UserId,
    pub(crate) workspaces: BTreeSet<WorkspaceId>,
}

/// What the person ticked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// By resource: scopes of the same name at two resources are two choices.
    pub(crate) scopes: BTreeMap<ResourceIndicator, Scope>,
    /// Of the scopes that belong to no resource.
    pub(crate) identity: Scope,
    pub(crate) workspaces: BTreeSet<WorkspaceId>,
}

/// Why a choice gives no grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EmptyChoice {
    #[error("choose at least one thing the application may do, or deny")]
    Scope,
    #[error("choose at least one workspace, or deny")]
    Workspace,
    #[error("you are not a member of a workspace you chose")]
    WorkspaceForeign,
    #[error("choose one workspace only: the application works in one")]
    WorkspaceSeveral,
}

/// The grant of a request and a choice. Choosing a workspace one is not a member of is refused.
pub(crate) fn grant(
    request: &AuthorizationRequest,
    user: &UserId,
    memberships: &BTreeSet<WorkspaceId>,
    choice: &Choice,
    single_workspace: bool,
) -> Result<Grant, EmptyChoice> {
    if !choice.workspaces.is_subset(memberships) {
        return Err(EmptyChoice::WorkspaceForeign);
    }
    let narrowed = request
        .scopes
        .iter()
        .filter_map(|(resource, asked)| Some((resource, asked, choice.scopes.get(resource)?)))
        .map(|(resource, asked, chosen)| (resource.clone(), asked.intersect(chosen)));
    let scopes: BTreeMap<_, _> = narrowed.filter(|(_, scope)| !scope.is_empty()).collect();
    // Only scopes of OpenID Connect are on the page; offline_access goes without saying.
    let refused = scope::openid().without(&choice.identity);
    let identity = scope::identity(&request.identity.without(&refused));
    if scopes.is_empty() && !identity.contains("openid") {
        return Err(EmptyChoice::Scope);
    }
    let needs_workspace = !scopes.is_empty() && !memberships.is_empty();
    if choice.workspaces.is_empty() && needs_workspace {
        return Err(EmptyChoice::Workspace);
    }
    if single_workspace && choice.workspaces.len() > 1 {
        return Err(EmptyChoice::WorkspaceSeveral);
    }
    Ok(Grant {
        client: request.client.clone(),
        identity,
        scopes,
        signed_in: None,
        user: user.clone(),
        workspaces: choice.workspaces.clone(),
    })
}

impl Choice {
    /// Reads the form's values, as [`form_value`] wrote them.
    pub(crate) fn read<'a>(
        request: &AuthorizationRequest,
        scopes: impl Iterator<Item = &'a str>,
        workspaces: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut chosen: BTreeMap<ResourceIndicator, Vec<&str>> = BTreeMap::new();
        let mut identity = Vec::new();
        for value in scopes {
            if request.identity.contains(value) {
                identity.push(value);
                continue;
            }
            let (name, scope) =
                value.split_once(' ').map_or((None, value), |(name, scope)| (Some(name), scope));
            let mut having = request.scopes.iter().filter(|(resource, asked)| {
                asked.contains(scope) && name.is_none_or(|name| resource.as_str() == name)
            });
            // A name that two resources have chooses neither.
            if let (Some((resource, _)), None) = (having.next(), having.next()) {
                chosen.entry(resource.clone()).or_default().push(scope);
            }
        }
        let scope = |tokens: Vec<&str>| Scope::from_tokens(tokens).unwrap_or_default();
        Self {
            identity: scope(identity),
            scopes: chosen.into_iter().map(|(name, tokens)| (name, scope(tokens))).collect(),
            workspaces: workspaces.filter_map(|value| WorkspaceId::parse(value).ok()).collect(),
        }
    }

    /// Whether a scope of a resource was ticked.
    pub(crate) fn has(&self, resource: &ResourceIndicator, scope: &str) -> bool {
        let chosen = self.scopes.get(resource).is_some_and(|chosen| chosen.contains(scope));
        chosen || self.identity.contains(scope)
    }
}

/// The form's value for a scope of a resource: the resource stands before it, and a space, where
/// another one has a scope of the same name.
pub(crate) fn form_value(
    request: &AuthorizationRequest,
    resource: &ResourceIndicator,
    scope: &str,
) -> String {
    let having = request.scopes.values().filter(|asked| asked.contains(scope)).count();
    if having > 1 { format!("{resource} {scope}") } else { scope.to_owned() }
}

impl Grant {
    /// Its scopes alone.
    pub(crate) fn terms(&self) -> Terms {
        Terms { identity: self.identity.clone(), scopes: self.scopes.clone() }
    }

    /// The resources it is for.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &ResourceIndicator> {
        self.scopes.keys()
    }

    /// Every scope of every resource, for people and logs; never for a token.
    pub(crate) fn all_scopes(&self) -> Scope {
        self.scopes.values().fold(self.identity.clone(), |all, scope| all.union(scope))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        rules::{params::Params, redirect_uri::RedirectTarget},
        testing,
    };

    const BASE: &str = "response_type=code&code_challenge_method=S256\
                        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn request(scope: &str) -> AuthorizationRequest {
        let params = Params::parse(format!("{BASE}&scope={scope}").as_bytes()).unwrap();
        let target = RedirectTarget::find(&["https://app.example/cb".to_owned()], None).unwrap();
        let client = ClientId::parse("app").unwrap();
        let deployment = testing::deployment();
        super::super::authorization_request::check(&params, &client, target, &deployment).unwrap()
    }

    fn give(request: &AuthorizationRequest, scope: &str, workspace: bool) -> Option<Grant> {
        let user = UserId::parse("usr_1").unwrap();
        let all = BTreeSet::from([WorkspaceId::parse("ws").unwrap()]);
        let workspaces = if workspace { &["ws"][..] } else { &[] };
        let choice = Choice::read(request, scope.split(' '), workspaces.iter().copied());
        grant(request, &user, &all, &choice, false).ok()
    }

    #[test]
    fn a_sign_in_needs_no_workspace_and_a_resource_does() {
        let signs_in = request("openid+profile");
        assert!(give(&signs_in, "openid", false).unwrap().scopes.is_empty());
        assert_eq!(give(&signs_in, "profile", false), None);
        let both = request("openid+contacts:read");
        assert_eq!(give(&both, "openid contacts:read", false), None);
        assert!(give(&both, "contacts:read", true).unwrap().identity.is_empty());
    }

    proptest! {
        #[test]
        fn a_form_can_only_narrow(asked in any::<[bool; 7]>(), ticked in any::<[bool; 7]>()) {
            const ALL: [&str; 7] = [
                "contacts:read", "contacts:write", "email", "offline_access", "openid", "profile",
                "unknown",
            ];
            let words = |these: [bool; 7]| {
                let chosen = ALL.iter().zip(these).filter(|(_, chosen)| *chosen);
                chosen.map(|(word, _)| *word).collect::<Vec<_>>()
            };
            let asked = format!("contacts:read+{}", words(asked).join("+"));
            let request = request(&asked);
            let Some(grant) = give(&request, &words(ticked).join(" "), true) else { return Ok(()) };
            prop_assert!(request.identity.includes(&grant.identity));
            for (resource, scope) in &grant.scopes {
                prop_assert!(request.scopes[resource].includes(scope) && !scope.is_empty());
            }
            let ticked = Scope::parse(&words(ticked).join(" ")).unwrap();
            let unticked = grant.all_scopes().without(&ticked);
            prop_assert!(unticked.is_empty() || unticked.to_string() == "offline_access");
            let tells = grant.identity.contains("email") || grant.identity.contains("profile");
            prop_assert!(!tells || grant.identity.contains("openid"));
        }
    }
}
