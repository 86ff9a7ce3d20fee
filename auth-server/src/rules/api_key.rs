//! An API key: what a person freezes into it when it is made, and what is left of that at each
//! use. Both are intersections, so that neither a form nor a later change can widen it.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use shared::{
    deployment::{Resource, ScopeKind, WorkspaceMode},
    ids::{ApiKeyId, UserId, WorkspaceId},
    resource::ResourceIndicator,
    scope::Scope,
    secret::SecretHash,
    time::Timestamp,
};

/// An API key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ApiKey {
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    /// How its newest secret begins, to tell keys apart.
    pub(crate) hint: String,
    pub(crate) id: ApiKeyId,
    pub(crate) name: String,
    pub(crate) resource: ResourceIndicator,
    /// Grows with each change.
    pub(crate) revision: u32,
    pub(crate) revoked: Option<Timestamp>,
    /// What it may do at most, as it was when it was made.
    pub(crate) scope: Scope,
    /// The newest first.
    pub(crate) secrets: Vec<KeySecret>,
    pub(crate) user: UserId,
    pub(crate) workspaces: BTreeSet<WorkspaceId>,
}

/// One of a key's secrets: an older one may overlap with its successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeySecret {
    /// Refused from this moment on.
    pub(crate) expires: Option<Timestamp>,
    pub(crate) hash: SecretHash,
}

/// What a key is to be allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Access {
    /// These scopes.
    Chosen(Scope),
    /// Every scope that only reads.
    #[default]
    Read,
    /// Every scope but those that delete.
    ReadWrite,
}

/// What the person asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) access: Access,
    pub(crate) name: String,
    pub(crate) workspaces: BTreeSet<WorkspaceId>,
}

/// What a key is given: the terms that are frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) workspaces: BTreeSet<WorkspaceId>,
}

/// Why no key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidWish {
    #[error("Give the key a name of at most 60 characters, so that you know it again.")]
    Name,
    #[error("Choose at least one thing the key may do.")]
    Scope,
    #[error("You have as many API keys as one person may have. Revoke one first.")]
    TooMany,
    #[error("Choose at least one workspace.")]
    Workspace,
    #[error("You are not a member of a workspace you chose.")]
    WorkspaceForeign,
    #[error("Choose one workspace only: a call does not say which one it means.")]
    WorkspaceSeveral,
}

/// How many live keys a person may have.
pub(crate) const MOST_KEYS: usize = 50;
/// How long the replaced secret goes on where the person asks for an overlap.
pub(crate) const OVERLAP: Duration = Duration::from_hours(24);
/// How long a key that is over is remembered.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// The longest name.
const LONGEST_NAME: usize = 60;

/// The terms of a new key. Scopes are listed one by one: what the resource gets later is not in it.
pub(crate) fn terms(
    wish: &Wish,
    resource: &Resource,
    memberships: &BTreeSet<WorkspaceId>,
) -> Result<Terms, InvalidWish> {
    let name = wish.name.trim();
    let is_plain = !name.chars().any(char::is_control);
    if !(1..=LONGEST_NAME).contains(&name.chars().count()) || !is_plain {
        return Err(InvalidWish::Name);
    }
    let scope = match &wish.access {
        Access::Chosen(chosen) => resource.all_scopes().intersect(chosen),
        Access::Read => resource.scopes_of(&[ScopeKind::Read]),
        Access::ReadWrite => resource.scopes_of(&[ScopeKind::Read, ScopeKind::Write]),
    };
    if scope.is_empty() {
        return Err(InvalidWish::Scope);
    }
    if !wish.workspaces.is_subset(memberships) {
        return Err(InvalidWish::WorkspaceForeign);
    }
    if wish.workspaces.is_empty() && !memberships.is_empty() {
        return Err(InvalidWish::Workspace);
    }
    if resource.workspace == WorkspaceMode::Implicit && wish.workspaces.len() > 1 {
        return Err(InvalidWish::WorkspaceSeveral);
    }
    Ok(Terms { name: name.to_owned(), scope, workspaces: wish.workspaces.clone() })
}

impl ApiKey {
    /// Whether it is in force.
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether this secret opens it.
    pub(crate) fn opens(&self, hash: &SecretHash, now: Timestamp) -> bool {
        let secret = self.secrets.iter().find(|secret| secret.hash == *hash);
        self.is_live(now)
            && secret.is_some_and(|secret| secret.expires.is_none_or(|expires| now < expires))
    }

    /// When what this secret opens ends by itself.
    pub(crate) fn ends(&self, hash: &SecretHash) -> Option<Timestamp> {
        let secret = self.secrets.iter().find(|secret| secret.hash == *hash);
        let ends = secret.and_then(|secret| secret.expires);
        [self.expires, ends].into_iter().flatten().min()
    }

    /// Until when its record is kept, if not for ever.
    pub(crate) fn kept_until(&self) -> Option<Timestamp> {
        let revoked = self.revoked.map(|revoked| revoked.plus(KEPT));
        let expired = self.expires.map(|expires| expires.plus(KEPT));
        revoked.or(expired)
    }

    /// The key with a new secret; the one it had goes on until `overlap`, or ends at once.
    pub(crate) fn rotated(
        &self,
        (hash, hint): (SecretHash, String),
        overlap: Option<Timestamp>,
    ) -> Self {
        let old = self.secrets.first().zip(overlap).map(|(secret, overlap)| KeySecret {
            expires: Some(secret.expires.map_or(overlap, |expires| expires.min(overlap))),
            hash: secret.hash.clone(),
        });
        let secrets = std::iter::once(KeySecret { expires: None, hash }).chain(old).collect();
        Self { hint, revision: self.revision.saturating_add(1), secrets, ..self.clone() }
    }

    /// The key without force.
    pub(crate) fn taken_back(&self, now: Timestamp) -> Self {
        Self { revision: self.revision.saturating_add(1), revoked: Some(now), ..self.clone() }
    }

    /// What it may do now: frozen, and still existing, and still the person's.
    pub(crate) fn rights(
        &self,
        resource: &Resource,
        memberships: &BTreeSet<WorkspaceId>,
    ) -> (Scope, Vec<WorkspaceId>) {
        let scope = self.scope.intersect(&resource.all_scopes());
        (scope, self.workspaces.intersection(memberships).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn workspaces(names: &[&str]) -> BTreeSet<WorkspaceId> {
        names.iter().map(|name| WorkspaceId::parse(name).unwrap()).collect()
    }

    fn resource() -> Resource {
        let raw = toml::from_str(
            r#"
            url = "https://mcp.example/mcp"
            name = "CRM"
            workspace = "argument"
            default_scopes = []
            prm_scopes = []
            scope = [
                { name = "contacts:read", description = "See contacts" },
                { name = "contacts:write", description = "Change contacts" },
                { name = "contacts:delete", description = "Delete contacts" },
                { name = "reports", description = "See reports", kind = "read" },
                { name = "mail", description = "Send mail" },
            ]
            "#,
        );
        let deployment = toml::from_str("name = \"CRM\"\nissuer = \"https://auth.example\"");
        let deployment =
            shared::deployment::Deployment::resolve(deployment.unwrap(), vec![raw.unwrap()]);
        deployment.unwrap().resources.remove(0)
    }

    fn wish() -> Wish {
        Wish { name: " Nightly ".to_owned(), workspaces: workspaces(&["a"]), ..Wish::default() }
    }

    fn key() -> ApiKey {
        let terms = terms(&wish(), &resource(), &workspaces(&["a", "b"])).unwrap();
        ApiKey {
            created: NOW,
            expires: Some(NOW.plus(Duration::from_hours(48))),
            hint: "sk_live_abcd".to_owned(),
            id: ApiKeyId::from_bytes([1; 16]),
            name: terms.name,
            resource: resource().indicator,
            revision: 1,
            revoked: None,
            scope: terms.scope,
            secrets: vec![KeySecret { expires: None, hash: SecretHash::of(b"one") }],
            user: UserId::parse("usr_1").unwrap(),
            workspaces: terms.workspaces,
        }
    }

    #[test]
    fn a_key_reads_only_unless_more_is_asked_for() {
        for (access, expected) in [
            (Access::default(), "contacts:read reports"),
            (Access::ReadWrite, "contacts:read contacts:write mail reports"),
            (Access::Chosen(Scope::parse("contacts:delete other").unwrap()), "contacts:delete"),
        ] {
            let terms = terms(&Wish { access, ..wish() }, &resource(), &workspaces(&["a"]));
            assert_eq!(terms.unwrap().scope.to_string(), expected);
        }
    }

    #[test]
    fn a_wish_beyond_what_the_person_has_is_refused_by_name() {
        let nothing = Access::Chosen(Scope::parse("other").unwrap());
        for (wish, expected) in [
            (Wish { name: "  ".to_owned(), ..wish() }, InvalidWish::Name),
            (Wish { name: "a\nb".to_owned(), ..wish() }, InvalidWish::Name),
            (Wish { name: "a".repeat(61), ..wish() }, InvalidWish::Name),
            (Wish { access: nothing, ..wish() }, InvalidWish::Scope),
            (Wish { workspaces: workspaces(&[]), ..wish() }, InvalidWish::Workspace),
            (Wish { workspaces: workspaces(&["c"]), ..wish() }, InvalidWish::WorkspaceForeign),
        ] {
            let refused = terms(&wish, &resource(), &workspaces(&["a", "b"]));
            assert_eq!(refused, Err(expected), "{wish:?}");
        }
    }

    #[test]
    fn a_rotated_key_has_one_secret_or_two_for_a_while() {
        let (first, second) = (SecretHash::of(b"one"), SecretHash::of(b"two"));
        let new = || (second.clone(), "sk_live_efgh".to_owned());
        let at_once = key().rotated(new(), None);
        assert!(at_once.opens(&second, NOW) && !at_once.opens(&first, NOW));
        assert_eq!(at_once.revision, 2);
        let overlapping = key().rotated(new(), Some(NOW.plus(OVERLAP)));
        let later = NOW.plus(OVERLAP);
        assert!(overlapping.opens(&first, NOW) && !overlapping.opens(&first, later));
        assert!(overlapping.opens(&second, later));
    }

    #[test]
    fn a_revoked_or_expired_key_opens_nothing() {
        let hash = SecretHash::of(b"one");
        assert!(key().opens(&hash, NOW));
        assert!(!key().opens(&SecretHash::of(b"other"), NOW));
        assert!(!key().taken_back(NOW).opens(&hash, NOW));
        assert!(!key().opens(&hash, NOW.plus(Duration::from_hours(48))));
    }

    #[test]
    fn rights_shrink_with_the_person_and_the_resource_and_never_grow() {
        let (scope, left) = key().rights(&resource(), &workspaces(&["b", "c"]));
        assert_eq!((scope.to_string().as_str(), left.len()), ("contacts:read reports", 0));
        let (_, all) = key().rights(&resource(), &workspaces(&["a", "b", "c"]));
        assert_eq!(all, [WorkspaceId::parse("a").unwrap()]);
    }
}
