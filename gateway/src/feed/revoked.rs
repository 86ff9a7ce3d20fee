//! What is revoked, as the feed says it.

use std::{hash::Hash, time::Duration};

use foldhash::HashMap;
use shared::{
    ids::{ApiKeyId, ClientId, FamilyId, KeyId, TokenId, UserId, WorkspaceId},
    internal::Event,
    time::Timestamp,
};

use crate::rules::caller::{self, Caller, Kind};

/// Everything in force, each with the time it was heard.
///
/// Nothing is ever given back, so hearing of something twice, or a snapshot that lacks it,
/// changes nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Revoked {
    api_keys: HashMap<ApiKeyId, (u32, Timestamp)>,
    clients: HashMap<ClientId, Cutoff>,
    families: HashMap<FamilyId, Timestamp>,
    /// When more was revoked than is kept, by this clock: what was learnt until then is over.
    floor: Option<Timestamp>,
    /// Never forgotten.
    keys: HashMap<KeyId, Timestamp>,
    memberships: HashMap<UserId, Vec<(WorkspaceId, Cutoff)>>,
    people: HashMap<UserId, Cutoff>,
    tokens: HashMap<TokenId, Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Cutoff {
    heard: Timestamp,
    /// What began at or before this moment is over.
    not_after: Timestamp,
}

impl Revoked {
    /// Adds an event.
    pub(super) fn add(&mut self, event: Event, heard: Timestamp) {
        match event {
            Event::ApiKey { key, revision } => {
                let held = self.api_keys.entry(key).or_insert((revision, heard));
                *held = (held.0.max(revision), heard);
            }
            Event::Client { client, not_after } => {
                later(&mut self.clients, client, Cutoff { heard, not_after });
            }
            Event::Family { family } => {
                self.families.insert(family, heard);
            }
            Event::Key { key } => {
                self.keys.insert(key, heard);
            }
            Event::Membership { user, workspace, not_after } => {
                let held = self.memberships.entry(user).or_default();
                held.retain(|(other, cutoff)| *other != workspace || cutoff.not_after > not_after);
                held.push((workspace, Cutoff { heard, not_after }));
            }
            Event::Person { user, not_after } => {
                later(&mut self.people, user, Cutoff { heard, not_after });
            }
            Event::Token { token } => {
                self.tokens.insert(token, heard);
            }
        }
    }

    /// Where more is revoked than `most`, no entry is dropped for nothing: everything issued until
    /// now is refused, which one refresh mends. Withdrawn keys are few, and stay.
    pub(super) fn bound(&mut self, most: usize, now: Timestamp) -> bool {
        if self.len() <= most {
            return false;
        }
        let keys = std::mem::take(&mut self.keys);
        *self = Self { floor: Some(now), keys, ..Self::default() };
        true
    }

    fn len(&self) -> usize {
        let memberships: usize = self.memberships.values().map(Vec::len).sum();
        self.api_keys.len()
            + self.clients.len()
            + self.families.len()
            + self.people.len()
            + self.tokens.len()
            + memberships
    }

    /// Forgets what was heard before the moment: no token lives that long.
    pub(super) fn forget_before(&mut self, moment: Timestamp) {
        self.api_keys.retain(|_, (_, heard)| *heard >= moment);
        self.clients.retain(|_, cutoff| cutoff.heard >= moment);
        self.families.retain(|_, heard| *heard >= moment);
        self.people.retain(|_, cutoff| cutoff.heard >= moment);
        self.tokens.retain(|_, heard| *heard >= moment);
        self.floor = self.floor.filter(|floor| *floor >= moment);
        self.memberships.retain(|_, list| {
            list.retain(|(_, cutoff)| cutoff.heard >= moment);
            !list.is_empty()
        });
    }

    /// Whether the caller's credential is taken back.
    pub(super) fn covers(&self, caller: &Caller) -> bool {
        // Others' subjects, clients and keys may have the names of ours.
        if caller.is_foreign {
            return false;
        }
        caller.family.is_some_and(|family| self.families.contains_key(&family))
            || caller.key.as_ref().is_some_and(|key| self.keys.contains_key(key))
            || caller.token.as_ref().is_some_and(|token| self.tokens.contains_key(token))
            || self.is_below_floor(caller)
            || caller.api_key.as_ref().is_some_and(|(key, revision)| {
                self.api_keys.get(key).is_some_and(|(revoked, _)| revision <= revoked)
            })
            || is_past(self.clients.get(&caller.client), caller.auth_time)
            || (caller.kind != Kind::Client && self.covers_person(caller))
    }

    /// A token's time is its issuer's, whose clock may be ahead; an API key was looked up at ours.
    fn is_below_floor(&self, caller: &Caller) -> bool {
        let ahead = if caller.token.is_some() { caller::SKEW } else { Duration::ZERO };
        self.floor.is_some_and(|floor| caller.issued <= floor.plus(ahead))
    }

    fn covers_person(&self, caller: &Caller) -> bool {
        if self.people.is_empty() && self.memberships.is_empty() {
            return false;
        }
        let Ok(user) = UserId::parse(&caller.subject) else { return false };
        let left = self.memberships.get(&user).is_some_and(|list| {
            list.iter().any(|(workspace, cutoff)| {
                caller.workspaces.contains(workspace) && caller.issued <= cutoff.not_after
            })
        });
        left || is_past(self.people.get(&user), caller.auth_time)
    }
}

fn is_past(cutoff: Option<&Cutoff>, began: Timestamp) -> bool {
    cutoff.is_some_and(|cutoff| began <= cutoff.not_after)
}

/// Keeps the later of two cutoffs.
fn later<K: Eq + Hash>(map: &mut HashMap<K, Cutoff>, key: K, cutoff: Cutoff) {
    map.entry(key)
        .and_modify(|held| {
            held.heard = cutoff.heard;
            held.not_after = held.not_after.max(cutoff.not_after);
        })
        .or_insert(cutoff);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::caller::tests::caller;

    #[test]
    fn each_class_takes_back_what_it_names_and_nothing_else() {
        let caller = caller("contacts:read", &["a", "b"]);
        let user = || UserId::parse(&caller.subject).unwrap();
        let workspace = |id: &str| WorkspaceId::parse(id).unwrap();
        let at = caller.auth_time;
        let before = Timestamp::from_millis(at.millis() - 1);
        let family = FamilyId::from_bytes([1; 16]);
        for (event, covered) in [
            (Event::Client { client: caller.client.clone(), not_after: at }, true),
            (Event::Client { client: caller.client.clone(), not_after: before }, false),
            (Event::Client { client: ClientId::parse("other").unwrap(), not_after: at }, false),
            (Event::Person { user: user(), not_after: at }, true),
            (Event::Person { user: user(), not_after: before }, false),
            (Event::Membership { user: user(), workspace: workspace("b"), not_after: at }, true),
            (Event::Membership { user: user(), workspace: workspace("c"), not_after: at }, false),
            (
                Event::Membership { user: user(), workspace: workspace("b"), not_after: before },
                false,
            ),
            (Event::Token { token: caller.token.clone().unwrap() }, true),
            (Event::Key { key: caller.key.clone().unwrap() }, true),
            (Event::Family { family }, false),
        ] {
            let mut revoked = Revoked::default();
            revoked.add(event.clone(), Timestamp::from_secs(5));
            assert_eq!(revoked.covers(&caller), covered, "{event:?}");
        }
        let mut revoked = Revoked::default();
        revoked.add(Event::Family { family }, Timestamp::from_secs(5));
        let mut of_family = caller;
        of_family.family = Some(family);
        assert!(revoked.covers(&of_family));
        let key = ApiKeyId::from_bytes([1; 16]);
        let mut revoked = Revoked::default();
        revoked.add(Event::ApiKey { key: key.clone(), revision: 2 }, Timestamp::from_secs(5));
        assert!(!revoked.covers(&of_family));
        for (revision, covered) in [(1, true), (2, true), (3, false)] {
            of_family.api_key = Some((key.clone(), revision));
            assert_eq!(revoked.covers(&of_family), covered, "{revision}");
        }
    }

    #[test]
    fn more_than_is_kept_raises_a_floor_and_lets_nothing_through() {
        let mut caller = caller("", &[]);
        let issued = caller.issued;
        let mut revoked = Revoked::default();
        for family in 0..4 {
            let family = FamilyId::from_bytes([family; 16]);
            revoked.add(Event::Family { family }, issued);
        }
        assert!(!revoked.bound(4, issued) && !revoked.covers(&caller));
        revoked.add(Event::Token { token: TokenId::parse("other").unwrap() }, issued);
        assert!(revoked.bound(4, issued) && revoked.covers(&caller));
        // The issuer's clock may be a minute ahead of the one that the floor was read from.
        caller.issued = issued.plus(caller::SKEW);
        assert!(revoked.covers(&caller));
        caller.issued = Timestamp::from_millis(caller.issued.millis() + 1);
        assert!(!revoked.covers(&caller), "a token issued since is good");
        caller.issued = issued;
        revoked.forget_before(issued.plus(Duration::from_secs(1)));
        assert!(!revoked.covers(&caller), "no token lives that long");
    }

    #[test]
    fn every_kind_of_revocation_counts_and_an_overflow_spares_withdrawn_keys_alone() {
        let own = caller("", &["a"]);
        let at = own.issued;
        let user = |name: &str| UserId::parse(name).unwrap();
        let workspace = WorkspaceId::parse("z").unwrap();
        let other = ClientId::parse("other").unwrap();
        let events = [
            Event::ApiKey { key: ApiKeyId::from_bytes([9; 16]), revision: 1 },
            Event::Client { client: other, not_after: at },
            Event::Family { family: FamilyId::from_bytes([9; 16]) },
            Event::Membership { user: user("usr_9"), workspace, not_after: at },
            Event::Person { user: user("usr_8"), not_after: at },
            Event::Token { token: TokenId::parse("other").unwrap() },
        ];
        let mut revoked = Revoked::default();
        for (count, event) in events.into_iter().enumerate() {
            revoked.add(event, at);
            assert!(!revoked.clone().bound(count + 1, at), "{count}");
            assert!(revoked.clone().bound(count, at), "{count}");
        }
        revoked.add(Event::Key { key: own.key.clone().unwrap() }, at);
        assert!(revoked.bound(0, at));
        let mut later = own;
        later.issued = at.plus(Duration::from_mins(2));
        assert!(revoked.covers(&later), "its key stays withdrawn");
        later.key = None;
        assert!(!revoked.covers(&later));
        later.token = None;
        later.issued = at;
        assert!(revoked.covers(&later), "an API key that was looked up before is over, too");
        later.issued = Timestamp::from_millis(at.millis() + 1);
        assert!(!revoked.covers(&later), "and good when it is looked up again");
    }

    #[test]
    fn a_membership_that_ended_twice_is_kept_once() {
        let caller = caller("", &["a"]);
        let user = || UserId::parse(&caller.subject).unwrap();
        let workspace = || WorkspaceId::parse("a").unwrap();
        let mut revoked = Revoked::default();
        for not_after in [caller.issued, Timestamp::from_secs(1), caller.issued] {
            let event = Event::Membership { user: user(), workspace: workspace(), not_after };
            revoked.add(event, caller.issued);
        }
        assert!(revoked.covers(&caller));
        assert!(revoked.memberships.values().all(|held| held.len() <= 2));
    }

    #[test]
    fn entries_end_with_the_longest_token_but_keys_stay_revoked() {
        let caller = caller("", &[]);
        let mut revoked = Revoked::default();
        revoked.add(Event::Token { token: caller.token.clone().unwrap() }, Timestamp::from_secs(5));
        revoked.forget_before(Timestamp::from_secs(6));
        assert!(!revoked.covers(&caller));
        revoked.add(Event::Key { key: caller.key.clone().unwrap() }, Timestamp::from_secs(5));
        revoked.forget_before(Timestamp::from_secs(6));
        assert!(revoked.covers(&caller));
    }
}
