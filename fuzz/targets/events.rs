//! A body of events from a chat service: one bad event spoils no other, and no error repeats what a
//! customer wrote.

#![no_main]

use connector::protocol::{self, BadEvent, MAX_CONTENT, MAX_EVENTS, MAX_ID};
use connector::{Event, IncomingEvent};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

type Events = Vec<Result<IncomingEvent, BadEvent>>;

/// A character that none of our messages contains.
const WORDS: &str = "\u{1f92b}";

fuzz_target!(|body: &[u8]| {
    let Ok(events) = protocol::parse(body) else {
        let error = protocol::parse(body).unwrap_err().to_string();
        assert!(error.is_ascii() && error.len() < 120, "{error}");
        return;
    };
    assert_eq!(
        format!("{events:?}"),
        format!("{:?}", protocol::parse(body).unwrap()),
        "the same bytes mean the same"
    );
    assert!(events.len() <= MAX_EVENTS);
    assert_whole(&events, body);
    for (index, event) in events.iter().enumerate() {
        match event {
            Ok(event) => assert_alone(event),
            Err(bad) => assert_eq!(bad.index, index),
        }
    }
    assert_quotes_nothing(body);
});

/// The exact bytes of each event are kept, in order.
fn assert_whole(events: &Events, body: &[u8]) {
    let mut rest = body;
    for event in events.iter().flatten() {
        let at = rest
            .windows(event.raw.len())
            .position(|part| part == event.raw)
            .expect("it is a part of the body");
        rest = &rest[at + event.raw.len()..];
    }
}

/// An event means the same without its neighbours, and respects the limits of the protocol.
fn assert_alone(event: &IncomingEvent) {
    let alone = protocol::parse(&event.raw).unwrap().remove(0).unwrap();
    assert_eq!(alone.event, event.event);
    if let Some(id) = event.event.id() {
        assert!((1..=MAX_ID).contains(&id.len()));
    }
    if let Event::Message { customer, text, content, .. } = &event.event {
        assert!((1..=MAX_ID).contains(&customer.id.len()));
        assert!(text.as_ref().is_some_and(|text| !text.is_empty()) || !content.is_empty());
        assert!(content.len() <= MAX_CONTENT && content.iter().all(Value::is_object));
    }
}

/// Puts `WORDS` into every text that may be a customer's, and looks for it in the errors.
fn assert_quotes_nothing(body: &[u8]) {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return };
    mark(&mut value, "");
    for event in protocol::parse(value.to_string().as_bytes()).into_iter().flatten() {
        if let Err(bad) = event {
            assert!(!bad.why.contains(WORDS), "{}", bad.why);
        }
    }
}

fn mark(value: &mut Value, key: &str) {
    match value {
        Value::String(_) if matches!(key, "type" | "state") => {}
        Value::String(text) => text.push_str(WORDS),
        Value::Array(list) => list.iter_mut().for_each(|element| mark(element, key)),
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| mark(value, key)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
