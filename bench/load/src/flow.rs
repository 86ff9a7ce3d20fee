//! A whole authorization code flow with PKCE, as a browser and a client walk it: redirects,
//! cookies, the forms of sign-in and consent, and the exchange of the code.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use crate::http::{Answer, Connection};

/// More redirects and forms than any server needs.
const MOST_STEPS: u32 = 25;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) authorize: &'a Url,
    pub(crate) client: &'a str,
    /// What forms are filled in with, wherever they have such a field.
    pub(crate) fields: &'a [(&'a str, &'a str)],
    pub(crate) forwarded: &'a str,
    pub(crate) redirect: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) scope: &'a str,
}

/// The cookies of one browser.
#[derive(Debug, Default)]
pub(crate) struct Jar(BTreeMap<String, (String, String)>);

/// Walks until the redirect to the client; answers with the code and its verifier.
pub(crate) async fn authorize(
    connection: &mut Connection,
    jar: &mut Jar,
    request: &Request<'_>,
) -> Result<(String, String), String> {
    let verifier = random()?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let mut next = request.authorize.clone();
    next.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", request.client),
        ("redirect_uri", request.redirect),
        ("resource", request.resource),
        ("scope", request.scope),
        ("prompt", "consent"),
        ("state", "bench"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let mut form = None;
    for _ in 0..MOST_STEPS {
        let answer = step(connection, jar, request, &next, form.take()).await?;
        if let Some(location) = answer.header("location") {
            let to = next.join(location).map_err(|error| error.to_string())?;
            if location.starts_with(request.redirect) {
                let code = to.query_pairs().find(|(name, _)| name == "code");
                let code = code.ok_or_else(|| format!("no code: {location}"))?.1.into_owned();
                return Ok((code, verifier));
            }
            next = to;
            continue;
        }
        if answer.status != 200 {
            return Err(answer.refusal());
        }
        let page = answer.text();
        let (action, body) = fill_in(&page, request.fields)?;
        next = next.join(&action).map_err(|error| error.to_string())?;
        form = Some(body);
    }
    Err("the pages do not come to an end".to_owned())
}

async fn step(
    connection: &mut Connection,
    jar: &mut Jar,
    request: &Request<'_>,
    to: &Url,
    form: Option<String>,
) -> Result<Answer, String> {
    let host = connection.host.clone();
    let target = &to[url::Position::BeforePath..url::Position::AfterQuery];
    let cookies = jar.header(to.path());
    let common = format!("Host: {host}\r\nX-Forwarded-For: {}\r\n{cookies}", request.forwarded);
    let text = match form {
        None => format!("GET {target} HTTP/1.1\r\n{common}Accept: text/html\r\n\r\n"),
        Some(body) => format!(
            "POST {target} HTTP/1.1\r\n{common}Accept: text/html\r\nOrigin: http://{host}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    };
    let answer = connection.send(text.as_bytes()).await?;
    jar.take(&answer);
    Ok(answer)
}

/// The page's form that signs in or approves: where it leads, and its fields filled in.
fn fill_in(page: &str, fields: &[(&str, &str)]) -> Result<(String, String), String> {
    let forms = page.split("<form").skip(1).filter_map(|rest| rest.split("</form").next());
    let form = forms
        .into_iter()
        .find(|form| {
            form.contains("password") || form.contains("approve") || form.contains("prompt")
        })
        .ok_or_else(|| format!("no form: {}", page.chars().take(300).collect::<String>()))?;
    let action = form.split('>').next().and_then(|tag| attribute(tag, "action"));
    let mut body = form_urlencoded::Serializer::new(String::new());
    for tag in form.split("<input").skip(1).filter_map(|rest| rest.split('>').next()) {
        let Some(name) = attribute(tag, "name") else { continue };
        let chosen = match attribute(tag, "type").as_deref() {
            Some("checkbox" | "radio") => tag.contains("checked") || name == "workspace",
            _ => true,
        };
        let filled = fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value);
        let value = attribute(tag, "value").unwrap_or_default();
        if chosen {
            body.append_pair(&name, filled.unwrap_or(&value));
        }
    }
    if form.contains("value=\"approve\"") {
        body.append_pair("decision", "approve");
    }
    Ok((action.unwrap_or_default(), body.finish()))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split_once(&format!(" {name}=\""))?.1;
    let value = rest.split('"').next()?;
    Some(value.replace("&amp;", "&").replace("&#38;", "&").replace("&#x2F;", "/"))
}

impl Jar {
    fn take(&mut self, answer: &Answer) {
        let set = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        for (_, cookie) in set {
            let mut parts = cookie.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
            let path = attributes.iter().find_map(|one| one.strip_prefix("path=")).unwrap_or("/");
            let over = value.is_empty()
                || attributes.iter().any(|one| one == "max-age=0" || one.contains("1970"));
            let key = format!("{path} {name}");
            if over {
                self.0.remove(&key);
            } else {
                self.0.insert(key, (path.to_owned(), format!("{name}={value}")));
            }
        }
    }

    fn header(&self, path: &str) -> String {
        let path = path.to_ascii_lowercase();
        let sent = self.0.values().filter(|(of, _)| path.starts_with(of.as_str()));
        let cookies: Vec<&str> = sent.map(|(_, cookie)| cookie.as_str()).collect();
        if cookies.is_empty() {
            return String::new();
        }
        format!("Cookie: {}\r\n", cookies.join("; "))
    }
}

fn random() -> Result<String, String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
