//! One scan of a body before it is forwarded: it must mean one thing to every reader.
//!
//! I-JSON as far as readers differ (RFC 7493 section 2): UTF-8, no lone surrogates, no member
//! name twice at any depth, no U+0000 in names, bounded depth. Where policy reads names, none may
//! look like one of them without being it, because a backend may compare without case.

mod names;
mod outline;

use names::{Lookalike, Place};
use shared::json::{self, JsonFault, Name, Visitor};

pub(crate) use self::outline::{Member, Outline};

/// What a body may hold, and which argument names policy reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'a> {
    /// Argument names that policy reads, such as the one that names the workspace.
    pub(crate) arguments: &'a [&'a str],
    /// How deep arrays and objects may nest.
    pub(crate) depth: usize,
}

/// The depth that suits every client.
pub(crate) const DEPTH: usize = 64;

/// Why a body does not mean one thing; the number is the byte where it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScanViolation {
    #[error(transparent)]
    Json(#[from] JsonFault),
    #[error("the member name at byte {0} differs from a protocol name only in case or form")]
    Lookalike(usize),
    #[error("the body is not UTF-8 at byte {0}")]
    NotUtf8(usize),
    #[error("a member name holds U+0000 at byte {0}")]
    NullInName(usize),
}

/// Scans a body once, without building a tree.
pub(crate) fn scan<'a>(body: &'a [u8], limits: Limits<'_>) -> Result<Outline<'a>, ScanViolation> {
    let text =
        std::str::from_utf8(body).map_err(|error| ScanViolation::NotUtf8(error.valid_up_to()))?;
    let mut policy = Policy { arguments: limits.arguments, outline: Outline::default() };
    json::visit(text, limits.depth, Place::MESSAGE, &mut policy)?;
    Ok(policy.outline)
}

/// Holds names against those that policy reads.
struct Policy<'l, 'a> {
    arguments: &'l [&'l str],
    outline: Outline<'a>,
}

impl<'a> Visitor<'a> for Policy<'_, 'a> {
    type Fault = ScanViolation;
    type Place = Place;

    fn element(&self, array: Place) -> Place {
        array.of_element()
    }

    fn member(&mut self, object: Place, name: Name<'_>) -> Result<Place, ScanViolation> {
        // Only an escape writes this one.
        if name.has_escapes && name.text.contains('\0') {
            return Err(ScanViolation::NullInName(name.at));
        }
        let place = object.of_member(name.text, self.arguments);
        place.map_err(|Lookalike| ScanViolation::Lookalike(name.at))
    }

    fn value(&mut self, place: Place, at: usize, text: &'a str) {
        if let Some(member) = place.member {
            self.outline.note(member, at, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use proptest::prelude::*;
    use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
    use serde_json::Value;

    use super::*;

    fn scan(body: &[u8], limits: Limits<'_>) -> Result<(), ScanViolation> {
        super::scan(body, limits).map(drop)
    }

    const LIMITS: Limits<'_> = Limits { arguments: &["workspace_id"], depth: DEPTH };

    #[test]
    fn a_body_with_one_meaning_passes() {
        for good in [
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
            r#" { "params" : { "name" : "x" , "arguments" : { } } , "id" : -1.5e+3 } "#,
            r#"{"a":[1,2.0,true,false,null,"\u00e9\ud83d\ude00\n"],"b":{"a":{"a":0}}}"#,
            r#"{"params":{"arguments":{"workspace_id":"w","list":[{"workspace_id":"w"}]}}}"#,
            r#"{"params":{"_meta":{"Name":1,"progressToken":1}},"result":{"ID":1,"id":2}}"#,
            r#"{"p\u0061rams":{"n\u0061me":"x"},"x":"\u0000"}"#,
            "[]",
            "0",
        ] {
            assert_eq!(scan(good.as_bytes(), LIMITS), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_body_that_readers_take_apart_differently_is_refused() {
        use JsonFault as J;
        use ScanViolation as V;
        let deep = "[".repeat(65) + &"]".repeat(65);
        let many: Vec<String> = (0..40).map(|n| format!(r#""k{}":0"#, n % 39)).collect();
        let many = format!("{{{}}}", many.join(","));
        let cases: &[(&[u8], ScanViolation)] = &[
            (br#"{"method":"a","method":"b"}"#, V::Json(J::DuplicateName(27))),
            (br#"{"a":{"x":1,"\u0078":2}}"#, V::Json(J::DuplicateName(23))),
            (many.as_bytes(), V::Json(J::DuplicateName(many.len()))),
            (br#"{"a":1e400}"#, V::Json(J::Number(5))),
            (br#"{"Method":"a"}"#, V::Lookalike(1)),
            (br#"{"params":{"NAME":"a"}}"#, V::Lookalike(11)),
            ("{\"params\":{\"na\u{FF4D}e\":1}}".as_bytes(), V::Lookalike(11)),
            ("{\"para\u{AD}ms\":{}}".as_bytes(), V::Lookalike(1)),
            ("{\"param\u{17F}\":{}}".as_bytes(), V::Lookalike(1)),
            ("{\"params\":{\"ur\u{131}\":1}}".as_bytes(), V::Lookalike(11)),
            (br#"{"params":{"arguments":{"Workspace_ID":1}}}"#, V::Lookalike(24)),
            (br#"{"params":{"arguments":{"a":[{"WORKSPACE_id":1}]}}}"#, V::Lookalike(30)),
            (br#"{"params":{"_meta":{"progresstoken":1}}}"#, V::Lookalike(20)),
            (br#"{"params":{"ref":{"URI":1}}}"#, V::Lookalike(18)),
            (br#"{"a":"\ud800"}"#, V::Json(J::LoneSurrogate(6))),
            (br#"{"a":"\udc00\ud800"}"#, V::Json(J::LoneSurrogate(6))),
            (br#"{"a":"\ud800\u0041"}"#, V::Json(J::LoneSurrogate(6))),
            (br#"{"a\u0000":1}"#, V::NullInName(1)),
            (b"{\"a\":\"\xff\"}", V::NotUtf8(6)),
            (deep.as_bytes(), V::Json(J::Depth(64))),
            (b"", V::Json(J::Syntax(0))),
            (b"{} {}", V::Json(J::Syntax(3))),
            (b"{\"a\":01}", V::Json(J::Syntax(6))),
            (b"{\"a\":1,}", V::Json(J::Syntax(7))),
            (b"[1,]", V::Json(J::Syntax(3))),
            (b"{'a':1}", V::Json(J::Syntax(1))),
            (b"\"a\nb\"", V::Json(J::Syntax(2))),
            (b"\"\\x\"", V::Json(J::Syntax(2))),
            (b"\"\\u12g4\"", V::Json(J::Syntax(2))),
            (b"NaN", V::Json(J::Syntax(0))),
            ("\u{FEFF}{}".as_bytes(), V::Json(J::Syntax(0))),
        ];
        for (body, expected) in cases {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(scan(body, LIMITS), Err(*expected), "{shown}");
        }
    }

    /// A JSON value as an independent parser reads it, with every member kept.
    #[derive(Clone, Debug, PartialEq)]
    enum Node {
        Other(String),
        Object(Vec<(String, Node)>),
    }

    impl<'de> Deserialize<'de> for Node {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(NodeVisitor)
        }
    }

    struct NodeVisitor;

    impl<'de> Visitor<'de> for NodeVisitor {
        type Value = Node;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("JSON")
        }

        fn visit_unit<E>(self) -> Result<Node, E> {
            Ok(Node::Other("null".to_owned()))
        }

        fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
            Ok(Node::Other(number.to_string()))
        }

        fn visit_str<E>(self, text: &str) -> Result<Node, E> {
            Ok(Node::Other(format!("{text:?}")))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Node::Other("array".to_owned()))
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(Node::Object(members))
        }
    }

    type Reader = fn(&[(String, Node)], &str) -> Option<Node>;

    const READERS: [Reader; 4] = [
        |members, name| members.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()),
        |members, name| members.iter().rfind(|(n, _)| n == name).map(|(_, v)| v.clone()),
        |members, name| {
            let same = |n: &str| n.to_lowercase() == name.to_lowercase();
            members.iter().find(|(n, _)| same(n)).map(|(_, v)| v.clone())
        },
        |members, name| {
            let same = |n: &str| n.to_uppercase() == name.to_uppercase();
            members.iter().rfind(|(n, _)| same(n)).map(|(_, v)| v.clone())
        },
    ];

    /// What a backend would act on.
    fn decision(message: &Node, read: Reader) -> Vec<Option<Node>> {
        let member = |node: &Option<Node>, name: &str| match node {
            Some(Node::Object(members)) => read(members, name),
            _ => None,
        };
        let message = Some(message.clone());
        let params = member(&message, "params");
        let arguments = member(&params, "arguments");
        vec![
            member(&message, "method"),
            member(&message, "id"),
            member(&params, "name"),
            member(&params, "uri"),
            member(&arguments, "workspace_id"),
        ]
    }

    /// JSON text whose names are variants of few words, so that clashes are common.
    fn message() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec![
            "method",
            "Method",
            "params",
            "PARAMS",
            "par\\u0061ms",
            "param\u{17F}",
            "arguments",
            "Arguments",
            "name",
            "n\\u0061me",
            "\u{FF4E}ame",
            "uri",
            "ur\u{131}",
            "id",
            "\u{130}d",
            "_meta",
            "cursor",
            "io.modelcontextprotocol/protocolVersion",
            "io.modelcontextprotocol/clientCapabilities",
            "requestState",
            "taskId",
            "result",
            "workspace_id",
            "WORKSPACE_ID",
            "wor\u{212A}space_id",
            "x",
            "y",
        ]);
        let leaf = prop::sample::select(vec!["1", "2", "\"a\"", "null", "[{\"x\":1}]"]);
        leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, move |inner| {
            prop::collection::vec((name.clone(), inner), 0..4).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            })
        })
    }

    const MEMBERS: [(Member, &str); 15] = [
        (Member::Arguments, "/params/arguments"),
        (Member::Capabilities, "/params/_meta/io.modelcontextprotocol~1clientCapabilities"),
        (Member::Cursor, "/params/cursor"),
        (Member::Error, "/error"),
        (Member::Id, "/id"),
        (Member::Jsonrpc, "/jsonrpc"),
        (Member::Meta, "/params/_meta"),
        (Member::Method, "/method"),
        (Member::Name, "/params/name"),
        (Member::Params, "/params"),
        (Member::Result, "/result"),
        (Member::State, "/params/requestState"),
        (Member::TaskId, "/params/taskId"),
        (Member::Uri, "/params/uri"),
        (Member::Version, "/params/_meta/io.modelcontextprotocol~1protocolVersion"),
    ];

    proptest! {
        #[test]
        fn every_reader_decides_the_same_about_a_body_that_passes(
            text in message(), params in message(), arguments in message()
        ) {
            let whole = format!(
                "{{\"method\":\"m\",\"params\":{{\"arguments\":{arguments},\"x\":{params}}},\"y\":{text}}}"
            );
            for body in [text, whole] {
                if scan(body.as_bytes(), LIMITS).is_ok() {
                    let node: Node = serde_json::from_str(&body).unwrap();
                    let expected = decision(&node, READERS[0]);
                    for read in READERS {
                        prop_assert_eq!(&decision(&node, read), &expected, "{}", body);
                    }
                }
            }
        }

        #[test]
        fn the_outline_says_what_another_reader_finds(params in message(), meta in message()) {
            let body = format!(
                "{{ \"jsonrpc\" :\"2.0\",\"id\":[1 ], \"result\":{meta},\"params\": {params}}}"
            );
            let whole = body.replacen("{\"x\":", &format!("{{\"_meta\": {meta} ,\"x\":"), 1);
            for body in [body, whole, params] {
                let Ok(outline) = super::scan(body.as_bytes(), LIMITS) else { continue };
                let value: Value = serde_json::from_str(&body).unwrap();
                for (member, pointer) in MEMBERS {
                    let text = outline.text(member);
                    let found = text.map(|text| serde_json::from_str::<Value>(text).unwrap());
                    prop_assert_eq!(found.as_ref(), value.pointer(pointer), "{} {}", body, pointer);
                    let ranged = outline.range(member).map(|range| &body[range]);
                    prop_assert_eq!(ranged, text);
                }
            }
        }

        #[test]
        fn what_passes_is_json_and_nothing_panics(body in "[\\[\\]{}:,\"\\\\u0-9a-fA-F.eE+\\- tnlrs]{0,24}") {
            let own = scan(body.as_bytes(), LIMITS).is_ok();
            let other = serde_json::from_str::<IgnoredAny>(&body).is_ok();
            // The other parser lets repeated names pass, never the reverse.
            prop_assert!(other || !own, "{}", body);
        }

        #[test]
        fn ordinary_json_passes(names in prop::collection::hash_set("[a-z]{1,6}", 0..40), text in any::<String>()) {
            let members = names.into_iter().map(|n| (format!("k{n}"), serde_json::json!([text, 1.5])));
            let body = Value::Object(members.collect()).to_string();
            prop_assert_eq!(scan(body.as_bytes(), LIMITS), Ok(()));
        }
    }
}
