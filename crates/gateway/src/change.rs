//! A customer changed or deleted a message that they had written.
//!
//! What an agent has read never changes. The change becomes a new message that says so, with the
//! beginning of the old one.

use connector::{Customer, Event};
use conversation::{ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;
use store::{Arrival, Direction, StoreError};

use crate::customer_event::CustomerEvent;
use crate::engine::Engine;

/// How much of the old message is quoted, in characters.
const QUOTED: usize = 80;

/// A change of an earlier message.
pub(crate) struct Change {
    pub(crate) integration: IntegrationName,
    /// The event's id, which becomes the new message's.
    pub(crate) id: String,
    /// The chat service's id of the earlier message.
    pub(crate) message_id: String,
    /// The new text. `None` if the message was deleted.
    pub(crate) text: Option<String>,
    pub(crate) received: Timestamp,
}

impl Change {
    /// Finds the earlier message, and returns what reports the change.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store cannot tell now.
    pub(crate) async fn report(self, engine: &Engine) -> Result<ChangeReport, StoreError> {
        let earlier = MessageId::from_foreign(&self.message_id);
        let body = engine.store.body(&self.integration, Direction::Inbound, &earlier).await;
        let Some((customer, old)) = readable(body)?.and_then(|body| written(&body.bytes)) else {
            return Ok(ChangeReport::Unknown);
        };
        let conversation = ConversationId::of(&self.integration, &customer.id);
        let loaded = readable(engine.store.load(&conversation).await)?;
        if loaded.is_none_or(|loaded| loaded.state.is_over()) {
            let why = "the chat is over, and a change does not begin another";
            return Ok(ChangeReport::Refused(why.to_owned()));
        }
        let text = Some(line(&old, self.text.as_deref()));
        let Self { integration, id, received, .. } = self;
        let event = CustomerEvent { id, customer, text, content: Vec::new(), time: None };
        Ok(match event.arrivals(&integration, None, received) {
            Ok((arrivals, _)) => ChangeReport::Arrivals(arrivals),
            Err(why) => ChangeReport::Refused(why),
        })
    }
}

/// What follows from a change.
pub(crate) enum ChangeReport {
    /// These messages report it.
    Arrivals(Vec<Arrival>),
    /// The earlier message is not known.
    Unknown,
    /// It has no effect, for this reason.
    Refused(String),
}

/// What the store has. Damaged data count as none: asking again does not help.
fn readable<T>(answer: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match answer {
        Err(StoreError::Corrupt(_)) => Ok(None),
        answer => answer,
    }
}

/// Who wrote a stored message, and its text.
fn written(event: &[u8]) -> Option<(Customer, String)> {
    let event = connector::protocol::parse(event).ok()?.into_iter().next()?.ok()?.event;
    match event {
        Event::Message { customer, text, .. } => Some((customer, text.unwrap_or_default())),
        _ => None,
    }
}

/// What the agent reads. The sign marks a change in any language.
fn line(old: &str, new: Option<&str>) -> String {
    let mut quoted: String = old.trim().chars().take(QUOTED).collect();
    if old.trim().chars().count() > QUOTED {
        quoted.push('…');
    }
    let quoted = quoted.replace(['\n', '\r'], " ");
    match new {
        Some(new) => format!("✎ \"{quoted}\" → {new}"),
        None => format!("🗑 \"{quoted}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_quotes_the_beginning_of_the_old_message() {
        assert_eq!(line("At ten\nor so", Some("At eleven")), "✎ \"At ten or so\" → At eleven");
        assert_eq!(line("At ten", None), "🗑 \"At ten\"");
        let long = line(&"é".repeat(100), None);
        assert_eq!(long.chars().filter(|c| *c == 'é').count(), QUOTED);
        assert!(long.ends_with("…\""));
    }
}
