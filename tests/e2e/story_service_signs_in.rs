//! A service that knows nothing but the issuer signs people in with the `openidconnect` crate:
//! discovery, code with PKCE and nonce, ID token, userinfo, refresh, revocation.

use std::convert::Infallible;

use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, RedirectUrl, Scope,
    TokenResponse,
    core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata, CoreUserInfoClaims},
};
use tests::{Browser, Choice, Client, ENGINES, Http, Options, World};

async fn send(http: Http, request: HttpRequest) -> Result<HttpResponse, Infallible> {
    let (head, body) = request.into_parts();
    let body = String::from_utf8(body).unwrap();
    let reply = http.send(head.method, &head.uri.to_string(), head.headers, body).await;
    let mut response = HttpResponse::new(reply.text.into_bytes());
    *response.status_mut() = reply.status.try_into().unwrap();
    *response.headers_mut() = reply.headers;
    Ok(response)
}

#[tokio::test]
async fn a_relying_party_signs_its_users_in() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let (http, own) = (world.http.clone(), Client::partner(&world).await);
        let http = move |request| send(http.clone(), request);
        let issuer = IssuerUrl::new(world.issuer.clone()).unwrap();
        let provider = CoreProviderMetadata::discover_async(issuer, &http).await.unwrap();
        let tests::Credential::Basic(secret) = own.credential.clone() else { panic!("no secret") };
        let party = CoreClient::from_provider_metadata(
            provider,
            ClientId::new(own.id.clone()),
            Some(ClientSecret::new(secret)),
        )
        .set_redirect_uri(RedirectUrl::new(own.redirect_uri.clone()).unwrap());

        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let (url, state, nonce) = party
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .add_scope(Scope::new("profile".to_owned()))
            .add_scope(Scope::new("email".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        let answer = Browser::new(&world).answer(url.as_str(), Choice::default()).await;
        assert_eq!(answer.value("state"), state.secret());

        let code = AuthorizationCode::new(answer.value("code").to_owned());
        let exchange = party.exchange_code(code).unwrap().set_pkce_verifier(verifier);
        let tokens = exchange.request_async(&http).await.unwrap();
        let judge = party.id_token_verifier();
        let id_token = tokens.id_token().expect("an ID token");
        let claims = id_token.claims(&judge, &nonce).unwrap();
        let hash = AccessTokenHash::from_token(
            tokens.access_token(),
            id_token.signing_alg().unwrap(),
            id_token.signing_key(&judge).unwrap(),
        );
        assert_eq!(claims.access_token_hash(), Some(&hash.unwrap()));
        assert!(id_token.claims(&judge, &Nonce::new("another".to_owned())).is_err());

        let subject = claims.subject().clone();
        let about = party.user_info(tokens.access_token().clone(), Some(subject)).unwrap();
        let about: CoreUserInfoClaims = about.request_async(&http).await.unwrap();
        let name = about.name().and_then(|name| name.get(None)).map(|name| name.as_str());
        assert_eq!(name, Some("Dana Demo"));
        assert_eq!(about.email().map(|email| email.as_str()), Some("dana@example.com"));
        assert_eq!(about.email_verified(), Some(true));

        let refresh = tokens.refresh_token().expect("a refresh token").clone();
        let next = party.exchange_refresh_token(&refresh).unwrap();
        let next = next.request_async(&http).await.unwrap();
        let no_nonce = |nonce: Option<&Nonce>| match nonce {
            None => Ok(()),
            Some(_) => Err("a nonce at a refresh".to_owned()),
        };
        let renewed = next.id_token().expect("an ID token").claims(&judge, no_nonce).unwrap();
        assert_eq!(renewed.subject(), claims.subject());
    }
}
