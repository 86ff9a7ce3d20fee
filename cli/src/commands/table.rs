//! Answers for people: aligned columns, or one line per field. What strangers wrote can neither
//! begin a line of its own nor steer the terminal.

use serde_json::Value;

use super::Place;
use crate::log;

/// A column: its title, and what a row shows there.
pub(super) type Column = (&'static str, fn(&Value) -> String);

/// Shows a list as a table, or as JSON.
pub(super) fn list<const N: usize>(place: &Place, rows: &[Value], columns: [Column; N]) {
    if place.json {
        log::say(&pretty(&Value::Array(rows.to_vec())));
        return;
    }
    if rows.is_empty() {
        log::say("none");
        return;
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| columns.iter().map(|(_, cell)| clean(&cell(row))).collect())
        .collect();
    let titles: Vec<String> = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    let width = |at: usize| {
        let cells = std::iter::once(&titles).chain(&cells);
        cells.filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in std::iter::once(&titles).chain(&cells) {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        log::say(padded.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// Shows one thing, field by field, or as JSON.
pub(super) fn one(place: &Place, value: &Value) {
    if place.json {
        log::say(&pretty(value));
        return;
    }
    let fields = value.as_object().into_iter().flatten();
    for (name, value) in fields {
        log::say(&format!("{:<16}{}", name.replace('_', " "), clean(&text(value))));
    }
}

/// Says that something was done, or nothing where a script listens.
pub(super) fn done(place: &Place, sentence: &str) {
    if !place.json {
        log::say(&clean(sentence));
    }
}

/// A field as text.
pub(super) fn field(value: &Value, name: &str) -> String {
    text(value.get(name).unwrap_or(&Value::Null))
}

/// A value as a person reads it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null => "-".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(name, value)| format!("{name} ({})", text(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        Value::String(text) => text.clone(),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn clean(text: &str) -> String {
    let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(clean).collect()
}
