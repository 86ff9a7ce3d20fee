//! The `[keys]` table: where the key-encryption key is, and how fast keys change.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use keys::{Algorithm, Dwell, Pace, Purpose};
use serde::Deserialize;
use shared::{deployment::Deployment, problem::Problem};

use super::raw::RawClient;
use crate::{
    rules::{client::Client, span::span},
    sign_in::DEVICE_LIFE,
};

/// The `[keys]` table. One of the three places of the key-encryption key may be named; without
/// any it is DATA/key-encryption-key, made at first start.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawKeys {
    /// The algorithm of the access tokens of a resource, by its URL; the first of `algorithms`
    /// without it.
    #[serde(default)]
    pub access_token_algorithms: BTreeMap<String, String>,
    /// The algorithms there are keys of: ES256, `EdDSA`, RS256; the first signs where nothing else
    /// is asked for. ES256 alone without it.
    pub algorithms: Option<Vec<String>>,
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

/// How fast keys change, whoever uses them.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// How long a key signs until it is replaced by itself.
    pub every: Option<Duration>,
    pub pace: Pace,
}

impl RawKeys {
    /// How fast keys change; what is wrong is added to the problems.
    pub fn speed(&self, problems: &mut Vec<Problem>) -> Speed {
        let mut seconds = |name: &str, written: Option<u64>, usual: u64, least: u64, most: u64| {
            let value = written.unwrap_or(usual);
            if !(least..=most).contains(&value) {
                let what = format!("is not {least} to {most}");
                problems.push(Problem::new(format!("keys.{name}"), what, format!("write {usual}")));
            }
            Duration::from_secs(value)
        };
        let max_age = seconds("jwks_max_age_seconds", self.jwks_max_age_seconds, 300, 1, 86_400);
        let stale = seconds("jwks_stale_seconds", self.jwks_stale_seconds, 300, 0, 86_400);
        let skew = seconds("clock_skew_seconds", self.clock_skew_seconds, 30, 0, 300);
        let refresh = seconds("refresh_seconds", self.refresh_seconds, 10, 1, 10);
        let every = match self.rotate_every.as_deref() {
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
        Speed { every, pace: Pace { max_age, skew, stale, view: refresh * 3 } }
    }
}

/// How fast keys change, and how long what they make lives.
#[derive(Clone, Debug)]
pub(crate) struct KeyPolicy {
    /// The algorithm of the access tokens of a resource, where it is not the first.
    access: BTreeMap<String, Algorithm>,
    /// Those there are keys of; never empty.
    pub(crate) algorithms: Vec<Algorithm>,
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
        let Speed { every, pace } = raw.speed(problems);
        let resources = deployment.resources.iter().chain([&deployment.account]);
        let algorithms = algorithms(raw, problems);
        Self {
            access: access(raw, &algorithms, deployment, problems),
            algorithms,
            every,
            longest_access: deployment.longest_access_token(),
            longest_grant: resources.map(|one| one.refresh_absolute).max().unwrap_or_default(),
            pace,
        }
    }

    /// Gives clients of the deployment file the algorithm of ID tokens that they ask for.
    pub(super) fn choose(
        &self,
        raw: &[RawClient],
        clients: &mut [Client],
        problems: &mut Vec<Problem>,
    ) {
        for (at, raw) in raw.iter().enumerate() {
            let Some(name) = &raw.id_token_signed_response_alg else { continue };
            if Algorithm::parse(name).is_none_or(|one| !self.algorithms.contains(&one)) {
                let place = format!("client[{at}].id_token_signed_response_alg");
                let what = format!("{name:?} is none of keys.algorithms");
                problems.push(Problem::new(place, what, "write one of them"));
            }
            for client in clients.iter_mut().filter(|client| client.id.as_str() == raw.id) {
                client.about.id_token_signed_response_alg = Some(name.clone());
            }
        }
    }

    /// The algorithm that signs where nothing else is asked for.
    pub(crate) fn usual(&self) -> Algorithm {
        self.algorithms.first().copied().unwrap_or(Algorithm::Es256)
    }

    /// The algorithm of a resource's access tokens.
    pub(crate) fn of_access_tokens(&self, resource: &str) -> Algorithm {
        self.access.get(resource).copied().unwrap_or_else(|| self.usual())
    }

    /// The algorithms of keys of the purpose, the usual one first.
    pub(crate) fn algorithms_of(&self, purpose: Purpose) -> &[Algorithm] {
        if purpose == Purpose::Issuer { &self.algorithms } else { purpose.algorithms() }
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

fn algorithms(raw: &RawKeys, problems: &mut Vec<Problem>) -> Vec<Algorithm> {
    let mut known = Vec::new();
    let Some(written) = &raw.algorithms else { return vec![Algorithm::Es256] };
    for name in written {
        match Algorithm::parse(name) {
            Some(algorithm) if !known.contains(&algorithm) => known.push(algorithm),
            Some(_) => {
                let what = format!("names {name:?} twice");
                problems.push(Problem::new("keys.algorithms", what, "write each of them once"));
            }
            None => {
                let what = format!("{name:?} is none of ours");
                problems.push(Problem::new("keys.algorithms", what, "write ES256, EdDSA or RS256"));
            }
        }
    }
    if written.is_empty() {
        problems.push(Problem::new("keys.algorithms", "is empty", "write [\"ES256\"]"));
    }
    known
}

fn access(
    raw: &RawKeys,
    algorithms: &[Algorithm],
    deployment: &Deployment,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Algorithm> {
    let mut known = BTreeMap::new();
    for (resource, name) in &raw.access_token_algorithms {
        let place = format!("keys.access_token_algorithms.{resource:?}");
        let is_ours = |algorithm: &Algorithm| algorithms.contains(algorithm);
        if deployment.resource(resource).is_none() {
            let remedy = "write the url of a [[resource]]";
            problems.push(Problem::new(place, "is no resource", remedy));
        } else if let Some(algorithm) = Algorithm::parse(name).filter(is_ours) {
            known.insert(resource.clone(), algorithm);
        } else {
            let what = format!("{name:?} is none of keys.algorithms");
            problems.push(Problem::new(place, what, "write one of them"));
        }
    }
    known
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
            ("algorithms = []", "keys.algorithms"),
            ("algorithms = [\"ES384\"]", "keys.algorithms"),
            ("algorithms = [\"ES256\", \"ES256\"]", "keys.algorithms"),
            ("access_token_algorithms = { \"https://other\" = \"ES256\" }", "no resource"),
        ] {
            let (_, problems) = resolve(text);
            assert!(matches!(&problems[..], [one] if one.contains(name)), "{problems:?}");
        }
        assert_eq!(resolve("rotate_every = \"never\"").0.every, None);
        assert_eq!(resolve("rotate_every = \"12h\"").0.every, Some(Duration::from_hours(12)));
    }

    #[test]
    fn a_client_of_the_file_has_the_algorithm_that_it_asks_for_if_there_are_keys_of_it() {
        let (policy, _) = resolve("algorithms = [\"ES256\", \"RS256\"]");
        let id = shared::ids::ClientId::parse("app").unwrap();
        let mut clients = [Client { id, ..testing::client() }];
        let mut choose = |algorithm: &str| {
            let table =
                format!("id = 'app'\nname = 'App'\nid_token_signed_response_alg = '{algorithm}'");
            let raw: RawClient = toml::from_str(&table).unwrap();
            let mut problems = Vec::new();
            policy.choose(&[raw], &mut clients, &mut problems);
            let places: Vec<_> = problems.into_iter().map(|one| one.place).collect();
            (clients[0].about.id_token_algorithm(), places)
        };
        assert_eq!(choose("RS256"), (Some(Algorithm::Rs256), vec![]));
        let place = "client[0].id_token_signed_response_alg".to_owned();
        assert_eq!(choose("EdDSA").1, [place]);
    }
}
