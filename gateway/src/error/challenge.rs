//! What a resource answers to credentials that do not open it (RFC 6750 section 3). All but what
//! depends on the call is written when the configuration is read.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE};
use serde_json::{json, value::RawValue};
use shared::{challenge::Challenge, scope::Scope};
use web::problem::{Problem, json};

use super::{rpc_error, status_of};
use crate::rules::violation::BearerViolation;

/// How the challenges of a resource read.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// What every 401 says; then nothing of it tells why. `None`: the cause.
    pub(crate) body: Option<Bytes>,
    /// Where its metadata is. `None`: keys alone open it, so that there is nothing to discover.
    pub(crate) metadata: Option<String>,
    pub(crate) realm: Option<String>,
    /// What a client is told to ask for that was not refused for a scope.
    pub(crate) scope: Scope,
}

/// The answers of one resource.
#[derive(Clone, Debug)]
pub(crate) struct Challenges {
    made: Vec<(BearerViolation, Answer)>,
    terms: Terms,
}

#[derive(Clone, Debug)]
struct Answer {
    body: Bytes,
    challenge: Option<HeaderValue>,
    status: StatusCode,
}

impl Challenges {
    /// The answers on these terms.
    pub(crate) fn new(terms: Terms) -> Self {
        let made = BearerViolation::FIXED.iter();
        let made = made.map(|violation| (violation.clone(), terms.answer(violation)));
        Self { made: made.collect(), terms }
    }

    /// The challenge for a violation; `granted` is the scope the caller has, once it is known.
    pub(crate) fn header(
        &self,
        violation: &BearerViolation,
        granted: Option<&Scope>,
    ) -> Option<HeaderValue> {
        match self.made(violation) {
            Some(made) => made.challenge.clone(),
            None => HeaderValue::try_from(self.terms.challenge(violation, granted).header()).ok(),
        }
    }

    /// The answer to a violation, with the id of the message where it is known.
    pub(crate) fn answer(
        &self,
        violation: &BearerViolation,
        granted: Option<&Scope>,
        id: Option<&RawValue>,
    ) -> Response {
        let made = self.made(violation).filter(|_| id.is_none() || self.terms.is_silent(violation));
        let mut response = if let Some(made) = made {
            json(made.status, made.body.clone())
        } else {
            let (status, error, _) = violation.wire();
            let scope = self.terms.challenge(violation, granted).scope.to_string();
            let data = json!({ "error": error, "scope": scope });
            rpc_error(status_of(status), id, -32600, &text(violation), Some(data))
        };
        if let Some(challenge) = self.header(violation, granted) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn made(&self, violation: &BearerViolation) -> Option<&Answer> {
        self.made.iter().find_map(|(one, answer)| (one == violation).then_some(answer))
    }
}

impl Terms {
    fn is_silent(&self, violation: &BearerViolation) -> bool {
        self.body.is_some() && violation.wire().0 == StatusCode::UNAUTHORIZED.as_u16()
    }

    fn answer(&self, violation: &BearerViolation) -> Answer {
        let (status, error, _) = violation.wire();
        let status = status_of(status);
        let named = || Problem::new(status, error.unwrap_or("missing_token"), &text(violation));
        let same = self.body.clone().filter(|_| self.is_silent(violation));
        let challenge = HeaderValue::try_from(self.challenge(violation, None).header());
        Answer {
            body: same.unwrap_or_else(|| named().body().into()),
            challenge: challenge.ok(),
            status,
        }
    }

    /// What says how to get in.
    fn challenge(&self, violation: &BearerViolation, granted: Option<&Scope>) -> Challenge {
        let error = violation.wire().1.filter(|_| !self.is_silent(violation));
        let scope = match (violation, granted) {
            // Some clients ask for nothing but what the challenge names, so it names all.
            (BearerViolation::InsufficientScope { required }, Some(granted)) => {
                granted.union(required)
            }
            (BearerViolation::InsufficientScope { required }, None) => required.clone(),
            _ => self.scope.clone(),
        };
        Challenge {
            error,
            error_description: error.map(|_| text(violation)),
            realm: self.realm.clone(),
            resource_metadata: self.metadata.clone(),
            scope: if self.metadata.is_some() { scope } else { Scope::default() },
        }
    }
}

fn text(violation: &BearerViolation) -> String {
    format!("{violation} ({})", violation.wire().2)
}
