//! `/account/password`: a new password, for whoever knows the current one. A session alone is not
//! enough, and whoever guesses waits as at the sign-in page.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};
use shared::secret::Secret;
use web::form::Form;

use super::visitor::Visitor;
use crate::{
    App,
    accounts::{ChangeError, SignInError},
    endpoints::browser::{self, fault, stale, with_cookie},
    error::Fault,
    pages::password::PasswordPage,
    rules::openid::Method,
    sign_in::{Refused, confirm},
};

/// How long to wait when too many passwords are being hashed, in seconds.
const BUSY: u64 = 2;

/// `GET /account/password`: the form.
pub(crate) async fn show(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    match Visitor::of(&app, &headers, peer).await {
        Ok(visitor) => page(&app, &visitor, StatusCode::OK, None).await,
        Err(response) => response,
    }
}

/// `POST /account/password`: checks the current password, sets the new one, ends every session
/// and begins another in this browser.
pub(crate) async fn submit(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (visitor, form) = match Visitor::with_form(&app, &headers, peer, body).await {
        Ok(both) => both,
        Err(response) => return response,
    };
    if let Err(reason) = visitor.check(&app, &form) {
        return stale(&app, reason);
    }
    let (current, new) = (secret(&form, "current"), secret(&form, "new"));
    if new != secret(&form, "again") {
        let error = "The new password was typed in two ways. Type it again.";
        return page(&app, &visitor, StatusCode::BAD_REQUEST, Some(error.to_owned())).await;
    }
    let address = app.address(peer, &headers);
    let user = &visitor.person.user;
    if let Err(refused) = confirm(&app, &headers, address, &user.username, current).await {
        return refusal(&app, &visitor, refused).await;
    }
    if let Err(response) = visitor.take(&app, &form).await {
        return response;
    }
    match app.choose_password(user, new).await {
        Ok(()) => {}
        Err(ChangeError::Invalid(invalid)) => {
            let error = format!("Choose another password: {invalid}.");
            return page(&app, &visitor, StatusCode::BAD_REQUEST, Some(error)).await;
        }
        Err(ChangeError::Busy) => {
            return refusal(&app, &visitor, Refused::Account(SignInError::Busy)).await;
        }
        Err(ChangeError::Store(error)) => return fault(&app, &error.into()),
        // The account is gone, or not this server's to change.
        Err(_) => return browser::back(&app.config.path("/account")),
    }
    match begin_again(&app, &visitor, &headers, peer).await {
        Ok(response) => response,
        Err(error) => fault(&app, &error),
    }
}

/// Another session with a new secret, where the old one has ended.
async fn begin_again(
    app: &App,
    visitor: &Visitor,
    headers: &HeaderMap,
    peer: SocketAddr,
) -> Result<Response, Fault> {
    let account = app.config.path("/account");
    let Some(user) = app.accounts.user(&visitor.person.user.id).await? else {
        return Ok(browser::back(&account));
    };
    let cookie =
        browser::sign_in(app, &user, Some(Method::Password), headers, app.address(peer, headers))
            .await?;
    Ok(with_cookie(browser::back(&format!("{account}?done=change_password")), Some(cookie)))
}

async fn refusal(app: &App, visitor: &Visitor, refused: Refused) -> Response {
    let (status, wait, error) = match refused {
        Refused::Fault(error) => return fault(app, &error),
        Refused::Account(SignInError::Wrong) => {
            let error = "That is not your current password.".to_owned();
            return page(app, visitor, StatusCode::BAD_REQUEST, Some(error)).await;
        }
        Refused::Account(SignInError::Busy) => {
            (StatusCode::SERVICE_UNAVAILABLE, BUSY, SignInError::Busy.to_string())
        }
        Refused::Limited(limited) => {
            let wait = limited.retry_after;
            (StatusCode::TOO_MANY_REQUESTS, wait, Refused::Limited(limited).to_string())
        }
    };
    let mut response = page(app, visitor, status, Some(error)).await;
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait));
    response
}

/// The form; people whose password is not this server's are led back to their account.
async fn page(app: &App, visitor: &Visitor, status: StatusCode, error: Option<String>) -> Response {
    let user = &visitor.person.user;
    let account = match app.store.account(&user.id).await {
        Ok(account) => account,
        Err(error) => return fault(app, &error.into()),
    };
    if account.is_none_or(|account| account.password.is_none()) {
        return browser::back(&app.config.path("/account"));
    }
    let ticket = match visitor.ticket(app) {
        Ok(ticket) => ticket,
        Err(error) => return fault(app, &error),
    };
    let page = PasswordPage {
        action: app.config.path("/account/password"),
        brand: app.config.deployment.name.clone(),
        cancel: app.config.path("/account"),
        error,
        hidden: vec![ticket],
        username: user.username.clone(),
    };
    page.page(status).into_response()
}

fn secret(form: &Form, field: &str) -> Secret {
    Secret::new(form.one(field).ok().flatten().unwrap_or_default().to_owned())
}
