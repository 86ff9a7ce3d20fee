//! Codes and families in Redis: one script a verb. Creations and revocations are answered when
//! they are durable; rotations do not wait.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{
    TryFutureExt,
    future::{try_join, try_join_all},
};
use shared::{
    ids::FamilyId,
    internal::{Event, Receipt},
    secret::SecretHash,
    time::Timestamp,
};
use store::{Reply, Script};

use super::{
    RedisStore,
    family::{pack, packed_attempt, terms_of, unpack},
    keys::{code_key, family_key, index_key, millis},
};
use crate::{
    rules::{
        refresh_token::Nonce,
        rotation::{Attempt, Context, Family, NOTED, Presented, Step},
        terms::{Terms, TermsId},
    },
    store::{
        AFTER_EXPIRY, CodeRecord, EVENT_LIFE, EventFeed, Expected, Families, Kind, MOST_SKEW,
        Owner, Records, Redemption, Rotation, StoreError, TOMBSTONE, WRONG_VERIFIERS,
        record::{decode, encode},
    },
};

static CONFIRM: Script = Script::new("confirm", include_str!("confirm.lua"));
pub(in crate::store) static INDEX: Script = Script::new("index", include_str!("index.lua"));
static INDEX_BOTH: Script = Script::new("index_both", include_str!("index.lua")).across_slots();
static MISS_CODE: Script = Script::new("miss_code", include_str!("miss_code.lua"));
static PUT_CODE: Script = Script::new("put_code", include_str!("put_code.lua"));
static READ_CODE: Script =
    Script::new("read_code", "return redis.call('HMGET', KEYS[1], 'r', 'u', 's')");
static READ_INDEX: Script = Script::new("read_index", include_str!("read_index.lua"));
static REDEEM_CODE: Script = Script::new("redeem_code", include_str!("redeem_code.lua"));
static REVOKE_FAMILY: Script = Script::new("revoke_family", include_str!("revoke_family.lua"));
static ROLL_FORWARD: Script = Script::new("roll_forward", include_str!("roll_forward.lua"));
static ROTATE: Script = Script::new("rotate", include_str!("rotate.lua"));
static SETTLE_CODE: Script = Script::new("settle_code", include_str!("settle_code.lua"));

/// How long one try to redeem a code may take before another may take it up.
const TRY: Duration = Duration::from_secs(5);
/// How late another try may come.
const LATE: Duration = Duration::from_mins(2);
/// How often a pending code is looked at again, and after which pause.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);
/// How many receipts are on their way at once.
const RECEIPTS: usize = 256;

#[async_trait]
impl Families for RedisStore {
    async fn put_code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        record: &CodeRecord,
    ) -> Result<(), StoreError> {
        let expires = record.expires.millis().to_string();
        let forget = record.expires.plus(MOST_SKEW).millis().to_string();
        let value = encode(record)?;
        let arguments = [value.as_slice(), expires.as_bytes(), forget.as_bytes()];
        self.redis.run(&PUT_CODE, &[&code_key(family, code)], &arguments).await?;
        Ok(())
    }

    async fn code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<(CodeRecord, Option<Timestamp>)>, StoreError> {
        let reply = self.redis.run(&READ_CODE, &[&code_key(family, code)], &[]).await?;
        let fields = reply.into_array()?;
        let Some(record) = fields.first().and_then(|reply| reply.as_bytes().ok()) else {
            return Ok(None);
        };
        let record: CodeRecord = decode(record)?;
        let used = fields.get(1).and_then(millis);
        let is_settled =
            fields.get(2).is_some_and(|state| state.as_bytes().ok() == Some(b"settled"));
        // A pending code may be redeemed by the next try, even if it has expired since.
        let is_known = used.is_some() || now < record.expires;
        Ok(is_known.then_some((record, used.filter(|_| is_settled))))
    }

    async fn miss_code(&self, family: FamilyId, code: &SecretHash) -> Result<(), StoreError> {
        let most = WRONG_VERIFIERS.to_string();
        self.redis.run(&MISS_CODE, &[&code_key(family, code)], &[most.as_bytes()]).await?;
        Ok(())
    }

    async fn redeem_code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        now: Timestamp,
        created: &Family,
    ) -> Result<Redemption, StoreError> {
        let forget = created.absolute_expiry.plus(AFTER_EXPIRY).millis().to_string();
        // First, because an index may name what does not exist, but not the other way round.
        let at = now.millis().to_string();
        let index_arguments = [family.as_bytes().as_slice(), forget.as_bytes(), at.as_bytes()];
        let grant = &created.grant;
        let [of_client, of_person] =
            [Owner::Client(&grant.client), Owner::Person(&grant.user)].map(index_key);
        let index = async || {
            let both = [of_client.as_str(), &of_person];
            if self.redis.is_one_server() {
                return self.redis.run(&INDEX_BOTH, &both, &index_arguments).await;
            }
            let [of_client, of_person] = both.map(|one| [one]);
            let client = self.redis.run(&INDEX, &of_client, &index_arguments);
            let person = self.redis.run(&INDEX, &of_person, &index_arguments);
            try_join(client, person).await.map(|(_, person)| person)
        };
        // Sent together.
        let index = index().map_err(StoreError::from);
        try_join(self.keep_terms(created), index).await?;
        let (code, family) = (code_key(family, code), family_key(family));
        for _ in 0..LOOKS {
            match self.redeem(&code, &family, now, created).await {
                Ok(Some(redemption)) => return Ok(redemption),
                // Another try is under way, or ended without a trace.
                Ok(None) => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    // Whether it ran is unknown; if it did, the next try need not wait.
                    let _ = self.redis.run(&SETTLE_CODE, &[&code], &[b"free"]).await;
                    return Err(error);
                }
            }
        }
        Err(StoreError::Contended("code"))
    }

    async fn family(&self, family: FamilyId) -> Result<Option<Family>, StoreError> {
        let reply = self.redis.get(&family_key(family)).await?;
        if reply.is_nil() {
            return Ok(None);
        }
        self.read_family(&reply).await.map(Some)
    }

    async fn terms(&self, id: TermsId) -> Result<Option<Arc<Terms>>, StoreError> {
        if let Some(known) = self.terms.find(id) {
            return Ok(Some(known));
        }
        let stored = self.record(Kind::Terms, &id.to_string()).await?;
        let stored: Option<Terms> = stored.map(|bytes| decode(&bytes)).transpose()?;
        Ok(stored.map(|terms| self.terms.keep(id, terms)))
    }

    async fn families_of(
        &self,
        owner: Owner<'_>,
        after: Option<FamilyId>,
        limit: usize,
    ) -> Result<Vec<FamilyId>, StoreError> {
        let most = limit.to_string();
        let index = index_key(owner);
        let after = after.as_ref().map(|family| family.as_bytes().as_slice()).unwrap_or_default();
        let members = self.redis.run(&READ_INDEX, &[&index], &[most.as_bytes(), after]).await?;
        let members = members.into_array()?;
        let ids = members.iter().filter_map(|member| member.as_bytes().ok()?.try_into().ok());
        Ok(ids.map(FamilyId::from_bytes).collect())
    }

    async fn rotate_refresh(
        &self,
        family: FamilyId,
        token: &Presented,
        attempt: &Attempt<'_>,
    ) -> Result<Option<Rotation>, StoreError> {
        let key = family_key(family);
        let asked = packed_attempt(token, attempt, self.trust_caller_clock);
        let arguments = [attempt.client.as_str().as_bytes(), asked.as_slice()];
        let answer = self.redis.run(&ROTATE, &[&key], &arguments).await?.into_bytes()?;
        let mut parts = answer.splitn(2, |byte| *byte == b' ');
        let mut part = || parts.next().unwrap_or_default();
        let (outcome, packed) = (std::str::from_utf8(part()).unwrap_or_default(), part());
        let step = match outcome {
            "ahead" => Step::Ahead,
            "busy" => Step::Busy,
            "expired" => Step::Expired,
            "forged" => Step::Forged,
            "kept" => Step::Kept,
            "missing" => return Ok(None),
            "replayed" => Step::Replayed,
            "reuse" => Step::Reuse,
            "revoked" => Step::Revoked,
            "rotated" => Step::Rotated,
            "skew" => return Err(StoreError::ClockSkew),
            "stale" => Step::Stale,
            "wrong_client" => Step::WrongClient,
            "wrong_proof" => Step::WrongProof,
            other => return Err(StoreError::Corrupt(format!("rotation answered {other:?}"))),
        };
        if matches!(step, Step::Reuse | Step::Revoked) && !self.is_announced(family).await? {
            // An earlier attempt may have ended between the script and the feed.
            self.run_lasting(&REVOKE_FAMILY, &[&key], &[]).await?;
            self.announce_revoked(family, attempt.now).await?;
        }
        Ok(Some(Rotation { family: self.read_packed(packed).await?, step }))
    }

    async fn roll_forward(
        &self,
        family: FamilyId,
        from: (u32, Nonce),
        to: (u32, Nonce),
        (issued, context): (Timestamp, Context),
    ) -> Result<bool, StoreError> {
        let (old, new) = (from.0.to_string(), to.0.to_string());
        let (issued, context) = (issued.millis().to_string(), context.0.to_string());
        let (issued, context) = (issued.as_bytes(), context.as_bytes());
        let arguments: [&[u8]; 6] =
            [old.as_bytes(), &from.1, new.as_bytes(), &to.1, issued, context];
        let reply = self.redis.run(&ROLL_FORWARD, &[&family_key(family)], &arguments).await?;
        Ok(reply.as_int()? == 1)
    }

    async fn revoke_family(&self, family: FamilyId, now: Timestamp) -> Result<bool, StoreError> {
        let reply = self.run_lasting(&REVOKE_FAMILY, &[&family_key(family)], &[]).await?;
        if !self.is_announced(family).await? {
            self.announce_revoked(family, now).await?;
        }
        Ok(reply.as_int()? == 1)
    }

    async fn confirm_all(&self, receipts: &[Receipt], now: Timestamp) -> Result<(), StoreError> {
        let now = now.millis().to_string();
        let exactly = NOTED.as_millis().to_string();
        for some in receipts.chunks(RECEIPTS) {
            // Sent together on one connection, and each to its own slot.
            let sent = some.iter().map(async |receipt| {
                let generation = receipt.generation.to_string();
                let arguments = [generation.as_bytes(), now.as_bytes(), exactly.as_bytes()];
                self.redis.run(&CONFIRM, &[&family_key(receipt.family)], &arguments).await
            });
            try_join_all(sent).await?;
        }
        Ok(())
    }
}

impl RedisStore {
    /// Revokes a family that was revoked before and may have been lost, and nothing else.
    pub(crate) async fn revoke_again(&self, family: FamilyId) -> Result<(), StoreError> {
        self.run_lasting(&REVOKE_FAMILY, &[&family_key(family)], &[]).await?;
        Ok(())
    }

    /// One try to redeem a code; nothing while another one is under way.
    async fn redeem(
        &self,
        code: &str,
        family: &str,
        now: Timestamp,
        created: &Family,
    ) -> Result<Option<Redemption>, StoreError> {
        let texts = [
            now.millis().to_string(),
            TOMBSTONE.as_millis().to_string(),
            created.absolute_expiry.plus(AFTER_EXPIRY).millis().to_string(),
            TRY.as_millis().to_string(),
            LATE.as_millis().to_string(),
        ];
        let [now, remember, forget, one, late] = texts.each_ref().map(String::as_bytes);
        let packed = pack(created);
        let arguments = [now, remember, forget, packed.as_slice(), one, late];
        let reply = self.run_lasting(&REDEEM_CODE, &[code, family], &arguments).await?;
        let parts = reply.into_array()?;
        match parts.first().and_then(|reply| reply.as_str().ok()) {
            Some("again") => {
                Ok(Some(Redemption::Again(parts.get(1).and_then(millis).unwrap_or_default())))
            }
            Some("first") => {
                let family = self.read_family(parts.get(1).unwrap_or(&Reply::Nil)).await?;
                // The family is safe. Should this note be lost, a later try of the same client
                // gets the same family, as long as it was not used.
                let _ = self.redis.run(&SETTLE_CODE, &[code], &[b"settled"]).await;
                Ok(Some(Redemption::First(Box::new(family))))
            }
            Some("pending") => Ok(None),
            _ => Ok(Some(Redemption::Gone)),
        }
    }

    async fn read_family(&self, packed: &Reply) -> Result<Family, StoreError> {
        self.read_packed(packed.as_bytes()?).await
    }

    async fn read_packed(&self, packed: &[u8]) -> Result<Family, StoreError> {
        let terms = self.terms(terms_of(packed)?).await?;
        let terms = terms.ok_or_else(|| StoreError::Corrupt("the terms of a family".to_owned()))?;
        unpack(packed, &terms)
    }

    /// Writes the terms of a family that is about to exist, durably, unless they are there.
    async fn keep_terms(&self, family: &Family) -> Result<(), StoreError> {
        let terms = family.grant.terms();
        let id = terms.id();
        let key = id.to_string();
        // What this process remembers says nothing: the store may have lost it since.
        if self.record(Kind::Terms, &key).await?.is_none() {
            let value = encode(&terms)?;
            let expected = Expected::Anything;
            self.replace_record(Kind::Terms, &key, expected, Some(&value), None).await?;
        }
        Ok(())
    }

    async fn is_announced(&self, family: FamilyId) -> Result<bool, StoreError> {
        Ok(self.record(Kind::Ticket, &announcement(family)).await?.is_some())
    }

    /// Puts a revocation that is durable on the feed, once: the note is written last, so that an
    /// attempt that ends in between is finished by the next.
    async fn announce_revoked(&self, family: FamilyId, now: Timestamp) -> Result<(), StoreError> {
        self.append_event(&Event::Family { family }, now).await?;
        let (note, forget) = (announcement(family), Some(now.plus(EVENT_LIFE)));
        self.replace_record(Kind::Ticket, &note, Expected::Anything, Some(b"1"), forget).await?;
        Ok(())
    }
}

fn announcement(family: FamilyId) -> String {
    format!("announced {family}")
}
