//! What operators do about dead letters: customers' messages that Genesys refused, or that were
//! given up.
//!
//! A retry puts the message behind the customer's other messages that wait. From there it goes the
//! way of any of them.

use jiff::Timestamp;

use crate::MessageId;
use crate::death::{DeadLetterAction, HandledDeath};
use crate::input::Ignored;
use crate::mutant::{self, Mutant};
use crate::record::Record;
use crate::state::Conversation;
use crate::turn::Turn;

/// How many actions a conversation remembers (I12). Each is known by the dead letter and by when it
/// became one. An action is forgotten once this many others were handled. It could come again only
/// if it waited in the inbox all that time.
pub(crate) const MAX_REMEMBERED: usize = 100;

impl Conversation {
    /// Whether an operator has acted on this dead letter since it became one, or the message waits
    /// for Genesys.
    fn is_handled(&self, death: &HandledDeath) -> bool {
        if mutant::is(Mutant::ActionForgotten) {
            return false;
        }
        self.handled.contains(death)
            || self.inbound.iter().any(|waiting| waiting.message == death.message)
            || self.owed.iter().any(|owed| owed.is_inbound(&death.message))
    }

    /// Notes that an operator has acted on a dead letter.
    pub(crate) fn handle_death(&mut self, message: &MessageId, died: Timestamp) {
        if self.handled.len() >= MAX_REMEMBERED {
            self.handled.pop_front();
        }
        self.handled.push_back(HandledDeath { message: message.clone(), died });
    }
}

impl Turn<'_> {
    /// An operator acts on a dead letter. The caller has found it in that state, but an earlier
    /// action may have overtaken this one, or this one comes again.
    pub(crate) fn act_on_dead_letter(
        &mut self,
        action: DeadLetterAction,
        message: MessageId,
        died: Timestamp,
        by: Box<str>,
    ) {
        let death = HandledDeath { message, died };
        if self.conversation.is_handled(&death) {
            return self.ignore(Ignored::RepeatedAction);
        }
        let message = death.message;
        self.record(match action {
            DeadLetterAction::Retry => Record::InboundRetried { message, died, by },
            DeadLetterAction::Discard => Record::InboundDiscarded { message, died, by },
        });
    }
}
