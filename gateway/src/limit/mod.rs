//! Limits, in order: the address for failed authentications, the credential for every call, the
//! workspace for permitted ones. Only here a [`Ticket`] is made.
//!
//! Addresses and credentials guard this process and are counted in it; what a workspace or a
//! principal may use is shared with the other gateways where the store can be.

mod bank;
mod gauge;
mod headers;
mod lease;
mod meter;

use std::{net::IpAddr, sync::Arc};

use shared::ids::WorkspaceId;
use web::limits::{AddressLimits, Limited, Limiter, Standing};

pub(crate) use self::{bank::Bank, gauge::Room, headers::LimitHeaders};
use self::{gauge::Gauge, meter::Meter};
use crate::{
    claims::Admitted,
    config::{Budgets, RawSharedLimits},
    rules::permit::Permit,
};

/// How many keys each limiter remembers.
const MOST_KEYS: usize = 100_000;

/// How many streams that wait for news one principal may hold.
const MOST_STREAMS: usize = 64;
/// How many calls of one principal may be under way.
const MOST_CALLS: usize = 512;

/// How the budget stands that a request was charged to last.
pub(crate) type Seen = Option<Standing>;

/// Proof that a permitted call was charged.
#[derive(Debug)]
pub(crate) struct Ticket(());

/// The gateway's budgets.
#[derive(Debug)]
pub(crate) struct Limits {
    addresses: Arc<AddressLimits>,
    /// Where budgets are shared with other gateways.
    bank: Option<Arc<Bank>>,
    budgets: Budgets,
    calls: Gauge,
    credentials: Arc<Limiter<Arc<str>>>,
    discovery: Arc<Meter<Arc<str>>>,
    failed: &'static str,
    lookups: &'static str,
    /// What one principal may use of a workspace, so that others find room in it.
    shares: Arc<Meter<(WorkspaceId, Arc<str>)>>,
    streams: Gauge,
    /// For calls that name no workspace: by principal.
    unbound: Arc<Meter<Arc<str>>>,
    workspaces: Arc<Meter<WorkspaceId>>,
}

impl Limits {
    /// Full budgets; those in a bank are shared.
    pub(crate) fn new(budgets: Budgets, bank: Option<Bank>) -> Self {
        Self::of(budgets, bank.filter(|_| budgets.shared != RawSharedLimits::Off).map(Arc::new))
    }

    /// The limits under other budgets, shared as before: what did not change keeps its counts.
    pub(crate) fn renewed(&self, budgets: Budgets) -> Self {
        let (held, mut next) = (self.budgets, Self::of(budgets, self.bank.clone()));
        next.calls = self.calls.clone();
        next.streams = self.streams.clone();
        if (held.failed, held.lookups) == (budgets.failed, budgets.lookups) {
            next.addresses = Arc::clone(&self.addresses);
        }
        if held.credential == budgets.credential {
            next.credentials = Arc::clone(&self.credentials);
        }
        if held.discovery == budgets.discovery {
            next.discovery = Arc::clone(&self.discovery);
        }
        if held.share == budgets.share {
            next.shares = Arc::clone(&self.shares);
        }
        if held.unbound == budgets.unbound {
            next.unbound = Arc::clone(&self.unbound);
        }
        if held.workspace == budgets.workspace {
            next.workspaces = Arc::clone(&self.workspaces);
        }
        next
    }

    fn of(budgets: Budgets, bank: Option<Arc<Bank>>) -> Self {
        let exact = budgets.shared == RawSharedLimits::Exact;
        let shared = bank.as_ref();
        Self {
            addresses: Arc::new(AddressLimits::new(&[budgets.failed, budgets.lookups], MOST_KEYS)),
            budgets,
            calls: Gauge::new("calls under way", MOST_CALLS),
            credentials: Arc::new(Limiter::new(budgets.credential, MOST_KEYS)),
            discovery: Arc::new(Meter::new(budgets.discovery, shared, exact)),
            failed: budgets.failed.name,
            lookups: budgets.lookups.name,
            shares: Arc::new(Meter::new(budgets.share, shared, exact)),
            streams: Gauge::new("open streams", MOST_STREAMS),
            unbound: Arc::new(Meter::new(budgets.unbound, shared, exact)),
            workspaces: Arc::new(Meter::new(budgets.workspace, shared, exact)),
            bank,
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
    pub(crate) fn charge_call(&self, caller: &Admitted, seen: &mut Seen) -> Result<(), Limited> {
        let outcome = self.credentials.charge(&caller.principal);
        let spent = self.credentials.budget().standing(0);
        *seen = Some(outcome.as_ref().map_or(spent, |standing| *standing));
        outcome.map(drop)
    }

    /// Charges a credential for a handshake or a list.
    pub(crate) async fn charge_discovery(
        &self,
        caller: &Admitted,
        seen: &mut Seen,
    ) -> Result<(), Limited> {
        self.discovery.charge(&caller.principal, seen).await
    }

    /// Charges the workspace that a permitted call acts in, or its principal where it acts in
    /// none in particular.
    pub(crate) async fn ticket(
        &self,
        caller: &Admitted,
        permit: &Permit,
        seen: &mut Seen,
    ) -> Result<Ticket, Limited> {
        match &permit.workspace {
            Some(workspace) => {
                let own = (workspace.clone(), Arc::clone(&caller.principal));
                self.shares.charge(&own, seen).await?;
                self.workspaces.charge(workspace, seen).await?;
            }
            // Handshakes and lists have paid already.
            None if permit.method.is_handshake() => {}
            None => self.unbound.charge(&caller.principal, seen).await?,
        }
        Ok(Ticket(()))
    }

    /// Room for a call until its answer has gone; it is given back when dropped.
    pub(crate) fn begin_call(&self, caller: &Arc<Admitted>) -> Result<Room, Limited> {
        self.calls.open(caller)
    }

    /// Room for a stream that waits for news; it is given back when dropped.
    pub(crate) fn open_stream(&self, caller: &Arc<Admitted>) -> Result<Room, Limited> {
        self.streams.open(caller)
    }

    /// Where budgets are shared with other gateways, if they are.
    pub(crate) fn bank(&self) -> Option<&Arc<Bank>> {
        self.bank.as_ref()
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

#[cfg(test)]
mod tests;
