//! One scan of a body before it is forwarded: it must mean one thing to every reader.
//!
//! I-JSON as far as readers differ (RFC 7493 section 2): UTF-8, no lone surrogates, no member
//! name twice at any depth, no U+0000 in names, bounded depth. Where policy reads names, none may
//! look like one of them without being it, because a backend may compare without case.

mod names;

use std::borrow::Cow;

use names::{Place, has_repeated, is_lookalike};

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
    #[error("arrays and objects nest too deep at byte {0}")]
    Depth(usize),
    #[error("a member name occurs twice in the object that ends at byte {0}")]
    DuplicateName(usize),
    #[error("the member name at byte {0} differs from a protocol name only in case or form")]
    Lookalike(usize),
    #[error("a lone surrogate stands at byte {0}")]
    LoneSurrogate(usize),
    #[error("the body is not UTF-8 at byte {0}")]
    NotUtf8(usize),
    #[error("a member name holds U+0000 at byte {0}")]
    NullInName(usize),
    #[error("the number at byte {0} is larger than an IEEE 754 double holds")]
    Number(usize),
    #[error("the body is not JSON at byte {0}")]
    Syntax(usize),
}

/// Scans a body once, without building a tree.
pub(crate) fn scan(body: &[u8], limits: Limits<'_>) -> Result<(), ScanViolation> {
    let text =
        std::str::from_utf8(body).map_err(|error| ScanViolation::NotUtf8(error.valid_up_to()))?;
    let mut scanner = Scanner { at: 0, bytes: body, limits, names: Vec::new(), text };
    scanner.value(Place::Envelope, 0)?;
    scanner.space();
    if scanner.at == body.len() { Ok(()) } else { Err(ScanViolation::Syntax(scanner.at)) }
}

struct Scanner<'a> {
    at: usize,
    bytes: &'a [u8],
    limits: Limits<'a>,
    /// The names of every open object, innermost last.
    names: Vec<Cow<'a, str>>,
    text: &'a str,
}

impl<'a> Scanner<'a> {
    fn value(&mut self, place: Place, depth: usize) -> Result<(), ScanViolation> {
        self.space();
        match self.peek() {
            Some(b'{') => self.object(place, depth),
            Some(b'[') => self.array(place, depth),
            Some(b'"') => self.string(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, place: Place, depth: usize) -> Result<(), ScanViolation> {
        self.enter(depth)?;
        let first = self.names.len();
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.space();
            let name = self.name(place)?;
            let inner = place.of_member(&name);
            self.names.push(name);
            self.space();
            self.expect(b':')?;
            self.value(inner, depth + 1)?;
            self.space();
            if self.take(b',') {
                continue;
            }
            self.expect(b'}')?;
            break;
        }
        let own = self.names.get_mut(first..).unwrap_or_default();
        if has_repeated(own) {
            return Err(ScanViolation::DuplicateName(self.at));
        }
        self.names.truncate(first);
        Ok(())
    }

    fn array(&mut self, place: Place, depth: usize) -> Result<(), ScanViolation> {
        self.enter(depth)?;
        self.space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(place.of_element(), depth + 1)?;
            self.space();
            if !self.take(b',') {
                return self.expect(b']');
            }
        }
    }

    fn enter(&mut self, depth: usize) -> Result<(), ScanViolation> {
        if depth >= self.limits.depth {
            return Err(ScanViolation::Depth(self.at));
        }
        self.at += 1;
        Ok(())
    }

    /// A member name, decoded and held against the names policy reads at this place.
    fn name(&mut self, place: Place) -> Result<Cow<'a, str>, ScanViolation> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(ScanViolation::Syntax(start));
        }
        self.string()?;
        let inside = self.text.get(start + 1..self.at - 1).unwrap_or_default();
        let name =
            if inside.contains('\\') { Cow::Owned(decode(inside)) } else { Cow::Borrowed(inside) };
        if name.contains('\0') {
            return Err(ScanViolation::NullInName(start));
        }
        let read = place.read(self.limits.arguments);
        if is_lookalike(&name, read) { Err(ScanViolation::Lookalike(start)) } else { Ok(name) }
    }

    /// A string from its opening to past its closing quotation mark.
    fn string(&mut self) -> Result<(), ScanViolation> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                _ => return Err(ScanViolation::Syntax(self.at)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ScanViolation> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.unit()? {
                0xD800..=0xDBFF => {
                    let paired = self.take(b'\\')
                        && self.peek() == Some(b'u')
                        && matches!(self.unit()?, 0xDC00..=0xDFFF);
                    if paired { Ok(()) } else { Err(ScanViolation::LoneSurrogate(start)) }
                }
                0xDC00..=0xDFFF => Err(ScanViolation::LoneSurrogate(start)),
                _ => Ok(()),
            },
            _ => Err(ScanViolation::Syntax(self.at)),
        }
    }

    /// The UTF-16 unit of `uXXXX`.
    fn unit(&mut self) -> Result<u32, ScanViolation> {
        let digits = self.text.get(self.at + 1..self.at + 5).unwrap_or_default();
        if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ScanViolation::Syntax(self.at));
        }
        self.at += 5;
        u32::from_str_radix(digits, 16).map_err(|_| ScanViolation::Syntax(self.at))
    }

    /// A number that every reader takes for the same one (RFC 7493 section 2.2).
    fn number(&mut self) -> Result<(), ScanViolation> {
        const SURELY_FINITE: usize = 18;
        let start = self.at;
        self.digits_and_exponent()?;
        let text = self.text.get(start..self.at).unwrap_or_default();
        if text.len() > SURELY_FINITE || text.contains(['e', 'E']) {
            let is_finite = text.parse::<f64>().is_ok_and(f64::is_finite);
            return if is_finite { Ok(()) } else { Err(ScanViolation::Number(start)) };
        }
        Ok(())
    }

    fn digits_and_exponent(&mut self) -> Result<(), ScanViolation> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ScanViolation> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(ScanViolation::Syntax(start)) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), ScanViolation> {
        if self.bytes.get(self.at..self.at + word.len()) != Some(word) {
            return Err(ScanViolation::Syntax(self.at));
        }
        self.at += word.len();
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), ScanViolation> {
        if self.take(byte) { Ok(()) } else { Err(ScanViolation::Syntax(self.at)) }
    }

    fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

/// The text of a string whose escapes were found valid.
fn decode(inside: &str) -> String {
    serde_json::from_str(&format!("\"{inside}\"")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use proptest::prelude::*;
    use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

    use super::*;

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
        use ScanViolation as V;
        let deep = "[".repeat(65) + &"]".repeat(65);
        let many: Vec<String> = (0..40).map(|n| format!(r#""k{}":0"#, n % 39)).collect();
        let many = format!("{{{}}}", many.join(","));
        let cases: &[(&[u8], ScanViolation)] = &[
            (br#"{"method":"a","method":"b"}"#, V::DuplicateName(27)),
            (br#"{"a":{"x":1,"\u0078":2}}"#, V::DuplicateName(23)),
            (many.as_bytes(), V::DuplicateName(many.len())),
            (br#"{"a":1e400}"#, V::Number(5)),
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
            (br#"{"a":"\ud800"}"#, V::LoneSurrogate(6)),
            (br#"{"a":"\udc00\ud800"}"#, V::LoneSurrogate(6)),
            (br#"{"a":"\ud800\u0041"}"#, V::LoneSurrogate(6)),
            (br#"{"a\u0000":1}"#, V::NullInName(1)),
            (b"{\"a\":\"\xff\"}", V::NotUtf8(6)),
            (deep.as_bytes(), V::Depth(64)),
            (b"", V::Syntax(0)),
            (b"{} {}", V::Syntax(3)),
            (b"{\"a\":01}", V::Syntax(6)),
            (b"{\"a\":1,}", V::Syntax(7)),
            (b"[1,]", V::Syntax(3)),
            (b"{'a':1}", V::Syntax(1)),
            (b"\"a\nb\"", V::Syntax(2)),
            (b"\"\\x\"", V::Syntax(2)),
            (b"\"\\u12g4\"", V::Syntax(2)),
            (b"NaN", V::Syntax(0)),
            ("\u{FEFF}{}".as_bytes(), V::Syntax(0)),
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
        fn what_passes_is_json_and_nothing_panics(body in "[\\[\\]{}:,\"\\\\u0-9a-fA-F.eE+\\- tnlrs]{0,24}") {
            let own = scan(body.as_bytes(), LIMITS).is_ok();
            let other = serde_json::from_str::<IgnoredAny>(&body).is_ok();
            // The other parser lets repeated names pass, never the reverse.
            prop_assert!(other || !own, "{}", body);
        }

        #[test]
        fn ordinary_json_passes(names in prop::collection::hash_set("[a-z]{1,6}", 0..40), text in any::<String>()) {
            let members = names.into_iter().map(|n| (format!("k{n}"), serde_json::json!([text, 1.5])));
            let body = serde_json::Value::Object(members.collect()).to_string();
            prop_assert_eq!(scan(body.as_bytes(), LIMITS), Ok(()));
        }
    }
}
