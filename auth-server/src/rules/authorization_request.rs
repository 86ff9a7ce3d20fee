//! The ordered list of checks for `/authorize` (RFC 6749 section 4.1.1).
//!
//! Before a [`RedirectTarget`] is known, a fault is answered by a page; afterwards by a redirect.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{deployment::Deployment, ids::ClientId, resource::ResourceIndicator, scope::Scope};

use super::{
    openid::OpenIdRequest, params::Params, pkce::CodeChallenge, redirect_uri::RedirectTarget,
    resource, scope, violation::AuthorizeViolation,
};

/// A request that passed every check. Only `state` may be absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuthorizationRequest {
    pub(crate) challenge: CodeChallenge,
    pub(crate) client: ClientId,
    /// The scopes that belong to no resource: of OpenID Connect, and `offline_access`.
    pub(crate) identity: Scope,
    pub(crate) openid: OpenIdRequest,
    pub(crate) prompt: Prompt,
    pub(crate) redirect: RedirectTarget,
    /// What may be granted at most, by resource.
    pub(crate) scopes: BTreeMap<ResourceIndicator, Scope>,
    pub(crate) state: Option<String>,
}

/// What the client wants the person to be asked (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prompt {
    /// Ask for consent even if it is remembered.
    pub(crate) consent: bool,
    /// Sign in again even if somebody is signed in.
    pub(crate) login: bool,
    /// Ask nothing: answer with an error instead.
    pub(crate) none: bool,
}

/// Checks a request whose client and redirect are known.
pub(crate) fn check(
    params: &Params,
    client: &ClientId,
    redirect: RedirectTarget,
    deployment: &Deployment,
) -> Result<AuthorizationRequest, AuthorizeViolation> {
    if params.one("request").is_some() || params.one("request_uri").is_some() {
        return Err(AuthorizeViolation::RequestObject);
    }
    if params.one("response_type") != Some("code") {
        return Err(AuthorizeViolation::ResponseType);
    }
    match params.one("response_mode") {
        None | Some("query") => {}
        Some("form_post") if redirect.is_posted() => {}
        Some(_) => return Err(AuthorizeViolation::ResponseMode),
    }
    // It travels inside the pages, whose own address must stay short enough.
    if params.one("state").is_some_and(|state| state.len() > 2048) {
        return Err(AuthorizeViolation::StateTooLong);
    }
    let challenge =
        CodeChallenge::parse(params.one("code_challenge"), params.one("code_challenge_method"))?;
    let resources = resource::at_authorize(deployment, params.resources(), params.one("scope"))?;
    let asked = scope::at_authorize(params.one("scope"), &resources)?;
    let prompt = Prompt::parse(params.one("prompt").unwrap_or_default())?;
    Ok(AuthorizationRequest {
        challenge,
        client: client.clone(),
        identity: asked.identity,
        openid: OpenIdRequest::parse(params)?,
        prompt,
        redirect,
        scopes: asked.scopes,
        state: params.one("state").map(str::to_owned),
    })
}

impl Prompt {
    fn parse(text: &str) -> Result<Self, AuthorizeViolation> {
        let mut prompt = Self::default();
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        for word in &words {
            match *word {
                "login" | "select_account" => prompt.login = true,
                "none" => prompt.none = true,
                "consent" => prompt.consent = true,
                _ => return Err(AuthorizeViolation::PromptMalformed),
            }
        }
        if prompt.none && words.len() > 1 {
            return Err(AuthorizeViolation::PromptMalformed);
        }
        Ok(prompt)
    }
}

impl AuthorizationRequest {
    /// The resources it is for.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &ResourceIndicator> {
        self.scopes.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const GOOD: &str = "response_type=code&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
                        &code_challenge_method=S256&resource=http://localhost:7400/mcp&state=s";

    fn run(query: &str) -> Result<AuthorizationRequest, AuthorizeViolation> {
        let deployment = testing::deployment();
        let params = Params::parse(query.as_bytes()).unwrap();
        let target = RedirectTarget::find(&["https://app.example/cb".to_owned()], None).unwrap();
        check(&params, &ClientId::parse("app").unwrap(), target, &deployment)
    }

    fn all(request: &AuthorizationRequest) -> String {
        request.scopes.values().map(Scope::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_good_request_passes_with_the_default_scopes() {
        let request = run(GOOD).unwrap();
        assert_eq!(all(&request), "contacts:read");
        assert_eq!(request.state.as_deref(), Some("s"));
    }

    #[test]
    fn each_deviation_has_its_answer() {
        use AuthorizeViolation as V;
        let cases = [
            ("response_type=code", "response_type=token", V::ResponseType),
            ("response_type=code", "response_type=code%20token", V::ResponseType),
            ("response_type=code", "response_type=code&response_mode=fragment", V::ResponseMode),
            ("response_type=code", "response_type=code&request=x", V::RequestObject),
            ("response_type=code", "response_type=code&request_uri=http://x", V::RequestObject),
            ("S256", "plain", V::ChallengeMethod),
            ("&code_challenge_method=S256", "", V::ChallengeMethod),
            ("code_challenge=E9M", "code_challenge=", V::ChallengeMalformed),
            ("localhost:7400/mcp", "localhost:7400/other", V::ResourceUnknown),
            ("state=s", "scope=nothing:here", V::ScopeUnknown),
            ("state=s", "scope=a%22b", V::ScopeMalformed),
            ("state=s", "prompt=none%20login", V::PromptMalformed),
            ("state=s", "prompt=often", V::PromptMalformed),
            ("state=s", "max_age=-1", V::MaxAgeMalformed),
            ("state=s", "max_age=soon", V::MaxAgeMalformed),
        ];
        for (from, to, expected) in cases {
            let query = GOOD.replace(from, to);
            assert_eq!(run(&query).unwrap_err(), expected, "{query}");
        }
    }

    #[test]
    fn a_request_that_only_signs_in_is_for_no_resource() {
        let alone = GOOD.replace("&resource=http://localhost:7400/mcp", "");
        let request = run(&alone.replace("state=s", "scope=openid%20email%20phone")).unwrap();
        assert_eq!(request.identity.to_string(), "email openid");
        assert!(request.scopes.is_empty());
        let both = run(&alone.replace("state=s", "scope=openid%20contacts:write")).unwrap();
        assert_eq!(all(&both), "contacts:write");
        let both = run(&GOOD.replace("state=s", "scope=openid")).unwrap();
        assert_eq!(
            (all(&both).as_str(), both.identity.contains("openid")),
            ("contacts:read", true)
        );
        // Without openid the others mean nothing.
        let neither = run(&alone.replace("state=s", "scope=email%20profile")).unwrap();
        assert_eq!((all(&neither).as_str(), neither.identity.is_empty()), ("contacts:read", true));
    }

    #[test]
    fn unknown_scopes_are_dropped_and_offline_access_gives_nothing() {
        let query = GOOD.replace("state=s", "scope=contacts:write%20offline_access%20x:y");
        assert_eq!(all(&run(&query).unwrap()), "contacts:write");
    }
}
