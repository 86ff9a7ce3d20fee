//! Where in the deployment file a key stands: problems are told with their line.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The line of a place such as `backend[0].url`, counted from one. Where the key is missing it is
/// the line of the table that it is missing from.
pub(crate) fn line_of(text: &str, place: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut held = table.get_ref();
    let mut found = None;
    for step in place.split('.') {
        let (key, index) = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
            Some((key, index)) => (key, index.parse::<usize>().ok()),
            None => (step, None),
        };
        let Some((name, value)) = held.iter().find(|(name, _)| name.get_ref() == key) else {
            break;
        };
        // A value knows its own place; a table that begins with a header is where that is.
        let mut start = name.span().start;
        let mut value: &Spanned<DeValue<'_>> = value;
        if let Some(item) = index.and_then(|index| value.get_ref().get(index)) {
            start = item.span().start;
            value = item;
        }
        found = Some(start);
        match value.get_ref().as_table() {
            Some(inner) => held = inner,
            None => break,
        }
    }
    let before = text.get(..found?)?;
    Some(before.matches('\n').count().saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
[deployment]
name = \"x\"

[[backend]]
name = \"a\"

[[backend]]
url = \"b\"
tool = [
    { match = \"*\" },
    { match = \"{\" },
]

[gateway]
route = [{ resource = \"r\" }]
";

    #[test]
    fn a_problem_is_told_with_the_line_of_its_key_or_of_the_table_that_lacks_it() {
        for (place, line) in [
            ("deployment.name", Some(2)),
            ("deployment.issuer", Some(1)),
            ("backend[0].name", Some(5)),
            ("backend[0].url", Some(4)),
            ("backend[1].url", Some(8)),
            ("backend[1].tool[1].match", Some(11)),
            ("backend[1].tool[0].scopes", Some(10)),
            ("gateway.route[0].backends", Some(15)),
            ("resource[0].url", None),
        ] {
            assert_eq!(line_of(TEXT, place), line, "{place}");
        }
        assert_eq!(line_of("broken =", "broken"), None);
    }
}
