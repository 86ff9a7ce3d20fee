//! The people of the deployment file.

use std::{collections::HashMap, sync::Arc};

use shared::ids::UserId;

use super::{
    User,
    passwords::{AccountError, Passwords},
};
use crate::{config::ConfiguredUser, rules::account::folded};

/// People by name and by id.
#[derive(Debug)]
pub(super) struct FilePeople {
    by_id: HashMap<UserId, User>,
    by_name: HashMap<String, (UserId, Arc<str>)>,
}

impl FilePeople {
    /// Reads the tables. Passwords given in the clear are hashed here.
    pub(super) fn open(users: &[ConfiguredUser]) -> Result<Self, AccountError> {
        let (mut by_id, mut by_name) = (HashMap::new(), HashMap::new());
        for user in users {
            let hash = Passwords::of_file(&user.password)?;
            by_name.insert(folded(&user.username), (user.id.clone(), hash.into()));
            let known = User {
                cutoff: None,
                email: user.email.clone(),
                email_verified: user.email.is_some(),
                grants_cutoff: None,
                id: user.id.clone(),
                memberships: user.memberships.clone(),
                name: user.name.clone(),
                sessions_cutoff: None,
                username: user.username.clone(),
            };
            by_id.insert(user.id.clone(), known);
        }
        Ok(Self { by_id, by_name })
    }

    /// The person of an id.
    pub(super) fn user(&self, id: &UserId) -> Option<&User> {
        self.by_id.get(id)
    }

    /// Id and password hash by user name.
    pub(super) fn named(&self, username: &str) -> Option<&(UserId, Arc<str>)> {
        self.by_name.get(&folded(username))
    }

    /// Everybody.
    pub(super) fn all(&self) -> impl Iterator<Item = &User> {
        self.by_id.values()
    }
}
