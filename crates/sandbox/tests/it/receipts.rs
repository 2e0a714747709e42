//! Receipts: they change the message status, and breaches of their rules are reported.

use serde_json::{Value, json};

use crate::support::{Bench, CUSTOMER, MESSAGES, assert_valid, receipt};

async fn one_message(bench: &Bench) -> (String, String) {
    let conversation = bench.customer_writes(CUSTOMER).await;
    let message = bench.agent_writes(CUSTOMER, "hello").await;
    assert_eq!(bench.settled(&message).await, "sent");
    (conversation, message)
}

fn in_conversation<'a>(conversation: &'a Value, message: &str) -> &'a Value {
    let participants = conversation["participants"].as_array().unwrap();
    let mut messages = participants.iter().flat_map(|each| each["messages"].as_array().unwrap());
    messages.find(|each| each["messageId"] == message).unwrap()
}

#[tokio::test]
async fn delivered_turns_the_ticks() {
    let bench = Bench::start().await;
    let (conversation, message) = one_message(&bench).await;
    assert_eq!(bench.verdict().await["without_final_receipt"], json!([message]));
    bench.receipt(&message, "Sent", false).await.json();
    assert_eq!(bench.details(&message).await["status"], "sent");
    let answer = bench.receipt(&message, "Delivered", true).await.json();
    assert_valid("inbound-receipt-response", &answer);
    assert_eq!((&answer["type"], &answer["status"]), (&json!("Receipt"), &json!("Delivered")));
    let details = bench.details(&message).await;
    assert_eq!(details["status"], "delivery-success");
    let receipts: Vec<_> = details["normalizedReceipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each["status"].clone())
        .collect();
    assert_eq!(receipts, ["Sent", "Delivered"]);
    assert_eq!(
        in_conversation(&bench.conversation(&conversation).await, &message)["messageStatus"],
        "delivery-success"
    );
    let verdict = bench.verdict().await;
    assert_eq!((&verdict["holds"], &verdict["messages"]), (&json!(true), &json!(1)));
}

#[tokio::test]
async fn a_failure_shows_its_reason() {
    let bench = Bench::start().await;
    let (conversation, message) = one_message(&bench).await;
    bench.receipt(&message, "Failed", true).await.json();
    let details = bench.details(&message).await;
    assert_eq!(details["status"], "delivery-failed");
    assert_eq!(details["normalizedReceipts"][0]["reasons"][0]["code"], "MessageExpired");
    let shown = bench.conversation(&conversation).await;
    let payload = "MessageExpired - The chat was not ready in time.";
    assert_eq!(
        in_conversation(&shown, &message)["errorInfo"],
        json!({
            "code": "DELIVERY_FAILED",
            "message": format!("Message delivery failed with the following payload: [{payload}]"),
            "messageWithParams": "Message delivery failed with the following payload: \
             [{errorPayload}]",
            "messageParams": {"errorPayload": payload},
            "details": [],
            "errors": [],
        })
    );
    assert_eq!(shown["participants"][3]["state"], "connected");
}

#[tokio::test]
async fn nothing_may_follow_the_final_receipt() {
    let bench = Bench::start().await;
    let (_, message) = one_message(&bench).await;
    bench.receipt(&message, "Delivered", true).await.json();
    assert_eq!(bench.receipt(&message, "Failed", true).await.status, 200);
    assert_eq!(bench.receipt(&message, "Sent", false).await.status, 200);
    let details = bench.details(&message).await;
    assert_eq!(details["status"], "delivery-success");
    assert_eq!(details["normalizedReceipts"].as_array().unwrap().len(), 3);
    let verdict = bench.verdict().await;
    let late: Vec<_> = verdict["receipts_after_final"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each["status"].clone())
        .collect();
    assert_eq!((late, &verdict["holds"]), (vec![json!("Failed"), json!("Sent")], &json!(false)));
    let transcript = bench.get("/sandbox/transcript").await.json();
    let fault = |each: &Value| each["faults"] == json!(["receipt after the final one"]);
    assert_eq!(transcript.as_array().unwrap().iter().filter(|each| fault(each)).count(), 2);
}

#[tokio::test]
async fn a_receipt_does_not_lead_back() {
    let bench = Bench::start().await;
    let (_, message) = one_message(&bench).await;
    bench.receipt(&message, "Delivered", false).await.json();
    bench.receipt(&message, "Sent", false).await.json();
    bench.receipt(&message, "Failed", true).await.json();
    assert_eq!(bench.details(&message).await["status"], "delivery-success");
    let verdict = bench.verdict().await;
    assert_eq!(verdict["receipts_backwards"].as_array().unwrap().len(), 2);
    assert_eq!(verdict["without_final_receipt"], json!([]));
}

#[tokio::test]
async fn a_receipt_for_nothing_is_told_apart() {
    let bench = Bench::start().await;
    let (_, message) = one_message(&bench).await;
    assert_eq!(
        bench.receipt("0123456789abcdef0123456789abcdef", "Delivered", true).await.status,
        404
    );
    // An inbound message's id is unknown as well, and so is another integration's.
    let inbound = bench
        .post(&bench.inbound("message"), &crate::support::example("inbound-01-text.json"))
        .await;
    let inbound = inbound.value()["id"].as_str().unwrap().to_owned();
    assert_eq!(bench.receipt(&inbound, "Delivered", true).await.status, 404);
    let second = bench
        .post(crate::support::INTEGRATIONS, &crate::support::example("integration-01-create.json"))
        .await;
    let second = second.value()["id"].as_str().unwrap().to_owned();
    let path = format!("{MESSAGES}/{second}/inbound/open/receipt");
    assert_eq!(
        bench.post(&path, &receipt(&message, CUSTOMER, "Delivered", true)).await.status,
        404
    );
    bench.put("/sandbox/switches", &json!({"unknown_receipt": "accept"})).await.json();
    assert_eq!(
        bench.receipt("0123456789abcdef0123456789abcdef", "Delivered", true).await.status,
        200
    );
    assert_eq!(bench.verdict().await["unknown_ids"].as_array().unwrap().len(), 4);
    assert_eq!(bench.details(&message).await["status"], "sent");
}

#[tokio::test]
async fn a_receipt_to_another_customer_is_noticed() {
    let bench = Bench::start().await;
    let (_, message) = one_message(&bench).await;
    let wrong = receipt(&message, "somebody else", "Delivered", true);
    assert_eq!(bench.post(&bench.inbound("receipt"), &wrong).await.status, 200);
    let verdict = bench.verdict().await;
    assert_eq!(
        (verdict["wrong_customer"].as_array().unwrap().len(), &verdict["holds"]),
        (1, &json!(false))
    );
}

#[tokio::test]
async fn a_final_sent_closes_the_message() {
    let bench = Bench::start().await;
    let (_, message) = one_message(&bench).await;
    bench.receipt(&message, "Sent", true).await.json();
    assert_eq!(bench.details(&message).await["status"], "sent");
    assert_eq!(bench.verdict().await["holds"], true);
}
