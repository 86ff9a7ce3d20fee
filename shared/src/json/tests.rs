//! Walks through texts that are JSON, and through such as are not.

use proptest::prelude::*;

use super::{walk::special, *};

#[test]
fn the_members_of_an_object_come_with_the_text_of_their_values() {
    let text = r#" {"a" : [1, {"b":"\"}"}] , "c\u0061":"x\ud800" ,"d":null} "#;
    let mut found = Vec::new();
    let whole = members(text, |name, value| {
        found.push((name.to_owned(), value));
        Some(())
    });
    assert_eq!(whole, Some(()));
    let expected = [("a", r#"[1, {"b":"\"}"}]"#), ("ca", r#""x\ud800""#), ("d", "null")];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
    for bad in [
        "",
        "[]",
        "{",
        "{} x",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":[}"#,
        r#"{"a":1,}"#,
        r#"{"\ud800":1}"#,
    ] {
        assert!(members(bad, |_, _| Some(())).is_none(), "{bad}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(127), "]".repeat(127));
    assert!(members(&deep, |_, _| Some(())).is_some());
    let deeper = format!("{{\"a\":{}{}}}", "[".repeat(128), "]".repeat(128));
    assert!(members(&deeper, |_, _| Some(())).is_none());
}

#[test]
fn the_elements_of_an_array_come_as_they_are_written() {
    let mut found = Vec::new();
    let whole = elements(r#" [ 1 ,"a,]", [2] ,{"b":[]}] "#, |value| {
        found.push(value);
        Some(())
    });
    assert_eq!((whole, found), (Some(()), vec!["1", "\"a,]\"", "[2]", "{\"b\":[]}"]));
    assert_eq!(elements("[]", |_| None), Some(()));
    assert_eq!(elements("[1]", |_| None), None);
    for bad in ["", "{}", "[", "[1,]", "[1 2]", "[] x", "[a]"] {
        assert!(elements(bad, |_| Some(())).is_none(), "{bad}");
    }
}

/// Bytes of every kind, and close to those that do not mean themselves.
fn word() -> impl Strategy<Value = [u8; 8]> {
    let near = b"\"\\\x00\x1f\x20\x21\x23\x5b\x5d\x7f\x80\x9f\xa0\xa2\xdc\xff";
    let near = prop::sample::select(near.to_vec());
    prop_oneof![any::<[u8; 8]>(), prop::array::uniform8(near)]
}

/// What stands in a string: escapes that are allowed and such as are not, at every distance.
fn inside() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z \u{e9}\u{1f600}]{0,20}",
        6 => prop::sample::select(vec![
            "\\\"", "\\\\", "\\n", "\\/", "\\b", "\\u0041", "\\u00e9", "\\ud83d\\ude00",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            "\\", "\"", "\\x", "\\u12", "\\u12g4", "\n", "\0", "\\ud800", "\\udc00",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

struct Anything;

impl Visitor<'_> for Anything {
    type Fault = JsonFault;
    type Place = ();

    fn element(&self, (): ()) {}

    fn member(&mut self, (): (), _: Name<'_>) -> Result<(), JsonFault> {
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_bytes_that_do_not_mean_themselves_are_marked_and_no_others(word in word()) {
        let marks = special(u64::from_le_bytes(word)).to_le_bytes();
        let is_special = |byte: u8| matches!(byte, 0..0x20 | b'"' | b'\\');
        let expected = word.map(|byte| if is_special(byte) { 0x80 } else { 0 });
        prop_assert_eq!(marks, expected, "{:?}", word);
    }

    #[test]
    fn a_string_is_one_to_every_reader_or_to_none(inside in inside()) {
        let text = format!("\"{inside}\"");
        let own = visit(&text, 8, (), &mut Anything).is_ok();
        prop_assert_eq!(own, serde_json::from_str::<String>(&text).is_ok(), "{}", text);
        let object = format!("{{{text}:{text}}}");
        let mut read = None;
        let whole = members(&object, |name, value| {
            read = Some((name.to_owned(), value == text));
            Some(())
        });
        prop_assert_eq!(whole.is_some(), own);
        let name: Option<String> = serde_json::from_str(&text).ok();
        prop_assert_eq!(read.filter(|_| own), name.map(|name| (name, true)));
    }
}
