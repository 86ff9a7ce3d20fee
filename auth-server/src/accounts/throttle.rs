//! Slows the guessing of passwords down without locking anybody out.
//!
//! A device that has signed in to an account has a bucket of its own there. All others share the
//! account's bucket and that of their network, so that only strangers wait for strangers.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shared::time::Timestamp;
use web::limits::Limited;

use crate::rules::throttle::{Bucket, Terms};

/// How many buckets are kept; beyond, new ones take the places of those that are nearly empty.
const MOST_BUCKETS: usize = 100_000;

const ACCOUNT: Terms = Terms { cap: Duration::from_secs(16), free: 5 };
const DEVICE: Terms = Terms { cap: Duration::from_secs(30), free: 10 };
const NETWORK: Terms = Terms { cap: Duration::from_secs(16), free: 60 };

/// Where an attempt comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Device {
    /// A device that has signed in to this account, by its digest.
    Known([u8; 32]),
    /// Any other: the digest of the account's name, and the address.
    Unknown([u8; 32], IpAddr),
}

/// An attempt that has been charged.
#[derive(Debug)]
pub(crate) struct Attempt(Vec<Key>);

/// Every bucket that is not empty.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    buckets: Mutex<HashMap<Key, Bucket>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Account([u8; 32]),
    Device([u8; 32]),
    Network([u8; 16]),
}

impl Key {
    fn terms(self) -> Terms {
        match self {
            Self::Account(_) => ACCOUNT,
            Self::Device(_) => DEVICE,
            Self::Network(_) => NETWORK,
        }
    }
}

impl Throttle {
    /// Charges an attempt before anything is hashed, as if its password were wrong; or says how
    /// long to wait, which costs nothing.
    pub(crate) fn begin(&self, device: Device, now: Timestamp) -> Result<Attempt, Limited> {
        let keys = match device {
            Device::Known(device) => vec![Key::Device(device)],
            Device::Unknown(account, address) => {
                vec![Key::Account(account), Key::Network(network(address))]
            }
        };
        let mut buckets = self.lock();
        let wait = |key: &Key| buckets.get(key).map(|bucket| bucket.wait(key.terms(), now));
        let wait = keys.iter().filter_map(wait).max().unwrap_or_default();
        if !wait.is_zero() {
            let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            return Err(Limited { budget: "sign-in", retry_after });
        }
        make_room(&mut buckets, now);
        for key in &keys {
            buckets.entry(*key).or_default().charge(key.terms(), now);
        }
        Ok(Attempt(keys))
    }

    /// Takes an attempt back: its password was right, or was not looked at.
    pub(crate) fn forgive(&self, attempt: &Attempt) {
        let mut buckets = self.lock();
        for key in &attempt.0 {
            if let Some(bucket) = buckets.get_mut(key) {
                bucket.forgive();
            }
        }
    }

    /// Forgets what is forgiven.
    pub(crate) fn sweep(&self, now: Timestamp) {
        self.lock().retain(|_, bucket| !bucket.is_empty(now));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever invents names to push buckets out only pushes out their own.
fn make_room(buckets: &mut HashMap<Key, Bucket>, now: Timestamp) {
    if buckets.len() + 2 > MOST_BUCKETS {
        buckets.retain(|key, bucket| !bucket.wait(key.terms(), now).is_zero());
        if buckets.len() + 2 > MOST_BUCKETS {
            buckets.clear();
        }
    }
}

/// An IPv4 address, or the /64 of an IPv6 address.
fn network(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => (u128::from(address) & !u128::from(u64::MAX)).to_be_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const OWNER: Device = Device::Known([1; 32]);

    fn stranger(at: u8) -> Device {
        Device::Unknown([7; 32], IpAddr::from([192, 0, 2, at]))
    }

    #[test]
    fn strangers_wait_for_strangers_and_the_owner_for_nobody() {
        let throttle = Throttle::default();
        let guesses = (0..100).filter(|at| throttle.begin(stranger(*at), NOW).is_ok()).count();
        assert_eq!(guesses, 5, "wherever they come from");
        let limited = throttle.begin(stranger(1), NOW).unwrap_err();
        assert_eq!(limited.retry_after, 1);
        throttle.begin(OWNER, NOW).unwrap();
        throttle.begin(Device::Unknown([8; 32], IpAddr::from([192, 0, 2, 1])), NOW).unwrap();
    }

    #[test]
    fn one_network_waits_whatever_names_it_tries() {
        let throttle = Throttle::default();
        let guess = |name: u8, address: [u8; 4]| {
            throttle.begin(Device::Unknown([name; 32], IpAddr::from(address)), NOW)
        };
        let passed = (0..200).filter(|name| guess(*name, [192, 0, 2, 1]).is_ok()).count();
        assert_eq!(passed, 60);
        guess(1, [192, 0, 2, 2]).unwrap();
    }

    #[test]
    fn right_passwords_cost_nothing() {
        let throttle = Throttle::default();
        for _ in 0..1000 {
            let attempt = throttle.begin(stranger(1), NOW).unwrap();
            throttle.forgive(&attempt);
        }
        throttle.sweep(NOW);
        assert!(throttle.lock().is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_and_an_ipv4_address_is_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
