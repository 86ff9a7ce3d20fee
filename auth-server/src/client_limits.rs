//! Budgets of clients: for new registrations, and for wrong secrets. None is keyed by a client
//! alone, so that nobody can shut another's client out.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use shared::{ids::ClientId, secret::SecretHash, time::Timestamp};
use web::limits::{Budget, Limited, Limiter};

use crate::state::{REGISTRATION, TOKEN, network};

/// New clients with the same metadata: a hosted application registers for each of its users.
const BY_METADATA: Budget = Budget { name: REGISTRATION, burst: 600, per_minute: 300 };
/// Wrong secrets of a client at a network.
const WRONG_SECRETS: Budget = Budget { name: TOKEN, burst: 20, per_minute: 10 };

/// How long a count of the clients is good for. Other servers' new clients are seen that much
/// later.
const COUNT_LIFE: Duration = Duration::from_secs(1);
/// How many keys each budget remembers.
const MOST_KEYS: usize = 100_000;
/// How many blocks are remembered before those that are over are forgotten.
const MOST_BLOCKED: usize = 10_000;

/// The budgets.
#[derive(Debug)]
pub(crate) struct ClientLimits {
    blocked: Mutex<HashMap<SecretHash, Timestamp>>,
    by_metadata: Limiter<SecretHash>,
    overall: Limiter<()>,
    room: Mutex<Room>,
    wrong_secrets: Limiter<SecretHash>,
}

/// For how many more clients there was room when they were last counted.
#[derive(Debug, Default)]
struct Room {
    counted: Timestamp,
    left: u64,
}

impl ClientLimits {
    /// The budgets where so many clients of every address together may be new in a minute.
    pub(crate) fn new(per_minute: u32) -> Self {
        let burst = per_minute.saturating_mul(5) / 2;
        let overall = Budget { name: REGISTRATION, burst, per_minute };
        Self {
            blocked: Mutex::default(),
            by_metadata: Limiter::new(BY_METADATA, MOST_KEYS),
            overall: Limiter::new(overall, 1),
            room: Mutex::default(),
            wrong_secrets: Limiter::new(WRONG_SECRETS, MOST_KEYS),
        }
    }

    /// Charges a client that would be new.
    pub(crate) fn charge_new(&self, metadata: &str) -> Result<(), Limited> {
        self.by_metadata.check(&SecretHash::of(metadata.as_bytes()))?;
        self.overall.check(&())
    }

    /// Takes room for a client, if clients were counted within the last second and there is some.
    pub(crate) fn takes_room(&self, now: Timestamp) -> bool {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = room.left > 0 && now < room.counted.plus(COUNT_LIFE);
        room.left -= u64::from(is_known);
        is_known
    }

    /// Takes note of a count; whether there is room for one more, which it then takes.
    pub(crate) fn counted(&self, count: u64, capacity: u64, now: Timestamp) -> bool {
        let room = capacity.saturating_sub(count);
        let mut held = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Room { counted: now, left: room.saturating_sub(1) };
        room > 0
    }

    /// Refuses while wrong secrets have spent the budget of the client at this network.
    pub(crate) fn check_secret(
        &self,
        client: &ClientId,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), Limited> {
        let blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        match blocked.get(&key(client, address)) {
            Some(until) if now < *until => {
                Err(Limited { budget: TOKEN, retry_after: until.since(now).as_secs().max(1) })
            }
            _ => Ok(()),
        }
    }

    /// Charges the client at this network one wrong secret.
    pub(crate) fn charge_secret(&self, client: &ClientId, address: IpAddr, now: Timestamp) {
        let key = key(client, address);
        if let Err(limited) = self.wrong_secrets.check(&key) {
            let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
            if blocked.len() >= MOST_BLOCKED {
                blocked.retain(|_, until| now < *until);
            }
            blocked.insert(key, now.plus(Duration::from_secs(limited.retry_after)));
        }
    }

    /// Forgets what has been quiet. Call it every minute.
    pub(crate) fn sweep(&self) {
        self.by_metadata.sweep();
        self.wrong_secrets.sweep();
    }
}

/// A client at a network, without either in the clear.
fn key(client: &ClientId, address: IpAddr) -> SecretHash {
    SecretHash::of(&[client.as_str().as_bytes(), b"|", &network(address)].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_secrets_shut_out_the_network_they_come_from_and_nobody_else() {
        let limits = ClientLimits::new(1200);
        let now = Timestamp::from_secs(1_800_000_000);
        let (client, other) = (ClientId::parse("a").unwrap(), ClientId::parse("b").unwrap());
        let (here, there) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..=WRONG_SECRETS.burst {
            assert_eq!(limits.check_secret(&client, here, now), Ok(()));
            limits.charge_secret(&client, here, now);
        }
        let wait = limits.check_secret(&client, here, now).unwrap_err().retry_after;
        assert_eq!(limits.check_secret(&client, there, now), Ok(()));
        assert_eq!(limits.check_secret(&other, here, now), Ok(()));
        let later = now.plus(Duration::from_secs(wait));
        assert_eq!(limits.check_secret(&client, here, later), Ok(()));
    }

    #[test]
    fn the_same_metadata_has_a_budget_of_its_own() {
        let limits = ClientLimits::new(1200);
        let passed = (0..5000).filter(|_| limits.charge_new("same").is_ok()).count();
        assert!((600..700).contains(&passed), "{passed}");
        assert_eq!(limits.charge_new("another"), Ok(()));
    }
}
