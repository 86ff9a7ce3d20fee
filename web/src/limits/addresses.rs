//! Budgets per client address: a single IPv4 address, an IPv6 /64.

use std::{collections::HashMap, net::IpAddr};

use super::{Budget, Limited, Limiter};
use crate::client_address::v6_prefix;

/// Budgets per client address, by name.
#[derive(Debug)]
pub struct AddressLimits {
    limiters: HashMap<&'static str, Limiter<Prefix>>,
}

/// What counts as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Prefix {
    V4(u32),
    V6(u128),
}

impl AddressLimits {
    /// A registry of these budgets; each remembers at most `max_keys` prefixes.
    pub fn new(budgets: &[Budget], max_keys: usize) -> Self {
        let limiter = |budget: &Budget| (budget.name, Limiter::new(*budget, max_keys));
        Self { limiters: budgets.iter().map(limiter).collect() }
    }

    /// Charges the address one request of the named budget. A budget nobody defined is spent.
    pub fn check(&self, budget: &'static str, address: IpAddr) -> Result<(), Limited> {
        let undefined = Limited { budget, retry_after: 60 };
        self.limiters.get(budget).ok_or(undefined)?.check(&Prefix::of(address))
    }

    /// Forgets addresses that have been quiet. Call it every minute.
    pub fn sweep(&self) {
        self.limiters.values().for_each(Limiter::sweep);
    }
}

impl Prefix {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.into()),
            IpAddr::V6(address) => Self::V6(v6_prefix(address, 64)),
        }
    }
}
