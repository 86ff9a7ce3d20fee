//! Whether a call was made before (idempotency keys). Not built yet: every call is the first.

use crate::rules::{permit::Permit, rpc::Call};

/// What is known of a call.
#[derive(Debug)]
pub(crate) enum Once {
    /// It was not made before.
    First,
}

/// Looks for an earlier call with the same idempotency key.
pub(crate) fn check(_call: &Call, _permit: &Permit) -> Once {
    Once::First
}
