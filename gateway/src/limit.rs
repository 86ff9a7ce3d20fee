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
/// How many calls of one principal may be under way.
const MOST_CALLS: usize = 512;

/// Proof that a permitted call was charged.
#[derive(Debug)]
pub(crate) struct Ticket(());

/// The gateway's budgets.
#[derive(Debug)]
pub(crate) struct Limits {
    addresses: AddressLimits,
    calls: Gauge,
    credentials: Limiter<Arc<str>>,
    discovery: Limiter<Arc<str>>,
    failed: &'static str,
    lookups: &'static str,
    /// What one principal may use of a workspace, so that others find room in it.
    shares: Limiter<(WorkspaceId, Arc<str>)>,
    streams: Gauge,
    /// For calls that name no workspace: by principal.
    unbound: Limiter<Arc<str>>,
    workspaces: Limiter<WorkspaceId>,
}

impl Limits {
    /// Full budgets.
    pub(crate) fn new(budgets: Budgets) -> Self {
        Self {
            addresses: AddressLimits::new(&[budgets.failed, budgets.lookups], MOST_KEYS),
            calls: Gauge::new("calls under way", MOST_CALLS),
            credentials: Limiter::new(budgets.credential, MOST_KEYS),
            discovery: Limiter::new(budgets.discovery, MOST_KEYS),
            failed: budgets.failed.name,
            lookups: budgets.lookups.name,
            shares: Limiter::new(share(budgets.workspace), MOST_KEYS),
            streams: Gauge::new("open streams", MOST_STREAMS),
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

    /// Room for a call until its answer has gone; it is given back when dropped.
    pub(crate) fn begin_call(&self, caller: &Admitted) -> Result<Room, Limited> {
        self.calls.open(&caller.principal)
    }

    /// Room for a stream that waits for news; it is given back when dropped.
    pub(crate) fn open_stream(&self, caller: &Admitted) -> Result<Room, Limited> {
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

/// How many of something each principal has at this moment.
#[derive(Clone, Debug)]
struct Gauge {
    held: Arc<Mutex<HashMap<Arc<str>, usize>>>,
    most: usize,
    name: &'static str,
}

/// One of a principal's places; it is given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    gauge: Gauge,
    principal: Arc<str>,
}

impl Gauge {
    fn new(name: &'static str, most: usize) -> Self {
        Self { held: Arc::default(), most, name }
    }

    fn open(&self, principal: &Arc<str>) -> Result<Room, Limited> {
        let mut held = self.lock();
        let count = held.entry(Arc::clone(principal)).or_default();
        if *count >= self.most {
            return Err(Limited { budget: self.name, retry_after: 1 });
        }
        *count += 1;
        Ok(Room { gauge: self.clone(), principal: Arc::clone(principal) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut held = self.gauge.lock();
        if let Some(count) = held.get_mut(&self.principal) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&self.principal);
            }
        }
    }
}
