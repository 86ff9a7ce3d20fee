//! One budget for each key: kept in this process, or shared with the other gateways and, while
//! that cannot be, this gateway's part of it.

use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use sha2::{Digest, Sha256};
use shared::ids::WorkspaceId;
use web::limits::{Budget, Limited, Limiter, Lookup, Standing};

use super::{
    Last, MOST_KEYS, Seen, Sharing,
    bank::Bank,
    lease::{Lease, Taken, largest_batch},
};

/// How long a lease nobody uses is remembered.
const QUIET: Duration = Duration::from_mins(2);

/// What a budget belongs to.
pub(super) trait Key: Clone + Eq + Hash + Send + Sync + 'static {
    /// Its parts.
    fn parts(&self) -> [&str; 2];
}

impl Key for Arc<str> {
    fn parts(&self) -> [&str; 2] {
        [self, ""]
    }
}

impl Key for WorkspaceId {
    fn parts(&self) -> [&str; 2] {
        [self.as_str(), ""]
    }
}

impl Key for (WorkspaceId, Arc<str>) {
    fn parts(&self) -> [&str; 2] {
        [self.0.as_str(), &self.1]
    }
}

/// A principal's share of a workspace, by what is at hand.
#[derive(Debug, Hash)]
pub(super) struct Share<'a>(pub(super) &'a WorkspaceId, pub(super) &'a Arc<str>);

impl Lookup<(WorkspaceId, Arc<str>)> for Share<'_> {
    fn is(&self, (workspace, principal): &(WorkspaceId, Arc<str>)) -> bool {
        self.0 == workspace && self.1 == principal
    }

    fn key(&self) -> (WorkspaceId, Arc<str>) {
        (self.0.clone(), Arc::clone(self.1))
    }
}

/// The budgets of one kind.
#[derive(Debug)]
pub(super) struct Meter<K: Key> {
    local: Limiter<K>,
    shared: Option<Arc<Shared<K>>>,
}

#[derive(Debug)]
struct Shared<K: Key> {
    bank: Arc<Bank>,
    budget: Budget,
    held: Cache<K, Arc<Lease>>,
    /// The largest batch; one means that each charge is a round trip.
    most: u32,
    /// Whose budgets they are, if they are one resource's.
    resource: Box<str>,
}

impl<K: Key> Meter<K> {
    /// Full budgets of one resource, or without a name of all.
    pub(super) fn new(budget: Budget, resource: &str, (bank, exact): Sharing<'_>) -> Self {
        let shared = bank.map(|bank| {
            let held = Cache::builder().max_capacity(MOST_KEYS as u64).time_to_idle(QUIET);
            let most = if exact { 1 } else { largest_batch(budget) };
            let (bank, resource) = (Arc::clone(bank), resource.into());
            Arc::new(Shared { bank, budget, held: held.build(), most, resource })
        });
        Self { local: Limiter::new(budget, MOST_KEYS), shared }
    }

    /// Charges a key one request; `seen` learns how its budget stands, also if it is spent.
    pub(super) async fn charge(
        &self,
        key: &impl Lookup<K>,
        seen: &mut Seen,
    ) -> Result<(), Limited> {
        let outcome = match &self.shared {
            None => self.local.charge(key, seen.moment()).map(Last::Left),
            Some(shared) => {
                let key = key.key();
                if let Some(outcome) = shared.charge(&key).await {
                    outcome.map(Last::Standing)
                } else {
                    // Without the others everybody takes a part, so that all together have the
                    // whole.
                    let parts = NonZeroU32::new(shared.bank.gateways());
                    let parts = parts.unwrap_or(NonZeroU32::MIN);
                    self.local.charge_share(&key, parts, Instant::now()).map(Last::Left)
                }
            }
        };
        seen.note(outcome, self.local.budget())
    }

    /// Forgets the keys whose budget is full again.
    pub(super) fn sweep(&self) {
        self.local.sweep();
    }
}

impl<K: Key> Shared<K> {
    /// `None`: Redis is away.
    async fn charge(self: &Arc<Self>, key: &K) -> Option<Result<Standing, Limited>> {
        if self.bank.is_away() {
            return None;
        }
        let lease = self.lease(key);
        match lease.take(self.budget, Instant::now()) {
            Taken::Empty => {}
            Taken::One { is_low, standing } => {
                if is_low {
                    self.fetch_ahead(lease, key);
                }
                return Some(Ok(standing));
            }
            Taken::Refused(limited) => return Some(Err(limited)),
        }
        // Boxed, so that calls that need not ask have no room for it.
        Box::pin(self.ask(&lease, key)).await
    }

    /// Asks Redis, one caller at a time.
    async fn ask(&self, lease: &Lease, key: &K) -> Option<Result<Standing, Limited>> {
        let _alone = lease.asking.lock().await;
        // Whoever asked before may have brought some.
        loop {
            match lease.take(self.budget, Instant::now()) {
                Taken::Empty => self.fetch(lease, key).await?,
                Taken::One { standing, .. } => return Some(Ok(standing)),
                Taken::Refused(limited) => return Some(Err(limited)),
            }
        }
    }

    fn lease(&self, key: &K) -> Arc<Lease> {
        self.held.get(key).unwrap_or_else(|| {
            self.held.get_with(key.clone(), || Arc::new(Lease::new(Instant::now())))
        })
    }

    async fn fetch(&self, lease: &Lease, key: &K) -> Option<()> {
        if self.bank.is_away() {
            return None;
        }
        let wanted = lease.wanted(self.most, Instant::now());
        let name = stored(self.budget.name, &self.resource, key);
        let charged = self.bank.charge(&name, self.budget, wanted).await;
        let Some(charged) = charged else {
            lease.give_up();
            return None;
        };
        lease.put(charged, Instant::now());
        Some(())
    }

    fn fetch_ahead(self: &Arc<Self>, lease: Arc<Lease>, key: &K) {
        let (own, key) = (Arc::clone(self), key.clone());
        self.bank.tasks.spawn(async move {
            let _alone = lease.asking.lock().await;
            own.fetch(&lease, &key).await
        });
    }
}

/// The name in Redis: short, and without anybody's name in it.
fn stored<K: Key>(budget: &str, resource: &str, key: &K) -> String {
    let mut hash = Sha256::new();
    let of_resource = (!resource.is_empty()).then_some(resource);
    for part in key.parts().into_iter().chain(of_resource) {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let name: u128 = digest.iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte));
    format!("limits/{}/{name:032x}", budget.replace(' ', "-"))
}
