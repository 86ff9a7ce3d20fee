//! How much of something each principal has at this moment, and each of its clients.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shared::ids::ClientId;
use web::limits::Limited;

use crate::{claims::Admitted, rules::caller::Kind};

/// How much of something each principal has at this moment, and each of its clients.
#[derive(Clone, Debug)]
pub(super) struct Gauge {
    held: Arc<Mutex<HashMap<Arc<str>, Held>>>,
    most: usize,
    name: &'static str,
}

/// What one principal has.
#[derive(Debug, Default)]
struct Held {
    by_client: HashMap<ClientId, usize>,
    total: usize,
}

/// One of a principal's places; it is given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    client: ClientId,
    gauge: Gauge,
    person: Arc<str>,
}

impl Gauge {
    pub(super) fn new(name: &'static str, most: usize) -> Self {
        Self { held: Arc::default(), most, name }
    }

    pub(super) fn open(&self, caller: &Admitted) -> Result<Room, Limited> {
        // A client of its own accord shares with nobody; a person's clients leave each other room.
        let share = match caller.caller.kind {
            Kind::Client => self.most,
            Kind::Key | Kind::Person => self.most - self.most / 5,
        };
        let client = &caller.caller.client;
        let mut all = self.lock();
        let held = all.entry(Arc::clone(&caller.person)).or_default();
        let own = held.by_client.get(client).copied().unwrap_or_default();
        if held.total >= self.most || own >= share {
            return Err(Limited { budget: self.name, retry_after: 1 });
        }
        held.total += 1;
        held.by_client.insert(client.clone(), own + 1);
        let person = Arc::clone(&caller.person);
        Ok(Room { client: client.clone(), gauge: self.clone(), person })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut all = self.gauge.lock();
        let Some(held) = all.get_mut(&self.person) else { return };
        held.total = held.total.saturating_sub(1);
        if let Some(own) = held.by_client.get_mut(&self.client) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                held.by_client.remove(&self.client);
            }
        }
        if held.total == 0 {
            all.remove(&self.person);
        }
    }
}
