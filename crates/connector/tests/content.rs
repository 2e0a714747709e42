//! What Genesys's content becomes on two chat services: one that takes texts alone, and one that
//! shows quick replies and pictures.

use std::fmt::Write as _;

use connector::{Capabilities, ContentKinds, Fallback, Rendered};
use conversation::{Reason, ReasonCode};
use serde_json::{Value, json};

/// A service that takes texts alone.
fn text_only() -> Capabilities {
    Capabilities::text_only()
}

/// A service that shows quick replies and pictures.
fn with_buttons() -> Capabilities {
    Capabilities {
        media: vec!["image/*".parse().expect("a range")],
        content: ContentKinds::Only(["QuickReply".to_owned()].into()),
        ..text_only()
    }
}

/// What a service gets for a webhook's body.
fn rendered(service: &Capabilities, body: &Value) -> Result<Rendered, Reason> {
    let content = body["content"].as_array().cloned().unwrap_or_default();
    service.render(body["text"].as_str(), &content, Fallback::Text)
}

/// The same for people: the text, the content that stays, and what an answer means.
fn told(service: &Capabilities, body: &Value) -> String {
    let message = match rendered(service, body) {
        Ok(message) => message,
        Err(reason) => return format!("refused: {reason}\n"),
    };
    let mut told = String::new();
    for line in message.text.iter().flat_map(|text| text.split('\n')) {
        let _ = writeln!(told, "    {line}");
    }
    for element in &message.content {
        let _ = writeln!(told, "  + {element}");
    }
    for (option, place) in message.offer.options.iter().zip(1..) {
        let place = if option.numbered { place.to_string() } else { option.label.to_string() };
        let _ = writeln!(told, "  {place} = {:?} {}", option.kind, option.payload);
    }
    told
}

fn snapshot(messages: &[(&str, Value)]) -> String {
    let mut all = String::new();
    for (name, body) in messages {
        let _ = write!(all, "{name}\n text only:\n{}", told(&text_only(), body));
        let _ = writeln!(all, " quick replies and pictures:\n{}", told(&with_buttons(), body));
    }
    all
}

#[test]
fn each_example_of_the_reference() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../genesys/examples");
    let mut messages = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the examples")
        .map(|file| file.expect("an entry").path())
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("webhook-"))
        })
        .collect();
    files.sort();
    for file in &files {
        let body: Value =
            serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("JSON");
        if ["Text", "Structured"].iter().any(|kind| body["type"] == *kind) {
            messages.push((file.file_stem().expect("a name").to_str().expect("UTF-8"), body));
        }
    }
    assert!(messages.len() >= 8, "the examples were found");
    insta::assert_snapshot!(snapshot(&messages));
}

#[test]
fn each_kind_of_content_in_several_languages() {
    let messages: Vec<Value> =
        serde_json::from_str(include_str!("content/messages.json")).expect("JSON");
    let messages: Vec<_> = messages
        .iter()
        .map(|message| (message["name"].as_str().expect("a name"), message["message"].clone()))
        .collect();
    insta::assert_snapshot!(snapshot(&messages));
}

#[test]
fn without_a_fallback_content_that_is_not_listed_fails() {
    let reply = json!({"contentType": "QuickReply", "quickReply": {"text": "Yes"}});
    let reason = text_only().render(Some("Well?"), &[reply], Fallback::Fail).unwrap_err();
    assert_eq!(reason.code, ReasonCode::UnsupportedMessage);
}

#[test]
fn the_text_is_measured_with_what_was_added_to_it() {
    let service = Capabilities { max_text: Some(12), ..text_only() };
    let reply = json!({"contentType": "QuickReply", "quickReply": {"text": "Yes"}});
    let content = [reply];
    assert!(service.render(Some("Well?"), &content, Fallback::Text).is_ok(), "12 characters");
    let reason = service.render(Some("Well??"), &content, Fallback::Text).unwrap_err();
    assert_eq!(reason.code, ReasonCode::UnsupportedMessage);
    assert!(reason.message.contains("13") && reason.message.contains("12"), "{reason}");
}

/// A bot's words are foreign input: whatever form they have, the answer is a text or a reason.
#[test]
fn hostile_content_is_read_or_refused() {
    let odd = [
        json!(null),
        json!(3),
        json!("text"),
        json!([]),
        json!({}),
        json!({"text": 3, "payload": [], "title": {}, "cards": 7, "actions": {"a": 1}}),
        json!({"cards": [null, 3, {"actions": [null, {"type": 3}]}]}),
        json!({"sections": [{"items": [null]}], "body": {"text": "{{1}}{{", "parameters": [{}]}}),
        json!({"availableTimes": [{"dateTime": "never", "duration": u64::MAX}]}),
    ];
    for kind in [
        "QuickReply",
        "QuickReplyV2",
        "Card",
        "Carousel",
        "DatePicker",
        "ListPicker",
        "Notification",
        "Location",
        "Text",
    ] {
        let property = match kind {
            "Notification" => "template".to_owned(),
            kind => kind[..1].to_lowercase() + &kind[1..],
        };
        for body in &odd {
            let element = json!({"contentType": kind, property.as_str(): body});
            for service in [text_only(), with_buttons()] {
                let message =
                    service.render(Some("words"), std::slice::from_ref(&element), Fallback::Text);
                let alone = service.render(None, std::slice::from_ref(&element), Fallback::Text);
                let is_empty =
                    |message: &Rendered| message.text.is_none() && message.content.is_empty();
                assert!(!alone.is_ok_and(|message| is_empty(&message)), "{element} is shown");
                let text = message.expect("the text is there").text.expect("a text");
                assert!(text.starts_with("words"), "{element}: {text}");
            }
        }
    }
}

/// A parameter's value may hold a placeholder: a customer chose it.
#[test]
fn the_values_of_parameters_are_not_looked_into() {
    let notification = |text: &str, values: &[&str]| {
        let parameters: Vec<_> = values.iter().map(|value| json!({"text": value})).collect();
        let body = json!({"text": text, "parameters": parameters});
        let element = json!({"contentType": "Notification", "template": {"body": body}});
        text_only().render(None, &[element], Fallback::Text).expect("it is shown").text
    };
    assert_eq!(
        notification("Dear {{1}}, code {{ 2 }} {{3}} {{", &["{{2}}", "1234"]).as_deref(),
        Some("Dear {{2}}, code 1234 {{3}} {{")
    );
    let doubling: Vec<_> = (2..40).map(|next| format!("{{{{{next}}}}}{{{{{next}}}}}")).collect();
    let doubling: Vec<_> = doubling.iter().map(String::as_str).collect();
    assert_eq!(notification("{{1}}", &doubling).as_deref(), Some("{{2}}{{2}}"));
    let (long, many) = ("x".repeat(50_000), "{{1}}".repeat(50_000));
    assert_eq!(notification(&many, &[&long]).map(|text| text.len()), Some(many.len()));
}
