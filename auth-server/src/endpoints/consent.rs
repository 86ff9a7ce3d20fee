//! `GET /consent` shows what a client asks for; `POST /consent` takes the person's answer, once.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use shared::{
    deployment::WorkspaceMode,
    ids::{FamilyId, WorkspaceId},
    time::Timestamp,
};
use url::Url;
use web::{
    form::{Form, same_site},
    problem::Problem,
};

use super::{
    approval,
    browser::{self, Interaction, SignedIn, Stale, fault, form_target, refuse, stale},
    login,
    token::CODE_PREFIX,
};
use crate::{
    App,
    accounts::User,
    audit::Event,
    error::Fault,
    mint,
    pages::{
        consent::{ConsentPage, ScopeChoice, WorkspaceChoice, coverage},
        words::ago,
    },
    rules::{
        authorization_request::AuthorizationRequest,
        client::{Client, Origin},
        client_life::Touch,
        consent::{Choice, Grant, form_value, grant},
        params::Params,
        redirect_uri::RedirectKind,
        violation::AuthorizeViolation,
    },
    state::PAGES,
    store::{CodeRecord, StoreError},
};

/// How long a code may wait for its exchange.
const CODE_LIFE: Duration = Duration::from_mins(1);

/// Shows the page for the request that sign-in passed on.
pub(crate) async fn show(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    // What was consented to before is answered with a code, so asking has a price.
    if let Err(limited) = app.limits.charge(PAGES, app.address(peer, &headers)) {
        return Problem::from(limited).into_response();
    }
    let params = Params::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let sealed = params.one("request").unwrap_or_default().to_owned();
    match context(&app, &headers, &sealed).await {
        Ok((interaction, client, Some(person))) => {
            let request = &interaction.request;
            match approval::remembered(&app, &client, request, &person).await {
                Ok(Some(answer)) => answer,
                Ok(None) => page(&app, &client, request, &person.user, sealed, None).await,
                Err(error) => fault(&app, &error),
            }
        }
        Ok((interaction, client, None)) => {
            login::page(&app, &client, &interaction.request, sealed, None, None)
        }
        Err(response) => response,
    }
}

/// Takes the answer: a code for the client, or its refusal.
pub(crate) async fn submit(State(app): State<App>, headers: HeaderMap, body: Body) -> Response {
    if same_site(&headers, &app.config.origin()).is_err() {
        return stale(&app, Stale::CrossSite);
    }
    let Ok(form) = Form::read(&headers, body, 64 * 1024).await else {
        return stale(&app, Stale::Page);
    };
    let field = |name| form.one(name).ok().flatten().unwrap_or_default();
    let sealed = field("request").to_owned();
    let (interaction, client, person) = match context(&app, &headers, &sealed).await {
        Ok(context) => context,
        Err(response) => return response,
    };
    let Some(person) = person else {
        return login::page(&app, &client, &interaction.request, sealed, None, None);
    };
    let request = &interaction.request;
    let choice = Choice::read(request, form.all("scope"), form.all("workspace"));
    let again = async |problem: String| {
        let problem = Some((problem, &choice));
        page(&app, &client, request, &person.user, sealed.clone(), problem).await
    };
    let decision = field("decision");
    if !matches!(decision, "approve" | "deny") {
        return again("choose Allow or Deny".to_owned()).await;
    }
    let granted = if decision == "approve" {
        let offered = match offered(&app, request, &person.user).await {
            Ok(offered) => offered,
            Err(error) => return fault(&app, &error.into()),
        };
        match choose(&app, request, &person.user, &offered, &choice) {
            Ok(granted) => Some(Grant { signed_in: signed_in(&granted, &person), ..granted }),
            Err(empty) => return again(empty).await,
        }
    } else {
        None
    };
    // The page shows one person's grant; another who has signed in since must see their own.
    if field("person") != person.user.id.as_str() {
        return again("somebody else has signed in here since; look again".to_owned()).await;
    }
    let code = match &granted {
        Some(granted) => code(&app, &client, request, granted, &person).await.map(Some),
        None => Ok(None),
    };
    let code = match code {
        Ok(code) => code,
        Err(error) => return fault(&app, &error),
    };
    // From here on the page is used up, whatever the answer is.
    match app.store.take_ticket(&interaction.id, interaction.expires).await {
        Ok(true) => {}
        Ok(false) => return stale(&app, Stale::Page),
        Err(error) => return fault(&app, &error.into()),
    }
    let state = request.state.as_deref();
    let Some(granted) = granted else {
        app.audit(&Event::ConsentDenied { client: &client.id, user: &person.user.id });
        let violation = AuthorizeViolation::AccessDenied;
        let is_known = approval::is_known(&app, &client, &request.redirect, &headers).await;
        return refuse(&app, &client, &request.redirect, state, &violation, is_known);
    };
    if field("sign_out_older") == "yes" {
        for family in doubtful(&app, &client, request, &person.user).await {
            if let Err(error) = app.store.revoke_family(family, app.clock.now()).await {
                return fault(&app, &error.into());
            }
            let (client, user) = (&client.id, &person.user.id);
            app.audit(&Event::GrantRevoked { client, family, user });
        }
    }
    let scope = granted.all_scopes().to_string();
    app.audit(&Event::ConsentGiven { client: &client.id, scope, user: &person.user.id });
    approval::remember(&app, &client, request, &granted).await;
    let code = code.unwrap_or_default();
    browser::respond(&app, &request.redirect, state, &[("code", &code)])
}

/// The consent page.
pub(super) async fn page(
    app: &App,
    client: &Client,
    request: &AuthorizationRequest,
    user: &User,
    sealed: String,
    problem: Option<(String, &Choice)>,
) -> Response {
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let kind = request.redirect.kind();
    let doubtful = !doubtful(app, client, request, user).await.is_empty();
    let mut workspaces = match offered(app, request, user).await {
        Ok(offered) => offered,
        Err(error) => return fault(app, &error.into()),
    };
    // What was ticked stays ticked, and what was not stays away.
    let chosen = problem.as_ref().map(|(_, choice)| *choice);
    let single = is_single(app, request);
    for (at, workspace) in workspaces.iter_mut().enumerate() {
        let is_chosen =
            |choice: &Choice| choice.workspaces.iter().any(|id| id.as_str() == workspace.value);
        workspace.checked = chosen.map_or(!single || at == 0, is_chosen);
    }
    let resources = request.resources();
    let names: Vec<&str> = resources
        .filter_map(|indicator| app.config.deployment.resource(indicator.as_str()))
        .map(|resource| resource.name.as_str())
        .collect();
    let account = &app.config.deployment.account.name;
    let resource_name = if names.is_empty() { account.clone() } else { names.join(", ") };
    let page = ConsentPage {
        brand: app.config.deployment.name.clone(),
        user_name: user.name.clone(),
        client_name: client.name.clone(),
        client_host: (client.origin == Origin::Document)
            .then(|| Url::parse(client.id.as_str()).ok()?.host_str().map(str::to_owned))
            .flatten(),
        registered_ago: (!client.is_preregistered())
            .then(|| ago(app.clock.now().since(client.registered))),
        redirect_host: request.redirect.host(),
        loopback: kind == RedirectKind::Loopback,
        private_scheme: kind == RedirectKind::PrivateScheme,
        resource_name,
        scopes: scopes(app, request, chosen),
        single_workspace: single && workspaces.len() > 1,
        workspaces,
        error: problem.map(|(text, _)| text),
        manage_url: Some(app.config.path("/account")),
        older_connection: doubtful
            .then(|| format!("{}: an old token of it was used again.", client.name)),
        action: app.config.path("/consent"),
        hidden: vec![
            ("request".to_owned(), sealed),
            ("person".to_owned(), user.id.as_str().to_owned()),
        ],
    };
    let mut page = page.page(form_target(&request.redirect));
    page.status = status;
    page.into_response()
}

/// The request of a page, its client, and who is signed in.
async fn context(
    app: &App,
    headers: &HeaderMap,
    sealed: &str,
) -> Result<(Interaction, Client, Option<SignedIn>), Response> {
    let interaction = browser::open(app, headers, sealed).map_err(|reason| stale(app, reason))?;
    let client = app.client(&interaction.request.client).await;
    let client = client.map_err(|error| fault(app, &error.into()))?;
    let client = client.ok_or_else(|| stale(app, Stale::Page))?;
    let person = browser::signed_in(app, headers).await.map_err(|error| fault(app, &error))?;
    // With prompt=login only a sign-in that came after the request counts, with max_age one that
    // was not older.
    let (request, began) = (&interaction.request, interaction.began());
    let person = person
        .filter(|one| !request.prompt.login || one.at >= began)
        .filter(|one| request.openid.is_fresh(one.at, began));
    if person.as_ref().is_some_and(|one| !request.openid.is_about(&one.user.id)) {
        let (state, violation) = (request.state.as_deref(), AuthorizeViolation::LoginRequired);
        let is_known = approval::is_known(app, &client, &request.redirect, headers).await;
        return Err(refuse(app, &client, &request.redirect, state, &violation, is_known));
    }
    Ok((interaction, client, person))
}

/// Grants of the same person to the same client whose old tokens came back: perhaps a copy is in
/// use, so the page offers to sign them out.
pub(super) async fn doubtful(
    app: &App,
    client: &Client,
    request: &AuthorizationRequest,
    user: &User,
) -> Vec<FamilyId> {
    let mut doubtful = Vec::new();
    for id in app.store.doubts(&user.id, &client.id).await.unwrap_or_default() {
        let family = app.store.family(id).await.ok().flatten();
        let now = app.clock.now();
        if family.is_some_and(|family| {
            family.grant.client == client.id
                && family.grant.user == user.id
                && family.is_doubtful(request.resources(), now)
        }) {
            doubtful.push(id);
        }
    }
    doubtful
}

/// The person's workspaces that may use one of the resources at least.
pub(super) async fn offered(
    app: &App,
    request: &AuthorizationRequest,
    user: &User,
) -> Result<Vec<WorkspaceChoice>, StoreError> {
    let mut offered = Vec::new();
    for (id, role) in &user.memberships {
        let Some(workspace) = app.workspaces.workspace(id).await? else { continue };
        if request.resources().any(|resource| workspace.permits(resource)) {
            offered.push(WorkspaceChoice {
                value: id.to_string(),
                name: workspace.name.clone(),
                role: role.clone(),
                checked: true,
            });
        }
    }
    Ok(offered)
}

/// The grant of what was ticked, if its tokens fit.
pub(super) fn choose(
    app: &App,
    request: &AuthorizationRequest,
    user: &User,
    offered: &[WorkspaceChoice],
    choice: &Choice,
) -> Result<Grant, String> {
    let single = is_single(app, request);
    let offered = offered.iter().filter_map(|one| WorkspaceId::parse(&one.value).ok()).collect();
    let granted =
        grant(request, &user.id, &offered, choice, single).map_err(|empty| empty.to_string())?;
    let most = granted.workspaces.iter().map(|id| id.as_str().len() + 3).sum::<usize>()
        + granted.all_scopes().to_string().len();
    // Everything else in a token is short, and base64 makes three bytes four.
    if most > MOST_VARIABLE_BYTES {
        return Err("choose fewer workspaces: the list does not fit into a token".to_owned());
    }
    Ok(granted)
}

/// How much workspaces and scopes may add to a token of at most 4 KiB.
const MOST_VARIABLE_BYTES: usize = 2200;

/// Whether one of the resources works in one workspace only.
fn is_single(app: &App, request: &AuthorizationRequest) -> bool {
    let resources = request.resources();
    let mut known = resources.filter_map(|name| app.config.deployment.resource(name.as_str()));
    known.any(|resource| resource.workspace == WorkspaceMode::Implicit)
}

/// Writes a code for a family that does not exist yet.
pub(super) async fn code(
    app: &App,
    client: &Client,
    request: &AuthorizationRequest,
    grant: &Grant,
    person: &SignedIn,
) -> Result<String, Fault> {
    let now = app.clock.now();
    let record = CodeRecord {
        challenge: request.challenge.clone(),
        expires: now.plus(CODE_LIFE),
        grant: grant.clone(),
        issued: now,
        method: person.method,
        nonce: request.openid.nonce.clone(),
        redirect: request.redirect.clone(),
    };
    if client.origin != Origin::File {
        // Before the code, so that the sweep never takes a client that has one.
        app.store.touch_client(&client.id, Touch::Used, now).await?;
    }
    let family = mint::family()?;
    let code = format!("{CODE_PREFIX}{family}.{}", mint::secret()?.expose());
    let hash = shared::secret::SecretHash::of(code.as_bytes());
    app.store.put_code(family, &hash, &record).await?;
    Ok(code)
}

fn scopes(app: &App, request: &AuthorizationRequest, chosen: Option<&Choice>) -> Vec<ScopeChoice> {
    let deployment = &app.config.deployment;
    let several = request.scopes.len() > 1;
    let mut choices: Vec<ScopeChoice> = Vec::new();
    let of_resources = request.scopes.iter().filter_map(|(indicator, asked)| {
        Some((deployment.resource(indicator.as_str())?, asked, several))
    });
    for (resource, asked, named) in
        of_resources.chain([(&deployment.account, &request.identity, false)])
    {
        let indicator = &resource.indicator;
        for (name, words) in resource.scopes.iter().filter(|(name, _)| asked.contains(name)) {
            choices.push(ScopeChoice {
                value: form_value(request, indicator, name),
                label: words.clone(),
                detail: coverage(name),
                checked: chosen.is_none_or(|choice| choice.has(indicator, name)),
                kind: resource.kind_of(name),
                name: name.clone(),
                resource: if named { resource.name.clone() } else { String::new() },
            });
        }
    }
    choices
}

/// When the person signed in, for a client that may know.
pub(super) fn signed_in(granted: &Grant, person: &SignedIn) -> Option<Timestamp> {
    granted.identity.contains("openid").then_some(person.at)
}
