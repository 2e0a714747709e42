//! The chat service's state for each customer: the session, and the accepted messages.

use std::collections::BTreeMap;

use conversation::{ConversationId, MessageId, SessionId};

/// The chat service's state.
pub(crate) struct Rooms {
    all: BTreeMap<ConversationId, Room>,
    events: u64,
}

/// One customer's chat.
#[derive(Default)]
pub(crate) struct Room {
    pub(crate) session: Option<SessionId>,
    sessions: u32,
    /// A handshake is pending.
    pub(crate) shaking: bool,
    /// How often the session and any pending handshake were dropped. A handshake that began before
    /// then never ends.
    pub(crate) ends: u32,
    /// Every accepted message, with the service's id for it.
    pub(crate) taken: BTreeMap<MessageId, String>,
    pub(crate) last: Option<MessageId>,
}

impl Rooms {
    pub(crate) fn new(customers: &[ConversationId]) -> Self {
        let rooms = customers.iter().map(|customer| (customer.clone(), Room::default()));
        Self { all: rooms.collect(), events: 0 }
    }

    pub(crate) fn room(&mut self, conversation: &ConversationId) -> &mut Room {
        self.all.entry(conversation.clone()).or_default()
    }

    /// The service restarts without its sessions.
    pub(crate) fn forget(&mut self) {
        self.all.values_mut().for_each(Room::forget);
    }

    /// A new id for an event.
    pub(crate) fn event(&mut self) -> String {
        self.events += 1;
        format!("event-{}", self.events)
    }
}

impl Room {
    /// Drops the session and any pending handshake.
    pub(crate) fn forget(&mut self) {
        self.session = None;
        self.shaking = false;
        self.ends += 1;
    }

    pub(crate) fn open(&mut self) -> SessionId {
        self.sessions += 1;
        self.shaking = false;
        let session = SessionId::new(format!("session-{}", self.sessions));
        self.session = Some(session.clone());
        session
    }
}
