//! A quick form of the plain schemas that nearly all tools have: whether arguments surely fit,
//! found without building anything. Where it is not sure, the validator is asked.

use serde_json::{Map, Value};
use shared::json;

/// A schema of an object whose properties have plain types.
#[derive(Debug)]
pub(crate) struct Quick {
    /// Whether headers repeat some of its properties.
    pub(crate) has_headers: bool,
    properties: Vec<Property>,
    /// Which of the properties must be there, a bit for each.
    required: u64,
}

#[derive(Debug)]
struct Property {
    /// `None`: only the validator knows.
    form: Option<Form>,
    name: Box<str>,
}

/// What a value may be: one of several forms.
#[derive(Debug)]
enum Form {
    Any(Vec<Form>),
    Array { items: Plain, least: usize, most: usize },
    Plain(Plain),
}

/// What a value may be that is neither array nor object.
#[derive(Debug)]
struct Plain {
    kinds: Vec<Kind>,
    /// How long a text may be, in characters.
    length: (usize, usize),
    /// The least and the largest number.
    range: (i64, i64),
    /// The texts there are.
    words: Option<Vec<Box<str>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boolean,
    Integer,
    Null,
    Number,
    Text,
}

impl Quick {
    /// The quick form of a schema, if it has one.
    pub(super) fn of(schema: &Value) -> Option<Self> {
        let schema = schema.as_object()?;
        let has_form = |(name, value): (&String, &Value)| match name.as_str() {
            "$schema" => value.as_str().is_some_and(|dialect| DIALECTS.contains(&dialect)),
            "type" => value == "object",
            "properties" => value.is_object(),
            // What is not declared is left to the validator.
            "additionalProperties" | "required" => true,
            _ => is_annotation(name),
        };
        if !schema.iter().all(has_form) {
            return None;
        }
        let declared = schema.get("properties").and_then(Value::as_object);
        let declared = || declared.into_iter().flatten();
        let properties: Vec<Property> =
            declared().map(|(name, schema)| Property::of(name, schema)).collect();
        let mut required = 0;
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            required |= bit(properties.iter().position(|one| Some(&*one.name) == name.as_str())?);
        }
        let has_headers = declared().any(|(_, schema)| schema.get("x-mcp-header").is_some());
        let is_small = properties.len() <= MOST_PROPERTIES;
        is_small.then_some(Self { has_headers, properties, required })
    }

    /// Whether arguments surely fit: all of them are declared, and no value holds an object.
    /// `each` gets the name and the text of every one.
    pub(crate) fn surely_fits<'q, 'a>(
        &'q self,
        arguments: &'a str,
        mut each: impl FnMut(&'q str, &'a str),
    ) -> bool {
        let mut given = 0;
        let whole = json::members(arguments, |name, value| {
            let at = self.properties.iter().position(|one| *one.name == *name)?;
            let Property { form, name } = self.properties.get(at)?;
            let is_new = given & bit(at) == 0;
            given |= bit(at);
            each(name, value);
            (is_new && form.as_ref()?.surely_fits(value)).then_some(())
        });
        whole.is_some() && given & self.required == self.required
    }
}

/// As many as have a bit each.
const MOST_PROPERTIES: usize = 64;
/// The dialects in which all of this means the same.
const DIALECTS: [&str; 3] = [
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2020-12/schema",
];
const ANY_NUMBER: (i64, i64) = (i64::MIN, i64::MAX);
const ANY_SIZE: (usize, usize) = (0, usize::MAX);
/// How long a number may be that is read here.
const MOST_DIGITS: usize = 15;

fn bit(at: usize) -> u64 {
    u32::try_from(at).ok().and_then(|at| 1_u64.checked_shl(at)).unwrap_or_default()
}

/// Whether a keyword says nothing of what fits.
fn is_annotation(keyword: &str) -> bool {
    matches!(
        keyword,
        "$comment"
            | "default"
            | "deprecated"
            | "description"
            | "examples"
            | "readOnly"
            | "title"
            | "writeOnly"
    ) || keyword.starts_with("x-")
}

impl Property {
    fn of(name: &str, schema: &Value) -> Self {
        // Names that a reader may have a meaning of its own for are left to the validator.
        let form = Form::of(schema).filter(|_| !name.starts_with('$'));
        Self { form, name: name.into() }
    }
}

impl Form {
    fn of(schema: &Value) -> Option<Self> {
        let schema = schema.as_object()?;
        if let Some(forms) = schema.get("anyOf") {
            let is_alone = schema.keys().all(|name| name == "anyOf" || is_annotation(name));
            let forms: Option<Vec<Self>> = forms.as_array()?.iter().map(Self::of).collect();
            return forms.filter(|_| is_alone).map(Self::Any);
        }
        let Some(items) = schema.get("items") else { return Plain::of(schema).map(Self::Plain) };
        let has_form = |(name, value): (&String, &Value)| match name.as_str() {
            "type" => value == "array",
            "items" | "maxItems" | "minItems" => true,
            _ => is_annotation(name),
        };
        let (least, most) = bounds(schema, ("minItems", "maxItems"), ANY_SIZE, size)?;
        let is_array = schema.contains_key("type") && schema.iter().all(has_form);
        let items = Plain::of(items.as_object()?).filter(|_| is_array)?;
        Some(Self::Array { items, least, most })
    }

    fn surely_fits(&self, value: &str) -> bool {
        match self {
            Self::Any(forms) => forms.iter().any(|form| form.surely_fits(value)),
            Self::Array { items, least, most } => {
                let mut count = 0;
                let whole = json::elements(value, |item| {
                    count += 1;
                    items.surely_fits(item).then_some(())
                });
                whole.is_some() && (*least..=*most).contains(&count)
            }
            Self::Plain(plain) => plain.surely_fits(value),
        }
    }
}

impl Plain {
    fn of(schema: &Map<String, Value>) -> Option<Self> {
        let has_form = |name: &String| match name.as_str() {
            "enum" | "maxLength" | "maximum" | "minLength" | "minimum" | "type" => true,
            _ => is_annotation(name),
        };
        if !schema.keys().all(has_form) {
            return None;
        }
        let words = match schema.get("enum") {
            Some(words) => {
                let words = words.as_array()?.iter().map(|word| word.as_str().map(Box::from));
                Some(words.collect::<Option<Vec<Box<str>>>>()?)
            }
            None => None,
        };
        let kinds = match schema.get("type") {
            Some(Value::Array(several)) => several.iter().map(kind).collect::<Option<_>>()?,
            Some(one) => vec![kind(one)?],
            None if words.is_some() => vec![Kind::Text],
            None => return None,
        };
        Some(Self {
            kinds,
            length: bounds(schema, ("minLength", "maxLength"), ANY_SIZE, size)?,
            range: bounds(schema, ("minimum", "maximum"), ANY_NUMBER, number)?,
            words,
        })
    }

    fn surely_fits(&self, value: &str) -> bool {
        let is = |kind| self.kinds.contains(&kind);
        match value.as_bytes().first() {
            Some(b'"') => is(Kind::Text) && self.is_text(value),
            Some(b't' | b'f') => is(Kind::Boolean) && self.words.is_none(),
            Some(b'n') => is(Kind::Null) && self.words.is_none(),
            Some(b'-' | b'0'..=b'9') => {
                (is(Kind::Integer) || is(Kind::Number))
                    && self.words.is_none()
                    && self.is_number(value, is(Kind::Number))
            }
            _ => false,
        }
    }

    fn is_text(&self, value: &str) -> bool {
        if self.words.is_none() && self.length == ANY_SIZE {
            return true;
        }
        let inside = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let Some(text) = inside.filter(|text| !text.contains('\\')) else { return false };
        let is_word = |words: &Vec<Box<str>>| words.iter().any(|word| **word == *text);
        let (least, most) = self.length;
        self.words.as_ref().is_none_or(is_word) && (least..=most).contains(&text.chars().count())
    }

    fn is_number(&self, value: &str, may_have_fraction: bool) -> bool {
        if may_have_fraction && self.range == ANY_NUMBER {
            return true;
        }
        let (least, most) = self.range;
        let is_read = value.len() <= MOST_DIGITS && value != "-0";
        is_read && value.parse().is_ok_and(|number| (least..=most).contains(&number))
    }
}

fn kind(name: &Value) -> Option<Kind> {
    Some(match name.as_str()? {
        "boolean" => Kind::Boolean,
        "integer" => Kind::Integer,
        "null" => Kind::Null,
        "number" => Kind::Number,
        "string" => Kind::Text,
        _ => return None,
    })
}

/// A number that is the same to every reader.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().filter(|number| number.unsigned_abs() < 1 << 53)
}

fn size(value: &Value) -> Option<usize> {
    number(value).and_then(|number| number.try_into().ok())
}

/// The two bounds of something: as wide as can be where the schema has none.
fn bounds<T>(
    schema: &Map<String, Value>,
    (least, most): (&str, &str),
    widest: (T, T),
    read: fn(&Value) -> Option<T>,
) -> Option<(T, T)> {
    let (min, max) = widest;
    let bound = |name: &str, open: T| match schema.get(name) {
        Some(value) => read(value),
        None => Some(open),
    };
    Some((bound(least, min)?, bound(most, max)?))
}

#[cfg(test)]
#[path = "quick_tests.rs"]
pub(crate) mod tests;
