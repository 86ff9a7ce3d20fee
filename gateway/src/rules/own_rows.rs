//! A quick look at an answer, in one pass that builds nothing: whether every row in it is of the
//! caller's own workspaces. Where it is not sure, `rows.rs` searches the answer in full.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::rules::{rows::Rows, workspace};

/// How often a text may hold JSON that holds a text again.
const DEPTH: u8 = 3;

/// Whether a message surely holds no row of another workspace, in its values or in JSON within its
/// texts, and no text that names workspaces in words of its own.
pub(crate) fn all_own(rows: &Rows, message: &str) -> bool {
    Look { depth: DEPTH, rows }.at(message)
}

#[derive(Clone, Copy)]
struct Look<'r> {
    depth: u8,
    rows: &'r Rows,
}

impl Look<'_> {
    fn at(self, json: &str) -> bool {
        let mut json = serde_json::Deserializer::from_str(json);
        self.deserialize(&mut json).and_then(|()| json.end()).is_ok()
    }

    fn is_sure_of(self, text: &str) -> bool {
        if !text.contains(&self.rows.member) && !text.contains("\\u") {
            return true;
        }
        self.depth > 0 && Self { depth: self.depth - 1, ..self }.at(text)
    }

    fn is_own(self, workspace: &Value) -> bool {
        workspace::names(workspace, &self.rows.allowed)
    }
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Where the look is not sure it ends with an error.
impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows of the caller's own workspaces")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(is_workspace) = map.next_key_seed(IsMember(&self.rows.member))? {
            if !is_workspace {
                map.next_value_seed(self)?;
            } else if !self.is_own(&map.next_value()?) {
                return Err(A::Error::custom("perhaps a row of another workspace"));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.is_sure_of(text) { Ok(()) } else { Err(E::custom("a text that is to be searched")) }
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Whether a member's name is this one.
struct IsMember<'r>(&'r str);

impl<'de> DeserializeSeed<'de> for IsMember<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsMember<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use shared::ids::WorkspaceId;

    use super::*;
    use crate::rules::members::Members;

    fn rows() -> Rows {
        let allowed = ["a", "7"].map(|id| WorkspaceId::parse(id).unwrap()).to_vec();
        Rows { allowed, member: "workspace_id".to_owned() }
    }

    fn result(value: &Value, text: &str) -> Value {
        json!({"content": [{"type": "text", "text": text}], "structuredContent": value})
    }

    #[test]
    fn what_surely_is_the_callers_own_is_told_from_what_may_not_be() {
        let own = json!({"rows": [{"workspace_id": "a"}, {"workspace_id": 7, "n": [1.5, null]}]});
        let foreign = json!({"rows": [{"workspace_id": "a"}, {"workspace_id": "b"}]});
        let within = json!({"text": own.to_string()}).to_string();
        for (value, text, expected) in [
            (&own, own.to_string(), true),
            (&own, within, true),
            (&own, "2 rows \u{e9}".to_owned(), true),
            (&foreign, "2 rows".to_owned(), false),
            (&own, foreign.to_string(), false),
            (&own, "workspace_id: b".to_owned(), false),
            (&own, r#"{"w\u006frkspace_id":"b"}"#.to_owned(), false),
            (&own, "C:\\users".to_owned(), false),
            (&json!({"workspace_id": null}), String::new(), false),
            (&json!({"workspace_id": ["a"]}), String::new(), false),
        ] {
            let message = json!({"id": 1, "result": result(value, &text)}).to_string();
            assert_eq!(all_own(&rows(), &message), expected, "{message}");
        }
        assert!(!all_own(&rows(), r#"{"n":1e400}"#) && !all_own(&rows(), "{} {}"));
        assert!(!all_own(&rows(), r#"{"w\u006frkspace_id":"b"}"#));
    }

    proptest! {
        /// What the quick look lets pass, the full search leaves as it is.
        #[test]
        fn the_full_search_changes_nothing_in_what_passes_here(
            ids in prop::collection::vec(prop::sample::select(vec!["a", "7", "b", "c"]), 0..4),
            told in prop::sample::select(vec!["a", "b", "none"]),
            as_number in any::<bool>(),
        ) {
            let row = |id: &&str| match id.parse::<u64>() {
                Ok(number) if as_number => json!({"workspace_id": number}),
                _ => json!({"workspace_id": id}),
            };
            let value = json!({"rows": ids.iter().map(row).collect::<Vec<_>>()});
            let text = match told {
                "none" => "rows".to_owned(),
                id => json!({"of": {"workspace_id": id}}).to_string(),
            };
            let result = result(&value, &text);
            if all_own(&rows(), &json!({"result": result}).to_string()) {
                let text = result.to_string();
                let mut members = Members::read(text.as_bytes()).unwrap();
                rows().filter(&mut members).unwrap();
                let left: Value = serde_json::from_slice(&members.to_vec()).unwrap();
                prop_assert_eq!(left, result);
            }
        }
    }
}
