//! The Rust example of `docs/integrate/README.md`, word for word, as a program: issuer, resource and
//! a file with a token are its arguments.

#![expect(clippy::print_stdout, reason = "whoever runs it reads what it prints")]

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    client_id: String,
    scope: String,
    workspaces: Vec<String>,
}

fn verify(
    token: &str,
    keys: &JwkSet,
    issuer: &str,
    resource: &str,
) -> Result<Claims, Box<dyn std::error::Error>> {
    let header = decode_header(token)?;
    if header.typ.as_deref() != Some("at+jwt") {
        return Err("not an access token".into());
    }
    let kid = header.kid.ok_or("no kid")?;
    let key = keys.find(&kid).ok_or("an unknown key: fetch the JWKS again")?;
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_issuer(&[issuer]);
    rules.set_audience(&[resource]);
    rules.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
    rules.leeway = 30;
    Ok(decode::<Claims>(token, &DecodingKey::from_jwk(key)?, &rules)?.claims)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [issuer, resource, file] = arguments.as_slice() else {
        return Err("usage: verify_token ISSUER RESOURCE FILE".into());
    };
    let http = reqwest::Client::builder().no_proxy().build()?;
    let keys: JwkSet = http.get(format!("{issuer}/jwks")).send().await?.json().await?;
    let token = std::fs::read_to_string(file)?;
    let Claims { sub, client_id, scope, workspaces } = verify(&token, &keys, issuer, resource)?;
    println!("{sub} through {client_id}: {scope} in {workspaces:?}");
    Ok(())
}
