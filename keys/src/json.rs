//! JSON that means one thing: a document whose objects, at any depth, name no member twice
//! (RFC 7519 section 4, RFC 8725 section 2.6).

use serde::{Deserialize, Deserializer, de::Error};
use shared::json::{self, JsonFault, Name, Visitor};

/// How deep such a document nests at most.
const DEPTH: usize = 127;

/// Whether the bytes are a JSON object without a repeated member name. An array would do for a
/// derived struct, so the brace is looked for.
pub fn is_strict_object(bytes: &[u8]) -> bool {
    strict_members(bytes, []).is_some()
}

/// The values of the members of these names, as they are written in such an object; nothing if it
/// is none.
pub(crate) fn strict_members<'a, const N: usize>(
    bytes: &'a [u8],
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut own = Own { is_object: false, names, values: [None; N] };
    json::visit(text, DEPTH, Place::Whole, &mut own).ok()?;
    own.is_object.then_some(own.values)
}

struct Own<'n, 'a, const N: usize> {
    is_object: bool,
    names: [&'n str; N],
    values: [Option<&'a str>; N],
}

#[derive(Clone, Copy)]
enum Place {
    Inner,
    /// The member of the name at this index.
    Member(usize),
    Whole,
}

impl<'a, const N: usize> Visitor<'a> for Own<'_, 'a, N> {
    type Fault = JsonFault;
    type Place = Place;

    fn element(&self, _: Place) -> Place {
        Place::Inner
    }

    fn member(&mut self, object: Place, name: Name<'_>) -> Result<Place, JsonFault> {
        let wanted = || self.names.iter().position(|own| *own == name.text);
        Ok(match object {
            Place::Whole => wanted().map_or(Place::Inner, Place::Member),
            Place::Inner | Place::Member(_) => Place::Inner,
        })
    }

    fn value(&mut self, place: Place, _: usize, text: &'a str) {
        match place {
            Place::Inner => {}
            Place::Member(at) => {
                if let Some(value) = self.values.get_mut(at) {
                    *value = Some(text);
                }
            }
            Place::Whole => self.is_object = text.starts_with('{'),
        }
    }
}

/// A member that must not be there, whatever its value. Give the field `#[serde(default)]`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Absent;

impl<'de> Deserialize<'de> for Absent {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("this member is not accepted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thirty members, and one more.
    fn many(last: &str) -> String {
        let names: Vec<String> = (0..30).map(|number| format!("\"{number}\":0")).collect();
        format!("{{{},\"{last}\":0}}", names.join(","))
    }

    #[test]
    fn members_are_taken_from_the_object_itself() {
        let text = br#" {"x":{"exp":1},"exp":2,"nbf":null,"e\u0078tra":[3]} "#;
        let found = strict_members(text, ["exp", "iat", "nbf", "extra"]);
        assert_eq!(found, Some([Some("2"), None, Some("null"), Some("[3]")]));
        assert_eq!(strict_members(br#"[{"exp":1}]"#, ["exp"]), None);
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
