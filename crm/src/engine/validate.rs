//! Arguments checked against the catalogue; every problem of a call is told at once.

use serde_json::{Value, json};
use time::{
    Date, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339,
    macros::format_description,
};

use super::{
    record::Fields,
    refusal::{Problem, Refusal},
};
use crate::{
    catalogue::{Field, FieldKind, Module},
    limits,
};

/// The arguments of one call, and the problems found so far.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    given: &'a Fields,
    problems: Vec<Problem>,
}

impl<'a> Arguments<'a> {
    /// Arguments none of which may have another name than these.
    pub(crate) fn new(given: &'a Fields, allowed: &[&str]) -> Self {
        let problems = given
            .iter()
            .filter(|(name, _)| !allowed.contains(&name.as_str()))
            .map(|(name, value)| {
                let expected = format!("no argument but {}", allowed.join(", "));
                Problem::new(name, expected, value)
            })
            .collect();
        Self { given, problems }
    }

    /// Records a problem.
    pub(crate) fn refuse(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Ends the checks: the problems, if there were any.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        if self.problems.is_empty() { Ok(()) } else { Err(Refusal::Arguments(self.problems)) }
    }

    /// The raw argument; an explicit null counts as absent.
    pub(crate) fn given(&self, name: &str) -> Option<&'a Value> {
        self.given.get(name).filter(|value| !value.is_null())
    }

    /// A string of 1 to `longest` characters that are not all blank.
    pub(crate) fn text(&mut self, name: &str, longest: usize) -> Option<&'a str> {
        let value = self.given(name)?;
        self.accept(name, value, short_text(value, longest))
    }

    /// As `text`, but it must be there.
    pub(crate) fn required_text(&mut self, name: &str, longest: usize) -> Option<&'a str> {
        if self.given(name).is_none() {
            self.refuse(Problem::missing(name, "a string"));
        }
        self.text(name, longest)
    }

    /// The size of a page.
    pub(crate) fn limit(&mut self) -> usize {
        let given = self.given("limit").and_then(|value| {
            let checked = integer(value)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=limits::LARGEST_PAGE).contains(number))
                .ok_or_else(|| format!("an integer from 1 to {}", limits::LARGEST_PAGE));
            self.accept("limit", value, checked)
        });
        given.unwrap_or(limits::PAGE)
    }

    /// One of a few words.
    pub(crate) fn choice(&mut self, name: &str, values: &[String]) -> Option<&'a str> {
        let value = self.given(name)?;
        self.accept(name, value, word(value, values))
    }

    /// The field's value in its one written form.
    pub(crate) fn field(&mut self, field: &Field) -> Option<Value> {
        let value = self.given(&field.name)?;
        self.accept(&field.name, value, written(&field.kind, value))
    }

    /// All fields of the module that were given.
    pub(crate) fn fields(&mut self, module: &Module) -> Fields {
        let mut fields = Fields::new();
        for field in &module.fields {
            if let Some(value) = self.field(field) {
                fields.insert(field.name.clone(), value);
            }
        }
        fields
    }

    fn accept<T>(&mut self, name: &str, value: &Value, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|expected| self.refuse(Problem::new(name, expected, value))).ok()
    }
}

/// The words for "one of these".
pub(crate) fn one_of(values: &[String]) -> String {
    format!("one of {}", values.join(", "))
}

/// What a field takes, in words.
pub(crate) fn expected(field: &Field) -> String {
    written(&field.kind, &Value::Null).err().unwrap_or_default()
}

/// The value in its one written form, or what was expected instead.
fn written(kind: &FieldKind, value: &Value) -> Result<Value, String> {
    match kind {
        FieldKind::Date => date(value),
        FieldKind::Datetime => datetime(value),
        FieldKind::Email => email(value),
        FieldKind::Enum { values } => word(value, values).map(Value::from),
        FieldKind::Integer { maximum, minimum } => integer(value)
            .filter(|number| (minimum..=maximum).contains(&number))
            .map(Value::from)
            .ok_or_else(|| format!("an integer from {minimum} to {maximum}")),
        FieldKind::LongText => short_text(value, limits::LONG_TEXT).map(Value::from),
        FieldKind::Money => money(value),
        FieldKind::Phone => phone(value),
        FieldKind::Reference { module } => short_text(value, limits::TEXT)
            .map(Value::from)
            .map_err(|_| format!("the id of one of the {module}")),
        FieldKind::Tags => tags(value),
        FieldKind::Text => short_text(value, limits::TEXT).map(Value::from),
        FieldKind::Url => url(value),
    }
}

fn short_text(value: &Value, longest: usize) -> Result<&str, String> {
    value
        .as_str()
        .filter(|text| !text.trim().is_empty() && text.chars().count() <= longest)
        .ok_or_else(|| format!("a string of 1 to {longest} characters"))
}

fn word<'a>(value: &'a Value, values: &[String]) -> Result<&'a str, String> {
    value
        .as_str()
        .filter(|text| values.iter().any(|known| known == text))
        .ok_or_else(|| one_of(values))
}

fn date(value: &Value) -> Result<Value, String> {
    let form = format_description!("[year]-[month]-[day]");
    value
        .as_str()
        .filter(|text| Date::parse(text, form).is_ok())
        .map(Value::from)
        .ok_or_else(|| "a date such as 2026-03-31".to_owned())
}

fn datetime(value: &Value) -> Result<Value, String> {
    value
        .as_str()
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .and_then(|moment| moment.checked_to_offset(UtcOffset::UTC))
        .and_then(|moment| moment.replace_nanosecond(0).ok())
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .map(Value::from)
        .ok_or_else(|| "a date and time such as 2026-03-31T14:30:00Z".to_owned())
}

fn email(value: &Value) -> Result<Value, String> {
    let well_formed = |text: &&str| {
        let plain =
            !text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>,;".contains(c));
        let parts = text.rsplit_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !local.contains('@')
                && domain.contains('.')
                && domain.split('.').all(|label| !label.is_empty())
        });
        plain && parts && text.chars().count() <= limits::TEXT
    };
    value
        .as_str()
        .filter(well_formed)
        .map(Value::from)
        .ok_or_else(|| "an e-mail address such as name@example.com".to_owned())
}

fn phone(value: &Value) -> Result<Value, String> {
    let well_formed = |text: &&str| {
        let rest = text.strip_prefix('+').unwrap_or(text);
        (5..=25).contains(&rest.len())
            && rest.chars().all(|c| c.is_ascii_digit() || " ().-".contains(c))
            && rest.chars().any(|c| c.is_ascii_digit())
    };
    value
        .as_str()
        .filter(well_formed)
        .map(Value::from)
        .ok_or_else(|| "a telephone number such as +44 20 7946 0123".to_owned())
}

fn url(value: &Value) -> Result<Value, String> {
    let well_formed = |text: &&str| {
        text.chars().count() <= limits::TEXT
            && url::Url::parse(text).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.host_str().is_some()
            })
    };
    value
        .as_str()
        .filter(well_formed)
        .map(Value::from)
        .ok_or_else(|| "a web address such as https://www.example.com/".to_owned())
}

fn money(value: &Value) -> Result<Value, String> {
    value
        .as_f64()
        .filter(|amount| (0.0..=limits::MONEY).contains(amount))
        .filter(|amount| (amount * 100.0 - (amount * 100.0).round()).abs() < 1e-3)
        .map(|_| value.clone())
        .ok_or_else(|| "an amount from 0 with at most two decimals".to_owned())
}

fn tags(value: &Value) -> Result<Value, String> {
    let words =
        || format!("at most {} strings of 1 to {} characters each", limits::TAGS, limits::TAG);
    let list = value.as_array().filter(|list| list.len() <= limits::TAGS).ok_or_else(words)?;
    let mut tags: Vec<&str> = Vec::new();
    for item in list {
        let tag = short_text(item, limits::TAG).map_err(|_| words())?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(json!(tags))
}

/// A whole number, which JSON may also write as `1.0`.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number =
            value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15)?;
        format!("{number:.0}").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_in_one_written_form_or_refused() {
        let number = FieldKind::Integer { maximum: 100, minimum: 0 };
        let cases = [
            (FieldKind::Date, json!("2026-02-28"), Some(json!("2026-02-28"))),
            (FieldKind::Date, json!("2026-02-30"), None),
            (FieldKind::Date, json!(20_260_228), None),
            (
                FieldKind::Datetime,
                json!("2026-02-28T10:00:00.5+09:00"),
                Some(json!("2026-02-28T01:00:00Z")),
            ),
            (FieldKind::Datetime, json!("2026-02-28 10:00"), None),
            (FieldKind::Email, json!("陽子@例え.example"), Some(json!("陽子@例え.example"))),
            (FieldKind::Email, json!("nobody"), None),
            (FieldKind::Email, json!("a@b@c.example"), None),
            (FieldKind::Money, json!(19.99), Some(json!(19.99))),
            (FieldKind::Money, json!(19.999), None),
            (FieldKind::Money, json!(-1), None),
            (FieldKind::Phone, json!("+44 20 7946 0123"), Some(json!("+44 20 7946 0123"))),
            (FieldKind::Phone, json!("ring me"), None),
            (FieldKind::Tags, json!(["a", "b", "a"]), Some(json!(["a", "b"]))),
            (FieldKind::Tags, json!(["a", 1]), None),
            (FieldKind::Text, json!("   "), None),
            (FieldKind::Url, json!("javascript:alert(1)"), None),
            (number, json!(7.0), Some(json!(7))),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(written(&kind, &value).ok(), expected, "{kind:?} {value}");
        }
    }
}
