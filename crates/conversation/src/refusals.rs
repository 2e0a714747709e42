//! Tells the chat service about customers' messages that Genesys will never accept, because only
//! the service can tell the customer.
//!
//! Each stays pending, also after a restart, until the chat service has been told or a day has
//! passed.

use std::time::Duration;

use jiff::Timestamp;

use crate::input::{Effect, Ignored};
use crate::outcome::TellOutcome;
use crate::record::Record;
use crate::state::{Conversation, Telling, UntoldRefusal, later};
use crate::turn::Turn;
use crate::{MessageId, Reason};

/// How long the gateway tries to tell the chat service about one message.
const TELL_FOR: Duration = Duration::from_hours(24);
/// The pause before the next call, indexed by the number of earlier failed calls. The last pause
/// applies to all further calls. Each call adds records to the journal, so there must be few.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
];
/// How many refused messages may wait in one conversation (I12). The chat service is not told about
/// further ones.
pub(crate) const MAX_UNTOLD: usize = 100;

impl Conversation {
    /// Until when the chat service may be told about a message, if this call about it is open.
    pub fn tell_until(&self, message: &MessageId, attempt: u32) -> Option<Timestamp> {
        let untold = self.untold.iter().find(|untold| untold.message == *message)?;
        let open = untold.phase == Telling::Calling && untold.attempts == attempt;
        open.then(|| later(untold.since, TELL_FOR))
    }

    /// Customers' messages that Genesys will never accept and that the chat service has not been
    /// told about, oldest first.
    pub fn untold(&self) -> impl Iterator<Item = &MessageId> {
        self.untold.iter().map(|untold| &untold.message)
    }

    /// Whether such a call is open, so that a crash would lose its outcome.
    pub(crate) fn is_telling(&self) -> bool {
        self.untold.iter().any(|untold| untold.phase == Telling::Calling)
    }

    /// When the next such call is due.
    pub(crate) fn tell_at(&self) -> Option<Timestamp> {
        if self.is_telling() {
            return None;
        }
        self.untold.iter().filter_map(UntoldRefusal::waits_until).min()
    }
}

impl UntoldRefusal {
    fn waits_until(&self) -> Option<Timestamp> {
        match self.phase {
            Telling::Waiting { until } => Some(until),
            Telling::Calling => None,
        }
    }
}

impl Turn<'_> {
    /// Genesys will never accept a customer's message, so the chat service must be told.
    pub(crate) fn refusal_due(&mut self, message: MessageId, reason: Reason) {
        let full = self.conversation.untold.len() >= MAX_UNTOLD;
        self.record(Record::RefusalDue { message: message.clone(), reason });
        if full {
            let why = format!("{MAX_UNTOLD} others wait to be told").into();
            self.record(Record::RefusalTold {
                message,
                outcome: TellOutcome::GivenUp { why },
                retry_at: None,
            });
        }
    }

    /// Starts the call about the first message that is due, unless such a call is open.
    pub(crate) fn tell_next(&mut self) {
        if self.conversation.is_telling() {
            return;
        }
        let due =
            |untold: &&UntoldRefusal| untold.waits_until().is_some_and(|until| until <= self.now);
        let Some(untold) = self.conversation.untold.iter().find(due) else { return };
        let (message, reason) = (untold.message.clone(), untold.reason.clone());
        let attempt = untold.attempts.saturating_add(1);
        self.record(Record::RefusalTelling { message: message.clone(), attempt });
        self.effect(Effect::TellRefused { message, reason, attempt });
    }

    /// Handles the end of such a call.
    pub(crate) fn refusal_told(&mut self, message: MessageId, attempt: u32, outcome: TellOutcome) {
        let open =
            |untold: &&UntoldRefusal| untold.message == message && untold.phase == Telling::Calling;
        let Some(untold) =
            self.conversation.untold.iter().find(open).filter(|open| open.attempts == attempt)
        else {
            return self.ignore(Ignored::StaleAnswer);
        };
        let failed = usize::try_from(untold.failed).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
        let next = match outcome {
            TellOutcome::Heard | TellOutcome::GivenUp { .. } => None,
            TellOutcome::Failed { .. } => Some(later(self.now, PAUSES[failed])),
            TellOutcome::NotMade => Some(later(self.now, PAUSES[0])),
        };
        let retry_at = next.filter(|next| *next < later(untold.since, TELL_FOR));
        self.record(Record::RefusalTold { message, outcome, retry_at });
    }

    /// After a crash the outcome of an open call is lost, so the call is made again. The chat
    /// service recognizes the message by its id.
    pub(crate) fn recover_telling(&mut self) {
        let Some(untold) =
            self.conversation.untold.iter().find(|untold| untold.phase == Telling::Calling)
        else {
            return;
        };
        let message = untold.message.clone();
        self.record(Record::RefusalTold {
            message,
            outcome: TellOutcome::NotMade,
            retry_at: Some(self.now),
        });
    }
}
