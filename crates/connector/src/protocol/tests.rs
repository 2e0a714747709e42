use conversation::{ConversationId, MessageId, MessageRef, Reason, ReasonCode, Report, SessionId};
use serde_json::{Value, json};

use super::*;
use crate::{Customer, Event, ServiceState};

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
    assert_eq!(
        one(
            &json!({"type": "session.closed", "id": "e7", "conversation": "c1", "reason": {"message": "bye"}})
        ),
        Ok(Event::SessionClosed {
            id: "e7".into(),
            conversation: conversation.clone(),
            session: None,
            reason: Some(Reason::new(ReasonCode::InvalidDestination, "bye")),
        })
    );
    for (named, lost) in [(json!("c1"), Some(conversation.clone())), (json!(null), None)] {
        assert_eq!(
            one(&json!({"type": "session.lost", "id": "e8", "conversation": named, "session": 7})),
            Ok(Event::SessionLost {
                id: "e8".into(),
                conversation: lost,
                session: Some(SessionId::new("7"))
            })
        );
    }
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
        last.raw, r#"{"type":"message.read" , "id":"e4","message":"m"}"#,
        "kept byte for byte"
    );
    assert_eq!(events.len(), 4);
}

#[test]
fn damaged_characters_are_mended_in_each_event_and_its_bytes_are_kept() {
    let created = |id: &str, text: &[u8]| {
        let before = format!(
            r#"{{"type":"message.created","id":"{id}","customer":{{"id":"noor"}},"text":""#
        );
        [before.as_bytes(), text, b"\"}"].concat()
    };
    let half = created("m1", br"thanks \ud83d");
    let latin = created("m2", b"caf\xe9 ],{ \\\" ");
    let whole = created("m3", br"\ud83d\ude00 \\ud83d");
    let body = [b"\xef\xbb\xbf [", &half[..], b" ,\n", &latin, b",", &whole, b" ]\r\n"].concat();
    let events = parse(&body).unwrap();
    let texts = ["thanks \u{fffd}", "caf\u{fffd} ],{ \" ", "\u{1f600} \\ud83d"];
    assert_eq!(events.len(), 3);
    for ((event, expected), raw) in events.iter().zip(texts).zip([&half, &latin, &whole]) {
        let event = event.as_ref().unwrap();
        let Event::Message { text, .. } = &event.event else { panic!("{event:?}") };
        assert_eq!((text.as_deref(), &event.raw[..]), (Some(expected), &raw[..]));
        // The stored bytes mean the same when they are read again.
        assert_eq!(parse(&event.raw).unwrap()[0].as_ref().unwrap().event, event.event);
    }
    for mark in [&b"\xef\xbb\xbf"[..], b"\r\n\xef\xbb\xbf\n", b"\xef\xbb\xbf\xef\xbb\xbf"] {
        assert!(parse(&[mark, &half].concat()).unwrap()[0].is_ok(), "{mark:?}");
    }
    // Damage in a key, in a type or in an id costs only that field.
    let odd = br#"[{"type":"message.created\udc00","id":"e1"},{"k\ud83d":"\ud83d","type":"message.read","id":"e2\ud83d","message":"m"}]"#;
    let events = parse(odd).unwrap();
    assert_eq!(events[0].as_ref().unwrap_err().id.as_deref(), Some("e1"));
    assert_eq!(events[1].as_ref().unwrap().event.id(), Some("e2\u{fffd}"));
}

#[test]
fn a_number_is_an_id_too() {
    for (number, text) in
        [("42", "42"), ("-1", "-1"), ("18446744073709551616", "18446744073709551616"), ("7.0", "7")]
    {
        let read = |event: &str| {
            parse(event.replace("ID", number).as_bytes()).unwrap().remove(0).unwrap().event
        };
        let event = read(
            r#"{"type":"message.created","id":ID,"customer":{"id":ID,"nickname":ID},"text":"t"}"#,
        );
        let Event::Message { id, customer, .. } = event else { panic!("{event:?}") };
        assert_eq!(
            (id.as_str(), customer.id.as_str(), customer.nickname.as_deref()),
            (text, text, Some(text))
        );
        let Event::Report { id, message, .. } =
            read(r#"{"type":"message.delivered","id":ID,"message":ID}"#)
        else {
            panic!("{number}")
        };
        assert_eq!((id.as_str(), message), (text, MessageRef::Ours(MessageId::new(text))));
        let Event::Report { message, .. } =
            read(r#"{"type":"message.read","id":"e","message_id":ID}"#)
        else {
            panic!("{number}")
        };
        assert_eq!(message, MessageRef::Service(text.into()));
        let event = read(r#"{"type":"session.opened","id":"e","conversation":ID,"session":ID}"#);
        let (conversation, session) = (ConversationId::new(text), SessionId::new(text));
        assert_eq!(event, Event::SessionOpened { id: "e".into(), conversation, session });
        for typing in [
            r#"{"type":"typing","customer":ID,"state":"on"}"#,
            r#"{"type":"typing","customer":{"id":ID},"state":"on"}"#,
        ] {
            let expected =
                Event::Typing { customer: Some(text.into()), conversation: None, on: true };
            assert_eq!(read(typing), expected);
        }
    }
}

#[test]
fn what_nobody_needs_costs_no_message() {
    let customer = r#"{"id":"noor","nickname":[1],"first_name":{"a":1},"lastName":true,"image":1e999,"email":" ","id_type":null}"#;
    let body = format!(
        r#"{{"type":"message.created","id":"e","customer":{customer},"text":"t","more":1e999}}"#
    );
    let incoming = parse(body.as_bytes()).unwrap().remove(0).unwrap();
    assert_eq!(
        incoming.left_out,
        [
            "`customer.first_name` is no text and was left out",
            "`customer.lastName` is no text and was left out",
            "`customer.nickname` is no text and was left out",
        ]
    );
    let event = incoming.event;
    let Event::Message { customer, .. } = event else { panic!("{event:?}") };
    let image = Some("1e999".to_owned());
    assert_eq!(customer, Customer { id: "noor".to_owned(), image, ..Customer::default() });
}

#[test]
fn a_field_of_the_customer_that_is_not_known_is_told() {
    let customer =
        json!({"id": "noor", "nickname": "", "loyalty": "gold", "image": "x".repeat(5_000)});
    let event = json!({"type": "message.created", "id": "e", "customer": customer, "text": "t"});
    let left_out = parse(event.to_string().as_bytes()).unwrap().remove(0).unwrap().left_out;
    assert_eq!(
        left_out,
        [
            "`customer.image` is too long and was left out",
            "`customer.loyalty` is not known and was left out"
        ]
    );
}

#[test]
fn a_reason_is_understood_in_its_usual_forms() {
    let blocked = Reason::new(ReasonCode::RecipientOptedOut, "blocked");
    for reason in [
        json!({"reason": {"code": "RecipientOptedOut", "message": "blocked"}}),
        json!({"reason": {"code": "recipient_opted_out", "message": "blocked"}}),
        json!({"error": {"code": "RecipientOptedOut", "detail": "blocked"}}),
        json!({"reason": null, "errors": [{"code": "RecipientOptedOut", "title": "blocked"}]}),
    ] {
        let mut event = reason.clone();
        for (key, value) in [("type", "message.failed"), ("id", "e"), ("message", "ours")] {
            event[key] = json!(value);
        }
        let Ok(Event::Report { report: Report::Failed { reason: found }, .. }) = one(&event) else {
            panic!("{event}")
        };
        assert_eq!(found, blocked, "{reason}");
    }
    let event = json!({"type": "message.failed", "id": "e", "message": "ours", "reason": "RecipientOptedOut"});
    let Ok(Event::Report { report: Report::Failed { reason }, .. }) = one(&event) else {
        panic!("{event}")
    };
    assert_eq!(reason.code, ReasonCode::RecipientOptedOut, "a code alone");
    assert!(!reason.message.contains("ours"), "the message's id is no sentence: {reason}");
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
        (message(json!(true), noor(), json!("t"), null.clone(), null.clone()), "`id`"),
        (message(json!(""), noor(), json!("t"), null.clone(), null.clone()), "`id` is empty"),
        (message(json!(long), noor(), json!("t"), null.clone(), null.clone()), "513"),
        (message(json!("e"), null.clone(), json!("t"), null.clone(), null.clone()), "`customer`"),
        (
            message(json!("e"), json!({"id": [1]}), json!("t"), null.clone(), null.clone()),
            "`customer.id`",
        ),
        (message(json!(" "), noor(), json!("t"), null.clone(), null.clone()), "`id` is empty"),
        (
            message(json!("e"), json!({"id": "\t"}), json!("t"), null.clone(), null.clone()),
            "`customer.id` is empty",
        ),
        (json!({"type": "message.read", "id": "e", "message": {"id": "m"}}), "`message`"),
        (
            json!({"type": "session.opened", "id": "e", "conversation": false, "session": "s"}),
            "`conversation`",
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
    assert_eq!(customer.nickname.map(|name| name.chars().count()), Some(255));
    assert_eq!(customer.email.as_deref(), Some("n@x"));
}

#[test]
fn bodies_that_are_no_events_are_told_apart() {
    for broken in [
        &b""[..],
        b"   ",
        b"{",
        b"[{}",
        b"{} {}",
        b"<html>",
        b"\xff\xfe",
        b"[{\"a\":\xff}]",
        b"[{},]",
    ] {
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

#[test]
fn a_changed_message_is_named_by_the_services_id() {
    let changed = |kind: &str, text: Value| {
        one(&json!({"type": kind, "id": "e1", "message_id": 17, "text": text}))
    };
    let expected = |text: Option<&str>| Event::Changed {
        id: "e1".to_owned(),
        message_id: "17".to_owned(),
        text: text.map(str::to_owned),
    };
    assert_eq!(changed("message.edited", json!("New words")), Ok(expected(Some("New words"))));
    assert_eq!(changed("message.deleted", json!("ignored")), Ok(expected(None)));
    assert_eq!(changed("message.edited", json!("")).unwrap_err().why, "`text` is missing");
    assert_eq!(changed("message.edited", json!(3)).unwrap_err().why, "`text` is not a string");
    let nameless = json!({"type": "message.deleted", "id": "e1"});
    assert_eq!(why(&nameless), "`message_id` is missing");
}

#[test]
fn attributes_are_texts_and_have_four_kilobytes() {
    let read = |attributes: Value| {
        let event = json!({"type": "message.created", "id": "m", "text": "Hello",
            "customer": {"id": "noor", "attributes": attributes}});
        let incoming = parse(event.to_string().as_bytes()).unwrap().remove(0).unwrap();
        let Event::Message { customer, .. } = incoming.event else { panic!("no message") };
        (json!(customer.attributes), incoming.left_out)
    };
    let all = json!({"order": "A-1", "amount": 12, "member": true});
    let texts = json!({"order": "A-1", "amount": "12", "member": "true"});
    assert_eq!(read(all), (texts, Vec::new()));
    let (kept, left_out) = read(json!({"order": "A-1", "list": [1], "nothing": null}));
    assert_eq!(kept, json!({"order": "A-1"}));
    assert!(left_out[0].contains("values that are not text"), "{left_out:?}");
    let (kept, left_out) = read(json!({"order": "x".repeat(4_091), "a": "b"}));
    assert_eq!((kept, left_out.len()), (json!({}), 1), "4,098 bytes");
    let (kept, left_out) = read(json!({"order": "x".repeat(4_089), "a": "b"}));
    assert_eq!((kept["a"].as_str(), left_out.len()), (Some("b"), 0), "4,096 bytes");
    assert!(read(json!("none")).1[0].contains("is not an object"));
}

#[test]
fn history_has_texts_and_a_state_has_one_of_three_words() {
    let history = |messages: Value| {
        let customer = json!({"id": "noor"});
        let (kind, id) = ("history", "h");
        one(&json!({"type": kind, "id": id, "customer": customer, "messages": messages}))
    };
    let Ok(Event::History { messages, .. }) = history(
        json!([{"from": "Bot", "text": " Hello ", "time": "2026-11-20T09:10:59Z"}, {"text": "Hi"}]),
    ) else {
        panic!("no history")
    };
    assert_eq!((messages[0].from.as_deref(), messages[0].text.as_str()), (Some("Bot"), "Hello"));
    assert!(messages[0].time.is_some() && messages[1].from.is_none());
    assert_eq!(history(json!([{"text": ""}])).unwrap_err().why, "`messages[0].text` is missing");
    assert_eq!(history(json!([])).unwrap_err().why, "`messages` has 0 elements, not 1 to 100");
    assert_eq!(history(json!("all")).unwrap_err().why, "`messages` is not an array");
    let state = |word: &str| one(&json!({"type": "state", "state": word, "remedy": "log in"}));
    let remedy = Some("log in".to_owned());
    assert_eq!(state("refused"), Ok(Event::State { state: ServiceState::Refused, remedy }));
    assert!(state("fine").unwrap_err().why.contains("\"down\""));
}
