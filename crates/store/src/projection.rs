//! What one record changes outside the journal: the rows for queries and deduplication, and the
//! outbox.

use conversation::{AttemptOutcome, Fate, MessageId, Owed, PostResult, Record};

use crate::Direction;

/// One change outside the journal. Every store applies it in its own way.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    /// The final state of a message is decided.
    Ended {
        direction: Direction,
        message: &'a MessageId,
        state: &'static str,
        reason: Option<String>,
    },
    /// A dead letter is on its way to Genesys again.
    Reopened { message: &'a MessageId },
    /// A dead letter is discarded. The reason stays.
    Discarded { message: &'a MessageId },
    /// An agent's message has its final receipt.
    Receipted { message: &'a MessageId, word: &'static str },
    /// The chat service has given a message its own id.
    Named { message: &'a MessageId, service_id: &'a str },
    /// Genesys has a conversation of this id with the customer.
    Genesys { id: &'a str },
    /// Genesys is owed this; it replaces the item under the same key.
    Owe(Owed),
    /// Genesys is no longer owed any item under this item's key.
    Paid(Owed),
    /// Genesys is no longer owed this, unless it was replaced.
    PaidExactly(Owed),
}

/// The changes of a record, in order.
pub(crate) fn changes(record: &Record) -> impl Iterator<Item = Change<'_>> {
    let changes = match record {
        Record::Settled { message, fate, receipt } => {
            let (state, reason) = match fate {
                Fate::Delivered => ("delivered", None),
                Fate::Sent => ("sent", None),
                Fate::Failed { reason } => ("failed", Some(reason.to_string())),
            };
            let owed = receipt.then(|| {
                Change::Owe(Owed::Receipt { message: message.clone(), fate: Some(fate.clone()) })
            });
            [Some(Change::Ended { direction: Direction::Outbound, message, state, reason }), owed]
        }
        Record::SentDue { message } => {
            [Some(Change::Owe(Owed::Receipt { message: message.clone(), fate: None })), None]
        }
        Record::ReceiptDone { message, last: true, result } => [
            Some(Change::Receipted { message, word: word(result) }),
            Some(Change::Paid(Owed::Receipt { message: message.clone(), fate: None })),
        ],
        // If the `Sent` was replaced before it was posted, the outbox has only its replacement,
        // which must stay.
        Record::ReceiptDone { message, last: false, .. } => [
            Some(Change::PaidExactly(Owed::Receipt { message: message.clone(), fate: None })),
            None,
        ],
        Record::InboundReleased { message, answer } => {
            let (message, answer) = (message.clone(), answer.clone());
            [Some(Change::Owe(Owed::Inbound { message, answer })), None]
        }
        Record::InboundDone { message, result } => {
            let reason = match result {
                PostResult::Posted { .. } => None,
                PostResult::Refused { why } => Some(why.to_string()),
            };
            [
                Some(Change::Ended {
                    direction: Direction::Inbound,
                    message,
                    state: word(result),
                    reason,
                }),
                Some(Change::Paid(Owed::Inbound { message: message.clone(), answer: None })),
            ]
        }
        Record::InboundRetried { message, .. } => [Some(Change::Reopened { message }), None],
        Record::InboundDiscarded { message, .. } => [Some(Change::Discarded { message }), None],
        Record::NoticeDue { message, notice } => {
            [Some(Change::Owe(Owed::Notice { message: message.clone(), notice: *notice })), None]
        }
        Record::NoticeDone { message, notice, .. } => {
            [Some(Change::Paid(Owed::Notice { message: message.clone(), notice: *notice })), None]
        }
        Record::DisconnectDue { id } => {
            [Some(Change::Owe(Owed::Disconnect { id: id.clone() })), None]
        }
        // The key is the same for all of Genesys's conversations.
        Record::DisconnectDone { .. } => {
            [Some(Change::Paid(Owed::Disconnect { id: Box::default() })), None]
        }
        Record::AttemptEnded {
            message,
            outcome:
                AttemptOutcome::Delivered { service_id: Some(id) }
                | AttemptOutcome::Accepted { service_id: Some(id) },
            ..
        } => [Some(Change::Named { message, service_id: id }), None],
        Record::GenesysConversation { id } => [Some(Change::Genesys { id }), None],
        Record::Accepted { .. }
        | Record::Offered { .. }
        | Record::AttemptStarted { .. }
        | Record::AttemptEnded { .. }
        | Record::Reported { .. }
        | Record::HandshakeStarted { .. }
        | Record::HandshakePending { .. }
        | Record::HandshakeFailed { .. }
        | Record::SessionOpened { .. }
        | Record::SessionRefused { .. }
        | Record::SessionClosed { .. }
        | Record::Paused
        | Record::Resumed
        | Record::InboundAccepted { .. }
        | Record::PostFailed { .. }
        | Record::RefusalDue { .. }
        | Record::RefusalTelling { .. }
        | Record::RefusalTold { .. }
        | Record::CustomerLeft { .. }
        | Record::Ending => [None, None],
    };
    changes.into_iter().flatten()
}

fn word(result: &PostResult) -> &'static str {
    if result.is_posted() { "posted" } else { "refused" }
}
