//! The cache of accepted tokens, keyed by SHA-256 of the token; no token is kept.
//!
//! Only accepted tokens enter. A hit saves the signature and nothing else: expiry, resource,
//! revocation, and that no key was withdrawn since, are judged again each time.

mod lately;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::quality::RandomState;
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use self::lately::Lately;
use crate::{backends::Identities, config::TrustedIssuer, rules::caller::Caller};

/// Entries beyond this push out those used least.
const MOST: u64 = 10_000;
/// How long an entry lasts at most; a token usually lasts less.
const LONGEST: Duration = Duration::from_mins(10);

/// A verified credential with what lives and dies with it.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    /// SHA-256 of the token.
    pub(crate) digest: Digest32,
    /// The further issuer that vouches for it, if it is not ours.
    pub(crate) foreign: Option<Arc<TrustedIssuer>>,
    /// The generation of the issuer's keys it was verified in.
    pub(crate) generation: u64,
    /// The identities signed for it so far.
    pub(crate) identities: Identities,
    /// When it was verified.
    pub(crate) kept: Instant,
    /// Issuer and subject in one, for what all clients of a principal share.
    pub(crate) person: Arc<str>,
    /// Issuer, subject and client in one, for limits.
    pub(crate) principal: Arc<str>,
}

/// A SHA-256.
pub(crate) type Digest32 = [u8; 32];

/// The accepted tokens.
#[derive(Debug)]
pub(crate) struct ClaimsCache {
    by_digest: Cache<Digest32, Arc<Admitted>, RandomState>,
    lately: Lately,
}

impl ClaimsCache {
    /// An empty cache.
    pub(crate) fn new() -> Self {
        let cache = Cache::builder().max_capacity(MOST).time_to_live(LONGEST);
        Self {
            by_digest: cache.build_with_hasher(RandomState::default()),
            lately: Lately::default(),
        }
    }

    /// The entry of a token that was accepted before.
    pub(crate) fn find(&self, digest: &Digest32, now: Instant) -> Option<Arc<Admitted>> {
        self.lately.find(digest, now).or_else(|| {
            let held = self.by_digest.get(digest)?;
            self.lately.keep(&held);
            Some(held)
        })
    }

    /// Keeps an accepted token.
    pub(crate) fn keep(&self, caller: Caller, digest: Digest32, generation: u64) -> Arc<Admitted> {
        self.put(caller, digest, generation, None)
    }

    /// Keeps an accepted token of a further issuer.
    pub(crate) fn keep_foreign(
        &self,
        caller: Caller,
        digest: Digest32,
        generation: u64,
        issuer: &Arc<TrustedIssuer>,
    ) -> Arc<Admitted> {
        self.put(caller, digest, generation, Some(Arc::clone(issuer)))
    }

    fn put(
        &self,
        caller: Caller,
        digest: Digest32,
        generation: u64,
        foreign: Option<Arc<TrustedIssuer>>,
    ) -> Arc<Admitted> {
        let person = format!("{} {}", caller.issuer, caller.subject);
        let principal = format!("{person} {}", caller.client);
        let admitted = Arc::new(Admitted {
            caller,
            digest,
            foreign,
            generation,
            identities: Identities::default(),
            kept: Instant::now(),
            person: person.into(),
            principal: principal.into(),
        });
        self.by_digest.insert(digest, Arc::clone(&admitted));
        // What it replaces is not to be found before it.
        self.lately.forget(&digest);
        admitted
    }

    /// About how many tokens are remembered.
    pub(crate) fn len(&self) -> u64 {
        self.by_digest.entry_count()
    }

    /// Forgets a token that is no longer good.
    pub(crate) fn forget(&self, digest: &Digest32) {
        self.lately.forget(digest);
        self.by_digest.invalidate(digest);
    }
}

/// The key of a token's entry.
pub(crate) fn digest(token: &str) -> Digest32 {
    Sha256::digest(token.as_bytes()).into()
}
