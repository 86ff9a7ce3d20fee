//! Walks through texts that are JSON, and through such as are not.

use proptest::prelude::*;

use super::{walk::plain, *};

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

proptest! {
    #[test]
    fn a_run_ends_at_the_first_byte_that_does_not_mean_itself(
        bytes in prop::collection::vec(any::<u8>(), 0..200), dense in any::<bool>()
    ) {
        let bytes: Vec<u8> =
            bytes.into_iter().map(|byte| if dense { byte } else { byte | 0x40 }).collect();
        let expected = bytes.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'));
        prop_assert_eq!(plain(&bytes), expected.unwrap_or(bytes.len()));
    }
}
