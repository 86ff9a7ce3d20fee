//! What of the deployment file stands in environment variables: parts of values, as `${NAME}`,
//! and secrets, as `env:NAME` in place of a file. No other code reads the environment.

use std::{borrow::Cow, path::Path};

use gateway::RawBackend;
use shared::{problem::Problem, secret::Secret};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Looks a variable up; one that is empty is none.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable of this process.
#[expect(clippy::disallowed_methods, reason = "the deployment file names the variable")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The variable that is named where a file with a secret could be.
pub(crate) fn named(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix("env:")
}

/// The secret that a variable holds.
pub(crate) fn secret(name: &str) -> Result<String, String> {
    if !is_name(name) {
        return Err(format!(
            "env:{name} names no variable; write env: and a name like DB_PASSWORD"
        ));
    }
    let text = variable(name).map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    let text = text.filter(|text| !text.is_empty());
    text.ok_or_else(|| format!("the environment has no variable {name}; set it"))
}

/// Writes what variables hold in the place of `${NAME}`, and the default in that of
/// `${NAME:-default}` where there is no such variable; `$${` stands for `${`. Answers the variables
/// that were used, with what they hold; or every problem with its line, place and remedy.
pub(crate) fn expand(
    text: &str,
    table: &mut DeTable<'_>,
    lookup: Lookup<'_>,
) -> Result<Vec<(String, String)>, String> {
    let mut walk = Walk { lookup, problems: Vec::new(), text, used: Vec::new() };
    walk.table(table, "");
    if walk.problems.is_empty() {
        return Ok(walk.used);
    }
    Err(format!("the deployment file is not right\n{}", walk.problems.join("\n")))
}

/// Gives backends the secrets that are in the environment.
pub(crate) fn fill(backends: &mut [RawBackend]) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut read = |place: String, file: Option<&str>| {
        let secret = secret(named(Path::new(file?))?);
        secret.map(Secret::new).map_err(|why| problems.push(told(&place, &why))).ok()
    };
    for (at, backend) in backends.iter_mut().enumerate() {
        if let Some(credential) = &mut backend.credential {
            let place = format!("backend[{at}].credential.file");
            credential.value = read(place, Some(&credential.file));
        }
        if let Some(exchange) = &mut backend.identity.exchange {
            let place = format!("backend[{at}].identity.exchange.client_secret_file");
            exchange.client_secret = read(place, exchange.client_secret_file.as_deref());
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// A problem at a place, of words that may name the place and the remedy.
pub(crate) fn told(place: &str, text: &str) -> Problem {
    let (what, remedy) = text.split_once("; ").unwrap_or((text, "see docs/operate"));
    let what = what.trim_start_matches(place).trim_start_matches(": ");
    Problem::new(place, what, remedy)
}

struct Walk<'a> {
    lookup: Lookup<'a>,
    problems: Vec<String>,
    text: &'a str,
    used: Vec<(String, String)>,
}

impl Walk<'_> {
    fn table(&mut self, table: &mut DeTable<'_>, place: &str) {
        for (name, value) in table.iter_mut() {
            let dot = if place.is_empty() { "" } else { "." };
            self.value(value, &format!("{place}{dot}{}", name.get_ref()));
        }
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, place: &str) {
        let start = value.span().start;
        match value.get_mut() {
            DeValue::Array(array) => {
                for (at, value) in array.iter_mut().enumerate() {
                    self.value(value, &format!("{place}[{at}]"));
                }
            }
            DeValue::String(held) if held.contains("${") => match self.expanded(held) {
                Ok(expanded) => *held = Cow::Owned(expanded),
                Err(problem) => {
                    let before = self.text.get(..start).unwrap_or_default();
                    let line = before.matches('\n').count().saturating_add(1);
                    self.problems.push(format!("  line {line}: {place}: {problem}"));
                }
            },
            DeValue::Table(table) => self.table(table, place),
            _ => {}
        }
    }

    fn expanded(&mut self, held: &str) -> Result<String, String> {
        let (mut whole, mut rest) = (String::new(), held);
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                whole.push_str(before);
                whole.push_str("${");
                rest = after;
                continue;
            }
            let (inner, after) = after
                .split_once('}')
                .ok_or("has ${ without an end; write ${NAME}, or $${ for the characters")?;
            let (name, default) = match inner.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            if !is_name(name) {
                let remedy = "write a name of letters, digits and _, or $${ for the characters";
                return Err(format!("${{{inner}}} names no variable; {remedy}"));
            }
            if default.is_some_and(|default| default.contains("${")) {
                let remedy = "write the default itself";
                return Err(format!("${{{inner}}} has a variable in its default; {remedy}"));
            }
            whole.push_str(before);
            match ((self.lookup)(name), default) {
                (Some(value), _) => {
                    whole.push_str(&value);
                    self.used.push((name.to_owned(), value));
                }
                (None, Some(default)) => whole.push_str(default),
                (None, None) => {
                    let what = "names a variable that the environment has not";
                    return Err(format!(
                        "${{{name}}} {what}; set it, or write ${{{name}:-default}}"
                    ));
                }
            }
            rest = after;
        }
        whole.push_str(rest);
        Ok(whole)
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(fits) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        let value = match name {
            "HOST" => "crm.example",
            "QUOTED" => "a\"\n[b]",
            "NESTED" => "${HOST}",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn of(text: &str) -> Result<toml::Table, String> {
        let mut table = DeTable::parse(text).unwrap();
        expand(text, table.get_mut(), &lookup)?;
        Ok(serde::Deserialize::deserialize(toml::Deserializer::from(table)).unwrap())
    }

    #[test]
    fn variables_stand_in_for_parts_of_values_wherever_these_are() {
        for (written, meant) in [
            ("https://${HOST}/mcp", "https://crm.example/mcp"),
            ("${HOST}${HOST}", "crm.examplecrm.example"),
            ("${NOBODY:-https://a.example}/b", "https://a.example/b"),
            ("${HOST:-other}", "crm.example"),
            ("${NOBODY:-}", ""),
            ("$${HOST} $HOST {HOST}", "${HOST} $HOST {HOST}"),
            ("${QUOTED}", "a\"\n[b]"),
            // What a variable holds is nothing but text.
            ("${NESTED}", "${HOST}"),
        ] {
            let text = format!("a = '{written}'\n[[b]]\nc = [{{ d = ['{written}'] }}]\n");
            let table = of(&text).unwrap();
            let deep = table["b"][0]["c"][0]["d"][0].as_str();
            assert_eq!((table["a"].as_str(), deep), (Some(meant), Some(meant)), "{written}");
        }
    }

    #[test]
    fn every_variable_that_is_missing_is_told_at_once_with_its_line_and_key() {
        let text = "a = \"${ONE}\"\n\n[[b]]\nc = [\n  \"x\",\n  \"${TWO}\",\n]\nd = \"${3}\"\ne = \"${\"\nf = \"${A:-${B}}\"\n";
        let told = of(text).unwrap_err();
        for part in [
            "line 1: a: ${ONE} names a variable that the environment has not; set it",
            "line 6: b[0].c[1]: ${TWO}",
            "line 8: b[0].d: ${3} names no variable",
            "line 9: b[0].e: has ${ without an end",
            "line 10: b[0].f: ${A:-${B} has a variable in its default",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert_eq!(told.lines().count(), 6, "{told}");
    }

    #[test]
    fn a_secret_is_named_by_env_and_a_name() {
        assert_eq!(named(Path::new("env:DB_PASSWORD")), Some("DB_PASSWORD"));
        assert_eq!(named(Path::new("./env:DB_PASSWORD")), None);
        for (name, words) in [
            ("VESTIBULE_NOBODY", "no variable VESTIBULE_NOBODY; set it"),
            ("a b", "names no variable"),
        ] {
            assert!(secret(name).unwrap_err().contains(words), "{name}");
        }
    }
}
