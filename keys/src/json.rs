//! JSON that means one thing: a document whose objects, at any depth, name no member twice
//! (RFC 7519 section 4, RFC 8725 section 2.6).

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

/// Whether the bytes are a JSON object without a repeated member name. An array would do for a
/// derived struct, so the brace is looked for.
pub fn is_strict_object(bytes: &[u8]) -> bool {
    let first = bytes.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    first == Some(&b'{') && serde_json::from_slice::<Unambiguous>(bytes).is_ok()
}

/// A member that must not be there, whatever its value. Give the field `#[serde(default)]`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Absent;

impl<'de> Deserialize<'de> for Absent {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("this member is not accepted"))
    }
}

struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Unambiguous;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_unit<E>(self) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Unambiguous, A::Error> {
        while seq.next_element::<Unambiguous>()?.is_some() {}
        Ok(Unambiguous)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unambiguous, A::Error> {
        let mut names = Names::default();
        while let Some(Name(name)) = map.next_key()? {
            if !names.insert(name) {
                return Err(A::Error::custom("repeated member"));
            }
            map.next_value::<Unambiguous>()?;
        }
        Ok(Unambiguous)
    }
}

/// The names of one object: compared one by one while they are few, as they are in tokens.
#[derive(Default)]
struct Names<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

/// Up to how many names comparing costs less than hashing.
const FEW: usize = 16;

impl<'de> Names<'de> {
    /// Takes a name, if it is new.
    fn insert(&mut self, name: Cow<'de, str>) -> bool {
        if self.few.contains(&name) || self.many.contains(&name) {
            return false;
        }
        if self.few.len() < FEW {
            self.few.push(name);
        } else {
            self.many.insert(name);
        }
        true
    }
}

/// A member's name, borrowed where it is written without escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    /// Thirty members, and one more.
    fn many(last: &str) -> String {
        let names: Vec<String> = (0..30).map(|number| format!("\"{number}\":0")).collect();
        format!("{{{},\"{last}\":0}}", names.join(","))
    }

    #[test]
    fn a_repeated_name_is_found_at_any_depth_and_in_any_spelling() {
        for good in ["{}", r#"{"a":{"b":1},"b":[{"a":null},{"a":1.5}],"c":"","d":-1,"e":true}"#] {
            assert!(is_strict_object(good.as_bytes()), "{good}");
        }
        assert!(is_strict_object(many("30").as_bytes()));
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            &many("0"),
            &many("20"),
            r#"{"x":[{"y":{"a":1,"a":2}}]}"#,
            r#"{"a":1} {"a":2}"#,
            r#"{"a":1"#,
            "[]",
            "1",
            "",
        ] {
            assert!(!is_strict_object(bad.as_bytes()), "{bad}");
        }
        assert!(!is_strict_object(r#"{"a":"#.repeat(100_000).as_bytes()));
    }
}
