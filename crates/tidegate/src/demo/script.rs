//! The demo's fixed scenes. Each step is checked; the first that fails ends the demo with exit code
//! 1.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::scene::{HANDSHAKE, HOLD, NAME};
use super::stage::Stage;
use super::transcript::line;
use crate::failure::Failure;

/// How often a condition is checked.
const LOOK: Duration = Duration::from_millis(20);
/// How long a step may take beyond its minimum.
const SLACK: Duration = Duration::from_secs(10);

pub(super) async fn play(stage: &Stage) -> Result<(), Failure> {
    too_early(stage).await?;
    never_ready(stage).await?;
    println!("\nBoth scenes held.");
    Ok(())
}

/// Three messages typed during the handshake arrive after it, in order, and end Delivered.
async fn too_early(stage: &Stage) -> Result<(), Failure> {
    println!("Scene one: the agent answers before the handshake has ended.\n");
    let customer = "noor";
    begin(stage, customer, "Where is my parcel?").await?;
    let texts = ["Good morning, Noor.", "I am looking at your order now.", "It arrives tomorrow."];
    let mut sent = Vec::new();
    for text in texts {
        sent.push(answer(stage, customer, text)?);
    }
    hold(
        "nothing reaches the customer before the handshake has ended",
        stage.chat.screen(customer).is_empty() && !stage.chat.has_session(customer),
    )?;
    until("the handshake ends", HANDSHAKE, || stage.chat.has_session(customer)).await?;
    until("all three messages are on the customer's screen", Duration::ZERO, || {
        stage.chat.screen(customer).len() >= texts.len()
    })
    .await?;
    hold(
        "they are there in the order in which they were typed",
        stage.chat.screen(customer) == texts,
    )?;
    for (message, text) in sent.iter().zip(texts) {
        let delivered = || status(&details(stage, message)) == "delivery-success";
        until(&format!("“{text}” is delivered"), Duration::ZERO, delivered).await?;
        let told = details(stage, message);
        hold(
            "Genesys has exactly one final receipt for it, and it says Delivered",
            final_receipts(&told) == ["Delivered"],
        )?;
    }
    Ok(())
}

/// A message for a customer whose handshake never ends fails in time, says why, and is never
/// forwarded.
async fn never_ready(stage: &Stage) -> Result<(), Failure> {
    println!("\nScene two: the handshake never ends.\n");
    let customer = "never-ready";
    begin(stage, customer, "Hello?").await?;
    let message = answer(stage, customer, "How can I help?")?;
    let failed = || status(&details(stage, &message)) == "delivery-failed";
    until("the message has failed", HOLD, failed).await?;
    let told = details(stage, &message);
    hold(
        "Genesys has exactly one final receipt for it, and it says Failed",
        final_receipts(&told) == ["Failed"],
    )?;
    let reason = &told["normalizedReceipts"][0]["reasons"][0]["code"];
    hold("its normalizedReceipts name MessageExpired", reason == "MessageExpired")?;
    let conversation = stage
        .genesys
        .conversation_of(NAME, customer)
        .and_then(|id| stage.genesys.conversation(&id));
    let conversation =
        conversation.map_err(|error| Failure::failed("the conversation cannot be read", error))?;
    let error_info = error_info(&conversation, &message);
    line("genesys", format!("errorInfo: {error_info}"));
    hold(
        "the conversation's errorInfo names MessageExpired",
        error_info.contains("MessageExpired"),
    )?;
    hold("the customer never saw it", stage.chat.screen(customer).is_empty())
}

/// The customer writes, and an agent gets the conversation.
async fn begin(stage: &Stage, customer: &str, text: &str) -> Result<(), Failure> {
    let said = stage.chat.customer_says(customer, text).await;
    said.map_err(|error| Failure::failed("the customer's message is not taken", error))?;
    let arrived = || stage.genesys.conversation_of(NAME, customer).is_ok();
    until("the agent has the customer's words", Duration::ZERO, arrived).await
}

fn answer(stage: &Stage, customer: &str, text: &str) -> Result<String, Failure> {
    line("agent", format!("writes “{text}”"));
    let sent = stage.genesys.agent_send(NAME, customer, text);
    sent.map(|sent| sent.id).map_err(|error| Failure::failed("the agent cannot answer", error))
}

/// Waits until a condition becomes true.
async fn until(what: &str, at_least: Duration, is_true: impl Fn() -> bool) -> Result<(), Failure> {
    let end = Instant::now() + at_least + SLACK;
    while !is_true() {
        if Instant::now() > end {
            return Err(Failure::found(format!(
                "the demo failed: it did not come true that {what}"
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
    line("checked", what);
    Ok(())
}

/// Checks a condition that must be true now.
fn hold(what: &str, is_true: bool) -> Result<(), Failure> {
    if !is_true {
        return Err(Failure::found(format!("the demo failed: it is not true that {what}")));
    }
    line("checked", what);
    Ok(())
}

fn details(stage: &Stage, message: &str) -> Value {
    stage.genesys.message(message).unwrap_or_default()
}

fn status(details: &Value) -> &str {
    details["status"].as_str().unwrap_or_default()
}

fn final_receipts(details: &Value) -> Vec<&str> {
    let receipts = details["normalizedReceipts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let last = receipts.iter().filter(|receipt| receipt["isFinalReceipt"] == true);
    last.filter_map(|receipt| receipt["status"].as_str()).collect()
}

fn error_info(conversation: &Value, message: &str) -> String {
    let participants =
        conversation["participants"].as_array().map(Vec::as_slice).unwrap_or_default();
    let messages =
        participants.iter().filter_map(|participant| participant["messages"].as_array()).flatten();
    let found = messages.into_iter().find(|one| one["messageId"] == message);
    found.map(|one| one["errorInfo"]["message"].to_string()).unwrap_or_default()
}
