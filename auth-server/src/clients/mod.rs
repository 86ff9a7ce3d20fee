//! Clients as operators see them: adding, approving, changing and deleting them, their secrets,
//! and the initial access tokens that let others register.

mod initial_access;
mod sweep;

use std::time::Duration;

use shared::{ids::ClientId, internal, secret::Secret, time::Timestamp};

pub use self::initial_access::{InitialAccessToken, NewInitialAccessToken};
use crate::{
    App, StoreError,
    audit::Event,
    config::{RawService, service},
    mint::{self, NoRandomness},
    rules::{
        client::{About, Client, ClientAuth, ClientSecret, Life, Origin, SecretMethod},
        client_metadata::method_name,
        redirect_uri::check_registration,
    },
    store::{Kind, Standing},
};

/// Why an operator's wish was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("there is a client of that id already")]
    Exists,
    #[error("the client is one of the deployment file; change it there")]
    OfFile,
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error("{key} {what}; {remedy}")]
    Invalid { key: &'static str, what: String, remedy: &'static str },
    #[error("the client has no secret")]
    Secretless,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no such client")]
    Unknown,
}

/// A client that an operator adds.
#[derive(Clone, Debug, Default)]
pub struct NewClient {
    /// Drawn if absent.
    pub id: Option<String>,
    pub name: String,
    /// Whether it has no secret.
    pub is_public: bool,
    pub redirect_uris: Vec<String>,
    pub refreshes: bool,
    /// What it may do on its own account.
    pub service: Option<RawService>,
}

/// What an operator changes about a client; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct ClientChange {
    pub name: Option<String>,
    pub redirect_uris: Option<Vec<String>>,
    /// What it may do on its own account: this is how a registered client is approved.
    pub service: Option<RawService>,
}

/// A client as operators see it.
#[derive(Clone, Debug)]
pub struct ClientSummary {
    pub id: String,
    /// Why it never lapses, or who registered it.
    pub origin: &'static str,
    pub method: &'static str,
    pub name: String,
    pub redirect_uris: Vec<String>,
    pub registered: Timestamp,
    pub has_service: bool,
    /// When it was last registered or used, to a day.
    pub touched: Timestamp,
    pub was_used: bool,
}

impl App {
    /// Adds a client; its secret is shown once.
    pub async fn create_client(
        &self,
        new: NewClient,
    ) -> Result<(ClientSummary, Option<Secret>), ClientError> {
        let id = match &new.id {
            Some(id) => id.clone(),
            None => format!("o{}", mint::alphanumeric()?),
        };
        let id = ClientId::parse(&id).map_err(|error| invalid("id", &error))?;
        if self.config.clients.iter().any(|client| client.id == id) {
            return Err(ClientError::Exists);
        }
        check_redirects(&new.redirect_uris)?;
        let service = new.service.as_ref().map(|raw| self.service(raw)).transpose()?;
        if new.is_public && service.is_some() {
            let what = "needs a client that proves who it is".to_owned();
            return Err(ClientError::Invalid { key: "service", what, remedy: "give it a secret" });
        }
        if new.redirect_uris.is_empty() && service.is_none() {
            let (what, remedy) = ("is empty".to_owned(), "write where people return to");
            return Err(ClientError::Invalid { key: "redirect_uris", what, remedy });
        }
        let secret = if new.is_public { None } else { Some(Secret::new(mint::alphanumeric()?)) };
        let auth = secret.as_ref().map_or(ClientAuth::None, |secret| {
            ClientAuth::secret(SecretMethod::Basic, secret.hash())
        });
        let now = self.clock.now();
        let client = Client {
            about: About::default(),
            auth,
            cutoff: None,
            id,
            life: Life { touched: now, used: false },
            management: None,
            name: new.name,
            origin: Origin::Operator,
            redirects: new.redirect_uris,
            refreshes: new.refreshes,
            registered: now,
            service,
        };
        if !self.store.create_client(&client).await? {
            return Err(ClientError::Exists);
        }
        self.audit(&Event::ClientRegistered { client: &client.id, name: &client.name });
        Ok((ClientSummary::of(&client), secret))
    }

    /// Changes a stored client, or approves it for its own account. Clients that many share are
    /// nobody's to change.
    pub async fn update_client(
        &self,
        id: &str,
        change: ClientChange,
    ) -> Result<ClientSummary, ClientError> {
        let client = self.stored_client(id).await?;
        let ClientChange { name, redirect_uris, service } = change;
        check_redirects(redirect_uris.as_deref().unwrap_or_default())?;
        let service = service.as_ref().map(|raw| self.service(raw)).transpose()?;
        if client.auth == ClientAuth::None && (service.is_some() || client.is_shared()) {
            return Err(ClientError::Secretless);
        }
        let change = |held: &Client| Client {
            name: name.clone().unwrap_or_else(|| held.name.clone()),
            redirects: redirect_uris.clone().unwrap_or_else(|| held.redirects.clone()),
            service: service.clone().or_else(|| held.service.clone()),
            ..held.clone()
        };
        let changed = self.store.change_client(&client.id, change).await?;
        let changed = changed.ok_or(ClientError::Unknown)?;
        self.audit(&Event::ClientChanged { client: &changed.id });
        Ok(ClientSummary::of(&changed))
    }

    /// Deletes a stored client and ends its grants everywhere.
    pub async fn delete_client(&self, id: &str) -> Result<(), ClientError> {
        let client = self.stored_client(id).await?;
        Ok(self.end_client(&client).await?)
    }

    /// Stored clients in the order of their ids, after one.
    pub async fn list_clients(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ClientSummary>, ClientError> {
        let clients = self.store.list::<Client>(Kind::Client, "", after, limit).await?;
        Ok(clients.iter().map(|(_, client)| ClientSummary::of(client)).collect())
    }

    /// Gives a client a new secret, shown once; those it has end after `overlap`.
    pub async fn rotate_client_secret(
        &self,
        id: &str,
        overlap: Duration,
    ) -> Result<Secret, ClientError> {
        let client = self.stored_client(id).await?;
        let ClientAuth::Secret { .. } = client.auth else { return Err(ClientError::Secretless) };
        let (secret, now) = (Secret::new(mint::alphanumeric()?), self.clock.now());
        let change = |held: &Client| {
            let mut held = held.clone();
            if let ClientAuth::Secret { secrets, .. } = &mut held.auth {
                let end = now.plus(overlap);
                for old in secrets.iter_mut() {
                    old.expires = Some(old.expires.map_or(end, |expires| expires.min(end)));
                }
                secrets.retain(|old| old.expires.is_none_or(|expires| now < expires));
                secrets.push(ClientSecret { expires: None, hash: secret.hash() });
            }
            held
        };
        let changed = self.store.change_client(&client.id, change).await?;
        let changed = changed.ok_or(ClientError::Unknown)?;
        let ends = client.auth.secrets().iter().map(|old| {
            // One that overlaps with its successor ends later.
            let held = changed.auth.secrets().iter().find(|held| held.hash == old.hash);
            (old.hash.clone(), held.and_then(|held| held.expires).unwrap_or(now))
        });
        let ends = ends.collect();
        let standing = Standing::ClientSecrets { client: client.id.clone(), ends };
        self.store.note_standing(standing, now).await?;
        self.audit(&Event::ClientSecretRotated { client: &client.id });
        Ok(secret)
    }

    /// Ends every grant of a stored client and deletes it. It is answered when it is durable, and
    /// an attempt that ends in between is finished by the next.
    pub(crate) async fn end_client(&self, client: &Client) -> Result<(), StoreError> {
        const DAY: Duration = Duration::from_hours(24);
        let now = self.clock.now();
        let resources = &self.config.deployment.resources;
        let longest = resources.iter().map(|resource| resource.refresh_absolute).max();
        let expires = now.plus(longest.unwrap_or_default() + DAY);
        // Whoever registers the same again must not bring its old grants back to life.
        self.store.remember_cutoff(&client.id, now, expires).await?;
        let cut = |held: &Client| Client { cutoff: Some(now), ..held.clone() };
        self.store.change_client(&client.id, cut).await?;
        let event = internal::Event::Client { client: client.id.clone(), not_after: now };
        self.store.append_event(&event, now).await?;
        self.store.note_standing(Standing::ClientGone { client: client.id.clone() }, now).await?;
        self.store.delete(Kind::Client, client.id.as_str()).await?;
        self.audit(&Event::ClientDeleted { client: &client.id });
        Ok(())
    }

    async fn stored_client(&self, id: &str) -> Result<Client, ClientError> {
        let id = ClientId::parse(id).map_err(|_| ClientError::Unknown)?;
        if self.config.clients.iter().any(|client| client.id == id) {
            return Err(ClientError::OfFile);
        }
        self.store.client(&id).await?.ok_or(ClientError::Unknown)
    }

    fn service(
        &self,
        raw: &RawService,
    ) -> Result<crate::rules::client::ServiceAccount, ClientError> {
        service(raw, &self.config.deployment).map_err(|(key, what, remedy)| ClientError::Invalid {
            key,
            what,
            remedy,
        })
    }
}

impl ClientSummary {
    fn of(client: &Client) -> Self {
        Self {
            has_service: client.service.is_some(),
            id: client.id.as_str().to_owned(),
            method: method_name(&client.auth),
            name: client.name.clone(),
            origin: match client.origin {
                Origin::Document => "document",
                Origin::File => "file",
                Origin::Open => "open",
                Origin::Operator => "operator",
                Origin::Token => "token",
            },
            redirect_uris: client.redirects.clone(),
            registered: client.registered,
            touched: client.life.touched,
            was_used: client.life.used,
        }
    }
}

fn check_redirects(uris: &[String]) -> Result<(), ClientError> {
    for uri in uris {
        check_registration(uri).map_err(|error| invalid("redirect_uris", &error))?;
    }
    Ok(())
}

fn invalid(key: &'static str, error: &dyn std::error::Error) -> ClientError {
    ClientError::Invalid { key, what: format!("is wrong: {error}"), remedy: "correct it" }
}
