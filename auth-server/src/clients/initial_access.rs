//! Initial access tokens (RFC 7591 section 3) as operators see them.

use std::time::Duration;

use shared::{secret::Secret, time::Timestamp};

use super::ClientError;
use crate::{
    App,
    audit::Event,
    mint,
    rules::initial_access::InitialAccess,
    store::{Kind, Standing},
};

/// How much of a token's hash names it.
const NAME: usize = 12;
/// How many tokens are listed at most.
const MOST: usize = 1000;

/// A token that an operator gives out.
#[derive(Clone, Debug, Default)]
pub struct NewInitialAccessToken {
    /// It is good for so long; for ever if absent.
    pub life: Option<Duration>,
    /// Who got it, and what for.
    pub note: String,
    /// How many clients it registers; as many as one likes if absent.
    pub uses: Option<u32>,
}

/// A token as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialAccessToken {
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
    /// Names the token without being it.
    pub id: String,
    pub note: String,
    pub remaining: Option<u32>,
}

impl App {
    /// Makes an initial access token, which is shown once.
    pub async fn create_initial_access_token(
        &self,
        new: NewInitialAccessToken,
    ) -> Result<(InitialAccessToken, Secret), ClientError> {
        let now = self.clock.now();
        let secret = Secret::new(format!("iat_{}", mint::alphanumeric()?));
        let access = InitialAccess {
            created: now,
            expires: new.life.map(|life| now.plus(life)),
            note: new.note,
            remaining: new.uses,
        };
        let hash = secret.hash();
        self.store.put_initial_access(&hash, &access).await?;
        self.audit(&Event::InitialAccessCreated { note: &access.note });
        Ok((InitialAccessToken::of(hash.as_str(), access), secret))
    }

    /// The initial access tokens that were not revoked, used up ones included.
    pub async fn list_initial_access_tokens(&self) -> Result<Vec<InitialAccessToken>, ClientError> {
        let now = self.clock.now();
        let held = self.store.list::<InitialAccess>(Kind::InitialAccess, "", None, MOST).await?;
        let kept = |access: &InitialAccess| access.expires.is_none_or(|expires| now < expires);
        let held = held.into_iter().filter(|(_, access)| kept(access));
        Ok(held.map(|(hash, access)| InitialAccessToken::of(&hash, access)).collect())
    }

    /// Revokes the initial access token of that id. False if there is none.
    pub async fn revoke_initial_access_token(&self, id: &str) -> Result<bool, ClientError> {
        if id.len() != NAME {
            return Ok(false);
        }
        let found = self.store.list::<InitialAccess>(Kind::InitialAccess, id, None, 1).await?;
        let Some((hash, _)) = found.first() else { return Ok(false) };
        // First: what is answered must be in the log too.
        let standing = Standing::InitialAccess { token: hash.clone(), left: 0 };
        self.store.note_standing(standing, self.clock.now()).await?;
        let is_gone = self.store.delete(Kind::InitialAccess, hash).await?;
        self.audit(&Event::InitialAccessRevoked);
        Ok(is_gone)
    }
}

impl InitialAccessToken {
    fn of(hash: &str, access: InitialAccess) -> Self {
        let InitialAccess { created, expires, note, remaining } = access;
        let id = hash.chars().take(NAME).collect();
        Self { created, expires, id, note, remaining }
    }
}
