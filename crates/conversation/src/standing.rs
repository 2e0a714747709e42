//! How a conversation stands, for lists of conversations.

use crate::Conversation;
use crate::state::Session;

/// How a conversation stands. It says less than the state and changes seldom, so a store can keep
/// an index of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// There is a session.
    pub open: bool,
    /// An agent's message waits for a session, or for the end of a pause.
    pub held: bool,
    /// Genesys does not take something of this conversation, although it takes items of other
    /// customers.
    pub failing: bool,
}

impl Conversation {
    /// How it stands.
    pub fn standing(&self) -> Standing {
        let open = matches!(self.session, Session::Open { .. });
        // The last one: messages ahead of the one that failed do not wait for the end of a pause.
        let held = self.waiting.back().is_some_and(|last| !open || self.is_held(last));
        Standing { open, held, failing: self.failing.is_some() }
    }
}
