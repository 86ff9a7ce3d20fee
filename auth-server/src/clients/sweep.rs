//! Forgetting registrations that nobody uses: a part of them at each sweep, so that a store with
//! many clients is never read at once.

use std::sync::PoisonError;

use crate::{App, StoreError, store::Kind};

/// How many clients one look at the store holds.
const PAGE: usize = 500;
/// After so many sweeps every client was looked at, if that is not too many at once.
const ROUND: u64 = 10;
const FEWEST: u64 = 2000;
const MOST: u64 = 20_000;

impl App {
    /// Goes on where the last sweep ended. Returns how many clients are gone.
    pub(crate) async fn sweep_clients(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut left = (self.store.count(Kind::Client).await? / ROUND).clamp(FEWEST, MOST);
        let mut gone = 0;
        while left > 0 {
            let place = || self.client_sweep.lock().unwrap_or_else(PoisonError::into_inner);
            let after = place().clone();
            let (next, deleted) = self.store.forget_clients(after.as_deref(), PAGE, now).await?;
            gone += deleted;
            let is_end = next.is_none();
            *place() = next;
            if is_end {
                break;
            }
            left = left.saturating_sub(PAGE as u64);
        }
        if gone > 0 {
            tracing::info!(gone, "forgot clients that nobody used");
        }
        Ok(gone)
    }
}
