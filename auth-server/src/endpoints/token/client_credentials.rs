//! A token for the client itself (RFC 6749 section 4.4): no person, no family, no refresh token.

use axum::response::Response;

use crate::{
    App,
    error::TokenError,
    issue,
    rules::{client::Client, params::Params, service_account},
};

/// Gives an approved client a token for one resource, in those of its workspaces whose plan has
/// the resource now.
pub(super) async fn exchange(
    app: &App,
    client: &Client,
    params: &Params,
) -> Result<Response, TokenError> {
    let deployment = &app.config.deployment;
    let asked = (params.resources(), params.one("scope"));
    let (resource, scope) = service_account::at_token(deployment, client, asked.0, asked.1)?;
    let given = client.service.as_ref().map(|service| service.workspaces.clone());
    let given = given.unwrap_or_default();
    let workspaces = app.workspaces.permitted(&given, &resource.indicator).await?;
    let purpose = issue::Purpose { resource, scope, sign_in: None, workspaces };
    Ok(issue::token_of_client(app, client, purpose)?)
}
