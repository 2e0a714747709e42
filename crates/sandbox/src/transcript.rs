//! The transcript: every call over the wire and every change of state, in order, numbered from 1.
//!
//! It is bounded in entries and in bytes; the oldest entries are removed first. It never holds
//! credentials.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::broadcast;

/// How many entries a slow subscriber may fall behind before it misses some.
const SUBSCRIBER_LAG: usize = 4_096;

/// What an entry is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A call to the API, with its answer.
    #[default]
    Request,
    /// A call to the token endpoint, with its answer.
    Token,
    /// One attempt of a webhook call, with its answer.
    Webhook,
    /// A message's status changed; `state` is the new one.
    Message,
    /// A conversation was `started`, `resumed`, `transferred`, `ended`, or it `failed`.
    Conversation,
    /// A frame on a notification channel (`state` is its topic), or its socket was `connected` or
    /// `closed`.
    Notification,
}

/// The direction of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A call to the sandbox.
    In,
    /// A call from the sandbox.
    Out,
    /// Nothing went over the wire.
    #[default]
    Inside,
}

/// One line of the transcript.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its number, from 1 without gaps.
    pub n: u64,
    /// When, on the sandbox's clock: UTC with milliseconds.
    pub at: String,
    /// The kind of event, which says which of the other fields are there.
    pub kind: Kind,
    /// The direction of the call.
    pub direction: Direction,
    /// The HTTP method of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path with its query, or the webhook's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The HTTP status of the answer; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The number of the attempt of a webhook call, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The id of the integration that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration: Option<String>,
    /// Genesys's conversation id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Genesys's message id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The new state of the message or conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The body that was sent to the other side; for an entry without a call, its related data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
    /// The body that was answered. A webhook's answer is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Box<RawValue>>,
    /// Faults that the sandbox made on purpose (`injected: …`), and those that it found in the
    /// middleware.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

impl Entry {
    fn weight(&self) -> usize {
        let raw = |body: &Option<Box<RawValue>>| body.as_ref().map_or(0, |body| body.get().len());
        raw(&self.body) + raw(&self.answer)
    }
}

/// `bytes` as the transcript keeps them: compact JSON without secrets, or a string if they are not
/// JSON.
pub(crate) fn body_of(bytes: &[u8]) -> Option<Box<RawValue>> {
    const SECRET: &str = "outboundNotificationWebhookSignatureSecretToken";
    if bytes.is_empty() {
        return None;
    }
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(mut value) => {
            let one = value.get_mut(SECRET).into_iter();
            one.for_each(|secret| *secret = "***".into());
            if let Some(list) = value.get_mut("entities").and_then(serde_json::Value::as_array_mut)
            {
                list.iter_mut()
                    .filter_map(|each| each.get_mut(SECRET))
                    .for_each(|secret| *secret = "***".into());
            }
            to_raw_value(&value).ok()
        }
        Err(_) => to_raw_value(&String::from_utf8_lossy(bytes)).ok(),
    }
}

/// The newest entries.
#[derive(Debug)]
pub(crate) struct Transcript {
    entries: VecDeque<Arc<Entry>>,
    last: u64,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
    news: broadcast::Sender<Arc<Entry>>,
}

impl Transcript {
    pub(crate) fn new(max_entries: usize, max_bytes: usize) -> Self {
        let news = broadcast::Sender::new(SUBSCRIBER_LAG);
        Self {
            entries: VecDeque::new(),
            last: 0,
            bytes: 0,
            max_entries: max_entries.max(1),
            max_bytes,
            news,
        }
    }

    /// Numbers the entry, keeps it, and sends it to the subscribers.
    pub(crate) fn write(&mut self, mut entry: Entry) {
        self.last += 1;
        entry.n = self.last;
        self.bytes += entry.weight();
        let entry = Arc::new(entry);
        self.entries.push_back(entry.clone());
        while self.entries.len() > self.max_entries
            || (self.bytes > self.max_bytes && self.entries.len() > 1)
        {
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes -= oldest.weight();
            }
        }
        // There may be no subscribers.
        let _ = self.news.send(entry);
    }

    /// Up to `limit` entries whose number is greater than `after`.
    pub(crate) fn after(&self, after: u64, limit: usize) -> Vec<Arc<Entry>> {
        let first = self.entries.front().map_or(1, |entry| entry.n);
        let skip =
            usize::try_from(after.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        self.entries.range(skip.min(self.entries.len())..).take(limit).cloned().collect()
    }

    /// The number of the last entry; 0 if there is none.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.news.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(transcript: &Transcript, after: u64, limit: usize) -> Vec<u64> {
        transcript.after(after, limit).iter().map(|entry| entry.n).collect()
    }

    #[test]
    fn the_oldest_entries_go_first() {
        let mut transcript = Transcript::new(3, usize::MAX);
        for _ in 0..5 {
            transcript.write(Entry::default());
        }
        assert_eq!(numbers(&transcript, 0, 10), [3, 4, 5]);
        assert_eq!(numbers(&transcript, 3, 1), [4]);
        assert_eq!(numbers(&transcript, 5, 10), [0; 0]);
        assert_eq!(numbers(&transcript, u64::MAX, 10), [0; 0]);
    }

    #[test]
    fn large_bodies_are_bounded_too() {
        let mut transcript = Transcript::new(100, 1_000);
        for _ in 0..10 {
            transcript.write(Entry { body: body_of(&[b'x'; 400]), ..Entry::default() });
        }
        assert_eq!(numbers(&transcript, 0, 10), [9, 10]);
    }

    #[test]
    fn the_webhook_secret_is_not_kept() {
        let body = br#"{"name":"a","outboundNotificationWebhookSignatureSecretToken":"hush"}"#;
        assert!(!body_of(body).unwrap().get().contains("hush"));
    }
}
