//! Signing in with a password, from whichever page asks: throttled before anything is hashed.

use std::{fmt::Write as _, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};
use shared::secret::Secret;
use web::{cookie::Cookie, limits::Limited};

use crate::{
    App,
    accounts::{Device, Lane, SignInError, User},
    audit::Event,
    error::Fault,
    mint,
    rules::account::folded,
};

/// How long a browser is known to an account after it has signed in there.
pub(crate) const DEVICE_LIFE: Duration = Duration::from_hours(365 * 24);

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0}")]
    Account(#[from] SignInError),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(
        "too many wrong passwords were tried; try again in {} s, or from a browser that has \
         signed in before",
        .0.retry_after
    )]
    Limited(Limited),
}

/// Who signed in, and the cookie by which the account knows this browser from now on.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) device: HeaderValue,
    pub(crate) user: Arc<User>,
}

/// Checks name and password.
pub(crate) async fn sign_in(
    app: &App,
    headers: &HeaderMap,
    address: IpAddr,
    username: &str,
    password: Secret,
) -> Result<Entry, Refused> {
    let (jar, known, user) = check(app, headers, address, username, password).await?;
    app.audit(&Event::SignedIn { user: &user.id });
    let id = match known {
        Some(id) => id,
        None => mint::token_id().map_err(Fault::from)?.into_bytes(),
    };
    Ok(Entry { device: jar.write(app, &id)?, user })
}

/// Checks that somebody who is signed in knows the password, under the same throttle.
pub(crate) async fn confirm(
    app: &App,
    headers: &HeaderMap,
    address: IpAddr,
    username: &str,
    password: Secret,
) -> Result<(), Refused> {
    check(app, headers, address, username, password).await.map(drop)
}

async fn check(
    app: &App,
    headers: &HeaderMap,
    address: IpAddr,
    username: &str,
    password: Secret,
) -> Result<(Jar, Option<Vec<u8>>, Arc<User>), Refused> {
    let jar = Jar::of(app, username);
    let known = jar.read(app, headers);
    let (device, lane) = match &known {
        Some(id) => (Device::Known(jar.digest(app, id)), Lane::Known),
        None => (Device::Unknown(jar.account, address), Lane::Unknown),
    };
    let attempt = app.limits.sign_in.begin(device, app.clock.now()).map_err(|limited| {
        app.audit(&Event::SignInDelayed);
        Refused::Limited(limited)
    })?;
    let forgive = || app.limits.sign_in.forgive(&attempt);
    let signed_in = app.accounts.sign_in(username, password, lane).await.map_err(|error| {
        forgive();
        Fault::from(error)
    })?;
    let user = signed_in.inspect_err(|error| match error {
        SignInError::Busy => forgive(),
        SignInError::Wrong => app.audit(&Event::SignInFailed),
    })?;
    forgive();
    Ok((jar, known, user))
}

/// The cookie by which a browser is known to one account.
#[derive(Debug)]
struct Jar {
    account: [u8; 32],
    context: Vec<u8>,
    cookie: Cookie,
}

impl Jar {
    /// Names that nobody has get a cookie's name and a bucket as well.
    fn of(app: &App, username: &str) -> Self {
        let name = folded(username);
        let account = app.keys.held().seal.current().mac(&[b"account", name.as_bytes()]);
        let mut purpose = "device-".to_owned();
        for byte in account.iter().take(4) {
            let _infallible = write!(purpose, "{byte:02x}");
        }
        let cookie = Cookie::new("vestibule-auth", &purpose, app.config.public());
        Self { account, context: format!("device {name}").into_bytes(), cookie }
    }

    fn read(&self, app: &App, headers: &HeaderMap) -> Option<Vec<u8>> {
        let sealed = self.cookie.read(headers).ok().flatten()?;
        app.keys.held().seal.open(&self.context, sealed).ok()
    }

    fn write(&self, app: &App, id: &[u8]) -> Result<HeaderValue, Fault> {
        let sealed = app.keys.held().seal.current().seal(&self.context, id)?;
        let cookie = self.cookie.set(&sealed, Some(DEVICE_LIFE));
        Ok(cookie.map_err(|_| mint::NoRandomness)?)
    }

    fn digest(&self, app: &App, id: &[u8]) -> [u8; 32] {
        app.keys.held().seal.current().mac(&[b"device", &self.context, id])
    }
}
