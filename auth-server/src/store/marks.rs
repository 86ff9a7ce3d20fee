//! What a store says of itself: whether it may be used, of which moment it is, and which logs of
//! revocations it has everything of. A copy that is put back brings older marks back with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

use super::{
    EVENT_LIFE, Expected, Kind, Store, StoreError,
    journal::{Journal, KEPT},
    record::{decode, encode},
};

/// The keys of marks.
const AS_OF: &str = "as-of";
const LOG: &str = "log/";
const PUT_BACK: &str = "put-back";
const SEALED: &str = "sealed";
/// More logs than any deployment has.
const MOST_LOGS: usize = 10_000;

/// What a store has of one log of revocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogMark {
    /// Everything that the log's own process answered until this moment is in the store.
    pub(crate) as_of: Timestamp,
    /// When the log was last compared with the store.
    pub(crate) compared: Timestamp,
}

/// That an older copy was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PutBack {
    /// When that was noticed.
    pub(crate) at: Timestamp,
    /// Of which moment the copy is.
    pub(crate) of: Timestamp,
}

/// Every mark.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    /// Everything that anybody answered until this moment is in the store.
    pub(crate) base: Option<Timestamp>,
    pub(crate) logs: BTreeMap<String, LogMark>,
    pub(crate) put_back: Option<PutBack>,
}

impl Marks {
    /// When the store was last used, as far as it says.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.logs.values().map(|log| log.as_of).max().max(self.base)
    }

    /// The logs that were in use when the copy was made, and were not compared with it since:
    /// what their processes revoked later may be in force in it.
    pub(crate) fn not_compared(&self) -> BTreeSet<String> {
        let Some(put_back) = self.put_back else { return BTreeSet::new() };
        let may_hold_more =
            |log: &LogMark| log.compared < put_back.at && log.as_of.plus(EVENT_LIFE) >= put_back.of;
        let logs = self.logs.iter().filter(|(_, log)| may_hold_more(log));
        logs.map(|(id, _)| id.clone()).collect()
    }
}

impl dyn Store + '_ {
    /// Every mark.
    pub(crate) async fn marks(&self) -> Result<Marks, StoreError> {
        let logs = self.list::<LogMark>(Kind::Mark, LOG, None, MOST_LOGS).await?;
        let id = |key: &str| key.strip_prefix(LOG).unwrap_or(key).to_owned();
        Ok(Marks {
            base: self.read(Kind::Mark, AS_OF).await?,
            logs: logs.into_iter().map(|(key, log)| (id(&key), log)).collect(),
            put_back: self.read(Kind::Mark, PUT_BACK).await?,
        })
    }

    /// The moment until which everything that was answered is in the store, as far as it says.
    pub(crate) async fn as_of(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.marks().await?.newest())
    }

    /// Says that everything that anybody answered until this moment is in the store.
    pub(crate) async fn put_base(&self, as_of: Timestamp) -> Result<(), StoreError> {
        self.write(Kind::Mark, AS_OF, &as_of, None).await
    }

    /// Says what the store has of a log.
    pub(crate) async fn put_log(&self, id: &str, mark: LogMark) -> Result<(), StoreError> {
        self.write(Kind::Mark, &format!("{LOG}{id}"), &mark, None).await
    }

    /// Says that a store of that moment was put back, with the logs that were in use then: none
    /// of them was compared with it.
    pub(crate) async fn put_back(
        &self,
        put_back: PutBack,
        logs: &BTreeMap<String, Timestamp>,
    ) -> Result<(), StoreError> {
        self.put_base(put_back.of).await?;
        self.write(Kind::Mark, PUT_BACK, &put_back, None).await?;
        for (id, as_of) in logs {
            self.put_log(id, LogMark { as_of: *as_of, ..LogMark::default() }).await?;
        }
        Ok(())
    }

    /// Takes it that no log holds more than the store.
    pub(crate) async fn accept_lost(&self, now: Timestamp) -> Result<(), StoreError> {
        let marks = self.marks().await?;
        let of = marks.newest().unwrap_or(now);
        self.write(Kind::Mark, PUT_BACK, &PutBack { at: now, of }, None).await?;
        for (id, log) in &marks.logs {
            self.put_log(id, LogMark { compared: now, ..*log }).await?;
        }
        Ok(())
    }

    /// Notes for everybody that an older copy was put back, unless somebody has since the store
    /// last had everything of this log.
    pub(super) async fn note_put_back(
        &self,
        marked: Timestamp,
        found: PutBack,
    ) -> Result<(), StoreError> {
        loop {
            let held = self.record(Kind::Mark, PUT_BACK).await?;
            if let Some(held) = &held
                && decode::<PutBack>(held)?.at >= marked
            {
                return Ok(());
            }
            let value = encode(&found)?;
            let expected = held.as_deref().map_or(Expected::Absent, Expected::Same);
            if self.replace_record(Kind::Mark, PUT_BACK, expected, Some(&value), None).await? {
                tracing::warn!("an older copy of the store was put back");
                return Ok(());
            }
        }
    }

    /// Says that the store has everything of a log, and of the logs that it took up.
    pub(super) async fn put_compared(
        &self,
        journal: &Journal,
        marks: &Marks,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if marks.base.is_none() {
            self.create(Kind::Mark, AS_OF, &now, None).await?;
        }
        let waiting = marks.not_compared();
        for id in journal.took_up().intersection(&waiting) {
            let held = marks.logs.get(id).copied().unwrap_or_default();
            self.put_log(id, LogMark { compared: now, ..held }).await?;
        }
        for (id, _) in marks.logs.iter().filter(|(_, log)| log.as_of.plus(KEPT) < now) {
            self.delete(Kind::Mark, &format!("{LOG}{id}")).await?;
        }
        self.put_mark(journal, now).await
    }

    /// Says that the store has everything of a log until now.
    pub(super) async fn put_mark(
        &self,
        journal: &Journal,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.put_log(&journal.id(), LogMark { as_of: now, compared: now }).await?;
        journal.note_mark(now)
    }

    /// Why no server may use the store, if that is so.
    pub(crate) async fn sealed(&self) -> Result<Option<String>, StoreError> {
        self.read(Kind::Mark, SEALED).await
    }

    /// Lets no server use the store, or lets them again.
    pub(crate) async fn seal(&self, why: Option<&str>) -> Result<(), StoreError> {
        match why {
            Some(why) => self.write(Kind::Mark, SEALED, &why.to_owned(), None).await,
            None => self.delete(Kind::Mark, SEALED).await.map(drop),
        }
    }
}
