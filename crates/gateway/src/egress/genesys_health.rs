//! Remembers when Genesys last answered about the messages of which conversations. This
//! distinguishes a message that Genesys never accepts from an outage.

use conversation::ConversationId;
use tokio::time::Instant;

/// The latest answers of Genesys about customers' messages, as far as this node knows.
#[derive(Debug, Default)]
pub(super) struct GenesysHealth {
    heard: Latest,
    /// When Genesys was last asked whether it reads messages, and whether it does.
    read: Option<(Instant, bool)>,
}

/// The times of the latest answers about two different conversations, the newest first. Two
/// suffice, because a query excludes only one conversation.
#[derive(Debug, Default)]
struct Latest([Option<(ConversationId, Instant)>; 2]);

impl GenesysHealth {
    /// Genesys accepted a message of this conversation, or refused it for good.
    pub(super) fn note(&mut self, conversation: &ConversationId, at: Instant) {
        self.heard.note(conversation, at);
    }

    /// Whether Genesys has answered about a message of another conversation since `since`.
    pub(super) fn heard_since(&self, conversation: &ConversationId, since: Instant) -> bool {
        self.heard.besides(conversation).is_some_and(|at| at > since)
    }

    /// Records whether Genesys reads messages, after it was asked.
    pub(super) fn note_read(&mut self, read: bool, at: Instant) {
        self.read = Some((at, read));
    }

    /// Whether it read messages when it was last asked. `None` if that was not after `since`.
    pub(super) fn read_since(&self, since: Instant) -> Option<bool> {
        self.read.filter(|(at, _)| *at > since).map(|(_, read)| read)
    }
}

impl Latest {
    fn note(&mut self, conversation: &ConversationId, at: Instant) {
        let [first, second] = &mut self.0;
        if first.as_ref().is_some_and(|(newest, _)| newest != conversation) {
            *second = first.take();
        }
        *first = Some((conversation.clone(), at));
    }

    fn besides(&self, conversation: &ConversationId) -> Option<Instant> {
        self.0.iter().flatten().find(|(one, _)| one != conversation).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_others_met_tells() {
        let [a, b] = ["a", "b"].map(ConversationId::new);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut health = GenesysHealth::default();
        health.note(&a, at(1));
        assert!(!health.heard_since(&a, at(0)), "its own words tell nothing");
        assert!(health.heard_since(&b, at(0)));
        assert!(!health.heard_since(&b, at(2)), "that was before");
        health.note(&b, at(4));
        health.note(&b, at(5));
        assert!(health.heard_since(&a, at(2)));
        assert!(!health.heard_since(&a, at(6)));
        assert!(health.heard_since(&b, at(0)), "a's is still known behind b's own");
    }

    #[test]
    fn an_old_answer_tells_nothing() {
        let start = Instant::now();
        let mut health = GenesysHealth::default();
        assert_eq!(health.read_since(start), None);
        let asked = start + Duration::from_secs(1);
        health.note_read(false, asked);
        assert_eq!(health.read_since(start), Some(false));
        // The answer to the last try counts for that try only.
        assert_eq!(health.read_since(asked), None);
    }
}
