//! Events from a broken chat service, or from something else.

use conversation::{ConversationId, IntegrationName};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::webhooks::goes_on;
use super::{MARKER, Memory, QUICK};
use crate::support::{Loop, client, eventually};

/// Another service's secret.
const FOREIGN_SECRET: &str = "whsec_c29tZWJvZHktZWxzZXMtc2VjcmV0LWFsdG9nZXRoZXI=";

fn said(id: &str, customer: &str) -> Value {
    json!({ "type": "message.created", "id": id, "customer": { "id": customer }, "text": format!("{MARKER} {id}") })
}

fn deep(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
}

/// What Genesys received from the customer, in order.
async fn heard(all: &Loop, customer: &str) -> Vec<String> {
    let mut heard = Vec::new();
    for entry in all.sandbox.transcript().await {
        let is_message =
            entry["path"].as_str().is_some_and(|path| path.contains("/inbound/open/message"));
        if is_message
            && entry["status"] == 200
            && entry["body"]["channel"]["from"]["id"] == customer
        {
            heard.push(entry["body"]["text"].as_str().expect("a text").to_owned());
        }
    }
    heard
}

async fn hears(all: &Loop, customer: &str, count: usize) -> Vec<String> {
    eventually(&format!("{count} messages of {customer}"), async || {
        let heard = heard(all, customer).await;
        (heard.len() >= count).then_some(heard)
    })
    .await
}

#[tokio::test]
async fn events_that_are_not_the_chat_services_are_refused_and_leave_no_trace() {
    let mut all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let body = said("forged", "mallory").to_string().into_bytes();
    let unsigned =
        client().post(format!("{}/connectors/acme/events", all.gateway.url)).body(body.clone());
    assert_eq!(unsigned.send().await.expect("an answer").status(), 401);
    assert_eq!(all.gateway.events_signed(&body, FOREIGN_SECRET, SignedDuration::ZERO).await.0, 401);
    for minutes in [-10, 10] {
        let off = SignedDuration::from_mins(minutes);
        let (status, answer) =
            all.gateway.events_signed(&body, crate::support::CONNECTOR_SECRET, off).await;
        assert_eq!(status, 401, "{minutes} minutes");
        assert!(answer["error"].is_string(), "it is told why: {answer}");
    }
    assert_eq!(all.stored_for("mallory").await, 0);
    assert!(all.gateway.process.log().matches("events were refused").count() >= 4);
    // With the right signature it is accepted.
    assert_eq!(all.gateway.events(&body).await.0, 202);
    assert_eq!(hears(&all, "mallory", 1).await.len(), 1);
    goes_on(&mut all).await;
}

#[tokio::test]
async fn bodies_that_hold_no_events_are_refused() {
    let mut all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let memory = Memory::of(&all.gateway);
    let whole = said("whole", "noor").to_string();
    // As short as possible, so that there are too many events but not too many bytes.
    let short = |n: u32| json!({ "type": "message.created", "id": n.to_string(), "customer": { "id": "many" }, "text": "x" });
    let many: Vec<_> = (0..10_000).map(short).collect();
    let invalid = [whole.trim_end_matches('}').as_bytes(), b",\xff}"].concat();
    let cases: [(&str, Vec<u8>); 14] = [
        ("empty", vec![]),
        ("not JSON", format!("type=message.created&text={MARKER}").into()),
        ("a text", format!("\"{MARKER}\"").into()),
        ("a number", "1e999".into()),
        ("truncated", whole.as_bytes()[..whole.len() / 2].into()),
        ("truncated array", format!("[{whole},{whole}").into()),
        ("deep", deep(10_000).into()),
        ("only brackets", "[".repeat(100_000).into()),
        ("deep in an event", format!(r#"{{"deep":{},{}"#, deep(10_000), &whole[1..]).into()),
        ("no UTF-8 outside of a text", invalid),
        (
            "an unknown type",
            json!({ "type": "message.exploded", "id": "e", "text": MARKER }).to_string().into(),
        ),
        ("no type", json!({ "id": "e", "text": MARKER }).to_string().into()),
        ("an endless id", said(&"x".repeat(10_000), "noor").to_string().into()),
        ("ten thousand events", Value::from(many).to_string().into()),
    ];
    for (name, body) in &cases {
        let (status, answer) = all.gateway.events(body).await;
        assert_eq!(status, 400, "{name}: {answer}");
        assert!(
            answer["error"].is_string() || answer["ignored"].is_array(),
            "it is told why: {name}"
        );
        assert!(!answer.to_string().contains(MARKER), "without the text: {name}");
    }
    let over = said("over", &"x".repeat(1 << 20)).to_string();
    assert_eq!(all.gateway.events(over.as_bytes()).await.0, 413);
    assert_eq!(
        all.stored_for("noor").await + all.stored_for("many").await,
        0,
        "nothing of it was taken"
    );
    goes_on(&mut all).await;
    memory.stayed_small(&all.gateway);
}

#[tokio::test]
async fn one_bad_event_does_not_cost_its_neighbours() {
    let mut all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let conversation = ConversationId::of(&IntegrationName::new("acme"), "nobody-at-all");
    let events = json!([
        said("one", "noor"),
        7,
        null,
        [],
        { "type": "message.exploded", "id": "e" },
        { "type": "message.delivered", "id": "d-1", "message": "never-heard-of" },
        { "type": "message.delivered", "id": "d-2" },
        { "type": "message.created", "id": "", "customer": { "id": "noor" }, "text": "no id" },
        { "type": "message.created", "id": "x".repeat(10_000), "customer": { "id": "noor" }, "text": "long id" },
        { "type": "message.created", "id": "no-customer", "text": "whose?" },
        { "type": "message.created", "id": "bad-time", "customer": { "id": "noor" }, "text": "when?", "time": "soon" },
        { "type": "session.opened", "id": "s-1", "conversation": conversation.as_str(), "session": "s" },
        { "type": "session.opened", "id": "s-2", "conversation": "../../x", "session": "x".repeat(100_000) },
        said("two", "noor"),
        said("one", "noor"),
        { "type": "typing", "customer": "noor", "state": "on" },
        { "type": "message.created", "id": "future", "customer": { "id": "noor" }, "text": "future",
          "time": "9999-12-30T22:00:00Z" },
        said("three", "noor"),
    ]);
    let (status, answer) = all.gateway.events(events.to_string().as_bytes()).await;
    assert_eq!(status, 202, "{answer}");
    let ignored: Vec<_> =
        answer["ignored"].as_array().expect("some").iter().map(|one| &one["index"]).collect();
    assert_eq!(ignored, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], "{answer}");
    assert_eq!(answer["accepted"], 6, "{answer}");
    let expected = [
        format!("{MARKER} one"),
        format!("{MARKER} two"),
        "future".to_owned(),
        format!("{MARKER} three"),
    ];
    assert_eq!(hears(&all, "noor", 4).await, expected, "in order, each once");

    // Sending all of it again changes nothing.
    assert_eq!(all.gateway.events(events.to_string().as_bytes()).await.0, 202);
    assert_eq!(all.gateway.events(b"[]").await, (202, json!({ "accepted": 0 })));
    let keys = format!(
        r#"{{"text":"{MARKER} unheard","id":"unheard",{}"#,
        &said("last-key", "noor").to_string()[1..]
    );
    assert_eq!(all.gateway.events(keys.as_bytes()).await.0, 202);
    let heard = hears(&all, "noor", 5).await;
    assert_eq!(heard[4..], [format!("{MARKER} last-key")], "the last of repeated keys counts");
    goes_on(&mut all).await;
}

#[tokio::test]
async fn a_thousand_events_at_once_are_all_taken_in_order() {
    let mut all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let memory = Memory::of(&all.gateway);
    let events: Vec<_> =
        (0..1_000).map(|n| said(&format!("event-{n}"), &format!("customer-{}", n % 10))).collect();
    let (status, answer) = all.gateway.events(Value::from(events).to_string().as_bytes()).await;
    assert_eq!((status, &answer["accepted"]), (202, &json!(1_000)), "{answer}");
    for customer in 0..10 {
        let heard = hears(&all, &format!("customer-{customer}"), 100).await;
        let expected: Vec<_> =
            (0..100).map(|n| format!("{MARKER} event-{}", n * 10 + customer)).collect();
        assert_eq!(heard, expected);
    }
    goes_on(&mut all).await;
    memory.stayed_small(&all.gateway);
}
