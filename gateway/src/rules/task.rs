//! Ids of tasks (MCP 2025-11-25, tasks; MCP 2026-07-28, tasks extension): the client gets each
//! with a proof of whose it is, so that nobody can name another's.
//!
//! A task is met in many answers, so its id must read the same in all of them; a sealed text
//! would not, and a proof beside the id does.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use keys::SecretRing;
use serde_json::{Value, value::RawValue};

use crate::rules::members::Members;

/// The ids of one owner's tasks behind one backend.
#[derive(Clone, Debug)]
pub(crate) struct TaskIds {
    context: Vec<u8>,
    ring: SecretRing,
}

/// What a client declares that knows of tasks (MCP 2026-07-28, tasks extension).
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const PURPOSE: &[u8] = b"mcp task";
const PROOF: usize = 16;
/// How deep an answer may nest what names a task.
const DEPTH: usize = 4;
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// Whether the `params` of a modern request declare that the client knows of tasks.
pub(crate) fn is_declared(params: &[u8]) -> bool {
    let params: Option<Value> = serde_json::from_slice(params).ok();
    let declared = params.as_ref().and_then(|params| {
        let capabilities =
            params.get("_meta")?.get("io.modelcontextprotocol/clientCapabilities")?;
        capabilities.get("extensions")?.get(EXTENSION)
    });
    declared.is_some_and(Value::is_object)
}

impl TaskIds {
    /// The ids of whatever all of these parts together name.
    pub(crate) fn new(ring: &SecretRing, parts: &[&[u8]]) -> Self {
        let mut context = Vec::new();
        for part in parts {
            context.extend_from_slice(&(part.len() as u64).to_be_bytes());
            context.extend_from_slice(part);
        }
        Self { context, ring: ring.clone() }
    }

    /// What the client gets in place of an id: always the same.
    pub(crate) fn seal(&self, id: &str) -> String {
        let key = self.ring.current();
        let mac = key.mac(&[PURPOSE, &self.context, id.as_bytes()]);
        let proof = mac.get(..PROOF).unwrap_or_default();
        URL_SAFE_NO_PAD.encode([key.id().as_slice(), proof, id.as_bytes()].concat())
    }

    /// The id that a client brought back, if it was given to this owner.
    pub(crate) fn open(&self, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (key, rest) = bytes.split_first_chunk()?;
        let (proof, id) = rest.split_at_checked(PROOF)?;
        let mac = self.ring.find(*key)?.mac(&[PURPOSE, &self.context, id]);
        // Compared without haste: what differs must not show in the time it takes.
        let differs = proof.iter().zip(mac).fold(0, |seen, (one, other)| seen | (one ^ other));
        (differs == 0).then(|| String::from_utf8(id.to_vec()).ok()).flatten()
    }

    /// A message's `params` or `result` with the ids in it sealed; `None` where it names no task.
    pub(crate) fn seal_in(&self, object: &RawValue) -> Option<Box<RawValue>> {
        self.object(object, DEPTH)
    }

    fn object(&self, object: &RawValue, depth: usize) -> Option<Box<RawValue>> {
        let depth = depth.checked_sub(1)?;
        let mut members = Members::read(object.get().as_bytes())?;
        let mut named = false;
        let id = members.find("taskId").and_then(|raw| serde_json::from_str(raw.get()).ok());
        if let Some(id) = id.map(|id: String| self.seal(&id)) {
            members.set("taskId", id);
            named = true;
        }
        for name in ["_meta", RELATED, "task"] {
            let inner = members.find(name).and_then(|raw| self.object(raw, depth));
            if let Some(inner) = inner {
                members.set(name, inner);
                named = true;
            }
        }
        let list = members.find("tasks").map(RawValue::get);
        let list = list.and_then(|text| serde_json::from_str::<Vec<Box<RawValue>>>(text).ok());
        if let Some(list) = list {
            let sealed = list.into_iter().map(|raw| self.object(&raw, depth).unwrap_or(raw));
            members.set("tasks", sealed.collect::<Vec<_>>());
            named = true;
        }
        named.then(|| serde_json::value::to_raw_value(&members).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use keys::{KeySet, Purpose};
    use serde_json::{Value, json};
    use shared::time::Timestamp;

    use super::*;

    fn ring() -> SecretRing {
        KeySet::first(Purpose::PageSeal, Timestamp::from_secs(1)).unwrap().secrets()
    }

    #[test]
    fn an_id_opens_for_its_owner_alone_and_always_reads_the_same() {
        let ring = ring();
        let own = TaskIds::new(&ring, &[b"ada", b"crm"]);
        let sealed = own.seal("t-1");
        assert_eq!(own.seal("t-1"), sealed);
        assert_eq!(own.open(&sealed).as_deref(), Some("t-1"));
        let others: [&[&[u8]]; 3] = [&[b"bob", b"crm"], &[b"ada", b"erp"], &[b"adac", b"rm"]];
        for parts in others {
            assert_eq!(TaskIds::new(&ring, parts).open(&sealed), None, "{parts:?}");
        }
        let mut other_task = sealed.clone();
        other_task.truncate(sealed.len() - 2);
        for text in ["t-1", "", "!", other_task.as_str()] {
            assert_eq!(own.open(text), None, "{text}");
        }
    }

    #[test]
    fn who_declares_the_extension_knows_of_tasks() {
        let params = |extensions: Value| {
            let capabilities = json!({"extensions": extensions});
            json!({"_meta": {"io.modelcontextprotocol/clientCapabilities": capabilities}})
        };
        let told = |params: Value| is_declared(params.to_string().as_bytes());
        assert!(told(params(json!({EXTENSION: {}}))));
        for other in [json!({}), json!({EXTENSION: true}), json!({"tasks": {}}), Value::Null] {
            assert!(!told(params(other.clone())), "{other}");
        }
        assert!(!told(json!({})) && !is_declared(b"["));
    }

    #[test]
    fn every_place_of_a_message_that_names_a_task_is_sealed() {
        let own = TaskIds::new(&ring(), &[b"ada"]);
        let id = own.seal("t-1");
        for (came, goes) in [
            (json!({"taskId": "t-1", "n": 1}), json!({"taskId": id, "n": 1})),
            (json!({"task": {"taskId": "t-1"}}), json!({"task": {"taskId": id}})),
            (json!({"tasks": [{"taskId": "t-1"}, 1]}), json!({"tasks": [{"taskId": id}, 1]})),
            (
                json!({"content": [], "_meta": {RELATED: {"taskId": "t-1"}}}),
                json!({"content": [], "_meta": {RELATED: {"taskId": id}}}),
            ),
        ] {
            let raw = serde_json::value::to_raw_value(&came).unwrap();
            let sealed = own.seal_in(&raw).unwrap();
            assert_eq!(serde_json::from_str::<Value>(sealed.get()).unwrap(), goes);
        }
        let none = json!({"content": [{"taskId": "t-1"}]});
        assert!(own.seal_in(&serde_json::value::to_raw_value(&none).unwrap()).is_none());
    }
}
