//! How much of something each principal has at this moment, and each of its clients.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use web::limits::Limited;

use crate::{claims::Admitted, rules::caller::Kind};

/// How much of something each principal has at this moment, and each of its clients.
#[derive(Clone, Debug)]
pub(super) struct Gauge(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    held: Mutex<HashMap<Arc<str>, Held>>,
    most: usize,
    name: &'static str,
}

/// What one person has, or one client of its own accord.
#[derive(Debug)]
struct Held {
    first: Part,
    /// Of the person's other clients; few are used at a time.
    others: Vec<Part>,
    total: usize,
}

/// What one client of a person has.
#[derive(Debug)]
struct Part {
    count: usize,
    principal: Arc<str>,
}

/// One of a principal's places; it is given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    caller: Arc<Admitted>,
    gauge: Gauge,
}

impl Gauge {
    pub(super) fn new(name: &'static str, most: usize) -> Self {
        Self(Arc::new(Parts { held: Mutex::default(), most, name }))
    }

    pub(super) fn open(&self, caller: &Arc<Admitted>) -> Result<Room, Limited> {
        let most = self.0.most;
        // A client of its own accord shares with nobody; a person's clients leave each other room.
        let share = match caller.caller.kind {
            Kind::Client => most,
            Kind::Key | Kind::Person => most - most / 5,
        };
        let refused = Err(Limited { budget: self.0.name, retry_after: 1 });
        let own = || Part { count: 1, principal: Arc::clone(&caller.principal) };
        let mut all = self.lock();
        match all.get_mut(&caller.person) {
            None if share == 0 => return refused,
            None => {
                let held = Held { first: own(), others: Vec::new(), total: 1 };
                all.insert(Arc::clone(&caller.person), held);
            }
            Some(held) if held.total >= most => return refused,
            Some(held) => {
                match held.part(&caller.principal) {
                    Some(part) if part.count >= share => return refused,
                    Some(part) => part.count += 1,
                    None => held.others.push(own()),
                }
                held.total += 1;
            }
        }
        Ok(Room { caller: Arc::clone(caller), gauge: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn part(&mut self, principal: &Arc<str>) -> Option<&mut Part> {
        let mut all = [&mut self.first].into_iter().chain(&mut self.others);
        all.find(|part| Arc::ptr_eq(&part.principal, principal) || part.principal == *principal)
    }

    /// Whether it has nothing left without one of this client's.
    fn leave(&mut self, principal: &Arc<str>) -> bool {
        self.total = self.total.saturating_sub(1);
        if let Some(part) = self.part(principal) {
            part.count = part.count.saturating_sub(1);
        }
        if self.others.iter().any(|part| part.count == 0) {
            self.others.retain(|part| part.count > 0);
        }
        if self.first.count == 0
            && let Some(other) = self.others.pop()
        {
            self.first = other;
        }
        self.total == 0
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut all = self.gauge.lock();
        let held = all.get_mut(&self.caller.person);
        if held.is_some_and(|held| held.leave(&self.caller.principal)) {
            all.remove(&self.caller.person);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::ids::ClientId;

    use super::*;
    use crate::{claims::ClaimsCache, rules::caller::tests::caller};

    proptest! {
        #[test]
        fn nobody_has_more_than_all_nor_one_client_more_than_its_share(
            acts in prop::collection::vec((any::<bool>(), 0..4_usize), 1..120),
        ) {
            let (gauge, claims) = (Gauge::new("calls under way", 10), ClaimsCache::new());
            // Each with a token of its own, so that nothing is known by its address alone.
            let admitted = |client: usize| {
                let mut caller = caller("", &[]);
                caller.client = ClientId::parse(&format!("app-{client}")).unwrap();
                claims.keep(caller, [7; 32], 0)
            };
            let mut rooms: [Vec<Room>; 4] = Default::default();
            for (opens, client) in acts {
                let (own, all) = (rooms[client].len(), rooms.iter().map(Vec::len).sum::<usize>());
                if opens {
                    let opened = gauge.open(&admitted(client));
                    prop_assert_eq!(opened.is_ok(), own < 8 && all < 10, "{} of {}", own, all);
                    rooms[client].extend(opened.ok());
                } else if own > 0 {
                    rooms[client].swap_remove(0);
                }
            }
            drop(rooms);
            prop_assert!(gauge.lock().is_empty());
        }
    }
}
