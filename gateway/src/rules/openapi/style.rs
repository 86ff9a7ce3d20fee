//! How a parameter's value is written into a URL or a header (`OpenAPI` 3.1.1, style values;
//! RFC 3986 section 2.3 for what needs no escape).

use std::fmt::Write;

use serde_json::value::RawValue;

use crate::rules::members::Members;

/// The styles that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `name[key]=value`.
    Deep,
    /// `name=value`, and for lists and objects as `explode` says.
    Form,
    /// The value as JSON text.
    Json,
    /// Values with `|` between them.
    Pipes,
    /// Values with commas between them.
    Simple,
    /// Values with spaces between them.
    Spaces,
}

impl Style {
    /// The style of a name, where it may be used at all.
    pub(super) fn of(place: &str, name: Option<&str>) -> Option<Self> {
        match (place, name) {
            ("query", None | Some("form")) => Some(Self::Form),
            ("query", Some("deepObject")) => Some(Self::Deep),
            ("query", Some("pipeDelimited")) => Some(Self::Pipes),
            ("query", Some("spaceDelimited")) => Some(Self::Spaces),
            ("path" | "header", None | Some("simple")) => Some(Self::Simple),
            _ => None,
        }
    }
}

/// A value as parameters see it.
#[derive(Debug)]
pub(super) enum Shape {
    List(Vec<String>),
    Members(Vec<(String, String)>),
    Nothing,
    One(String),
}

/// The value, or `None` where a list or an object holds more than plain values.
pub(super) fn shape(raw: &RawValue, style: Style) -> Option<Shape> {
    if style == Style::Json {
        return Some(Shape::One(raw.get().to_owned()));
    }
    let text = raw.get();
    match text.as_bytes().first()? {
        b'[' => {
            let values: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let plain = values.into_iter().map(plain);
            Some(Shape::List(plain.collect::<Option<_>>()?))
        }
        b'{' => {
            let members = Members::read(text.as_bytes())?;
            let each = members.names().map(|name| {
                let value = plain(members.find(name)?)?;
                Some((name.to_owned(), value))
            });
            Some(Shape::Members(each.collect::<Option<_>>()?))
        }
        b'n' => Some(Shape::Nothing),
        _ => plain(raw).map(Shape::One),
    }
}

/// A string's text, or a number as it was written.
fn plain(raw: &RawValue) -> Option<String> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str(raw.get()).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(raw.get().to_owned()),
    }
}

/// Pairs of a query, escaped, without `&`.
pub(super) fn query(name: &str, style: Style, explode: bool, shape: &Shape) -> Vec<String> {
    let pair = |name: &str, value: &str| format!("{}={value}", escape(name));
    let joined = |values: &[String], between: &str| {
        values.iter().map(|value| escape(value)).collect::<Vec<_>>().join(between)
    };
    let between = match style {
        Style::Pipes => "%7C",
        Style::Spaces => "%20",
        Style::Deep | Style::Form | Style::Json | Style::Simple => ",",
    };
    match shape {
        Shape::Nothing => Vec::new(),
        Shape::One(value) => vec![pair(name, &escape(value))],
        Shape::List(values) if values.is_empty() => Vec::new(),
        Shape::List(values) if explode => {
            values.iter().map(|value| pair(name, &escape(value))).collect()
        }
        Shape::List(values) => vec![pair(name, &joined(values, between))],
        Shape::Members(members) if members.is_empty() => Vec::new(),
        Shape::Members(members) if style == Style::Deep => members
            .iter()
            .map(|(key, value)| pair(&format!("{name}[{key}]"), &escape(value)))
            .collect(),
        Shape::Members(members) if explode => {
            members.iter().map(|(key, value)| pair(key, &escape(value))).collect()
        }
        Shape::Members(members) => {
            let flat: Vec<String> =
                members.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect();
            vec![pair(name, &joined(&flat, between))]
        }
    }
}

/// A path segment or a header in the simple style; each value goes through `write`.
pub(super) fn simple(shape: &Shape, explode: bool, write: fn(&str) -> String) -> String {
    match shape {
        Shape::Nothing => String::new(),
        Shape::One(value) => write(value),
        Shape::List(values) => {
            values.iter().map(|value| write(value)).collect::<Vec<_>>().join(",")
        }
        Shape::Members(members) => {
            let equals = if explode { "=" } else { "," };
            let each = members.iter().map(|(k, v)| format!("{}{equals}{}", write(k), write(v)));
            each.collect::<Vec<_>>().join(",")
        }
    }
}

/// Every byte but the unreserved ones escaped.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
