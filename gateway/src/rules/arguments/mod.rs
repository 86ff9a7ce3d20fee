//! Tool arguments against the tool's own schema (JSON Schema 2020-12), in words a model can act on.

mod quick;

use std::fmt::Write;

use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Value, value::RawValue};

use self::quick::Quick;
#[cfg(test)]
pub(crate) use self::quick::tests as quick_tests;

/// A tool's input schema, compiled once.
#[derive(Debug)]
pub(crate) struct ArgumentSchema {
    quick: Option<Quick>,
    schema: Value,
    validator: Validator,
}

/// A schema that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("the schema is not valid: {0}")]
    Invalid(String),
    #[error("the schema is not JSON")]
    NotJson,
}

impl ArgumentSchema {
    /// Compiles a schema. A reference may only point into the document itself: nothing is fetched,
    /// from the network or from files.
    pub(crate) fn compile(raw: &RawValue) -> Result<Self, SchemaError> {
        let schema: Value = serde_json::from_str(raw.get()).map_err(|_| SchemaError::NotJson)?;
        let options = jsonschema::options().offline();
        // Linear patterns where they suffice; look-around needs an engine that backtracks, so
        // there its steps are counted.
        let linear = PatternOptions::regex().size_limit(PATTERN_SIZE);
        let bounded =
            PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS).size_limit(PATTERN_SIZE);
        let validator = options
            .clone()
            .with_pattern_options(linear)
            .build(&schema)
            .or_else(|_| options.with_pattern_options(bounded).build(&schema))
            .map_err(|error| SchemaError::Invalid(ascii(&clip(&error.to_string(), 300))))?;
        Ok(Self { quick: Quick::of(&schema), schema, validator })
    }

    /// Its quick form, if it has one.
    pub(crate) fn quick(&self) -> Option<&Quick> {
        self.quick.as_ref()
    }

    /// From here on only the validator is asked.
    #[cfg(test)]
    pub(crate) fn forget_quick(&mut self) {
        self.quick = None;
    }

    /// The schema as it was compiled.
    pub(crate) fn schema(&self) -> &Value {
        &self.schema
    }
}

/// Checks arguments; the text begins `Validation error:` and says what to change.
pub(crate) fn check(schema: &ArgumentSchema, arguments: &Value) -> Result<(), String> {
    if schema.validator.is_valid(arguments) {
        return Ok(());
    }
    let mut text = String::new();
    for error in schema.validator.iter_errors(arguments).take(MOST_ERRORS) {
        let lead = if text.is_empty() { "Validation error: " } else { "\nValidation error: " };
        text.push_str(lead);
        describe(&mut text, schema, arguments, &error);
    }
    if text.is_empty() { Ok(()) } else { Err(text) }
}

/// What came, in words: its type and its text.
pub(crate) fn got(value: &Value) -> String {
    format!("got {} {}", type_of(value), shown(value))
}

/// The known word nearest to what came, as the end of a sentence; nothing if none is near.
pub(crate) fn meant(got: &Value, known: &[&str]) -> String {
    let near = got.as_str().and_then(|got| nearest(got, known));
    near.map(|word| format!("; did you mean \"{word}\"?")).unwrap_or_default()
}

const BACKTRACKS: usize = 10_000;
const MOST_ERRORS: usize = 5;
const MOST_CHARS: usize = 80;
const PATTERN_SIZE: usize = 1 << 20;

/// Writes `PATH: expected …, got …`, and the nearest right word where there is one.
fn describe(
    text: &mut String,
    schema: &ArgumentSchema,
    arguments: &Value,
    error: &ValidationError<'_>,
) {
    let path = path(error.instance_path().as_str());
    let got = error.instance();
    // Writing to a String cannot fail.
    let _ = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            write!(text, "{path}: unexpected property {}", quoted_list(unexpected))
                .and_then(|()| suggest_property(text, schema, error, unexpected))
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            write!(text, "{path}: property `{name}` is required and missing")
                .and_then(|()| suggest_rename(text, schema, arguments, error, name))
        }
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            let shown: Vec<String> = options.iter().take(20).map(shown).collect();
            write!(text, "{path}: expected one of {}, got {}", shown.join(", "), self::shown(got))
                .and_then(|()| suggest_value(text, options, got))
        }
        ValidationErrorKind::Type { .. } => {
            let expected = expected_type(schema, error);
            write!(text, "{path}: expected {expected}, got {} {}", type_of(got), shown(got))
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let forms: Vec<String> = context.iter().filter_map(|form| first_line(form)).collect();
            write!(
                text,
                "{path}: fits none of the {} allowed forms ({}), got {}",
                context.len(),
                clip(&forms.join("; or "), 400),
                shown(got)
            )
        }
        _ => {
            let message = clip(&error.masked_with("the value").to_string(), 200);
            write!(text, "{path}: {message}, got {}", shown(got))
        }
    };
}

/// The first problem of one of several forms.
fn first_line(form: &[ValidationError<'_>]) -> Option<String> {
    let error = form.first()?;
    let path = path(error.instance_path().as_str());
    Some(format!("{path}: {}", clip(&error.masked_with("the value").to_string(), MOST_CHARS)))
}

/// `/items/0/name` as `items[0].name`; the root as `arguments`.
fn path(pointer: &str) -> String {
    let mut path = String::new();
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        if !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit()) {
            let _ = write!(path, "[{segment}]");
        } else {
            let dot = if path.is_empty() { "" } else { "." };
            let _ = write!(path, "{dot}{}", clip(&segment, MOST_CHARS));
        }
    }
    if path.is_empty() { "arguments".to_owned() } else { path }
}

/// The schema object whose keyword failed.
fn parent<'a>(schema: &'a ArgumentSchema, error: &ValidationError<'_>) -> Option<&'a Value> {
    let pointer = error.schema_path().as_str();
    let (parent, _keyword) = pointer.rsplit_once('/')?;
    schema.schema.pointer(parent)
}

fn declared<'a>(schema: &'a ArgumentSchema, error: &ValidationError<'_>) -> Vec<&'a str> {
    let properties = parent(schema, error).and_then(|parent| parent.get("properties"));
    let names = properties.and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
    let mut names: Vec<&str> = names.map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn suggest_property(
    text: &mut String,
    schema: &ArgumentSchema,
    error: &ValidationError<'_>,
    unexpected: &[String],
) -> std::fmt::Result {
    let declared = declared(schema, error);
    let near = unexpected.iter().find_map(|name| nearest(name, &declared));
    match near {
        Some(name) => write!(text, "; did you mean `{name}`?"),
        None if declared.is_empty() => write!(text, "; no properties are allowed here"),
        None => {
            let names: Vec<String> = declared.iter().take(20).map(|n| (*n).to_owned()).collect();
            write!(text, "; allowed are {}", quoted_list(&names))
        }
    }
}

/// Says so when the missing property seems to be there under a wrong name.
fn suggest_rename(
    text: &mut String,
    schema: &ArgumentSchema,
    arguments: &Value,
    error: &ValidationError<'_>,
    missing: &str,
) -> std::fmt::Result {
    let declared = declared(schema, error);
    let object = arguments.pointer(error.instance_path().as_str()).and_then(Value::as_object);
    let given: Vec<&str> = object
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .filter(|name| !declared.contains(name))
        .collect();
    match nearest(missing, &given) {
        Some(name) => write!(text, "; rename `{}` to `{missing}`", clip(name, MOST_CHARS)),
        None => Ok(()),
    }
}

fn suggest_value(text: &mut String, options: &[Value], got: &Value) -> std::fmt::Result {
    let Some(got) = got.as_str() else { return Ok(()) };
    let options: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
    match nearest(got, &options) {
        Some(option) => write!(text, "; did you mean \"{option}\"?"),
        None => Ok(()),
    }
}

/// The `type` keyword that failed, as it is written.
fn expected_type(schema: &ArgumentSchema, error: &ValidationError<'_>) -> String {
    match parent(schema, error).and_then(|parent| parent.get("type")) {
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        _ => "another type".to_owned(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Object(_) => "object",
        Value::String(_) => "string",
    }
}

fn shown(value: &Value) -> String {
    clip(&value.to_string(), MOST_CHARS)
}

fn quoted_list(names: &[String]) -> String {
    let names: Vec<String> =
        names.iter().take(20).map(|name| format!("`{}`", clip(name, MOST_CHARS))).collect();
    names.join(", ")
}

fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// The word nearest to `word`: at most two edits, or a third of its length, away.
fn nearest<'a>(word: &str, words: &[&'a str]) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let most = (word.chars().count() / 3).clamp(1, 3);
    let near = words.iter().take(200).filter(|other| other.len() <= 64);
    let near = near.map(|other| (distance(&plain(word), &plain(other)), *other));
    near.filter(|(edits, _)| *edits <= most).min_by_key(|(edits, _)| *edits).map(|(_, other)| other)
}

/// A name without case and separators, so that `workspaceId` is near `workspace_id`.
fn plain(word: &str) -> Vec<char> {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Levenshtein distance, with one row of memory.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(other) {
            let kept = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = kept.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compiled(schema: &Value) -> ArgumentSchema {
        ArgumentSchema::compile(&RawValue::from_string(schema.to_string()).unwrap()).unwrap()
    }

    fn contact() -> ArgumentSchema {
        compiled(&json!({
            "type": "object",
            "properties": {
                "email": {"type": "string", "maxLength": 5},
                "workspace_id": {"type": "string"},
                "stage": {"enum": ["open", "won", "lost"]},
                "limit": {"type": "integer", "minimum": 1},
                "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
            },
            "required": ["email"],
            "additionalProperties": false,
            "$defs": {"tag": {"type": ["string", "null"]}},
        }))
    }

    #[test]
    fn errors_say_where_what_was_expected_and_what_came() {
        let cases = [
            (json!({"email": 5}), "email: expected string, got integer 5"),
            (json!({}), "arguments: property `email` is required and missing"),
            (
                json!({"e_mial": "a", "email": "a"}),
                "arguments: unexpected property `e_mial`; did you mean `email`?",
            ),
            (
                json!({"workspaceId": "w", "email": "a"}),
                "arguments: unexpected property `workspaceId`; did you mean `workspace_id`?",
            ),
            (
                json!({"email": "a", "zzz": 1}),
                "arguments: unexpected property `zzz`; allowed are `email`, `id`, `limit`, \
                 `stage`, `tags`, `workspace_id`",
            ),
            (
                json!({"email": "a", "stage": "Wonn"}),
                "stage: expected one of \"open\", \"won\", \"lost\", got \"Wonn\"; did you mean \"won\"?",
            ),
            (
                json!({"email": "a", "tags": ["x", 7]}),
                "tags[1]: expected string or null, got integer 7",
            ),
            (
                json!({"email": "a", "id": true}),
                "id: fits none of the 2 allowed forms (id: the value is not of type \"string\"; or \
                 id: the value is not of type \"integer\"), got true",
            ),
            (
                json!({"email": "a", "limit": 0}),
                "limit: the value is less than the minimum of 1, got 0",
            ),
            (
                json!({"email": "abcdef"}),
                "email: the value is longer than 5 characters, got \"abcdef\"",
            ),
            (json!([]), "arguments: expected object, got array []"),
        ];
        let schema = contact();
        for (arguments, expected) in cases {
            let expected = format!("Validation error: {expected}");
            assert_eq!(check(&schema, &arguments), Err(expected), "{arguments}");
        }
        assert_eq!(check(&schema, &json!({"email": "a", "stage": "won"})), Ok(()));
    }

    #[test]
    fn a_missing_property_under_a_near_name_is_found() {
        let schema = compiled(&json!({"properties": {"email": {}}, "required": ["email"]}));
        assert_eq!(
            check(&schema, &json!({"e-mail": "a"})).unwrap_err(),
            "Validation error: arguments: property `email` is required and missing; \
             rename `e-mail` to `email`"
        );
    }

    #[test]
    fn long_values_and_many_errors_are_cut() {
        let schema = compiled(&json!({"additionalProperties": {"type": "integer"}}));
        let many = (0..100).map(|n| (format!("k{n}"), json!("x".repeat(10_000)))).collect();
        let text = check(&schema, &Value::Object(many)).unwrap_err();
        assert_eq!(text.lines().count(), MOST_ERRORS);
        assert!(text.len() < 1000, "{text}");
    }

    #[test]
    fn nothing_outside_the_schema_is_fetched() {
        for reference in ["https://example.com/s.json", "file:///etc/hostname", "other.json"] {
            let raw = RawValue::from_string(json!({"$ref": reference}).to_string()).unwrap();
            assert!(matches!(ArgumentSchema::compile(&raw), Err(SchemaError::Invalid(_))));
        }
    }

    #[test]
    fn patterns_that_need_backtracking_are_bounded() {
        let schema = compiled(&json!({"pattern": "^(?=(a+)+b)a*c$"}));
        assert!(check(&schema, &json!("a".repeat(5_000))).is_err());
    }

    #[test]
    fn distance_counts_edits() {
        for (one, other, expected) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)]
        {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(distance(&chars(one), &chars(other)), expected);
        }
    }
}
