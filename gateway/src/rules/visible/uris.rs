//! URIs and the templates they are made from (RFC 6570), as far as a decision needs them.

use std::borrow::Cow;

use crate::rules::uri_template::{InvalidTemplate, Template, Untold, Values, escaped, named};

/// A template that a backend offers.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    /// Why it is not offered here, although URIs may be made from it.
    pub(super) fault: Option<Fault>,
    read: Option<Template>,
    pub(super) text: String,
}

/// Why a template is not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Invalid(#[from] InvalidTemplate),
    #[error("{0}")]
    Untold(#[from] Untold),
}

impl Offered {
    /// Reads a template; `argument` is what a workspace is called.
    pub(super) fn new(text: &str, argument: &str) -> Self {
        let (read, fault) = match Template::parse(text) {
            Ok(read) => {
                let fault = read.check(argument).err().map(Fault::Untold);
                (Some(read), fault)
            }
            Err(error) => (None, Some(Fault::Invalid(error))),
        };
        Self { fault, read, text: text.to_owned() }
    }

    /// Whether this is the template itself, which a completion may be about.
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text && self.fault.is_none()
    }

    /// Whether a URI can have been made from it.
    pub(super) fn fits(&self, uri: &str) -> bool {
        self.read.as_ref().is_some_and(|read| read.fits(uri))
    }

    /// Which workspaces a URI names by it. Where they cannot be told, every URI that may be meant
    /// names several, which no caller may use.
    fn workspaces(&self, argument: &str, uri: &str) -> Values {
        match (&self.read, self.fault) {
            (Some(read), None) => read.values(argument, uri),
            (Some(read), Some(_)) if read.fits(uri) => Values::Several,
            (None, _) if self.may_begin(uri) && self.text.contains(argument) => Values::Several,
            _ => Values::None,
        }
    }

    fn may_begin(&self, uri: &str) -> bool {
        let start = literal_start(&self.text);
        uri.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start))
    }
}

/// Which workspaces a URI names, by what its owner's templates say and by its own pairs.
pub(super) fn workspaces(templates: &[Offered], argument: &str, uri: &str) -> Values {
    let uri = plain(uri);
    let told = templates.iter().map(|template| template.workspaces(argument, &uri));
    told.fold(named(argument, &uri), Values::and)
}

/// What every URI made from a template begins with.
pub(super) fn literal_start(template: &str) -> &str {
    template.split('{').next().unwrap_or_default()
}

/// Longer URIs that no list names serve nobody.
const LONGEST: usize = 2048;

/// Whether readers that resolve dots and escapes could read another URI.
pub(super) fn is_ambiguous(uri: &str) -> bool {
    let lower = uri.to_ascii_lowercase();
    let path = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    uri.len() > LONGEST
        || uri.chars().any(|c| c.is_control() || c == '\\')
        || ["%2e", "%2f", "%5c"].iter().any(|escape| lower.contains(escape))
        || uri.split(['/', '?', '#']).any(|segment| matches!(segment, "." | ".."))
        || path.contains("//")
        || uri.split('%').skip(1).any(|rest| escaped(rest.as_bytes()).is_none())
}

/// The URI without escapes of what needs none (RFC 3986 section 6.2.2.2).
pub(super) fn plain(uri: &str) -> Cow<'_, str> {
    if !uri.contains('%') {
        return Cow::Borrowed(uri);
    }
    let mut pieces = uri.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let byte = escaped(piece.as_bytes()).map(char::from);
        if let Some(own) = byte.filter(|c| c.is_ascii_alphanumeric() || "-._~".contains(*c)) {
            plain.push(own);
            plain.push_str(piece.get(2..).unwrap_or_default());
        } else {
            plain.push('%');
            plain.push_str(piece);
        }
    }
    Cow::Owned(plain)
}

/// The URI as readers may take it who do without escapes that are not needed and without case in
/// scheme and host (RFC 3986 section 6.2.2).
pub(super) fn normal(uri: &str) -> String {
    let plain = plain(uri);
    let host = plain.find("://").map_or(0, |at| at + 3);
    let end = plain.get(host..).and_then(|rest| rest.find(['/', '?', '#']));
    let end = end.map_or(plain.len(), |end| host + end);
    let (start, rest) = plain.split_at_checked(end).unwrap_or((&plain, ""));
    start.to_ascii_lowercase() + rest
}

#[cfg(test)]
mod fuzz {
    use super::*;

    const TEMPLATES: [&str; 4] = [
        "crm://contacts/{id}",
        "crm://{workspace_id}/contacts/{id}",
        "crm://{workspace_id}/notes/{id}/text",
        "crm://all",
    ];

    #[test]
    fn a_uri_made_from_a_template_fits_it_and_names_what_was_put_in() {
        let seeds: [&[u8]; 5] = [
            b"crm://contacts/1",
            b"crm://ws_acme/contacts/7",
            b"crm://ws_acme/notes/7/text",
            b"crm://ws/../contacts/%2e%2e/x",
            b"{}{id}crm://{",
        ];
        ::fuzz::run("uri-template", &seeds, |input| {
            let text = String::from_utf8_lossy(input);
            let value: String =
                text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_~".contains(*c)).collect();
            // A template of a stranger's making is no trap either.
            let strange = Offered::new(&text, "workspace_id");
            let mut outcome = Vec::new();
            for template in TEMPLATES {
                let offered = Offered::new(template, "workspace_id");
                let made = template.replace("{id}", "x7").replace("{workspace_id}", &value);
                if !value.is_empty() {
                    assert!(offered.fits(&made), "{made} is not of {template}");
                }
                if template.contains("{workspace_id}") && !value.is_empty() {
                    let named = offered.workspaces("workspace_id", &made);
                    assert_eq!(named, Values::One(value.clone()), "{made} of {template}");
                }
                let named = offered.workspaces("workspace_id", &text);
                let is_ambiguous = is_ambiguous(&text);
                outcome.push((offered.fits(&text), named, strange.fits(&made), is_ambiguous));
            }
            outcome
        });
    }
}
