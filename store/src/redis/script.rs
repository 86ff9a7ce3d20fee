//! A verb's Lua script: sent by its digest, and in full only to a server that does not know it.

use std::sync::OnceLock;

use redis::ScriptInvocation;

/// A script and the name it has in logs. Keep it in a `static`: its digest is computed once.
#[derive(Debug)]
pub struct Script {
    across_slots: bool,
    hashed: OnceLock<redis::Script>,
    name: &'static str,
    source: &'static str,
}

impl Script {
    /// A script from its source.
    pub const fn new(name: &'static str, source: &'static str) -> Self {
        Self { across_slots: false, hashed: OnceLock::new(), name, source }
    }

    /// The same for keys in several slots: only where one server has them all
    /// ([`Redis::is_one_server`](super::Redis::is_one_server)).
    #[must_use]
    pub const fn across_slots(mut self) -> Self {
        self.across_slots = true;
        self
    }

    /// The name it has in logs.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn is_across_slots(&self) -> bool {
        self.across_slots
    }

    pub(super) fn call(&self, keys: &[String], arguments: &[&[u8]]) -> ScriptInvocation<'_> {
        let script = self.hashed.get_or_init(|| redis::Script::new(self.source));
        let mut call = script.prepare_invoke();
        for key in keys {
            call.key(key);
        }
        for argument in arguments {
            call.arg(*argument);
        }
        call
    }
}
