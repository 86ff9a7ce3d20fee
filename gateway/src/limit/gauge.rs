//! How much of something each principal has at this moment, and each of its clients.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use shared::ids::ClientId;
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

/// What one principal has.
#[derive(Debug, Default)]
struct Held {
    /// Of each client that has any; a person uses few at a time.
    by_client: Vec<(ClientId, usize)>,
    total: usize,
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
        let mut all = self.lock();
        let held = all.entry(Arc::clone(&caller.person)).or_default();
        let client = &caller.caller.client;
        let own = held.by_client.iter_mut().find(|(known, _)| known == client);
        let has = own.as_ref().map_or(0, |(_, own)| *own);
        if held.total >= most || has >= share {
            return Err(Limited { budget: self.0.name, retry_after: 1 });
        }
        match own {
            Some((_, own)) => *own += 1,
            None => held.by_client.push((client.clone(), 1)),
        }
        held.total += 1;
        Ok(Room { caller: Arc::clone(caller), gauge: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut all = self.gauge.lock();
        let Some(held) = all.get_mut(&self.caller.person) else { return };
        held.total = held.total.saturating_sub(1);
        let client = &self.caller.caller.client;
        if let Some(at) = held.by_client.iter().position(|(known, _)| known == client)
            && let Some((_, own)) = held.by_client.get_mut(at)
        {
            *own = own.saturating_sub(1);
            if *own == 0 {
                held.by_client.swap_remove(at);
            }
        }
        if held.total == 0 {
            all.remove(&self.caller.person);
        }
    }
}
