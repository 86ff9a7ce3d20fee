//! Changes of accounts. What takes access away is on the feed, durably, before it is answered,
//! and can be asked for again when the answer was an error.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    ids::{UserId, WorkspaceId},
    internal,
    secret::Secret,
    time::Timestamp,
};

use super::{BEHIND, SignInError, User};
use crate::{
    App,
    audit::{Actor, Event},
    mint::{self, NoRandomness},
    rules::account::{
        InvalidAccount, Names, check_email, check_name, check_password, check_role, check_username,
    },
    store::{Account, Standing, StoreError},
};

/// Why a change is not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error("too many passwords are being hashed at this moment")]
    Busy,
    #[error("{0}")]
    Invalid(#[from] InvalidAccount),
    #[error("the user name {0} is taken")]
    NameTaken(String),
    #[error("the deployment file names {0}; change it there and start the server again")]
    OfFile(String),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no person {0}")]
    UnknownPerson(String),
    #[error("there is no resource {0}")]
    UnknownResource(String),
    #[error("there is no workspace {0}")]
    UnknownWorkspace(String),
    #[error("the workspace {0} exists")]
    WorkspaceExists(WorkspaceId),
}

/// What a new account is made of.
#[derive(Debug)]
pub(crate) struct NewAccount {
    pub(crate) email: Option<String>,
    pub(crate) email_verified: bool,
    /// Workspace and role.
    pub(crate) memberships: BTreeMap<WorkspaceId, String>,
    pub(crate) name: String,
    /// Without it the person signs in through somebody else only.
    pub(crate) password: Option<Secret>,
    pub(crate) username: String,
}

impl App {
    /// Creates an account in the store.
    pub(crate) async fn create_account(
        &self,
        new: NewAccount,
        actor: &Actor,
    ) -> Result<Account, ChangeError> {
        check_username(&new.username)?;
        check_name(&new.name)?;
        new.email.as_deref().map_or(Ok(()), check_email)?;
        for (workspace, role) in &new.memberships {
            check_role(role)?;
            self.known_workspace(workspace).await?;
        }
        if self.accounts.is_of_file(&new.username) {
            return Err(ChangeError::NameTaken(new.username));
        }
        let names = Names { email: new.email.as_deref(), name: &new.name, username: &new.username };
        let password = match new.password {
            Some(password) => Some(self.hashed(password, names).await?),
            None => None,
        };
        let id = UserId::parse(&format!("usr_{}", mint::token_id()?)).map_err(|_| NoRandomness)?;
        let account = Account {
            active: true,
            created: self.clock.now(),
            cutoff: None,
            email: new.email,
            email_verified: new.email_verified,
            grants_cutoff: None,
            id,
            memberships: new.memberships,
            name: new.name,
            password,
            password_set: None,
            sessions_cutoff: None,
            username: new.username,
        };
        if !self.store.create_account(&account).await? {
            return Err(ChangeError::NameTaken(account.username));
        }
        self.audit(&Event::AccountCreated { actor, user: &account.id });
        Ok(account)
    }

    /// The stored account of an id or a user name.
    pub(crate) async fn stored_account(&self, id_or_name: &str) -> Result<Account, ChangeError> {
        let account = match UserId::parse(id_or_name) {
            Ok(id) => self.store.account(&id).await?,
            Err(_) => self.store.account_named(id_or_name).await?,
        };
        account.ok_or_else(|| {
            if self.accounts.is_of_file(id_or_name) {
                ChangeError::OfFile(id_or_name.to_owned())
            } else {
                ChangeError::UnknownPerson(id_or_name.to_owned())
            }
        })
    }

    /// Ends everything the person began, and lets nobody sign in to the account.
    pub(crate) async fn disable_account(
        &self,
        id: &UserId,
        actor: &Actor,
    ) -> Result<Account, ChangeError> {
        let cutoff = self.cutoff();
        let change = |account: &mut Account| {
            account.active = false;
            account.cutoff = Some(cutoff);
        };
        let account = self.changed(id, change).await?;
        self.note_account(id, false).await?;
        self.end_person(id, cutoff).await?;
        self.audit(&Event::AccountDisabled { actor, user: id });
        Ok(account)
    }

    /// Lets the person sign in again; what was ended stays ended.
    pub(crate) async fn enable_account(
        &self,
        id: &UserId,
        actor: &Actor,
    ) -> Result<Account, ChangeError> {
        let account = self.changed(id, |account| account.active = true).await?;
        self.note_account(id, true).await?;
        self.audit(&Event::AccountEnabled { actor, user: id });
        Ok(account)
    }

    /// Removes an account for good, and frees its user name.
    pub(crate) async fn remove_account(
        &self,
        id: &UserId,
        actor: &Actor,
    ) -> Result<(), ChangeError> {
        // Disabled first: were the feed to fail after the account is gone, nobody could ask again.
        let account = self.disable_account(id, actor).await?;
        self.store.remove_account(&account).await?;
        self.accounts.forget(id);
        self.audit(&Event::AccountRemoved { actor, user: id });
        Ok(())
    }

    /// Sets the password of a stored account. What is signed in stays so.
    pub(crate) async fn set_password(
        &self,
        id: &UserId,
        password: Secret,
        actor: &Actor,
    ) -> Result<(), ChangeError> {
        let account = self.stored_account(id.as_str()).await?;
        let names = Names {
            email: account.email.as_deref(),
            name: &account.name,
            username: &account.username,
        };
        let hash = self.hashed(password, names).await?;
        self.put_password(id, &hash, None).await?;
        self.audit(&Event::PasswordChanged { actor, user: id });
        Ok(())
    }

    /// Sets the password that a person chose for themselves, and ends every session of theirs,
    /// the one they chose it in included. Grants and API keys go on.
    pub(crate) async fn choose_password(
        &self,
        user: &User,
        password: Secret,
    ) -> Result<(), ChangeError> {
        let names =
            Names { email: user.email.as_deref(), name: &user.name, username: &user.username };
        let hash = self.hashed(password, names).await?;
        self.put_password(&user.id, &hash, Some(self.cutoff())).await?;
        self.audit(&Event::PasswordChanged { actor: &Actor::Person, user: &user.id });
        Ok(())
    }

    /// Ends every session and grant that the person began until now.
    pub(crate) async fn sign_out_person(
        &self,
        id: &UserId,
        actor: &Actor,
    ) -> Result<(), ChangeError> {
        let cutoff = self.cutoff();
        if self.accounts.is_of_file(id.as_str()) {
            self.store.put_person_cutoff(id, cutoff).await?;
        } else {
            self.changed(id, |account| account.cutoff = Some(cutoff)).await?;
        }
        self.end_person(id, cutoff).await?;
        self.audit(&Event::PersonSignedOut { actor, user: id });
        Ok(())
    }

    /// Ends every grant that the person gave until now; sessions and API keys go on. Where an index
    /// has lost some of them, they are over all the same.
    pub(crate) async fn end_grants(&self, id: &UserId) -> Result<(), ChangeError> {
        let (cutoff, now) = (self.cutoff(), self.clock.now());
        if self.accounts.is_of_file(id.as_str()) {
            self.store.put_grants_cutoff(id, cutoff).await?;
            self.accounts.forget(id);
        } else {
            self.changed(id, |account| account.grants_cutoff = Some(cutoff)).await?;
        }
        let standing = Standing::Grants { user: id.clone(), not_after: cutoff };
        Ok(self.store.note_standing(standing, now).await?)
    }

    /// Makes a person a member of a workspace, or gives a member another role.
    pub(crate) async fn give_membership(
        &self,
        id: &UserId,
        workspace: &WorkspaceId,
        role: &str,
        actor: &Actor,
    ) -> Result<Account, ChangeError> {
        check_role(role)?;
        self.known_workspace(workspace).await?;
        let change = |account: &mut Account| {
            account.memberships.insert(workspace.clone(), role.to_owned());
        };
        let account = self.changed(id, change).await?;
        let (user, member) = (id.clone(), workspace.clone());
        let standing = Standing::Member { user, workspace: member };
        self.store.note_standing(standing, self.clock.now()).await?;
        self.audit(&Event::MembershipGiven { actor, role, user: id, workspace });
        Ok(account)
    }

    /// Takes a person out of a workspace, whether or not they were in it.
    pub(crate) async fn take_membership(
        &self,
        id: &UserId,
        workspace: &WorkspaceId,
        actor: &Actor,
    ) -> Result<Account, ChangeError> {
        let change = |account: &mut Account| {
            account.memberships.remove(workspace);
        };
        let account = self.changed(id, change).await?;
        let standing = Standing::Left { user: id.clone(), workspace: workspace.clone() };
        self.store.note_standing(standing, self.clock.now()).await?;
        self.end_membership(id, workspace).await?;
        self.audit(&Event::MembershipTaken { actor, user: id, workspace });
        Ok(account)
    }

    /// Tells the gateways that tokens of the person no longer count in the workspace.
    pub(super) async fn end_membership(
        &self,
        user: &UserId,
        workspace: &WorkspaceId,
    ) -> Result<(), StoreError> {
        let (user, workspace) = (user.clone(), workspace.clone());
        let event = internal::Event::Membership { user, workspace, not_after: self.cutoff() };
        self.store.append_event(&event, self.clock.now()).await
    }

    /// The moment up to which something ends now: other processes may be behind for a moment, and
    /// what they issue in it ends too.
    fn cutoff(&self) -> Timestamp {
        self.clock.now().plus(BEHIND)
    }

    async fn end_person(&self, user: &UserId, not_after: Timestamp) -> Result<(), StoreError> {
        self.accounts.forget(user);
        let event = internal::Event::Person { user: user.clone(), not_after };
        self.store.append_event(&event, self.clock.now()).await
    }

    async fn note_account(&self, user: &UserId, active: bool) -> Result<(), StoreError> {
        let standing = Standing::Account { user: user.clone(), active };
        self.store.note_standing(standing, self.clock.now()).await
    }

    /// Replaces a password, and ends sessions up to a moment. The one it replaces must not work
    /// again when an older copy of the store is put back.
    async fn put_password(
        &self,
        id: &UserId,
        hash: &str,
        sessions: Option<Timestamp>,
    ) -> Result<(), ChangeError> {
        let now = self.clock.now();
        let change = |account: &mut Account| {
            account.password = Some(hash.to_owned());
            // Later than the last, whichever server's clock that was of.
            let next = account.password_set.map(|last| last.plus(Duration::from_millis(1)));
            account.password_set = Some(now).max(next);
            account.sessions_cutoff = account.sessions_cutoff.max(sessions);
        };
        let set = self.changed(id, change).await?.password_set.unwrap_or(now);
        let standing = Standing::Password { user: id.clone(), set, sessions };
        Ok(self.store.note_standing(standing, now).await?)
    }

    /// Changes a stored account.
    async fn changed(
        &self,
        id: &UserId,
        change: impl Fn(&mut Account) + Send + Sync,
    ) -> Result<Account, ChangeError> {
        let account = self.store.change_account(id, change).await?;
        self.accounts.forget(id);
        match account {
            Some(account) => Ok(account),
            None => self.stored_account(id.as_str()).await,
        }
    }

    async fn hashed(&self, password: Secret, names: Names<'_>) -> Result<String, ChangeError> {
        check_password(password.expose(), names)?;
        let hash = self.accounts.hash(password).await;
        hash.map_err(|_: SignInError| ChangeError::Busy)
    }

    async fn known_workspace(&self, id: &WorkspaceId) -> Result<(), ChangeError> {
        match self.workspaces.workspace(id).await? {
            Some(_) => Ok(()),
            None => Err(ChangeError::UnknownWorkspace(id.to_string())),
        }
    }
}
