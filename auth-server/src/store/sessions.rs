//! Sessions of signed-in browsers: by their secret's hash, and by person for whoever looks at the
//! list.

use serde::{Deserialize, Serialize};
use shared::{ids::UserId, secret::SecretHash, time::Timestamp};

use super::{Expected, Kind, Standing, Store, StoreError};
use crate::rules::openid::Method;

/// A signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The program it began in, such as `Firefox on Linux`.
    #[serde(default)]
    pub(crate) agent: String,
    pub(crate) expires: Timestamp,
    /// What it is called on pages; no secret.
    #[serde(default)]
    pub(crate) id: String,
    /// When it was last used, to a few minutes.
    #[serde(default)]
    pub(crate) last_seen: Timestamp,
    /// How it began, if this server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<Method>,
    /// The neighbourhood of the address it began at.
    #[serde(default)]
    pub(crate) network: String,
    pub(crate) signed_in: Timestamp,
    pub(crate) user: UserId,
}

/// A session with its secret's hash.
pub(crate) type Found = (SecretHash, Session);

/// More sessions of one person are not read.
const MOST_READ: usize = 500;

impl dyn Store + '_ {
    /// A signed-in browser.
    pub(crate) async fn session(&self, secret: &SecretHash) -> Result<Option<Session>, StoreError> {
        self.read(Kind::Session, secret.as_str()).await
    }

    /// Starts a session.
    pub(crate) async fn put_session(
        &self,
        secret: &SecretHash,
        session: &Session,
    ) -> Result<(), StoreError> {
        let (name, expires) = (name(&session.user, &session.id), Some(session.expires));
        self.write(Kind::SessionOf, &name, secret, expires).await?;
        self.write(Kind::Session, secret.as_str(), session, expires).await
    }

    /// Notes that a session was used.
    pub(crate) async fn touch_session(
        &self,
        secret: &SecretHash,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let touched = |session: &Session| {
            Some((Session { last_seen: now, ..session.clone() }, Some(session.expires)))
        };
        let touched = self.update(Kind::Session, secret.as_str(), touched).await?;
        if let Some(session) = touched {
            let name = name(&session.user, &session.id);
            self.write(Kind::SessionOf, &name, secret, Some(session.expires)).await?;
        }
        Ok(())
    }

    /// A person's sessions.
    pub(crate) async fn sessions(
        &self,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Vec<Found>, StoreError> {
        let prefix = format!("{}/", user.as_str());
        let known: Vec<(String, SecretHash)> =
            self.list(Kind::SessionOf, &prefix, None, MOST_READ).await?;
        let mut found = Vec::new();
        for (_, secret) in known {
            let session = self.session(&secret).await?;
            found.extend(session.filter(|session| now < session.expires).map(|one| (secret, one)));
        }
        Ok(found)
    }

    /// Ends a session, durably.
    pub(crate) async fn end_session(
        &self,
        secret: &SecretHash,
        session: &Session,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // First: what is answered must be in the log too.
        self.note_standing(Standing::Session { session: secret.clone() }, now).await?;
        // Whatever it says by now.
        self.replace_record(Kind::Session, secret.as_str(), Expected::Anything, None, None).await?;
        self.delete(Kind::SessionOf, &name(&session.user, &session.id)).await?;
        Ok(())
    }
}

fn name(user: &UserId, id: &str) -> String {
    format!("{}/{id}", user.as_str())
}
