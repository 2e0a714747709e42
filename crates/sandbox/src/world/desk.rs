//! What the agent's desktop lists: the conversations by their last activity, and news for its
//! watchers.
//!
//! The world updates it as things happen, so that a listing need not visit all conversations. It
//! decides nothing, and Genesys's own paths never use it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::{Message, Refusal, Status, World};
use crate::clock::wire_time;

/// How far a slow watcher may fall behind before it must read everything again.
const WATCHER_LAG: usize = 1_024;

/// The news for a desktop, which reads the rest itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// This conversation, or a message in it, has changed.
    Changed(String),
    /// The customer of this conversation types.
    Typing(String),
}

/// One conversation's place in the list.
#[derive(Debug, Default)]
struct DeskRow {
    place: u64,
    inbound: u32,
    failed: u32,
    last_message: Option<String>,
}

/// The list and its watchers.
#[derive(Debug)]
pub(crate) struct Desk {
    seats: HashMap<String, DeskRow>,
    /// The conversations by place; the greatest place is the newest.
    order: BTreeMap<u64, String>,
    places: u64,
    news: broadcast::Sender<News>,
}

impl Default for Desk {
    fn default() -> Self {
        let news = broadcast::Sender::new(WATCHER_LAG);
        Self { seats: HashMap::new(), order: BTreeMap::new(), places: 0, news }
    }
}

impl Desk {
    pub(crate) fn watch(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Something in the conversation has changed; its place stays.
    pub(super) fn changed(&self, conversation: &str) {
        // There may be no watchers.
        let _ = self.news.send(News::Changed(conversation.to_owned()));
    }

    /// The customer types.
    pub(crate) fn typing(&self, conversation: &str) {
        let _ = self.news.send(News::Typing(conversation.to_owned()));
    }

    /// Someone wrote: the conversation moves to the top.
    pub(super) fn said(&mut self, conversation: &str, message: &str, outbound: bool) {
        self.places += 1;
        let seat = self.seats.entry(conversation.to_owned()).or_default();
        self.order.remove(&seat.place);
        seat.place = self.places;
        seat.inbound += u32::from(!outbound);
        seat.last_message = Some(message.to_owned());
        self.order.insert(self.places, conversation.to_owned());
        self.changed(conversation);
    }

    /// A message's status has changed.
    pub(super) fn turned(&mut self, conversation: &str, before: Status, after: Status) {
        let seat = self.seats.entry(conversation.to_owned()).or_default();
        seat.failed += u32::from(after == Status::DeliveryFailed);
        seat.failed -= u32::from(before == Status::DeliveryFailed).min(seat.failed);
        self.changed(conversation);
    }
}

impl World {
    /// The newest `limit` conversations, newest first, and the total count.
    pub(crate) fn desk_list(&self, limit: usize) -> Value {
        let newest = self.desk.order.values().rev().take(limit);
        let rows: Vec<_> = newest.filter_map(|id| self.desk_row(id).ok()).collect();
        json!({"conversations": rows, "total": self.desk.order.len()})
    }

    /// One conversation with its newest `limit` messages: the answers of Genesys's own reads in
    /// one.
    pub(crate) fn desk_thread(&self, id: &str, limit: usize) -> Result<Value, Refusal> {
        let participants = &self.conversation(id)?.participants;
        let mut messages: Vec<_> = participants
            .iter()
            .flat_map(|each| &each.messages)
            .filter_map(|id| self.messages.get(id))
            .collect();
        messages.sort_by_key(|message| message.time);
        let left_out = messages.len().saturating_sub(limit);
        let messages: Vec<_> = messages[left_out..]
            .iter()
            .filter_map(|message| self.message_json(&message.id).ok())
            .collect();
        Ok(json!({
            "row": self.desk_row(id)?,
            "conversation": self.conversation_json(id)?,
            "messages": messages,
            "leftOut": left_out,
        }))
    }

    fn desk_row(&self, id: &str) -> Result<Value, Refusal> {
        let conversation = self.conversation(id)?;
        let seat = self.desk.seats.get(id);
        let last =
            seat.and_then(|seat| seat.last_message.as_ref()).and_then(|id| self.messages.get(id));
        let error = conversation.participants.last().and_then(|last| last.error.as_ref());
        let state = match (conversation.ended, error) {
            (None, _) => "open",
            (Some(_), None) => "ended",
            (Some(_), Some(_)) => "failed",
        };
        let customer = &conversation.customer;
        let kind = |message: &Message| {
            message
                .normalized
                .content
                .iter()
                .flatten()
                .next()
                .map(|each| each["contentType"].clone())
        };
        Ok(json!({
            "id": id,
            "state": state,
            "customer": {"id": customer.id, "name": customer.display_name()},
            "integration": {"id": conversation.integration, "name": conversation.integration_name},
            "inbound": seat.map_or(0, |seat| seat.inbound),
            "failed": seat.map_or(0, |seat| seat.failed),
            "last": last.map(|message| json!({
                "at": wire_time(message.time),
                "outbound": message.outbound,
                "status": message.status.as_str(),
                "text": message.normalized.text,
                "content": kind(message),
            })),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(desk: &Desk) -> Vec<&str> {
        desk.order.values().rev().map(String::as_str).collect()
    }

    #[test]
    fn whoever_spoke_last_stands_first_and_only_once() {
        let mut desk = Desk::default();
        for (conversation, message) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("b", "5")]
        {
            desk.said(conversation, message, false);
        }
        assert_eq!(listed(&desk), ["b", "c", "a"]);
        desk.turned("a", Status::Queued, Status::Sent);
        assert_eq!(listed(&desk), ["b", "c", "a"], "a tick moves nothing");
        assert_eq!((desk.seats["a"].inbound, desk.seats["c"].inbound), (2, 1));
    }

    #[test]
    fn a_failure_that_is_corrected_counts_no_longer() {
        let mut desk = Desk::default();
        desk.said("a", "1", true);
        desk.turned("a", Status::Sent, Status::DeliveryFailed);
        assert_eq!(desk.seats["a"].failed, 1);
        desk.turned("a", Status::DeliveryFailed, Status::DeliverySuccess);
        assert_eq!((desk.seats["a"].failed, desk.seats["a"].inbound), (0, 0));
    }
}
