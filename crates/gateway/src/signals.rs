//! What the engine tells the parts that talk to Genesys. The engine knows none of these parts.

use std::sync::Arc;

use connector::Customer;
use store::WatchedConversation;
use tokio::sync::{Notify, mpsc};

/// How many conversations with a new session may wait. Polling finds those for which there is no
/// room.
const MAX_OPENED: usize = 1_000;
/// How many customers' typing events may wait. They are useless after a second.
const MAX_TYPING: usize = 32;

/// Signals about the conversations of one integration. Each of them may be lost without harm: what
/// it announces is in the store, or is only typing.
pub(crate) struct Signals {
    /// The outbox has something new.
    pub(crate) outbox_changed: Notify,
    /// This node may drive conversations that it could not drive before.
    pub(crate) ownership_gained: Notify,
    session_opened: mpsc::Sender<WatchedConversation>,
    customer_typing: mpsc::Sender<Customer>,
}

/// The receivers of those signals that carry data.
pub(crate) struct SignalReceivers {
    pub(crate) session_opened: mpsc::Receiver<WatchedConversation>,
    pub(crate) customer_typing: mpsc::Receiver<Customer>,
}

impl Signals {
    pub(crate) fn new() -> (Arc<Self>, SignalReceivers) {
        let (session_opened, opened) = mpsc::channel(MAX_OPENED);
        let (customer_typing, typing) = mpsc::channel(MAX_TYPING);
        let signals = Self {
            outbox_changed: Notify::new(),
            ownership_gained: Notify::new(),
            session_opened,
            customer_typing,
        };
        (Arc::new(signals), SignalReceivers { session_opened: opened, customer_typing: typing })
    }

    /// Announces that a conversation has got a session, so that its end must be detected.
    pub(crate) fn session_opened(&self, watched: WatchedConversation) {
        // If there is no room, or no listener, polling finds it.
        let _ = self.session_opened.try_send(watched);
    }

    /// Announces that a customer types.
    pub(crate) fn customer_types(&self, customer: Customer) {
        // If there is no room, too many wait for the rate budget already.
        let _ = self.customer_typing.try_send(customer);
    }
}
