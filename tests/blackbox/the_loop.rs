//! An agent's message goes all the way: Genesys, gateway, chat service, receipt.

use serde_json::Value;

use crate::support::{Loop, eventually};

#[tokio::test]
async fn an_agent_answers_before_the_handshake_ends() {
    let mut all = Loop::start("", &["--handshake", "3", "--delay", "0.1"]).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let mut messages = Vec::new();
    for text in ["Good morning.", "I am looking.", "Tomorrow."] {
        let send = async || all.sandbox.agent_sends("noor", text).await;
        messages.push(eventually("the agent has the conversation", send).await);
    }
    assert!(texts(&all).is_empty(), "nothing is forwarded during the handshake");
    for message in &messages {
        assert_eq!(all.sandbox.final_receipt(message).await, ("Delivered".to_owned(), None));
    }
    assert_eq!(texts(&all), ["Good morning.", "I am looking.", "Tomorrow."]);
    assert_eq!(all.sandbox.verdict().await["holds"], true);
    all.gateway.stop().await;
}

/// The texts that reached the chat service, in order, repeats included.
fn texts(all: &Loop) -> Vec<String> {
    let text = |entry: &Value| Some(entry["text"].as_str()?.to_owned());
    let taken = all.chat.log().into_iter().filter(|entry| entry["what"] == "message");
    taken.filter_map(|entry| text(&entry)).collect()
}
