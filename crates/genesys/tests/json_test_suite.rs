//! The public `JSONTestSuite`: valid JSON is read and kept, and invalid JSON is refused, anywhere
//! in a body.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own files stops")]

use std::fs;
use std::path::Path;

use genesys::envelope::Envelope;
use genesys::{NotJson, WebhookMessage};
use serde_json::Value;

/// The suite's own verdicts.
const KINDS: [(char, usize); 3] = [('y', 95), ('n', 188), ('i', 32)];

/// Every file of one kind, by its name.
fn cases(kind: char) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/json_test_suite");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let cases: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .filter(|(name, _)| name.starts_with(kind))
        .collect();
    let expected = KINDS.iter().find(|(of, _)| *of == kind).unwrap().1;
    assert_eq!(cases.len(), expected, "{kind}_");
    cases
}

/// A message with `json` as the value of an unknown field, among known ones.
fn message_around(json: &[u8]) -> Vec<u8> {
    let after = br#","type":"Text","text":"hello","channel":{"to":{"id":"c"}}}"#;
    [br#"{"id":"m","tomorrow":"#.as_slice(), json, after].concat()
}

/// Errors are for logs, so an error contains a position and a word, and nothing of the body.
fn assert_clear(name: &str, body: &[u8]) {
    let error = WebhookMessage::read(body).unwrap_err().to_string();
    let said = error.strip_prefix("the body is no message: ").unwrap_or_default();
    let (problem, place) = said.split_once(" at line ").unwrap_or_default();
    let problems = ["no object with an id", "it ends early", "no JSON, or nested too deep"];
    assert!(problems.contains(&problem) && place.contains(" column "), "{name}: {error}");
}

#[test]
fn what_is_json_is_read_and_kept() {
    for (name, json) in cases('y') {
        assert!(Envelope::read(&json).is_ok(), "{name}");
        let value: Value = serde_json::from_slice(&json).unwrap();
        match WebhookMessage::read(&json) {
            Ok(message) => assert_eq!(serde_json::to_value(&message).unwrap(), value, "{name}"),
            Err(_) => assert!(value.get("id").is_none_or(|id| !id.is_string()), "{name}"),
        }

        let message = WebhookMessage::read(&message_around(&json)).expect(&name);
        assert_eq!(message.other["tomorrow"], value, "{name}");
        assert_eq!(
            (message.text.as_deref(), message.to().unwrap().id.as_str()),
            (Some("hello"), "c"),
            "{name}"
        );
        let written = serde_json::to_vec(&message).unwrap();
        assert_eq!(WebhookMessage::read(&written).unwrap(), message, "{name}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for (name, json) in cases('n') {
        for body in [json.clone(), message_around(&json)] {
            assert_clear(&name, &body);
            assert_eq!(Envelope::read(&body), Err(NotJson), "{name}");
        }
    }
}

/// Numbers out of range, halves of surrogates, broken UTF-8, five hundred arrays: they may be read
/// or refused. What a receipt needs is found beside each of them.
#[test]
fn what_is_a_matter_of_taste_costs_no_receipt() {
    let mut read = 0;
    for (name, json) in cases('i') {
        let _ = WebhookMessage::read(&json);
        let _ = Envelope::read(&json);

        let body = message_around(&json);
        match WebhookMessage::read(&body) {
            Ok(message) => {
                read += 1;
                assert_eq!(
                    (message.id.as_str(), message.text.as_deref()),
                    ("m", Some("hello")),
                    "{name}"
                );
                let written = serde_json::to_vec(&message).unwrap();
                assert_eq!(WebhookMessage::read(&written).unwrap(), message, "{name}");
            }
            Err(_) => assert_clear(&name, &body),
        }
        if name != "i_structure_UTF-8_BOM_empty_object.json" {
            let envelope = Envelope::read(&body).expect(&name);
            assert_eq!(
                (envelope.id.as_deref(), envelope.to_id.as_deref()),
                (Some("m"), Some("c")),
                "{name}"
            );
        }
    }
    assert!(read > 20, "{read}");
}
