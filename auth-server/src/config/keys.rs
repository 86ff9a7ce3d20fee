//! The `[keys]` table: where the key-encryption key is, and how fast keys change.

use std::{path::PathBuf, time::Duration};

use keys::{Dwell, Pace, Purpose};
use serde::Deserialize;
use shared::{deployment::Deployment, problem::Problem};

use crate::{rules::span::span, sign_in::DEVICE_LIFE};

/// The `[keys]` table. One of the three places of the key-encryption key may be named; without
/// any it is DATA/key-encryption-key, made at first start.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawKeys {
    /// How far two machines' clocks may be apart, in seconds; 30 without it.
    pub clock_skew_seconds: Option<u64>,
    /// How long others may cache the published keys, in seconds; 300 without it.
    pub jwks_max_age_seconds: Option<u64>,
    /// How long they may go on with them while they fetch them anew; 300 without it.
    pub jwks_stale_seconds: Option<u64>,
    /// A program and its arguments that prints the key-encryption key.
    pub key_encryption_key_command: Option<Vec<String>>,
    /// The file with the key-encryption key.
    pub key_encryption_key_file: Option<PathBuf>,
    /// The environment variable with the key-encryption key.
    pub key_encryption_key_variable: Option<String>,
    /// Files with key-encryption keys that the stored keys may still be sealed under.
    #[serde(default)]
    pub previous_key_encryption_key_files: Vec<PathBuf>,
    /// How often a server looks for changed keys, in seconds, 1 to 10; 10 without it.
    pub refresh_seconds: Option<u64>,
    /// How long a key signs until it is replaced, such as `90d` or `12h`; `never` leaves it to
    /// the operator. 90d without it.
    pub rotate_every: Option<String>,
}

/// How fast keys change, and how long what they make lives.
#[derive(Clone, Debug)]
pub(crate) struct KeyPolicy {
    /// How long a key signs until it is replaced by itself.
    every: Option<Duration>,
    /// The longest life of an access token.
    longest_access: Duration,
    /// The longest life of a grant.
    longest_grant: Duration,
    pub(crate) pace: Pace,
}

impl KeyPolicy {
    pub(super) fn resolve(
        raw: &RawKeys,
        deployment: &Deployment,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut seconds = |name: &str, written: Option<u64>, usual: u64, least: u64, most: u64| {
            let value = written.unwrap_or(usual);
            if !(least..=most).contains(&value) {
                let what = format!("is not {least} to {most}");
                problems.push(Problem::new(format!("keys.{name}"), what, format!("write {usual}")));
            }
            Duration::from_secs(value)
        };
        let max_age = seconds("jwks_max_age_seconds", raw.jwks_max_age_seconds, 300, 1, 86_400);
        let stale = seconds("jwks_stale_seconds", raw.jwks_stale_seconds, 300, 0, 86_400);
        let skew = seconds("clock_skew_seconds", raw.clock_skew_seconds, 30, 0, 300);
        let refresh = seconds("refresh_seconds", raw.refresh_seconds, 10, 1, 10);
        let every = match raw.rotate_every.as_deref() {
            None => Some(Duration::from_hours(90 * 24)),
            Some("never") => None,
            Some(written) => {
                let every = span(written).filter(|every| !every.is_zero());
                if every.is_none() {
                    let what = format!("{written:?} is not a span of time");
                    problems.push(Problem::new("keys.rotate_every", what, "write 90d or never"));
                }
                every
            }
        };
        let resources = deployment.resources.iter().chain([&deployment.account]);
        Self {
            every,
            longest_access: deployment.longest_access_token(),
            longest_grant: resources.map(|one| one.refresh_absolute).max().unwrap_or_default(),
            pace: Pace { max_age, skew, stale, view: refresh * 3 },
        }
    }

    /// How often keys of the purpose are replaced by themselves. Those of pages are left to the
    /// operator: every known browser begins anew with them.
    pub(crate) fn every_of(&self, purpose: Purpose) -> Option<Duration> {
        self.every.filter(|_| purpose != Purpose::PageSeal)
    }

    /// How long keys of the purpose stay in a state.
    pub(crate) fn dwell(&self, purpose: Purpose) -> Dwell {
        self.pace.dwell(match purpose {
            Purpose::GatewayIdentity | Purpose::Issuer => self.longest_access,
            Purpose::PageSeal => DEVICE_LIFE,
            Purpose::RefreshMac => self.longest_grant,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn resolve(text: &str) -> (KeyPolicy, Vec<String>) {
        let mut problems = Vec::new();
        let raw: RawKeys = toml::from_str(text).unwrap();
        let policy = KeyPolicy::resolve(&raw, &testing::deployment(), &mut problems);
        (policy, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_empty_table_rotates_every_ninety_days_with_room_for_caches() {
        let (policy, problems) = resolve("");
        assert_eq!((policy.every, problems.len()), (Some(Duration::from_hours(2160)), 0));
        assert_eq!(policy.pace, Pace::default());
        assert_eq!(policy.dwell(Purpose::Issuer).pending, Duration::from_mins(11));
        assert!(policy.dwell(Purpose::RefreshMac).retiring > Duration::from_hours(24));
    }

    #[test]
    fn what_is_out_of_bounds_is_named_with_its_remedy() {
        for (text, name) in [
            ("refresh_seconds = 11", "keys.refresh_seconds"),
            ("jwks_max_age_seconds = 0", "keys.jwks_max_age_seconds"),
            ("rotate_every = \"soon\"", "keys.rotate_every"),
            ("rotate_every = \"0d\"", "keys.rotate_every"),
        ] {
            let (_, problems) = resolve(text);
            assert!(matches!(&problems[..], [one] if one.contains(name)), "{problems:?}");
        }
        assert_eq!(resolve("rotate_every = \"never\"").0.every, None);
        assert_eq!(resolve("rotate_every = \"12h\"").0.every, Some(Duration::from_hours(12)));
    }
}
