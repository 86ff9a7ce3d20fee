//! What a refresh may change: the state machine of a grant's family (RFC 9700 section 4.14.2).
//!
//! [`step`] is the rule; the embedded engine calls it inside its transaction, and the Redis
//! script is its twin, compared with it on random histories. Invariant: one presented token has
//! one successor, however often and wherever it is presented.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};
use shared::{deployment::IdleBy, ids::ClientId, resource::ResourceIndicator, time::Timestamp};

use super::{client::ProofMethod, consent::Grant, refresh_token::Nonce};

/// How many rotations a family remembers.
pub(crate) const REMEMBERED: usize = 8;
const REMEMBERED_U32: u32 = 8;

/// How exactly the last use is known: not every call is worth a write.
pub(crate) const NOTED: Duration = Duration::from_mins(1);

/// Where a refresh came from: a hash of the User-Agent's product in the high byte, of the
/// source's /24 or /48 in the low one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context(pub(crate) u16);

/// A grant and all its refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Family {
    pub(crate) absolute_expiry: Timestamp,
    /// Whether an access token of the current generation was seen in use.
    pub(crate) confirmed: bool,
    /// When a spent token came back in a way that proves nothing.
    pub(crate) contested: Option<Timestamp>,
    /// When the person approved; what cut-offs are compared with.
    pub(crate) created: Timestamp,
    pub(crate) generation: u32,
    pub(crate) grant: Grant,
    pub(crate) idle: Duration,
    /// What keeps it from being idle.
    pub(crate) idle_by: IdleBy,
    pub(crate) idle_expiry: Timestamp,
    pub(crate) mac_key: [u8; 4],
    pub(crate) nonce: Nonce,
    /// How the client proved itself when it exchanged the code.
    pub(crate) proof: ProofMethod,
    pub(crate) replays: u32,
    pub(crate) revoked: bool,
    /// Whether its tokens rotate: those of clients that prove themselves otherwise do not.
    pub(crate) rotates: bool,
    /// When each of the last generations began, the newest first, and where it came from.
    pub(crate) rotations: VecDeque<(Timestamp, Context)>,
    /// When it was last used: refreshed, or seen in a call; of calls not every one is noted.
    pub(crate) used: Timestamp,
}

/// A presented token, with the nonce its successor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) generation: u32,
    pub(crate) issued: Timestamp,
    pub(crate) next: Nonce,
    pub(crate) nonce: Nonce,
}

/// Who presents it, when and from where.
#[derive(Clone, Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) client: &'a ClientId,
    pub(crate) context: Context,
    pub(crate) now: Timestamp,
    pub(crate) policy: Policy,
    /// How the client proved itself now.
    pub(crate) proof: ProofMethod,
}

/// How long spent tokens are tolerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// A spent token gets the same successor for so long, whatever happened.
    pub(crate) grace: Duration,
    /// … for so long while nobody was seen using the successor, and no longer than the grant may
    /// be idle.
    pub(crate) lost: Duration,
    /// More replays inside the grace than this are told to wait.
    pub(crate) most_replays: u32,
    /// A spent token is refused without harm for so long, and is evidence of theft afterwards.
    pub(crate) soft: Duration,
    /// Revoke at the first spent token.
    pub(crate) strict: bool,
}

/// What a presented token leads to. Only the first three give tokens.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Spent now; the family is at a new generation.
    Rotated,
    /// Spent before; the family's current generation is given again.
    Replayed,
    /// The client does not rotate; the token stays.
    Kept,
    /// The family has not reached this generation: the store may have lost writes.
    Ahead,
    /// Replayed more often than anybody honest would; wait.
    Busy,
    /// Idle or absolute lifetime is over.
    Expired,
    /// Authentic by its MAC, but not of this chain. Changes nothing.
    Forged,
    /// A spent token came back in a way only a copy would: the family is revoked.
    Reuse,
    /// The family was revoked before.
    Revoked,
    /// Replaced long enough ago; refused, and the family is marked.
    Stale,
    /// Issued to another client. Changes nothing.
    WrongClient,
    /// The client proved itself otherwise when the grant began. Changes nothing.
    WrongProof,
}

/// Applies one presented token to its family.
pub(crate) fn step(family: &mut Family, token: &Presented, attempt: &Attempt<'_>) -> Step {
    let latest = family.rotations.front().map_or(family.created, |(at, _)| *at);
    // A clock that went back must not make a token younger than the rotation it follows.
    let now = attempt.now.max(latest);
    if &family.grant.client != attempt.client {
        return Step::WrongClient;
    }
    if family.revoked {
        return Step::Revoked;
    }
    if family.proof != attempt.proof {
        return Step::WrongProof;
    }
    let ahead = token.generation > family.generation;
    let idle_expiry = if ahead && family.idle_by == IdleBy::Refresh {
        family.idle_expiry.max(token.issued.plus(family.idle))
    } else {
        family.idle_expiry
    };
    if now >= family.absolute_expiry || now >= idle_expiry {
        return Step::Expired;
    }
    if ahead {
        return Step::Ahead;
    }
    if token.generation < family.generation {
        return spent(family, token, attempt, now);
    }
    if token.nonce != family.nonce {
        return Step::Forged;
    }
    family.used = family.used.max(now);
    if family.idle_by == IdleBy::Refresh {
        family.idle_expiry = now.plus(family.idle).min(family.absolute_expiry);
    }
    if !family.rotates {
        return Step::Kept;
    }
    family.confirmed = false;
    family.generation = family.generation.saturating_add(1);
    family.nonce = token.next;
    family.replays = 0;
    family.rotations.push_front((now, attempt.context));
    family.rotations.truncate(REMEMBERED);
    Step::Rotated
}

/// A token that was spent before.
fn spent(family: &mut Family, token: &Presented, attempt: &Attempt<'_>, now: Timestamp) -> Step {
    let behind = family.generation - token.generation;
    if behind == 1 && token.next != family.nonce {
        return Step::Forged;
    }
    // The rotation that superseded generation g began generation g + 1.
    let superseded = family.rotations.get(behind as usize - 1).copied();
    // Beyond what is remembered, the oldest remembered rotation bounds the age from below.
    let oldest = family.rotations.back().map_or(family.created, |(at, _)| *at);
    let age = now.since(superseded.map_or(oldest, |(at, _)| at));
    if superseded.is_some() && age <= attempt.policy.grace {
        if family.replays >= attempt.policy.most_replays {
            return Step::Busy;
        }
        family.replays += 1;
        return Step::Replayed;
    }
    let lost = if family.contested.is_some() { Duration::ZERO } else { attempt.policy.lost };
    let lost = lost.min(family.idle);
    if behind == 1 && !family.confirmed && age <= lost {
        family.replays = family.replays.saturating_add(1);
        return Step::Replayed;
    }
    let elsewhere = superseded.is_some_and(|(_, context)| context.differs_wholly(attempt.context));
    if attempt.policy.strict || elsewhere || age > attempt.policy.soft {
        family.revoked = true;
        return Step::Reuse;
    }
    family.contested = Some(now);
    Step::Stale
}

/// For how long a contested grant is offered for signing out.
pub(crate) const OFFERED: Duration = Duration::from_hours(24);

impl Family {
    /// Whether the person should be asked about this grant when they approve its client again.
    pub(crate) fn is_doubtful<'a>(
        &self,
        mut resources: impl Iterator<Item = &'a ResourceIndicator>,
        now: Timestamp,
    ) -> bool {
        let recent = self.contested.is_some_and(|at| now.since(at) <= OFFERED);
        recent && !self.revoked && resources.any(|one| self.grant.scopes.contains_key(one))
    }

    /// Takes note of a call with an access token of this generation: it proves that the client
    /// has the generation, and that the grant is in use. False if it says nothing new.
    pub(crate) fn note_call(&mut self, generation: u32, now: Timestamp) -> bool {
        if self.revoked || generation > self.generation || now >= self.idle_expiry {
            return false;
        }
        let confirms = generation == self.generation && !self.confirmed;
        let is_later = now >= self.used.plus(NOTED);
        let idle_expiry = now.plus(self.idle).min(self.absolute_expiry);
        let extends = self.idle_by == IdleBy::Call && idle_expiry >= self.idle_expiry.plus(NOTED);
        self.confirmed |= confirms;
        if is_later {
            self.used = now;
        }
        if extends {
            self.idle_expiry = idle_expiry;
        }
        confirms || is_later || extends
    }

    /// Takes up a generation that was issued and then lost by the store.
    pub(crate) fn roll_forward(&mut self, to: (u32, Nonce), issued: Timestamp, context: Context) {
        // The lost rotations happened at the token's issue at the latest: so a sibling that still
        // holds one of their tokens is as young as it really is.
        let latest = self.rotations.front().map_or(self.created, |(at, _)| *at);
        for _ in self.generation..to.0.min(self.generation.saturating_add(REMEMBERED_U32)) {
            self.rotations.push_front((issued.max(latest), context));
        }
        self.rotations.truncate(REMEMBERED);
        (self.generation, self.nonce) = to;
        self.confirmed = false;
        self.replays = 0;
        self.used = self.used.max(issued);
        if self.idle_by == IdleBy::Refresh {
            let idle_expiry = self.idle_expiry.max(issued.plus(self.idle));
            self.idle_expiry = idle_expiry.min(self.absolute_expiry);
        }
    }
}

impl Context {
    fn differs_wholly(self, other: Self) -> bool {
        let [product, source] = self.0.to_be_bytes();
        let [other_product, other_source] = other.0.to_be_bytes();
        product != other_product && source != other_source
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
