//! A family as one packed string, small enough for millions of them: what the scripts change
//! stands first, at fixed places, and what never changes follows.
//!
//! Numbers are big-endian, times are milliseconds in six bytes. The scripts of this folder read
//! the same places; the contract's random histories compare them with the rule.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use shared::{
    deployment::IdleBy,
    ids::{ClientId, UserId, WorkspaceId},
    time::Timestamp,
};

use crate::{
    rules::{
        client::ProofMethod,
        consent::Grant,
        rotation::{Attempt, Context, Family, Presented, REMEMBERED},
        terms::{Terms, TermsId},
    },
    store::StoreError,
};

/// The version of this form.
const VERSION: u8 = 1;
const ROTATES: u8 = 1;
const IDLE_BY_CALL: u8 = 2;
/// The bits of the client's proof.
const PROOF: u8 = 0b1100;

/// The packed form of a family.
pub(in crate::store) fn pack(family: &Family) -> Vec<u8> {
    let mut packed = Packed(Vec::with_capacity(256));
    packed.byte(VERSION);
    packed.byte(u8::from(family.revoked));
    packed.byte(u8::from(family.confirmed));
    packed.bytes(&family.generation.to_be_bytes());
    packed.bytes(&family.nonce);
    packed.time(family.idle_expiry);
    packed.time(family.contested.unwrap_or_default());
    packed.time(family.used);
    packed.bytes(&family.replays.to_be_bytes());
    let rotations = || family.rotations.iter().take(REMEMBERED);
    packed.byte(u8::try_from(rotations().count()).unwrap_or_default());
    for (at, context) in rotations() {
        packed.time(*at);
        packed.bytes(&context.0.to_be_bytes());
    }
    packed.bytes(&vec![0; (REMEMBERED - rotations().count()) * 8]);
    packed.time(family.absolute_expiry);
    packed.time(family.created);
    packed.time(Timestamp::default().plus(family.idle));
    packed.bytes(&family.mac_key);
    let mut flags = proof_byte(family.proof);
    if family.rotates {
        flags |= ROTATES;
    }
    if family.idle_by == IdleBy::Call {
        flags |= IDLE_BY_CALL;
    }
    packed.byte(flags);
    let grant = &family.grant;
    packed.bytes(&grant.terms().id().0);
    packed.time(grant.signed_in.unwrap_or_default());
    let client = grant.client.as_str().as_bytes();
    packed.bytes(&u16::try_from(client.len()).unwrap_or_default().to_be_bytes());
    packed.bytes(client);
    packed.short(grant.user.as_str());
    for workspace in &grant.workspaces {
        packed.short(workspace.as_str());
    }
    packed.0
}

/// What the rotation script is asked, but for the client.
pub(super) fn packed_attempt(token: &Presented, attempt: &Attempt<'_>, trusted: bool) -> Vec<u8> {
    let policy = attempt.policy;
    let span = |span: Duration| Timestamp::default().plus(span);
    let mut packed = Packed(Vec::with_capacity(76));
    packed.bytes(&token.generation.to_be_bytes());
    packed.bytes(&token.nonce);
    packed.bytes(&token.next);
    packed.time(token.issued);
    packed.bytes(&attempt.context.0.to_be_bytes());
    packed.time(attempt.now);
    packed.byte(u8::from(trusted));
    packed.time(span(policy.grace));
    packed.time(span(policy.lost));
    packed.bytes(&policy.most_replays.to_be_bytes());
    packed.time(span(policy.soft));
    packed.byte(u8::from(policy.strict));
    packed.byte(proof_byte(attempt.proof));
    packed.0
}

/// The terms that a packed family names.
pub(super) fn terms_of(packed: &[u8]) -> Result<TermsId, StoreError> {
    let id = packed.get(133..145).and_then(|bytes| bytes.try_into().ok());
    id.map(TermsId).ok_or_else(|| corrupt("terms"))
}

/// A family from its packed form and its terms.
pub(super) fn unpack(packed: &[u8], terms: &Terms) -> Result<Family, StoreError> {
    let mut from = Unpacked(packed);
    if from.byte()? != VERSION {
        return Err(corrupt("version"));
    }
    let (revoked, confirmed) = (from.byte()? != 0, from.byte()? != 0);
    let generation = u32::from_be_bytes(from.array()?);
    let nonce = from.array()?;
    let (idle_expiry, contested, used) = (from.time()?, from.time()?, from.time()?);
    let replays = u32::from_be_bytes(from.array()?);
    let count = usize::from(from.byte()?);
    let mut rotations = VecDeque::with_capacity(REMEMBERED);
    for _ in 0..REMEMBERED {
        rotations.push_back((from.time()?, Context(u16::from_be_bytes(from.array()?))));
    }
    rotations.truncate(count);
    let (absolute_expiry, created) = (from.time()?, from.time()?);
    let idle = Duration::from_millis(from.time()?.millis());
    let mac_key = from.array()?;
    let flags = from.byte()?;
    from.take(12)?;
    let signed_in = Some(from.time()?).filter(|at| *at > Timestamp::default());
    let client = u16::from_be_bytes(from.array()?);
    let client = from.text(usize::from(client))?;
    let person = from.short()?;
    let mut workspaces = BTreeSet::new();
    while !from.0.is_empty() {
        let workspace = WorkspaceId::parse(from.short()?);
        workspaces.insert(workspace.map_err(|_| corrupt("workspace"))?);
    }
    Ok(Family {
        absolute_expiry,
        confirmed,
        contested: Some(contested).filter(|at| *at > Timestamp::default()),
        created,
        generation,
        grant: Grant {
            client: ClientId::parse(client).map_err(|_| corrupt("client"))?,
            identity: terms.identity.clone(),
            scopes: terms.scopes.clone(),
            signed_in,
            user: UserId::parse(person).map_err(|_| corrupt("user"))?,
            workspaces,
        },
        idle,
        idle_by: if flags & IDLE_BY_CALL == 0 { IdleBy::Refresh } else { IdleBy::Call },
        idle_expiry,
        mac_key,
        nonce,
        proof: proof(flags)?,
        replays,
        revoked,
        rotates: flags & ROTATES != 0,
        rotations,
        used,
    })
}

/// The method's bits among the flags; the rotation script compares them.
fn proof_byte(method: ProofMethod) -> u8 {
    match method {
        ProofMethod::None => 0,
        ProofMethod::Secret => 4,
        ProofMethod::Assertion => 8,
    }
}

fn proof(flags: u8) -> Result<ProofMethod, StoreError> {
    let methods = [ProofMethod::None, ProofMethod::Secret, ProofMethod::Assertion];
    let found = methods.into_iter().find(|method| proof_byte(*method) == flags & PROOF);
    found.ok_or_else(|| corrupt("flags"))
}

struct Packed(Vec<u8>);

impl Packed {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A text of at most 255 bytes, its length first.
    fn short(&mut self, text: &str) {
        self.byte(u8::try_from(text.len()).unwrap_or_default());
        self.bytes(text.as_bytes());
    }

    fn time(&mut self, time: Timestamp) {
        let [_, _, rest @ ..] = time.millis().to_be_bytes();
        self.bytes(&rest);
    }
}

struct Unpacked<'a>(&'a [u8]);

impl<'a> Unpacked<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| corrupt("length"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        self.take(N)?.try_into().map_err(|_| corrupt("length"))
    }

    fn byte(&mut self) -> Result<u8, StoreError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn short(&mut self) -> Result<&'a str, StoreError> {
        let length = self.byte()?;
        self.text(usize::from(length))
    }

    fn text(&mut self, length: usize) -> Result<&'a str, StoreError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| corrupt("text"))
    }

    fn time(&mut self) -> Result<Timestamp, StoreError> {
        let millis = self.take(6)?.iter().fold(0, |high, byte| (high << 8) | u64::from(*byte));
        Ok(Timestamp::from_millis(millis))
    }
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("the {what} of a family"))
}
