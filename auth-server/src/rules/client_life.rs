//! How long a registration is kept: one that was never used for an hour, one that is not used
//! any more for 90 days. What an operator added or approved is kept until it is taken away.

use std::time::Duration;

use shared::time::Timestamp;

use super::client::{Client, Life, Origin};

/// After this time without a code a registration is over.
const UNUSED: Duration = Duration::from_hours(1);
/// After this time without a code a client whose grants have ended is forgotten.
const INACTIVE: Duration = Duration::from_hours(90 * 24);
/// How long a person may take from the request to the code: as long as the page lives.
const INTERACTION: Duration = Duration::from_mins(10);
/// How old the note of a registration may be before it is written anew.
const NOTED_REGISTRATION: Duration = Duration::from_mins(1);
/// How old the note of a use may be before it is written anew.
const NOTED_USE: Duration = Duration::from_hours(24);

/// Why a client is noted as alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    Registered,
    Used,
}

impl Client {
    /// Whether it was registered and then not used in time: it is then as good as unknown, though
    /// a request that began before may still end.
    pub(crate) fn has_lapsed(&self, now: Timestamp) -> bool {
        self.is_kept_while_used() && !self.life.used && now.since(self.life.touched) >= UNUSED
    }

    /// Whether the sweep may delete it now if it has no grant.
    pub(crate) fn may_be_forgotten(&self, now: Timestamp) -> bool {
        let idle = now.since(self.life.touched);
        let limit = if self.life.used { INACTIVE + NOTED_USE } else { UNUSED + INTERACTION };
        self.is_kept_while_used() && idle >= limit + NOTED_REGISTRATION
    }

    /// Its life after a touch; none where nothing needs to be written.
    pub(crate) fn touched(&self, touch: Touch, now: Timestamp) -> Option<Life> {
        let since = now.since(self.life.touched);
        let is_due = match touch {
            Touch::Registered => since >= NOTED_REGISTRATION,
            Touch::Used => !self.life.used || since >= NOTED_USE,
        };
        is_due.then_some(Life { touched: now, used: self.life.used || touch == Touch::Used })
    }

    fn is_kept_while_used(&self) -> bool {
        self.origin == Origin::Open && self.service.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rules::client::ServiceAccount, testing};

    const MINUTE: Duration = Duration::from_mins(1);
    const DAY: Duration = Duration::from_hours(24);

    fn client(used: bool) -> Client {
        Client { life: Life { touched: at(MINUTE), used }, ..testing::client() }
    }

    fn at(span: Duration) -> Timestamp {
        Timestamp::from_secs(1_800_000_000).plus(span)
    }

    #[test]
    fn a_client_that_was_never_used_lapses_after_an_hour_and_is_forgotten_after_the_last_page() {
        let fresh = client(false);
        assert!(!fresh.has_lapsed(at(MINUTE * 60)));
        assert!(fresh.has_lapsed(at(MINUTE * 61)));
        assert!(!fresh.may_be_forgotten(at(MINUTE * 71)));
        assert!(fresh.may_be_forgotten(at(MINUTE * 72)));
    }

    #[test]
    fn a_client_that_was_used_is_kept_for_ninety_days() {
        let used = client(true);
        assert!(!used.has_lapsed(at(DAY * 400)));
        assert!(!used.may_be_forgotten(at(DAY * 90)));
        assert!(used.may_be_forgotten(at(DAY * 92)));
    }

    #[test]
    fn what_an_operator_stands_behind_is_never_forgotten() {
        for origin in [Origin::File, Origin::Operator, Origin::Token] {
            let client = Client { origin, ..client(false) };
            assert!(!client.has_lapsed(at(DAY * 400)) && !client.may_be_forgotten(at(DAY * 400)));
        }
        let approved = Client { service: Some(ServiceAccount::default()), ..client(false) };
        assert!(!approved.may_be_forgotten(at(DAY * 400)));
    }

    #[test]
    fn a_busy_client_is_noted_once_a_day() {
        let fresh = client(false);
        let used = fresh.touched(Touch::Used, at(MINUTE)).unwrap();
        assert!(used.used);
        let client = Client { life: used, ..fresh };
        assert_eq!(client.touched(Touch::Used, at(DAY)), None);
        assert!(client.touched(Touch::Used, at(DAY + MINUTE)).is_some());
        assert_eq!(client.touched(Touch::Registered, at(MINUTE + MINUTE / 2)), None);
        assert!(client.touched(Touch::Registered, at(MINUTE * 2)).unwrap().used);
    }
}
