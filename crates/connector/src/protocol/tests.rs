use conversation::{ConversationId, MessageId, MessageRef, Reason, ReasonCode, Report, SessionId};
use serde_json::{Value, json};

use super::*;
use crate::{Customer, Event};

fn one(event: &Value) -> Result<Event, BadEvent> {
    let body = serde_json::to_vec(event).unwrap();
    let mut events = parse(&body).unwrap();
    assert_eq!(events.len(), 1);
    events.remove(0).map(|incoming| incoming.event)
}

fn why(event: &Value) -> String {
    one(event).unwrap_err().why
}

#[test]
fn every_type_of_the_contract_is_read() {
    let customer = json!({"id": "noor@chat", "id_type": "Opaque", "nickname": "Noor", "firstName": "N", "extra": 1});
    let content = json!([{"contentType": "Attachment", "attachment": {"url": "https://x/y.png"}}]);
    assert_eq!(
        one(
            &json!({"type": "message.created", "id": "m1", "customer": customer, "text": "Hello", "content": content,
            "time": "2026-11-20T09:10:59.120Z"})
        ),
        Ok(Event::Message {
            id: "m1".into(),
            customer: Customer {
                id: "noor@chat".into(),
                id_type: Some("Opaque".into()),
                nickname: Some("Noor".into()),
                first_name: Some("N".into()),
                ..Customer::default()
            },
            text: Some("Hello".into()),
            content: content.as_array().unwrap().clone(),
            time: Some("2026-11-20T09:10:59.12Z".parse().unwrap()),
        })
    );
    let ours = MessageRef::Ours(MessageId::new("ours"));
    assert_eq!(
        one(
            &json!({"type": "message.delivered", "id": "e1", "message": "ours", "message_id": "theirs"})
        ),
        Ok(Event::Report { id: "e1".into(), message: ours.clone(), report: Report::Delivered })
    );
    assert_eq!(
        one(&json!({"type": "message.read", "id": "e2", "message_id": "theirs"})),
        Ok(Event::Report {
            id: "e2".into(),
            message: MessageRef::Service("theirs".into()),
            report: Report::Read
        })
    );
    let reason = Reason::new(ReasonCode::RecipientOptedOut, "She left.");
    assert_eq!(
        one(&json!({"type": "message.failed", "id": "e3", "message": "ours",
            "reason": {"code": "RecipientOptedOut", "message": "She left."}})),
        Ok(Event::Report { id: "e3".into(), message: ours, report: Report::Failed { reason } })
    );
    let conversation = ConversationId::new("c1");
    assert_eq!(
        one(&json!({"type": "session.opened", "id": "e4", "conversation": "c1", "session": "s"})),
        Ok(Event::SessionOpened {
            id: "e4".into(),
            conversation: conversation.clone(),
            session: SessionId::new("s")
        })
    );
    assert_eq!(
        one(
            &json!({"type": "session.refused", "id": "e5", "conversation": "c1", "reason": "nobody there"})
        ),
        Ok(Event::SessionRefused {
            id: "e5".into(),
            conversation: conversation.clone(),
            reason: Reason::new(ReasonCode::InvalidDestination, "nobody there"),
        })
    );
    assert_eq!(
        one(&json!({"type": "session.closed", "id": "e6", "conversation": "c1", "session": null})),
        Ok(Event::SessionClosed {
            id: "e6".into(),
            conversation: conversation.clone(),
            session: None,
            reason: None
        })
    );
    for customer in [json!("noor"), json!({"id": "noor"})] {
        assert_eq!(
            one(&json!({"type": "typing", "customer": customer, "state": "on"})),
            Ok(Event::Typing { customer: Some("noor".into()), conversation: None, on: true })
        );
    }
    assert_eq!(
        one(&json!({"type": "typing", "conversation": "c1", "state": "off"})),
        Ok(Event::Typing { customer: None, conversation: Some(conversation), on: false })
    );
}

#[test]
fn a_bad_event_does_not_spoil_its_neighbours() {
    let body = r#" [
        {"type":"message.read","id":"e1","message":"m"},
        {"type":"message.eaten","id":"e2","message":"m"},
        17,
        {"type":"message.read" , "id":"e4","message":"m"}
    ]"#;
    let events = parse(body.as_bytes()).unwrap();
    assert_eq!(events[0].as_ref().unwrap().event.id(), Some("e1"));
    let bad = events[1].as_ref().unwrap_err();
    assert_eq!((bad.index, bad.id.as_deref()), (1, Some("e2")));
    assert_eq!(events[2].as_ref().unwrap_err().index, 2);
    let last = events[3].as_ref().unwrap();
    assert_eq!(
        last.raw.get(),
        r#"{"type":"message.read" , "id":"e4","message":"m"}"#,
        "kept byte for byte"
    );
    assert_eq!(events.len(), 4);
}

#[test]
fn missing_and_wrong_fields_are_named() {
    let message = |id: Value, customer: Value, text: Value, content: Value, time: Value| {
        json!({"type": "message.created", "id": id, "customer": customer, "text": text, "content": content,
            "time": time})
    };
    let noor = || json!({"id": "noor"});
    let null = Value::Null;
    let long = "x".repeat(MAX_ID + 1);
    let cases = [
        (json!({"id": "e"}), "`type`"),
        (json!({"type": 3}), "`type`"),
        (message(null.clone(), noor(), json!("t"), null.clone(), null.clone()), "`id` is missing"),
        (message(json!(3), noor(), json!("t"), null.clone(), null.clone()), "`id`"),
        (message(json!(""), noor(), json!("t"), null.clone(), null.clone()), "`id` is empty"),
        (message(json!(long), noor(), json!("t"), null.clone(), null.clone()), "513"),
        (message(json!("e"), null.clone(), json!("t"), null.clone(), null.clone()), "`customer`"),
        (
            message(json!("e"), json!({"id": 1}), json!("t"), null.clone(), null.clone()),
            "`customer.id`",
        ),
        (
            message(
                json!("e"),
                json!({"id": "n", "nickname": []}),
                json!("t"),
                null.clone(),
                null.clone(),
            ),
            "nickname",
        ),
        (message(json!("e"), noor(), json!(5), null.clone(), null.clone()), "`text`"),
        (message(json!("e"), noor(), json!(""), json!([]), null.clone()), "neither"),
        (message(json!("e"), noor(), null.clone(), json!({}), null.clone()), "`content`"),
        (message(json!("e"), noor(), null.clone(), json!(["x"]), null.clone()), "`content`"),
        (
            message(json!("e"), noor(), null.clone(), json!(vec![json!({}); 101]), null.clone()),
            "101",
        ),
        (message(json!("e"), noor(), json!("t"), null.clone(), json!("yesterday")), "`time`"),
        (json!({"type": "message.read", "id": "e"}), "`message_id`"),
        (json!({"type": "session.opened", "id": "e", "session": "s"}), "`conversation`"),
        (json!({"type": "session.opened", "id": "e", "conversation": "c"}), "`session`"),
        (json!({"type": "typing", "state": "on"}), "`customer`"),
        (json!({"type": "typing", "customer": "n", "state": true}), "`state`"),
    ];
    for (event, expected) in cases {
        assert!(why(&event).contains(expected), "{event}: {}", why(&event));
    }
}

#[test]
fn no_error_repeats_what_a_customer_wrote() {
    let event = json!({"type": "message.created", "id": "e", "customer": "my PIN is 1234", "text": ["my PIN is 1234"]});
    assert!(!one(&event).unwrap_err().to_string().contains("PIN"));
    let broken = br#"{"type":"message.created","text":"my PIN is 1234"#;
    assert!(!parse(broken).unwrap_err().to_string().contains("PIN"));
}

#[test]
fn an_overlong_nickname_does_not_cost_the_message() {
    let customer = json!({"id": "noor", "nickname": "x".repeat(5_000), "email": "n@x"});
    let event =
        one(&json!({"type": "message.created", "id": "e", "customer": customer, "text": "Hello"}))
            .unwrap();
    let Event::Message { customer, .. } = event else { panic!("not a message") };
    assert_eq!((customer.nickname, customer.email.as_deref()), (None, Some("n@x")));
}

#[test]
fn bodies_that_are_no_events_are_told_apart() {
    for broken in
        [&b""[..], b"   ", b"{", b"[{}", b"{} {}", b"<html>", b"\xff\xfe", b"[{\"a\":\"\xff\"}]"]
    {
        assert!(
            matches!(parse(broken), Err(NotEvents::NotJson { .. })),
            "{}",
            String::from_utf8_lossy(broken)
        );
    }
    for other in [&b"3"[..], b"null", b"\"text\""] {
        assert_eq!(parse(other).unwrap_err(), NotEvents::NeitherOneNorMany);
    }
    assert!(parse(b"[]").unwrap().is_empty());
    let many = format!("[{}]", vec!["{}"; MAX_EVENTS + 1].join(","));
    assert_eq!(parse(many.as_bytes()).unwrap_err(), NotEvents::TooMany(1_001));
}

#[test]
fn deep_nesting_is_refused_and_brackets_in_a_text_are_not_nesting() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for levels in [MAX_DEPTH, 200_000] {
        let body =
            format!(r#"{{"type":"typing","customer":"n","state":"on","x":{}}}"#, nested(levels));
        assert!(parse(body.as_bytes()).unwrap()[0].as_ref().unwrap_err().why.contains("nested"));
    }
    let body =
        format!(r#"{{"type":"typing","customer":"n","state":"on","x":{}}}"#, nested(MAX_DEPTH - 1));
    assert!(parse(body.as_bytes()).unwrap()[0].is_ok());
    let text = format!("\\\"{}", "[{".repeat(100));
    let event =
        json!({"type": "message.created", "id": "e", "customer": {"id": "n"}, "text": text});
    assert!(one(&event).is_ok());
}
