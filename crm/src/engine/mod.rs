//! The engine behind every tool: records in a file, an image of them in memory, and the six
//! operations on any module.

mod query;
mod record;
mod refusal;
mod rows;
mod scope;
mod stored;
mod validate;
mod write;

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;
use shared::time::Clock;
use store::Embedded;
use tokio::{sync::Mutex, task::JoinError};
use tokio_util::task::TaskTracker;

pub(crate) use self::{
    record::{Fields, Record, id as record_id, moment},
    refusal::Refusal,
};
use self::{
    rows::Rows,
    scope::Scope,
    write::{Change, Ground},
};
use crate::{
    Config, CrmError, Workspace,
    catalogue::{Catalogue, Module, Operation},
    seed,
};

/// All records, and what can be done with them.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) catalogue: Arc<Catalogue>,
    clock: Clock,
    held: Arc<Held>,
    tasks: TaskTracker,
    workspaces: Vec<Workspace>,
    /// Held from the checks of a write until memory shows it, so checks see every earlier write.
    writing: Arc<Mutex<()>>,
}

/// The file, and its image in memory.
#[derive(Debug)]
struct Held {
    rows: RwLock<Rows>,
    store: Embedded,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("cannot make an id")]
    Entropy(#[from] getrandom::Error),
    #[error("cannot write a record")]
    Record(#[from] serde_json::Error),
    #[error("the call is refused")]
    Refused(Refusal),
    #[error("cannot use the record file")]
    Store(#[from] store::StoreError),
    #[error("the write was given up")]
    Task(#[from] JoinError),
}

impl Engine {
    /// Opens the file, gives new workspaces their first records, and reads everything.
    pub(crate) async fn open(catalogue: Arc<Catalogue>, config: &Config) -> Result<Self, CrmError> {
        let store = match &config.data_file {
            Some(path) => Embedded::open(path)?,
            None => Embedded::memory()?,
        };
        for workspace in &config.workspaces {
            if !stored::is_seeded(&store, &workspace.id)? {
                let records = seed::records(&catalogue, &workspace.id)?;
                stored::seed(&store, &workspace.id, records).await?;
            }
        }
        let rows = RwLock::new(stored::load(&store, &catalogue)?);
        Ok(Self {
            catalogue,
            clock: config.clock.clone(),
            held: Arc::new(Held { rows, store }),
            tasks: TaskTracker::new(),
            workspaces: config.workspaces.clone(),
            writing: Arc::default(),
        })
    }

    /// Runs a tool for a caller who may use the granted workspaces.
    pub(crate) async fn call(
        &self,
        operation: Operation,
        module: &Arc<Module>,
        granted: &[String],
        given: &Fields,
    ) -> Result<Value, CallError> {
        let scope = Scope { granted, named: &self.workspaces };
        let answer = match operation {
            Operation::List => self.read(|rows| query::list(rows, module, scope, given)),
            Operation::Get => self.read(|rows| query::get(rows, module, scope, given)),
            Operation::Search => self.read(|rows| query::search(rows, module, scope, given)),
            Operation::Create => {
                let id = new_id(module)?;
                return self
                    .write(module, |rows| {
                        self.ground(module, rows, scope).create(given, id, self.now())
                    })
                    .await;
            }
            Operation::Update => {
                return self
                    .write(module, |rows| {
                        self.ground(module, rows, scope).update(given, self.now())
                    })
                    .await;
            }
            Operation::Delete => {
                return self
                    .write(module, |rows| self.ground(module, rows, scope).delete(given))
                    .await;
            }
        };
        answer.map_err(CallError::Refused)
    }

    fn read<T>(&self, look: impl FnOnce(&Rows) -> T) -> T {
        look(&self.held.rows.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn write(
        &self,
        module: &Arc<Module>,
        decide: impl FnOnce(&Rows) -> Result<Change, Refusal>,
    ) -> Result<Value, CallError> {
        let alone = Arc::clone(&self.writing).lock_owned().await;
        let change = self.read(decide).map_err(CallError::Refused)?;
        let (held, module) = (Arc::clone(&self.held), Arc::clone(module));
        // A task of its own, so that a caller who hangs up cannot leave memory behind the file.
        let task = self.tasks.spawn(async move {
            let answer = held.make(&module, change).await;
            drop(alone);
            answer
        });
        task.await?
    }

    fn ground<'a>(&'a self, module: &'a Module, rows: &'a Rows, scope: Scope<'a>) -> Ground<'a> {
        Ground { catalogue: &self.catalogue, module, rows, scope }
    }

    fn now(&self) -> String {
        moment(i64::try_from(self.clock.now().secs()).unwrap_or(i64::MAX))
    }
}

impl Held {
    /// Makes a change lasting, and only then visible.
    async fn make(&self, module: &Module, change: Change) -> Result<Value, CallError> {
        stored::apply(&self.store, module, &change).await?;
        let answer = change.answer(module);
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Put(record) => rows.put(module, record),
            Change::Remove { id, workspace } => rows.remove(module, &workspace, &id),
        }
        Ok(answer)
    }
}

/// A new id: the module's prefix and 80 random bits.
fn new_id(module: &Module) -> Result<String, CallError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(record_id(module, u128::from_le_bytes(bytes)))
}
