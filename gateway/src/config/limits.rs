//! What may be used: the budgets, and the headers that tell of them.

use http::HeaderName;
use serde::Deserialize;
use shared::problem::Problem;
use web::limits::Budget;

use super::{Budgets, CallBudgets, RawGateway, RawRoute};
use crate::limit::LimitHeaders;

/// The names of the headers that say how a budget stands; one without a name is not sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawLimitHeaders {
    /// How many requests may come at once.
    pub limit: Option<String>,
    /// How many are left.
    pub remaining: Option<String>,
    /// When the budget is full again.
    pub reset: Option<String>,
    /// Whether `reset` is in `seconds` from now, or the `unix` time.
    pub reset_as: RawReset,
}

/// How a moment is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawReset {
    /// Seconds from now.
    #[default]
    Seconds,
    /// Seconds since 1970.
    Unix,
}

/// Whether budgets are shared with other gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawSharedLimits {
    /// Asked for at each call.
    Exact,
    /// Taken in small batches.
    #[default]
    Leased,
    /// Each gateway has its own.
    Off,
}

/// The budgets of the table.
pub(super) fn budgets(raw: &RawGateway, problems: &mut Vec<Problem>) -> Budgets {
    let budget = |name, per_minute: u32, burst: u32| Budget { burst, name, per_minute };
    let sixth = |name, per_minute: u32| budget(name, per_minute, (per_minute / 6).max(1));
    let of_workspace = (raw.workspace_calls_per_minute, raw.workspace_burst);
    let (failed, lookups) = (raw.failed_authentications_per_minute, raw.key_lookups_per_minute);
    Budgets {
        calls: calls(of_workspace, raw.workspace_share_percent, "gateway", problems),
        credential: sixth("credential", raw.credential_calls_per_minute),
        discovery: sixth("discovery", raw.discovery_per_minute),
        failed: budget("failed authentication", failed, failed),
        lookups: budget("API keys", lookups, lookups),
        shared: raw.shared_limits,
    }
}

/// What a route's resource has for itself, if it has.
pub(super) fn own(
    raw: &RawRoute,
    gateway: &RawGateway,
    place: &str,
    problems: &mut Vec<Problem>,
) -> Option<CallBudgets> {
    raw.workspace_burst.or(raw.workspace_calls_per_minute).or(raw.workspace_share_percent)?;
    let rate = raw.workspace_calls_per_minute.unwrap_or(gateway.workspace_calls_per_minute);
    let burst = raw.workspace_burst.unwrap_or_else(|| gateway.workspace_burst.min(rate));
    let percent = raw.workspace_share_percent.unwrap_or(gateway.workspace_share_percent);
    for (key, number) in [
        ("workspace_burst", raw.workspace_burst),
        ("workspace_calls_per_minute", raw.workspace_calls_per_minute),
    ] {
        if number == Some(0) {
            let remedy = "write how many calls there may be";
            problems.push(Problem::new(format!("{place}.{key}"), "lets nobody call", remedy));
        }
    }
    Some(calls((rate, burst), percent, place, problems))
}

/// What permitted calls may use of a workspace, and one principal of that.
fn calls(
    (rate, burst): (u32, u32),
    percent: u32,
    place: &str,
    problems: &mut Vec<Problem>,
) -> CallBudgets {
    if !(1..=100).contains(&percent) {
        let place = format!("{place}.workspace_share_percent");
        problems.push(Problem::new(place, "is no part of a hundred", "write 1 to 100"));
    }
    let budget = |name, per_minute: u32, burst: u32| Budget { burst, name, per_minute };
    let percent = u64::from(percent);
    let part = |n: u32| u32::try_from((u64::from(n) * percent).div_ceil(100)).unwrap_or(n).max(1);
    CallBudgets {
        share: budget("share of the workspace", part(rate), part(burst)),
        unbound: budget("calls in no workspace", rate, burst),
        workspace: budget("workspace", rate, burst),
    }
}

/// The headers of a table.
pub(super) fn headers(
    raw: &RawLimitHeaders,
    place: &str,
    problems: &mut Vec<Problem>,
) -> LimitHeaders {
    let mut name = |key: &str, name: &Option<String>| {
        let name = name.as_ref()?;
        let parsed = HeaderName::try_from(name).ok();
        // Names of other headers would change what an answer means.
        let parsed = parsed.filter(|name| name.as_str().contains("ratelimit"));
        if parsed.is_none() {
            let what = format!("{name} is no header that tells of limits");
            let remedy = "write a name such as RateLimit-Remaining or X-RateLimit-Remaining";
            problems.push(Problem::new(format!("{place}.{key}"), what, remedy));
        }
        parsed
    };
    LimitHeaders {
        limit: name("limit", &raw.limit),
        remaining: name("remaining", &raw.remaining),
        reset: name("reset", &raw.reset),
        reset_is_moment: raw.reset_as == RawReset::Unix,
    }
}
