//! Limits, in order: the address for failed authentications, the credential for every call, the
//! workspace for permitted ones. Only here a [`Ticket`] is made.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shared::ids::WorkspaceId;
use web::limits::{AddressLimits, Budget, Limited, Limiter};

use crate::{claims::Admitted, config::Budgets, rules::permit::Permit};

/// How many keys each limiter remembers.
const MOST_KEYS: usize = 100_000;

/// How many streams that wait for news one principal may hold.
const MOST_STREAMS: usize = 64;

/// Proof that a permitted call was charged.
#[derive(Debug)]
pub(crate) struct Ticket(());

/// The gateway's budgets.
#[derive(Debug)]
pub(crate) struct Limits {
    addresses: AddressLimits,
    credentials: Limiter<Arc<str>>,
    discovery: Limiter<Arc<str>>,
    failed: &'static str,
    lookups: &'static str,
    /// What one principal may use of a workspace, so that others find room in it.
    shares: Limiter<(WorkspaceId, Arc<str>)>,
    streams: Streams,
    /// For calls that name no workspace: by principal.
    unbound: Limiter<Arc<str>>,
    workspaces: Limiter<WorkspaceId>,
}

impl Limits {
    /// Full budgets.
    pub(crate) fn new(budgets: Budgets) -> Self {
        Self {
            addresses: AddressLimits::new(&[budgets.failed, budgets.lookups], MOST_KEYS),
            credentials: Limiter::new(budgets.credential, MOST_KEYS),
            discovery: Limiter::new(budgets.discovery, MOST_KEYS),
            failed: budgets.failed.name,
            lookups: budgets.lookups.name,
            shares: Limiter::new(share(budgets.workspace), MOST_KEYS),
            streams: Streams::default(),
            unbound: Limiter::new(budgets.workspace, MOST_KEYS),
            workspaces: Limiter::new(budgets.workspace, MOST_KEYS),
        }
    }

    /// Charges an address for a credential that was none.
    pub(crate) fn charge_failure(&self, address: IpAddr) -> Result<(), Limited> {
        self.addresses.check(self.failed, address)
    }

    /// Charges an address for an API key that must be looked up and was not good before.
    pub(crate) fn charge_lookup(&self, address: IpAddr) -> Result<(), Limited> {
        self.addresses.check(self.lookups, address)
    }

    /// Charges a credential for a call, whatever becomes of it.
    pub(crate) fn charge_call(&self, caller: &Admitted) -> Result<(), Limited> {
        self.credentials.check(&caller.principal)
    }

    /// Charges a credential for a handshake or a list.
    pub(crate) fn charge_discovery(&self, caller: &Admitted) -> Result<(), Limited> {
        self.discovery.check(&caller.principal)
    }

    /// Charges the workspace that a permitted call acts in, or its principal where it acts in
    /// none in particular.
    pub(crate) fn ticket(&self, caller: &Admitted, permit: &Permit) -> Result<Ticket, Limited> {
        match &permit.workspace {
            Some(workspace) => {
                self.shares.check(&(workspace.clone(), Arc::clone(&caller.principal)))?;
                self.workspaces.check(workspace)?;
            }
            // Handshakes and lists have paid already.
            None if permit.method.is_handshake() => {}
            None => self.unbound.check(&caller.principal)?,
        }
        Ok(Ticket(()))
    }

    /// Room for a stream that waits for news; it is given back when dropped.
    pub(crate) fn open_stream(&self, caller: &Admitted) -> Result<OpenStream, Limited> {
        self.streams.open(&caller.principal)
    }

    /// Forgets the keys whose budget is full again.
    pub(crate) fn sweep(&self) {
        self.addresses.sweep();
        self.credentials.sweep();
        self.discovery.sweep();
        self.shares.sweep();
        self.unbound.sweep();
        self.workspaces.sweep();
    }
}

/// Four fifths of a budget.
fn share(whole: Budget) -> Budget {
    let part = |n: u32| (n - n / 5).max(1);
    Budget {
        burst: part(whole.burst),
        name: "share of the workspace",
        per_minute: part(whole.per_minute),
    }
}

#[derive(Clone, Debug, Default)]
struct Streams(Arc<Mutex<HashMap<Arc<str>, usize>>>);

/// A stream that waits for news.
#[derive(Debug)]
pub(crate) struct OpenStream {
    principal: Arc<str>,
    streams: Streams,
}

impl Streams {
    fn open(&self, principal: &Arc<str>) -> Result<OpenStream, Limited> {
        let mut open = self.lock();
        let count = open.entry(Arc::clone(principal)).or_default();
        if *count >= MOST_STREAMS {
            return Err(Limited { budget: "open streams", retry_after: 5 });
        }
        *count += 1;
        Ok(OpenStream { principal: Arc::clone(principal), streams: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        if let Some(count) = open.get_mut(&self.principal) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_holds_so_many_streams_and_gets_room_back() {
        let streams = Streams::default();
        let principal: Arc<str> = "one".into();
        let mut held: Vec<_> =
            (0..MOST_STREAMS).map(|_| streams.open(&principal).unwrap()).collect();
        assert!(streams.open(&principal).is_err());
        assert!(streams.open(&"two".into()).is_ok());
        held.pop();
        assert!(streams.open(&principal).is_ok());
        held.clear();
        assert!(streams.lock().is_empty());
    }
}
