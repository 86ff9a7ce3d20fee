//! Descriptions, arguments and answers in every form that `fuzz` can think of.

use super::*;

#[test]
fn any_description_is_read_or_refused_and_its_tools_can_be_called() {
    let seed = crm().to_string();
    ::fuzz::run("openapi", &[seed.as_bytes()], |input| {
        let value: Value = serde_json::from_slice(input).ok()?;
        let read = Description::read(&value, &["x-tenant".to_owned()]).ok()?;
        for operation in &read.operations {
            let tool = operation.to_tool();
            assert!(is_tool_name(&operation.tool.name) || operation.tool.name.is_empty());
            let names = tool["inputSchema"]["properties"].as_object().unwrap().keys();
            let given: serde_json::Map<_, _> =
                names.map(|name| (name.clone(), Value::from("../a b"))).collect();
            if let Ok(asked) = ask(operation, &given.into()) {
                let url = base().join(&asked.target).unwrap();
                assert_eq!(url.origin(), base().origin());
                assert!(url.path().starts_with("/api/"), "{url}");
            }
        }
        Some((read.operations.len(), read.skipped))
    });
}

/// Whatever a model puts into its arguments, the request stays the operation's own.
#[test]
fn any_arguments_make_a_request_of_their_operation_or_none() {
    let seeds: [&[u8]; 4] = [
        br#"{"workspace_id":"ws_a","id":"a/b","query_id":7,"fields":["a,b"],"filter":{"n":"x&y"}}"#,
        br##"{"workspace_id":"..","id":"%2e%2e","tag":["1","#"],"free":{"k":"v"},"raw":[1]}"##,
        br#"{"id":"1","workspace_id":"w","body_id":null,"name":"N","score":1.0e2,"boss":{}}"#,
        br#"{"workspace_id":"w","id":"1","X-Tenant":"a\r\nb","body":[1]}"#,
    ];
    let operations = read(&crm()).operations;
    ::fuzz::run("rest-call", &seeds, |input| {
        let members = Members::read(input)?;
        let mut outcome = Vec::new();
        for operation in &operations {
            let asked = request(operation, &base(), &members);
            if let Ok(asked) = &asked {
                let url = base().join(&asked.target).unwrap();
                assert_eq!(url.origin(), base().origin());
                assert_eq!(url.fragment(), None);
                let path: Vec<&str> = url.path().split('/').collect();
                let own = format!("/api{}", operation.id.split_once(' ').unwrap().1);
                assert_eq!(path.len(), own.split('/').count(), "{url}");
                for (is, stands) in path.iter().zip(own.split('/')) {
                    assert!(stands.starts_with('{') || *is == stands, "{url}");
                    assert!(!matches!(*is, "." | ".."), "{url}");
                }
                assert!(asked.headers.keys().all(|name| name == "x-tenant"), "{asked:?}");
                if let Some(body) = &asked.body {
                    // Grammar alone: a number beyond every type passes on as it was written.
                    assert!(serde_json::from_slice::<&RawValue>(body).is_ok(), "{body:?}");
                }
            }
            outcome.push(asked.map(|asked| (asked.target, asked.body)).map_err(|_| ()));
        }
        Some(outcome)
    });
}

/// Whatever a REST backend answers becomes one message, or a fault of the backend.
#[test]
fn any_answer_becomes_one_message_or_a_fault() {
    let seeds: [&[u8]; 5] = [
        b"200 application/json {\"a\": 1.0e2}",
        b"200 application/hal+json [1]",
        b"404 application/problem+json {\"title\":\"T\",\"detail\":\"D\"}",
        b"500 text/plain oops",
        b"204  ",
    ];
    let operation = operation("PUT");
    let id = RawValue::from_string("7".to_owned()).unwrap();
    ::fuzz::run("rest-answer", &seeds, |input| {
        let mut parts = input.splitn(3, |byte| *byte == b' ');
        let mut next = || parts.next().unwrap_or_default();
        let (status, media, body) = (next(), next(), next());
        let status: u16 = std::str::from_utf8(status).ok()?.parse().ok()?;
        let status = http::StatusCode::from_u16(status).ok()?;
        let media = std::str::from_utf8(media).ok()?.to_ascii_lowercase();
        let received = Received { body, media: &media, status };
        let told = result((&id, Era::Modern), ("crm", &operation), received);
        Some(told.map(|message| {
            // A number beyond every type is grammatical, and no value.
            let Ok(message) = serde_json::from_slice::<Value>(&message) else {
                return Value::Null;
            };
            assert_eq!((&message["id"], message["error"].is_null()), (&json!(7), true));
            let is_error = message["result"]["isError"] == true;
            assert_eq!(is_error, !status.is_success(), "{message}");
            assert!(message["result"]["content"][0]["text"].is_string(), "{message}");
            message
        }))
    });
}
