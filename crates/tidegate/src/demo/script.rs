//! The demo's fixed scenes. Each step is checked, and the first failure ends the demo with exit
//! code 1.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::scene::{HANDSHAKE, HOLD, NAME};
use super::stage::Stage;
use super::transcript::line;
use crate::failure::Failure;

/// How often a condition is checked.
const LOOK: Duration = Duration::from_millis(20);
/// How much longer than its minimum a step may take.
const SLACK: Duration = Duration::from_secs(10);

pub(super) async fn play(stage: &Stage) -> Result<(), Failure> {
    too_early(stage).await?;
    a_choice(stage).await?;
    never_ready(stage).await?;
    println!("\nAll scenes held.");
    Ok(())
}

/// Three messages that the agent writes during the handshake arrive after it, in order, and get the
/// receipt Delivered.
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
    until(stage, "the handshake ends", HANDSHAKE, || stage.chat.has_session(customer)).await?;
    until(stage, "all three messages are on the customer's screen", Duration::ZERO, || {
        stage.chat.screen(customer).len() >= texts.len()
    })
    .await?;
    hold(
        "they are there in the order in which they were typed",
        stage.chat.screen(customer) == texts,
    )?;
    for (message, text) in sent.iter().zip(texts) {
        let delivered = || status(&details(stage, message)) == "delivery-success";
        until(stage, &format!("“{text}” is delivered"), Duration::ZERO, delivered).await?;
        let told = details(stage, message);
        hold(
            "Genesys has exactly one final receipt for it, and it says Delivered",
            final_receipts(&told) == ["Delivered"],
        )?;
    }
    Ok(())
}

/// A bot offers two cards. The customer's answer reaches Genesys as a tap on the button.
async fn a_choice(stage: &Stage) -> Result<(), Failure> {
    println!("\nScene two: a bot offers a choice.\n");
    let customer = "noor";
    let card = |title: &str, action: &str, payload: &str| {
        let button = json!({ "type": "Postback", "text": action, "payload": payload });
        json!({ "title": title, "actions": [button] })
    };
    let cards =
        [card("Morning", "In the morning", "slot-1"), card("Evening", "In the evening", "slot-2")];
    let carousel = json!({ "contentType": "Carousel", "carousel": { "cards": cards } });
    let question = "When shall we bring it?";
    line("bot", format!("asks “{question}” with two cards"));
    let sent = stage.genesys.bot_send(NAME, customer, question, vec![carousel]);
    let sent = sent.map_err(|error| Failure::failed("the bot cannot ask", error))?.id;
    let delivered = || status(&details(stage, &sent)) == "delivery-success";
    until(stage, "the cards are delivered", Duration::ZERO, delivered).await?;
    let said = stage.chat.customer_says(customer, "in the evening").await;
    said.map_err(|error| Failure::failed("the customer's answer is not taken", error))?;
    let tapped = || responses(stage) == [(sent.clone(), "slot-2".to_owned())];
    until(stage, "Genesys gets the tap on “In the evening”", Duration::ZERO, tapped).await
}

/// The taps that Genesys got: the message with the button, and the button's payload.
fn responses(stage: &Stage) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let calls = stage.genesys.transcript(0, 10_000);
    let taps = calls.iter().filter(|call| {
        call.path.as_deref().is_some_and(|path| path.ends_with("/structured/response"))
    });
    let bodies =
        taps.filter_map(|call| serde_json::from_str::<Value>(call.body.as_ref()?.get()).ok());
    bodies
        .map(|body| (text(&body["originatingMessageId"]), text(&body["buttonResponse"]["payload"])))
        .collect()
}

/// A message for a customer whose handshake never ends fails in time, says why, and is never
/// forwarded.
async fn never_ready(stage: &Stage) -> Result<(), Failure> {
    println!("\nScene three: the handshake never ends.\n");
    let customer = "never-ready";
    begin(stage, customer, "Hello?").await?;
    let message = answer(stage, customer, "How can I help?")?;
    let failed = || status(&details(stage, &message)) == "delivery-failed";
    until(stage, "the message has failed", HOLD, failed).await?;
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

/// The customer writes, and the agent gets the message.
async fn begin(stage: &Stage, customer: &str, text: &str) -> Result<(), Failure> {
    let said = stage.chat.customer_says(customer, text).await;
    said.map_err(|error| Failure::failed("the customer's message is not taken", error))?;
    let arrived = || stage.genesys.conversation_of(NAME, customer).is_ok();
    until(stage, "the agent has the customer's words", Duration::ZERO, arrived).await
}

fn answer(stage: &Stage, customer: &str, text: &str) -> Result<String, Failure> {
    line("agent", format!("writes “{text}”"));
    let sent = stage.genesys.agent_send(NAME, customer, text);
    sent.map(|sent| sent.id).map_err(|error| Failure::failed("the agent cannot answer", error))
}

/// Waits until a condition becomes true, and until what the agent sees by then is printed.
async fn until(
    stage: &Stage,
    what: &str,
    at_least: Duration,
    is_true: impl Fn() -> bool,
) -> Result<(), Failure> {
    let end = Instant::now() + at_least + SLACK;
    while !is_true() {
        if Instant::now() > end {
            return Err(Failure::found(format!(
                "the demo failed: this did not happen in time: {what}"
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
    let seen = stage.genesys.last_entry();
    // If the printing task lags, the script continues.
    let mut printed = stage.printed.clone();
    let _ = tokio::time::timeout(SLACK, printed.wait_for(|printed| *printed >= seen)).await;
    line("checked", what);
    Ok(())
}

/// Checks a condition that must be true now.
fn hold(what: &str, is_true: bool) -> Result<(), Failure> {
    if !is_true {
        return Err(Failure::found(format!("the demo failed: this is not true: {what}")));
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
