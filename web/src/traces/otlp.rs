//! Spans as OTLP writes them (OpenTelemetry Protocol 1.9, `opentelemetry/proto/trace/v1` and its
//! neighbours); only what is sent here has a field.

use std::borrow::Cow;

use prost::Message;

use super::span::{Attribute, Finished, Kind, Part, Value};

/// The body of a request that hands over what ended in one service.
pub(super) fn request(service: &'static str, finished: &[Finished]) -> Vec<u8> {
    let attributes = [
        ("service.name", Value::Text(Cow::Borrowed(service))),
        ("service.version", Value::Text(Cow::Borrowed(VERSION))),
    ];
    let scope = Scope { name: "vestibule".to_owned(), version: VERSION.to_owned() };
    let spans = finished.iter().flat_map(spans).collect();
    let resource = Resource { attributes: attributes.iter().map(KeyValue::of).collect() };
    let of_service = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
    };
    Request { resource_spans: vec![of_service] }.encode_to_vec()
}

/// How many spans a receiver that took a request did not take, by its answer.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let partial = Answer::decode(answer).ok().and_then(|answer| answer.partial_success);
    partial.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or_default()
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A span that failed (`Status.StatusCode`).
const ERROR: i32 = 2;

/// A request and the steps that it took.
fn spans(finished: &Finished) -> impl Iterator<Item = Span> {
    let Finished { began, context, link, parent, parts, state } = finished;
    parts.iter().zip(0_u64..).map(move |(part, number)| {
        let Part { attributes, from, is_failed, kind, name, until } = part;
        let is_first = number == 0;
        let parent = if is_first { *parent } else { Some(context.span) };
        let link = link
            .filter(|_| is_first)
            .map(|place| Link { trace: place.trace.to_vec(), span: place.span.to_vec() });
        let at = |offset: &std::time::Duration| {
            began.saturating_add(u64::try_from(offset.as_nanos()).unwrap_or(u64::MAX))
        };
        Span {
            trace: context.trace.to_vec(),
            id: super::span::id(context, number).to_vec(),
            trace_state: state.clone().unwrap_or_default(),
            parent: parent.map(|id| id.to_vec()).unwrap_or_default(),
            name: name.to_string(),
            kind: match kind {
                Kind::Step => 1,
                Kind::Server => 2,
                Kind::Client => 3,
            },
            start_time_unix_nano: at(from),
            end_time_unix_nano: at(until),
            attributes: attributes.iter().map(KeyValue::of).collect(),
            links: link.into_iter().collect(),
            status: is_failed.then_some(Status { code: ERROR }),
        }
    })
}

impl KeyValue {
    fn of((key, value): &Attribute) -> Self {
        let value = match value {
            Value::Number(number) => any_value::Value::Int(*number),
            Value::Text(text) => any_value::Value::Text(text.to_string()),
        };
        Self { key: (*key).to_owned(), value: Some(AnyValue { value: Some(value) }) }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "any_value::Value", tags = "1, 3")]
    value: Option<any_value::Value>,
}

mod any_value {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Value {
        #[prost(string, tag = "1")]
        Text(String),
        #[prost(int64, tag = "3")]
        Int(i64),
    }
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<Partial>,
}

#[derive(Clone, PartialEq, Message)]
struct Partial {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_many_spans_it_did_not_take() {
        let answer = Answer { partial_success: Some(Partial { rejected_spans: 3 }) };
        assert_eq!(rejected(&answer.encode_to_vec()), 3);
        let negative = Answer { partial_success: Some(Partial { rejected_spans: -3 }) };
        assert_eq!(rejected(&negative.encode_to_vec()), 0);
        assert_eq!((rejected(b""), rejected(b"<html>")), (0, 0));
    }
}
