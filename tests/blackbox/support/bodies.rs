//! Webhook bodies that Genesys might post, and what the chat service accepted of them.

use serde_json::{Value, json};

use super::{Loop, PythonChat, now};

/// An agent's text for a customer.
pub(crate) fn webhook(id: &str, customer: &str, text: &str) -> Value {
    json!({
        "id": id,
        "channel": {
            "id": "6f1c9a54-2d0b-4b8e-9a77-0c5d3e1f2a10",
            "platform": "Open",
            "type": "Private",
            "messageId": id,
            "to": { "id": customer, "idType": "Opaque" },
            "from": { "nickname": "acme", "id": "6f1c9a54-2d0b-4b8e-9a77-0c5d3e1f2a10", "idType": "Opaque" },
            "time": now().to_string(),
        },
        "type": "Text",
        "text": text,
        "originatingEntity": "Human",
        "direction": "Outbound",
    })
}

impl PythonChat {
    /// The texts that the service accepted in a session, oldest first, without repeats.
    pub(crate) fn taken(&self) -> Vec<String> {
        let taken = |entry: &&Value| {
            entry["what"] == "message"
                && entry["status"].as_u64() < Some(300)
                && entry["repeat"] == false
        };
        let log = self.log();
        log.iter()
            .filter(taken)
            .filter_map(|entry| Some(entry["text"].as_str()?.to_owned()))
            .collect()
    }

    /// How many entries of a kind its log has.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.log().iter().filter(|entry| entry["what"] == what).count()
    }
}

/// The end of a message, as [`super::Sandbox::final_receipt`] tells it.
pub(crate) fn delivered() -> (String, Option<String>) {
    ("Delivered".to_owned(), None)
}

pub(crate) fn failed(code: &str) -> (String, Option<String>) {
    ("Failed".to_owned(), Some(code.to_owned()))
}

impl Loop {
    /// What customers said, as Genesys accepted it, oldest first, including notes to the agent.
    pub(crate) async fn heard(&self) -> Vec<String> {
        let calls = self.sandbox.transcript().await;
        let ours = calls.iter().filter(|entry| {
            entry["path"].as_str().is_some_and(|path| path.contains("/inbound/open/message"))
                && entry["status"] == 200
        });
        ours.filter_map(|entry| Some(entry["body"]["text"].as_str()?.to_owned())).collect()
    }
}
