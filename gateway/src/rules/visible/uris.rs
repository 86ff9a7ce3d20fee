//! URIs and the templates they are made from (RFC 6570), as far as a decision needs them.

/// What every URI made from a template begins with.
pub(super) fn literal_start(template: &str) -> &str {
    template.split('{').next().unwrap_or_default()
}

/// What stands in a template's hole.
pub(super) fn variable<'u>(template: &str, hole: &str, uri: &'u str) -> Option<&'u str> {
    let (before, after) = template.split_once(hole)?;
    let mut rest = uri;
    for (at, part) in before.split('{').enumerate() {
        let literal = if at == 0 { part } else { part.split_once('}')?.1 };
        rest = rest.get(rest.find(literal)? + literal.len()..)?;
    }
    let end = after.split('{').next().unwrap_or_default();
    if end.is_empty() { Some(rest) } else { rest.get(..rest.find(end)?) }
}

/// Whether readers that resolve dots and escapes could read another URI.
pub(super) fn is_ambiguous(uri: &str) -> bool {
    let lower = uri.to_ascii_lowercase();
    uri.chars().any(|c| c.is_control() || c == '\\')
        || ["%2e", "%2f", "%5c"].iter().any(|escape| lower.contains(escape))
        || uri.split(['/', '?', '#']).any(|segment| matches!(segment, "." | ".."))
}

/// Whether a URI fits the literal parts of a template, in order.
pub(super) fn fits(template: &str, uri: &str) -> bool {
    let mut rest = uri;
    let mut literals = template.split('{').map(|part| part.split_once('}').map_or(part, |p| p.1));
    let Some(after_first) = literals.next().and_then(|first| rest.strip_prefix(first)) else {
        return false;
    };
    rest = after_first;
    for literal in literals {
        match rest.find(literal) {
            Some(at) => rest = rest.get(at + literal.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    template.contains('{') || rest.is_empty()
}
