//! A webhook's body with a valid signature: whatever it contains, it is kept whole and read the
//! same each time.

#![no_main]

use connector::{Capabilities, ContentKinds, Customer, MediaRange};
use conversation::{Input, IntegrationName, MessageId};
use gateway::fuzzing::{ParsedWebhook, webhook};
use genesys::{Envelope, WebhookMessage};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::{Number, Value};
use store::NewMessage;

const NOW: Timestamp = Timestamp::constant(1_795_165_443, 482_000_000);

fuzz_target!(|body: &[u8]| {
    let name = IntegrationName::new("acme");
    let can = Capabilities {
        reports_delivery: true,
        idempotent: true,
        typing: true,
        max_text: Some(40),
        media: vec![MediaRange::any()],
        content: ContentKinds::Any,
    };
    let read = webhook(&name, &can, body, NOW);
    let again = webhook(&name, &can, body, NOW);
    assert_eq!(format!("{read:?}"), format!("{again:?}"), "the same bytes mean the same");

    let message = WebhookMessage::read(body);
    match &read {
        ParsedWebhook::Typing(..) => assert!(message.as_ref().is_ok_and(WebhookMessage::is_typing)),
        ParsedWebhook::Kept(kept, why) => {
            assert_kept(kept, body);
            if why.is_some() {
                assert_failed(kept, body);
            } else {
                let message = message.as_ref().expect("what has no fault is a message");
                assert_eq!(kept.foreign_id, message.id);
                assert_eq!(kept.id, MessageId::from_foreign(&message.id));
            }
        }
    }

    let envelope = Envelope::read(body);
    match message {
        Ok(message) => {
            assert_written_back(&message, body);
            let envelope = envelope.expect("a message is JSON");
            assert_eq!(envelope.id.as_ref(), Some(&message.id), "both readers find the same id");
            assert_eq!(
                envelope.to_id.as_ref(),
                message.to().map(|to| &to.id),
                "both readers find the same customer"
            );
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.starts_with("the body is no message: ") && error.len() < 120, "{error}");
        }
    }
});

/// No byte is lost, and the stored form can be read back.
fn assert_kept(kept: &NewMessage, body: &[u8]) {
    assert_eq!(kept.body, body);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let id = kept.id.as_str();
    assert!(!id.is_empty() && id.len() <= 80 && id.chars().all(plain), "{id}");
    let customer: Customer = serde_json::from_str(&kept.customer).expect("a customer is JSON");
    assert_eq!(serde_json::to_string(&customer).unwrap(), kept.customer);
    if let Some(input) = &kept.input {
        let json = serde_json::to_string(input).unwrap();
        assert_eq!(serde_json::from_str::<Input>(&json).unwrap(), *input);
    }
}

/// A body that is not a message fails with a receipt, if it has an id.
fn assert_failed(kept: &NewMessage, body: &[u8]) {
    let Envelope { id, to_id, to_id_type, .. } = Envelope::read(body).unwrap_or_default();
    let id = id.filter(|id| !id.is_empty());
    // The receipt goes to the recipient.
    let customer: Customer = serde_json::from_str(&kept.customer).expect("a customer is JSON");
    assert_eq!(customer.id_type, to_id.as_ref().and(to_id_type));
    assert_eq!(customer.id, to_id.as_deref().unwrap_or("unknown"));
    match (&kept.input, id) {
        (Some(Input::AgentMessage { unsuited, .. }), Some(id)) => {
            assert_eq!(kept.foreign_id, id);
            assert!(unsuited.is_some());
        }
        (None, None) => {}
        (input, id) => panic!("{id:?} leads to {input:?}"),
    }
}

/// Unknown parts are written back unchanged.
fn assert_written_back(message: &WebhookMessage, body: &[u8]) {
    let written = serde_json::to_vec(message).unwrap();
    assert_eq!(WebhookMessage::read(&written).as_ref(), Ok(message));
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        let written = serde_json::to_value(message).unwrap();
        assert!(is_same(&written, &value, ""), "{written} is not {value}");
    }
}

/// A number where an id is expected is read as that id, and written as text.
fn is_same(written: &Value, came: &Value, key: &str) -> bool {
    match (written, came) {
        (Value::Object(written), Value::Object(came)) => {
            let same = |(key, came): (&String, &Value)| {
                written.get(key).is_some_and(|written| is_same(written, came, key))
            };
            written.len() == came.len() && came.iter().all(same)
        }
        (Value::Array(written), Value::Array(came)) => {
            let mut pairs = written.iter().zip(came);
            written.len() == came.len() && pairs.all(|(written, came)| is_same(written, came, key))
        }
        (Value::String(text), Value::Number(number)) => {
            let is_id = key == "id" || key.ends_with("Id");
            is_id && is_number(text, number)
        }
        _ => written == came,
    }
}

/// The text of `1844674.0` is `1844674`, which is a number of another kind with the same value.
fn is_number(text: &str, number: &Number) -> bool {
    match serde_json::from_str::<Number>(text) {
        Ok(read) => read == *number || (number.is_f64() && read.as_f64() == number.as_f64()),
        Err(_) => false,
    }
}
