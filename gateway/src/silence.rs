//! Whether a request may go on although the feed of revocations is silent.

use std::time::Instant;

use crate::{
    config::Route,
    error::Refusal,
    rules::silence::{self, Access, Standing},
    state::App,
};

/// Refuses what the resource's policy does not let happen unheard; never with 401.
pub(crate) fn check(app: &App, route: &Route, access: Access, now: Instant) -> Result<(), Refusal> {
    let standing = app.feed.standing_at(now);
    if silence::allows(standing, route.silence, access) {
        return Ok(());
    }
    Err(Refusal::Unavailable(match standing {
        Standing::Silent if access == Access::Write => {
            "revocations are not known at the moment, so nothing is changed; try again"
        }
        _ => "revocations are not known at the moment",
    }))
}
