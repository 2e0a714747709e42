//! Structured content reaches a chat service that shows texts, and the answer reaches the bot.

use conversation::Record;
use serde_json::{Value, json};
use store::JournalRow;

use crate::support::{Loop, conversation_of, delivered, eventually, failed};

const QUICK: &[&str] = &["--handshake", "0", "--deliver", "immediately"];

/// A carousel of two cards, as a bot flow sends it.
fn carousel() -> Value {
    let card = |title: &str, action: &str, payload: &str| {
        let postback = json!({ "type": "Postback", "text": action, "payload": payload });
        json!({ "title": title, "description": format!("{title} parcel"), "actions": [postback] })
    };
    let cards = [card("Small", "Take it", "take-small"), card("Large", "This one", "take-large")];
    json!([{ "contentType": "Carousel", "carousel": { "cards": cards } }])
}

async fn sends(all: &Loop, content: &Value) -> String {
    let body = json!({ "integration": "acme", "customer": "noor", "content": content });
    let sent = all.sandbox.post("/sandbox/agent/send", &body).await;
    sent["id"].as_str().unwrap_or_else(|| panic!("not sent: {sent}")).to_owned()
}

#[tokio::test]
async fn a_customer_answers_a_carousel_by_its_number_and_the_bot_gets_the_payload() {
    let all = Loop::start("", QUICK).await;
    all.chat.says("noor", "Hello?").await;
    eventually("the agent", async || all.sandbox.agent_sends("noor", "Choose.").await).await;
    let message = sends(&all, &carousel()).await;
    assert_eq!(all.sandbox.final_receipt(&message).await, delivered());
    let shown = "Small\nSmall parcel\n1. Take it\n\nLarge\nLarge parcel\n2. This one";
    assert_eq!(all.chat.taken(), ["Choose.", shown]);

    all.chat.says("noor", "2").await;
    all.chat.says("noor", "2").await;
    let responses = async || {
        let is_response = |entry: &&Value| {
            entry["path"].as_str().is_some_and(|path| path.ends_with("/structured/response"))
        };
        let calls = all.sandbox.transcript().await;
        let found: Vec<Value> =
            calls.iter().filter(is_response).map(|entry| entry["body"].clone()).collect();
        (!found.is_empty()).then_some(found)
    };
    let responses = eventually("Genesys gets the answer", responses).await;
    assert_eq!(responses.len(), 1, "{responses:?}");
    assert_eq!(
        responses[0]["buttonResponse"],
        json!({ "type": "Button", "text": "This one", "payload": "take-large" })
    );
    assert_eq!(responses[0]["originatingMessageId"], json!(message));
    eventually("the second answer is a text", async || {
        all.heard().await.contains(&"2".to_owned()).then_some(())
    })
    .await;
    all.audited();
}

#[tokio::test]
async fn without_degrade_the_message_fails() {
    let all = Loop::start("[integration.content]\ndegrade = false\n", QUICK).await;
    all.chat.says("noor", "Hello?").await;
    eventually("the agent", async || all.sandbox.agent_sends("noor", "Choose.").await).await;
    let message = sends(&all, &carousel()).await;
    assert_eq!(all.sandbox.final_receipt(&message).await, failed("UnsupportedMessage"));
    assert_eq!(all.chat.taken(), ["Choose."]);
    all.audited();
}

#[tokio::test]
async fn an_edit_is_told_as_a_new_line_and_attributes_reach_architect() {
    let all = Loop::start("", QUICK).await;
    let customer = json!({ "id": "noor", "attributes": { "order": "A-10077" } });
    let said =
        json!({ "type": "message.created", "id": "m-1", "customer": customer, "text": "At ten" });
    let edited =
        json!({ "type": "message.edited", "id": "e-1", "message_id": "m-1", "text": "At eleven" });
    let deleted = json!({ "type": "message.deleted", "id": "e-2", "message_id": "m-1" });
    let unknown = json!({ "type": "message.deleted", "id": "e-3", "message_id": "m-9" });
    for _ in 0..2 {
        let events = json!([said, edited, deleted, unknown]);
        let (status, answer) = all.gateway.events(events.to_string().as_bytes()).await;
        assert_eq!((status, &answer["accepted"]), (202, &json!(3)), "{answer}");
        assert_eq!(answer["ignored"][0]["id"], "e-3", "{answer}");
    }
    let lines = ["At ten", "✎ \"At ten\" → At eleven", "🗑 \"At ten\""];
    eventually("the agent reads it, each line once", async || {
        (all.heard().await == lines).then_some(())
    })
    .await;
    let calls = all.sandbox.transcript().await;
    let attributes = calls
        .iter()
        .map(|entry| &entry["body"]["channel"]["metadata"]["customAttributes"])
        .filter(|attributes| !attributes.is_null())
        .collect::<Vec<_>>();
    assert_eq!(attributes.len(), 3, "the changes come from the same customer");
    assert!(attributes.iter().all(|attributes| attributes["order"] == "A-10077"), "{attributes:?}");
    all.audited();
}

#[tokio::test]
async fn history_comes_once_before_the_first_words_and_a_state_is_shown() {
    let all = Loop::start("", QUICK).await;
    let customer = json!({ "id": "noor" });
    let past = json!([{ "from": "Bot", "text": "How can I help?", "time": "2026-11-20T09:10:59Z" },
        { "from": "Noor", "text": "My parcel" }]);
    let history = json!({ "type": "history", "id": "h-1", "customer": customer, "messages": past });
    let said = json!({ "type": "message.created", "id": "m-1", "customer": customer, "text": "?" });
    let state = json!({ "type": "state", "state": "refused", "remedy": "log in again" });
    for _ in 0..2 {
        let events = json!([history, said, state]);
        let (status, answer) = all.gateway.events(events.to_string().as_bytes()).await;
        assert_eq!((status, &answer["accepted"]), (202, &json!(3)), "{answer}");
    }
    let lines = ["⏪\n2026-11-20 09:10 UTC Bot: How can I help?\nNoor: My parcel", "?"];
    eventually("the agent reads it, once", async || (all.heard().await == lines).then_some(()))
        .await;
    let (_, metrics) = all.gateway.get("/metrics").await;
    assert!(metrics.contains("tidegate_connector_up{integration=\"acme\"} 0"), "{metrics}");
    all.audited();
}

#[tokio::test]
async fn an_edit_that_cannot_be_told_is_ignored_with_the_reason() {
    let all = Loop::start("", QUICK).await;
    let customer = json!({ "id": "noor" });
    let said =
        json!({ "type": "message.created", "id": "m-1", "customer": customer, "text": "Hi" });
    let edited = |id: &str, text: &str| json!({ "type": "message.edited", "id": id, "message_id": "m-1", "text": text });
    let longest = "x".repeat(80_000);
    let events = json!([said, edited("e-1", &longest), edited("e-2", "Hello")]);
    let (status, answer) = all.gateway.events(events.to_string().as_bytes()).await;
    assert_eq!((status, &answer["accepted"]), (202, &json!(2)), "{answer}");
    assert_eq!(answer["ignored"][0]["id"], "e-1", "{answer}");
    let lines = ["Hi", "✎ \"Hi\" → Hello"];
    eventually("the agent reads the rest", async || (all.heard().await == lines).then_some(()))
        .await;

    let left = json!({ "type": "session.closed", "id": "s-1",
        "conversation": conversation_of("noor").as_str() });
    let (status, _) = all.gateway.events(left.to_string().as_bytes()).await;
    assert_eq!(status, 202);
    let has_left = async || {
        let journal = all.dossier("noor").await?.journal;
        let left = |row: &JournalRow| matches!(row.record, Ok(Record::SessionClosed { .. }));
        journal.iter().any(left).then_some(())
    };
    eventually("the gateway knows that the customer has left", has_left).await;
    let late = edited("e-3", "Too late").to_string();
    let (_, answer) = all.gateway.events(late.as_bytes()).await;
    let why = answer["ignored"][0]["why"].as_str().unwrap_or_default();
    assert!(why.contains("the chat is over"), "{answer}");
    all.audited();
}
