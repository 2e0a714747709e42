//! The ids of the gateway's own events. The store keeps them beside those of chat services, which
//! may choose any id. So each of ours begins with a character that theirs may not begin with.

use conversation::{DeadLetterAction, MessageId};
use jiff::Timestamp;

/// What the gateway's own ids begin with: ASCII's record separator.
const MARK: char = '\u{1e}';

/// Whether only the gateway may use this id for an event.
pub(crate) fn is_reserved(id: &str) -> bool {
    id.starts_with(MARK)
}

/// The one action on a message that became a dead letter at `died`.
pub(crate) fn action(message: &MessageId, died: Timestamp) -> String {
    format!("{MARK}operator/{message}/{}", died.as_millisecond())
}

/// A request for an action, with the caller's own key.
pub(crate) fn key(action: DeadLetterAction, message: &MessageId, key: &str) -> String {
    // These words are in stores.
    let action = match action {
        DeadLetterAction::Retry => "Retry",
        DeadLetterAction::Discard => "Discard",
    };
    format!("{MARK}key/{action}/{message}/{key}")
}
