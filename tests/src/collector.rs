//! A receiver of traces (OTLP over HTTP): it keeps what it gets and reads it as protobuf is read,
//! by the numbers of fields alone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use tokio_util::task::TaskTracker;
use web::traces::{Parents, Settings};

use crate::services::{address, listen};

/// The receiver.
#[derive(Clone, Debug)]
pub struct Collector {
    endpoint: String,
    received: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

/// A span as it arrived.
#[derive(Clone, Debug)]
pub struct SpanSeen {
    pub attributes: BTreeMap<String, String>,
    pub id: String,
    pub is_failed: bool,
    pub kind: u64,
    /// Of each link the trace and the span.
    pub links: Vec<(String, String)>,
    pub name: String,
    /// Empty where it has none.
    pub parent: String,
    pub service: String,
    /// When it began and ended, in nanoseconds.
    pub times: (u64, u64),
    pub trace: String,
}

impl Collector {
    /// Takes whatever comes.
    pub async fn start() -> Self {
        let received: Arc<Mutex<Vec<(HeaderMap, Bytes)>>> = Arc::default();
        let held = Arc::clone(&received);
        let take = move |headers: HeaderMap, body: Bytes| {
            held.lock().unwrap().push((headers, body));
            std::future::ready(())
        };
        let listener = listen(0).await;
        let endpoint = format!("http://{}/v1/traces", address(&listener));
        let router = Router::new().route("/v1/traces", post(take));
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        Self { endpoint, received }
    }

    /// Everything is traced, and sent here with this header.
    pub fn settings(&self, parents: Parents) -> Settings {
        let mut headers = HeaderMap::new();
        headers.insert("x-collector-key", "secret-of-the-collector".parse().unwrap());
        let endpoint = self.endpoint.parse().unwrap();
        Settings { authorities: None, endpoint, headers, parents, ratio: 1.0 }
    }

    /// The requests that came.
    pub fn requests(&self) -> Vec<(HeaderMap, Bytes)> {
        self.received.lock().unwrap().clone()
    }

    /// Everything that came, as text where it is text.
    pub fn text(&self) -> String {
        let all = self.requests().into_iter();
        all.map(|(_, body)| String::from_utf8_lossy(&body).into_owned()).collect()
    }

    /// The spans that came.
    pub fn spans(&self) -> Vec<SpanSeen> {
        self.requests().iter().flat_map(|(_, body)| read(body)).collect()
    }
}

/// The spans of one request.
fn read(body: &[u8]) -> Vec<SpanSeen> {
    let mut spans = Vec::new();
    for of_resource in Fields::of(body).messages(1) {
        let resource = of_resource.messages(1).remove(0);
        let service = attributes(&resource, 1)["service.name"].clone();
        for scope in of_resource.messages(2) {
            spans.extend(scope.messages(2).iter().map(|span| SpanSeen::of(span, &service)));
        }
    }
    spans
}

impl SpanSeen {
    fn of(span: &Fields, service: &str) -> Self {
        let links = span.messages(13);
        let status = span.messages(15);
        Self {
            attributes: attributes(span, 9),
            id: span.hex(2),
            is_failed: status.first().is_some_and(|status| status.number(3) == 2),
            kind: span.number(6),
            links: links.iter().map(|link| (link.hex(1), link.hex(2))).collect(),
            name: span.text(5),
            parent: span.hex(4),
            service: service.to_owned(),
            times: (span.number(7), span.number(8)),
            trace: span.hex(1),
        }
    }
}

fn attributes(of: &Fields, number: u64) -> BTreeMap<String, String> {
    let value = |pair: &Fields| match pair.messages(2).remove(0) {
        value if value.0.contains_key(&1) => value.text(1),
        value => value.number(3).to_string(),
    };
    of.messages(number).iter().map(|pair| (pair.text(1), value(pair))).collect()
}

/// What a message holds, by the numbers of its fields.
#[derive(Debug)]
struct Fields(BTreeMap<u64, Vec<Field>>);

#[derive(Debug)]
enum Field {
    Bytes(Vec<u8>),
    Number(u64),
}

impl Fields {
    fn of(mut rest: &[u8]) -> Self {
        let mut fields: BTreeMap<u64, Vec<Field>> = BTreeMap::new();
        while !rest.is_empty() {
            let key = varint(&mut rest);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut rest)),
                1 => Field::Number(u64::from_le_bytes(take(&mut rest, 8).try_into().unwrap())),
                2 => {
                    let length = usize::try_from(varint(&mut rest)).unwrap();
                    Field::Bytes(take(&mut rest, length).to_vec())
                }
                other => panic!("no wire type of OTLP: {other}"),
            };
            fields.entry(key >> 3).or_default().push(field);
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> &[Field] {
        self.0.get(&number).map(Vec::as_slice).unwrap_or_default()
    }

    fn messages(&self, number: u64) -> Vec<Self> {
        self.all(number).iter().map(|field| Self::of(field.bytes())).collect()
    }

    fn bytes(&self, number: u64) -> &[u8] {
        self.all(number).first().map(Field::bytes).unwrap_or_default()
    }

    fn text(&self, number: u64) -> String {
        String::from_utf8(self.bytes(number).to_vec()).unwrap()
    }

    fn hex(&self, number: u64) -> String {
        let pairs: Vec<String> =
            self.bytes(number).iter().map(|byte| format!("{byte:02x}")).collect();
        pairs.concat()
    }

    fn number(&self, number: u64) -> u64 {
        match self.all(number).first() {
            None => 0,
            Some(Field::Number(value)) => *value,
            Some(Field::Bytes(_)) => panic!("field {number} is no number"),
        }
    }
}

impl Field {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) => panic!("a number where bytes are due"),
        }
    }
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (first, after) = rest.split_at(count);
    *rest = after;
    first
}
