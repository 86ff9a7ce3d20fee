//! What may be done while the feed of revocations is silent.
//!
//! After a second of silence somebody's access may have been taken back unheard. Until a bound is
//! reached the operator's policy says what that is worth; after it, nothing is known.

use std::time::Duration;

use serde::Deserialize;

use crate::rules::protocol::Method;

/// How long the feed may be silent before it is lost.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(1);

/// How much the feed is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It spoke within the last second.
    Current,
    /// It is silent, and was heard within the bound.
    Silent,
    /// It never spoke, is silent for too long, or said what is not understood here.
    Unknown,
}

/// What goes on while the feed is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SilencePolicy {
    /// Everything.
    All,
    /// Nothing.
    Nothing,
    /// What only reads.
    #[default]
    Reads,
}

/// What a call does to what it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// What the feed is worth, by how long it is silent.
pub(crate) fn standing(silence: Option<Duration>, bound: Duration, understood: bool) -> Standing {
    match silence {
        Some(silence) if !understood || silence > bound.max(LOST_AFTER) => Standing::Unknown,
        Some(silence) if silence > LOST_AFTER => Standing::Silent,
        Some(_) if understood => Standing::Current,
        _ => Standing::Unknown,
    }
}

/// Whether a call may go on.
pub(crate) fn allows(standing: Standing, policy: SilencePolicy, access: Access) -> bool {
    match (standing, policy, access) {
        (Standing::Current, _, _)
        | (Standing::Silent, SilencePolicy::All, _)
        | (Standing::Silent, SilencePolicy::Reads, Access::Read) => true,
        (Standing::Silent, SilencePolicy::Reads, Access::Write)
        | (Standing::Silent, SilencePolicy::Nothing, _)
        | (Standing::Unknown, _, _) => false,
    }
}

/// What a method does, as far as its name tells: a tool's call is a write unless the tool says
/// otherwise.
pub(crate) fn access(method: Method) -> Access {
    match method {
        Method::CallTool | Method::CancelTask | Method::UpdateTask => Access::Write,
        Method::Complete
        | Method::Discover
        | Method::GetPrompt
        | Method::GetTask
        | Method::Initialize
        | Method::ListPrompts
        | Method::ListResources
        | Method::ListTasks
        | Method::ListTemplates
        | Method::ListTools
        | Method::Listen
        | Method::Ping
        | Method::ReadResource
        | Method::SetLevel
        | Method::Subscribe
        | Method::TaskResult
        | Method::Unsubscribe => Access::Read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_mins(5);

    #[test]
    fn silence_is_nothing_for_a_second_then_a_doubt_and_after_the_bound_the_end() {
        let after = |millis| standing(Some(Duration::from_millis(millis)), BOUND, true);
        assert_eq!(after(0), Standing::Current);
        assert_eq!(after(1000), Standing::Current);
        assert_eq!(after(1001), Standing::Silent);
        assert_eq!(after(300_000), Standing::Silent);
        assert_eq!(after(300_001), Standing::Unknown);
        assert_eq!(standing(None, BOUND, true), Standing::Unknown);
        assert_eq!(standing(Some(Duration::ZERO), BOUND, false), Standing::Unknown);
        let none = standing(Some(Duration::from_millis(1001)), Duration::ZERO, true);
        assert_eq!(none, Standing::Unknown, "a bound below a second leaves no doubt");
    }

    #[test]
    fn while_it_is_silent_the_policy_decides_and_otherwise_it_does_not() {
        let silent = |policy| {
            [Access::Read, Access::Write].map(|access| allows(Standing::Silent, policy, access))
        };
        assert_eq!(silent(SilencePolicy::All), [true, true]);
        assert_eq!(silent(SilencePolicy::default()), [true, false]);
        assert_eq!(silent(SilencePolicy::Nothing), [false, false]);
        for policy in [SilencePolicy::All, SilencePolicy::Nothing, SilencePolicy::Reads] {
            for access in [Access::Read, Access::Write] {
                assert!(allows(Standing::Current, policy, access));
                assert!(!allows(Standing::Unknown, policy, access));
            }
        }
    }
}
