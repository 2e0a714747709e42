//! Turns a customer's event into the messages to store: one for each message that Genesys will get.
//!
//! The events endpoint calls this for each `message.created`. Pure; nothing is stored until all
//! parts have passed.

use axum::body::Bytes;
use connector::Customer;
use connector::protocol::MAX_ID;
use conversation::{ConversationId, Input, IntegrationName, MessageId};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::{Arrival, Direction, NewMessage};

use crate::customer_message::{self, Part, Plan};
use crate::from_genesys;
use crate::to_genesys::{self, Inbound};

/// The largest body that Genesys accepts, in bytes (`request.bytes.max` of its limits page).
const MAX_BODY: usize = 512_000;

/// The longest text that is compared with the labels of an offer, in characters. Labels of buttons
/// are short.
const MAX_ANSWER: usize = 300;

/// The fields of a `message.created`.
pub(crate) struct CustomerEvent {
    pub(crate) id: String,
    pub(crate) customer: Customer,
    pub(crate) text: Option<String>,
    pub(crate) content: Vec<Value>,
    pub(crate) time: Option<Timestamp>,
}

impl CustomerEvent {
    /// What to store, in order, and what was dropped. `raw` is the event as it came, if it came
    /// like this.
    ///
    /// An event of one message is stored as it came. An event of several messages becomes one event
    /// per message, with ids derived from the original. Each part is thus recognized when the event
    /// is repeated, and is retried on its own until Genesys has it.
    pub(crate) fn arrivals(
        self,
        name: &IntegrationName,
        raw: Option<&Bytes>,
        received: Timestamp,
    ) -> Result<(Vec<Arrival>, Vec<String>), String> {
        let Plan { parts, notes } = customer_message::plan(self.text.as_deref(), &self.content)?;
        let notes = [to_genesys::left_out(&self.customer), notes].concat();
        let alone = parts.len() == 1;
        let stem = self.stem();
        let mut arrivals = Vec::with_capacity(parts.len());
        for (index, part) in parts.into_iter().enumerate() {
            let id =
                if index == 0 { self.id.clone() } else { format!("{stem}.part-{}", index + 1) };
            let body = match raw {
                Some(raw) if alone => raw.clone(),
                _ => self.event(&id, &part),
            };
            let said = Said::of(&part, alone);
            self.fits(&id, part, received)?;
            arrivals.push(self.arrival(name, id, body, said, received));
        }
        Ok((arrivals, notes))
    }

    /// What the ids of the further parts begin with: the event's id, or its digest if the whole
    /// would be longer than an id may be.
    fn stem(&self) -> String {
        let longest = MAX_ID - ".part-99".len();
        if self.id.len() <= longest {
            self.id.clone()
        } else {
            MessageId::from_foreign(&self.id).to_string()
        }
    }

    /// Checks that the message fits into one request to Genesys.
    fn fits(&self, id: &str, part: Part, received: Timestamp) -> Result<(), String> {
        let size =
            match to_genesys::inbound(id, &self.customer, part, self.time.unwrap_or(received)) {
                Inbound::Message(message) => serde_json::to_vec(&message),
                Inbound::Response(response) => serde_json::to_vec(&response),
            };
        match size.map_or(usize::MAX, |body| body.len()) {
            ..=MAX_BODY => Ok(()),
            size => Err(format!(
                "it has {size} bytes as Genesys gets it, and Genesys accepts at most {MAX_BODY}"
            )),
        }
    }

    /// One part as an event of its own.
    fn event(&self, id: &str, part: &Part) -> Bytes {
        let mut event = Map::new();
        event.insert("type".to_owned(), "message.created".into());
        event.insert("id".to_owned(), id.into());
        event.insert("customer".to_owned(), json!(self.customer));
        if let Some(time) = self.time {
            event.insert("time".to_owned(), json!(time));
        }
        match part {
            Part::Words { text, content } => {
                event.insert("text".to_owned(), json!(text));
                event.insert("content".to_owned(), json!(content));
            }
            Part::Tap { response, origin } => {
                let element = json!({
                    "contentType": "ButtonResponse", "buttonResponse": response, "originatingMessageId": origin,
                });
                event.insert("content".to_owned(), json!([element]));
            }
        }
        Value::Object(event).to_string().into()
    }

    fn arrival(
        &self,
        name: &IntegrationName,
        id: String,
        body: Bytes,
        Said { text, tap }: Said,
        received: Timestamp,
    ) -> Arrival {
        let message = MessageId::from_foreign(&id);
        Arrival::Message(NewMessage {
            integration: name.clone(),
            direction: Direction::Inbound,
            id: message.clone(),
            foreign_id: id,
            conversation: ConversationId::of(name, &self.customer.id),
            customer: from_genesys::json(&self.customer),
            received,
            body,
            input: Some(Input::CustomerMessage { message, text, tap }),
        })
    }
}

/// What a part may say about an offer.
#[derive(Default)]
struct Said {
    /// A short text with nothing beside it: it may be the answer.
    text: Option<Box<str>>,
    /// The message whose button was tapped.
    tap: Option<MessageId>,
}

impl Said {
    /// `alone`: the part is the whole message.
    fn of(part: &Part, alone: bool) -> Self {
        match part {
            Part::Words { text: Some(text), content }
                if alone && content.is_empty() && text.chars().count() <= MAX_ANSWER =>
            {
                Self { text: Some(text.as_str().into()), tap: None }
            }
            Part::Words { .. } => Self::default(),
            Part::Tap { origin, .. } => {
                Self { text: None, tap: Some(MessageId::from_foreign(origin)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use connector::Event;

    use super::*;

    fn stored(event: &Value) -> Result<Vec<NewMessage>, String> {
        let incoming =
            connector::protocol::parse(event.to_string().as_bytes()).unwrap().remove(0).unwrap();
        let Event::Message { id, customer, text, content, time } = incoming.event else {
            panic!("{event}")
        };
        let said = CustomerEvent { id, customer, text, content, time };
        let (arrivals, _) = said.arrivals(
            &IntegrationName::new("acme"),
            Some(&incoming.raw),
            Timestamp::UNIX_EPOCH,
        )?;
        let message = |arrival| match arrival {
            Arrival::Message(message) => message,
            _ => panic!("no message"),
        };
        Ok(arrivals.into_iter().map(message).collect())
    }

    /// The parts that egress reads from what was stored.
    fn found(message: &NewMessage) -> (String, Vec<Part>) {
        let incoming = connector::protocol::parse(&message.body).unwrap().remove(0).unwrap();
        let Event::Message { id, text, content, .. } = incoming.event else { panic!("no message") };
        (id, customer_message::plan(text.as_deref(), &content).unwrap().parts)
    }

    fn event(text: &str, content: &Value) -> Value {
        let customer = json!({"id": "noor", "nickname": "Noor", "id_type": "Email"});
        json!({"type": "message.created", "id": "bt", "customer": customer, "text": text, "content": content,
            "time": "2026-11-28T19:16:51.5Z"})
    }

    #[test]
    fn an_event_of_one_message_is_kept_as_it_came() {
        let event = event("hello", &json!([]));
        let stored = stored(&event).unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!(
            (stored[0].foreign_id.as_str(), &stored[0].body[..]),
            ("bt", event.to_string().as_bytes())
        );
    }

    #[test]
    fn each_part_is_stored_by_itself_and_means_the_same_when_it_is_read_again() {
        let tap = json!({"contentType": "ButtonResponse", "originatingMessageId": "9f0c",
            "buttonResponse": {"type": "QuickReply", "text": "Yes", "payload": "yes"}});
        let file =
            json!({"attachment": {"mime": "image/png", "url": "https://files.example/a.png"}});
        let event = event(&"long ".repeat(1_000), &json!([tap, file]));
        let stored = stored(&event).unwrap();
        let content = event["content"].as_array().unwrap();
        let expected = customer_message::plan(event["text"].as_str(), content).unwrap().parts;
        assert_eq!(expected.len(), 4);
        assert_eq!(stored.len(), expected.len());
        let mut ids = std::collections::BTreeSet::new();
        for (message, expected) in stored.iter().zip(expected) {
            let (id, parts) = found(message);
            assert_eq!((&id, parts), (&message.foreign_id, vec![expected]));
            assert_eq!(message.conversation, stored[0].conversation);
            ids.insert(message.id.clone());
        }
        assert_eq!(ids.len(), 4, "no two have one id");
    }

    #[test]
    fn the_parts_of_an_event_with_the_longest_id_can_be_read_again() {
        let mut event = event(&"long ".repeat(1_000), &json!([]));
        event["id"] = "x".repeat(MAX_ID).into();
        let stored = stored(&event).unwrap();
        assert_eq!(stored.len(), 2);
        assert_ne!(stored[0].id, stored[1].id);
        for message in &stored {
            assert_eq!(found(message).0, message.foreign_id);
        }
    }

    #[test]
    fn an_empty_text_among_the_content_is_no_part() {
        let file = json!({"contentType": "Attachment", "attachment":
            {"mime": "image/png", "url": "https://files.example/a.png"}});
        let empty = json!({"contentType": "Text", "text": {"body": ""}});
        let stored = stored(&event("", &json!([file, empty]))).unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!(found(&stored[0]).1.len(), 1);
    }

    #[test]
    fn what_is_too_large_is_refused_whole() {
        let file = |n: usize| json!({"attachment": {"mime": "a/b", "text": "x".repeat(6_000), "url": format!("https://f.example/{n}")}});
        let files: Vec<Value> = (0..90).map(file).collect();
        assert!(stored(&event("look", &json!(files))).unwrap_err().contains("512000"));
    }
}
