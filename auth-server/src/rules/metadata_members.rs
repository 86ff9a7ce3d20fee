//! Reading the members of a registration: each is of its type and bounded, or named in a refusal.

use serde_json::{Map, Value};
use url::{Host, Url};

use super::violation::RegistrationViolation;

const MOST_CONTACTS: usize = 8;
const LONGEST_CONTACT: usize = 256;
const LONGEST_NAME: usize = 128;
const LONGEST_URI: usize = 2048;

/// The client's name as pages show it.
pub(crate) fn name(body: &Map<String, Value>) -> Result<String, RegistrationViolation> {
    let name = match body.get("client_name") {
        None | Some(Value::Null) => "",
        Some(Value::String(name)) => name.trim(),
        Some(_) => return Err(RegistrationViolation::ClientName),
    };
    // Controls and direction overrides could make a name read as another's.
    let shown: String = name.chars().filter(|c| !c.is_control() && !is_format(*c)).collect();
    if shown.chars().count() > LONGEST_NAME {
        return Err(RegistrationViolation::ClientName);
    }
    Ok(if shown.is_empty() { "An application without a name".to_owned() } else { shown })
}

/// How to reach the client's makers, in order.
pub(crate) fn contacts(body: &Map<String, Value>) -> Result<Vec<String>, RegistrationViolation> {
    let contacts = strings(body, "contacts", RegistrationViolation::Contacts)?;
    let mut contacts = contacts.unwrap_or_default();
    let fits = contacts.iter().all(|contact| contact.chars().count() <= LONGEST_CONTACT);
    if contacts.len() > MOST_CONTACTS || !fits {
        return Err(RegistrationViolation::Contacts);
    }
    contacts.sort();
    contacts.dedup();
    Ok(contacts)
}

/// An http or https URL.
pub(crate) fn web_page(
    body: &Map<String, Value>,
    member: &'static str,
) -> Result<Option<String>, RegistrationViolation> {
    match body.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => {
            let url = Url::parse(text).map_err(|_| RegistrationViolation::Uri(member))?;
            let fits = matches!(url.scheme(), "https" | "http") && text.len() <= LONGEST_URI;
            if fits { Ok(Some(text.clone())) } else { Err(RegistrationViolation::Uri(member)) }
        }
        Some(_) => Err(RegistrationViolation::Uri(member)),
    }
}

/// An http or https URL at a public host name: nothing here fetches it, but others who read it
/// from us might.
pub(crate) fn public_web_page(
    body: &Map<String, Value>,
    member: &'static str,
) -> Result<Option<String>, RegistrationViolation> {
    let page = web_page(body, member)?;
    match page.as_deref().map(Url::parse) {
        Some(Ok(url)) if !is_public_name(&url) => Err(RegistrationViolation::UriInside(member)),
        _ => Ok(page),
    }
}

/// A list of strings.
pub(crate) fn strings(
    body: &Map<String, Value>,
    member: &str,
    violation: RegistrationViolation,
) -> Result<Option<Vec<String>>, RegistrationViolation> {
    match body.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>().map(Some).ok_or(violation)
        }
        Some(_) => Err(violation),
    }
}

/// Whether the host is a name that can mean the same place for everybody.
fn is_public_name(url: &Url) -> bool {
    const INSIDE: [&str; 4] = [".internal", ".lan", ".local", ".localhost"];
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name.contains('.') && !INSIDE.iter().any(|suffix| name.ends_with(suffix))
        }
        _ => false,
    }
}

fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
