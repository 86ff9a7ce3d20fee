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

use std::{net::IpAddr, sync::Arc, time::Instant};

use shared::{ids::WorkspaceId, resource::ResourceIndicator};
use web::limits::{AddressLimits, Budget, Left, Limited, Limiter, Standing};

pub(crate) use self::{bank::Bank, gauge::Room, headers::LimitHeaders};
use self::{
    gauge::Gauge,
    meter::{Meter, Share},
};
use crate::{
    claims::Admitted,
    config::{Budgets, CallBudgets, Config, RawSharedLimits},
    rules::permit::Permit,
};

/// How many keys each limiter remembers.
const MOST_KEYS: usize = 100_000;

/// How many streams that wait for news one principal may hold.
const MOST_STREAMS: usize = 64;
/// How many calls of one principal may be under way.
const MOST_CALLS: usize = 512;

/// What a request learnt of its budgets.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// When it was charged first; all its charges are made at that moment.
    at: Option<Instant>,
    last: Last,
}

/// How the budget stands that a request was charged to last, worked out if somebody asks.
#[derive(Debug, Default)]
enum Last {
    Left(Left),
    Standing(Standing),
    #[default]
    Unknown,
}

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
    /// Of all resources that have none of their own.
    common: Spending,
    credentials: Arc<Limiter<Arc<str>>>,
    discovery: Arc<Meter<Arc<str>>>,
    failed: &'static str,
    lookups: &'static str,
    own: Vec<(ResourceIndicator, Spending)>,
    streams: Gauge,
}

/// What permitted calls are charged to.
#[derive(Debug)]
struct Spending {
    budgets: CallBudgets,
    /// What one principal may use of a workspace, so that others find room in it.
    shares: Arc<Meter<(WorkspaceId, Arc<str>)>>,
    /// For calls that name no workspace: by principal.
    unbound: Arc<Meter<Arc<str>>>,
    workspaces: Arc<Meter<WorkspaceId>>,
}

/// Where budgets are shared, if they are, and whether each charge is asked for there.
type Sharing<'a> = (Option<&'a Arc<Bank>>, bool);

impl Seen {
    /// How the budget stands that the request was charged to last.
    pub(crate) fn standing(&self) -> Option<Standing> {
        match &self.last {
            Last::Left(left) => Some(left.standing()),
            Last::Standing(standing) => Some(*standing),
            Last::Unknown => None,
        }
    }

    /// When the request was charged first, or now.
    pub(crate) fn moment(&mut self) -> Instant {
        *self.at.get_or_insert_with(Instant::now)
    }

    /// Notes what a charge to a budget brought; a refusal says that nothing is left.
    fn note(&mut self, outcome: Result<Last, Limited>, of: Budget) -> Result<(), Limited> {
        let (last, outcome) = match outcome {
            Ok(last) => (last, Ok(())),
            Err(limited) => (Last::Standing(of.standing(0)), Err(limited)),
        };
        self.last = last;
        outcome
    }
}

impl Limits {
    /// Full budgets; those in a bank are shared.
    pub(crate) fn new(config: &Config, bank: Option<Bank>) -> Self {
        let is_shared = config.budgets.shared != RawSharedLimits::Off;
        Self::of(config, bank.filter(|_| is_shared).map(Arc::new))
    }

    /// The limits under another configuration, shared as before: what did not change keeps its
    /// counts.
    pub(crate) fn renewed(&self, config: &Config) -> Self {
        let budgets = config.budgets;
        let (held, mut next) = (self.budgets, Self::of(config, self.bank.clone()));
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
        next.common.keep(&self.common);
        for (resource, spending) in &mut next.own {
            if let Some((_, held)) = self.own.iter().find(|(one, _)| one == resource) {
                spending.keep(held);
            }
        }
        next
    }

    fn of(config: &Config, bank: Option<Arc<Bank>>) -> Self {
        let budgets = config.budgets;
        let exact = budgets.shared == RawSharedLimits::Exact;
        let shared = bank.as_ref();
        let own = config.routes.iter().filter_map(|route| {
            let resource = &route.resource.indicator;
            let spending = Spending::new(route.budgets?, resource.as_str(), (shared, exact));
            Some((resource.clone(), spending))
        });
        Self {
            addresses: Arc::new(AddressLimits::new(&[budgets.failed, budgets.lookups], MOST_KEYS)),
            own: own.collect(),
            budgets,
            calls: Gauge::new("calls under way", MOST_CALLS),
            common: Spending::new(budgets.calls, "", (shared, exact)),
            credentials: Arc::new(Limiter::new(budgets.credential, MOST_KEYS)),
            discovery: Arc::new(Meter::new(budgets.discovery, "", (shared, exact))),
            failed: budgets.failed.name,
            lookups: budgets.lookups.name,
            streams: Gauge::new("open streams", MOST_STREAMS),
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
        let outcome = self.credentials.charge(&caller.principal, seen.moment());
        seen.note(outcome.map(Last::Left), self.credentials.budget())
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
        let of_resource = self.own.iter().find(|(one, _)| *one == caller.caller.resource);
        let spending = of_resource.map_or(&self.common, |(_, own)| own);
        match &permit.workspace {
            Some(workspace) => {
                spending.shares.charge(&Share(workspace, &caller.principal), seen).await?;
                spending.workspaces.charge(workspace, seen).await?;
            }
            // Handshakes and lists have paid already.
            None if permit.method.is_handshake() => {}
            None => spending.unbound.charge(&caller.principal, seen).await?,
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
        for spending in self.own.iter().map(|(_, own)| own).chain([&self.common]) {
            spending.shares.sweep();
            spending.unbound.sweep();
            spending.workspaces.sweep();
        }
    }
}

impl Spending {
    /// Full budgets of one resource, or without a name of all that have none of their own.
    fn new(budgets: CallBudgets, resource: &str, sharing: Sharing<'_>) -> Self {
        Self {
            budgets,
            shares: Arc::new(Meter::new(budgets.share, resource, sharing)),
            unbound: Arc::new(Meter::new(budgets.unbound, resource, sharing)),
            workspaces: Arc::new(Meter::new(budgets.workspace, resource, sharing)),
        }
    }

    /// Goes on with the counts of budgets that are the same.
    fn keep(&mut self, held: &Self) {
        if held.budgets.share == self.budgets.share {
            self.shares = Arc::clone(&held.shares);
        }
        if held.budgets.unbound == self.budgets.unbound {
            self.unbound = Arc::clone(&held.unbound);
        }
        if held.budgets.workspace == self.budgets.workspace {
            self.workspaces = Arc::clone(&held.workspaces);
        }
    }
}

#[cfg(test)]
mod tests;
