//! Initial access tokens (RFC 7591 section 3): whoever holds one may register, so often and so
//! long as an operator said.

use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

/// An initial access token as it is stored, under its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InitialAccess {
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    /// What the operator wrote beside it.
    pub(crate) note: String,
    /// How many registrations are left; as many as one likes if absent.
    pub(crate) remaining: Option<u32>,
}

impl InitialAccess {
    /// Whether it still registers a client.
    pub(crate) fn is_good(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires) && self.remaining != Some(0)
    }

    /// What is left of it after one more registration; none if it is over.
    pub(crate) fn spent(&self, now: Timestamp) -> Option<Self> {
        let remaining = self.remaining.map(|left| left.saturating_sub(1));
        self.is_good(now).then(|| Self { remaining, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_by_use_or_by_time() {
        let at = Timestamp::from_secs;
        let token = |expires, remaining| InitialAccess {
            created: at(1),
            expires,
            note: String::new(),
            remaining,
        };
        let twice = token(None, Some(2));
        let once = twice.spent(at(5)).unwrap();
        let never = once.spent(at(5)).unwrap();
        assert_eq!(never.remaining, Some(0));
        assert!(once.is_good(at(5)) && !never.is_good(at(5)));
        assert_eq!(never.spent(at(5)), None);
        assert!(token(Some(at(10)), None).is_good(at(9)));
        assert!(!token(Some(at(10)), None).is_good(at(10)));
        assert!(token(None, None).spent(at(999)).is_some());
    }
}
