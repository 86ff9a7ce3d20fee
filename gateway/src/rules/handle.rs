//! Opaque handles of a backend (a list's cursor, a call's `requestState`): the client gets them
//! sealed with who may use them, for what and until when, so that no other call can carry them.

use std::time::Duration;

use keys::SecretRing;
use shared::time::Timestamp;

/// How long a handle lasts.
const LIFE: Duration = Duration::from_hours(1);

/// The handles of one call.
#[derive(Clone, Debug)]
pub(crate) struct Handles {
    context: Vec<u8>,
    now: Timestamp,
    ring: SecretRing,
}

impl Handles {
    /// Handles for whatever all of these parts together name.
    pub(crate) fn new(ring: &SecretRing, parts: &[&[u8]], now: Timestamp) -> Self {
        let mut context = b"mcp handle".to_vec();
        for part in parts {
            context.extend_from_slice(&(part.len() as u64).to_be_bytes());
            context.extend_from_slice(part);
        }
        Self { context, now, ring: ring.clone() }
    }

    /// What the client gets in place of a handle.
    pub(crate) fn seal(&self, handle: &str) -> Option<String> {
        let expires = self.now.plus(LIFE).millis().to_be_bytes();
        let plain = [expires.as_slice(), handle.as_bytes()].concat();
        self.ring.current().seal(&self.context, &plain).ok()
    }

    /// The handle that a client brought back, if it is this call's and has not expired.
    pub(crate) fn open(&self, sealed: &str) -> Option<String> {
        let plain = self.ring.open(&self.context, sealed).ok()?;
        let (expires, handle) = plain.split_first_chunk()?;
        if u64::from_be_bytes(*expires) <= self.now.millis() {
            return None;
        }
        String::from_utf8(handle.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use keys::{KeySet, Purpose};

    use super::*;

    #[test]
    fn a_handle_opens_for_the_same_call_within_the_hour() {
        let start = Timestamp::from_secs(1_800_000_000);
        let ring = KeySet::first(Purpose::PageSeal, start).unwrap().secrets();
        let handles = |parts: &[&[u8]], now| Handles::new(&ring, parts, now);
        let own: [&[u8]; 2] = [b"owner", b"tools/call"];
        let sealed = handles(&own, start).seal("state").unwrap();
        assert_eq!(handles(&own, start).open(&sealed).as_deref(), Some("state"));
        assert_eq!(handles(&[b"other", b"tools/call"], start).open(&sealed), None);
        assert_eq!(handles(&[b"ownert", b"ools/call"], start).open(&sealed), None);
        assert_eq!(handles(&own, start.plus(LIFE)).open(&sealed), None);
        let mut tampered = sealed.clone();
        tampered.replace_range(20..21, if &sealed[20..21] == "A" { "B" } else { "A" });
        assert_eq!(handles(&own, start).open(&tampered), None);
        assert_eq!(handles(&own, start).open("state"), None);
    }
}
