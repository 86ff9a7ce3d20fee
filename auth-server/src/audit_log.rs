//! Security events in the store, for queries: written in the background in batches, bounded by
//! count and age. A request never waits for it; what cannot be kept is counted, and is in the log.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{ids::UserId, time::Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    config::AuditRetention,
    store::{Kind, NewRecord, Store, StoreError, encoded},
};

/// How many events may wait to be written.
const MOST_WAITING: usize = 4096;
/// How many are written together.
const BATCH: usize = 256;
/// How long an event waits for others that are written with it.
const GATHER: Duration = Duration::from_millis(10);
/// How long the writer rests after a failure.
const REST: Duration = Duration::from_secs(1);
/// How far two records that follow each other may be out of order.
const DISORDER: Duration = Duration::from_mins(1);
/// How many records one query looks at before it says where to go on.
const MOST_LOOKED_AT: usize = 10_000;
/// How many of them are read at a time.
const PAGE: usize = 500;

/// A kept event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditRecord {
    pub(crate) at: Timestamp,
    /// The event as the log has it.
    pub(crate) event: Value,
}

/// What a query looks for; what is not given matches everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditQuery {
    /// Where the page before ended.
    pub(crate) after: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) limit: usize,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) user: Option<UserId>,
}

/// What a query found, the newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditPage {
    /// Where the next page begins, if there may be more.
    pub(crate) next: Option<String>,
    pub(crate) records: Vec<AuditRecord>,
}

/// The events that wait to be written, and those that were.
#[derive(Debug)]
pub(crate) struct AuditLog {
    dropped: AtomicU64,
    retention: AuditRetention,
    store: Arc<dyn Store>,
    waiting: Mutex<VecDeque<AuditRecord>>,
    wake: Notify,
    writing: tokio::sync::Mutex<()>,
}

impl AuditLog {
    pub(crate) fn new(store: Arc<dyn Store>, retention: AuditRetention) -> Self {
        Self {
            dropped: AtomicU64::new(0),
            retention,
            store,
            waiting: Mutex::default(),
            wake: Notify::new(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Takes an event to be written; counts it if too many wait.
    pub(crate) fn keep(&self, event: Value, at: Timestamp) {
        let mut waiting = self.lock();
        if waiting.len() < MOST_WAITING {
            waiting.push_back(AuditRecord { at, event });
            drop(waiting);
            self.wake.notify_one();
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many events were not kept since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many events wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// Writes what waits whenever something waits, until the shutdown and once more.
    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(self.wake.notified()).await.is_some() {
            shutdown.run_until_cancelled(tokio::time::sleep(GATHER)).await;
            if let Err(error) = self.flush().await {
                tracing::warn!(%error, dropped = self.dropped(), "security events wait");
                shutdown.run_until_cancelled(tokio::time::sleep(REST)).await;
                self.wake.notify_one();
            }
        }
        if let Err(error) = self.flush().await {
            tracing::warn!(%error, "the last security events are in the log only");
        }
    }

    /// Writes everything that waits.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.writing.lock().await;
        loop {
            let batch: Vec<AuditRecord> = {
                let mut waiting = self.lock();
                let most = waiting.len().min(BATCH);
                waiting.drain(..most).collect()
            };
            if batch.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.write(&batch).await {
                self.take_back(batch);
                return Err(error);
            }
        }
    }

    /// What a query finds. What waits is written first, so that nothing is missing.
    pub(crate) async fn query(
        &self,
        query: &AuditQuery,
        now: Timestamp,
    ) -> Result<AuditPage, StoreError> {
        self.flush().await?;
        let (mut after, mut page) = (query.after.clone(), AuditPage::default());
        for _ in 0..MOST_LOOKED_AT / PAGE {
            let entries: Vec<(String, AuditRecord)> =
                self.store.list(Kind::Audit, "", after.as_deref(), PAGE).await?;
            let last = entries.len() < PAGE;
            for (key, record) in entries {
                after = Some(key);
                // Processes number their batches as they write them, so times are nearly in order.
                if query.since.is_some_and(|since| record.at.plus(DISORDER) < since) {
                    return Ok(page);
                }
                if query.matches(&record) && now < record.at.plus(self.retention.life) {
                    page.records.push(record);
                }
                if page.records.len() >= query.limit {
                    page.next = after;
                    return Ok(page);
                }
            }
            if last {
                return Ok(page);
            }
        }
        page.next = after;
        Ok(page)
    }

    /// Numbers a batch and writes it, newest first in the order of keys; each record takes the
    /// place of one that is beyond the bound.
    async fn write(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
        let count = batch.len() as u64;
        let head = self.advance(count).await?;
        let (mut new, mut gone) = (Vec::new(), Vec::new());
        for (record, number) in batch.iter().zip(head - count..) {
            let expires = Some(record.at.plus(self.retention.life));
            new.push(NewRecord { expires, key: key(number), value: encoded(record)? });
            gone.extend(number.checked_sub(self.retention.most).map(key));
        }
        self.store.put_records(Kind::Audit, &new, &gone).await
    }

    /// Takes so many numbers; gives the one after the last.
    async fn advance(&self, count: u64) -> Result<u64, StoreError> {
        loop {
            let next = |head: &u64| Some((head.saturating_add(count), None));
            if let Some(head) = self.store.update(Kind::AuditHead, "head", next).await? {
                return Ok(head);
            }
            self.store.create(Kind::AuditHead, "head", &0_u64, None).await?;
        }
    }

    /// Puts a batch that was not written back in front, as far as there is room.
    fn take_back(&self, batch: Vec<AuditRecord>) {
        let mut waiting = self.lock();
        for record in batch.into_iter().rev() {
            if waiting.len() < MOST_WAITING {
                waiting.push_front(record);
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<AuditRecord>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditQuery {
    fn matches(&self, record: &AuditRecord) -> bool {
        let is = |field: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| {
                record.event.get(field).and_then(Value::as_str) == Some(wanted)
            })
        };
        is("client", self.client.as_deref())
            && is("event", self.event.as_deref())
            && is("user", self.user.as_ref().map(UserId::as_str))
            && self.since.is_none_or(|since| since <= record.at)
            && self.until.is_none_or(|until| record.at < until)
    }
}

/// The newest comes first in the order of keys.
fn key(number: u64) -> String {
    format!("{:020}", u64::MAX - number)
}
