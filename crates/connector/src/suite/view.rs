//! What the customer of a conversation sees: the answer to a signed `GET {url}/conversations/C`.

use serde_json::Value;

/// What the customer sees now.
#[derive(Clone, Debug, Default)]
pub(super) struct CustomerView {
    pub(super) messages: Vec<SeenMessage>,
    pub(super) typing: bool,
    pub(super) session: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct SeenMessage {
    /// The gateway's id.
    pub(super) id: String,
    pub(super) text: Option<String>,
    pub(super) content: Vec<Value>,
}

impl CustomerView {
    /// Reads the answer. Other fields than `messages` may be missing.
    ///
    /// # Errors
    /// A clause that says what cannot be read.
    pub(super) fn read(answer: &Value) -> Result<Self, String> {
        let list = answer["messages"].as_array().ok_or("`messages` is not a list")?;
        let list = list.iter().map(message).collect::<Result<_, _>>()?;
        let session = lenient::id::text(&answer["session"]);
        Ok(Self { messages: list, typing: answer["typing"] == true, session })
    }

    /// How often a message is there.
    pub(super) fn count(&self, id: &str) -> usize {
        self.messages.iter().filter(|seen| seen.id == id).count()
    }
}

fn message(json: &Value) -> Result<SeenMessage, String> {
    let id = lenient::id::text(&json["id"]);
    let id = id.ok_or("a message has no `id`, which is the gateway's id of it")?;
    let text = json["text"].as_str().map(str::to_owned);
    Ok(SeenMessage { id, text, content: json["content"].as_array().cloned().unwrap_or_default() })
}
