//! What strangers and backends send, in every form that `fuzz` can think of. Targets stand here
//! as unit tests because what they feed is private to this crate.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use keys::{KeySet, Purpose};
use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, json};
use shared::time::Timestamp;

use super::{
    credential,
    handle::Handles,
    headers, members,
    rpc::{self, Message},
    scan::{DEPTH, Limits, ScanViolation, scan},
    splice,
    sse::{Event, EventParser, EventTooLarge},
};

const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_contacts","arguments":{"workspace_id":"ws_a","n":1.0e2},"_meta":{"progressToken":"p"}}}"#;
const INITIALIZE: &[u8] = br#"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
const MODERN: &[u8] = br#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"arguments":{}}}"#;
const NOTIFICATION: &[u8] =
    br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
const RESPONSE: &[u8] =
    br#"{"jsonrpc":"2.0","id":1,"result":{"a":["\u00e9\ud83d\ude00",null,true]}}"#;
const BODIES: [&[u8]; 7] =
    [CALL, INITIALIZE, MODERN, NOTIFICATION, RESPONSE, b"[1]", br#"{"id":1,"\u0069d":2}"#];

fn scanned(input: &[u8]) -> Result<(), ScanViolation> {
    scan(input, Limits { arguments: &["workspace_id"], depth: DEPTH }).map(drop)
}

#[test]
fn a_body_that_passes_the_scan_means_one_thing() {
    fuzz::run("scan", &BODIES, |input| {
        let outcome = scanned(input);
        if outcome.is_ok() {
            let readable = serde_json::from_slice::<IgnoredAny>(input);
            assert!(readable.is_ok(), "it is no JSON: {readable:?}");
            let read = |wins| {
                let mut reader = serde_json::Deserializer::from_slice(input);
                Reading { wins }.read(&mut reader).ok()
            };
            assert_eq!(read(Wins::First), read(Wins::Last), "readers differ");
        }
        outcome
    });
}

#[test]
fn an_envelope_is_read_or_refused() {
    fuzz::run("rpc", &BODIES, |input| {
        let (lines, body) = split(input);
        let headers = header_map(lines);
        let body = Bytes::copy_from_slice(if scanned(input).is_ok() { input } else { body });
        let outcome = rpc::read(&body, &headers, "workspace_id");
        if let Ok(Message::Request(call)) = &outcome
            && let Some(spliced) = splice::argument(call, "added", &json!("x"))
            && call.arguments().is_some()
        {
            let read: Result<Value, _> = serde_json::from_slice(&spliced);
            let added = read.as_ref().map(|value| value["params"]["arguments"]["added"].clone());
            let original: Result<Value, _> = serde_json::from_slice(&body);
            assert!(
                original.is_err() || added.is_ok_and(|added| added == "x" || added.is_string())
            );
        }
        format!("{outcome:?}")
    });
}

#[test]
fn members_are_written_as_they_were_read() {
    fuzz::run("members", &BODIES, |input| {
        let same = members::Members::read(input).map(|members| members.to_vec());
        if let (Some(same), Ok(before)) = (&same, serde_json::from_slice::<Value>(input)) {
            assert_eq!(serde_json::from_slice::<Value>(same).ok(), Some(before));
        }
        let changed = members::change_params(input, |params| params.set("added", 1));
        if let Some(changed) = &changed {
            assert!(serde_json::from_slice::<IgnoredAny>(changed).is_ok());
        }
        (same, changed)
    });
}

#[test]
fn a_stream_of_events_is_the_same_however_it_is_cut() {
    let seeds: [&[u8]; 5] = [
        b"data: {\"jsonrpc\":\"2.0\"}\n\n",
        b"\xef\xbb\xbfevent: message\r\nid: 1\r\ndata: a\r\ndata: b\r\n\r\n",
        b": keep-alive\n\ndata\rdata:  x\r\r",
        b"retry: 10\nid\n\n",
        b"data: a\n\ndata: b",
    ];
    fuzz::run("sse", &seeds, |input| {
        let (whole, refused) = events([input].into_iter());
        let raw: Vec<u8> = whole.iter().flat_map(|event| event.raw.to_vec()).collect();
        assert!(input.starts_with(&raw), "what comes out is not what went in");
        if refused.is_none() {
            // Where CR and LF arrive apart, the LF goes with what follows; what is said is the same.
            let said = |events: &[Event]| -> Vec<_> {
                let with_data = events.iter().filter(|event| event.data.is_some());
                with_data.map(|event| (event.data.clone(), event.has_id)).collect()
            };
            let uneven = usize::from(input.first().copied().unwrap_or_default() % 7) + 2;
            for size in [1, uneven] {
                assert_eq!(said(&whole), said(&events(input.chunks(size)).0));
            }
        }
        (whole, refused)
    });
}

#[test]
fn what_is_written_into_a_header_is_read_out_of_it() {
    let seeds: [&[u8]; 5] =
        [b"plain", "Grüße".as_bytes(), b"=?base64?YQ==?=", b" padded ", b"a\r\nb"];
    fuzz::run("header-value", &seeds, |input| {
        let text = String::from_utf8_lossy(input).into_owned();
        let written = headers::encode(&text);
        if let Some(value) = &written {
            assert_eq!(headers::decode(value.to_str().unwrap()), Some(text.clone()));
        }
        (written, headers::decode(&text))
    });
}

#[test]
fn parameter_headers_never_speak_of_a_bound_argument() {
    let seeds: [&[u8]; 4] = [
        b"mcp-param-name: x\nmcp-param-region: eu\n\n{\"name\":\"x\"}",
        b"mcp-param-workspace_id: ws_b\n\n{}",
        b"mcp-param-count: 1\n\n{\"count\":1}",
        b"mcp-param-name: =?base64?eA==?=\n\n{\"name\":\"x\"}",
    ];
    let schema = json!({ "properties": {
        "count": { "type": "integer", "x-mcp-header": "Count" },
        "name": { "type": "string", "x-mcp-header": "Name" },
    } });
    fuzz::run("header-params", &seeds, |input| {
        let (lines, body) = split(input);
        let arguments: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let outcome = headers::params(&header_map(lines), &schema, &arguments, "workspace_id");
        if let Ok(sent) = &outcome {
            assert!(!sent.contains_key("mcp-param-workspace_id"));
        }
        outcome.map_err(|violation| format!("{violation:?}"))
    });
}

#[test]
fn a_bearer_token_is_one_word_or_none() {
    let seeds: [&[u8]; 5] = [
        b"authorization: Bearer a.b.c\n\n",
        b"authorization: bearer a\nauthorization: Bearer b\n\n",
        b"authorization: Basic YTpi\n\n",
        b"\n\naccess_token=a&b=c",
        b"authorization: Bearer a, b\n\n",
    ];
    fuzz::run("bearer", &seeds, |input| {
        let (lines, query) = split(input);
        let headers = header_map(lines);
        let query = String::from_utf8_lossy(query);
        let outcome = credential::bearer(&headers, Some(&query)).map(str::to_owned);
        if let Ok(token) = &outcome {
            assert!(!token.is_empty() && !token.contains([' ', ',']), "{token}");
            assert_eq!(headers.get_all("authorization").iter().count(), 1);
        }
        outcome.map_err(|violation| format!("{violation:?}"))
    });
}

#[test]
fn no_handle_opens_that_was_not_sealed() {
    let start = Timestamp::from_secs(1_800_000_000);
    let ring = KeySet::first(Purpose::PageSeal, start).unwrap().secrets();
    let handles = Handles::new(&ring, &[b"owner", b"tools/list"], start);
    let sealed = handles.seal("cursor").unwrap();
    fuzz::run("handle", &[sealed.as_bytes(), b"", b"AAAA"], |input| {
        let text = String::from_utf8_lossy(input);
        let opened = handles.open(&text);
        assert!(opened.is_none() || text == sealed, "{text} opens");
        let again = handles.seal(&text).map(|sealed| handles.open(&sealed));
        assert_eq!(again, Some(Some(text.into_owned())));
        opened
    });
}

fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Option<EventTooLarge>) {
    let mut parser = EventParser::new(4096);
    let mut events = Vec::new();
    for piece in pieces {
        parser.push(piece);
        loop {
            match parser.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(refused) => return (events, Some(refused)),
            }
        }
    }
    (events, None)
}

/// Header lines before the first empty line, and the rest.
fn split(input: &[u8]) -> (&[u8], &[u8]) {
    match input.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&input[..at], &input[at + 2..]),
        None => (input, b""),
    }
}

fn header_map(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// Which of two members of one name a reader believes.
#[derive(Clone, Copy)]
enum Wins {
    First,
    Last,
}

/// Reads JSON as readers do that differ in nothing but that.
#[derive(Clone, Copy)]
struct Reading {
    wins: Wins,
}

/// What was read; numbers as they are after reading.
#[derive(Debug, PartialEq)]
enum Read {
    List(Vec<Read>),
    Object(BTreeMap<String, Read>),
    Other(String),
}

impl Reading {
    fn read<'de, D: Deserializer<'de>>(self, from: D) -> Result<Read, D::Error> {
        serde::de::DeserializeSeed::deserialize(self, from)
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Reading {
    type Value = Read;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Read, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            match self.wins {
                Wins::First => drop(members.entry(name).or_insert(value)),
                Wins::Last => drop(members.insert(name, value)),
            }
        }
        Ok(Read::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Read, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(Read::List(elements))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Read, E> {
        Ok(Read::Other(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Read, E> {
        Ok(Read::Other(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Read, E> {
        Ok(Read::Other(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Read, E> {
        Ok(Read::Other(format!("{value:?}")))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Read, E> {
        Ok(Read::Other(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Read, E> {
        Ok(Read::Other("null".to_owned()))
    }
}
