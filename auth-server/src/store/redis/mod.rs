//! The verbs on Redis: one script each, all keys of a family in one slot. Creations and
//! revocations are answered when they are durable; rotations do not wait.

mod family;
mod records;

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    ids::{ClientId, FamilyId, UserId},
    internal::{Event, Receipt},
    secret::SecretHash,
    time::Timestamp,
};
use store::{Redis, Reply, Script};

use self::{
    family::{read_family, write_family},
    records::{client_key, code_key, family_key, index_key, millis, session_key},
};
use super::{
    AFTER_EXPIRY, CodeRecord, EVENT_LIFE, FEED_PAGE, Feed, MOST_FAMILIES, Redemption, Rotation,
    Session, Store, StoreError, TOMBSTONE, WRONG_VERIFIERS,
};
use crate::rules::{
    client_metadata::Client,
    refresh_token::Nonce,
    rotation::{Attempt, Context, Family, Presented, Step},
};
use crate::store::record::{decode, encode};

static APPEND_EVENT: Script = Script::new("append_event", include_str!("append_event.lua"));
static CONFIRM: Script = Script::new("confirm", include_str!("confirm.lua"));
static FAMILY: Script = Script::new(
    "family",
    "return redis.call('HMGET', KEYS[1], 'st','cl','g','n','ab','ie','id','ro','cf','rp','ct','cr','hi','mk','gr')",
);
static FEED: Script = Script::new("feed", include_str!("feed.lua"));
static GET: Script = Script::new("get", "return redis.call('GET', KEYS[1])");
static INDEX: Script = Script::new("index", include_str!("index.lua"));
static MISS_CODE: Script = Script::new("miss_code", include_str!("miss_code.lua"));
static PUT: Script = Script::new("put", include_str!("put.lua"));
static PUT_CODE: Script = Script::new("put_code", include_str!("put_code.lua"));
static READ_CODE: Script =
    Script::new("read_code", "return redis.call('HMGET', KEYS[1], 'r', 'u')");
static READ_INDEX: Script =
    Script::new("read_index", "return redis.call('ZREVRANGE', KEYS[1], 0, ARGV[1] - 1)");
static REDEEM_CODE: Script = Script::new("redeem_code", include_str!("redeem_code.lua"));
static REPLACE: Script = Script::new("replace", include_str!("replace.lua"));
static REVOKE_FAMILY: Script = Script::new("revoke_family", include_str!("revoke_family.lua"));
static ROLL_FORWARD: Script = Script::new("roll_forward", include_str!("roll_forward.lua"));
static ROTATE: Script = Script::new("rotate", include_str!("rotate.lua"));
static TAKE_ONCE: Script = Script::new("take_once", include_str!("take_once.lua"));

/// auth-server's store in Redis.
#[derive(Clone, Debug)]
pub(crate) struct RedisStore {
    /// The epoch this process proposes if the feed has none yet.
    epoch: String,
    redis: Redis,
    /// Whether the caller's time is believed: for tests that move the clock.
    trust_caller_clock: bool,
}

impl RedisStore {
    /// A store on a connected engine.
    pub(crate) fn new(redis: Redis, epoch: String, trust_caller_clock: bool) -> Self {
        Self { epoch, redis, trust_caller_clock }
    }

    async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let reply = self.redis.run(&GET, &[key], &[]).await?;
        if reply.is_nil() { Ok(None) } else { decode(reply.as_bytes()?).map(Some) }
    }

    /// Makes a revocation durable and puts it on the feed, once: the note is written last, so
    /// that an attempt that ends in between is finished by the next.
    async fn announce_revoked(&self, family: FamilyId, now: Timestamp) -> Result<(), StoreError> {
        let note = format!("announced {family}");
        if self.has_note(&note).await? {
            return Ok(());
        }
        self.redis.run_durable(&REVOKE_FAMILY, &[&family_key(family)], &[]).await?;
        self.append_event(&Event::Family { family }, now).await?;
        self.take_ticket(&note, now.plus(EVENT_LIFE)).await?;
        Ok(())
    }

    async fn write<T: Serialize + Sync>(
        &self,
        key: &str,
        record: &T,
        expires: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let value = encode(record)?;
        let expires = expires.map_or(0, Timestamp::millis).to_string();
        self.redis.run(&PUT, &[key], &[&value, expires.as_bytes()]).await?;
        Ok(())
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        self.read(&client_key(id)).await
    }

    async fn put_client(&self, client: &Client) -> Result<(), StoreError> {
        let (key, value) = (client_key(&client.id), encode(client)?);
        // Registering again is common, and durable connections are few.
        let registered = |stored: Client| Client { registered: client.registered, ..stored };
        if self.read(&key).await?.map(registered).as_ref() == Some(client) {
            return Ok(());
        }
        self.redis.run_durable(&PUT, &[&key], &[&value, b"0"]).await?;
        Ok(())
    }

    async fn session(&self, secret: &SecretHash) -> Result<Option<Session>, StoreError> {
        self.read(&session_key(secret)).await
    }

    async fn put_session(&self, secret: &SecretHash, session: &Session) -> Result<(), StoreError> {
        self.write(&session_key(secret), session, Some(session.expires)).await
    }

    async fn take_ticket(&self, digest: &str, expires: Timestamp) -> Result<bool, StoreError> {
        let (key, expires) = (format!("ticket:{digest}"), expires.millis().to_string());
        let reply = self.redis.run(&TAKE_ONCE, &[&key], &[expires.as_bytes()]).await?;
        Ok(reply.as_int()? == 1)
    }

    async fn has_note(&self, digest: &str) -> Result<bool, StoreError> {
        Ok(!self.redis.run(&GET, &[&format!("ticket:{digest}")], &[]).await?.is_nil())
    }

    async fn put_code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        record: &CodeRecord,
    ) -> Result<(), StoreError> {
        let expires = record.expires.millis().to_string();
        let forget = record.expires.plus(super::MOST_SKEW).millis().to_string();
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
        let index = index_key(&created.grant.user, &created.grant.client);
        let index_arguments = [member.as_bytes(), forget.as_bytes(), now.as_bytes()];
        self.redis.run(&INDEX, &[&index], &index_arguments).await?;
        let mut arguments = vec![now.as_bytes(), remember.as_bytes(), forget.as_bytes()];
        arguments
            .extend(fields.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_slice()]));
        let reply = self.redis.run_durable(&REDEEM_CODE, &[&keys[0], &keys[1]], &arguments).await?;
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
        user: &UserId,
        client: &ClientId,
    ) -> Result<Vec<FamilyId>, StoreError> {
        let most = MOST_FAMILIES.to_string();
        let index = index_key(user, client);
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
        let reply = self.redis.run_durable(&REVOKE_FAMILY, &[&family_key(family)], &[]).await?;
        self.announce_revoked(family, now).await?;
        Ok(reply.as_int()? == 1)
    }

    async fn confirm(&self, receipt: Receipt) -> Result<(), StoreError> {
        let generation = receipt.generation.to_string();
        let key = family_key(receipt.family);
        self.redis.run(&CONFIRM, &[&key], &[generation.as_bytes()]).await?;
        Ok(())
    }

    async fn key_set(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let reply = self.redis.run(&GET, &[&format!("keys:{name}")], &[]).await?;
        Ok(if reply.is_nil() { None } else { Some(reply.into_bytes()?) })
    }

    async fn replace_key_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        set: &[u8],
    ) -> Result<bool, StoreError> {
        let held: &[u8] = if expected.is_some() { b"1" } else { b"0" };
        let arguments = [held, expected.unwrap_or_default(), set];
        let reply =
            self.redis.run_durable(&REPLACE, &[&format!("keys:{name}")], &arguments).await?;
        Ok(reply.as_int()? == 1)
    }

    async fn append_event(&self, event: &Event, now: Timestamp) -> Result<(), StoreError> {
        let value = encode(event)?;
        let forget = now.plus(EVENT_LIFE).millis().to_string();
        let now = now.millis().to_string();
        let arguments = [value.as_slice(), forget.as_bytes(), now.as_bytes()];
        self.redis
            .run_durable(&APPEND_EVENT, &["{feed}:last", "{feed}:events"], &arguments)
            .await?;
        Ok(())
    }

    async fn feed(&self, after: Option<u64>) -> Result<Feed, StoreError> {
        let after = after.unwrap_or(0).to_string();
        let keys = ["{feed}:last", "{feed}:events", "{feed}:epoch"];
        let arguments = [after.as_bytes(), self.epoch.as_bytes()];
        let parts = self.redis.run(&FEED, &keys, &arguments).await?.into_array()?;
        let corrupt = || StoreError::Corrupt("the feed".to_owned());
        let epoch =
            parts.first().and_then(|reply| reply.as_str().ok()).ok_or_else(corrupt)?.to_owned();
        let last =
            parts.get(1).and_then(|reply| reply.as_str().ok()).and_then(|text| text.parse().ok());
        let entries =
            parts.into_iter().nth(2).map(Reply::into_array).transpose()?.unwrap_or_default();
        let mut last: u64 = last.ok_or_else(corrupt)?;
        let mut events = Vec::with_capacity(entries.len());
        for entry in &entries {
            let mut parts = entry.as_str()?.splitn(3, ' ');
            let seq = parts.next().and_then(|seq| seq.parse().ok()).ok_or_else(corrupt)?;
            events.push(decode(parts.nth(1).ok_or_else(corrupt)?.as_bytes())?);
            // A full page ends where it ends; the reader goes on from there.
            if events.len() == FEED_PAGE {
                last = seq;
            }
        }
        Ok(Feed { epoch, events, last })
    }

    async fn sweep(&self, _now: Timestamp) -> Result<usize, StoreError> {
        // Redis forgets by itself.
        Ok(0)
    }
}
