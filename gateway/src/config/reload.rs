//! Another configuration while the gateway runs: what stays the same, and what needs a restart.

use sha2::{Digest, Sha256};
use shared::problem::Problem;

use super::{Config, RawBackend};

/// What tells two configurations of a backend apart: all that its table says, and the files that
/// it names.
pub(super) fn fingerprint(raw: &RawBackend) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(format!("{raw:?}"));
    let exchange = raw.identity.exchange.as_ref();
    let authorities = exchange.and_then(|exchange| exchange.ca_file.as_ref());
    let secret = exchange.and_then(|exchange| exchange.client_secret_file.as_ref());
    let files = [raw.openapi.as_ref(), raw.ca_file.as_ref(), authorities, secret];
    for path in files.into_iter().flatten() {
        // What cannot be read is a problem that is reported elsewhere.
        digest.update(Sha256::digest(std::fs::read(path).unwrap_or_default()));
    }
    digest.finalize().into()
}

const REMEDY: &str = "needs a restart: put the old value back, or restart the gateway";

impl Config {
    /// What of `next` cannot be changed while the gateway runs.
    pub(crate) fn needs_restart(&self, next: &Self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (place, is_same) in [
            ("deployment.issuer", self.deployment.issuer == next.deployment.issuer),
            ("gateway.identity_issuer", self.identity_issuer == next.identity_issuer),
            ("gateway.internal_base", self.internal_base == next.internal_base),
            (
                "gateway.internal_credential_file",
                self.internal_credential_file == next.internal_credential_file,
            ),
            ("gateway.jwks_refetch_seconds", self.jwks_refetch == next.jwks_refetch),
            ("gateway.jwks_stale_seconds", self.jwks_stale == next.jwks_stale),
            ("gateway.name", self.name == next.name),
            ("gateway.shared_limits", self.budgets.shared == next.budgets.shared),
        ] {
            if !is_same {
                problems.push(Problem::new(place, "is not what the gateway began with", REMEDY));
            }
        }
        problems
    }
}
