//! Records that are found by a key and changed by compare-and-set: everything but grants and the
//! feed. Each kind has one form in both engines, so that what is built on them is written once.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    ids::{ClientId, UserId},
    time::Timestamp,
};

use super::{
    Store, StoreError,
    record::{decode, encode},
};

/// What a record is. The name is part of the stored form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A person's account, by its id.
    Account,
    /// The id of an account, by the name that signs in.
    AccountName,
    /// An API key, by person and id.
    ApiKey,
    /// The way to an API key, by its secret's hash.
    ApiKeySecret,
    /// When an API key was last used, by its id.
    ApiKeyUse,
    /// A security event, by its number, the newest first.
    Audit,
    /// The number of the next security event.
    AuditHead,
    /// A client, by its id.
    Client,
    /// When the grants of a deleted client ended, by its id: it may be registered again.
    ClientCutoff,
    /// What a person has consented to, by person and client.
    Consent,
    /// The grants of a person to a client whose old tokens came back, by person and client.
    Doubt,
    /// An initial access token, by its hash.
    InitialAccess,
    /// Who moves keys on by itself.
    KeyLease,
    /// What a server says of the keys it holds, by its name.
    KeyServer,
    /// A set of keys, sealed, by its purpose.
    KeySet,
    /// What the store says of itself: of which moment it is, and whether it may be used.
    Mark,
    /// When grants and sessions of a person of the deployment file ended, by the person's id.
    PersonCutoff,
    /// A signed-in browser, by its secret's hash.
    Session,
    /// A person's session, by person and id.
    SessionOf,
    /// What was last read at a stranger's URL, by the URL's hash.
    Source,
    /// What grants allow, by its own digest.
    Terms,
    /// Something that happens once.
    Ticket,
    /// A sign-in under way at another provider, by its state.
    UpstreamAttempt,
    /// The account of somebody at another provider.
    UpstreamLink,
    /// What a gateway last said of the keys it verifies with, by its name.
    Verifier,
    /// A workspace, by its id.
    Workspace,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 26] = [
        Self::Account,
        Self::AccountName,
        Self::ApiKey,
        Self::ApiKeySecret,
        Self::ApiKeyUse,
        Self::Audit,
        Self::AuditHead,
        Self::Client,
        Self::ClientCutoff,
        Self::Consent,
        Self::Doubt,
        Self::InitialAccess,
        Self::KeyLease,
        Self::KeyServer,
        Self::KeySet,
        Self::Mark,
        Self::PersonCutoff,
        Self::Session,
        Self::SessionOf,
        Self::Source,
        Self::Terms,
        Self::Ticket,
        Self::UpstreamAttempt,
        Self::UpstreamLink,
        Self::Verifier,
        Self::Workspace,
    ];

    /// The kind of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name in keys.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::AccountName => "account-name",
            Self::ApiKey => "api-key",
            Self::ApiKeySecret => "api-key-secret",
            Self::ApiKeyUse => "api-key-use",
            Self::Audit => "audit",
            Self::AuditHead => "audit-head",
            Self::Client => "client",
            Self::ClientCutoff => "client-cutoff",
            Self::Consent => "consent",
            Self::Doubt => "doubt",
            Self::InitialAccess => "initial-access",
            Self::KeyLease => "key-lease",
            Self::KeyServer => "key-server",
            Self::KeySet => "keys",
            Self::Mark => "mark",
            Self::PersonCutoff => "person-cutoff",
            Self::Session => "session",
            Self::SessionOf => "session-of",
            Self::Source => "source",
            Self::Terms => "terms",
            Self::Ticket => "ticket",
            Self::UpstreamAttempt => "upstream-attempt",
            Self::UpstreamLink => "upstream-link",
            Self::Verifier => "verifier",
            Self::Workspace => "workspace",
        }
    }

    /// Whether a change is answered only when it cannot be lost.
    pub(crate) fn is_durable(self) -> bool {
        match self {
            Self::ApiKeyUse
            | Self::Audit
            | Self::AuditHead
            | Self::KeyLease
            | Self::KeyServer
            | Self::Mark
            | Self::SessionOf
            | Self::Source
            | Self::Ticket
            | Self::UpstreamAttempt
            | Self::Verifier => false,
            Self::Account
            | Self::AccountName
            | Self::ApiKey
            | Self::ApiKeySecret
            | Self::Client
            | Self::ClientCutoff
            | Self::Consent
            | Self::Doubt
            | Self::InitialAccess
            | Self::KeySet
            | Self::PersonCutoff
            | Self::Session
            | Self::Terms
            | Self::UpstreamLink
            | Self::Workspace => true,
        }
    }

    /// Whether a reader on a shared store may be given what was stored up to a second ago, unless
    /// this process changed it itself: what every refresh asks for.
    pub(crate) fn may_lag(self) -> bool {
        self == Self::Client
    }

    /// Whether [`Records::records`] lists it.
    pub(crate) fn is_listed(self) -> bool {
        match self {
            Self::Account
            | Self::ApiKey
            | Self::Audit
            | Self::Client
            | Self::InitialAccess
            | Self::KeyServer
            | Self::KeySet
            | Self::Mark
            | Self::SessionOf
            | Self::Terms
            | Self::UpstreamLink
            | Self::Verifier
            | Self::Workspace => true,
            Self::AccountName
            | Self::ApiKeySecret
            | Self::ApiKeyUse
            | Self::AuditHead
            | Self::ClientCutoff
            | Self::Consent
            | Self::Doubt
            | Self::KeyLease
            | Self::PersonCutoff
            | Self::Session
            | Self::Source
            | Self::Ticket
            | Self::UpstreamAttempt => false,
        }
    }

    /// Whether [`Records::count`] knows how many there are. Such records are listed and have no
    /// expiry of their own.
    pub(crate) fn is_counted(self) -> bool {
        self == Self::Client
    }
}

/// What must be stored for a change to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected<'a> {
    Absent,
    Anything,
    Same(&'a [u8]),
}

/// A record that is written over whatever is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewRecord {
    pub(crate) expires: Option<Timestamp>,
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
}

/// The verbs of records, as bytes; [`Store`] has them typed.
#[async_trait]
pub(crate) trait Records: Sync {
    /// A record. One that has expired may still be found: its reader compares the time.
    async fn record(&self, kind: Kind, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The same for some records at once, in the order in which they are asked for.
    async fn records_at(&self, at: &[(Kind, &str)]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        try_join_all(at.iter().map(|(kind, key)| self.record(*kind, key))).await
    }

    /// Writes a record, or deletes it without a value, if what is stored is as expected. False
    /// if it is not.
    async fn replace_record(
        &self,
        kind: Kind,
        key: &str,
        expected: Expected<'_>,
        value: Option<&[u8]>,
        expires: Option<Timestamp>,
    ) -> Result<bool, StoreError>;

    /// Writes some records of a kind and deletes others, whatever is there; each by itself.
    async fn put_records(
        &self,
        kind: Kind,
        new: &[NewRecord],
        gone: &[String],
    ) -> Result<(), StoreError> {
        let any = Expected::Anything;
        let written = new.iter().map(|NewRecord { expires, key, value }| {
            self.replace_record(kind, key, any, Some(value), *expires)
        });
        let deleted = gone.iter().map(|key| self.replace_record(kind, key, any, None, None));
        try_join_all(written.chain(deleted)).await?;
        Ok(())
    }

    /// Keys and records of a listed kind whose keys begin with `prefix` and come after `after`,
    /// in the order of their keys. For pages and sweeps: a record that is written at the same
    /// moment may be missing.
    async fn records(
        &self,
        kind: Kind,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// How many records of a counted kind there are, without looking at them.
    async fn count(&self, kind: Kind) -> Result<u64, StoreError>;
}

/// How often a change is tried against others that change the same record.
const TRIES: usize = 100;

impl dyn Store + '_ {
    /// A record of a kind.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        kind: Kind,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        self.record(kind, key).await?.map(|bytes| decode(&bytes)).transpose()
    }

    /// Writes a record over whatever is there.
    pub(crate) async fn write<T: Serialize + Sync>(
        &self,
        kind: Kind,
        key: &str,
        record: &T,
        expires: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let value = encode(record)?;
        self.replace_record(kind, key, Expected::Anything, Some(&value), expires).await?;
        Ok(())
    }

    /// Writes a record where there is none. False if there is one.
    pub(crate) async fn create<T: Serialize + Sync>(
        &self,
        kind: Kind,
        key: &str,
        record: &T,
        expires: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let value = encode(record)?;
        self.replace_record(kind, key, Expected::Absent, Some(&value), expires).await
    }

    /// Deletes a record. False if there was none.
    pub(crate) async fn delete(&self, kind: Kind, key: &str) -> Result<bool, StoreError> {
        for _ in 0..TRIES {
            let Some(stored) = self.record(kind, key).await? else { return Ok(false) };
            if self.replace_record(kind, key, Expected::Same(&stored), None, None).await? {
                return Ok(true);
            }
        }
        Err(StoreError::Contended(kind.name()))
    }

    /// Changes a record that exists: `change` gets what is stored and gives what is to be, with
    /// its expiry, or nothing to leave it. Returns the record as it is then.
    pub(crate) async fn update<T: Serialize + DeserializeOwned + Send + Sync>(
        &self,
        kind: Kind,
        key: &str,
        change: impl Fn(&T) -> Option<(T, Option<Timestamp>)> + Send + Sync,
    ) -> Result<Option<T>, StoreError> {
        for _ in 0..TRIES {
            let Some(stored) = self.record(kind, key).await? else { return Ok(None) };
            let record: T = decode(&stored)?;
            let Some((changed, expires)) = change(&record) else { return Ok(Some(record)) };
            let value = encode(&changed)?;
            let expected = Expected::Same(&stored);
            if self.replace_record(kind, key, expected, Some(&value), expires).await? {
                return Ok(Some(changed));
            }
        }
        Err(StoreError::Contended(kind.name()))
    }

    /// Records of a listed kind, in the order of their keys.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        kind: Kind,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, T)>, StoreError> {
        let records = self.records(kind, prefix, after, limit).await?;
        records.into_iter().map(|(key, bytes)| Ok((key, decode(&bytes)?))).collect()
    }

    /// Takes a ticket: true once, false ever after.
    pub(crate) async fn take_ticket(
        &self,
        ticket: &str,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        self.create(Kind::Ticket, ticket, &1_u8, Some(expires)).await
    }

    /// Whether a ticket was taken.
    pub(crate) async fn is_taken(&self, ticket: &str) -> Result<bool, StoreError> {
        Ok(self.record(Kind::Ticket, ticket).await?.is_some())
    }
}

/// Whose grants are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    Client(&'a ClientId),
    Person(&'a UserId),
}
