//! How many connections each client address holds (a single IPv4 address, an IPv6 /64), so that
//! one cannot take all the room. Proxies speak for many and are not counted.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::client_address::{TrustedProxies, v6_prefix};

/// The connections by address.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    held: Arc<Mutex<HashMap<u128, u32>>>,
    most: u32,
    proxies: Arc<TrustedProxies>,
}

/// An address's room for one connection; it is given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    addresses: Addresses,
    /// `None`: a proxy's, which is not counted.
    prefix: Option<u128>,
}

impl Addresses {
    /// Nobody holds a connection.
    pub(super) fn new(most: u32, proxies: TrustedProxies) -> Self {
        Self { held: Arc::default(), most, proxies: Arc::new(proxies) }
    }

    /// Room for one more connection, if the address has any left.
    pub(super) fn open(&self, address: IpAddr) -> Option<Room> {
        let address = address.to_canonical();
        let prefix = (!self.proxies.contains(address)).then(|| prefix(address));
        if let Some(prefix) = prefix {
            let mut held = self.lock();
            let count = held.entry(prefix).or_default();
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(Room { addresses: self.clone(), prefix })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, u32>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one client. An IPv4 address is as an IPv6 one that no network has.
fn prefix(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => (1 << 64) | u128::from(u32::from(address)),
        IpAddr::V6(address) => v6_prefix(address, 64),
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Some(prefix) = self.prefix else { return };
        let mut held = self.addresses.lock();
        if let Some(count) = held.get_mut(&prefix) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_a_proxy_has_no_limit() {
        let proxies = TrustedProxies::parse(&["10.0.0.0/8"]).unwrap();
        let addresses = Addresses::new(2, proxies);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = addresses.open(ip("192.0.2.1"));
        let _second = addresses.open(ip("::ffff:192.0.2.1")).unwrap();
        assert!(first.is_some() && addresses.open(ip("192.0.2.1")).is_none());
        assert!(addresses.open(ip("192.0.2.2")).is_some());
        drop(first);
        assert!(addresses.open(ip("192.0.2.1")).is_some());
        let _six = [addresses.open(ip("2001:db8::1")), addresses.open(ip("2001:db8::2"))];
        assert!(addresses.open(ip("2001:db8::3")).is_none());
        assert!(addresses.open(ip("2001:db8:0:1::3")).is_some());
        let many: Vec<_> = (0..9).map(|_| addresses.open(ip("10.1.2.3"))).collect();
        assert!(many.iter().all(Option::is_some));
    }
}
