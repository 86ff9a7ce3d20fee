//! A record: how it is stored, shown and searched.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use unicode_normalization::UnicodeNormalization;

use crate::catalogue::{FieldKind, Module};

/// The fields of a record by name.
pub(crate) type Fields = Map<String, Value>;

/// One record; its moments are RFC 3339 in UTC, so they sort as text.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Record {
    pub(crate) created_at: String,
    pub(crate) fields: Fields,
    pub(crate) id: String,
    pub(crate) updated_at: String,
    /// The version of this form.
    pub(crate) v: u8,
    pub(crate) workspace_id: String,
}

/// A record in memory, with its searchable text.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) record: Record,
    pub(crate) text: String,
}

impl Record {
    /// The version written today.
    pub(crate) const VERSION: u8 = 1;

    /// The record as answers show it, fields in the catalogue's order.
    pub(crate) fn shown(&self, module: &Module) -> Value {
        let mut shown = Map::new();
        shown.insert("id".to_owned(), json!(self.id));
        shown.insert("workspace_id".to_owned(), json!(self.workspace_id));
        for field in &module.fields {
            if let Some(value) = self.fields.get(&field.name) {
                shown.insert(field.name.clone(), value.clone());
            }
        }
        shown.insert("created_at".to_owned(), json!(self.created_at));
        shown.insert("updated_at".to_owned(), json!(self.updated_at));
        Value::Object(shown)
    }

    /// Whether one of the record's references to the module is to that id.
    pub(crate) fn refers_to(&self, own: &Module, target: &Module, id: &str) -> bool {
        own.fields.iter().any(|field| {
            matches!(&field.kind, FieldKind::Reference { module } if *module == target.name)
                && self.fields.get(&field.name).and_then(Value::as_str) == Some(id)
        })
    }
}

impl Row {
    pub(crate) fn new(module: &Module, record: Record) -> Self {
        let mut text = String::new();
        for field in module.fields.iter().filter(|field| field.searchable) {
            match record.fields.get(&field.name) {
                Some(Value::String(value)) => add(&mut text, value),
                Some(Value::Array(values)) => {
                    values.iter().filter_map(Value::as_str).for_each(|tag| add(&mut text, tag));
                }
                _ => {}
            }
        }
        Self { record, text }
    }

    /// Whether every one of the folded words occurs.
    pub(crate) fn contains(&self, words: &[String]) -> bool {
        words.iter().all(|word| self.text.contains(word.as_str()))
    }
}

fn add(text: &mut String, value: &str) {
    text.push_str(&fold(value));
    // No query holds a line break, so no word matches across two fields.
    text.push('\n');
}

/// Text without differences of case, width and accent.
pub(crate) fn fold(text: &str) -> String {
    text.nfkd()
        // The accents of Latin, Greek and Cyrillic; the marks of other scripts carry sounds.
        .filter(|character| !('\u{300}'..='\u{36f}').contains(character))
        .flat_map(char::to_lowercase)
        .map(|character| if character == 'ς' { 'σ' } else { character })
        .collect()
}

/// The id that a number stands for: the module's prefix and sixteen letters and digits.
pub(crate) fn id(module: &Module, mut number: u128) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut id = format!("{}_", module.id_prefix);
    for _ in 0..16 {
        let letter = usize::try_from(number % 32).ok().and_then(|at| ALPHABET.get(at));
        id.extend(letter.map(|letter| char::from(*letter)));
        number /= 32;
    }
    id
}

/// The moment as records carry it, in whole seconds.
pub(crate) fn moment(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_forgets_case_width_and_accents_but_not_sounds() {
        for (one, other) in [
            ("José", "JOSE"),
            ("ΠΑΠΑΔΌΠΟΥΛΟΣ", "παπαδόπουλος"),
            ("Київ", "КИЇВ"),
            ("ＡＢＣ株式会社", "abc株式会社"),
            ("Łódź", "łódz"),
        ] {
            assert_eq!(fold(one), fold(other));
        }
        assert_ne!(fold("か"), fold("が"));
        assert_ne!(fold("कि"), fold("क"));
    }

    #[test]
    fn moments_are_in_utc_and_of_one_length() {
        assert_eq!(moment(1_790_000_000), "2026-09-21T14:13:20Z");
    }
}
