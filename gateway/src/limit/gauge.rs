//! How much of something each principal has at this moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use web::limits::Limited;

/// How many of something each principal has at this moment.
#[derive(Clone, Debug)]
pub(super) struct Gauge {
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
    pub(super) fn new(name: &'static str, most: usize) -> Self {
        Self { held: Arc::default(), most, name }
    }

    pub(super) fn open(&self, principal: &Arc<str>) -> Result<Room, Limited> {
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
