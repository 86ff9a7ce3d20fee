//! Codes and families in Redis: one script a verb. Creations and revocations are answered when
//! they are durable; rotations do not wait.

use async_trait::async_trait;
use shared::{
    ids::FamilyId,
    internal::{Event, Receipt},
    secret::SecretHash,
    time::Timestamp,
};
use store::Script;

use super::{
    RedisStore,
    family::{read_family, write_family},
    keys::{code_key, family_key, index_key, millis},
};
use crate::{
    rules::{
        refresh_token::Nonce,
        rotation::{Attempt, Context, Family, Presented, Step},
    },
    store::{
        AFTER_EXPIRY, CodeRecord, EVENT_LIFE, EventFeed, Expected, Families, Kind, MOST_SKEW,
        Owner, Records, Redemption, Rotation, StoreError, TOMBSTONE, WRONG_VERIFIERS,
        record::{decode, encode},
    },
};

static CONFIRM: Script = Script::new("confirm", include_str!("confirm.lua"));
static FAMILY: Script = Script::new(
    "family",
    "return redis.call('HMGET', KEYS[1], 'st','cl','g','n','ab','ie','id','ro','cf','rp','ct','cr','hi','mk','gr')",
);
static INDEX: Script = Script::new("index", include_str!("index.lua"));
static MISS_CODE: Script = Script::new("miss_code", include_str!("miss_code.lua"));
static PUT_CODE: Script = Script::new("put_code", include_str!("put_code.lua"));
static READ_CODE: Script =
    Script::new("read_code", "return redis.call('HMGET', KEYS[1], 'r', 'u')");
static READ_INDEX: Script =
    Script::new("read_index", "return redis.call('ZREVRANGE', KEYS[1], 0, ARGV[1] - 1)");
static REDEEM_CODE: Script = Script::new("redeem_code", include_str!("redeem_code.lua"));
static REVOKE_FAMILY: Script = Script::new("revoke_family", include_str!("revoke_family.lua"));
static ROLL_FORWARD: Script = Script::new("roll_forward", include_str!("roll_forward.lua"));
static ROTATE: Script = Script::new("rotate", include_str!("rotate.lua"));

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
        Ok((used.is_some() || now < record.expires).then_some((record, used)))
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
        let keys = [code_key(family, code), family_key(family)];
        let now = now.millis().to_string();
        let remember = TOMBSTONE.as_millis().to_string();
        let forget = created.absolute_expiry.plus(AFTER_EXPIRY).millis().to_string();
        let fields = write_family(created)?;
        // First, because an index may name what does not exist, but not the other way round.
        let member = family.to_string();
        let index_arguments = [member.as_bytes(), forget.as_bytes(), now.as_bytes()];
        let grant = &created.grant;
        for owner in [Owner::Client(&grant.client), Owner::Person(&grant.user)] {
            self.redis.run(&INDEX, &[&index_key(owner)], &index_arguments).await?;
        }
        let mut arguments = vec![now.as_bytes(), remember.as_bytes(), forget.as_bytes()];
        arguments
            .extend(fields.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_slice()]));
        let reply = self.run_lasting(&REDEEM_CODE, &[&keys[0], &keys[1]], &arguments).await?;
        let parts = reply.into_array()?;
        match parts.first().and_then(|reply| reply.as_str().ok()) {
            Some("first") => Ok(Redemption::First),
            Some("again") => {
                Ok(Redemption::Again(parts.get(1).and_then(millis).unwrap_or_default()))
            }
            _ => Ok(Redemption::Gone),
        }
    }

    async fn family(&self, family: FamilyId) -> Result<Option<Family>, StoreError> {
        let reply = self.redis.run(&FAMILY, &[&family_key(family)], &[]).await?;
        let fields = reply.into_array()?;
        if fields.first().and_then(|reply| reply.as_bytes().ok()).is_none() {
            return Ok(None);
        }
        read_family(&fields).map(Some)
    }

    async fn families_of(
        &self,
        owner: Owner<'_>,
        limit: usize,
    ) -> Result<Vec<FamilyId>, StoreError> {
        let most = limit.to_string();
        let index = index_key(owner);
        let members = self.redis.run(&READ_INDEX, &[&index], &[most.as_bytes()]).await?;
        let members = members.into_array()?;
        let texts = members.iter().filter_map(|member| member.as_str().ok());
        Ok(texts.filter_map(|text| FamilyId::parse(text).ok()).collect())
    }

    async fn rotate_refresh(
        &self,
        family: FamilyId,
        token: &Presented,
        attempt: &Attempt<'_>,
    ) -> Result<Option<Rotation>, StoreError> {
        let key = family_key(family);
        let policy = attempt.policy;
        let flag = |on: bool| if on { "1" } else { "0" }.to_owned();
        let texts = [
            token.issued.millis().to_string(),
            attempt.context.0.to_string(),
            attempt.now.millis().to_string(),
            flag(self.trust_caller_clock),
            policy.grace.as_millis().to_string(),
            policy.lost.as_millis().to_string(),
            policy.most_replays.to_string(),
            policy.soft.as_millis().to_string(),
            flag(policy.strict),
        ];
        let generation = token.generation.to_string();
        let [issued, context, now, trust, grace, lost, most, soft, strict] =
            texts.each_ref().map(String::as_bytes);
        let arguments: [&[u8]; 13] = [
            generation.as_bytes(),
            &token.nonce,
            &token.next,
            issued,
            attempt.client.as_str().as_bytes(),
            context,
            now,
            trust,
            grace,
            lost,
            most,
            soft,
            strict,
        ];
        let parts = self.redis.run(&ROTATE, &[&key], &arguments).await?.into_array()?;
        let outcome =
            parts.first().and_then(|reply| reply.as_str().ok()).unwrap_or_default().to_owned();
        let step = match outcome.as_str() {
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
            other => return Err(StoreError::Corrupt(format!("rotation answered {other:?}"))),
        };
        if matches!(step, Step::Reuse | Step::Revoked) {
            // An earlier attempt may have ended between the script and the feed.
            self.announce_revoked(family, attempt.now).await?;
        }
        let family = read_family(parts.get(1..).unwrap_or_default())?;
        Ok(Some(Rotation { family, step }))
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
        self.announce_revoked(family, now).await?;
        Ok(reply.as_int()? == 1)
    }

    async fn confirm(&self, receipt: Receipt) -> Result<(), StoreError> {
        let generation = receipt.generation.to_string();
        let key = family_key(receipt.family);
        self.redis.run(&CONFIRM, &[&key], &[generation.as_bytes()]).await?;
        Ok(())
    }
}

impl RedisStore {
    /// Revokes a family that was revoked before and may have been lost, and nothing else.
    pub(crate) async fn revoke_again(&self, family: FamilyId) -> Result<(), StoreError> {
        self.run_lasting(&REVOKE_FAMILY, &[&family_key(family)], &[]).await?;
        Ok(())
    }

    /// Makes a revocation durable and puts it on the feed, once: the note is written last, so
    /// that an attempt that ends in between is finished by the next.
    async fn announce_revoked(&self, family: FamilyId, now: Timestamp) -> Result<(), StoreError> {
        let note = format!("announced {family}");
        if self.record(Kind::Ticket, &note).await?.is_some() {
            return Ok(());
        }
        self.run_lasting(&REVOKE_FAMILY, &[&family_key(family)], &[]).await?;
        self.append_event(&Event::Family { family }, now).await?;
        let forget = Some(now.plus(EVENT_LIFE));
        self.replace_record(Kind::Ticket, &note, Expected::Anything, Some(b"1"), forget).await?;
        Ok(())
    }
}
