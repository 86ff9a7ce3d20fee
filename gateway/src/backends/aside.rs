//! What a pooled session is told beside its call: that nobody waits for the answer any longer, or
//! that nobody can answer what the backend asks (MCP 2025-11-25, basic, cancellation and ping).
//!
//! In the modern era closing the response says the former, and the latter does not occur.

use std::{fmt, sync::Arc};

use serde_json::{Value, json, value::RawValue};
use tokio::runtime::Handle;

use crate::backends::{
    Backend,
    ask::{self, Terms},
};

/// The way beside one call; dropped before the call is settled, it cancels the call.
pub(crate) struct Aside {
    backend: Arc<Backend>,
    id: Box<RawValue>,
    is_settled: bool,
    terms: Terms,
}

impl Aside {
    /// Beside the call with this id.
    pub(crate) fn new(backend: &Arc<Backend>, id: &RawValue, terms: Terms) -> Self {
        Self { backend: Arc::clone(backend), id: id.to_owned(), is_settled: false, terms }
    }

    /// The call has its answer, or never began.
    pub(crate) fn settle(&mut self) {
        self.is_settled = true;
    }

    /// Answers a question of the backend's: a ping, or one that only the client could answer.
    pub(crate) fn decline(&self, method: &str, id: &RawValue) {
        let answer = if method == "ping" {
            json!({ "jsonrpc": "2.0", "id": id, "result": {} })
        } else {
            let error = json!({ "code": -32601, "message": "the client cannot be asked" });
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        };
        self.tell(answer);
    }

    fn tell(&self, message: Value) {
        // Without a runtime the process is ending, and so are its sessions.
        if Handle::try_current().is_ok() {
            let (backend, terms) = (Arc::clone(&self.backend), self.terms.clone());
            self.backend.tasks.spawn(async move { ask::tell(&backend, &terms, &message).await });
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.is_settled {
            self.tell(json!({
                "jsonrpc": "2.0",
                "method": "notifications/cancelled",
                "params": { "requestId": self.id, "reason": "nobody waits for it any longer" },
            }));
        }
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aside({})", self.id)
    }
}
