//! When grants for a resource end, and which lifetimes and prefixes its table may have.

use serde::{Deserialize, Serialize};

use crate::{deployment::RawResource, problem::Problem};

/// Who gets refresh tokens for a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshPolicy {
    /// Every client that registered for them.
    #[default]
    Always,
    /// Nobody: the person signs in again.
    Never,
    /// Who asked for `offline_access` as well.
    OfflineAccess,
}

/// What keeps a grant from being idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleBy {
    /// A call at the resource.
    Call,
    /// A refresh.
    #[default]
    Refresh,
}

/// Each rule keeps an honest client from being signed out, or one token from being taken for
/// another.
pub(crate) fn check(
    raw: &RawResource,
    place: &dyn Fn(&str) -> String,
    problems: &mut Vec<Problem>,
) {
    const TEN_YEARS: u64 = 10 * 366 * 86_400;
    let mut refuse = |key: &str, what: &str, remedy: String| {
        problems.push(Problem::new(place(key), what, remedy));
    };
    let (idle, absolute) = (raw.refresh_idle_seconds, raw.refresh_absolute_seconds);
    if idle > absolute {
        let remedy = format!("write at most {absolute}");
        refuse("refresh_idle_seconds", "is longer than refresh_absolute_seconds", remedy);
    }
    if idle < raw.access_token_seconds {
        let what = "is shorter than an access token lives, so that no client refreshes in time";
        let remedy = format!("write at least {}", raw.access_token_seconds.saturating_mul(2));
        refuse("refresh_idle_seconds", what, remedy);
    }
    if absolute > TEN_YEARS {
        let remedy = "write 7776000 for three months".to_owned();
        refuse("refresh_absolute_seconds", "is longer than ten years", remedy);
    }
    if raw.refresh_idle_by == IdleBy::Call && !raw.reports_calls {
        let remedy = "write refresh_idle_by = \"refresh\", or let its verifier report calls";
        refuse("refresh_idle_by", "is call, and nobody reports calls", remedy.to_owned());
    }
    if raw.refresh_idle_by == IdleBy::Call && idle < 600 {
        let what = "is shorter than ten minutes, and calls are known to the minute only";
        refuse("refresh_idle_seconds", what, "write at least 600".to_owned());
    }
    let prefix = &raw.access_token_prefix;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if prefix.len() > 32 || !prefix.bytes().all(is_plain) {
        let what = "is not at most 32 letters, digits, - and _";
        refuse("access_token_prefix", what, "write one like sd_oauth_".to_owned());
    }
    // A token must not begin like a bare one, nor like what only this server reads.
    if prefix.starts_with("ey") || ["rt_", "ac_"].contains(&prefix.as_str()) {
        let what = "begins like another kind of token";
        refuse("access_token_prefix", what, "write one like sd_oauth_".to_owned());
    }
}
