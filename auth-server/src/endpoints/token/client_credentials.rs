//! A token for the client itself (RFC 6749 section 4.4): no person, no family, no refresh token.

use axum::response::Response;

use crate::{
    App,
    error::TokenError,
    issue,
    rules::{client::Client, params::Params, service_account},
};

/// Gives an approved client a token for one resource.
pub(super) fn exchange(
    app: &App,
    client: &Client,
    params: &Params,
) -> Result<Response, TokenError> {
    let deployment = &app.config.deployment;
    let asked = (params.resources(), params.one("scope"));
    let (resource, scope) = service_account::at_token(deployment, client, asked.0, asked.1)?;
    let workspaces = client.service.iter().flat_map(|service| &service.workspaces).cloned();
    let purpose =
        issue::Purpose { resource, scope, sign_in: None, workspaces: workspaces.collect() };
    Ok(issue::token_of_client(app, client, purpose)?)
}
