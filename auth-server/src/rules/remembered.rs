//! Consent that a person gave before, and what it answers (OpenID Connect Core 3.1.2.4).
//!
//! A request for as much or less is answered as the person answered then, refusals of single
//! scopes included; one for anything more asks again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use shared::{
    ids::{ClientId, WorkspaceId},
    time::Timestamp,
};

use super::{
    authorization_request::AuthorizationRequest,
    consent::{Choice, Grant},
    redirect_uri::RedirectKind,
    terms::Terms,
};

/// How many answers to one client are kept: each of them for another set of scopes.
const MOST: usize = 8;

/// What a person has answered to one client, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) answers: Vec<Answer>,
    pub(crate) client: ClientId,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// What the client asked for.
    pub(crate) asked: Terms,
    pub(crate) at: Timestamp,
    /// When the grant ends, and the answer with it.
    pub(crate) expires: Timestamp,
    /// What the person gave.
    pub(crate) granted: Terms,
    /// Where the answer went: a client that is changed to lead elsewhere is asked about anew.
    pub(crate) redirect: String,
    pub(crate) workspaces: BTreeSet<WorkspaceId>,
}

impl Answer {
    /// What was answered to a request.
    pub(crate) fn of(
        request: &AuthorizationRequest,
        grant: &Grant,
        at: Timestamp,
        expires: Timestamp,
    ) -> Self {
        let asked = Terms { identity: request.identity.clone(), scopes: request.scopes.clone() };
        let (granted, workspaces) = (grant.terms(), grant.workspaces.clone());
        let redirect = request.redirect.as_str().to_owned();
        Self { asked, at, expires, granted, redirect, workspaces }
    }

    /// Whether the request asks for nothing that was not asked for then.
    fn covers(&self, asked: &Terms) -> bool {
        let within = |(resource, scope)| {
            self.asked.scopes.get(resource).is_some_and(|before| before.includes(scope))
        };
        self.asked.identity.includes(&asked.identity) && asked.scopes.iter().all(within)
    }
}

impl Remembered {
    /// Takes up a new answer; it replaces those to requests for no more.
    pub(crate) fn add(&mut self, answer: Answer, now: Timestamp) {
        let is_replaced =
            |old: &Answer| old.redirect == answer.redirect && answer.covers(&old.asked);
        self.answers.retain(|old| now < old.expires && !is_replaced(old));
        self.answers.insert(0, answer);
        self.answers.truncate(MOST);
    }

    /// Whether an answer is in force that was given after both cutoffs.
    pub(crate) fn is_in_force(&self, now: Timestamp, cutoff: Option<Timestamp>) -> bool {
        self.in_force(now, cutoff).next().is_some()
    }

    /// Whether a request can be answered by what was answered before: what may be another program
    /// every time is asked for every time.
    pub(crate) fn may_answer(request: &AuthorizationRequest) -> bool {
        request.redirect.kind() == RedirectKind::Https && !request.prompt.consent
    }

    /// What the person would tick again.
    pub(crate) fn choice(
        &self,
        request: &AuthorizationRequest,
        memberships: &BTreeSet<WorkspaceId>,
        now: Timestamp,
        cutoff: Option<Timestamp>,
    ) -> Option<Choice> {
        if !Self::may_answer(request) {
            return None;
        }
        let asked = Terms { identity: request.identity.clone(), scopes: request.scopes.clone() };
        let redirect = request.redirect.as_str();
        let answer = self
            .in_force(now, cutoff)
            .find(|answer| answer.redirect == redirect && answer.covers(&asked))?;
        Some(Choice {
            identity: answer.granted.identity.clone(),
            scopes: answer.granted.scopes.clone(),
            workspaces: answer.workspaces.intersection(memberships).cloned().collect(),
        })
    }

    fn in_force(&self, now: Timestamp, cutoff: Option<Timestamp>) -> impl Iterator<Item = &Answer> {
        let since = move |answer: &&Answer| cutoff.is_none_or(|cutoff| cutoff < answer.at);
        self.answers.iter().filter(move |answer| now < answer.expires).filter(since)
    }
}

#[cfg(test)]
mod tests {
    use shared::ids::UserId;

    use super::*;
    use crate::{
        rules::{
            authorization_request::check, consent::grant, params::Params,
            redirect_uri::RedirectTarget,
        },
        testing,
    };

    const GIVEN: Timestamp = Timestamp::from_secs(1000);
    const LATER: Timestamp = Timestamp::from_secs(2000);
    const END: Timestamp = Timestamp::from_secs(9000);

    fn request(redirect: &str, more: &str) -> AuthorizationRequest {
        let query = format!(
            "response_type=code&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
             &code_challenge_method=S256&resource=http://localhost:7400/mcp{more}"
        );
        let params = Params::parse(query.as_bytes()).unwrap();
        let target = RedirectTarget::find(&[redirect.to_owned()], Some(redirect)).unwrap();
        check(&params, &ClientId::parse("app").unwrap(), target, &testing::deployment()).unwrap()
    }

    fn https(more: &str) -> AuthorizationRequest {
        request("https://app.example/cb", more)
    }

    fn workspaces(names: &[&str]) -> BTreeSet<WorkspaceId> {
        names.iter().map(|name| WorkspaceId::parse(name).unwrap()).collect()
    }

    /// Asked to read and write, in two workspaces; given to read, in one.
    fn remembered() -> Remembered {
        let asked = https("&scope=contacts:read%20contacts:write");
        let choice = Choice::read(&asked, ["contacts:read"].into_iter(), ["ws_a"].into_iter());
        let user = UserId::parse("usr_1").unwrap();
        let given = grant(&asked, &user, &workspaces(&["ws_a", "ws_b"]), &choice, false).unwrap();
        let mut remembered = Remembered { answers: vec![], client: asked.client.clone() };
        remembered.add(Answer::of(&asked, &given, GIVEN, END), GIVEN);
        remembered
    }

    fn answered(request: &AuthorizationRequest) -> Option<Choice> {
        remembered().choice(request, &workspaces(&["ws_a", "ws_b"]), LATER, None)
    }

    #[test]
    fn as_much_or_less_is_answered_as_before_and_more_is_asked_for() {
        let same = answered(&https("&scope=contacts:read%20contacts:write")).unwrap();
        assert_eq!(same.workspaces, workspaces(&["ws_a"]));
        let scopes: Vec<String> = same.scopes.values().map(ToString::to_string).collect();
        assert_eq!(scopes, ["contacts:read"]);
        assert!(answered(&https("&scope=contacts:read")).is_some());
        assert!(answered(&https("&scope=contacts:read%20contacts:delete")).is_none());
        assert!(answered(&https("&scope=contacts:read%20offline_access")).is_none());
    }

    #[test]
    fn native_redirects_and_prompt_consent_always_ask() {
        for redirect in ["http://127.0.0.1/cb", "cursor://app/cb"] {
            assert!(answered(&request(redirect, "&scope=contacts:read")).is_none(), "{redirect}");
        }
        assert!(answered(&https("&scope=contacts:read&prompt=consent")).is_none());
        assert!(answered(&https("&scope=contacts:read&prompt=login")).is_some());
    }

    #[test]
    fn another_redirect_is_asked_about() {
        assert!(answered(&request("https://app.example/other", "&scope=contacts:read")).is_none());
    }

    #[test]
    fn what_is_over_or_cut_off_is_forgotten() {
        let request = https("&scope=contacts:read");
        let answered = |now, cutoff| {
            let members = workspaces(&["ws_a"]);
            assert_eq!(
                remembered().is_in_force(now, cutoff),
                remembered().choice(&request, &members, now, cutoff).is_some()
            );
            remembered().is_in_force(now, cutoff)
        };
        assert!(answered(LATER, None));
        assert!(answered(LATER, Some(Timestamp::from_secs(999))));
        assert!(!answered(LATER, Some(GIVEN)));
        assert!(!answered(END, None));
    }

    #[test]
    fn a_workspace_that_was_left_is_not_given_again() {
        let request = https("&scope=contacts:read");
        let choice = remembered().choice(&request, &workspaces(&["ws_b"]), LATER, None).unwrap();
        assert!(choice.workspaces.is_empty());
    }

    #[test]
    fn few_answers_are_kept_and_a_wider_one_replaces_the_narrower() {
        let mut remembered = remembered();
        let wide = https("&scope=contacts:read%20contacts:write%20contacts:delete");
        let terms = Terms { identity: wide.identity.clone(), scopes: wide.scopes.clone() };
        let answer = Answer {
            asked: terms.clone(),
            at: LATER,
            expires: END,
            granted: terms,
            redirect: "https://app.example/cb".to_owned(),
            workspaces: BTreeSet::new(),
        };
        remembered.add(answer.clone(), LATER);
        assert_eq!(remembered.answers, [answer]);
    }
}
